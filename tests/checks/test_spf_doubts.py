"""A finding of `spf` ends when its own question is answered, whatever else is in doubt, and stays while it is not."""

from __future__ import annotations

from functools import partial

import pytest

from exporter.check_state import CheckState
from exporter.demo.nameserver import ZoneData
from exporter.engine import catalogue
from exporter.engine.evaluate import evaluate
from exporter.engine.store import Store
from exporter.net import Net
from exporter.targets import Domain
from tests.support.clock import FakeClock
from tests.support.memory import MemoryResolver

CHECK = catalogue.load().checks["spf"]
PROVIDER = '_spf.provider.example. TXT "v=spf1 ip4:198.51.100.0/24 ~all"\n'
PROVIDER_FAILS = "; servfail: _spf.provider.example TXT\n"


async def held(*zones: str, mail_from: str = "example.com", sends_mail: bool = True) -> set[str]:
    """The findings that stand after the last of these worlds."""
    target = Domain(name="example.com", mail_from=tuple(mail_from.split(",")), sends_mail=sends_mail)
    store, clock = Store(), FakeClock()
    store.hold(CHECK, target)
    state: CheckState | None = None
    for zone in zones:
        net = partial(Net, MemoryResolver(ZoneData(zone)), clock, states=store)
        state = store.record(await evaluate(CHECK, target, net, clock))
        clock.pass_(900)
    assert state
    assert len(zones) == 1 or state.doubt, "the last world is meant to leave something in doubt"
    return {active.finding.id for active in state.findings}


def record(text: str) -> str:
    strings = " ".join(f'"{term} "' for term in ("v=spf1", *text.split(" ")))  # the last space ends no term
    return f"example.com. TXT {strings}\n"


GOOD = record("ip4:192.0.2.10 include:_spf.provider.example -all")
# What stands before, and is repaired while the policy of the provider cannot be read.
REPAIRED = {
    "spf.missing": "example.com. A 192.0.2.10\n",
    "spf.lookalike": 'example.com. TXT " v=spf1 -all"\n',
    "spf.multiple-records": GOOD + record("-all"),
    "spf.syntax-error": record("ip4:192.0.2.300 include:_spf.provider.example -all"),
    "spf.ptr": record("ptr include:_spf.provider.example -all"),
    "spf.terms-after-all": record("include:_spf.provider.example -all ip4:192.0.2.10"),
    "spf.redirect-ignored": record("include:_spf.provider.example -all redirect=_spf.provider.example"),
    "spf.mistaken-modifier": record("ip4=192.0.2.10 include:_spf.provider.example -all"),
    "spf.unknown-modifier": record("foo=bar include:_spf.provider.example -all"),
    "spf.sender-id": GOOD + 'example.com. TXT "spf2.0/pra -all"\n',
    "spf.too-long": record("include:_spf.provider.example " + "ip4:192.0.2.10 " * 33 + "-all"),
    "spf.answer-too-long": GOOD + f'example.com. TXT "{"a" * 250}"\nexample.com. TXT "{"b" * 250}"\n',
    "spf.obsolete-type": GOOD + 'example.com. SPF "v=spf1 -all"\n',
    "spf.open-ended": record("include:_spf.provider.example"),
    # Of a term that is gone, or whose own answer is there now.
    "spf.include-without-record": record("include:gone.example.com include:_spf.provider.example -all"),
    "spf.include-broken": record("include:bad.example.com include:_spf.provider.example -all")
    + 'bad.example.com. TXT "v=spf1 nonsense"\n',
    "spf.loop": record("include:example.com include:_spf.provider.example -all"),
    "spf.impossible-name": record("include:a..example.com include:_spf.provider.example -all"),
    "spf.too-many-mx": record("mx include:_spf.provider.example -all")
    + "".join(f"example.com. MX 10 mx{number}.example.com.\n" for number in range(11)),
    "spf.explanation-missing": record("include:_spf.provider.example exp=gone.example.com -all"),
}


@pytest.mark.parametrize("rule", REPAIRED)
async def test_what_is_repaired_ends_while_an_include_gives_no_answer(rule: str) -> None:
    assert rule in await held(REPAIRED[rule] + PROVIDER)
    assert rule not in await held(REPAIRED[rule] + PROVIDER, GOOD + PROVIDER_FAILS)


