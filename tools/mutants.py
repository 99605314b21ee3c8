"""`python -m tools.mutants [SAMPLE [SEED]]` says how many changes of the core the tests notice, file by file.

mutmut makes the changes ("mutants") and runs the tests that reach each; pyproject.toml says of which files and with
which tests. It would take an hour for all, so a sample of each file is drawn by the seed: SAMPLE mutants, 0 for all.
A mutant that no test can tell from the original is listed in tools/equivalent_mutants.toml with the reason, and counts
neither way.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

Change: TypeAlias = tuple[str, str, str]  # function, the line before, the line after

HOME = Path(__file__).parents[1]
MADE = HOME / "mutants"
EQUIVALENT = HOME / "tools" / "equivalent_mutants.toml"
SAMPLE, SEED = 30, 10554
WANTED = 95.0  # percent
SURVIVED = (0, 5, 33)  # exit codes: no test failed, or none reaches it


def main(sample: int = SAMPLE, seed: int = SEED) -> int:
    """0 if enough are killed, 1 if not."""
    shutil.rmtree(MADE, ignore_errors=True)
    _mutmut("run", "exporter.engine.store.*keys*")  # makes all, and notes which tests reach them
    drawn = list(_drawn(sample, seed))
    _mutmut("run", *drawn)
    results = _results()
    equivalent = _equivalent()
    survivors = [name for name in drawn if results[name] in SURVIVED]
    changes = {name: _change(name) for name in survivors}
    real = [name for name in survivors if changes[name] not in equivalent]
    score = 100.0
    _say("| Module | Mutants | Drawn | Equivalent | Survived | Killed |\n|---|---|---|---|---|---|")
    for module in [*sorted({_module(name) for name in drawn}), "all"]:
        of = [name for name in drawn if module in (_module(name), "all")]
        made = sum(module in (_module(name), "all") for name in results)
        alive = sum(name in real for name in of)
        same = sum(name in survivors for name in of) - alive
        score = 100 * (1 - alive / max(1, len(of) - same))
        _say(f"| `{module}` | {made} | {len(of)} | {same} | {alive} | {score:.1f} % |")
    for name in real:
        _say(f"\n{name}: {results[name]}")
        _say("  - {}\n  + {}".format(*changes[name][1:]))
    return int(score < WANTED)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _mutmut(*arguments: str) -> str:
    command = [str(Path(sys.executable).with_name("mutmut")), *arguments]
    ran = subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=False)  # noqa: S603  (our own words)
    if ran.returncode:
        raise RuntimeError(f"mutmut {arguments[0]} failed:\n{ran.stdout[-3000:]}{ran.stderr[-3000:]}")
    return ran.stdout


def _results() -> dict[str, int | None]:
    """The exit code of the tests, by mutant; None if it was not tried."""
    codes: dict[str, int | None] = {}
    for path in sorted(MADE.rglob("*.meta")):
        codes |= json.loads(path.read_text("utf-8"))["exit_code_by_key"]
    return codes


def _drawn(sample: int, seed: int) -> Iterator[str]:
    files: dict[str, list[str]] = {}
    for name in sorted(_results()):
        files.setdefault(_module(name), []).append(name)
    for module, names in sorted(files.items()):
        chance = random.Random(f"{seed} {module}")  # noqa: S311  (which ones is no secret)
        yield from names if not sample else sorted(chance.sample(names, min(sample, len(names))))


def _module(name: str) -> str:
    """Without the function: it is an identifier, so the last part."""
    return name.removeprefix("exporter.").rpartition(".")[0]


def _change(name: str) -> Change:
    """The lines that differ. The function is told without the number of the mutant, which moves."""
    lines = [line for line in _mutmut("show", name).splitlines() if line[:1] in ("-", "+") and line[:3] not in _HEADS]
    before = " ".join(line[1:].strip() for line in lines if line.startswith("-"))
    after = " ".join(line[1:].strip() for line in lines if line.startswith("+"))
    return name.partition("__mutmut_")[0], before, after


_HEADS = ("---", "+++")


def _equivalent() -> set[Change]:
    entries = tomllib.loads(EQUIVALENT.read_text("utf-8"))["mutant"]
    return {(f"exporter.{it['in']}", it["line"], it["becomes"]) for it in entries}


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
