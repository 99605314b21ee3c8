"""What happened to a target in the last DAYS days, as rows of bars for a small picture, and as text.

A row is one finding, whatever the number of targets on the page that have it, or one record. Positions are parts of
WIDTH, from the oldest day to now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from exporter.check_state import CheckState, FindingPolicy, Key
from exporter.engine.catalogue import Catalogue
from exporter.engine.events import Event, Kind
from exporter.explain.notices import notice
from exporter.facts import Severity
from exporter.text import minute
from exporter.views.times import span

DAY = 86400.0
DAYS = 30
WIDTH = 1000
NARROWEST, APART = 6, 8  # of a bar, and between two that are drawn as two
MOST_ROWS = 12
MOST_TOLD = 30  # events in words
MOST_OF_ROW = 6  # times in the words of one row

_Span: TypeAlias = tuple[float, float | None]  # unix seconds; None: it stands now


@dataclass(frozen=True, slots=True)
class Bar:
    x: int
    width: int


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """`look` is its class in the style sheet. `words` says the same as the bars."""

    title: str
    about: str
    look: str
    bars: tuple[Bar, ...]
    words: str
    finding: bool


@dataclass(frozen=True, slots=True)
class Timeline:
    rows: tuple[TimelineRow, ...]
    told: tuple[tuple[Event, str], ...]  # the latest events with their titles, the latest first
    left_out: int  # rows
    days: int = DAYS
    width: int = WIDTH


@dataclass(slots=True)
class _Story:
    """What is known of one finding on the targets of a page."""

    spans: list[_Span]
    severity: Severity
    marks: list[float]

    @property
    def latest(self) -> float:
        return max((*self.marks, *(begin if end is None else end for begin, end in self.spans)), default=0.0)


def timeline(
    states: Iterable[CheckState],
    noted: Iterable[Event],
    catalogue: Catalogue,
    policy: FindingPolicy,
    now: float,
) -> Timeline:
    """Of these states and what was noted of them, in its order."""
    oldest = now - DAYS * DAY
    events = list(noted)
    stories: dict[str, _Story] = {}
    _tell(stories, events, oldest)
    records: dict[str, list[float]] = defaultdict(list)
    for state in states:
        if state.check.concludes:
            continue
        for it in state.effective(policy, now):
            if it.active.confirmed and it.severity.fails:
                story = stories.setdefault(it.finding.id, _Story([], it.severity, []))
                story.spans.append((it.active.since, None))
        for record in state.records:
            records[record.record.name] += [min(it.at, now) for it in record.changes if it.at >= oldest]
    ordered = sorted(stories.items(), key=lambda it: (all(e is not None for _, e in it[1].spans), -it[1].latest))
    rows = [_row(catalogue, about, story, oldest, now) for about, story in ordered]
    rows += [_of_record(name, sorted(set(at)), oldest, now) for name, at in sorted(records.items()) if at]
    rows = [row for row in rows if row.bars]
    told = sorted((it for it in events if it.at >= oldest), key=lambda it: it.at, reverse=True)[:MOST_TOLD]
    return Timeline(
        tuple(rows[:MOST_ROWS]), tuple((it, title(catalogue, it.about)) for it in told), len(rows[MOST_ROWS:])
    )


def _tell(stories: dict[str, _Story], events: Sequence[Event], oldest: float) -> None:
    """From a beginning to its end. What has an end alone began at its `since`; what has none is the states' to tell."""
    begun: dict[tuple[Key, object], float] = {}
    for it in events:
        if it.severity is None:
            continue
        story = stories.setdefault(it.about, _Story([], it.severity, []))
        place = it.key, it.finding
        if it.kind is Kind.BROKE:
            begun[place] = it.at
        elif it.kind is Kind.HEALED:
            began = begun.pop(place, it.since)
            if it.at >= oldest:
                story.spans.append((began, it.at))
        else:
            story.marks.append(it.at)
    for (_, finding), began in begun.items():  # it may have left with its target: it is a mark, unless it stands
        stories[finding[0]].marks.append(began)  # type: ignore[index]  # a finding is its id and its subject


def _row(catalogue: Catalogue, about: str, story: _Story, oldest: float, now: float) -> TimelineRow:
    spans = sorted((begin, now if end is None else end) for begin, end in story.spans)
    bars = _bars([*spans, *((at, at) for at in story.marks)], oldest, now)
    stands = [begin for begin, end in story.spans if end is None]
    said = [f"active since {minute(min(*stands, now))}"] if stands else []
    ended = sorted(((b, e) for b, e in story.spans if e is not None), key=lambda it: it[1], reverse=True)
    said += [
        f"from {minute(min(b, now))} to {minute(min(e, now))} ({span(max(e - b, 0))})" for b, e in ended[:MOST_OF_ROW]
    ]
    if len(ended) > MOST_OF_ROW:
        said.append(f"and {len(ended) - MOST_OF_ROW} times before")
    words = "; ".join(said) or "; ".join(f"at {minute(min(at, now))}" for at in story.marks[-MOST_OF_ROW:])
    return TimelineRow(title(catalogue, about), about, str(story.severity), bars, words, finding=True)


def _of_record(name: str, changes: Sequence[float], oldest: float, now: float) -> TimelineRow:
    words = "changed " + "; ".join(minute(at) for at in changes[::-1][:MOST_OF_ROW])
    return TimelineRow(name, name, "info", _bars([(at, at) for at in changes], oldest, now), words, finding=False)


def _bars(spans: Iterable[tuple[float, float]], oldest: float, now: float) -> tuple[Bar, ...]:
    """Those that touch are one, so a row has a bounded number."""
    made: list[list[int]] = []
    for begin, end in sorted(spans):
        if end < oldest:
            continue
        left = _x(begin, oldest, now)
        right = max(_x(end, oldest, now), left + NARROWEST)
        if made and left - made[-1][1] < APART:
            made[-1][1] = max(made[-1][1], right)
        else:
            made.append([left, right])
    return tuple(Bar(min(left, WIDTH - NARROWEST), max(min(right, WIDTH) - left, NARROWEST)) for left, right in made)


def _x(at: float, oldest: float, now: float) -> int:
    return round((min(max(at, oldest), now) - oldest) / (now - oldest) * WIDTH)


def title(catalogue: Catalogue, about: str) -> str:
    """What an event is about, in a few words."""
    rule = catalogue.rules.get(about)
    return notice(rule).title if rule else about
