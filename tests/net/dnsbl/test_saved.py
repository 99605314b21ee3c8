"""What is saved of a list, key by key: another version of the exporter reads it, or wrote it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

import pytest

from exporter.facts import Doubt, Reason, Severity
from exporter.mail.dnsbl.blocklist import ListError, ListFault
from exporter.net.dnsbl import answers
from exporter.net.dnsbl.answers import NEVER, ListAnswer, Listing
from exporter.net.dnsbl.budget import QuestionBudget
from exporter.net.dnsbl.conduct import SUDDENLY, SUSPECT_FOR, SUSPECT_NETWORKS, SUSPECT_SUBJECTS, Conduct
from exporter.net.dnsbl.list_state import ListState

NOW = 1000.0
LISTING = Listing(("127.0.0.2",), "spam", Severity.WARNING, "ask", 1_780_000_000.0, "because")
PLAIN_LISTING = {
    "codes": ("127.0.0.2",),
    "meaning": "spam",
    "severity": Severity.WARNING,
    "remedy": "ask",
    "since": 1_780_000_000.0,
    "text": "because",
}

SETTLED = ListAnswer(4, 900.0, LISTING, LISTING)
WAITING = ListAnswer(5, 950.0, LISTING, None, again=1100.0, agreed=1)
AGREED = ListAnswer(5, 950.0, None, LISTING, again=990.0, agreed=2, second=6, second_at=970.0)
DISPUTED = ListAnswer(7, 990.0, disputed=True)
ANSWERS = {
    "settled": (SETTLED, {"generation": 4, "ago": 100.0, "said": PLAIN_LISTING, "listing": PLAIN_LISTING}),
    "waiting": (WAITING, {"generation": 5, "ago": 50.0, "said": PLAIN_LISTING, "again_ago": -100.0, "agreed": 1}),
    "agreed": (
        AGREED,
        {
            "generation": 5,
            "ago": 50.0,
            "listing": PLAIN_LISTING,
            "again_ago": 10.0,
            "agreed": 2,
            "second": 6,
            "second_ago": 30.0,
        },
    ),
    "disputed": (DISPUTED, {"generation": 7, "ago": 10.0, "disputed": True}),
    "plain no": (ListAnswer(1, 900.0), {"generation": 1, "ago": 100.0}),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_saved_and_read_again(name: str) -> None:
    answer, saved = ANSWERS[name]
    assert answers.plain(answer, NOW) == saved
    assert answers.read(saved, NOW) == answer


def test_there_may_be_no_answer() -> None:
    assert answers.plain(None, NOW) is None


def test_an_answer_of_an_older_version_is_read() -> None:
    """It knew neither second looks nor that looks can disagree."""
    assert answers.read({"generation": 4, "ago": 100}, NOW) == ListAnswer(4, 900.0)
    assert answers.read({"generation": 4, "ago": 100}, NOW).again == NEVER
    assert answers.read({"generation": 4, "ago": 100}, NOW).agreed == 0
    assert answers.read({"generation": 4, "ago": 100}, NOW).disputed is False


def test_looks_are_saved_and_read_again() -> None:
    looks = [(900.0, LISTING), (950.0, None)]
    saved = [[100.0, PLAIN_LISTING], [50.0, None]]
    assert answers.plain_looks(looks, NOW) == saved
    assert answers.read_looks(saved, NOW) == looks


def full() -> ListState:
    """Everything that can be known of a list."""
    conduct = Conduct(
        contradictions=[(400.0, "192.0.2.1"), (500.0, "192.0.2.2")],
        begins_nothing_until=1600.0,
        suspect_until=1700.0,
        suspects={"192.0.2.9", "192.0.2.8"},
    )
    budget = QuestionBudget(day=300.0, used=77)
    state = ListState(
        "digest",
        budget=budget,
        conduct=conduct,
        generation=9,
        good=8,
        good_at=700.0,
        fault=ListError(ListFault.DEAD, "it does not list its test point"),
        since=1_780_000_111.0,
        tested=800.0,
        doubt=Doubt(Reason.DNS_TIMEOUT, "no answer"),
        confirmations=deque([600.0, 650.0]),
        named={"192.0.2.1": (SETTLED, AGREED), "192.0.2.2": (WAITING, None)},
        looks={"192.0.2.2": [(950.0, LISTING)]},
    )
    state.ipv6 = ListState(
        "digest", budget=budget, conduct=conduct, generation=3, named={"2001:db8::1": (SETTLED, None)}
    )
    return state


SAVED = {
    "digest": "digest",
    "generation": 9,
    "good": 8,
    "good_ago": 300.0,
    "fault": ["dead", "it does not list its test point"],
    "since": 1_780_000_111.0,
    "tested_ago": 200.0,
    "doubt": ["dns_timeout", "no answer"],
    "confirmed_ago": [400.0, 350.0],
    "named": {
        "192.0.2.1": [ANSWERS["settled"][1], ANSWERS["agreed"][1]],
        "192.0.2.2": [ANSWERS["waiting"][1], None],
    },
    "looks": {"192.0.2.2": [[50.0, PLAIN_LISTING]]},
    "day_ago": 700.0,
    "used": 77,
    "conduct": {
        "contradictions": [[600.0, "192.0.2.1"], [500.0, "192.0.2.2"]],
        "begins_nothing_for": 600.0,
        "suspect_for": 700.0,
        "suspects": ["192.0.2.8", "192.0.2.9"],
    },
}
NEW = {
    "digest": "digest",
    "generation": 3,
    "good": 0,
    "good_ago": None,
    "fault": None,
    "since": None,
    "tested_ago": None,
    "doubt": None,
    "confirmed_ago": [],
    "named": {"2001:db8::1": [ANSWERS["settled"][1], None]},
    "looks": {},
    "day_ago": 700.0,
    "used": 77,
    "conduct": SAVED["conduct"],
    "ipv6": None,
}
PARTS = [
    "digest",
    "generation",
    "good",
    "good_at",
    "fault",
    "since",
    "tested",
    "doubt",
    "confirmations",
    "clean",
    "named",
    "looks",
]


def test_all_of_a_list_is_saved() -> None:
    assert full().plain(NOW) == SAVED | {"ipv6": NEW}


@pytest.mark.parametrize("elapsed", [0.0, 60.0])
def test_all_of_a_list_is_read_again_and_is_older_by_the_time_between(elapsed: float) -> None:
    """Times are monotonic, and those of the process that saved them are another's."""
    read = ListState.read(SAVED | {"ipv6": NEW}, NOW + elapsed + 5.0, elapsed)
    then, before = 5.0, full()
    for part in PARTS:
        if part not in ("good_at", "tested", "confirmations", "named", "looks"):
            assert getattr(read, part) == getattr(before, part), part
    assert (read.good_at, read.tested, [*read.confirmations]) == (700.0 + then, 800.0 + then, [605.0, 655.0])
    assert read.named["192.0.2.1"][0] == replace(SETTLED, at=905.0)
    assert read.named["192.0.2.1"][1] == replace(AGREED, at=955.0, again=995.0, second_at=975.0)
    assert read.named["192.0.2.2"] == (replace(WAITING, at=955.0, again=1105.0), None)
    assert read.looks == {"192.0.2.2": [(955.0, LISTING)]}
    assert (read.budget.day, read.budget.used) == (305.0, 77)
    assert read.conduct == Conduct(
        contradictions=[(405.0, "192.0.2.1"), (505.0, "192.0.2.2")],
        begins_nothing_until=1605.0,
        suspect_until=1705.0,
        suspects={"192.0.2.9", "192.0.2.8"},
    )
    assert read.ipv6 is not None
    assert read.ipv6.budget is read.budget
    assert read.ipv6.conduct is read.conduct
    assert read.ipv6.named == {"2001:db8::1": (replace(SETTLED, at=905.0), None)}
    assert (read.ipv6.good_at, read.ipv6.tested, read.ipv6.fault, read.ipv6.doubt) == (NEVER, NEVER, None, None)


