"""Saves what must survive a restart: each CheckState, and what is known of the blocklists, in one SQLite file.

The problem: after a restart, verdicts should be there at once, without asking the world again. But the event loop must
not wait for a disk, and a full disk must not stop the exporter.

The idea: one thread of its own does all the writing. The loop puts rows into a list, and never waits.

The rules:

- A row is written at once if nothing is being written. Rows that come meanwhile are written together in the next
  transaction.
- So `kill -9` loses at most the runs that ended during one write.
- The database is read only at the start, because a reader has to wait for the writer.
- If a write fails, the log says so once and `writable` becomes false; the exporter goes on.
- A damaged file is renamed, not deleted, and the exporter starts with an empty one.
- Transcripts are not saved. After a restart, a verdict has no evidence until its next run.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeAlias, get_type_hints

from exporter.check_state import ActiveFinding, CheckState, Key, RecordChange, RecordHistory
from exporter.engine.catalogue import Catalogue
from exporter.facts import Doubt, Finding, Reason, Record, Sample, Severity
from exporter.model import Check, Target

log = logging.getLogger(__name__)

Row: TypeAlias = tuple[str, tuple[Any, ...]]  # a statement and its values

VERSION = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS held (check_id TEXT, target TEXT, body TEXT NOT NULL, PRIMARY KEY (check_id, target));
CREATE TABLE IF NOT EXISTS door (name TEXT PRIMARY KEY, body TEXT NOT NULL);
"""


class StateFile:
    """The state file. `writable`: the latest write succeeded."""

    def __init__(self, path: Path) -> None:
        """Raise OSError that says what to do if the file cannot be used. A damaged file is renamed, not deleted."""
        self.writable = True
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="state")
        self._left: set[Key] = set()
        self._waiting: list[Row] = []
        self._writing: asyncio.Future[None] | None = None
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = self._open(path)
        except sqlite3.OperationalError as error:
            raise OSError(f"{path}: {error}; give --storage.path a writable place, or leave it out") from None
        except sqlite3.DatabaseError as error:
            aside = path.with_name(f"{path.name}.damaged")
            path.rename(aside)
            log.error("%s is no usable state file (%s): moved to %s, starting without", path, error, aside)  # noqa: TRY400  (the trace says nothing more)
            self._db = self._open(path)

    def _open(self, path: Path) -> sqlite3.Connection:
        db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version not in (0, VERSION):
                raise sqlite3.DatabaseError(f"it is of format {version}, this version writes {VERSION}")
            db.executescript(_TABLES)
            db.execute(f"PRAGMA user_version={VERSION}")
            self._left = set(db.execute("SELECT check_id, target FROM held"))
        except sqlite3.Error:
            db.close()
            raise
        return db

    def recall(self, new: CheckState, catalogue: Catalogue) -> CheckState:
        """The saved state of this pair. `new` if none was saved, it cannot be read, or it was recalled already."""
        if new.key not in self._left:
            return new
        self._left.discard(new.key)
        row = self._db.execute("SELECT body FROM held WHERE check_id = ? AND target = ?", new.key).fetchone()
        return _read(new, row[0], catalogue) if row else new

    def recall_blocklists(self) -> Any:
        """What was saved of the blocklists; None if nothing was."""
        row = self._db.execute("SELECT body FROM door WHERE name = 'blocklists'").fetchone()
        return json.loads(row[0]) if row else None

    def save(self, state: CheckState) -> None:
        """Queue the writing of one state."""
        self._queue("REPLACE INTO held VALUES (?, ?, ?)", *state.key, json.dumps(_plain(state)))

    def save_blocklists(self, snapshot: Any) -> None:
        """Queue the writing of what is known of the blocklists."""
        self._queue("REPLACE INTO door VALUES ('blocklists', ?)", json.dumps(snapshot))

    def forget(self, key: Key) -> None:
        self._left.discard(key)
        self._queue("DELETE FROM held WHERE check_id = ? AND target = ?", *key)

    def left(self) -> set[Key]:
        """The keys that were saved before the restart and are not recalled yet."""
        return set(self._left)

    async def close(self) -> None:
        """Write what is queued, then close the file."""
        await self.written()
        self._thread.shutdown()
        self._db.close()

    async def written(self) -> None:
        """Wait until everything that is queued is written."""
        while self._writing:
            await asyncio.wait([self._writing])

    def _queue(self, statement: str, *values: Any) -> None:
        self._waiting.append((statement, values))
        if self._writing is None:
            self._begin()

    def _begin(self) -> None:
        rows, self._waiting = self._waiting, []
        self._writing = asyncio.get_running_loop().run_in_executor(self._thread, self._write, rows)
        self._writing.add_done_callback(self._ended)

    def _ended(self, _: asyncio.Future[None]) -> None:
        self._writing = None
        if self._waiting:
            self._begin()

    def _write(self, rows: list[Row]) -> None:
        try:
            with closing(self._db.cursor()) as cursor:
                cursor.execute("BEGIN")
                for statement, values in rows:
                    cursor.execute(statement, values)
                cursor.execute("COMMIT")
            self.writable = True
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.rollback()
            if self.writable:
                log.error("state cannot be written: %s", error)  # noqa: TRY400  (the trace says nothing more)
            self.writable = False


