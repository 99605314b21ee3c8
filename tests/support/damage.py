"""Ways to damage a state file, drawn from a seed: what disks, crashes and hands do to it."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAGE = 4096


@dataclass(frozen=True)
class Damage:
    """`do` damages the file at that path. `spares_all`: every row can still be read."""

    name: str
    do: Callable[[Path], None]
    spares_all: bool = False


def _truncated(at: int) -> Callable[[Path], None]:
    def do(path: Path) -> None:
        with path.open("r+b") as file:
            file.truncate(at)

    return do


def _over(at: int, octets: bytes, end: str = "") -> Callable[[Path], None]:
    def do(path: Path) -> None:
        with path.with_name(path.name + end).open("r+b") as file:
            file.seek(at)
            file.write(octets)

    return do


def _flipped(at: int, bit: int) -> Callable[[Path], None]:
    def do(path: Path) -> None:
        octets = bytearray(path.read_bytes())
        octets[at] ^= 1 << bit
        path.write_bytes(octets)

    return do


def _beside(end: str, octets: bytes) -> Callable[[Path], None]:
    def do(path: Path) -> None:
        path.with_name(path.name + end).write_bytes(octets)

    return do


def _sql(*statements: str) -> Callable[[Path], None]:
    def do(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            for statement in statements:
                db.execute(statement)

    return do


def _body(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """Change the body of one row."""

    def do(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            rowid, body = db.execute("SELECT rowid, body FROM held ORDER BY rowid LIMIT 1").fetchone()
            changed = change(json.loads(body))
            new = changed if isinstance(changed, str | bytes) else json.dumps(changed)
            db.execute("UPDATE held SET body = ? WHERE rowid = ?", (new, rowid))

    return do


def _with(**parts: Any) -> Callable[[Path], None]:
    return _body(lambda body: body | parts)


NUMBERS: tuple[Any, ...] = (float("nan"), float("inf"), -float("inf"), 1e300, -1.0, 10**400, True, "5", None, [], {})
TEXTS: tuple[Any, ...] = ("\ud800", 5, None, [], {"a": 1})
FINDING = ["ptr.missing", "critical", [["ip", "192.0.2.1"], ["pointer", "x"], ["helo", "y"]], 1000.0]


def of_rows() -> Iterator[Damage]:
    """Rows that nobody can have written: one of them is lost, and the others must stay."""
    for number in NUMBERS:
        for name in ("last_run", "last_conclusive"):
            yield Damage(f"{name} {str(number)[:9]}", _with(**{name: number}))
        yield Damage(f"since {str(number)[:9]}", _with(findings=[[*FINDING[:3], number]]))
        yield Damage(f"value {str(number)[:9]}", _with(readings=[["deliverability_ptr_names", [], number]]))
    for text in TEXTS[1:]:
        yield Damage(f"evidence {text!r}", _with(findings=[[*FINDING[:2], [["ip", text]], 1000.0]]))
        yield Damage(f"record {text!r}", _with(records=[[text, ["x"], "x", 1.0, []]]))
        yield Damage(f"doubt {text!r}", _with(doubt=["network", text]))
    for name, body in {
        "no JSON": "{",
        "empty": "",
        "a list": "[]",
        "a number": "3",
        "null": "null",
        "deep": "[" * 100_000,
        "long": '"' + "x" * (5 << 20) + '"',
        "blob": b"\x00\xff\xfe",
        "no keys": "{}",
    }.items():
        yield Damage(f"body {name}", _body(lambda _, body=body: body))  # type: ignore[misc]  # a default binds it
    yield Damage("key of a blob", _sql("UPDATE held SET target = x'ff' WHERE rowid = (SELECT min(rowid) FROM held)"))
    yield Damage("severity", _with(findings=[["ptr.missing", "deadly", [], 1.0]]))
    yield Damage("found", _with(found=[["MailHost", {"host": "x", "port": 25, "configured": False}]]))


def of_tables() -> Iterator[Damage]:
    """Logical damage of whole tables."""
    yield Damage("held missing", _sql("DROP TABLE held"))
    yield Damage("door missing", _sql("DROP TABLE door"), spares_all=True)
    yield Damage("history with another column", _sql("ALTER TABLE history RENAME COLUMN body TO said"), spares_all=True)
    other = (
        "DROP TABLE acknowledged",
        "CREATE TABLE acknowledged (name BLOB)",
        "INSERT INTO acknowledged VALUES (x'ff')",
    )
    yield Damage("acknowledged is another table", _sql(*other), spares_all=True)
    yield Damage("column missing", _sql("ALTER TABLE held DROP COLUMN body"))
    yield Damage("column renamed", _sql("ALTER TABLE held RENAME COLUMN body TO text"))
    yield Damage("column more", _sql("ALTER TABLE held ADD COLUMN more TEXT"), spares_all=True)
    retyped = ("CREATE TABLE x (check_id BLOB, target INTEGER, body REAL)", "INSERT INTO x SELECT * FROM held")
    yield Damage("columns of other types", _sql(*retyped, "DROP TABLE held", "ALTER TABLE x RENAME TO held"), True)
    view = ("ALTER TABLE held RENAME TO x", "CREATE VIEW held AS SELECT * FROM x")
    yield Damage("a view", _sql(*view))
    yield Damage("format 0", _sql("PRAGMA user_version=0"), spares_all=True)
    yield Damage("format of noise", _sql("PRAGMA user_version=1684234849"), spares_all=True)
    yield Damage("format below zero", _sql("PRAGMA user_version=-5"), spares_all=True)
    for name, body in {"no JSON": "{", "list": "[]", "nan": '{"at": NaN, "lists": {}}', "inner": '{"at": 1}'}.items():
        yield Damage(f"blocklists {name}", _sql(f"UPDATE door SET body = '{body}'"), spares_all=True)


def of_octets(size: int, chance: random.Random, count: int) -> Iterator[Damage]:
    """Physical damage: truncated, overwritten, zeroed, flipped; and what stands beside the file."""
    noise = chance.randbytes
    places = sorted({*(chance.randrange(size) for _ in range(count // 4)), 0, 1, 15, 16, 100, PAGE - 1, PAGE, PAGE + 1})
    for at in places:
        yield Damage(f"truncated at {at}", _truncated(at))
    for page in range(size // PAGE):
        yield Damage(f"page {page} zeroed", _over(page * PAGE, bytes(PAGE)))
    for at in (0, 16, 18, 24, 28, 56, 60, 92, 100, 105):
        yield Damage(f"head overwritten at {at}", _over(at, noise(4)))
    yield Damage("head overwritten", _over(0, noise(100)))
    yield Damage("all overwritten", _over(0, noise(size)))
    yield Damage("all zeroed", _over(0, bytes(size)))
    for _ in range(count // 4):
        at, length = chance.randrange(size), chance.choice((1, 3, 16, 200, 5000))
        yield Damage(f"{length} octets overwritten at {at}", _over(at, noise(length)))
    for _ in range(count // 8):
        at, bit = chance.randrange(size), chance.randrange(8)
        yield Damage(f"bit {bit} flipped at {at}", _flipped(at, bit))
    for end in ("-wal", "-shm", "-journal"):
        for octets in (b"", b"x", noise(31), noise(32), noise(32768), bytes(40000)):
            yield Damage(f"{end} of {len(octets)} octets", _beside(end, octets), spares_all=True)
        yield Damage(f"{end} is a folder", lambda path, end=end: path.with_name(path.name + end).mkdir(), True)  # type: ignore[misc]  # a default binds it


def shapes(size: int, seed: int, count: int) -> list[Damage]:
    """`count` of them, or all that there are, in an order that the seed decides."""
    chance = random.Random(seed)
    every = [*of_rows(), *of_tables(), *of_octets(size, chance, 371)]
    chance.shuffle(every)
    return every[:count]