def test_the_state_of_an_older_version_is_read() -> None:
    """It had no state for IPv6, no looks and nothing of conduct."""
    older = {key: value for key, value in NEW.items() if key not in ("looks", "conduct", "ipv6")} | {"day_ago": None}
    read = ListState.read(older, NOW, 0.0)
    assert read.ipv6 is None
    assert (read.looks, read.conduct, read.budget.day, read.since) == (
        {},
        Conduct(begins_nothing_until=NOW, suspect_until=NOW),
        NEVER,
        None,
    )
    assert read.plain(NOW)["day_ago"] is None


def test_what_is_over_is_saved_as_nothing() -> None:
    over = Conduct(begins_nothing_until=10.0, suspect_until=20.0, suspects={"192.0.2.9"})
    assert over.plain(NOW) == {"contradictions": [], "begins_nothing_for": 0.0, "suspect_for": 0.0, "suspects": []}


def test_whoever_leaves_is_forgotten_and_the_others_stay() -> None:
    state = full()
    assert state.ipv6 is not None
    state.clean["192.0.2.5"] = 100.0
    state.looks["192.0.2.6"] = [(950.0, LISTING)]
    state.conduct.named_anew = {"192.0.2.1": 900.0, "192.0.2.9": 900.0}
    assert state.known() == {"192.0.2.1", "192.0.2.2", "192.0.2.5", "192.0.2.6", "2001:db8::1"}
    for key in ("192.0.2.1", "192.0.2.9", "2001:db8::1", "192.0.2.5", "192.0.2.77"):
        state.forget(key)
    assert state.known() == {"192.0.2.2", "192.0.2.6"}
    assert state.conduct.contradictions == [(500.0, "192.0.2.2")]
    assert state.conduct.named_anew == {}
    assert state.conduct.suspects == {"192.0.2.8"}
    assert state.ipv6.known() == set()


