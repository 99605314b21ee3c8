"""Remembers pairs that have left: their target, check or sender is not configured any more, or nothing leads to them.

The problem: a file that comes empty for a moment, or an MX record that is wrong for an hour, takes targets away. When
they come back, a fault that has stood for weeks must not look new.

The rules (truth rule 5 of the contract):

- Confirmed findings and changes of records are kept for KEPT seconds, also across restarts. At most MOST pairs are.
- What others have noted of a pair, such as events and acknowledgements, goes with it.
- What is in the state file but not in the configuration of a start left after its last run.
- A pair that comes back is pending, so it runs at once. A finding that is confirmed there anew has its old `since`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from exporter.check_state import CheckState, Key, WrongTimes
from exporter.clock import Clock
from exporter.engine.departed import Kept
from exporter.engine.state_file import StateFile

DAY = 86400.0
KEPT = 7 * DAY
MOST = 100_000
NOT_THEIRS = ("blocklist=", "resolver")  # how the keys of targets begin that are no entries


class Departures:
    """What is kept of the pairs that have left, the latest last."""

    def __init__(self, clock: Clock, most: int = MOST, noted: Callable[[Key], bool] = lambda _: False) -> None:
        """`noted` says whether somebody else has something of a pair that goes with it."""
        self._noted = noted
        self._clock = clock
        self._most = most
        self._file: StateFile | None = None
        self._kept: dict[Key, Kept] = {}
        self._saved: set[str] = set()  # targets that the file knew when it was opened

    def __iter__(self) -> Iterator[Key]:
        return iter(self._kept)

    def open(self, file: StateFile) -> None:
        self._file = file
        self._kept = dict(sorted(file.departed.items(), key=lambda it: it[1].at))
        self._saved = {target for _, target in file.left() if not target.startswith(NOT_THEIRS)}

    def leave(self, state: CheckState) -> None:
        """Its pair has just left."""
        noted = self._noted(state.key)
        self._note(state.key, Kept.of(self._clock.wall(), state.findings, state.ended, state.records, noted=noted))

    def recall(self, new: CheckState) -> CheckState:
        """What is known of a pair that is new here: its saved state, what was kept when it left, or nothing."""
        now = self._clock.wall()
        kept = self._kept.pop(new.key, None)
        if kept and now - kept.at <= KEPT:
            return kept.back(new, now).up_to(now)
        return self._file.recall(new).restored(now) if self._file else new

    def settle(self, present: set[Key]) -> tuple[set[str], int]:
        """A configuration is in force: what was saved and is not `present` has left, and what left long ago goes.

        Return the targets that have left since the restart, and of how many.
        """
        now, gone = self._clock.wall(), set()
        for key in self._file.left() if self._file else ():
            gone.add(key[1])
            if self._file:
                self._note(key, self._file.depart(key, now, noted=self._noted(key)))
        over = len(self._kept) - self._most
        for number, (key, kept) in enumerate(list(self._kept.items())):
            if number < over or now - kept.at > KEPT:
                del self._kept[key]
                self._write(key, None)
        saved, self._saved = self._saved, set()
        lost = gone & saved
        return (lost - {target for _, target in present} if lost else lost), len(saved)

    def move(self, times: WrongTimes) -> None:
        """Correct times that a wrong clock gave."""
        for key, kept in self._kept.items():
            if (right := kept.timed(times)) != kept:
                self._kept[key] = right
                self._write(key, right)

    def save_all(self) -> None:
        for key, kept in self._kept.items():
            self._write(key, kept)

    def _note(self, key: Key, kept: Kept | None) -> None:
        self._kept.pop(key, None)
        if kept:
            self._kept[key] = kept
        self._write(key, kept)

    def _write(self, key: Key, kept: Kept | None) -> None:
        if self._file:
            self._file.keep(key, kept)
