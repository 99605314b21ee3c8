"""check_host says what an implementation by others says, in random worlds; where it does not, RFC 7208 tells why."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from ipaddress import ip_address

import pytest

from exporter.mail.dns import MX, TXT, Rdata, Status
from exporter.mail.spf.limits import MOST_QUESTIONS
from exporter.mail.spf.record import SpfResult
from tests.support.spf_corrections import CORRECTIONS
from tests.support.spf_oracle import evaluated, explain, ours, theirs
from tests.support.spf_world import Case, World, case

SEED = 7208 * 10**6
CASES = 3000


@pytest.mark.long
def test_every_difference_from_pyspf_is_of_a_known_class() -> None:
    """More, by hand: python -m bench.spf_differential"""
    words: Counter[str] = Counter()
    differing = 0
    for number in range(SEED, SEED + CASES):
        asked = case(number)
        result, questions = evaluated(asked)
        assert questions <= MOST_QUESTIONS, f"case({number})"
        words[result.word] += 1
        if theirs(asked) != result.word:
            differing += 1
            assert explain(asked, result.word), f"case({number}): {result}"
    assert words.keys() == set(SpfResult)
    assert min(words.values()) > CASES // 50, "each result is common enough to be tried"
    assert differing < CASES // 8, "agreement is the rule"


def made(
    zone: dict[tuple[str, str], object], sender: str = "user@example.com", aliases: dict[str, str] | None = None
) -> Case:
    """What is not in the zone does not exist."""
    world = World(seed=0, trouble=0, void=100, client=ip_address("192.0.2.1"), aliases=aliases or {})
    for key, value in zone.items():
        known = value if isinstance(value, Status | tuple) else (TXT((str(value).encode("latin-1"),)),)
        world.zone[key] = known
    return Case("192.0.2.1", sender, "mail.example.org", world)


HOST: tuple[Rdata, ...] = (ip_address("192.0.2.1"),)
OTHER: tuple[Rdata, ...] = (ip_address("203.0.113.1"),)
TOP = ("example.com", "TXT")
PTR = ("1.2.0.192.in-addr.arpa", "PTR")
LONG = "a-long-label." * 30

# For each class a world that shows it by itself: what is right there, and what pyspf says.
SHOWN: dict[str, tuple[Case, SpfResult, SpfResult]] = {
    "void-terms": (
        made({TOP: "v=spf1 mx ?all", ("example.com", "MX"): tuple(MX(n, f"m{n}.example.com") for n in range(3))}),
        SpfResult.NEUTRAL,
        SpfResult.PERMERROR,
    ),
    "when-reached": (
        made({TOP: "v=spf1" + " a:b.example.com" * 10 + " ?all redirect=c.example.com", ("b.example.com", "A"): OTHER}),
        SpfResult.NEUTRAL,
        SpfResult.PERMERROR,
    ),
    "names-in-any-case": (
        made({TOP: "v=spf1 Redirect=b.example.com", ("b.example.com", "TXT"): "v=spf1 -all"}),
        SpfResult.FAIL,
        SpfResult.NEUTRAL,
    ),
    "unknown-may-repeat": (made({TOP: "v=spf1 x=1 x=2 -all"}), SpfResult.FAIL, SpfResult.PERMERROR),
    "unknown-modifier-syntax": (made({TOP: "v=spf1 default=%x -all"}), SpfResult.PERMERROR, SpfResult.FAIL),
    "version-ends": (
        made({TOP: (TXT((b"v=spf1\n",)), TXT((b"v=spf1 -all",)))}),
        SpfResult.FAIL,
        SpfResult.PERMERROR,
    ),
    "visible-characters": (made({TOP: "v=spf1 -ip4:192.0.2.1/24\n -all"}), SpfResult.PERMERROR, SpfResult.FAIL),
    "macro-syntax": (made({TOP: "v=spf1 a:%{d!}.example.com -all"}), SpfResult.PERMERROR, SpfResult.FAIL),
    "reverse-in-any-case": (
        made({TOP: "v=spf1 exists:%{iR}.example.com -all", ("1.2.0.192.example.com", "A"): OTHER}),
        SpfResult.PASS,
        SpfResult.FAIL,
    ),
    "rejoined-with-dots": (
        made({TOP: "v=spf1 exists:%{v-}.example.net -all", ("in.addr.example.net", "A"): OTHER}),
        SpfResult.PASS,
        SpfResult.FAIL,
    ),
    "cut-to-253": (
        made({TOP: f"v=spf1 exists:{LONG}%{{d}} -all", (LONG[-13 * 18 :] + "example.com", "A"): OTHER}),
        SpfResult.PASS,
        SpfResult.FAIL,
    ),
    "implicit-domain": (
        made(
            {TOP: "v=spf1 include:%%%%.%%{d}.com -all", ("%%.%{d}.com", "TXT"): "v=spf1 a", ("%%.%{d}.com", "A"): HOST}
        ),
        SpfResult.PASS,
        SpfResult.FAIL,
    ),
    "empty-target": (replace(made({TOP: "v=spf1 a:%{h} -all"}), helo=""), SpfResult.FAIL, SpfResult.PERMERROR),
    "include-of-itself": (made({TOP: "v=spf1 ip4:192.0.2.1 include:example.com"}), SpfResult.PASS, SpfResult.PERMERROR),
    "multi-label-domain": (
        made({("localhost", "TXT"): "v=spf1 -all"}, sender="user@localhost"),
        SpfResult.NONE,
        SpfResult.FAIL,
    ),
    "root-dot": (made({TOP: "v=spf1 -all"}, sender="user@example.com."), SpfResult.FAIL, SpfResult.NONE),
    "postmaster": (
        made({TOP: "v=spf1 exists:%{s} -all", ("postmaster@example.com", "A"): OTHER}, sender="@example.com"),
        SpfResult.PASS,
        SpfResult.FAIL,
    ),
    "last-at-sign": (made({TOP: "v=spf1 -all"}, sender='"at@at"@example.com'), SpfResult.FAIL, SpfResult.NONE),
    "mx-in-order": (
        made(
            {
                TOP: "v=spf1 mx -all",
                ("example.com", "MX"): (MX(1, "a.example.com"), MX(2, "b.example.com")),
                ("a.example.com", "A"): HOST,
                ("b.example.com", "A"): Status.SERVFAIL,
            }
        ),
        SpfResult.PASS,
        SpfResult.TEMPERROR,
    ),
    "answers-once": (
        made(
            {TOP: "v=spf1 ?include:b.example.net ?include:c.example.net", ("b.example.net", "TXT"): "v=spf1 -all"},
            aliases={"c.example.net": "d.example.net", "d.example.net": "b.example.net"},
        ),
        SpfResult.NEUTRAL,
        SpfResult.PERMERROR,
    ),
    "ptr-errors": (made({TOP: "v=spf1 ptr -all", PTR: Status.TIMEOUT}), SpfResult.FAIL, SpfResult.TEMPERROR),
    "ptr-inside-only": (
        made({TOP: "v=spf1 ptr -all", PTR: tuple(f"h{n}.example.net" for n in range(3))}),
        SpfResult.FAIL,
        SpfResult.PERMERROR,
    ),
    "macro-p": (
        made(
            {
                TOP: "v=spf1 exists:%{p}.x.example include:b.example.net -all",
                PTR: ("h.example.com", "h.example.net"),
                ("h.example.com", "A"): HOST,
                ("h.example.net", "A"): HOST,
                ("b.example.net", "TXT"): "v=spf1 redirect=example.net",
                ("example.net", "TXT"): "v=spf1 exists:%{p}.y.example -all",
                ("h.example.net.y.example", "A"): OTHER,
            }
        ),
        SpfResult.PASS,
        SpfResult.FAIL,
    ),
}


@pytest.mark.parametrize("name", SHOWN)
def test_the_class_of_a_difference_is_told(name: str) -> None:
    shown, right, wrong = SHOWN[name]
    assert (ours(shown).word, theirs(shown)) == (right, wrong)
    assert explain(shown, right) == (name,)


def test_what_no_class_explains_is_not_explained() -> None:
    """Were ours wrong, no correction would make pyspf wrong in the same way."""
    for number in range(SEED, SEED + 100):
        asked = case(number)
        for word in set(SpfResult) - {SpfResult(ours(asked).word)}:
            assert not explain(asked, word), number


def test_the_classes_each_have_their_world() -> None:
    assert CORRECTIONS.keys() == SHOWN.keys()
