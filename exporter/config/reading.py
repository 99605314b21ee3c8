"""Reads the configuration files and validates each entry by itself. build.py validates entries against each other.

Nothing but load.py imports this, when there is a file to read: pydantic and the models load in 0.1 s.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exporter import strict_yaml
from exporter.config import schema, validation
from exporter.config.build import Build, Placed
from exporter.config.fields import WRITE_A_LIST, kind
from exporter.config.load import shipped_blocklists
from exporter.config.problems import ConfigProblem, Problems, Where, quoted
from exporter.config.schema import Config, Entries, IncludeEntry, Keys
from exporter.config.settings import Settings
from exporter.engine.catalogue import Catalogue
from exporter.files import Files
from exporter.strict_yaml import FaultlessText, FaultyError, Node
from exporter.text import printable

SOME = 5000  # entries looked at where a file is refused anyway, because it has too many
LARGEST_TOGETHER = 20 * 1024 * 1024  # bytes of all files
MOST_FILES = 1000  # read for one configuration


def read(path: Path, catalogue: Catalogue, files: Files) -> Settings:
    """The configuration in a file and in the files that it includes. Raise ConfigError with all problems."""
    return _Reading(catalogue, files).load(path)


@dataclass
class _Piece:
    """One file with its content."""

    name: str
    root: Node | FaultlessText
    content: dict[str, Any]

    @property
    def where(self) -> Where:
        return Where(self.name, self.root, ())


@dataclass
class _Reading:
    """One attempt to read a configuration."""

    catalogue: Catalogue
    reader: Files
    warnings: list[ConfigProblem] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    problems: Problems = field(init=False)
    digest: Any = field(default_factory=hashlib.sha256)
    entries: dict[str, list[Placed[Any]]] = field(default_factory=lambda: {name: [] for name in schema.LISTS})
    size: int = 0  # bytes read so far
    cut: bool = False  # a file was not read to its end
    nameless: bool = False  # the name of a sender could not be understood

    def __post_init__(self) -> None:
        self.problems = Problems(self.files)

    def load(self, path: Path) -> Settings:
        main = self._read(path)
        if main is None:
            raise self.problems.error()
        config, failed = self._general(main)
        self._lists(main, Config)
        if "include" not in failed:
            for more in self._included(path, main.where, config.include):
                piece = self._read(more)
                if piece is not None:
                    self._strangers(piece, Entries)
                    self._lists(piece, Entries)
        if self.cut:  # what belongs together is not all there
            raise self.problems.error()
        build = self.build(config, path.parent, failed, main)
        if self.problems:
            raise self.problems.error()
        return self.settings(config, build)

    def build(self, config: Config, home: Path, failed: set[str], main: _Piece) -> Build:
        build = Build(
            config=config,
            entries=self.entries,
            catalogue=self.catalogue,
            shipped=shipped_blocklists(),
            home=home,
            files=self.reader,
            top=main.where,
            failed=frozenset(failed),
            own_blocklists="blocklists" in main.content,
            nameless=self.nameless,
            problems=self.problems,
            warnings=self.warnings,
        )
        build.judge()
        return build

    def settings(self, config: Config, build: Build) -> Settings:
        return build.settings(config, tuple(self.files), self.digest.hexdigest())

    def _read(self, path: Path) -> _Piece | None:
        """The file as a mapping. If it is none, the problem is reported and the result is None."""
        name = printable(path)  # a name that a pattern has found may hold anything
        self.files.append(name)
        try:
            content = self.reader.read(path, strict_yaml.LARGEST + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no path"
            self.problems.add(ConfigProblem(name, 0, "", f"cannot be read: {reason}"))
            return None
        self.size += len(content)
        if self.size > LARGEST_TOGETHER:
            largest = f"{LARGEST_TOGETHER // 1024 // 1024} MiB"
            self.problems.add(ConfigProblem(name, 0, "", f"brings the files to more than {largest}; divide the fleet"))
            raise self.problems.error()
        self.digest.update(hashlib.sha256(content).digest())
        root: Node | FaultlessText
        try:
            found, root = strict_yaml.plain(content), FaultlessText(content)
        except FaultyError:
            read = strict_yaml.parse(content)
            root = read.root or Node(1, {}, broken=False)
            for fault in read.faults:
                self.problems.add(Where(name, root, fault.path).problem(fault.message)._replace(line=fault.line))
            self.cut = self.cut or read.cut
            if read.root is None and read.faults:
                return None
            found = root.plain()
        found = {} if found is None else found
        if not isinstance(found, dict):
            self.problems.report(
                Where(name, root, ()), f"expected a mapping, got {kind(found)}; write `key: value` lines"
            )
            return None
        return _Piece(name, root, found)

    def _general(self, main: _Piece) -> tuple[Config, set[str]]:
        """All keys except the lists of entries. Keys with a fault are reported and keep their default."""
        failed = self._strangers(main, Config)
        rest = {key: value for key, value in main.content.items() if key not in failed and key not in schema.LISTS}
        config, _ = validation.validate(Config, rest, self.catalogue)
        return config or Config(), failed

    def _strangers(self, piece: _Piece, model: type[Entries]) -> set[str]:
        """Report the problems outside the lists of entries, and return the keys that have them."""
        lists = schema.LISTS.keys() & model.model_fields.keys()
        rest = {key: value for key, value in piece.content.items() if key not in lists}
        failed: set[str] = set()
        for place, message in validation.validate(model, rest, self.catalogue)[1] or ():
            self.problems.report(Where(piece.name, piece.root, place), message)
            failed.add(str(place[0]))
        return failed

    def _lists(self, piece: _Piece, model: type[Entries]) -> None:
        for key, shape in schema.LISTS.items():
            if key in piece.content and key in model.model_fields:
                self._list(piece, key, shape)

    def _list(self, piece: _Piece, key: str, shape: type[Keys]) -> None:
        where, items = piece.where / key, piece.content[key]
        if not isinstance(items, list):
            noun = key.replace("_", " ")
            self.problems.report(where, f"expected a list of {noun}, got {kind(items)}; {WRITE_A_LIST}")
            self.nameless = self.nameless or key == "senders"
            return
        for number, item in enumerate(items[:SOME] if self.cut else items):
            self.reader.go_on()
            given = {"name": item} if key == "blocklists" and not isinstance(item, dict | list) else item
            entry, wrong = validation.validate(shape, given, self.catalogue)
            failed: set[str] = set()
            for place, message in wrong or ():
                self.problems.report(Where(piece.name, piece.root, (key, number, *place)), message)
                failed.update(map(str, place[:1]))
            if entry is None and isinstance(given, dict):  # the rest of it may be wrong in other ways
                rest = {name: value for name, value in given.items() if name not in failed}
                entry, _ = validation.validate(shape, rest, self.catalogue)
            if entry is not None:
                self.entries[key].append(Placed(entry, where / number, frozenset(failed)))
            elif key == "senders":
                self.nameless = True

    def _included(self, main: Path, top: Where, patterns: Iterable[IncludeEntry]) -> Iterator[Path]:
        """The files the patterns name, each once."""
        seen = {self._real(main)}
        for number, pattern in enumerate(patterns):
            where = top / "include" / number
            found = self.reader.matches(pattern.path, main.parent, MOST_FILES + 1)
            if not found and not pattern.optional:
                self.problems.report(
                    where,
                    f"{quoted(pattern.path)} matches no file; correct it, or write "
                    f"{{path: {quoted(pattern.path)}, optional: true}} if there may be none",
                )
            if len(found) > MOST_FILES:
                self.problems.report(where, f"names more than {MOST_FILES} files; name those that are meant")
                continue
            for path in sorted(main.parent / name for name in found):
                real = self._real(path)
                if real in seen:
                    continue
                seen.add(real)
                if len(seen) > MOST_FILES:
                    self.problems.report(where, f"brings the files to more than {MOST_FILES}; put some together")
                    return
                yield path

    def _real(self, path: Path) -> str:
        return self.reader.waiting_for(path, lambda: os.path.realpath(path))  # Path.resolve raises in a loop of links
