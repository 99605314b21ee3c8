"""A finding of `spf_sender` ends when its own question is answered, whatever else is in doubt; else it stays."""

from __future__ import annotations

from functools import partial
from ipaddress import ip_address

import pytest

from exporter.demo.nameserver import ZoneData
from exporter.engine import catalogue
from exporter.engine.evaluate import evaluate
from exporter.engine.store import Store
from exporter.net import Net
from exporter.targets import Authorisation, Egress
from tests.support.clock import FakeClock
from tests.support.memory import MemoryResolver

CHECK = catalogue.load().checks["spf_sender"]
OURS = Authorisation(
    domain="example.com",
    sender="out",
    mail_from=("a.example.com", "b.example.com"),
    egress=(Egress(ip_address("192.0.2.10"), "mail.example.com"), Egress(ip_address("192.0.2.11"), "mail.example.com")),
)
THEIRS = Authorisation(
    domain="example.com",
    sender="news",
    mail_from=("a.example.com", "b.example.com"),
    spf_include="_spf.provider.example",
)
BOTH = "ip4:192.0.2.10 ip4:192.0.2.11"
PROVIDER = '_spf.provider.example. TXT "v=spf1 ip4:198.51.100.0/25 ip4:203.0.113.0/24 ~all"\n'
SILENT = "; servfail: b.example.com TXT\n"


async def held(target: Authorisation, *zones: str) -> set[tuple[str, str]]:
    """The findings that stand after the last of these worlds, with the address or else the envelope domain."""
    store, clock = Store(), FakeClock()
    store.hold(CHECK, target)
    for zone in zones:
        net = partial(Net, MemoryResolver(ZoneData(zone)), clock, states=store)
        state = store.record(await evaluate(CHECK, target, net, clock))
        clock.pass_(900)
    assert state
    assert len(zones) == 1 or state.doubt, "the last world is meant to leave something in doubt"
    evidence = [(active.finding.id, dict(active.finding.evidence)) for active in state.findings]
    return {(rule.partition(".")[2], told.get("ip", told["name"])) for rule, told in evidence}


def policy(name: str, terms: str) -> str:
    return f'{name}.example.com. TXT "v=spf1 {terms}"\n'


ENDS = {"not-authorised": "-all", "softfail": "~all", "neutral": "?all"}


@pytest.mark.parametrize("rule", ENDS)
async def test_an_address_is_not_kept_for_what_is_in_doubt_of_another(rule: str) -> None:
    other = policy("b", f"{BOTH} -all")
    before = policy("a", f"ip4:192.0.2.11 {ENDS[rule]}") + other
    assert await held(OURS, before) == {(rule, "192.0.2.10")}
    # The machine .11 is in doubt now, .10 passes before the question that gets no answer.
    now = policy("a", f"ip4:192.0.2.10 include:silent.example.com {ENDS[rule]}") + other
    assert await held(OURS, before, now + "; servfail: silent.example.com TXT\n") == set()


@pytest.mark.parametrize("rule", ENDS)
async def test_an_address_in_doubt_itself_keeps_its_finding(rule: str) -> None:
    other = policy("b", f"{BOTH} -all")
    before = policy("a", f"ip4:192.0.2.11 {ENDS[rule]}") + other
    now = policy("a", f"include:silent.example.com {BOTH} {ENDS[rule]}") + other
    assert await held(OURS, before, now + "; servfail: silent.example.com TXT\n") == {(rule, "192.0.2.10")}


@pytest.mark.parametrize("rule", ENDS)
async def test_an_envelope_domain_that_is_repaired_ends_while_another_gives_no_answer(rule: str) -> None:
    good = policy("a", f"{BOTH} -all")
    bad = policy("a", f"ip4:192.0.2.11 {ENDS[rule]}")
    assert await held(OURS, bad + policy("b", f"{BOTH} -all"), good + SILENT) == set()
    assert await held(OURS, good + policy("b", f"ip4:192.0.2.11 {ENDS[rule]}"), good + SILENT) == {(rule, "192.0.2.10")}


async def test_what_hangs_on_the_mailbox_ends_and_stays_likewise() -> None:
    asks = "exists:%{l}.example.com " + BOTH + " -all"
    good, other = policy("a", f"{BOTH} -all"), policy("b", f"{BOTH} -all")
    both = {("depends-on-mailbox", "192.0.2.10"), ("depends-on-mailbox", "192.0.2.11")}
    assert await held(OURS, policy("a", asks) + other) == both
    assert await held(OURS, policy("a", asks) + other, good + SILENT) == set()
    assert await held(OURS, good + policy("b", asks), good + SILENT) == both


# What is found of a provider at one envelope domain, and what is published there.
INCLUDE = {
    "include-missing": policy("a", "ip4:192.0.2.10 -all"),
    "include-partial": policy("a", "ip4:198.51.100.0/25 -all"),
    "include-hidden": policy("a", "include:%{h}.example.com -all"),
    "include-too-late": policy("a", " ".join(["a:h.example.com"] * 10) + " include:_spf.provider.example -all")
    + "h.example.com. A 192.0.2.1\n",
}
GOOD = "include:_spf.provider.example -all"


@pytest.mark.parametrize("rule", INCLUDE)
async def test_a_provider_that_is_let_in_ends_while_another_envelope_domain_gives_no_answer(rule: str) -> None:
    assert await held(THEIRS, INCLUDE[rule] + policy("b", GOOD) + PROVIDER) == {(rule, "a.example.com")}
    now = policy("a", GOOD) + PROVIDER
    assert await held(THEIRS, INCLUDE[rule] + policy("b", GOOD) + PROVIDER, now + SILENT) == set()


@pytest.mark.parametrize("rule", INCLUDE)
async def test_a_provider_stays_shut_out_while_that_envelope_domain_gives_no_answer(rule: str) -> None:
    before = INCLUDE[rule] + policy("b", GOOD) + PROVIDER
    now = policy("b", GOOD) + PROVIDER + "; servfail: a.example.com TXT\n"
    assert await held(THEIRS, before, now) == {(rule, "a.example.com")}


async def test_a_provider_whose_own_policy_gives_no_answer_changes_nothing() -> None:
    before = INCLUDE["include-missing"] + policy("b", GOOD) + PROVIDER
    now = policy("a", GOOD) + policy("b", GOOD) + "; servfail: _spf.provider.example TXT\n"
    assert await held(THEIRS, before, now) == {("include-missing", "a.example.com")}
