"""What can be wrong with the certificate of a mail host, and with the chain that proves it (RFC 5280, RFC 9525)."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.checks.smtp_tls.severity import SMTP, severity_at
from exporter.facts import IP, Finding, Metric, Rule, Severity
from exporter.mail.certificate import FlawKind, Shown
from exporter.targets import MailHost
from exporter.text import day

VERIFIERS = "Senders that verify certificates reject it: MTA-STS, and every program that submits mail."

NOT_AFTER = Metric(
    "deliverability_smtp_tls_certificate_not_after_timestamp_seconds",
    "When the certificate of the mail host expires, the earliest of its addresses.",
)

CERTIFICATE_EXPIRED = Rule(
    "smtp_tls.certificate-expired",
    Severity.WARNING,
    says="the certificate of {host} at {ip} expired on {date}",
    why=VERIFIERS,
    fix="Renew the certificate {subject} and reload the mail server. Until then the server presents the old one.",
    ref="RFC 5280 section 4.1.2.5",
    refusals=("Office 365: 550 5.7.322 certificate-expired: Destination mail server's certificate is expired",),
    subjects=("ip",),
    cause=("date", "subject"),  # hosts that show one certificate
)
CERTIFICATE_NOT_YET_VALID = Rule(
    "smtp_tls.certificate-not-yet-valid",
    Severity.WARNING,
    says="the certificate of {host} at {ip} is not valid before {date}",
    why="Senders that verify certificates reject it until then: MTA-STS, and every program that submits mail.",
    fix="Use a certificate that is valid now for {subject}, and check the clock of the machine that issued it.",
    ref="RFC 5280 section 4.1.2.5",
    subjects=("ip",),
    cause=("date", "subject"),  # hosts that show one certificate
)
CERTIFICATE_EXPIRING = Rule(
    "smtp_tls.certificate-expiring",
    Severity.WARNING,
    says="the certificate of {host} at {ip} expires in {days} days, on {date}",
    why="Renewal should have happened by now. Without it, senders that verify certificates will reject the host.",
    fix="Renew the certificate {subject} and reload the mail server. Until then the server presents the old one.",
    ref="RFC 5280 section 4.1.2.5",
    subjects=("ip",),
    cause=("date", "subject"),  # hosts that show one certificate
)
CERTIFICATE_NAME = Rule(
    "smtp_tls.certificate-name",
    Severity.WARNING,
    says="the certificate of {host} at {ip} is for other names: {names}",
    why="Programs that submit mail reject it. On port 25 only MTA-STS and DANE check the name. They have their own "
    "checks, so here it is information.",
    fix="Get a certificate with {host} among its subjectAltName entries.",
    ref="RFC 9525 section 6.3; RFC 8461 section 4.2",
    refusals=("Office 365: 550 5.7.325 certificate-host-mismatch: Remote certificate MUST have a common name",),
    subjects=("ip",),
)
CERTIFICATE_SELF_SIGNED = Rule(
    "smtp_tls.certificate-self-signed",
    Severity.WARNING,
    says="the certificate of {host} at {ip} is self-signed",
    why="Programs that submit mail reject it. On port 25 senders still encrypt with it, except for MTA-STS and DANE. "
    "They have their own checks, so here it is information.",
    fix="Get a certificate for {host} from a public authority, for example through ACME.",
    ref="RFC 5280 section 6.1; RFC 7435 section 3; RFC 8461 section 4.2",
    subjects=("ip",),
)
CERTIFICATE_UNTRUSTED = Rule(
    "smtp_tls.certificate-untrusted",
    Severity.WARNING,
    says="no trusted authority issued the certificate of {host} at {ip}: issuer {issuer}, {length} sent",
    why=VERIFIERS,
    fix="Configure the whole chain on {host}: its certificate first, then the intermediate ones from {issuer} to a "
    "public root (Postfix: smtpd_tls_chain_files).",
    ref="RFC 8446 section 4.4.2; RFC 5280 section 6.1",
    subjects=("ip",),
)
CERTIFICATE_WEAK = Rule(
    "smtp_tls.certificate-weak",
    Severity.WARNING,
    says="the certificate of {host} at {ip} has {weak}",
    why="Current TLS libraries reject it. Mail is then delivered unencrypted or not at all.",
    fix="Get a certificate for {host} with an RSA key of 2048 bits or an ECDSA key of 256 bits, signed with SHA-256.",
    ref="RFC 9325 section 4.5",
    subjects=("ip",),
)
CERTIFICATE_ISSUER_EXPIRED = Rule(
    "smtp_tls.certificate-issuer-expired",
    Severity.WARNING,
    says="the certificate of {host} at {ip} depends on {issuer}, which {how}",
    why=VERIFIERS,
    fix="Replace {issuer} in the chain that {host} sends. Use the file with the whole chain of the latest certificate "
    "(certbot: fullchain.pem).",
    ref="RFC 5280 sections 4.1.2.5, 6.1.3",
    subjects=("ip",),
)
CERTIFICATE_ISSUER_WEAK = Rule(
    "smtp_tls.certificate-issuer-weak",
    Severity.WARNING,
    says="the certificate of {host} at {ip} depends on {issuer}, which {how}",
    why="Current TLS libraries reject SHA-1 signatures and short keys. Senders that verify certificates reject it: "
    "MTA-STS, and every program that submits mail.",
    fix="Get a certificate from an authority whose issuers are signed with SHA-256. Or send the newer certificate of "
    "{issuer} if there is one.",
    ref="RFC 9325 section 4.5; RFC 9155 section 1",
    subjects=("ip",),
)
CERTIFICATE_ISSUER_NO_AUTHORITY = Rule(
    "smtp_tls.certificate-issuer-no-authority",
    Severity.WARNING,
    says="the certificate of {host} at {ip} is signed by {issuer}, which {how}",
    why=VERIFIERS,
    fix="Get a certificate for {host} from a public authority. If {issuer} is your own authority, issue it again with "
    "basicConstraints CA:TRUE and the key usage keyCertSign.",
    ref="RFC 5280 sections 4.2.1.3, 4.2.1.9",
    subjects=("ip",),
)
CERTIFICATE_ISSUER_CONSTRAINED = Rule(
    "smtp_tls.certificate-issuer-constrained",
    Severity.WARNING,
    says="the certificate of {host} at {ip} is signed by {issuer}, which {how}",
    why=VERIFIERS,
    fix="Get a certificate for {host} from an issuer that may sign for this name. {issuer} may sign only for other "
    "domains.",
    ref="RFC 5280 section 4.2.1.10",
    subjects=("ip",),
)
CERTIFICATE_PURPOSE = Rule(
    "smtp_tls.certificate-purpose",
    Severity.WARNING,
    says="the certificate of {host} at {ip} {how}",
    why=VERIFIERS,
    fix="Get a certificate for {host} with the extended key usage serverAuth.",
    ref="RFC 5280 section 4.2.1.12",
    subjects=("ip",),
)

BY_FLAW = {
    FlawKind.EXPIRED: CERTIFICATE_ISSUER_EXPIRED,
    FlawKind.WEAK: CERTIFICATE_ISSUER_WEAK,
    FlawKind.NO_AUTHORITY: CERTIFICATE_ISSUER_NO_AUTHORITY,
    FlawKind.CONSTRAINED: CERTIFICATE_ISSUER_CONSTRAINED,
}
OF_CERTIFICATES = (
    CERTIFICATE_EXPIRED,
    CERTIFICATE_NOT_YET_VALID,
    CERTIFICATE_EXPIRING,
    CERTIFICATE_NAME,
    CERTIFICATE_SELF_SIGNED,
    CERTIFICATE_UNTRUSTED,
    CERTIFICATE_WEAK,
    CERTIFICATE_PURPOSE,
    *BY_FLAW.values(),
)
DAY = 86400.0
RENEWED_BY = 21 * DAY  # before the end; of shorter lives, when a quarter is left
LAST_CALL = 3 * DAY


def good(shown: Shown, now: float) -> bool:
    """Do the roots vouch for it, and for a while?"""
    return shown.trusted is not False and shown.leaf.not_before <= now and not _ending(shown, now)


def _ending(shown: Shown, now: float) -> bool:
    leaf = shown.leaf
    return leaf.not_after - now < min(RENEWED_BY, (leaf.not_after - leaf.not_before) / 4)


def of_certificate(target: MailHost, ip: IP, shown: Shown, now: float, *, pinned: bool) -> Iterator[Finding]:
    """What is wrong with what one address showed. `pinned`: DANE vouches for it, whatever its chain and its dates."""
    host, severity, leaf = target.host, Severity.INFO if pinned else severity_at(target), shown.leaf
    left = leaf.not_after - now
    if left <= 0:
        yield CERTIFICATE_EXPIRED(host=host, ip=ip, date=day(leaf.not_after), subject=leaf.subject, severity=severity)
    elif now < leaf.not_before:
        yield CERTIFICATE_NOT_YET_VALID(
            host=host, ip=ip, date=day(leaf.not_before), subject=leaf.subject, severity=severity
        )
    elif _ending(shown, now):
        urgent = severity if pinned or left < LAST_CALL else Severity.WARNING
        days, date = f"{left / DAY:.0f}", day(leaf.not_after)
        yield CERTIFICATE_EXPIRING(host=host, ip=ip, days=days, date=date, subject=leaf.subject, severity=urgent)
    if not leaf.matches(host):
        shown_names = ", ".join(leaf.names) or "none at all"
        yield CERTIFICATE_NAME(host=host, ip=ip, names=shown_names, severity=_if_verified(target, severity))
    if leaf.weak:
        yield CERTIFICATE_WEAK(host=host, ip=ip, weak=leaf.weak, severity=severity_at(target))
    if shown.trusted is False:
        yield _distrusted(target, ip, shown, severity)


def _if_verified(target: MailHost, severity: Severity) -> Severity:
    """Whoever verifies on port 25 has read of MTA-STS or TLSA records, which have checks of their own."""
    return Severity.INFO if target.port == SMTP else severity


def _distrusted(target: MailHost, ip: IP, shown: Shown, severity: Severity) -> Finding:
    host, flaw, leaf = target.host, shown.flaw, shown.leaf
    if leaf.self_signed:
        return CERTIFICATE_SELF_SIGNED(host=host, ip=ip, severity=_if_verified(target, severity))
    if flaw is None:
        return CERTIFICATE_UNTRUSTED(host=host, ip=ip, issuer=leaf.issuer, length=shown.length, severity=severity)
    if flaw.kind is FlawKind.PURPOSE:
        return CERTIFICATE_PURPOSE(host=host, ip=ip, how=flaw.how, severity=severity)
    return BY_FLAW[flaw.kind](host=host, ip=ip, issuer=flaw.subject, how=flaw.how, severity=severity)
