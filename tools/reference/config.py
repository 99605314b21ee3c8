"""Every key of the configuration, from the schema that editors use. So the page, the editor and the errors agree."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from exporter.config import schema
from exporter.publish.markdown import code, joined, plain, sentence, table
from tools.reference.made import MADE

_Schema: TypeAlias = dict[str, Any]

# What stands for the keys of a mapping that has no keys of its own.
NAMES = {"schedule": "CHECK", "checks": "CHECK", "severities": "FINDING", "labels": "NAME"}

SHARED = tuple(schema.TargetEntry.model_fields)  # what all entries have stands behind what is their own
PATTERNS = {f"^{schema.DURATION_PATTERN}$": schema.A_DURATION}  # where the schema has no room for words

NO_DEFAULT = "none"
REQUIRED = "required"
OF_ITS_KEYS = "of its keys"

_DEFAULT = re.compile(r"[.;] [Dd]efault: (?P<value>.+)$")
_CHOICE = re.compile(r"\^\((?P<words>[a-z_|]+)\)\$")

_HEAD = """\
One YAML file, and those that it includes. [config.example.yaml](../../config.example.yaml) shows every key at work;
editors that know JSON schema use [config.schema.json](../../exporter/data/config.schema.json).

- `deliverability-exporter --config.file=FILE --config.check` tells everything that is wrong, with file, line and path,
  and exits with 64; what is good but doubtful is a warning.
- Unknown keys, keys written twice, anchors, aliases and tags are errors. Only `true` and `false` are switches.
- Durations are `15s`, `5m`, `1h` or `2d`. Names may be written in any case and in any script; they are shown as DNS
  has them.
- `SIGHUP` reloads, all or nothing.
- Secrets stand in files or the environment: `zone_file`, `zone_env`.

In the paths below, `[]` is each entry of a list. Words in capitals are your own names, or those of a check or
finding."""


class ConfigKey(NamedTuple):
    """One key. `path` is as errors write it, with [] for any entry; `default` is Markdown."""

    path: str
    kind: str
    default: str
    meaning: str

    @property
    def row(self) -> tuple[str, ...]:
        return code(self.path), plain(self.kind), self.default, plain(self.meaning)


def page() -> str:
    whole = schema.schema()
    top = list(_keys(whole, whole, "", deep=False))
    below = {key.path: list(_below(whole, whole["properties"][key.path], key.path)) for key in top}
    rows = [(f"[{key.row[0]}](#{key.path})" if below[key.path] else key.row[0], *key.row[1:]) for key in top]
    return joined(
        "# Configuration",
        MADE,
        _HEAD,
        "## Top level",
        _table(rows),
        *(
            joined(f"## {key.path}", plain(sentence(key.meaning)), _table(it.row for it in below[key.path]))
            for key in top
            if below[key.path]
        ),
    )


def all_keys() -> Iterator[ConfigKey]:
    """All there are, in the order of the schema."""
    whole = schema.schema()
    return _keys(whole, whole, "")


def _table(rows: Iterable[Sequence[str]]) -> str:
    return table(("Key", "Kind", "Default", "Meaning"), rows)


def _keys(schema: _Schema, part: _Schema, above: str, *, deep: bool = True) -> Iterator[ConfigKey]:
    shared = SHARED if above else ()
    for name, it in sorted(part["properties"].items(), key=lambda item: (item[0] in shared, item[0] != "name")):
        path = f"{above}.{name}" if above else name
        yield ConfigKey(path, _kind(it, name), _default(it, needed=name in part.get("required", ())), _meaning(it))
        if deep:
            yield from _below(schema, it, path)


def _below(schema: _Schema, it: _Schema, path: str) -> Iterator[ConfigKey]:
    """The keys that what stands there may have."""
    if "$ref" in it:
        yield from _keys(schema, schema["$defs"][it["$ref"].rpartition("/")[2]], path)
    for choice in it.get("anyOf", ()):
        yield from _below(schema, choice, path)
    if "items" in it:
        yield from _below(schema, it["items"], f"{path}[]")
    if "additionalProperties" in it:
        yield from _below(schema, it["additionalProperties"], f"{path}.{NAMES[path.rpartition('.')[2]]}")


def _kind(it: _Schema, name: str) -> str:
    """What may stand there, in words."""
    if "anyOf" in it:
        return ", or ".join(_kind(choice, name) for choice in reversed(it["anyOf"]))
    if choice := _CHOICE.fullmatch(it.get("pattern", "")):
        *most, last = choice["words"].split("|")
        return f"{', '.join(most)} or {last}"
    match it.get("type"):
        case "array":
            return f"list; each {_kind(it['items'], name)}"
        case "object":
            return f"mapping; each {NAMES[name]} has {_kind(it['additionalProperties'], name)}"
        case "integer":
            return f"a whole number from {it['minimum']} to {it['maximum']}"
        case "boolean":
            return "true or false"
        case "string":
            return str(it.get("title") or PATTERNS.get(it.get("pattern", ""), "text"))
        case _:
            return "a mapping"


def _default(it: _Schema, *, needed: bool) -> str:
    if needed:
        return REQUIRED
    if "default" in it:
        return code(_written(it["default"]))
    told = _DEFAULT.search(it["description"])
    return plain(told["value"]) if told else OF_ITS_KEYS if "$ref" in it else NO_DEFAULT


def _written(value: Any) -> str:
    """As YAML has it."""
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    return value if isinstance(value, str) else json.dumps(value)


def _meaning(it: _Schema) -> str:
    return _DEFAULT.sub("", it["description"])
