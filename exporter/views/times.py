"""Formats times and durations for people and programs."""

from __future__ import annotations

from datetime import UTC, datetime


def timestamp(seconds: float | None) -> str | None:
    """Unix seconds as RFC 3339 in UTC, `2026-06-01T12:00:00+00:00`. None and 0 are never, which is None."""
    return _rfc3339(seconds) if seconds else None


def until(seconds: float) -> str:
    """The end of an acceptance. Infinity means that it does not end."""
    return "permanently" if seconds == float("inf") else _rfc3339(seconds)


def ago(seconds: float | None, now: float) -> str:
    """`3 h ago`, `just now`; None and 0 are never."""
    if not seconds:
        return "never"
    past = now - int(seconds)  # the moment is shown beside it in whole seconds
    return "just now" if past < 1 else f"{span(past)} ago"


def span(seconds: float) -> str:
    """A duration in its largest whole unit: `45 s`, `3 min`, `5 h`, `12 d`."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
