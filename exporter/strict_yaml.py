"""Reads YAML without its traps, and remembers the line of each value.

The problem: YAML 1.1 reads `no` as false, `0025` as 21 and `1:20` as 80. Of two equal keys it keeps the last, without a
warning. And 380 bytes of aliases can stand for a hundred million values.

The rules:

- Only `true` and `false` are booleans. Only plain decimals are numbers. An empty value or `null` means nothing is
  there. Everything else is text.
- Anchors, aliases, tags, equal keys and deep nesting are faults, and are reported with their line.
- PyYAML only scans and parses. Its constructors are not used, so no input can create an object.

`parse` remembers lines and finds every fault. `plain` does neither, in half the time: a file without faults needs no
lines. Both read the same values, and a test compares them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import yaml

from exporter.text import printable

LARGEST = 5 * 1024 * 1024  # bytes of one file
DEEPEST = 20  # levels of lists and mappings
MOST_FAULTS = 1000  # told about one file
MOST_KEYS = 1000  # of one mapping, unless the caller allows more
MOST_ITEMS = 50_000  # of one list
LONGEST_KEY = 80  # characters shown of a key

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where PyYAML was built with it
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}", re.ASCII)
_WORDS: Mapping[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}
_NOWHERE = re.compile("[\0\ud800-\udfff]")
_FORBIDDEN = re.compile("[^\\t\\n\\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\U0010ffff]")

Step: TypeAlias = str | int
Path: TypeAlias = tuple[Step, ...]
Plain: TypeAlias = "dict[str, Plain] | list[Plain] | str | int | bool | None"


class YamlFault(NamedTuple):
    line: int
    path: Path
    message: str


class Node:
    """One value, and the line of it or of its key. `broken`: a fault of it has been reported."""

    __slots__ = ("broken", "line", "value")

    def __init__(self, line: int, value: dict[str, Node] | list[Node] | str | int | None, *, broken: bool) -> None:
        self.line = line
        self.value = value
        self.broken = broken

    def plain(self) -> Plain:
        """Dicts, lists and scalars, without the lines."""
        match self.value:
            case dict():
                return {key: child.plain() for key, child in self.value.items()}
            case list():
                return [child.plain() for child in self.value]
            case _:
                return self.value

    def at(self, path: Path) -> tuple[Node, Path]:
        """The node at the path, or the last one that exists on it, and how many steps of the path exist."""
        node, walked = self, 0
        for step in path:
            match node.value, step:
                case dict() as children, str() if step in children:
                    node = children[step]
                case list() as items, int() if 0 <= step < len(items):
                    node = items[step]
                case _:
                    break
            walked += 1
        return node, path[:walked]


@dataclass(frozen=True, slots=True)
class Document:
    root: Node | None  # None: empty, or so broken that nothing can be told about the rest
    faults: tuple[YamlFault, ...]
    cut: bool = False  # there is more than is read: `root` is what came before, good for finding faults alone


class FaultyError(ValueError):
    """The text has a fault. `parse` says which."""


class FaultlessText:
    """A text without faults. Its nodes are made when somebody asks where something stands, which is seldom."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    @cached_property
    def _root(self) -> Node:
        return parse(self._content).root or Node(1, {}, broken=False)

    def at(self, path: Path) -> tuple[Node, Path]:
        """As Node.at."""
        return self._root.at(path)


