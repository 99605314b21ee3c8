"""Saves what must survive a restart: each CheckState, what is known of the blocklists, history, acknowledgements.

The problem: after a restart, verdicts should be there at once, without asking the world again. But the event loop must
not wait for a disk, and neither a bad disk nor a damaged file may stop the exporter.

The idea: one thread of its own does all that waits for the disk. The loop notes what has changed, and never waits.

The rules:

- A change is written at once if nothing is being written. Changes that come meanwhile are written together afterwards.
- A run that changes nothing but times is written with others once a minute (state_times.py).
- So `kill -9` loses at most the changes that came during one write, and a minute of times.
- The file is read only when it is opened. What it says is then in memory.
- What could not be written is not forgotten. Writing is tried again, at first soon and then every LONGEST_WAIT seconds.
- Before each write, the thread looks whether the file is still the one that it opened. If it was deleted, replaced or
  damaged, `save_all` is called, so that everything that is known gets into the new file.
- Each trouble is told once: in the log, by `writable`, and by `trouble` for people.
- Transcripts are not saved. After a restart, a verdict has no evidence until its next run.

What the file looks like, and how it is mended: state_database.py. What stands in a row: state_rows.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias, cast

from exporter.check_state import CheckState, Key
from exporter.engine.catalogue import Catalogue
from exporter.engine.departed import Kept
from exporter.engine.disk_thread import DiskThread
from exporter.engine.state_copy import TIMES
from exporter.engine.state_database import Row, StateDatabase
from exporter.engine.state_lock import StateInUseError
from exporter.engine.state_reader import BLOCKLISTS, Sift, StateReader
from exporter.engine.state_rows import (
    NOTHING_SAVED,
    UNSOUND,
    written,
    written_of_departed,
)
from exporter.engine.state_sections import Entry, entry_row
from exporter.engine.state_times import PairTimes, written_times

log = logging.getLogger(__name__)

Change: TypeAlias = (
    CheckState | Kept | Any | None
)  # Any: states whose times are written, a snapshot of the blocklists, what an entry is; None: forgotten
Name: TypeAlias = tuple[str, ...]  # the Key of a pair, or the section and name of an entry and ENTRY

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds until writing is tried again
MOST_AT_ONCE = 5000  # changes of one transaction
EVERY = 60.0  # seconds between two writes of times
CLOSING = 1.5  # seconds that a disk may take at the end
ENTRY = ""


class StateFile:
    """The state file. `writable`: the latest write succeeded. `trouble`: why not.

    `size` is in bytes, and `saved_at` is when a write last succeeded, in unix seconds; None and 0 before the first one.
    """

    def __init__(
        self, disk: DiskThread, saved: StateReader, save_all: Callable[[], None], wall: Callable[[], float]
    ) -> None:
        """For `open` alone."""
        self.trouble = ""
        self.size: int | None = None
        self.saved_at = 0.0
        self._wall = wall
        self._disk = disk
        self._saved = saved
        self._save_all = save_all
        self._database: StateDatabase
        self._changes: dict[Name, Change] = {}
        self._times = PairTimes()
        self._times_timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Future[_Written] | None = None
        self._wait = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    @classmethod
    async def open(
        cls,
        path: Path,
        catalogue: Catalogue,
        *,
        sift: Sift = lambda saved: (saved, True),
        save_all: Callable[[], None] = lambda: None,
        wall: Callable[[], float] = time.time,
    ) -> StateFile:
        """Raise OSError that says what to do if another process has this file. Nothing else stops it.

        `sift` gives what can be read of saved blocklists, and whether that is all. `save_all` shall save all that is
        known.
        """
        disk, saved = DiskThread(), StateReader(catalogue, sift)
        made = cls(disk, saved, save_all, wall)
        try:
            made._database = await disk.do(partial(StateDatabase, path, wall))
            opened = await disk.do(partial(_open, made._database, saved))
        except BaseException:
            disk.end()
            raise
        if opened.refused:
            disk.end()
            raise opened.refused
        made._tell(opened)
        return made

    @property
    def writable(self) -> bool:
        return not self.trouble

    def recall(self, new: CheckState) -> CheckState:
        """The saved state of this pair. `new` if none was saved, it cannot be read, or it was recalled already."""
        saved = self._saved.take_held(new.key)
        if saved is None:
            return new
        state = saved.of(new)
        self._times.hold(state)
        return state

    def recall_blocklists(self) -> Any:
        """What was saved of the blocklists; None if nothing was."""
        return self._saved.blocklists

    def save(self, state: CheckState, *, moved: bool = False) -> None:
        """Note that one state is to be written; at once if it is new, or if more than times has changed.

        `moved`: the caller knows that nothing else has.
        """
        if not (moved and self._times.moved(state)) and not self._times.hold(state):
            self._note(state.key, state)
        if self._times.due and self._times_timer is None and not self._closed:
            self._times_timer = asyncio.get_running_loop().call_later(EVERY, self._note_times)

    def save_blocklists(self, snapshot: Any) -> None:
        """Note that what is known of the blocklists is to be written."""
        self._note(("", BLOCKLISTS), snapshot)

    def keep(self, key: Key, kept: Kept | None) -> None:
        """Note that this is kept of a pair that has left; None: it is forgotten."""
        self._saved.held.pop(key, None)
        self._times.forget(key)
        self._note(key, kept)

    def left(self) -> set[Key]:
        """The keys that were saved before the restart and are not recalled yet."""
        return set(self._saved.held)

    def depart(self, key: Key, now: float, *, noted: bool) -> Kept | None:
        """What is to be kept of a saved pair that was not recalled. It was there when it last ran."""
        saved = self._saved.take_held(key) or NOTHING_SAVED
        return Kept.of(min(saved.last_run or now, now), saved.findings, saved.ended, saved.records, noted=noted)

    @property
    def departed(self) -> Mapping[Key, Kept]:
        """What the file said, when it was opened, of pairs that had left."""
        return self._saved.departed

    def entries(self, section: str) -> dict[str, Entry]:
        """What the file said of a section, by name. It is told once."""
        return self._saved.entries.pop(section, {})

    def note(self, section: str, name: str, entry: Entry | None) -> None:
        """Note that an entry of a section is to be written; None: it is forgotten."""
        self._note((section, name, ENTRY), entry)

    def retry(self) -> None:
        """Try now to write what waits."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._writing is None and not self._closed:
            self._begin()

    async def written(self) -> None:
        """Wait until everything that is noted is written, or writing has failed."""
        while self._writing:
            await asyncio.wait([self._writing])
            await asyncio.sleep(0)  # its callback decides whether there is more

    async def close(self) -> None:
        """Write what is noted and close the file, but wait no longer than CLOSING for the disk."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSING):
                self._note_times()
                await self.written()
                if self._changes:
                    self.retry()
                    await self.written()
                self._closed = True
                await self._disk.do(self._database.leave)
        self._closed = True
        for timer in (self._timer, self._times_timer):
            if timer:
                timer.cancel()
        self._disk.end()

    def _note_times(self) -> None:
        if self._times_timer:
            self._times_timer.cancel()
            self._times_timer = None
        for part, states in self._times.take_due():
            self._note((TIMES, part, ENTRY), states)

    def _note(self, key: Name, change: Change) -> None:
        self._changes.pop(key, None)
        self._changes[key] = change
        if self._writing is None and self._timer is None and not self._closed:
            self._begin()

    def _begin(self) -> None:
        batch = dict(islice(self._changes.items(), MOST_AT_ONCE))
        for key in batch:
            del self._changes[key]
        self._writing = self._disk.do(partial(_write, self._database, batch, self._saved.of()))
        self._writing.add_done_callback(partial(self._ended, batch))

    def _ended(self, batch: dict[Name, Change], done: asyncio.Future[_Written]) -> None:
        self._writing = None
        bug = done.exception()
        if bug:
            log.error("a write of the state met a bug", exc_info=bug)
        result = _Written(f"bug: {bug}") if bug else done.result()
        if result.error:
            self._changes = batch | self._changes
        else:
            self.size, self.saved_at = result.size, self._wall()
        for key in batch if result.left_out else ():
            self._times.forget((key[0], key[1]))  # whatever was not saved is tried again after its next run
        self._tell(result)
        if result.renewed:
            self._times.forget_all()
            self._save_all()
        if self._changes and self._timer is None and self._writing is None and not self._closed:
            self._begin()

    def _tell(self, result: _Written) -> None:
        """Say what has changed, each thing once, and try again later what has failed."""
        for line in result.told:
            log.error("%s", line)
        if not result.error:
            if self.trouble:
                log.info("state is saved again in %s", self._database.path)
            self.trouble, self._wait = "", 0.0
            return
        if not self.trouble:
            log.error(
                "state cannot be saved in %s (%s): it is kept in memory and saved later. Free space there, "
                "allow this user to write there, or set another --storage.path",
                self._database.path,
                result.error,
            )
        self.trouble = result.error
        self._wait = min(max(2 * self._wait, FIRST_WAIT), LONGEST_WAIT)
        self._timer = asyncio.get_running_loop().call_later(self._wait, self.retry)


@dataclass(frozen=True)
class _Written:
    """The result of one write. `renewed`: the file is another one than before, so everything has to be written."""

    error: str = ""
    renewed: bool = False
    told: tuple[str, ...] = ()
    refused: StateInUseError | None = None
    size: int | None = None
    left_out: bool = False  # something cannot be written at all


def _open(database: StateDatabase, saved: StateReader) -> _Written:
    try:
        told = database.open(saved)
    except StateInUseError as error:
        return _Written(str(error), refused=error)
    except (OSError, sqlite3.Error) as error:
        return _Written(str(error))
    return _Written(told=(told,) if told else ())


def _write(database: StateDatabase, changes: dict[Name, Change], spare: StateReader) -> _Written:
    """Write the changes. If that fails, open the file anew, since it may have been damaged, and try once more."""
    told: list[str] = []
    renewed, error = False, ""
    for _ in range(2):
        if database.gone():
            told.append(f"{database.path} was deleted or replaced: everything is written again")
            renewed = True
        if not database.is_open:
            opened = _open(database, spare)
            told += opened.told
            renewed = renewed or bool(opened.told)
            if opened.error:
                return _Written(opened.error, renewed, tuple(told))
        try:
            refused: list[str] = []
            refused += database.write(_rows(changes, refused))
        except (sqlite3.Error, OSError) as failure:
            error = str(failure)
        else:
            not_saved = (f"not saved: {it}" for it in refused)
            return _Written("", renewed, (*told, *not_saved), size=database.size(), left_out=bool(refused))
    return _Written(error, renewed, tuple(told))


def _rows(changes: dict[Name, Change], refused: list[str]) -> Iterator[Row]:
    """What JSON cannot hold is left out: all others must not wait for it."""
    for key, change in changes.items():
        try:
            yield _row(key, change)
        except UNSOUND as error:
            refused.append(f"{key}: {error}")


def _row(key: Name, change: Change) -> Row:
    if key == ("", BLOCKLISTS):
        return "REPLACE INTO door VALUES (?, ?)", (BLOCKLISTS, json.dumps(change))
    if key[2:] == (ENTRY,):
        section, name, _ = key
        if section == TIMES:
            return "REPLACE INTO times VALUES (?, ?)", (name, written_times(cast("list[CheckState]", change)))
        return entry_row(section, name, cast("Entry | None", change))
    if change is None:
        return "DELETE FROM held WHERE check_id = ? AND target = ?", key
    body = written_of_departed(change) if isinstance(change, Kept) else written(change)
    return "REPLACE INTO held VALUES (?, ?, ?)", (*key, body)
