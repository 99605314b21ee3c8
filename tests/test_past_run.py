"""What is packed of a run comes out as it went in, whatever remote text was in it."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from exporter.facts import Reason, Verdict
from exporter.model import Exchange
from exporter.past_run import COMPACT_LINES, PastRun, RunEvidence
from tests.support.checks import BROKEN, outcome

TEXTS = ["", "d1.example MX", 'TXT "v=spf1 -all"', "\\", '"],["', "é ü 漢 🙈", "\ud800", "\x00\n\x1f", "x" * 65_536]
HOSTILE = tuple(
    Exchange(asked, (got, "second line"), via, 0.12) for asked in TEXTS for got in TEXTS for via in ("", "a")
)


@pytest.mark.parametrize("verdict", Verdict)
def test_all_comes_out_as_it_went_in(verdict: Verdict) -> None:
    facts = {Verdict.FAIL: [BROKEN(what="x")]}.get(verdict, [])
    ran = replace(outcome(*facts, at=1000, doubt=Reason.NETWORK if verdict is Verdict.UNKNOWN else None), duration=2.5)
    ran = replace(ran, transcript=HOSTILE)
    packed = PastRun.of(ran)
    assert packed.opened() == RunEvidence(ran.started, 2.5, verdict, HOSTILE)
    assert packed.doubts == ran.doubts


def test_a_run_that_passed_keeps_the_first_lines_of_each_answer() -> None:
    lines = tuple(map(str, range(100)))
    long = Exchange("q", lines, "", 0.0)
    (kept,) = PastRun.of(replace(outcome(at=1000), transcript=(long,))).opened().exchanges
    assert kept.got == (*lines[:COMPACT_LINES], "…")
    failed = replace(outcome(BROKEN(what="x"), at=1000), transcript=(long,))
    assert PastRun.of(failed).opened().exchanges == (long,)


def test_an_ordinary_run_is_small() -> None:
    """Ten questions are two thousand octets as objects."""
    asked = tuple(
        Exchange(f"d{it}.example.com TXT", ("ANSWER ttl=300", 'TXT "v=spf1 mx -all"'), "192.0.2.53:53 udp", 0.0123)
        for it in range(10)
    )
    packed = PastRun.of(replace(outcome(at=1000), transcript=asked))
    assert sys.getsizeof(packed) + sys.getsizeof(packed.packed) < 300