class _Stop(Exception):  # noqa: N818 (no error of anybody's: nothing more can be read)
    def __init__(self, fault: YamlFault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class _Cut(_Stop):
    """What has been read so far is kept."""


class _Frame:
    """A list or mapping that is being filled."""

    __slots__ = ("key", "line", "node", "path", "skip")

    def __init__(self, node: Node, path: Path) -> None:
        self.node = node
        self.path = path
        self.key: str | None = None  # of the value that comes next
        self.line = 0  # where that key stands
        self.skip = False  # the value that comes next has no place


def plain(content: bytes) -> Plain:
    """Dicts, lists and scalars; None for an empty text. Raise FaultyError where `parse` finds a fault."""
    if len(content) > LARGEST:
        raise FaultyError
    try:
        text = content.decode("utf-8-sig")
        if _FORBIDDEN.search(text):
            raise FaultyError
        return _plain(text)
    except (yaml.YAMLError, ValueError, OverflowError):
        raise FaultyError from None


def data(name: str, content: bytes) -> Any:
    """The same of a file of ours, which is not empty. Raise ValueError with each fault and its line."""
    try:
        found = plain(content)
    except FaultyError:
        faults = (f"line {fault.line} {fault.message}" for fault in parse(content).faults)
        raise ValueError(f"{name}: {'; '.join(faults)}") from None
    if found is None:
        raise ValueError(f"{name}: is empty")
    return found


def _plain(text: str) -> Plain:
    """Raise FaultyError, or what PyYAML raises."""
    escapes = "\\" in text  # without them there is no character that _FORBIDDEN has not seen
    root: Plain = None
    documents = 0
    around: list[dict[str, Plain] | list[Plain] | None] = []  # what is open, from the outside
    top: dict[str, Plain] | list[Plain] | None = None
    key: str | None = None  # in `top`, of the value that comes next
    event: Any
    for event in yaml.parse(text, Loader=_LOADER):
        kind = type(event)
        value: Plain
        if kind is yaml.ScalarEvent:
            if event.anchor is not None or event.tag is not None or (escapes and _NOWHERE.search(event.value)):
                raise FaultyError
            if key is None and isinstance(top, dict):
                key = event.value
                if key in top or len(top) == MOST_KEYS:
                    raise FaultyError
                continue
            value = _scalar(event.value) if event.implicit[0] else event.value
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            if event.anchor is not None or event.tag is not None or len(around) == DEEPEST:
                raise FaultyError
            value = {} if kind is yaml.MappingStartEvent else []
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            top = around.pop()
            continue
        else:
            documents += kind is yaml.DocumentStartEvent
            if documents > 1 or kind is yaml.AliasEvent:
                raise FaultyError
            continue
        if isinstance(top, list):
            if len(top) == MOST_ITEMS:
                raise FaultyError
            top.append(value)
        elif isinstance(top, dict):
            if key is None:
                raise FaultyError
            top[key] = value
            key = None
        else:
            root = value
        if isinstance(value, dict | list):
            around.append(top)
            top = value
    return root


def parse(content: bytes, *, most_keys: int = MOST_KEYS) -> Document:
    """Parse. Faults are in `faults`, nothing is raised. Time and memory are linear. `most_keys`: of one mapping."""
    if len(content) > LARGEST:
        return Document(None, (YamlFault(1, (), f"is larger than {LARGEST // 1024 // 1024} MiB"),))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return Document(None, (YamlFault(line, (), "is not UTF-8 text; save the file as UTF-8"),))
    if odd := _FORBIDDEN.search(text):
        line = text.count("\n", 0, odd.start()) + 1
        return Document(None, (YamlFault(line, (), f"holds the control character U+{ord(odd[0]):04X}; remove it"),))
    return _Builder(most_keys).build(text)


class _Builder:
    def __init__(self, most_keys: int) -> None:
        self._most_keys = most_keys
        self._faults: list[YamlFault] = []
        self._stack: list[_Frame] = []
        self._root: Node | None = None
        self._documents = 0
        self._cut = False

    def build(self, text: str) -> Document:
        try:
            for event in yaml.parse(text, Loader=_LOADER):
                self._take(event)
        except _Stop as stop:
            self._faults.append(stop.fault)
            self._cut = isinstance(stop, _Cut)
            self._root = self._root if self._cut else None
        except (yaml.YAMLError, ValueError, OverflowError) as error:  # without libyaml, `"\\UFFFFFFFF"` is the latter
            mark = getattr(error, "problem_mark", None)
            what = printable(getattr(error, "problem", None) or "it cannot be read", 200)
            self._faults.append(YamlFault(mark.line + 1 if mark else 1, (), f"is no valid YAML: {what}"))
            self._root = None
        return Document(self._root, tuple(self._faults), self._cut)

    def _take(self, event: Any) -> None:
        line = event.start_mark.line + 1
        match event:
            case yaml.ScalarEvent():  # first, because most are
                self._scalar(event, line)
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise _Stop(YamlFault(line, (), "starts a second document; keep one document in a file"))
            case yaml.MappingStartEvent():
                self._open(event, Node(line, {}, broken=False))
            case yaml.SequenceStartEvent():
                self._open(event, Node(line, [], broken=False))
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._stack.pop()
            case yaml.AliasEvent():
                self._no_key(line)
                self._fault(line, f"uses the alias *{_short(event.anchor)}; write the value out")
                self._put(Node(line, None, broken=True))
            case _:  # begin and end of the stream, end of the document
                pass

    def _open(self, event: Any, node: Node) -> None:
        self._no_key(node.line)
        self._decorations(event, node)
        frame = _Frame(node, self._here())
        self._put(node)
        self._stack.append(frame)
        if len(self._stack) > DEEPEST:
            raise _Stop(YamlFault(node.line, (), f"is nested more than {DEEPEST} levels deep; nothing here needs that"))

    def _scalar(self, event: Any, line: int) -> None:
        if (odd := _NOWHERE.search(event.value)) is not None:
            raise _Stop(
                YamlFault(line, (), f"holds the character U+{ord(odd[0]):04X}, which no name or label may hold")
            )
        top = self._stack[-1] if self._stack else None
        if top is not None and isinstance(top.node.value, dict) and top.key is None:
            self._key(top, event, line)
            return
        plain = event.implicit[0] and event.tag is None
        node = Node(line, _scalar(event.value) if plain else event.value, broken=False)
        self._decorations(event, node)
        self._put(node)

    def _key(self, top: _Frame, event: Any, line: int) -> None:
        key = event.value
        top.key, top.line = key, line
        children = top.node.value
        assert isinstance(children, dict)  # noqa: S101 (the caller looked)
        top.skip = key in children
        if top.skip:
            self._fault(line, f"is written twice: here and in line {children[key].line}; keep one")
        elif len(children) == self._most_keys:
            raise _Cut(YamlFault(line, top.path, f"has more than {self._most_keys} keys; the rest was not read"))
        self._decorations(event, None)

    def _decorations(self, event: Any, node: Node | None) -> None:
        line = event.start_mark.line + 1
        if event.anchor is not None:
            self._fault(line, f"has the anchor &{_short(event.anchor)}; remove it, aliases are not read")
        if event.tag is not None:
            self._fault(line, f"has the tag {_short(event.tag)}; remove it, and quote the value if it is text")
            if node is not None:
                node.broken = True

    def _no_key(self, line: int) -> None:
        top = self._stack[-1] if self._stack else None
        if top is not None and isinstance(top.node.value, dict) and top.key is None:
            raise _Stop(YamlFault(line, top.path, "has a key that is no text; a key is one word before a colon"))

    def _put(self, node: Node) -> None:
        if not self._stack:
            self._root = node
            return
        top = self._stack[-1]
        if isinstance(top.node.value, list):
            if len(top.node.value) == MOST_ITEMS:
                how = "the rest was not read; divide them among several files"
                raise _Cut(YamlFault(node.line, top.path, f"has more than {MOST_ITEMS:,} items; {how}"))
            top.node.value.append(node)
        elif isinstance(top.node.value, dict) and top.key is not None:
            if not top.skip:
                node.line = top.line  # people look for the key
                top.node.value[top.key] = node
            top.key, top.skip = None, False

    def _here(self) -> Path:
        """The path of the value that comes next."""
        if not self._stack:
            return ()
        top = self._stack[-1]
        if isinstance(top.node.value, list):
            return (*top.path, len(top.node.value))
        return top.path if top.key is None else (*top.path, top.key)

    def _fault(self, line: int, message: str) -> None:
        if len(self._faults) == MOST_FAULTS:
            raise _Stop(YamlFault(line, (), f"follows {MOST_FAULTS} other faults; the rest was not read"))
        self._faults.append(YamlFault(line, self._here(), message))


def _scalar(text: str) -> str | int | bool | None:
    if text in _WORDS:
        return _WORDS[text]
    return int(text) if _WHOLE.fullmatch(text) else text


def _short(text: str | None) -> str:
    return printable(text, LONGEST_KEY)
