"""MTA-STS of a domain (RFC 8461): do senders find the policy, and does the policy let mail through?

How bad a fault is depends on what senders do then:

- If senders cannot get the policy, they deliver without it. No mail is lost, but nothing protects it: a warning.
- If senders have a policy in mode `enforce` and no MX host satisfies it, they deliver nothing: critical.

We do not connect to mail hosts here. The results of `smtp_tls` say whether their certificates are good.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from exporter.check_state import RecordHistory
from exporter.facts import Finding, Metric, Record, Rule, Severity
from exporter.mail import names
from exporter.mail.dns import doubts
from exporter.mail.mta_sts import RECORD, Mode, MtaStsPolicy, parse, policy_id, policy_url
from exporter.mail.mx import Route, look_up, route
from exporter.mail.policy_txt import PolicyTxt, find_policy_txt, tried
from exporter.model import Door, Fact, Facts, check
from exporter.net import Net
from exporter.net.https import LARGEST, Failure, Fetched
from exporter.targets import Domain, MailHost


@check(over=Domain, interval=timedelta(hours=1), needs={Door.HTTPS}, after={"smtp_tls"})
async def mta_sts(target: Domain, net: Net) -> Facts:
    """Do senders find the domain's MTA-STS policy, if it has one, and does that let mail through?"""
    if not target.receives_mail:
        return
    domain = target.name
    found = await net.drive(find_policy_txt(domain, RECORD))
    record = Record.of(f"{found.name} TXT", found.meant)
    if found.answered:
        yield record
    yield _announcement(domain, found)
    yield doubts(found.doubt)
    if len(found.records) != 1 or tried(policy_id, found.records[0])[1]:
        return

    before = net.remembered(target, policy_url(domain))
    if before:  # until there is another: a page that is gone for an hour does not hide a new text under the old id
        yield before.record
    fetched = await net.fetch(policy_url(domain), accept="text/plain")
    unavailable = _unavailable(domain, fetched)
    if unavailable:
        yield unavailable
        return
    if fetched.doubt:
        yield fetched.doubt
        return
    policy, error = tried(parse, fetched.body)
    if not policy:
        yield POLICY_SYNTAX(domain=domain, url=fetched.url, error=error)
        return
    text = Record.of(fetched.url, policy.lines)
    yield text
    yield (*_policy(domain, policy, fetched), *_kept(target, net, record, text))

    if policy.mode is not Mode.NONE:
        own = await net.drive(route(domain))
        yield await _hosts(domain, policy, fetched, own, net)
        yield doubts(own.doubt)


UNPROTECTED = "Senders then know of no policy, and whoever stands on the way can read the mail or take it over."
NEW_ID = "then change id= in the TXT record at _mta-sts.{domain}"

