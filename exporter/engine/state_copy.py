"""A state file as it stands on the disk: read without changing anything, and with all that damage has left of it.

The rules:

- A connection that reads takes no lock, makes no file and recovers nothing. So it works on a full or read-only disk.
- A scan steps over damaged pages.
- If the first page is damaged, that of a new file takes its place in a copy. It says what stands where, and that is the
  same in each file that this version has made.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

FORMAT = 1
HELD, TIMES, DOOR, HISTORY, ACKNOWLEDGED = "held", "times", "door", "history", "acknowledged"
COLUMNS = dict.fromkeys((TIMES, DOOR, HISTORY, ACKNOWLEDGED), ("name", "body")) | {HELD: ("check_id", "target", "body")}
LATER = {TIMES, HISTORY, ACKNOWLEDGED}  # files of older versions do not have them
_TABLES = f"""
BEGIN;
CREATE TABLE IF NOT EXISTS {HELD} (check_id TEXT, target TEXT, body TEXT NOT NULL, PRIMARY KEY (check_id, target));
CREATE TABLE IF NOT EXISTS {TIMES} (name TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS {DOOR} (name TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS {HISTORY} (name TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS {ACKNOWLEDGED} (name TEXT PRIMARY KEY, body TEXT NOT NULL);
PRAGMA user_version={FORMAT};
COMMIT;
"""
PATIENCE = 1.0  # seconds to wait for another who writes, such as a person with sqlite3
MOST_FORMATS = 100  # a greater number is no format, but damage
PAGE = 4096  # octets
MOST_STEPS = 2000  # queries of one scan that steps over damage
SCAN_TIME = 2.0  # seconds of one scan that steps over damage
BESIDE = ("-wal", "-shm", "-journal")
_WAL_MAGIC = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
_ROWIDS = 2**63
DAMAGED = (sqlite3.Error, UnicodeDecodeError)  # the latter for names and messages in which damage shows


class RowReader(Protocol):
    """Takes the rows of the known sections in."""

    def take(self, table: str, row: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """What of the row can be read, in the same form; None if nothing can."""


class StateCopy:
    """A file as it stands on the disk, read without changing anything. `fault` is what is wrong with it."""

    def __init__(self, path: Path) -> None:
        """Raise OSError if there is something else than a file."""
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError(f"{path} is no file: give --storage.path the name of a file")
        self._path = path
        self.fault: str | None = None
        self.foreign = False  # it is whole, but of another format
        self._format = _format(path)
        self._changed: dict[tuple[str, tuple[Any, ...]], tuple[Any, ...] | None] = {}  # what is left of a damaged row

    @property
    def name(self) -> str:
        """For the name under which it is set aside."""
        number = self._format if self._format in range(MOST_FORMATS) else "unknown"
        return f"format{number}" if self.foreign else f"damaged-format{number}"

    def read(self, reader: RowReader) -> None:
        """Let `reader` take its rows in, and find its faults."""
        if self._path.stat().st_size == 0:
            return
        faults = self._faults_beside()
        try:
            with closing(_reading(self._path)) as db:
                (self._format,) = db.execute("PRAGMA user_version").fetchone()
                another = self._of_another_format(db)
                (found,) = db.execute("PRAGMA integrity_check(1)").fetchone()
                if found != "ok":
                    faults.append(str(found).splitlines()[-1])
                if self._format == FORMAT:
                    faults += [f"table {name} is not as it was made" for name in COLUMNS if not _is_ours(db, name)]
                self.foreign = another is not None and not faults and self._format in range(MOST_FORMATS)
                faults += [another] if another else []
                faults += self._take_all(db, reader)
        except DAMAGED as error:
            faults.append(str(error))
            self._rescue(lambda db: self._take_all(db, reader))
        self.fault = faults[0] if faults else None

    def save(self, target: sqlite3.Connection) -> None:
        """Write all that could be read into `target`, tables that nobody knows as well. Raise OSError if it cannot."""

        def copy(db: sqlite3.Connection) -> None:
            for name, sql in _tables(db).items():
                if name not in COLUMNS:
                    _take_over(db, target, name, sql)
                    continue
                for row in _rows(db, name, COLUMNS[name], []):
                    if kept := self._changed.get((name, row), row):
                        _insert(target, name, COLUMNS[name], kept)

        self._rescue(copy)

    def _take_all(self, db: sqlite3.Connection, reader: RowReader) -> list[str]:
        faults: list[str] = []
        for name in COLUMNS.keys() & _tables(db).keys():
            for row in _rows(db, name, COLUMNS[name], faults):
                kept = reader.take(name, row)
                if kept != row:
                    self._changed[name, row] = kept
                    faults.append(f"a row of {name} cannot be read")
        return faults

    def _of_another_format(self, db: sqlite3.Connection) -> str | None:
        if self._format == FORMAT or (self._format == 0 and _tables(db).keys() <= COLUMNS.keys()):
            return None
        if self._format in range(MOST_FORMATS):
            return f"has format {self._format}, this version writes {FORMAT}"
        return "its format is noise"

    def _rescue(self, use: Callable[[sqlite3.Connection], Any]) -> None:
        """Let `use` read the file; if it has no usable first page, let it read a copy with a new one."""
        with contextlib.suppress(*DAMAGED), closing(_reading(self._path)) as db:
            db.execute("SELECT * FROM sqlite_master").fetchall()
            use(db)
            return
        copy = self._path.with_name(f"{self._path.name}.copy")
        try:
            remove(copy)
            with contextlib.suppress(OSError, *DAMAGED):  # there is no room: then nothing can be read
                _with_new_first_page(self._path, copy)
            with contextlib.suppress(*DAMAGED), closing(_reading(copy)) as db:
                use(db)
        finally:
            remove(copy)

    def _faults_beside(self) -> list[str]:
        paths = [self._path.with_name(self._path.name + end) for end in BESIDE]
        faults = [
            f"{it.name} is no file" for it in paths if os.path.lexists(it) and not stat.S_ISREG(it.lstat().st_mode)
        ]
        wal = paths[0]
        if not faults and wal.exists():
            with wal.open("rb") as file:
                start = file.read(32)
            if len(start) == 32 and not start.startswith(_WAL_MAGIC):
                faults.append(f"{wal.name} is no log")
        return faults


def _reading(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing: it takes no lock, and keeps the index of the log in memory."""
    db = sqlite3.connect(
        f"file:{quote(str(path))}?mode=ro&vfs=unix-none", uri=True, check_same_thread=False, isolation_level=None
    )
    try:
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        db.execute("PRAGMA trusted_schema=OFF")
    except sqlite3.Error:
        db.close()
        raise
    db.text_factory = _text
    return db


def made(path: Path) -> sqlite3.Connection:
    """A connection to write with; the tables of this version are there."""
    db = sqlite3.connect(path, timeout=PATIENCE, check_same_thread=False, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        db.executescript(_TABLES)
    except sqlite3.Error:
        db.close()
        raise
    return db


def _text(octets: bytes) -> Any:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets


def _tables(db: sqlite3.Connection) -> dict[str, str]:
    rows = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
    return {name: sql for name, sql in rows if isinstance(name, str) and not name.startswith("sqlite_")}


def _is_ours(db: sqlite3.Connection, table: str) -> bool:
    if table in LATER and not db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
        return True
    found = [(row[1], row[2]) for row in db.execute(f"PRAGMA table_info({table})")]
    return table in _tables(db) and found == [(column, "TEXT") for column in COLUMNS[table]]


def _rows(db: sqlite3.Connection, table: str, columns: Iterable[str], faults: list[str]) -> Iterator[tuple[Any, ...]]:
    """The rows that can be read. A range of rowids with damage in it is halved and read again, great ranges first."""
    wanted = ", ".join(map(_quoted, columns))
    query = f"SELECT rowid, {wanted} FROM {_quoted(table)} WHERE rowid BETWEEN ? AND ? ORDER BY rowid"  # noqa: S608  (names are quoted)
    ranges, steps, began = deque([(-_ROWIDS, _ROWIDS - 1)]), 0, time.monotonic()
    while ranges and steps < MOST_STEPS and (not faults or time.monotonic() - began < SCAN_TIME):
        low, high = ranges.popleft()
        steps += 1
        try:
            for rowid, *row in db.execute(query, (low, high)):
                low = rowid + 1
                yield tuple(row)
        except DAMAGED as error:
            faults.append(str(error))
            if getattr(error, "sqlite_errorname", "SQLITE_ERROR") == "SQLITE_ERROR":
                return  # it has no such columns
            ranges += _halves(low, high)


def _halves(low: int, high: int) -> list[tuple[int, int]]:
    """Rowids grow from 1. So an open end is searched by steps that double."""
    if low >= high:
        return []
    middle = (low + high) // 2
    if low < 1 <= high:
        middle = 0
    elif high == _ROWIDS - 1:
        middle = min(2 * low + 64, middle)
    return [(low, middle), (middle + 1, high)]


def _take_over(db: sqlite3.Connection, target: sqlite3.Connection, table: str, sql: str) -> None:
    """Copy a table that this version does not know, with its indexes."""
    with contextlib.suppress(TypeError, *DAMAGED):
        if not sql.upper().startswith("CREATE TABLE"):
            return
        target.execute(sql)
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({_quoted(table)})")]
        faults: list[str] = []
        for row in _rows(db, table, columns, faults):
            _insert(target, table, columns, row)
        if any("rowid" in fault for fault in faults):  # it has none
            for row in db.execute(f"SELECT * FROM {_quoted(table)}"):  # noqa: S608  (the name is quoted)
                _insert(target, table, columns, row)
        for (index,) in db.execute("SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ?", (table,)):
            if index:
                target.execute(index)


def _insert(target: sqlite3.Connection, table: str, columns: Iterable[str], row: tuple[Any, ...]) -> None:
    names = ", ".join(map(_quoted, columns))
    marks = ", ".join("?" * len(row))
    try:
        target.execute(f"INSERT OR REPLACE INTO {_quoted(table)} ({names}) VALUES ({marks})", row)  # noqa: S608  (names are quoted)
    except (sqlite3.IntegrityError, sqlite3.DataError):
        pass  # damage has made a row of it that the table does not take
    except sqlite3.Error as error:
        raise OSError(f"a new file cannot be written: {error}") from None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _with_new_first_page(path: Path, copy: Path) -> None:
    """The first page says what stands where, which is the same in each file that this version has made."""
    with closing(made(copy)) as db:
        db.execute("PRAGMA journal_mode=DELETE")
    first = bytearray(copy.read_bytes()[:PAGE])
    shutil.copyfile(path, copy)
    size = max(1, copy.stat().st_size // PAGE)
    first[28:32] = size.to_bytes(4, "big")  # pages
    first[92:96] = first[24:28]  # or the number of pages would not count
    with copy.open("r+b") as file:
        file.write(first)


def _format(path: Path) -> int | None:
    """As the first page says; None if it is none of SQLite."""
    with path.open("rb") as file:
        head = file.read(64)
    return int.from_bytes(head[60:64], "big") if head.startswith(b"SQLite format 3\0") and len(head) == 64 else None


def remove(path: Path) -> None:
    for end in ("", *BESIDE):
        with contextlib.suppress(OSError):
            path.with_name(path.name + end).unlink()
