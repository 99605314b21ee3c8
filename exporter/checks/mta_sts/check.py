"""MTA-STS of a domain (RFC 8461): do senders find the policy, and does the policy let mail through?

How bad a fault is depends on what senders do then:

- If senders cannot get the policy, they deliver without it. No mail is lost, but nothing protects it: a warning.
- If senders have a policy in mode `enforce` and no MX host satisfies it, they deliver nothing: critical.

We do not connect to mail hosts here. The results of `smtp_tls` say whether their certificates are good.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from exporter.check_state import RecordHistory
from exporter.checks.mta_sts.rules import (
    AT_APEX,
    CERTIFICATE,
    DANGLING_CNAME,
    ID_UNCHANGED,
    MULTIPLE_RECORDS,
    MX_NOT_LISTED,
    OF_FETCHES,
    OF_HOSTS,
    OF_POLICIES,
    PATTERN_UNUSED,
    POLICY_CERTIFICATE,
    POLICY_MISSING,
    POLICY_NONE,
    POLICY_REDIRECTED,
    POLICY_SYNTAX,
    POLICY_TESTING,
    POLICY_TOO_LARGE,
    POLICY_TYPE,
    POLICY_UNREACHABLE,
    SHORT_MAX_AGE,
    SYNTAX,
)
from exporter.facts import Doubt, Finding, Measured, Metric, Record, Rule, Severity
from exporter.mail import names
from exporter.mail.dns import doubts
from exporter.mail.mta_sts import RECORD, Mode, MtaStsPolicy, parse, policy_id, policy_url
from exporter.mail.mx import HostState, Route, look_up, route
from exporter.mail.policy_txt import PolicyTxt, find_policy_txt, tried
from exporter.model import Door, Fact, Facts, Light, check
from exporter.net import Net
from exporter.net.https import LARGEST, Failure, Fetched
from exporter.targets import Domain, MailHost
from exporter.text import day, minute


@check(
    over=Domain,
    light=Light.TLS,
    proves=False,
    interval=timedelta(hours=1),
    needs={Door.HTTPS},
    after={"smtp_tls"},
    questions=2,
)
async def mta_sts(target: Domain, net: Net) -> Facts:
    """Do senders find the domain's MTA-STS policy, if it has one, and does it allow mail delivery?"""
    if not target.receives_mail:
        return
    domain = target.name
    found = await net.drive(find_policy_txt(domain, RECORD))
    record = Record.of(f"{found.name} TXT", found.meant)
    if found.answered:
        yield record
    if found.chain:
        yield Record.of(f"{found.name} CNAME", (" -> ".join(found.chain),))
    yield _announcement(domain, found)
    yield (_unannounced(domain, found, doubt) for doubt in doubts(found.doubt))
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
        yield fetched.doubt.over(*_unfetched(fetched), *OF_POLICIES, *OF_HOSTS)
        return
    policy, error = tried(parse, fetched.body)
    if not policy:
        yield POLICY_SYNTAX(domain=domain, url=fetched.url, error=error)
        return
    text = Record.of(fetched.url, policy.lines)
    yield text
    yield (*_policy(domain, policy, fetched), *_kept(target, net, record, text))
    if policy.mode is Mode.TESTING:
        yield _testing(target, net, text)

    if policy.mode is not Mode.NONE:
        own = await net.drive(route(domain))
        yield await _hosts(domain, policy, fetched, own, net)
        yield (doubt.over(*OF_HOSTS) for doubt in doubts(own.doubt))


POLICY_INFO = Metric(
    "deliverability_mta_sts_policy_info",
    "Always 1: the mode of the domain's MTA-STS policy, which is enforce, testing or none.",
    ("mode",),
)
MAX_AGE = Metric("deliverability_mta_sts_max_age_seconds", "For how long senders may keep the domain's policy.")

SHORT = 86400  # seconds; a policy may be that old at most
LONG_TESTED = 90 * 86400.0  # seconds after which a test should have come to an end
ID_DELAY = 1800.0  # seconds that may pass from a new policy to its new id
MOST_HOSTS = 30
PORT = 25
_TESTING = re.compile(r"mode:[ \t]*testing")
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
        "smtp_tls.certificate-issuer-expired",
        "smtp_tls.certificate-issuer-weak",
        "smtp_tls.certificate-issuer-no-authority",
        "smtp_tls.certificate-issuer-constrained",
        "smtp_tls.certificate-purpose",
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


