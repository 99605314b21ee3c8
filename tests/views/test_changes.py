"""The page of what changed, the counts of today, and the small timeline of a target."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from exporter.engine.events import Event, Kind
from exporter.engine.history import MOST
from exporter.facts import Record
from exporter.views.changes import ROWS, Wanted, differing
from tests.support.checks import BROKEN, EXAMPLE, LISTED, ODD, SAMPLE, outcome
from tests.views.test_web import Site, served

HOUR, DAY = 3600.0, 86400.0
NOW = 1_780_000_000.0
PAGE = 150_000  # octets


class WithHistory(Site):
    def __init__(self) -> None:
        super().__init__()
        self.clock.step_wall(NOW - self.clock.wall())

    def note(self, kind: Kind, ago: float, name: str = "example.com", **other: object) -> None:
        event = Event(
            NOW - ago, kind, SAMPLE.id, f"domain={name}", BROKEN.id, (), (("domain", name),), BROKEN.severity,
            since=NOW - ago - HOUR,
        )  # fmt: skip
        self.history._add(replace(event, **other))  # type: ignore[arg-type]  # a test gives what the field wants

    def change(self, ago: float, before: tuple[str, ...], after: tuple[str, ...], name: str = "a TXT") -> None:
        self.note(Kind.CHANGED, ago, severity=None, about=name, before=before, after=after, since=0.0, cause=())

    async def rows(self, query: str = "") -> list[str]:
        """The text of each row of the page."""
        status, body, _ = await self.get(f"/changes{query}")
        assert status == 200
        _, _, table = body.partition("<tbody>")
        return [re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", row)).strip() for row in table.split("<tr")[1:]]


@pytest.fixture
async def site() -> AsyncIterator[WithHistory]:
    async for it in served(WithHistory()):
        assert isinstance(it, WithHistory)
        yield it


async def test_the_newest_comes_first_with_what_it_was(site: WithHistory) -> None:
    site.note(Kind.BROKE, 3 * HOUR)
    site.note(Kind.HEALED, HOUR)
    site.change(2 * HOUR, ("v=spf1 -all",), ("v=spf1 ~all",), "example.com TXT")
    healed, changed, broke = await site.rows()
    assert "healed" in healed
    assert "it was active for 60 min" in healed
    assert "record changed example.com TXT" in changed
    assert re.search(r"before v=spf1 -all .*after v=spf1 ~all", changed)
    assert "broke" in broke
    _, body, _ = await site.get("/changes")
    assert "1 broke, 1 healed, 1 record changed." in body


async def test_what_hits_many_targets_at_once_is_one_row(site: WithHistory) -> None:
    for number in range(50):
        site.note(Kind.BROKE, HOUR + number, f"n{number}.example", cause=(("name", "shared"),))
    site.note(Kind.BROKE, 9 * HOUR, "n0.example", cause=(("name", "shared"),))
    together, before = await site.rows()
    assert "n0.example , n1.example , n2.example and 47 more" in together
    assert "more" not in before
    _, body, _ = await site.get("/changes")
    assert "1 broke," in body, "one cause is one problem"
    assert len(await site.rows(f"?finding={BROKEN.id}&kind=broke")) == ROWS, "there each is a row"


async def test_filters_work_together_and_stay_in_the_links(site: WithHistory) -> None:
    crm = replace(EXAMPLE, name="crm.example", labels=(("team", "crm"),))
    site.store.hold(SAMPLE, crm)
    site.note(Kind.BROKE, HOUR, "crm.example")
    site.note(Kind.BROKE, 3 * HOUR, "other.example")
    site.note(Kind.BROKE, 3 * DAY, "old.example")
    for query, expected in {
        "": 2, "?since=7d": 3, "?since=all": 3, "?since=90h": 3, "?since=1h": 1, "?check=sample": 2, "?check=spf": 0,
        "?label=team=crm": 1, "?label=team=x": 0, "?q=CRM+team": 1, "?q=crm+other": 0, "?q=critical": 2,
        "?q=sample.broken": 2, "?kind=healed": 0, "?finding=sample.odd": 0, "?q=%22%3E%3Cb%3E": 0,
    }.items():  # fmt: skip
        assert len(await site.rows(query)) == expected, query
    wanted = Wanted.of({"since": "7d", "label": "team=crm", "q": "a b", "page": "2"})
    assert wanted.url(page=3) == "since=7d&label=team%3Dcrm&q=a+b&page=3"


@pytest.mark.parametrize(
    "query", ["since=x", "since=-1h", "since=1e9d", "since=nan", "kind=x", "page=0", "page=x", "page=999999", "label=x"]
)
async def test_a_filter_that_is_none_is_said(site: WithHistory, query: str) -> None:
    status, body, headers = await site.get(f"/changes?{query}")
    assert status == 400
    assert headers["Content-Type"].startswith("text/plain")
    assert query.partition("=")[0] in body


async def test_remote_text_is_escaped_and_short(site: WithHistory) -> None:
    site.change(HOUR, ('<script>"' * 40,), ("&" * 400, "x" * 400, "third", "fourth"), "<b>.example TXT")
    _, body, _ = await site.get("/changes")
    assert "<script" not in body
    assert "<b>.example" not in body
    assert "third" not in body


def test_of_a_long_record_the_place_is_shown_that_differs() -> None:
    before, after = differing(("k" * 300 + "OLD" + "e" * 300,), ("k" * 300 + "NEW" + "e" * 300,))
    assert "OLD" in before[0]
    assert "NEW" in after[0]
    assert len(before[0]) < 150
    assert differing(("a", "same"), ("same", "b")) == (("a",), ("b",))
    assert differing((), ("v=spf1 -all",)) == ((), ("v=spf1 -all",))


async def test_the_overview_tells_what_happened_today_without_what_is_accepted(site: WithHistory) -> None:
    site.note(Kind.BROKE, HOUR)
    site.note(Kind.BROKE, HOUR, "accepted.example", accepted=True)
    site.note(Kind.BROKE, 2 * DAY, "old.example")
    site.note(Kind.FLAPS, HOUR)
    site.change(HOUR, ("a",), ("b",))
    _, body, _ = await site.get("/")
    assert "</a>: 1 broke, 0 healed, 1 record changed, 1 flapping." in body
    site.note(Kind.HEALED, HOUR)
    _, body, _ = await site.get("/")
    assert "1 healed" in body


class _Shapes(HTMLParser):
    """The titles and bars of the pictures of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.titles: list[str] = []
        self.bars: list[list[tuple[int, int]]] = []
        self._in_title = self._in_svg = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag == "svg":
            assert said["aria-hidden"] == "true", "the words beside it say the same"
            self._in_svg = True
            self.bars.append([])
        self._in_title = tag == "title" and self._in_svg
        if said.get("class") == "bar":
            self.bars[-1].append((int(said["x"] or ""), int(said["width"] or "")))
        assert not {name for name, _ in attrs} & {"style", "onload", "onclick"}, "the policy of the page forbids it"

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.titles.append(data)
            self._in_title = False


