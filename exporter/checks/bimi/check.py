"""BIMI: the logo that some receivers show beside a domain's mail. Nobody refuses mail because there is no logo.

We read the record of the default selector, and only if the domain has its own. If it uses the record of its
organisational domain, faults are reported there. We do not judge which authorities receivers trust.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import reduce

from exporter.checks.bimi import certificate as certificates
from exporter.checks.bimi import logo as logos
from exporter.checks.bimi.logo import BIMI, NO_LOGO
from exporter.facts import Doubt, Finding, Rule, Severity
from exporter.facts import Record as Published
from exporter.mail.bimi import certificate as bimi_certificate
from exporter.mail.bimi import logo as bimi_logo
from exporter.mail.bimi.record import (
    BimiDiscovery,
    BimiRecord,
    find,
    is_record,
    meant,
    picture_suffix,
    url_fault,
    weaknesses,
)
from exporter.mail.cname import dangling
from exporter.mail.dmarc.tree_walk import Discovery, climb
from exporter.mail.dmarc.tree_walk import walk as whole_walk
from exporter.mail.dns import doubts
from exporter.model import Door, Fact, Facts, check
from exporter.net import Net
from exporter.net.https import Failure, Fetched
from exporter.targets import Domain


@check(over=Domain, interval=timedelta(hours=6), timeout=timedelta(seconds=90), needs={Door.HTTPS}, questions=3)
async def bimi(target: Domain, net: Net) -> Facts:
    """Do receivers find a valid logo for the domain's mail, with everything they require to show it?"""
    if not target.sends_mail:
        return
    found = await net.drive(find(target.name))
    end, unsure = await net.drive(dangling(found.own.reply))
    yield _standing(found, end)
    yield doubts(found.own.reply)
    yield (doubt.over(DANGLING_CNAME) for doubt in doubts(unsure))
    yield (doubt.over(INHERITED) for doubt in doubts(found.above.reply if found.above else None))
    if len(found.own.records) != 1:
        return
    name, record = found.own.name, found.own.records[0]
    yield _complaints(target.name, name, record)
    if record.declined:
        return
    walk = await net.drive(climb(target.name))
    for weakness in weaknesses(walk):
        yield DMARC_TOO_WEAK(domain=target.name, what=weakness.what, name=weakness.name)
    logo = evidence = None
    if record.location and not _unusable(record.location):
        accept = ", ".join(logos.TYPES)
        logo = await net.fetch(record.location, accept=accept, largest=bimi_logo.LARGEST, redirects=REDIRECTS)
        yield (*_fetched(name, "l", record.location, logo), *logos.judge(logo))
    if record.evidence and not url_fault(record.evidence):
        evidence = await net.fetch(record.evidence, largest=bimi_certificate.LARGEST, redirects=REDIRECTS)
        now = net.clock.wall()
        judged = certificates.judge(target.name, evidence, logo, now)
        yield (*_fetched(name, "a", record.evidence, evidence), *judged)
    yield (_over_policies(walk, doubt) for doubt in doubts(walk.doubt))
    yield _open_questions("l", logo, logos.doubt, (*logos.RULES, certificates.CERTIFICATE_LOGO))
    yield _open_questions("a", evidence, certificates.doubt, certificates.RULES)