MULTIPLE_RECORDS = Rule(
    "mta_sts.multiple-records",
    Severity.WARNING,
    says="{name} holds {count} MTA-STS records, so none of them counts",
    why=UNPROTECTED,
    fix="Leave a single TXT record that begins with v=STSv1 at {name}.",
    ref="RFC 8461 section 3.1",
)
SYNTAX = Rule(
    "mta_sts.syntax",
    Severity.WARNING,
    says="the MTA-STS record at {name} does not count: {error}",
    why=UNPROTECTED,
    fix='Publish at {name} the TXT record "v=STSv1; id=1", where id is 1 to 32 letters and digits.',
    ref="RFC 8461 section 3.1",
)
AT_APEX = Rule(
    "mta_sts.at-apex",
    Severity.WARNING,
    says="an MTA-STS record stands at {domain} itself, where nobody looks for it",
    why=UNPROTECTED,
    fix="Move the TXT record that begins with v=STSv1 from {domain} to _mta-sts.{domain}.",
    ref="RFC 8461 section 3.1",
)
DANGLING_CNAME = Rule(
    "mta_sts.dangling-cname",
    Severity.WARNING,
    says="{name} is a CNAME to {target}, which has no TXT record",
    why=UNPROTECTED,
    fix="Ask whoever runs {target} to publish the record there, or remove the CNAME at {name}.",
    ref="RFC 8461 section 3.1; RFC 1034 section 3.6.2",
)
POLICY_UNREACHABLE = Rule(
    "mta_sts.policy-unreachable",
    Severity.WARNING,
    says="{domain} has an MTA-STS record, but its policy cannot be fetched: {how}",
    why=UNPROTECTED,
    fix="Let a web server answer at {url}, or remove the TXT record at _mta-sts.{domain}.",
    ref="RFC 8461 section 3.3",
)
POLICY_CERTIFICATE = Rule(
    "mta_sts.policy-certificate",
    Severity.WARNING,
    says="senders do not believe the MTA-STS policy of {domain}: {how}",
    why=UNPROTECTED,
    fix="Get a certificate for mta-sts.{domain} from a public authority, and send its whole chain.",
    ref="RFC 8461 section 3.3",
)
POLICY_REDIRECTED = Rule(
    "mta_sts.policy-redirected",
    Severity.WARNING,
    says="{url} answers with a redirect ({status}) to {location}, which senders must not follow",
    why=UNPROTECTED,
    fix="Serve the policy at {url} itself, with status 200.",
    ref="RFC 8461 section 3.3",
)
POLICY_MISSING = Rule(
    "mta_sts.policy-missing",
    Severity.WARNING,
    says="{domain} has an MTA-STS record, but {url} answers with HTTP status {status}",
    why=UNPROTECTED,
    fix="Serve the policy at {url} with status 200, or remove the TXT record at _mta-sts.{domain}.",
    ref="RFC 8461 section 3.3",
)
POLICY_TOO_LARGE = Rule(
    "mta_sts.policy-too-large",
    Severity.WARNING,
    says="what {url} serves is larger than {limit} octets, more than senders need to read",
    why=UNPROTECTED,
    fix="Serve at {url} the policy alone, a few lines of text.",
    ref="RFC 8461 section 3.3",
)
POLICY_TYPE = Rule(
    "mta_sts.policy-type",
    Severity.WARNING,
    says='{url} serves the policy as "{type}", not as text/plain',
    why="Senders may refuse a policy of another type, and some do; for them there is none.",
    fix="Serve {url} with the header Content-Type: text/plain.",
    ref="RFC 8461 section 3.2",
)
POLICY_SYNTAX = Rule(
    "mta_sts.policy-syntax",
    Severity.WARNING,
    says="the MTA-STS policy at {url} is not valid: {error}",
    why="Senders that read it strictly, or all of them, take it for no policy. " + UNPROTECTED,
    fix='Correct the policy at {url}: lines of "name: value", among them version: STSv1, mode, max_age, and mx for '
    f"each mail host; {NEW_ID}.",
    ref="RFC 8461 section 3.2",
)
POLICY_TESTING = Rule(
    "mta_sts.policy-testing",
    Severity.WARNING,
    says="the MTA-STS policy of {domain} is only being tested (mode: testing)",
    why="Senders report what fails, and deliver all the same: nothing is protected yet.",
    fix=f"Set mode: enforce in {{url}} once the TLS-RPT reports show no failures, {NEW_ID}.",
    ref="RFC 8461 sections 3.2, 5",
)
POLICY_NONE = Rule(
    "mta_sts.policy-none",
    Severity.INFO,
    says="the MTA-STS policy of {domain} says that there is none (mode: none)",
    why="That is how a policy is taken back: senders forget the one they have kept.",
    fix="Remove the TXT record at _mta-sts.{domain} when the max_age of the former policy is over.",
    ref="RFC 8461 section 8.3",
)
SHORT_MAX_AGE = Rule(
    "mta_sts.short-max-age",
    Severity.WARNING,
    says="senders may keep the MTA-STS policy of {domain} for {seconds} seconds only",
    why="Whoever can hold up the next fetch for that long has switched the protection off; weeks are meant.",
    fix=f"Set max_age: 604800 or more in {{url}}, {NEW_ID}.",
    ref="RFC 8461 sections 3.2, 10.2",
)
ID_UNCHANGED = Rule(
    "mta_sts.id-unchanged",
    Severity.WARNING,
    says="the MTA-STS policy of {domain} changed on {since}, but its id is still {id}",
    why="Senders ask for the policy again only when the id changes, and go by the old one until its max_age is over.",
    fix='Set the TXT record at _mta-sts.{domain} to "v=STSv1; id={next}".',
    ref="RFC 8461 sections 3.1, 8.1",
)
MX_NOT_LISTED = Rule(
    "mta_sts.mx-not-listed",
    Severity.CRITICAL,
    says="the MTA-STS policy of {domain} (mode: {mode}) does not name its MX host {mail_host}",
    why="In mode enforce, senders that obey the policy, Gmail and Office 365 among them, deliver nothing to that host. "
    "Where no other is left, mail to the domain waits and comes back.",
    fix=f'Add the line "mx: {{mail_host}}" to {{url}}, {NEW_ID}.',
    ref="RFC 8461 sections 4.1, 5",
    refusals=(
        "Office 365: 451 4.4.8 MX hosts of ... failed MTA-STS validation",
        "Office 365: 550 5.4.8 MX hosts of ... failed MTA-STS validation",
    ),
    subjects=("mail_host",),
)
CERTIFICATE = Rule(
    "mta_sts.certificate",
    Severity.CRITICAL,
    says="{mail_host} does not show what the MTA-STS policy of {domain} (mode: {mode}) promises: {faults}",
    why="In mode enforce, senders that obey the policy, Gmail and Office 365 among them, deliver nothing to that host. "
    "Where no other is left, mail to the domain waits and comes back.",
    fix="Give {mail_host} a certificate of a public authority that is in date and has this name, over STARTTLS with "
    f"TLS 1.2 or newer; if that takes time, set mode: testing in {{url}}, {NEW_ID}.",
    ref="RFC 8461 sections 4.2, 5, 7.2",
    refusals=(
        "Office 365: 451 4.7.5 Remote certificate failed MTA-STS validation",
        "Office 365: 550 5.7.5 Remote certificate failed MTA-STS validation",
    ),
    subjects=("mail_host",),
)
PATTERN_UNUSED = Rule(
    "mta_sts.pattern-unused",
    Severity.INFO,
    says="the MTA-STS policy of {domain} names what no MX host of it matches: {patterns}",
    why="It does no harm while the name is your own; a host that was taken out of service is better forgotten.",
    fix=f"Remove these mx lines from {{url}}, unless such a host is about to come; {NEW_ID}.",
    ref="RFC 8461 section 3.2",
)
POLICY_INFO = Metric(
    "deliverability_mta_sts_policy_info",
    "Always 1: the mode of the domain's MTA-STS policy, which is enforce, testing or none.",
    ("mode",),
)
MAX_AGE = Metric("deliverability_mta_sts_max_age_seconds", "For how long senders may keep the domain's policy.")

