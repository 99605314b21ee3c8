"""Part of the check `bimi`: the mark certificate that a= names. Is it good for the domain and for its logo?

We do not judge the authority that issued it, because each receiver has its own list of authorities for marks.
"""

from __future__ import annotations

from collections.abc import Iterator

from exporter.checks.bimi.logo import BIMI, NO_LOGO
from exporter.facts import Doubt, Metric, Reason, Rule, Severity
from exporter.mail.bimi.certificate import MarkCertificate, NoCertificateError, examine
from exporter.mail.certificate import CertificateSyntaxError
from exporter.model import Fact
from exporter.net.https import Fetched
from exporter.text import day

VMC = "draft-fetch-validation-vmc-wchuang-05"

NO_CERTIFICATE = Rule(
    "bimi.no-certificate",
    Severity.INFO,
    says="the record at {name} has no mark certificate",
    why="Gmail and Apple Mail show no logo without one. Others may, depending on the sender's reputation.",
    fix="Get a Verified or Common Mark Certificate for {domain}. Add a= with its https URL to the TXT record at "
    "{name}.",
    ref=f"{BIMI} section 7.3; Apple, BIMI support in Apple Mail",
)
CERTIFICATE_UNREADABLE = Rule(
    "bimi.certificate-unreadable",
    Severity.WARNING,
    says="the mark certificate at {url} is not readable: {why}",
    why=NO_LOGO,
    fix="Publish the mark certificate and its issuers' chain in PEM at {url}, as the authority delivers them.",
    ref=f"{VMC} section 3.3",
)
CERTIFICATE_EXPIRED = Rule(
    "bimi.certificate-expired",
    Severity.WARNING,
    says="the mark certificate at {url} expired on {date}",
    why=NO_LOGO,
    fix="Renew the mark certificate {subject} and publish it at {url}.",
    ref=f"{VMC} section 5.1",
)
CERTIFICATE_NOT_YET_VALID = Rule(
    "bimi.certificate-not-yet-valid",
    Severity.WARNING,
    says="the mark certificate at {url} is not valid before {date}",
    why=NO_LOGO,
    fix="Publish a certificate that is valid now at {url}.",
    ref=f"{VMC} section 5.1",
)
CERTIFICATE_EXPIRING = Rule(
    "bimi.certificate-expiring",
    Severity.WARNING,
    says="the mark certificate at {url} expires in {days} days, on {date}",
    why="The logo then disappears. A new certificate takes time, because people check the mark.",
    fix="Renew the mark certificate {subject} and publish it at {url}.",
    ref=f"{VMC} section 5.1",
)
CERTIFICATE_NAME = Rule(
    "bimi.certificate-name",
    Severity.WARNING,
    says="the mark certificate at {url} is for {names}, not for {domain}",
    why=NO_LOGO,
    fix="Get a mark certificate with {domain} among its subjectAltName entries.",
    ref=f"{VMC} sections 4.3, 5.2",
)
CERTIFICATE_PURPOSE = Rule(
    "bimi.certificate-purpose",
    Severity.WARNING,
    says="the certificate at {url} is not a mark certificate: {what}",
    why=NO_LOGO,
    fix="Publish the mark certificate (VMC or CMC) at {url}, not that of a web server.",
    ref=f"{VMC} sections 4.1, 4.4",
)
CERTIFICATE_CHAIN = Rule(
    "bimi.certificate-chain",
    Severity.WARNING,
    says="the chain of the mark certificate at {url} is incomplete or in the wrong order: {what}",
    why="Receivers get no other certificates than these. They may reject a chain with a gap or in the wrong order.",
    fix="Publish at {url} the mark certificate first, then that of its issuer {issuer}, and so on to the root.",
    ref=f"{VMC} section 3.3",
)
CERTIFICATE_LOGO = Rule(
    "bimi.certificate-logo",
    Severity.WARNING,
    says="the logo at {logo} is not the one in the mark certificate at {url}",
    why="Receivers that compare the two show no logo. Others show the one in the certificate.",
    fix="Publish the certified file at {logo}, or have the new one certified.",
    ref=f"{BIMI} section 7.9; {VMC} section 5.3",
)
NOT_AFTER = Metric(
    "deliverability_bimi_certificate_not_after_timestamp_seconds", "When the mark certificate of the domain expires."
)

RULES = (
    CERTIFICATE_UNREADABLE,
    CERTIFICATE_EXPIRED,
    CERTIFICATE_NOT_YET_VALID,
    CERTIFICATE_EXPIRING,
    CERTIFICATE_NAME,
    CERTIFICATE_PURPOSE,
    CERTIFICATE_CHAIN,
    CERTIFICATE_LOGO,
)
DAY = 86400.0
SOON = 21 * DAY  # seconds to expiry


def judge(domain: str, fetched: Fetched, logo: Fetched | None, now: float) -> Iterator[Fact]:
    """Nothing, where there is no certificate to be judged. `logo` is what l= leads to."""
    match _examined(fetched):
        case NoCertificateError() as error:
            yield CERTIFICATE_UNREADABLE(url=fetched.url, why=error)
        case MarkCertificate() as mark:
            yield from _certificate(domain, fetched.url, mark, now)
            if logo and logo.status == 200 and mark.shows(logo.body) is False:
                yield CERTIFICATE_LOGO(url=fetched.url, logo=logo.url)


def doubt(fetched: Fetched) -> Doubt | None:
    """Why there is none to be judged, if that is not certain."""
    match _examined(fetched):
        case CertificateSyntaxError() as error if not isinstance(error, NoCertificateError):
            return Doubt(Reason.MALFORMED, f"{fetched.url}: {error}")
    return fetched.doubt


def _examined(fetched: Fetched) -> MarkCertificate | CertificateSyntaxError | None:
    return examine(fetched.body) if fetched.status == 200 else None


def _certificate(domain: str, url: str, mark: MarkCertificate, now: float) -> Iterator[Fact]:
    leaf = mark.leaf
    yield NOT_AFTER(leaf.not_after)
    left = leaf.not_after - now
    if left <= 0:
        yield CERTIFICATE_EXPIRED(url=url, date=day(leaf.not_after), subject=leaf.subject)
    elif now < leaf.not_before:
        yield CERTIFICATE_NOT_YET_VALID(url=url, date=day(leaf.not_before))
    elif left <= SOON:
        yield CERTIFICATE_EXPIRING(url=url, days=int(left // DAY), date=day(leaf.not_after), subject=leaf.subject)
    if not mark.covers(domain):
        yield CERTIFICATE_NAME(url=url, domain=domain, names=", ".join(leaf.names) or "no domain at all")
    lacks = [
        *([] if mark.for_marks else ["it has not the extended key usage of marks (1.3.6.1.5.5.7.3.31)"]),
        *([] if mark.has_logo else ["it contains no logo (1.3.6.1.5.5.7.1.12)"]),
    ]
    if lacks:
        yield CERTIFICATE_PURPOSE(url=url, what=", ".join(lacks))
    gaps = [
        *([] if mark.first else ["other certificates come before it"]),
        *([] if mark.issuer_sent or leaf.self_signed else ["the certificate of its issuer is missing"]),
    ]
    if gaps:
        yield CERTIFICATE_CHAIN(url=url, what=", ".join(gaps), issuer=leaf.issuer)