async def drawn(site: WithHistory, path: str) -> _Shapes:
    status, body, _ = await site.get(path)
    assert status == 200
    shapes = _Shapes()
    shapes.feed(body)
    assert len(shapes.titles) == len(shapes.bars), "each picture says in words what it shows"
    assert all(x >= 0 and x + width <= 1000 for bars in shapes.bars for x, width in bars)
    return shapes


async def test_a_target_has_a_picture_of_what_happened_to_it(site: WithHistory) -> None:
    site.put("example.com")
    for at in range(3):
        site.store.record(outcome(ODD(what="it"), Record.of("a TXT", ["a"]), at=NOW - 15 * DAY + 300 * at))
    site.store.confirm((SAMPLE.id, EXAMPLE.key), float("inf"))
    site.store.record(outcome(ODD(what="it"), Record.of("a TXT", ["b"]), at=NOW - 3 * DAY))
    site.store.confirm((SAMPLE.id, EXAMPLE.key), float("inf"))
    site.note(Kind.BROKE, 10 * DAY)
    site.note(Kind.HEALED, 7 * DAY, since=NOW - 10 * DAY)
    site.note(Kind.HEALED, 20 * DAY, about="sample.listed", severity=LISTED.severity, since=NOW - 90 * DAY)
    shapes = await drawn(site, "/targets/domain=example.com")
    assert shapes.bars == [[(500, 500)], [(667, 100)], [(0, 333)], [(900, 6)]]
    stands, broke, listed, record = shapes.titles
    assert "active since 2026-05-13" in stands
    assert "from 2026-05-18 20:26 UTC to 2026-05-21 20:26 UTC (3 d)" in broke
    assert "(70 d)" in listed
    assert record.startswith("a TXT: changed 2026-05-25")


async def test_thousands_of_events_of_one_page_are_a_small_picture(site: WithHistory) -> None:
    targets = [replace(EXAMPLE, name=f"n{number}.example", labels=()) for number in range(50)]
    for number, target in enumerate(targets):
        site.store.hold(SAMPLE, target)
        for turn in range(20):
            ago = (number % 29 + 0.04 * turn) * DAY
            site.note(Kind.BROKE, ago, target.name)
            site.note(Kind.HEALED, ago - HOUR, target.name)
    shown = site.web._changes.timeline(list(site.store))
    assert len(shown.rows) == 1
    assert len(shown.rows[0].bars) < 80
    assert len(shown.rows[0].words) < 500


async def test_a_full_log_is_a_small_page_in_little_time(site: WithHistory) -> None:
    """10,000 domains, of which each has broken and healed."""
    long = tuple('"<&' * 130 for _ in range(4))
    for number in range(MOST):
        name = f"a-long-name-of-a-domain-{number // 2}.customers.example.com"
        if number % 4 == 3:
            site.change(number, long, ("'>" * 199,), f"{name} TXT")
        else:
            site.note((Kind.BROKE, Kind.HEALED)[number % 2], float(number), name)
    began = time.process_time()
    for query in (
        "",
        "?since=all&q=customers+example&page=90",
        "?since=all&kind=changed",
        f"?finding={BROKEN.id}&since=all",
    ):
        _, body, _ = await site.get(f"/changes{query}")
        assert len(body.encode()) < PAGE, query
    spent = (time.process_time() - began) / 4
    assert spent < 0.3, f"{spent:.3f} s of CPU for a page"