def _unannounced(domain: str, found: PolicyTxt, doubt: Doubt) -> Doubt:
    """What a missing answer leaves open: everything, if it is the record itself that is not known."""
    if not found.answered:
        return doubt
    asked_apex = found.doubt is not None and found.doubt.question.name == domain
    return doubt.over(AT_APEX) if asked_apex else doubt.over(AT_APEX, DANGLING_CNAME)


def _unfetched(fetched: Fetched) -> Iterator[Rule]:
    """What a failed fetch leaves open besides the policy itself."""
    yield from OF_FETCHES
    if (
        not fetched.status and fetched.failure is not Failure.MALFORMED
    ):  # an answer proves that the certificate was good
        yield POLICY_CERTIFICATE


def _unavailable(domain: str, fetched: Fetched) -> Finding | None:
    """What the web server has answered that proves that nobody gets a policy from it."""
    url, how = fetched.url, fetched.trouble.detail if fetched.trouble else ""
    if fetched.failure is Failure.CERTIFICATE:
        return POLICY_CERTIFICATE(domain=domain, how=how)
    if fetched.failure is Failure.TOO_LARGE:
        return POLICY_TOO_LARGE(url=url, limit=LARGEST)
    if fetched.failure in _NOBODY_THERE:
        return POLICY_UNREACHABLE(domain=domain, url=url, how=how)
    if fetched.doubt and fetched.silence:
        how = f"{fetched.doubt.detail}, in {fetched.silence.runs} runs since {minute(fetched.silence.since)}"
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
    yield from (Measured(POLICY_INFO), POLICY_INFO(1, mode=policy.mode))
    yield from (Measured(MAX_AGE), MAX_AGE(policy.max_age))
    if not _is_text(fetched):
        yield POLICY_TYPE(url=url, type=fetched.content_type)
    if policy.faults:
        yield POLICY_SYNTAX(domain=domain, url=url, error="; ".join(policy.faults))
    match policy.mode:
        case Mode.NONE:
            yield POLICY_NONE(domain=domain)
        case Mode.ENFORCE if policy.max_age <= SHORT:
            severity = Severity.INFO if policy.max_age == SHORT else Severity.WARNING
            yield SHORT_MAX_AGE(domain=domain, url=url, seconds=policy.max_age, severity=severity)


def _testing(target: Domain, net: Net, text: Record) -> Finding:
    """Since when the policy has been in mode testing, as far as this exporter has seen. A warning after LONG_TESTED."""
    now = net.clock.wall()
    history = _remembered(net, target, text, now)
    since = history.since
    for change in history.changes:  # the newest first
        since = change.at
        if not any(_TESTING.fullmatch(line) for line in change.before):
            break
    severity = Severity.WARNING if now - since >= LONG_TESTED else Severity.INFO
    return POLICY_TESTING(domain=target.name, url=policy_url(target.name), since=day(since), severity=severity)


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
    history = net.remembered(target, record.name)
    return history.now(record, now).confirmed(math.inf) if history else RecordHistory(record, now)


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
        if host not in listed and not await _gone(net, host)
    ]
    for host, faults in unproven.items():
        shown = ", ".join(f"{finding} at {ip}" for ip, ids in faults.items() for finding in ids)
        findings.append(CERTIFICATE(domain=domain, url=url, mode=mode, mail_host=host, faults=shown, severity=severity))
    used = {pattern for host in hosts for pattern in policy.matching(host)}
    unused = [pattern for pattern in policy.patterns if pattern not in used]
    if unused and hosts and all_seen:
        findings.append(PATTERN_UNUSED(domain=domain, url=url, patterns=", ".join(unused)))
    return findings


async def _gone(net: Net, name: str) -> bool:
    """Does it exist nowhere? No sender gets there with or without a policy, and `mx` tells of it."""
    host = await net.drive(look_up(name))
    return host.state is HostState.NO_SUCH_NAME


def _faults(net: Net, host: str) -> dict[str, list[str]]:
    """By address, what stands against TLS with the host; nothing is claimed where nobody has looked."""
    state = net.state("smtp_tls", MailHost(host=host, port=PORT).key)
    if state is None:
        net.transcript.note(f"smtp_tls of {host}", ("it does not check this port, so TLS is unknown",), "memory")
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