SHORT = 86400  # seconds; a policy may be that old at most
ID_DELAY = 1800.0  # seconds that may pass from a new policy to its new id
MOST_HOSTS = 30
PORT = 25
# What `smtp_tls` finds where a sender that obeys the policy does not deliver.
UNPROVEN = frozenset(
    {
        "smtp_tls.no-starttls",
        "smtp_tls.tls-fails",
        "smtp_tls.obsolete-only",
        "smtp_tls.certificate-expired",
        "smtp_tls.certificate-not-yet-valid",
        "smtp_tls.certificate-name",
        "smtp_tls.certificate-self-signed",
        "smtp_tls.certificate-untrusted",
    }
)
_NOBODY_THERE = frozenset({Failure.NO_ADDRESS, Failure.NOT_PUBLIC, Failure.REFUSED, Failure.TLS})


def _announcement(domain: str, found: PolicyTxt) -> Iterator[Finding]:
    """What is wrong with the record; nothing, if there is none."""
    if found.at_apex:
        yield AT_APEX(domain=domain)
    if found.dangling:
        yield DANGLING_CNAME(name=found.name, target=found.dangling)
    if len(found.records) > 1:
        yield MULTIPLE_RECORDS(name=found.name, count=len(found.records))
    elif found.meant:
        _, error = tried(policy_id, (found.records or found.meant)[0])
        if error:
            yield SYNTAX(name=found.name, error=error)


def _unavailable(domain: str, fetched: Fetched) -> Finding | None:
    """What the web server has answered that proves that nobody gets a policy from it."""
    url, how = fetched.url, fetched.trouble.detail if fetched.trouble else ""
    if fetched.failure is Failure.CERTIFICATE:
        return POLICY_CERTIFICATE(domain=domain, how=how)
    if fetched.failure is Failure.TOO_LARGE:
        return POLICY_TOO_LARGE(url=url, limit=LARGEST)
    if fetched.failure in _NOBODY_THERE:
        return POLICY_UNREACHABLE(domain=domain, url=url, how=how)
    if fetched.doubt or fetched.status == 200:
        return None
    if fetched.location:
        return POLICY_REDIRECTED(url=url, status=fetched.status, location=fetched.location)
    return POLICY_MISSING(domain=domain, url=url, status=fetched.status)


def _is_text(fetched: Fetched) -> bool:
    return fetched.content_type.partition(";")[0].strip().lower() == "text/plain"


