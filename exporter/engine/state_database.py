"""The state file as an SQLite database: opens it, reads it, mends it. All of it waits for the disk.

The problem: the file may be damaged in any way, of another format, or in a place that cannot be written. None of this
may stop the exporter, and whatever can be read must be kept.

Formats:

- Each table is one section. Later versions have others. A section that changes its format gets a table of another name
  (`held_2`). So no version can write into what it does not understand.
- Tables that this version does not know are kept, also when the file is mended.
- FORMAT counts changes of this arrangement itself. A file with another FORMAT is set aside, never changed.

The rules:

- Reading comes first and needs no room (state_copy.py), so that what is saved is known whatever happens then.
- A file with any fault is set aside as a whole, under a name with its format and the time (UTC). What could be read
  goes into a new file first. MOST_ASIDE damaged files are kept.
- Only regular files are set aside. A directory, a device or a pipe that stands there belongs to somebody else.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from typing import Any, TypeAlias

from exporter.engine.state_copy import BESIDE, RowReader, StateCopy, made, remove
from exporter.engine.state_lock import StateInUseError, StateLock

MOST_ASIDE = 3

Row: TypeAlias = tuple[str, tuple[Any, ...]]  # a statement and its values


class StateDatabase:
    """One state file. After an error of `open` or `write` it is closed, and `open` tries everything anew."""

    def __init__(self, path: Path, wall: Callable[[], float] = time.time) -> None:
        """`wall` tells unix seconds, for names of what is set aside."""
        self.path = Path(os.path.realpath(path))
        self._linked = path.is_symlink()
        self._wall = wall
        self._lock = StateLock(self._beside(".lock"))
        self._db: sqlite3.Connection | None = None
        self._files: tuple[Any, ...] = ()
        self._told: str | None = None  # what `open` has done and not told yet, because it failed afterwards

    @property
    def is_open(self) -> bool:
        return self._db is not None

    def size(self) -> int:
        """Bytes on the disk, with what SQLite keeps beside the file."""
        total = 0
        for end in ("", *BESIDE):
            with contextlib.suppress(OSError):
                total += self._beside(end).stat().st_size
        return total

    def open(self, reader: RowReader) -> str | None:
        """Let `reader` take in all that can be read, then be ready to write: make or mend the file if need be.

        Return what people must know about that. Raise OSError or sqlite3.Error if it cannot be written now; `reader`
        has what can be read all the same. StateInUseError is one of them, and then nothing is read.
        """
        self.close()
        refused: OSError | None = None
        try:
            if not self._linked:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.take()
        except StateInUseError:
            raise
        except OSError as error:
            refused = error
        self._adopt()
        if os.path.lexists(self.path):
            copy = StateCopy(self.path)
            copy.read(reader)
            if refused is None and copy.fault:
                self._told, self._files = self._mend(copy), ()
        if refused:
            raise refused
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_NONBLOCK, 0o600))
        for end in ("", *BESIDE):
            with contextlib.suppress(OSError):  # it is not there, or belongs to somebody else who lets us write
                self._beside(end).chmod(0o600)
        self._db = made(self.path)
        self._files = self._seen()
        told, self._told = self._told, None
        return told

    def gone(self) -> bool:
        """Has the file been deleted or replaced since it was last open? Then it is closed, and this is said once."""
        if self._db is None:
            if not self._files or self._files[0] == _identity(self.path):
                return False
            self._files = ()
            return True
        if self._files == self._seen():
            return False
        if not os.path.lexists(self.path):
            new = self._beside(".new")
            remove(new)
            try:  # the deleted file can still be read: `open` takes the copy
                self._db.execute("VACUUM INTO ?", (str(new),))
            except sqlite3.Error:
                remove(new)
        self.close()  # before another is opened: this removes the log that has the name
        self._files = ()
        return True

    def write(self, rows: Iterable[Row]) -> list[str]:
        """Write in one transaction; return what could not be written, since no value of that kind can.

        Raise sqlite3.Error if nothing of it is written.
        """
        if self._db is None:
            raise sqlite3.OperationalError("it is not open")
        refused = []
        try:
            with closing(self._db.cursor()) as cursor:
                cursor.execute("BEGIN IMMEDIATE")
                for statement, values in rows:
                    try:
                        cursor.execute(statement, values)
                    except (ValueError, OverflowError, sqlite3.DataError) as error:
                        refused.append(f"{values[:-1]}: {error}")
                cursor.execute("COMMIT")
        except sqlite3.Error:
            self.close()
            raise
        return refused

    def close(self) -> None:
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):
                self._db.close()
            self._db = None

    def leave(self) -> None:
        """Close it, and let others have it."""
        self.close()
        self._lock.leave()

    def _beside(self, end: str) -> Path:
        return self.path.with_name(self.path.name + end)

    def _seen(self) -> tuple[Any, ...]:
        return tuple(_identity(path) for path in (self.path, self._beside("-wal")))

    def _adopt(self) -> None:
        """A new file that was whole when its maker was killed takes its place now."""
        new = self._beside(".new")
        with contextlib.suppress(OSError):
            if os.path.lexists(self.path):
                remove(new)
            elif new.exists():
                new.rename(self.path)

    def _mend(self, copy: StateCopy) -> str:
        """Set the file aside, after all that can be read has been written to a new one. Return what was done."""
        new = self._beside(".new")
        remove(new)
        try:
            os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            with closing(made(new)) as db:
                db.execute("BEGIN")
                copy.save(db)
                db.execute("COMMIT")
        except (OSError, sqlite3.Error):
            remove(new)
            raise
        aside = self._aside(copy.name)
        for end in (*BESIDE, ""):  # first what belongs to it: a new file must not find an old log beside it
            with contextlib.suppress(FileNotFoundError):
                self._beside(end).rename(aside.with_name(aside.name + end))
        new.rename(self.path)
        self._prune()
        if copy.foreign:
            return f"{self.path} {copy.fault}: kept as {aside}; what this version knows of it is taken over"
        return (
            f"{self.path} is damaged ({copy.fault}): renamed to {aside}. What is readable is kept, the rest is "
            "checked again. Check the disk if this happens again"
        )

    def _aside(self, kind: str) -> Path:
        when = f"{datetime.fromtimestamp(max(0.0, self._wall()), UTC):%Y%m%dT%H%M%SZ}"
        names = (f".{kind}-{when}{number}" for number in chain(("",), (f"-{it}" for it in count(2))))
        return next(path for path in map(self._beside, names) if not os.path.lexists(path))

    def _prune(self) -> None:
        """Remove the oldest damaged files. Files of other formats stay: they are whole."""
        start = f"{self.path.name}.damaged-"
        with contextlib.suppress(OSError):
            ours = [
                it for it in self.path.parent.iterdir() if it.name.startswith(start) and not it.name.endswith(BESIDE)
            ]
            for old in sorted(ours, key=lambda it: it.lstat().st_ctime_ns, reverse=True)[MOST_ASIDE:]:
                remove(old)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
