"""The problems of a configuration. All are collected, each with its file, line and path, and reported together."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from exporter.strict_yaml import FaultlessText, Node, Path
from exporter.text import printable

SHOWN = 100  # problems written out; the rest is counted
MOST_PROBLEMS = 1000  # looked for; whoever has so many does not need the next
LONGEST_GUESS = 64  # characters of a name for which a near one is looked for
MOST_GUESSES = 600  # names that a near one is looked for among


class ConfigProblem(NamedTuple):
    """`config.yaml:31 domains[2].dkim_selectors: expected a list of names, got text`."""

    file: str
    line: int  # 0 where none applies
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}{self.path and f' {self.path}'}: {self.message}"


class ConfigError(Exception):
    """The configuration cannot be used. `problems` has all its problems, or the first and `more` others at least."""

    def __init__(self, problems: Iterable[ConfigProblem], more: int = 0) -> None:
        self.problems = tuple(problems)
        self.more = more
        super().__init__(self.text)

    @property
    def text(self) -> str:
        """One problem a line."""
        lines = [str(problem) for problem in self.problems[:SHOWN]]
        if rest := max(0, len(self.problems) - SHOWN) + self.more:
            lines.append(f"… and {'at least ' if self.more else ''}{rest:,} more problems")
        return "\n".join(lines)


class Where(NamedTuple):
    """A place in a file: what a problem points at."""

    file: str
    root: Node | FaultlessText
    path: Path

    def __truediv__(self, step: str | int) -> Where:
        return tuple.__new__(Where, (self.file, self.root, (*self.path, step)))  # an entry makes many

    @property
    def line(self) -> int:
        return self.root.at(self.path)[0].line

    @property
    def broken(self) -> bool:
        """Has the YAML reader already reported a fault there?"""
        return self.root.at(self.path)[0].broken

    def problem(self, message: str) -> ConfigProblem:
        return ConfigProblem(self.file, self.line, dotted(self.path), message)

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {dotted(self.path)}"


class Problems:
    """What has been found so far, in the files in this order."""

    def __init__(self, files: Sequence[str]) -> None:
        self._files = files
        self._found: list[ConfigProblem] = []

    def __len__(self) -> int:
        return len(self._found)

    def report(self, where: Where, message: str) -> None:
        """Add a problem, unless the YAML reader has reported this place. Raise ConfigError if there are too many."""
        if not where.broken:
            self.add(where.problem(message))

    def add(self, problem: ConfigProblem) -> None:
        if len(self._found) == MOST_PROBLEMS:
            raise self.error(more=1)
        self._found.append(problem)

    def error(self, more: int = 0) -> ConfigError:
        order = {name: number for number, name in enumerate(self._files)}
        return ConfigError(sorted(dict.fromkeys(self._found), key=lambda p: (order[p.file], p.line)), more)


def dotted(path: Path) -> str:
    """`domains[2].dkim_selectors`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{printable(step, 80)}" for step in path)
    return text.removeprefix(".")


def quoted(value: object) -> str:
    """A value as shown in a message: safe and short."""
    return f"'{printable(value, 60)}'"


def did_you_mean(name: str, known: Collection[str]) -> str:
    """The nearest known name. If none is near and there are only a few, all of them."""
    names = sorted(known) if len(known) <= MOST_GUESSES else []
    near = difflib.get_close_matches(name, names, n=1) if len(name) <= LONGEST_GUESS else []
    if near:
        return f"did you mean {near[0]}?"
    return f"known are {', '.join(names)}" if 0 < len(names) <= 12 else "there is none like it"