def _policy(domain: str, policy: MtaStsPolicy, fetched: Fetched) -> Iterator[Fact]:
    """What the policy says, and what is wrong with that alone."""
    url = fetched.url
    yield POLICY_INFO(1, mode=policy.mode)
    yield MAX_AGE(policy.max_age)
    if not _is_text(fetched):
        yield POLICY_TYPE(url=url, type=fetched.content_type)
    if policy.faults:
        yield POLICY_SYNTAX(domain=domain, url=url, error="; ".join(policy.faults))
    match policy.mode:
        case Mode.TESTING:
            yield POLICY_TESTING(domain=domain, url=url)
        case Mode.NONE:
            yield POLICY_NONE(domain=domain)
        case Mode.ENFORCE if policy.max_age <= SHORT:
            yield SHORT_MAX_AGE(domain=domain, url=url, seconds=policy.max_age)


def _kept(target: Domain, net: Net, record: Record, text: Record) -> Iterator[Finding]:
    """Has the policy got a new text and kept its id? Only what this exporter has seen change can tell."""
    now = net.clock.wall()
    policy = _remembered(net, target, text, now)
    announcement = _remembered(net, target, record, now)
    if not policy.changes or now - policy.since < ID_DELAY:
        return
    before = announcement.record.texts
    for change in announcement.changes:  # back to what was announced when the new policy came
        if change.at >= policy.since:
            before = change.before
    kept = _ids(before) & _ids(announcement.record.texts)
    if kept:
        since = datetime.fromtimestamp(policy.since, UTC)
        yield ID_UNCHANGED(
            domain=target.name, id=kept.pop(), since=f"{since:%Y-%m-%d %H:%M} UTC", next=f"{since:%Y%m%d%H%M%S}"
        )


def _remembered(net: Net, target: Domain, record: Record, now: float) -> RecordHistory:
    held = net.remembered(target, record.name)
    return held.now(record, now) if held else RecordHistory(record, now)


def _ids(texts: Iterable[str]) -> set[str]:
    return {found for text in texts if (found := tried(policy_id, text.encode())[0])}


async def _hosts(domain: str, policy: MtaStsPolicy, fetched: Fetched, own: Route, net: Net) -> Sequence[Finding]:
    """Where the policy does not let mail go, though the MX records lead there."""
    every = own.hosts or ((own.implicit.name,) if own.implicit else ())
    hosts = [host for host in every[:MOST_HOSTS] if names.is_hostname(host)]
    listed = [host for host in hosts if policy.matching(host)]
    unproven = {host: faults for host in listed if (faults := _faults(net, host))}
    url, mode, all_seen = fetched.url, policy.mode, len(every) <= MOST_HOSTS
    obeyed = mode is Mode.ENFORCE and not policy.faults and _is_text(fetched)  # by everybody who knows MTA-STS
    amiss = unproven or len(listed) < len(hosts)
    lost = amiss and obeyed and all_seen and not await _left(net, listed, unproven)
    severity = Severity.CRITICAL if lost else Severity.WARNING  # where a host is left, mail goes there
    findings = [
        MX_NOT_LISTED(domain=domain, url=url, mode=mode, mail_host=host, severity=severity)
        for host in hosts
        if host not in listed
    ]
    for host, faults in unproven.items():
        shown = ", ".join(f"{finding} at {ip}" for ip, ids in faults.items() for finding in ids)
        findings.append(CERTIFICATE(domain=domain, url=url, mode=mode, mail_host=host, faults=shown, severity=severity))
    used = {pattern for host in hosts for pattern in policy.matching(host)}
    unused = [pattern for pattern in policy.patterns if pattern not in used]
    if unused and hosts and all_seen:
        findings.append(PATTERN_UNUSED(domain=domain, url=url, patterns=", ".join(unused)))
    return findings


def _faults(net: Net, host: str) -> dict[str, list[str]]:
    """By address, what stands against TLS with the host; nothing is claimed where nobody has looked."""
    state = net.state("smtp_tls", MailHost(host=host, port=PORT).key)
    if state is None:
        net.transcript.note(f"smtp_tls of {host}", ("it does not look there, so nothing is said of TLS",), "memory")
        return {}
    faults: dict[str, list[str]] = {}
    for finding in (active.finding for active in state.findings):
        if finding.id in UNPROVEN:
            faults.setdefault(dict(finding.evidence)["ip"], []).append(finding.id)
    return faults


async def _left(net: Net, listed: Iterable[str], unproven: dict[str, dict[str, list[str]]]) -> bool:
    """May there be a host that senders deliver to? One address that nothing stands against is enough."""
    for name in listed:
        host = await net.drive(look_up(name))
        against = unproven.get(name, {})
        if not host.state.broken and not (host.complete and all(str(ip) in against for ip in host.addresses)):
            return True
    return False
