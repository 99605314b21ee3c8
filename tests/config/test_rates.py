"""Rates that do not let the checks keep their intervals are told, with the number to set."""

from __future__ import annotations

import pytest

from exporter.config import Settings
from exporter.views.banners import banners
from tests.support.configuration import Read

OFF = ("blocklist_health", "smtp_tls", "dane", "ptr", "helo")
ADDRESSES = ", ".join(f"192.0.2.{n}" for n in range(1, 101))
SENDER = f"senders: [{{name: out, helo: mail.example.com, addresses: [{ADDRESSES}]}}]\n"
SIX = "".join(f"  - {{name: bl{n}, zone: bl{n}.example{{}}}}\n" for n in range(6))


def config(allowed: int, interval: str = "1m", of_lists: str = "", off: tuple[str, ...] = OFF) -> str:
    """100 addresses in six lists."""
    checks = ", ".join(f"{name}: {{enabled: false}}" for name in off)
    lists = SIX.replace("{}", of_lists and f", {of_lists}")
    return (
        f"resolver:\n  queries_per_second: {allowed}\nchecks: {{{checks}}}\nschedule: {{blocklist: {interval}}}\n"
        f"blocklists:\n{lists}{SENDER}"
    )


def told(settings: Settings) -> list[str]:
    assert set(settings.too_slow) <= set(settings.warnings), "a start, a reload and --config.check tell warnings"
    return list(map(str, settings.too_slow))


def test_who_has_room_is_told_nothing(read: Read) -> None:
    assert told(read(config(11))) == []


def test_too_few_questions_a_second_for_all(read: Read) -> None:
    """Ten of them for 100 addresses in six lists each minute, and the check of the resolver once in 15 minutes."""
    settings = read(config(4))
    assert told(settings) == [
        (
            "config.yaml:2 resolver.queries_per_second: "
            "the checks need 11 questions a second, 10 of them for blocklist, and the limit is 4: "
            "set it to 15, or schedule.blocklist to 3m"
        )
    ]
    assert str(settings.too_slow[0]) in banners([], [], [], None, "", settings)
    assert told(read(config(4, "3m"))) == []
    assert told(read(config(15))) == []


def test_too_few_questions_a_second_for_lists(read: Read) -> None:
    assert told(read(config(100, of_lists="queries_per_second: 1"))) == [
        (
            "config.yaml:5 blocklists: bl0 and 5 more need 2 questions a second each, and the limit is 1: "
            "set schedule.blocklist to 2m, or queries_per_second to 2 if they agree"
        )
    ]
    assert told(read(config(100, "2m", "queries_per_second: 1"))) == []


def test_too_few_questions_a_day_for_one_list(read: Read) -> None:
    text = config(100).replace("zone: bl3.example", "zone: bl3.example, queries_per_day: 100000")
    assert told(read(text)) == [
        (
            "config.yaml:5 blocklists: bl3 needs 144,000 questions a day, and the limit is 100,000: "
            "set schedule.blocklist to 2m, or queries_per_day to 150,000 if it agrees"
        )
    ]


def test_if_other_checks_alone_need_more_only_the_rate_helps(read: Read) -> None:
    """Each address has a PTR and a HELO name, with 2 and 5 questions in five seconds."""
    text = config(2, off=OFF[:3]).replace("schedule: {", "schedule: {ptr: 5s, helo: 5s, ")
    (said,) = told(read(text))
    assert said.endswith(
        "the checks need 151 questions a second, 100 of them for helo, and the limit is 2: set it to 200"
    )


def test_lists_are_asked_about_a_name_once_an_hour_however_many_say_it(read: Read) -> None:
    text = config(1000, of_lists="lists: domain, queries_per_day: 1000", off=OFF[:4])
    text = text.replace("{blocklist: 1m}", "{helo: 1s}")
    assert [it for it in told(read(text)) if "blocklists" in it] == []


@pytest.mark.parametrize("off", ["checks: {blocklist: {enabled: false}}, ", ""])
def test_what_is_off_needs_nothing(read: Read, off: str) -> None:
    text = config(4).replace("{name: out, ", f"{{name: out, {off}")
    assert bool(told(read(text))) is not bool(off)
