"""Silence of a zone becomes a fact only by runs in which others have shown that our way out works."""

from __future__ import annotations

from ipaddress import ip_address

from exporter.net.dns.silence import ZoneSilences
from exporter.net.silence import DAY, SILENT_RUNS
from tests.support.clock import FakeClock

OWN, OTHER = ip_address("192.0.2.53"), ip_address("198.51.100.53")
ZONE = "example.com"
START = 1_780_000_000.0


def test_four_runs_over_an_hour_make_it_a_fact_that_began_with_the_first() -> None:
    clock = FakeClock(START)
    silences = ZoneSilences(clock)
    for _ in range(SILENT_RUNS - 1):
        assert silences.silent(ZONE) is None
        clock.pass_(1200)
    assert silences.silent(ZONE) == START
    assert silences.silent("example.net") is None


def test_when_it_began_is_told_by_the_clock_as_it_is_now() -> None:
    clock = FakeClock(0.0)
    silences = ZoneSilences(clock)
    silences.silent(ZONE)
    clock.step_wall(START)
    for _ in range(SILENT_RUNS - 1):
        clock.pass_(1200)
        told = silences.silent(ZONE)
    assert told == START


def test_many_runs_within_an_hour_are_none() -> None:
    clock = FakeClock()
    silences = ZoneSilences(clock)
    for _ in range(10):
        assert silences.silent(ZONE) is None
        clock.pass_(300)


def test_an_answer_ends_it() -> None:
    clock = FakeClock()
    silences = ZoneSilences(clock)
    for _ in range(SILENT_RUNS):
        silences.silent(ZONE)
        clock.pass_(1200)
    silences.answered(ZONE)
    assert silences.silent(ZONE) is None


def test_after_a_day_without_a_run_that_counts_it_begins_anew() -> None:
    clock = FakeClock()
    silences = ZoneSilences(clock)
    for _ in range(SILENT_RUNS):
        silences.silent(ZONE)
        clock.pass_(1200)
    clock.pass_(DAY)
    assert silences.silent(ZONE) is None


def test_only_servers_of_others_prove_the_way_and_only_after_the_last_silent_run() -> None:
    clock = FakeClock()
    silences = ZoneSilences(clock)
    silences.witness(OWN, tcp=False)
    assert silences.proven(ZONE, {OWN}) == set()
    silences.witness(OTHER, tcp=False)
    assert silences.proven(ZONE, {OWN}) == {(4, False)}
    silences.silent(ZONE)
    assert silences.proven(ZONE, {OWN}) == set()
    clock.pass_(1200)
    silences.witness(OTHER, tcp=True)
    silences.witness(ip_address("2001:db8::53"), tcp=False)
    assert silences.proven(ZONE, {OWN}) == {(4, True), (6, False)}


def test_an_old_answer_proves_nothing() -> None:
    clock = FakeClock()
    silences = ZoneSilences(clock)
    silences.witness(OTHER, tcp=False)
    clock.pass_(3600)
    assert silences.proven(ZONE, set()) == set()