DANGLING_CNAME = Rule(
    "bimi.dangling-cname",
    Severity.WARNING,
    says="{name} is a CNAME to {target}, which has no TXT record",
    why=NO_LOGO,
    fix="Ask the operator of {target} to publish the record there, or remove the CNAME at {name}.",
    ref=f"{BIMI} section 6.3; RFC 1034 section 3.6.2",
)
MULTIPLE_RECORDS = Rule(
    "bimi.multiple-records",
    Severity.WARNING,
    says="{name} has {count} BIMI records, so receivers use none of them",
    why=NO_LOGO,
    fix="Leave one TXT record that begins with v=BIMI1 at {name}.",
    ref=f"{BIMI} section 7.2",
)
BAD_VERSION = Rule(
    "bimi.bad-version",
    Severity.WARNING,
    says="{name} has a malformed BIMI record, which does not begin with v=BIMI1: {text}",
    why="Receivers ignore a record that does not begin with exactly v=BIMI1.",
    fix="Begin the TXT record at {name} with v=BIMI1 and a semicolon.",
    ref=f"{BIMI} sections 4.3, 7.2",
)
SYNTAX = Rule(
    "bimi.syntax",
    Severity.WARNING,
    says='the record at {name} has "{term}", which is not tag=value',
    why="Receivers must not repair such a record, so they may ignore all of it.",
    fix='Correct or remove "{term}" in the TXT record at {name}.',
    ref=f"{BIMI} section 4.3; RFC 6376 section 3.2",
)
REPEATED_TAG = Rule(
    "bimi.repeated-tag",
    Severity.WARNING,
    says="the record at {name} has the tag {tag}= more than once",
    why="A repeated tag makes the record invalid. Receivers take the first, the last or none.",
    fix="Leave one {tag}= in the TXT record at {name}.",
    ref=f"{BIMI} section 4.3; RFC 6376 section 3.2",
)
IGNORED_VALUE = Rule(
    "bimi.ignored-value",
    Severity.INFO,
    says="{tag}={value} in the record at {name} has no meaning",
    why="Receivers ignore it. Some may ignore the whole record.",
    fix="Correct or remove {tag}= in the TXT record at {name}.",
    ref=f"{BIMI} section 4.3",
)
NO_LOCATION = Rule(
    "bimi.no-location",
    Severity.WARNING,
    says="the record at {name} has no location of the logo: {what}",
    why=NO_LOGO,
    fix='Add l= with the https URL of the logo to the TXT record at {name}. To have no logo, publish "v=BIMI1; '
    'l=; a=" there.',
    ref=f"{BIMI} sections 4.3, 7.3",
)
BAD_URL = Rule(
    "bimi.bad-url",
    Severity.WARNING,
    says="{tag}={url} in the record at {name} is invalid: {fault}",
    why=NO_LOGO,
    fix="Set {tag}= in the TXT record at {name} to a URL that begins with https:// and a full host name.",
    ref=f"{BIMI} sections 4.3, 4.3.2",
)
DECLINED = Rule(
    "bimi.declined",
    Severity.INFO,
    says="the record at {name} says that {domain} wants no logo",
    why="Receivers show no logo, not even that of the organisational domain. That is a choice, not a fault.",
    fix="To show a logo, put its URL into l= of the TXT record at {name}, or remove the record.",
    ref=f"{BIMI} section 4.3.1",
)
INHERITED = Rule(
    "bimi.inherited",
    Severity.INFO,
    says="{domain} has no BIMI record, so receivers use that of {organisational}",
    why="Its mail shows the logo of its organisational domain. Faults of that record are reported for the other "
    "domain, if it is configured.",
    fix="Publish a record at default._bimi.{domain} only if {domain} needs another logo, or none.",
    ref=f"{BIMI} section 7.2",
)
DMARC_TOO_WEAK = Rule(
    "bimi.dmarc-too-weak",
    Severity.WARNING,
    says="{domain} has a BIMI record, but its DMARC policy at {name} is too weak for a logo: {what}",
    why="Receivers show a logo only if the policy is quarantine or reject for all mail of the domain and its "
    "subdomains.",
    fix="Change the TXT record at {name} to p=quarantine or p=reject without pct=, t=y and sp=none. Wait until "
    "reports show that all legitimate mail passes.",
    ref=f"{BIMI} section 7.1",
)
UNAVAILABLE = Rule(
    "bimi.unavailable",
    Severity.WARNING,
    says="the file in {tag}= at {name} cannot be fetched: {url} {how}",
    why=NO_LOGO,
    fix="Make the web server answer at {url} with status 200 for everybody, and with a valid certificate.",
    ref=f"{BIMI} sections 7.5, 7.6",
)
REDIRECTED = Rule(
    "bimi.redirected",
    Severity.INFO,
    says="{tag}= at {name} is redirected to {url}",
    why="No standard says that receivers must follow a redirect.",
    fix="Put the final URL of the file into {tag}= of the TXT record at {name}.",
    ref=f"{BIMI} section 7.5",
)

