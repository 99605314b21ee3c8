"""Says on standard error how far a long look is, and what is critical as soon as it is found.

On a terminal: a bar, with the target that was looked at last, and lines above it. Elsewhere: a line every ten seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from exporter.check_state import CheckState, FindingPolicy
from exporter.clock import Clock
from exporter.engine.problems import ProblemKey, failing
from exporter.facts import Severity
from exporter.net import Net

SOONEST = 5.0  # seconds: what is found before is told at the end, which is near
MOST_OF_A_RULE = 3  # findings that are told at once
MOST = 20
LONGEST_TITLE = 40


class ProgressLines:
    """A Watcher of a look (once.py). `tell` gets each result as it comes."""

    def __init__(
        self,
        stream: TextIO,
        clock: Clock,
        policy: FindingPolicy,
        tell: Callable[[CheckState], None] = lambda _: None,
    ) -> None:
        self._console = Console(file=stream, highlight=False)
        self._clock = clock
        self._policy = policy
        self._tell = tell
        self._began = clock.monotonic()
        self._critical: set[ProblemKey] = set()
        self._told: Counter[str] = Counter()
        columns = (
            TextColumn("{task.fields[what]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
        )
        self._bar = Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal)
        self._what = "checking"
        self._row = self._bar.add_task("", total=None, what=self._what)
        self.done = 0
        self.total = 0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def begin(self, what: str) -> None:
        """Another look begins, at another world."""
        self._what = what
        self._critical.clear()
        self._told.clear()
        self._bar.update(self._row, what=what)

    def show(self, done: int, total: int) -> None:
        self.done, self.total = done, total
        self._bar.update(self._row, completed=done, total=total)

    def ended(self, state: CheckState, net: Net) -> None:
        self._tell(state)
        title = state.target.title
        self._bar.update(
            self._row, description=escape(title if len(title) <= LONGEST_TITLE else f"{title[:LONGEST_TITLE]}…")
        )
        late = self._clock.monotonic() - self._began >= SOONEST
        for key, effective in failing(state, self._policy, self._clock.wall()):
            if effective.severity is Severity.CRITICAL and key not in self._critical:
                self._critical.add(key)
                if (
                    late
                    and self._console.is_terminal
                    and self._told[key[0]] < MOST_OF_A_RULE
                    and self._told.total() < MOST
                ):
                    self._told[key[0]] += 1
                    self._bar.console.print(
                        f"[bold red]CRITICAL[/]  {escape(effective.finding.text)}  [dim]\\[{key[0]}][/]"
                    )

    def tick(self) -> None:
        """To be called every ten seconds."""
        if not self._console.is_terminal:
            seconds = self._clock.monotonic() - self._began
            far = f"{self.done:,} of {self.total:,} checks, {len(self._critical):,} critical, {seconds:.0f} s"
            self._console.print(f"{self._what}: {far}", markup=False, soft_wrap=True)
