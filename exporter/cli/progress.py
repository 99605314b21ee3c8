"""Says on standard error how far a long look is, and what is critical as soon as it is found.

On a terminal: a bar, with the target that was looked at last, and lines above it. Elsewhere: a line every ten seconds.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

from exporter.check_state import CheckState, FindingPolicy
from exporter.clock import Clock
from exporter.engine.problems import ProblemKey, failing
from exporter.facts import Severity
from exporter.late import Late
from exporter.net import Net

if TYPE_CHECKING:
    from rich import console, markup, progress
else:
    console = Late("rich.console")
    markup = Late("rich.markup")
    progress = Late("rich.progress")

SOONEST = 5.0  # seconds: what is found before is told at the end, which is near
MOST_OF_A_RULE = 3  # findings that are told at once
MOST = 20
LONGEST_TITLE = 40
_DRAW_ANYWHERE = ("FORCE_COLOR", "TTY_COMPATIBLE")  # variables by which people make rich take anything for a terminal


class ProgressLines:
    """A Watcher of a look (once.py). `tell` gets each result as it comes."""

    def __init__(
        self,
        stream: TextIO,
        clock: Clock,
        policy: FindingPolicy,
        tell: Callable[[CheckState], None] = lambda _: None,
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._policy = policy
        self._tell = tell
        self._began = clock.monotonic()
        self._critical: set[ProblemKey] = set()
        self._told: Counter[str] = Counter()
        self._what = "checking"
        self._bar = _Bar.on(stream, self._what)
        self.done = 0
        self.total = 0

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.progress.stop()

    def begin(self, what: str) -> None:
        """Another look begins, at another world."""
        self._what = what
        self._critical.clear()
        self._told.clear()
        if self._bar:
            self._bar.update(what=what)

    def show(self, done: int, total: int) -> None:
        self.done, self.total = done, total
        if self._bar:
            self._bar.update(completed=done, total=total)

    def ended(self, state: CheckState, net: Net) -> None:
        self._tell(state)
        if self._bar:
            title = state.target.title
            shown = title if len(title) <= LONGEST_TITLE else f"{title[:LONGEST_TITLE]}…"
            self._bar.update(description=markup.escape(shown))
        late = self._clock.monotonic() - self._began >= SOONEST
        for key, effective in failing(state, self._policy, self._clock.wall()):
            if effective.severity is Severity.CRITICAL and key not in self._critical:
                self._critical.add(key)
                if late and self._bar and self._told[key[0]] < MOST_OF_A_RULE and self._told.total() < MOST:
                    self._told[key[0]] += 1
                    text = f"[bold red]CRITICAL[/]  {markup.escape(effective.finding.text)}  [dim]\\[{key[0]}][/]"
                    self._bar.progress.console.print(text)

    def tick(self) -> None:
        """To be called every ten seconds."""
        if not self._bar:
            seconds = self._clock.monotonic() - self._began
            far = f"{self.done:,} of {self.total:,} checks, {len(self._critical):,} critical, {seconds:.0f} s"
            print(f"{self._what}: {far}", file=self._stream, flush=True)


class _Bar:
    """The one row of the bar."""

    def __init__(self, made: progress.Progress, what: str) -> None:
        self.progress = made
        self._row = made.add_task("", total=None, what=what)

    @classmethod
    def on(cls, stream: TextIO, what: str) -> _Bar | None:
        """None if this is no terminal: then nobody needs rich, which takes a while to load."""
        if not stream.isatty() and not any(name in os.environ for name in _DRAW_ANYWHERE):
            return None
        to = console.Console(file=stream, highlight=False)
        if not to.is_terminal:
            return None
        columns = (
            progress.TextColumn("{task.fields[what]}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TextColumn("{task.description}"),
        )
        return cls(progress.Progress(*columns, console=to, transient=True), what)

    def update(self, **changes: Any) -> None:
        self.progress.update(self._row, **changes)