def test_each_change_of_health_has_its_time_and_is_counted() -> None:
    """A run that asked before such a change must not keep its answer (`epoch`)."""
    state = ListState("digest")
    dead, world = ListError(ListFault.DEAD, "dead"), ListError(ListFault.WORLD, "world")
    seen = []
    story: list[tuple[float, Callable[[float], None]]] = [
        (1.0, lambda wall: state.mark_healthy(state.begin_test(wall), wall)),
        (2.0, lambda wall: state.mark_healthy(state.begin_test(wall), wall)),
        (3.0, lambda wall: state.mark_unhealthy(dead, wall)),
        (4.0, lambda wall: state.mark_unhealthy(replace(dead, detail="still"), wall)),
        (5.0, lambda wall: state.refused(world, 500.0, wall)),
        (6.0, lambda wall: state.mark_healthy(state.begin_test(wall), wall)),
    ]
    for wall, happens in story:
        happens(wall)
        seen.append((state.healthy, state.epoch, state.since, state.tested))
    assert seen == [
        (True, 1, 1.0, 1.0),
        (True, 1, 1.0, 2.0),
        (False, 2, 3.0, 2.0),
        (False, 2, 3.0, 2.0),
        (False, 3, 5.0, 500.0),
        (True, 4, 6.0, 6.0),
    ]
    assert state.good_at == 6.0


@pytest.mark.parametrize(
    ("address", "networks"),
    [
        ("192.0.{net}.{host}", True),  # a /24 each
        ("192.0.0.{n}", False),
        ("2001:db8:{net}::{host}", True),  # a /48 each
        ("2001:db8:0:{n}::1", False),
        ("d{n}.example", True),  # each domain is one
    ],
)
def test_a_list_is_suspect_only_if_those_that_it_names_at_once_are_in_several_networks(
    address: str, networks: bool
) -> None:
    conduct = Conduct()
    for n in range(SUSPECT_SUBJECTS):
        key = address.format(n=n + 1, net=n % SUSPECT_NETWORKS, host=n + 1)
        assert not conduct.suspect(NOW)
        conduct.name_anew(key, NOW, SUSPECT_SUBJECTS * 4 - 1)
    assert conduct.suspect(NOW) is networks
    if networks:
        assert len(conduct.suspects) == SUSPECT_SUBJECTS
        assert conduct.suspect(NOW + SUSPECT_FOR - 1)
        assert not conduct.suspect(NOW + SUSPECT_FOR)


def test_what_a_list_named_long_ago_does_not_make_it_suspect() -> None:
    """As many subjects, in as many networks, but never so many within SUDDENLY."""
    conduct = Conduct()
    for n in range(SUSPECT_SUBJECTS):
        at = NOW + n * SUDDENLY / (SUSPECT_SUBJECTS - 1)
        conduct.name_anew(f"198.51.{n % SUSPECT_NETWORKS}.{n + 1}", at, 0)
        assert not conduct.suspect(at)
    late = NOW + 10 * SUDDENLY
    for n in range(SUSPECT_SUBJECTS):
        conduct.name_anew(f"203.0.{n % SUSPECT_NETWORKS}.{n + 1}", late, 0)
    assert conduct.suspect(late)
    assert len(conduct.suspects) == SUSPECT_SUBJECTS


def test_two_halves_of_one_network_are_one_network() -> None:
    conduct = Conduct()
    for n in range(SUSPECT_SUBJECTS):
        conduct.name_anew(f"192.0.{n % (SUSPECT_NETWORKS - 1)}.{n * 12}", NOW, 0)
    assert not conduct.suspect(NOW)
    conduct = Conduct()
    for n in range(SUSPECT_SUBJECTS):
        conduct.name_anew(f"2001:db8:{n % (SUSPECT_NETWORKS - 1)}:{n * 2000:x}::1", NOW, 0)
    assert not conduct.suspect(NOW)
