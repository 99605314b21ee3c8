"""What the lists said of a name not long ago, for checks that look more often than the lists like to be asked.

Only what was said without any doubt is remembered; lists that nobody believes do not matter. A listing counts no longer
than nothing has changed in what is known of the lists, because a list that dies takes its listings with it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from exporter.net.dnsbl.verdict import ListVerdict

LONGEST = 3600.0  # seconds that anything is remembered


class RecentVerdicts:
    """By subject and lists. Times are monotonic seconds; `revision` is that of the client."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[str, ...], tuple[float, int, list[ListVerdict]]] = OrderedDict()

    def get(self, key: tuple[str, ...], since: float, revision: int) -> list[ListVerdict] | None:
        """The verdicts, unless they are older than `since`."""
        held = self._held.get(key)
        if held is None:
            return None
        at, before, verdicts = held
        if at < since or (before != revision and any(verdict.listing for verdict in verdicts)):
            return None
        return verdicts

    def put(self, key: tuple[str, ...], now: float, revision: int, verdicts: Sequence[ListVerdict]) -> None:
        """Take them up, if each list that can be believed has said something, and forget what is too old."""
        while self._held and next(iter(self._held.values()))[0] < now - LONGEST:
            self._held.popitem(last=False)
        self._held.pop(key, None)
        believed = [verdict for verdict in verdicts if verdict.quorum]
        if all(verdict.doubt is None and (verdict.listing or verdict.clean) for verdict in believed):
            self._held[key] = now, revision, list(verdicts)