def _plain(state: CheckState) -> dict[str, Any]:
    return {
        "findings": [[s.finding.id, s.finding.severity, s.finding.evidence, s.since] for s in state.findings],
        "readings": [[r.metric.name, r.labels, r.value] for r in state.samples],
        "records": [
            [r.record.name, r.record.texts, r.record.digest, r.since, [[c.before, c.after, c.at] for c in r.changes]]
            for r in state.records
        ],
        "found": [[type(target).__name__, _own(target)] for target in state.found],
        "doubt": [state.doubt.reason, state.doubt.detail] if state.doubt else None,
        "last_run": state.last_run,
        "last_conclusive": state.last_conclusive,
    }


def _read(new: CheckState, saved: str, catalogue: Catalogue) -> CheckState:
    metrics = {m.name: m for m in catalogue.metrics}
    try:
        body = json.loads(saved)
        return replace(
            new,
            findings=tuple(
                ActiveFinding(Finding(catalogue.rules[rule], _pairs(evidence), Severity(severity)), float(since))
                for rule, severity, evidence, since in body["findings"]
                if rule in catalogue.rules
            ),
            samples=tuple(
                Sample(metrics[name], float(value), _pairs(labels))
                for name, labels, value in body["readings"]
                if name in metrics
            ),
            records=tuple(_remembered(*saved) for saved in body.get("records", ())),
            found=tuple(_found(new.check, *target) for target in body.get("found", ())),
            doubt=Doubt(Reason(body["doubt"][0]), body["doubt"][1]) if body["doubt"] else None,
            # older files do not have the found targets: the check runs at once
            last_run=float(body["last_run"]) if "found" in body or not new.check.finds else 0.0,
            last_conclusive=float(body["last_conclusive"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        log.warning("saved state of %s %s cannot be read (%s): it will be evaluated anew", *new.key, error)
        return new


def _remembered(name: Any, texts: Any, digest: Any, since: Any, changes: Any) -> RecordHistory:
    made = tuple(RecordChange(_texts(before), _texts(after), float(at)) for before, after, at in changes)
    return RecordHistory(Record(str(name), _texts(texts), str(digest)), float(since), made)


def _texts(saved: Any) -> tuple[str, ...]:
    return tuple(map(str, saved))


def _pairs(saved: Any) -> tuple[tuple[str, str], ...]:
    return tuple((str(k), str(v)) for k, v in saved)


def _own(target: Target) -> dict[str, Any]:
    """The fields of this kind of target. The fields that all kinds share come from the configuration."""
    shared = {field.name for field in fields(Target)}
    return {field.name: getattr(target, field.name) for field in fields(target) if field.name not in shared}


def _found(check: Check, name: Any, own: Any) -> Target:
    """Raise KeyError, TypeError or ValueError unless it is a target of a kind that the check finds."""
    kind = {kind.__name__: kind for kind in check.finds}[name]
    types = get_type_hints(kind)
    wrong = [key for key, value in own.items() if type(value) is not types[key]]
    if wrong:
        raise ValueError(f"{name} has another {', '.join(wrong)}")
    return kind(**own)
