"""How long a silence lasts, whoever is silent."""

from __future__ import annotations

from exporter.net.silence import DAY, SILENT_RUNS, Silences
from tests.support.clock import FakeClock


def test_what_nobody_has_looked_at_for_a_day_begins_anew() -> None:
    """An outage of our own of five days is no silence of theirs, whoever is asked again first."""
    clock = FakeClock()
    known = Silences[str](clock)
    assert known.silent("it") is None
    clock.pass_(5 * DAY)
    for _ in range(SILENT_RUNS - 1):
        assert known.silent("it") is None
        clock.pass_(60)
    assert known.silent("it") is None, "four runs within minutes"
    clock.pass_(3600)
    silence = known.silent("it")
    assert silence
    assert (silence.runs, clock.wall() - silence.since) == (SILENT_RUNS + 1, 3600 + 60 * (SILENT_RUNS - 1))


def test_when_it_was_noticed_last_counts_for_a_day() -> None:
    clock = FakeClock()
    known = Silences[str](clock)
    assert known.seen("it") is None
    known.silent("it")
    assert known.seen("it") == clock.monotonic()
    clock.pass_(DAY + 1)
    assert known.seen("it") is None
