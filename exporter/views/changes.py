"""The page `/changes`: what broke, what healed and which records changed, newest first, and how many of them today.

What happens to many targets within GROUP is one row, so that a fault of a fleet does not fill a hundred pages.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from exporter.check_state import CheckState, FindingPolicy
from exporter.clock import Clock
from exporter.engine.catalogue import Catalogue
from exporter.engine.events import Event, Kind
from exporter.engine.history import History
from exporter.engine.store import Store
from exporter.model import TargetId
from exporter.views.timeline import Timeline, timeline, title
from exporter.views.times import span

DAY = 86400.0
SPANS = {"24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY, "all": float("inf")}  # what the form offers
GROUP = 3600.0  # seconds in which the same on many targets is one row
ROWS = 40  # of one page
NAMED = 3  # targets of one row
TEXTS, TEXT, CONTEXT = 2, 140, 30  # of a record: texts, characters of each, and those before the difference
BREATH = 500  # events looked at before the loop may do other work
LONGEST = 100  # characters of one filter
_SPAN = re.compile(r"([0-9]{1,4})([hd])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The filters of the page. `since` is as it stands in the URL."""

    since: str = "24h"
    seconds: float = DAY
    kind: Kind | None = None
    check: str = ""
    finding: str = ""
    label: str = ""
    q: str = ""
    page: int = 1

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Wanted:
        """From the URL. Raise ValueError that says what is expected."""
        text = {name: query.get(name, "").strip()[:LONGEST] for name in ("check", "finding", "label", "q")}
        since, kind, page = query.get("since") or "24h", query.get("kind", ""), query.get("page") or "1"
        if since not in SPANS and not _SPAN.fullmatch(since):
            raise ValueError("since is a time such as 24h or 7d, or all")
        if kind not in ("", *Kind):
            raise ValueError(f"kind is one of {', '.join(Kind)}")
        if not (page.isascii() and page.isdecimal() and len(page) < 6 and int(page)):
            raise ValueError("page is a number from 1 on")
        if text["label"] and not all(text["label"].partition("=")):
            raise ValueError("label is written NAME=VALUE")
        return cls(since, _seconds(since), Kind(kind) if kind else None, page=int(page), **text)

    def url(self, **other: object) -> str:
        """The query of the same page with other filters."""
        fields: dict[str, object] = {
            "since": self.since,
            "kind": self.kind or "",
            "check": self.check,
            "finding": self.finding,
        }
        fields |= {"label": self.label, "q": self.q, "page": self.page if self.page > 1 else ""}
        return urlencode({name: value for name, value in (fields | other).items() if value})


@dataclass(frozen=True, slots=True)
class ChangedRow:
    """One row: an event, or many of one kind. `at` is when the latest was, `first` when the first was."""

    event: Event  # the latest
    title: str
    at: float
    first: float
    count: int
    targets: tuple[TargetId, ...]  # the first few
    lasted: str  # how long the latest stood; empty unless it has healed
    before: tuple[str, ...]
    after: tuple[str, ...]

    @property
    def more(self) -> int:
        return self.count - len(self.targets)


