"""Whether so much leaves the configuration that it looks like a mistake: a file that came empty, a wrong pattern.

A reload that drops more than `limits.reload_drop` of the entries, and at least FEWEST, is refused unless it is forced.
The limit is that of the new configuration, so that one edit can say that it is meant. A start has nothing to keep, so
it only warns.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from exporter.config.settings import Settings

FEWEST = 10
NAMED = 3  # of those that would leave


def many(left: int, before: int, percent: int) -> bool:
    return left >= FEWEST and left * 100 > before * percent


def refusal(before: Settings, now: Settings) -> str | None:
    """Why this reload needs force; None if it needs none."""
    stay, entries = set(now.entries), before.entries
    left = [entry for entry in entries if entry not in stay]
    if not many(len(left), len(entries), now.reload_drop):
        return None
    return (
        f"{len(left):,} of {len(entries):,} senders, domains and mail hosts would leave ({_some(left)}), more than "
        f"limits.reload_drop allows ({now.reload_drop}%): is a file missing or empty? If it is meant, force it with "
        "POST /-/reload?force=true or set limits: {reload_drop: 100%} for this reload; SIGHUP cannot force it"
    )


def warning(gone: Collection[str], saved: int, percent: int) -> str | None:
    """What to say at a start if so many of the saved targets are not configured any more; None: nothing."""
    if not many(len(gone), saved, percent):
        return None
    return (
        f"{len(gone):,} of {saved:,} targets of the state file are not configured any more ({_some(sorted(gone))}): is "
        "a file missing or empty? What is known of them is kept for 7 days"
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join([*names[:NAMED], *(["…"] if len(names) > NAMED else [])])
