"""What is unknown is told once for each cause, and each check is named."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

from exporter.check_state import CheckState, FindingPolicy
from exporter.engine.store import Store
from exporter.facts import Doubt, Reason
from exporter.model import Check
from exporter.targets import Domain
from exporter.views import terminal
from exporter.views.unknowns import FEW, Unknown, unknowns
from exporter.views.words import check_title
from tests.support.checks import SAMPLE

CHECKS = [replace(SAMPLE, id=it) for it in ("bimi", "dane", "dmarc", "mx", "spf")]


def state(check: Check, name: str, detail: str, reason: Reason = Reason.DNS_SERVFAIL) -> CheckState:
    return replace(CheckState(check, Domain(name=name, mail_from=(name,))), doubt=Doubt(reason, detail))


def dead(name: str) -> list[CheckState]:
    """All checks of a domain whose DNS fails. The questions differ."""
    asked = {"bimi": f"default._bimi.{name} TXT", "dmarc": f"_dmarc.{name} TXT", "spf": f"{name} TXT"}
    return [state(it, name, f"{asked.get(it.id, f'{name} MX')}: 192.0.2.53 answers SERVFAIL") for it in CHECKS]


def told(some: Sequence[Unknown]) -> list[str]:
    return [it.told(check_title) for it in some]


def test_a_domain_whose_dns_fails_is_one_row_that_names_each_check() -> None:
    (row,) = unknowns(dead("a.example"))
    assert row.told(check_title) == "DNS SERVFAIL for a.example: 5 checks (BIMI, DANE, DMARC, MX, SPF)"
    assert row.doubt.detail == "a.example MX: 192.0.2.53 answers SERVFAIL", "what most of them say"
    assert row.targets == ("a.example",)


def test_few_domains_that_fail_are_a_row_each_and_many_are_one() -> None:
    few = [it for number in range(FEW) for it in dead(f"d{number}.example")]
    assert told(unknowns(few)) == [
        f"DNS SERVFAIL for d{number}.example: 5 checks (BIMI, DANE, DMARC, MX, SPF)" for number in range(FEW)
    ]
    (row,) = unknowns([it for number in range(3000) for it in dead(f"d{number:04}.example")])
    assert row.told(check_title) == (
        "DNS SERVFAIL for d0000.example, d0001.example, d0002.example and 2997 more: "
        "15,000 checks (BIMI, DANE, DMARC, MX, SPF)"
    )
    assert len(row.states) == 15_000


def test_the_same_question_that_fails_for_two_domains_is_one_cause() -> None:
    shared = "policy.example TXT: 192.0.2.53 answers SERVFAIL"
    (row,) = unknowns([state(CHECKS[4], "a.example", shared), state(CHECKS[4], "b.example", shared)])
    assert row.told(check_title) == f"SPF: {shared}"
    assert row.targets == ("a.example", "b.example")


def test_two_reasons_of_one_domain_are_two_causes() -> None:
    rows = unknowns([*dead("a.example"), state(CHECKS[0], "a.example", "no end", Reason.DEADLINE)])
    assert told(rows) == ["DNS SERVFAIL for a.example: 5 checks (BIMI, DANE, DMARC, MX, SPF)", "BIMI: no end"]


def test_many_targets_that_fail_each_in_its_words_are_one_row_of_their_check() -> None:
    (row,) = unknowns([state(CHECKS[3], f"d{n}.example", f"says {n}", Reason.TEMPFAIL) for n in range(FEW + 1)])
    assert len(row.states) == FEW + 1
    (row,) = unknowns([state(CHECKS[3], f"d{n}.example", f"port {n}", Reason.EGRESS) for n in range(2)])
    assert len(row.states) == 2, "this machine is the cause"


def test_no_check_is_lost_and_none_is_told_twice() -> None:
    some = [it for number in range(7) for it in dead(f"d{number}.example")[: number % 5 + 1]]
    some += [state(CHECKS[1], f"e{n}.example", f"e{n}.example MX: 192.0.2.54 answers REFUSED") for n in range(2)]
    shown = [(it.check.id, it.target.key) for row in unknowns(some) for it in row.states]
    assert sorted(shown) == sorted((it.check.id, it.target.key) for it in some)


def test_what_is_known_is_no_row() -> None:
    assert unknowns([replace(state(CHECKS[0], "a.example", "x"), doubt=None)]) == []


def test_the_terminal_tells_it_in_one_line() -> None:
    store, stream = Store(), io.StringIO()
    for it in [*dead("a.example"), state(CHECKS[0], "b.example", "because")]:
        store.hold(it.check, it.target, lambda _, made=it: made)  # type: ignore[misc]  # a lambda
    terminal.as_text(store, FindingPolicy(), 0, terminal.Look("all", 1.0, "192.0.2.53"), stream)
    assert [it for it in stream.getvalue().splitlines() if it.startswith("UNKNOWN")] == [
        (
            "UNKNOWN   DNS SERVFAIL for a.example: 5 checks (bimi, dane, dmarc, mx, spf): "
            "a.example MX: 192.0.2.53 answers SERVFAIL  [dns_servfail]"
        ),
        "UNKNOWN   bimi: because (b.example)  [dns_servfail]",
    ]
