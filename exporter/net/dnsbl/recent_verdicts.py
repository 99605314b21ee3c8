"""Remembers recent verdicts on a name, for checks that run more often than the lists may be asked.

Only verdicts without a doubt are remembered. Unhealthy lists do not matter beside a healthy one. A listing is not
reused after the state of any list has changed, because the listings of a list that dies must not outlive it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from exporter.net.dnsbl.verdict import ListVerdict

LONGEST = 3600.0  # seconds that anything is remembered


class RecentVerdicts:
    """By subject and lists. Times are monotonic seconds; `revision` is that of the client."""

    def __init__(self) -> None:
        self._verdicts: OrderedDict[tuple[str, ...], tuple[float, int, list[ListVerdict]]] = OrderedDict()

    def get(self, key: tuple[str, ...], since: float, revision: int) -> list[ListVerdict] | None:
        """The verdicts, unless they are older than `since`."""
        recent = self._verdicts.get(key)
        if recent is None:
            return None
        at, before, verdicts = recent
        if at < since or (before != revision and any(verdict.listing for verdict in verdicts)):
            return None
        return verdicts

    def put(self, key: tuple[str, ...], now: float, revision: int, verdicts: Sequence[ListVerdict]) -> None:
        """Remember the verdicts if each healthy list has answered and needs no other look. Forget old ones."""
        while self._verdicts and next(iter(self._verdicts.values()))[0] < now - LONGEST:
            self._verdicts.popitem(last=False)
        self._verdicts.pop(key, None)
        needed = [verdict for verdict in verdicts if verdict.quorum]
        settled = all(verdict.again is None for verdict in verdicts)
        if (
            needed
            and settled
            and all(verdict.doubt is None and (verdict.listing or verdict.clean) for verdict in needed)
        ):
            self._verdicts[key] = now, revision, list(verdicts)
