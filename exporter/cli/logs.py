"""Log lines as logfmt or JSON on standard error: one event a line, remote text escaped.

An event may have fields of its own: `extra={"fields": {...}}`, text by name.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from exporter.text import printable

LONGEST = 2000  # characters of one message
LONGEST_TRACE = 8000  # characters, of which the last ones tell most


class _Line(logging.Formatter):
    def _fields(self, record: logging.LogRecord) -> dict[str, str]:
        fields = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": printable(record.getMessage(), LONGEST),
        }
        own: dict[str, str] = getattr(record, "fields", {})
        fields |= {name: printable(value, LONGEST) for name, value in own.items() if name not in fields}
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)[-LONGEST_TRACE:]
        return fields


class Logfmt(_Line):
    def format(self, record: logging.LogRecord) -> str:
        return " ".join(f"{key}={_quoted(value)}" for key, value in self._fields(record).items())


class Json(_Line):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(self._fields(record))


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if not value or set(value) & set(' "=\n') else value


def configure(level: str, kind: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Json() if kind == "json" else Logfmt())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
