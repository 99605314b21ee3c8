"""A small fleet with every kind of verdict. Tests compare all views of it octet by octet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address

from exporter.check_state import FindingPolicy
from exporter.checks.helo import helo
from exporter.checks.ptr import MISSING, ptr
from exporter.checks.receiver import receiver
from exporter.checks.spf.check import spf
from exporter.engine.catalogue import Catalogue, CatalogueEntry
from exporter.engine.store import Store
from exporter.facts import Doubt, Finding, Metric, Reason, Record, Rule, Severity
from exporter.model import Acceptance, Check, Exchange, Outcome, Target, TargetId
from exporter.targets import Address, Authorisation, Delivery, Greeting, OwnResolver
from tests.support.checks import BROKEN, EXAMPLE, LISTED, NOTE, ODD, SAMPLE, SIZE, outcome, taken

NOW = 1_780_000_000.0
REFUSED = Rule(
    "sample.refused",
    Severity.WARNING,
    says="{what} is <refused>",
    why="Receivers close the connection.",
    fix="Rename {what}.",
    ref="RFC 5321 section 4.2",
    refusals=("Sample: 554 5.7.99 Sample host is not welcome", "Other: 554 5.7.99 Go away for ever"),
)
AGES = Metric("deliverability_sample_timestamp_seconds", "When it was made.", labels=("part",))
TAKES = Metric("deliverability_sample_duration_seconds", "How long it took.")
CATALOGUE = Catalogue((CatalogueEntry(SAMPLE, (BROKEN, ODD, NOTE, LISTED, REFUSED), (SIZE, AGES, TAKES)),))
POLICY = FindingPolicy({REFUSED.id: Severity.CRITICAL})

BAD = replace(EXAMPLE, name="bad.example", labels=(("team", "<crm>"),))
LATE = replace(EXAMPLE, name="late.example")
GOOD = replace(EXAMPLE, name="good.example")
NEW = replace(EXAMPLE, name="new.example")
ACCEPTED = replace(
    EXAMPLE,
    name="accepted.example",
    accept=(
        Acceptance(finding=ODD.id, until=None, reason="we know"),
        Acceptance(finding=BROKEN.id, until=NOW + 86_400 * 30, reason="for a month"),
    ),
)
SENDERS = tuple(Authorisation(domain=name, sender="out", mail_from=(name,)) for name in ("a.example", "b.example"))
FIRST = Address(ip=ip_address("192.0.2.1"), helo=("mail.example.com",))
SECOND = Address(ip=ip_address("2001:db8::1"), helo=("mail.example.com",))
HELLO = Greeting(sender="out", ip=SECOND.ip, helo="mail.example.com")
MAIL = Delivery(
    domain="example.com",
    receivers=("gmail", "microsoft"),
    rests_on=tuple(TargetId(it.identity) for it in (EXAMPLE, FIRST, HELLO, SECOND)),
    labels=(("team", "crm"),),
)
OTHER = Delivery(domain="other.example", receivers=("gmail",), rests_on=(TargetId(SECOND.identity),))

ASKED = (
    Exchange("bad.example TXT", ("one", "two", "three", "<four>"), "192.0.2.53:53 ", 0.00149996),
    Exchange("bad.example MX", (), "memory", 0.25),
)


def fill(store: Store) -> Store:
    """The same store, with all of it."""
    for it in _runs():
        store.hold(it.check, it.target)
        taken(store, it)
    store.hold(SAMPLE, NEW)
    store.hold(SAMPLE, OwnResolver())
    return store


def _runs() -> Iterator[Outcome]:
    spf_before = Record.of("bad.example TXT", ["v=spf1 -all", "<b>"])
    spf_after = Record.of("bad.example TXT", [])
    mx = Record.of("bad.example MX", ["10 mx.bad.example."])
    yield outcome(NOTE(what="this"), spf_before, mx, at=NOW - 90_000.4, target=BAD)
    measures = (SIZE(3), AGES(NOW - 5, part="a"), TAKES(0.0123), SIZE(2.34567))
    wrong = (NOTE(what="this"), ODD(what="that"), REFUSED(what="<it>"), LISTED(blocklist="a-list"))
    ran = outcome(*wrong, *measures, spf_after, mx, at=NOW - 7000.25, target=BAD)
    yield replace(ran, transcript=ASKED, duration=0.12345)
    yield replace(outcome(ODD(what="x"), at=NOW - 400, target=GOOD), transcript=ASKED[:1], duration=0.00005)
    yield replace(outcome(NOTE(what="x"), SIZE(1), at=NOW - 60.5, target=GOOD), transcript=ASKED)
    yield outcome(BROKEN(what="y"), ODD(what="x"), mx, at=NOW - 130, target=ACCEPTED)
    yield replace(outcome(at=NOW - 5000, target=LATE), duration=3.0)
    yield replace(outcome(doubt=Reason.DNS_TIMEOUT, at=NOW - 20, target=LATE), transcript=ASKED[1:], duration=20.0)
    yield outcome(BROKEN(what="<a>"), at=NOW - 3000, target=SENDERS[0])
    yield outcome(doubt=Reason.DNS_SERVFAIL, at=NOW - 100, target=SENDERS[0])
    yield outcome(ODD(what="b"), at=NOW - 0.5, target=SENDERS[1])
    yield _ended(ptr, FIRST, MISSING(ip=str(FIRST.ip), pointer="its name", helo="<mail>"))
    yield _ended(ptr, SECOND)
    yield _ended(helo, HELLO, doubt=Doubt(Reason.DNS_REFUSED, "REFUSED by <192.0.2.53>"))
    yield _ended(spf, replace(EXAMPLE, labels=(("team", "crm"),)))
    yield _ended(receiver, MAIL)
    yield _ended(receiver, OTHER)


def _ended(check: Check, target: Target, *findings: Finding, doubt: Doubt | None = None) -> Outcome:
    return Outcome(check, target, findings, (), (doubt,) if doubt else (), (), NOW - 600, 0.5)