REDIRECTS = 3
# What the publisher can be blamed for: asked again, it would be the same.
BLAMED = {
    Failure.URL: "is not an https URL with a host name",
    Failure.NO_ADDRESS: "has a host without an address",
    Failure.NOT_PUBLIC: "has a host without a public address",
    Failure.CERTIFICATE: "has a web server with an invalid certificate",
    Failure.REDIRECTS: f"redirects more than {REDIRECTS} times",
}


# A logo does not change by the hour, and fetching it is somebody's traffic.


def _standing(found: BimiDiscovery, end: str) -> Iterator[Fact]:
    """What stands at the names that receivers ask, whatever is in the record. `end`: of an alias to nothing."""
    own, above = found.own, found.above
    if own.reply.status.conclusive:
        yield Published.of(f"{own.name} TXT", (txt.text for txt in own.reply.texts))
    if end:
        yield DANGLING_CNAME(name=own.name, target=end)
    if len(own.records) > 1:
        yield MULTIPLE_RECORDS(name=own.name, count=len(own.records))
    for text in [txt.text for txt in own.reply.texts if meant(txt.text) and not is_record(txt.text)][:1]:
        yield BAD_VERSION(name=own.name, text=text.decode("latin-1"))
    if above and above.records:
        yield INHERITED(domain=own.domain, organisational=above.domain)


def _complaints(domain: str, name: str, record: BimiRecord) -> Iterator[Finding]:
    """What is wrong with the text of the record."""
    if record.bad_terms:
        yield SYNTAX(name=name, term="; ".join(record.bad_terms))
    for tag in record.repeated:
        yield REPEATED_TAG(name=name, tag=tag)
    for tag, value in record.bad_values:
        yield IGNORED_VALUE(name=name, tag=tag, value=value)
    if record.declined:
        yield DECLINED(name=name, domain=domain)
        return
    if not record.location:
        yield NO_LOCATION(name=name, what="l= is missing" if record.location is None else "l= is empty, but a= is not")
    elif fault := _unusable(record.location):
        yield BAD_URL(name=name, tag="l", url=record.location, fault=fault)
    if not record.evidence:
        yield certificates.NO_CERTIFICATE(name=name, domain=domain)
    elif fault := url_fault(record.evidence):
        yield BAD_URL(name=name, tag="a", url=record.evidence, fault=fault)


def _unusable(location: str) -> str:
    """What keeps receivers from fetching a logo there, or nothing."""
    suffix = picture_suffix(location)
    return url_fault(location) or (f"{suffix} is not an SVG file" if suffix else "")


def _fetched(name: str, tag: str, asked: str, fetched: Fetched) -> Iterator[Finding]:
    """What is certainly wrong with the way to the file."""
    if how := _blame(fetched):
        yield UNAVAILABLE(name=name, tag=tag, url=fetched.url, how=how)
    elif fetched.url != asked:
        yield REDIRECTED(name=name, tag=tag, url=fetched.url)


def _blame(fetched: Fetched) -> str:
    if fetched.failure:
        return BLAMED.get(fetched.failure, "")
    return "" if fetched.doubt or fetched.status == 200 else f"answers with HTTP status {fetched.status}"


def _over_policies(walk: Discovery, doubt: Doubt) -> Doubt:
    """Whether there is a policy, and of what strength, is open where the walk did not come to."""
    open_still = whole_walk(walk.domain)[0 if walk.source is None else len(walk.steps) :]
    for name in open_still:
        doubt = doubt.over(DMARC_TOO_WEAK, name=f"_dmarc.{name}")
    return doubt


def _open_questions(
    tag: str, fetched: Fetched | None, of_file: Callable[[Fetched], Doubt | None], rules: Iterable[Rule]
) -> Iterator[Doubt]:
    """Why nothing is known of the file, which these rules are about; nothing where it is known or not needed."""
    if fetched and not _blame(fetched) and (doubt := of_file(fetched)):
        yield reduce(Doubt.over, rules, doubt.over(UNAVAILABLE, tag=tag).over(REDIRECTED, tag=tag))
