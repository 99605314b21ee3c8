"""The pages for a person, as HTML. Everything shown is escaped by the template engine; nothing is scripted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import jinja2

from exporter import __version__
from exporter.text import minute


class Pages:
    """Renders the templates beside this file. `now` is unix seconds."""

    def __init__(self) -> None:
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("exporter.views"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["version"] = __version__
        self._templates.filters["ago"] = ago
        self._templates.filters["moment"] = moment
        self._templates.filters["reading"] = reading

    def render(self, name: str, now: float, **context: Any) -> str:
        return self._templates.get_template(name).render(now=now, **context)


def ago(stamp: str | None, now: float) -> str:
    """`2026-06-01T12:00:00+00:00` as `3 h ago`; never for None."""
    if stamp is None:
        return "never"
    seconds = now - datetime.fromisoformat(stamp).astimezone(UTC).timestamp()
    return "just now" if seconds < 1 else f"{span(seconds)} ago"


def moment(stamp: str) -> str:
    """`2026-06-01T12:00:00+00:00` as `2026-06-01 12:00 UTC`."""
    return datetime.fromisoformat(stamp).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def reading(measure: dict[str, Any]) -> str:
    """A measured value as a person reads it: moments as dates, durations in milliseconds."""
    value = float(measure["value"])
    if measure["name"].endswith("_timestamp_seconds"):
        return minute(value)
    if measure["name"].endswith("_duration_seconds"):
        return f"{value * 1000:.1f} ms"
    return f"{value:.0f}" if value == int(value) else f"{value:.4g}"


def span(seconds: float) -> str:
    """A duration in its largest whole unit: `45 s`, `3 min`, `5 h`, `12 d`."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"