class HistoryPages:
    """Reads the history for people."""

    def __init__(
        self,
        history: History,
        store: Store,
        catalogue: Catalogue,
        clock: Clock,
        policy: Callable[[], FindingPolicy],
    ) -> None:
        self._history = history
        self._store = store
        self._catalogue = catalogue
        self._clock = clock
        self._policy = policy
        self._today: tuple[tuple[int, float], Counter[Kind]] | None = None

    def today(self) -> Counter[Kind]:
        """How many there were in the last 24 hours. What one change repairs counts once, and nothing accepted does."""
        now = self._clock.wall()
        asked = self._history.revision, now // 60
        if self._today is None or self._today[0] != asked:
            self._today = asked, counted(it for it in self._history if now - it.at <= DAY)
        return self._today[1]

    async def context(self, wanted: Wanted) -> dict[str, Any]:
        """What the template is given."""
        now = self._clock.wall()
        found: list[Event] = []
        for number, event in enumerate(self._history, 1):
            if now - event.at <= wanted.seconds and self._fits(event, wanted):
                found.append(event)
            if number % BREATH == 0:
                await asyncio.sleep(0)
        found.sort(key=lambda it: it.at, reverse=True)
        groups = await _grouped(found, apart=bool(wanted.finding))
        await asyncio.sleep(0)
        pages = max(1, -(-len(groups) // ROWS))
        page = min(wanted.page, pages)
        shown = groups[ROWS * (page - 1) : ROWS * page]
        return {
            "wanted": wanted,
            "spans": SPANS,
            "kinds": tuple(Kind),
            "checks": sorted(it for it, check in self._catalogue.checks.items() if not check.concludes),
            "totals": counted(found),
            "rows": [self._row(it, now) for it in shown],
            "page": page,
            "pages": pages,
            "query": "",
        }

    def timeline(self, states: Sequence[CheckState]) -> Timeline:
        """What happened to the targets of these states."""
        noted = self._history.of(state.key for state in states)
        return timeline(states, noted, self._catalogue, self._policy(), self._clock.wall())

    def _fits(self, event: Event, wanted: Wanted) -> bool:
        if wanted.kind and event.kind is not wanted.kind:
            return False
        if (wanted.check and event.check != wanted.check) or (wanted.finding and event.about != wanted.finding):
            return False
        if not wanted.label and not wanted.q:
            return True
        state = self._store.get(*event.key)
        labels = state.target.labels if state else ()
        if wanted.label and tuple(wanted.label.split("=", 1)) not in labels:
            return False
        said = (
            event.target,
            event.check,
            event.about,
            event.severity or "record",
            event.kind,
            title(self._catalogue, event.about),
        )
        text = " ".join((*said, *(f"{name}={value}" for name, value in labels))).lower()
        return all(word in text for word in wanted.q.lower().split())

    def _row(self, events: list[Event], now: float) -> ChangedRow:
        latest = events[0]
        names = list(dict.fromkeys(it.target for it in events))
        lasted = span(latest.at - latest.since) if latest.kind is Kind.HEALED else ""
        before, after = differing(latest.before, latest.after)
        return ChangedRow(
            latest, title(self._catalogue, latest.about), latest.when(now), events[-1].when(now), len(names),
            tuple(self._target(it) for it in events if it.target in names[:NAMED])[:NAMED], lasted, before, after,
        )  # fmt: skip

    def _target(self, event: Event) -> TargetId:
        state: CheckState | None = self._store.get(*event.key)
        return TargetId(state.target.identity if state else identity_of(event.target))


def counted(events: Iterable[Event]) -> Counter[Kind]:
    """How many of each kind; what has one cause counts once."""
    return Counter(kind for kind, *_ in {(it.kind, it.about, it.cause or it.at) for it in events if not it.accepted})


def identity_of(key: str) -> tuple[tuple[str, str], ...]:
    """The labels in the key of a target that is not there any more."""
    pairs = (part.partition("=") for part in key.split(","))
    return tuple((name, value) for name, _, value in pairs)


def differing(before: tuple[str, ...], after: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The texts that only one of them has, short, and from a little before the place where they differ."""
    old = tuple(it for it in before if it not in after)[:TEXTS]
    new = tuple(it for it in after if it not in before)[:TEXTS]
    same = 0
    if len(old) == len(new) == 1:
        pairs = zip(old[0], new[0], strict=False)
        same = next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(old[0]), len(new[0])))
    return tuple(_from(it, same - CONTEXT) for it in old), tuple(_from(it, same - CONTEXT) for it in new)


def _from(text: str, start: int) -> str:
    if len(text) <= TEXT or start <= CONTEXT:
        start = 0
    cut = text[start : start + TEXT]
    return f"{'…' if start else ''}{cut}{'…' if len(text) > start + TEXT else ''}"


async def _grouped(events: list[Event], *, apart: bool) -> list[list[Event]]:
    """The events of one row each, the latest first. `apart`: each is a row of its own."""
    groups: list[list[Event]] = []
    open_: dict[tuple[str, ...], list[Event]] = {}
    for number, event in enumerate(events, 1):
        key = event.kind, event.about, *(event.before if event.kind is Kind.CHANGED else ())
        group = open_.get(key)
        if apart or group is None or group[0].at - event.at > GROUP:
            open_[key] = group = []
            groups.append(group)
        group.append(event)
        if number % BREATH == 0:
            await asyncio.sleep(0)
    return groups


def _seconds(since: str) -> float:
    if since in SPANS:
        return SPANS[since]
    return int(since[:-1]) * (DAY if since.endswith("d") else 3600.0)