@pytest.mark.parametrize("rule", sorted(REPAIRED.keys() - {"spf.obsolete-type"}))
async def test_what_is_not_answered_itself_stays(rule: str) -> None:
    """Even if the record itself is the one that cannot be read now."""
    assert rule in await held(REPAIRED[rule] + PROVIDER, "; servfail: example.com TXT\n" + PROVIDER)


DEAD = " ".join(f"a:gone{number}.example.com" for number in range(3))
LONG = " ".join(f"a:h{number}.example.com" for number in range(9))
HOSTS = "".join(f"h{number}.example.com. A 192.0.2.{number}\n" for number in range(11))
# What only the whole policy can tell: left open by the record that cannot be read.
WHOLE = {
    "spf.too-many-lookups": record(f"{LONG} a:h9.example.com include:_spf.provider.example -all") + HOSTS,
    "spf.near-lookup-limit": record(f"{LONG} include:_spf.provider.example -all") + HOSTS,
    "spf.too-many-void-lookups": record(f"{DEAD} include:_spf.provider.example -all"),
    "spf.void-lookups": record("a:gone.example.com include:_spf.provider.example -all"),
    "spf.allows-everyone": record("include:_spf.provider.example +all"),
    "spf.uncountable": record("exists:%{i}.example.com include:_spf.provider.example -all"),
}


@pytest.mark.parametrize("rule", WHOLE)
async def test_counts_stay_while_an_include_gives_no_answer(rule: str) -> None:
    assert rule in await held(WHOLE[rule] + PROVIDER, GOOD + PROVIDER_FAILS)


LEAF_FAILS = "; servfail: mail.example.com A\n"


@pytest.mark.parametrize("rule", sorted(WHOLE.keys() - {"spf.too-many-void-lookups", "spf.void-lookups"}))
async def test_an_address_without_answer_leaves_only_the_void_lookups_open(rule: str) -> None:
    now = record("a:mail.example.com include:_spf.provider.example -all") + PROVIDER + LEAF_FAILS
    assert rule not in await held(WHOLE[rule] + PROVIDER, now)
    assert "spf.void-lookups" in await held(WHOLE["spf.void-lookups"] + PROVIDER, now)


async def test_what_stands_in_a_record_that_is_not_read_now_stays() -> None:
    below = '_spf.provider.example. TXT "v=spf1 include:gone.provider.example ~all"\n'
    assert "spf.include-without-record" in await held(GOOD + below, GOOD + PROVIDER_FAILS)


async def test_a_term_whose_name_gives_no_answer_now_stays_broken() -> None:
    broken = record("include:gone.example.com include:_spf.provider.example -all") + PROVIDER
    again = broken + "; servfail: gone.example.com TXT\n"
    assert "spf.include-without-record" in await held(broken, again)


async def test_another_envelope_domain_in_doubt_leaves_the_repaired_one_alone() -> None:
    bad, other = record("nonsense"), 'b.example.com. TXT "v=spf1 -all"\n'
    silent = "; servfail: b.example.com TXT\n"
    assert "spf.syntax-error" not in await held(
        bad + other, GOOD + PROVIDER + silent, mail_from="example.com,b.example.com"
    )
    assert "spf.syntax-error" in await held(
        GOOD + PROVIDER + 'b.example.com. TXT "v=spf1 nonsense"\n',
        GOOD + PROVIDER + silent,
        mail_from="example.com,b.example.com",
    )


@pytest.mark.parametrize(
    ("rule", "before"),
    [
        ("spf.parked-without-record", "example.com. A 192.0.2.10\n"),
        ("spf.parked-not-closed", record("ip4:192.0.2.10 -all")),
    ],
)
async def test_of_a_parked_domain_what_is_repaired_ends_where_the_redirect_is_known(rule: str, before: str) -> None:
    closed = record("redirect=_spf.example.net")
    silent = "; servfail: _spf.example.net TXT\n"
    stays = rule == "spf.parked-not-closed"  # where the redirect ends is what it asks
    assert (rule in await held(before, closed + silent, sends_mail=False)) is stays


async def test_where_a_redirect_ends_stays_open_while_it_gives_no_answer() -> None:
    silent = "; servfail: _spf.example.net TXT\n"
    led = record("ip4:192.0.2.10 redirect=_spf.example.net")
    assert "spf.open-ended" in await held(led + '_spf.example.net. TXT "v=spf1 ?all"\n', led + silent)
