r"""Reads a zone of octoDNS' YamlProvider: a mapping from names to records (octoDNS documentation, "OctoDNS records").

octoDNS publishes the file as the whole zone: it deletes what is not in it. The rules:

- The file has the zone's name: example.com.yaml. Or the caller says it.
- The NS records of the zone itself stay as DNS has them unless the file has some, and so does the SOA record. A record
  that octoDNS ignores stays, too.
- In TXT, `\;` is a semicolon. A bare one is read as one as well: a setting of octoDNS allows it.
- What depends on where somebody asks, or on one of several providers, is unclear. So are types that are not known here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from exporter import strict_yaml
from exporter.mail.dns import Question, Rdata
from exporter.net.planned.records import MOST_RECORDS, PlannedFile, PlannedFileError, PlannedSet
from exporter.net.planned.zone_file import read_name, read_record, read_text
from exporter.strict_yaml import Node
from exporter.text import printable

USUAL_TTL = 3600  # seconds: the default of octoDNS
_TYPE = re.compile(r"[A-Z][A-Z0-9]{0,15}", re.ASCII)

Form: TypeAlias = Callable[[Node], str]


def parse(name: str, content: bytes, origin: str) -> PlannedFile:
    """Read it. `name` is shown. Raise PlannedFileError."""
    document = strict_yaml.parse(content, most_keys=MOST_RECORDS)
    if document.faults:
        fault = document.faults[0]
        where = ".".join(map(str, fault.path))
        raise PlannedFileError(f"{name}:{fault.line}: {where + ' ' if where else ''}{fault.message}")
    sets: dict[Question, PlannedSet] = {}
    kept: set[Question] = set()
    for label, node in _entries(name, document.root):
        try:
            owner = read_name(label, origin) if label else origin
            question, found = _record(name, owner, node)
            if found is None:
                kept.add(question)
            elif question in sets:
                raise ValueError(f"{question.rdtype} is planned here and in line {sets[question].line}; keep one")
            else:
                sets[question] = found
        except ValueError as error:
            raise PlannedFileError(f"{name}:{node.line}: {printable(label) or 'the zone itself'} {error}") from None
    if not sets:
        raise PlannedFileError(f"{name}: has no record")
    kept |= {Question(origin, "SOA"), *({Question(origin, "NS")} - sets.keys())}
    return PlannedFile(name, origin, sets, frozenset(kept))


def _entries(name: str, root: Node | None) -> Iterator[tuple[str, Node]]:
    if root is None or not isinstance(root.value, dict):
        line = root.line if root else 1
        raise PlannedFileError(f"{name}:{line}: is no zone of octoDNS; names with their records are wanted")
    for label, node in root.value.items():
        for one in node.value if isinstance(node.value, list) else [node]:
            yield label, one


def _record(name: str, owner: str, node: Node) -> tuple[Question, PlannedSet | None]:
    """The record of one entry, or None if it stays as it is. Raise ValueError."""
    if not isinstance(node.value, dict):
        raise ValueError("has no record: a mapping with a type is wanted")  # noqa: TRY004 (of the file, not of a caller)
    keys = node.value
    rdtype = _text(keys.get("type"), "type")
    if not _TYPE.fullmatch(rdtype):
        raise ValueError(f"has the type {printable(rdtype)!r}, which is none")
    question = Question(owner, rdtype)
    lenience = keys.get("octodns")
    special = lenience.value if lenience and isinstance(lenience.value, dict) else {}
    if (ignored := special.get("ignored")) and ignored.value is True:
        return question, None
    ttl = keys["ttl"].value if "ttl" in keys else USUAL_TTL
    if not isinstance(ttl, int) or not 0 <= ttl < 2**31:
        raise ValueError("has a ttl that is no number of seconds")
    unclear = _unclear(rdtype, keys, special)
    records = () if unclear else tuple(dict.fromkeys(_records(rdtype, keys)))
    return question, PlannedSet(records, ttl, name, node.line, unclear)


def _unclear(rdtype: str, keys: Mapping[str, Node], special: Mapping[str, Node]) -> str:
    if odd := keys.keys() & {"geo", "dynamic"}:
        return f"its answer depends on who asks ({min(odd)})"
    if odd := special.keys() & {"included", "excluded"}:
        return f"only some providers get it ({min(odd)})"
    return "" if rdtype in _FORMS else f"records of the type {rdtype} are not read"


def _records(rdtype: str, keys: Mapping[str, Node]) -> Iterator[Rdata]:
    given = keys.get("values", keys.get("value"))
    if given is None:
        raise ValueError("has neither value nor values")
    values = given.value if isinstance(given.value, list) else [given]
    if not values:
        raise ValueError("has no values")
    for value in values:
        if rdtype in ("TXT", "SPF"):
            yield read_text(_quoted(_text(value, "value")))
        else:
            yield read_record("CNAME" if rdtype == "ALIAS" else rdtype, _FORMS[rdtype](value))


def _quoted(text: str) -> str:
    """The inside of the quotes, as octoDNS joins what was cut into strings by hand."""
    if not text.isascii():
        raise ValueError("has a character that is not ASCII in its value")
    return (text[1:-1] if text.startswith('"') else text).replace('" "', "")


def _text(node: Node | None, what: str) -> str:
    value = node.value if node else None
    if isinstance(value, bool):
        return str(value).lower()  # of TXT: octoDNS would refuse it, and nothing else is meant
    if isinstance(value, str | int):
        return str(value)
    raise ValueError(f"has no {what}, or one that is no text")


def _plain(node: Node) -> str:
    return _text(node, "value")


def _host(node: Node) -> str:
    text = _text(node, "value")
    if not text.endswith("."):
        raise ValueError(f"has the value {printable(text)!r} without a dot at its end")
    return text


def _fields(*names: str) -> Form:
    """The values of a mapping, in the order of the record; `a|b` is one that has two names."""

    def form(node: Node) -> str:
        if not isinstance(node.value, dict):
            raise ValueError(f"has a value without {', '.join(names)}")  # noqa: TRY004 (of the file, not of a caller)
        found = []
        for name in names:
            given = next((node.value[it] for it in name.split("|") if it in node.value), None)
            read = _host if name.startswith("exchange") and given else _plain
            found.append(read(given) if given else _text(None, name.partition("|")[0]))
        return " ".join(found)

    return form


_FORMS: Mapping[str, Form] = {
    "A": _plain,
    "AAAA": _plain,
    "ALIAS": _host,
    "CNAME": _host,
    "DNAME": _host,
    "NS": _host,
    "PTR": _host,
    "TXT": _plain,
    "SPF": _plain,
    "MX": _fields("preference|priority", "exchange|value"),
    "DS": _fields("key_tag", "algorithm", "digest_type", "digest"),
    "TLSA": _fields("certificate_usage", "selector", "matching_type", "certificate_association_data"),
}
