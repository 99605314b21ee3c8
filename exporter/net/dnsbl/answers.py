"""One list's answers about one subject, and when a change of them counts.

The problem: a list can be wrong about one subject while its test points are right. One broken mirror of five is enough.

The rules (truth rule 3 of the contract):

- A change counts only after a second look. It is made past our cache, once the TTL of the first answer is over, and
  must say the same. The list must also pass a test after the first look, and not long before the second or later.
- For each contradiction within a day, two more looks must say the same. Each look waits for another TTL.
- Two looks that disagree are doubt. The verdict from before the first look still counts.
- A listing does not end while the list names the subject in half of at least 6 looks of the last 6 hours. The looks
  must be spread over most of that time, because a few looks in a row would be chance.
- A subject that a list names in every second answer is listed, although its looks disagree. To tell it from one that is
  named by mistake in every fifth answer takes some 40 answers: it is looked at again and again until that is decided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

from exporter.facts import Severity
from exporter.mail.dns import Reply
from exporter.mail.dnsbl.blocklist import Blocklist, Listed, ListError

HOUR, DAY = 3600.0, 86400.0
NEVER = float("-inf")
LOOKS_FOR = 6 * HOUR  # seconds in which looks count towards LOOKS
LOOKS_KEPT = 200  # of a day
NAMED, NOT_NAMED = math.log(0.5 / 0.2), math.log(0.5 / 0.8)  # what an answer says for "every second", not "every fifth"
SUSPICION = 1.3  # as a sum of these, from where more looks are made,
CERTAINTY = 8.0  # and from where the subject is listed
LOOKS = 6  # with fewer looks, we do not know how often a list names the subject
APART = HOUR / 2  # seconds between those looks: what is seen in a row is one look
SPREAD = 4.5 * HOUR  # seconds from the first look to the last; likewise


@dataclass(frozen=True, slots=True)
class Listing:
    """The subject is listed. `since` is unix seconds, `text` is the list's own text."""

    codes: tuple[str, ...]
    meaning: str
    severity: Severity
    remedy: str
    since: float
    text: str = ""


@dataclass(frozen=True, slots=True)
class ListAnswer:
    """One conclusive answer (`said`; None means "no"), and what counted then (`listing`). If they differ, it waits."""

    generation: int
    at: float  # monotonic seconds
    said: Listing | None = None
    listing: Listing | None = None
    again: float = NEVER  # when the next look may be made, in monotonic seconds
    agreed: int = 0  # further looks that have said the same as the first
    second: int | None = None  # the generation of the last look that was needed, once it has said the same
    second_at: float = NEVER
    disputed: bool = False  # the latest two looks disagreed

    @property
    def unconfirmed(self) -> bool:
        """Does it still have to be confirmed?"""
        return self.said != self.listing

    @property
    def wants_second_look(self) -> bool:
        return self.unconfirmed and self.second is None


Look: TypeAlias = tuple[float, Listing | None]  # monotonic seconds, and what the list said


def same(one: Listing | None, other: Listing | None) -> bool:
    """Do two answers say the same of a subject?"""
    return (one.codes if one else None) == (other.codes if other else None)


def agree(first: ListAnswer, second: Listing | None) -> bool:
    """Does a second look say the same? If no listing counts yet, the code of a new one may vary."""
    return same(second, first.said) or bool(second and first.said and not first.listing)


def weight(looks: Sequence[Look]) -> float:
    """How much the looks say that the list names the subject in every second answer (CUSUM, Page 1954)."""
    total = 0.0
    for _, listing in looks:
        total = min(max(0.0, total + (NAMED if listing else NOT_NAMED)), CERTAINTY)
    return total


def half_named(looks: Sequence[Look]) -> bool:
    """Has the list named the subject in half of enough looks, after a "no" too?"""
    if not _came_back(looks):
        return False
    lately: list[Look] = []
    for look in looks:
        if looks[-1][0] - look[0] < LOOKS_FOR and (not lately or look[0] - lately[-1][0] >= APART):
            lately.append(look)
    named = sum(1 for _, listing in lately if listing)
    return len(lately) >= LOOKS and named * 2 >= len(lately) and lately[-1][0] - lately[0][0] >= SPREAD


def comes_and_goes(looks: Sequence[Look]) -> bool:
    """Does the list name the subject again and again, so that a "no" does not end a listing?"""
    return half_named(looks) or (_came_back(looks) and weight(looks) >= SUSPICION)


def often_named(looks: Sequence[Look]) -> Listing | None:
    """The latest listing, if the list names the subject in every second answer and its looks disagree; else None.

    Half of a few looks can be chance. It counts only if none were made in between, which would tell more.
    """
    total = weight(looks)
    certain = total >= CERTAINTY and not all(listing for _, listing in looks)
    half = total >= SUSPICION and half_named(looks) and all(b - a >= APART for (a, _), (b, _) in pairwise(looks))
    return next(listing for _, listing in reversed(looks) if listing) if certain or half else None


def _came_back(looks: Sequence[Look]) -> bool:
    return any(before is None and after for (_, before), (_, after) in pairwise(looks))


def plain_listing(listing: Listing) -> dict[str, Any]:
    """As `dataclasses.asdict`, which takes ten times as long: a fleet may have ten thousand."""
    return {name: getattr(listing, name) for name in Listing.__slots__}


def plain(answer: ListAnswer | None, now: float) -> dict[str, Any] | None:
    """Plain data for JSON, with times as seconds ago."""
    if answer is None:
        return None
    listings = {"said": answer.said, "listing": answer.listing}
    saved: dict[str, Any] = {"generation": answer.generation, "ago": now - answer.at}
    saved |= {name: plain_listing(listing) for name, listing in listings.items() if listing}
    if answer.again > NEVER:
        saved |= {"again_ago": now - answer.again, "agreed": answer.agreed}
    if answer.second is not None:
        saved |= {"second": answer.second, "second_ago": now - answer.second_at}
    return saved | ({"disputed": True} if answer.disputed else {})


def plain_pair(latest: ListAnswer, fallback: ListAnswer | None, now: float) -> list[Any]:
    """Plain data of both, which are mostly one."""
    made = plain(latest, now)
    return [made, made if fallback is latest else plain(fallback, now)]


def read(saved: Any, then: float) -> ListAnswer:
    """What `plain` wrote at `then`, or an older version. Raise KeyError, TypeError or ValueError for anything else."""
    said, listing = (read_listing(saved[name]) if name in saved else None for name in ("said", "listing"))
    second = saved.get("second")
    return ListAnswer(
        generation=int(saved["generation"]),
        at=then - float(saved["ago"]),
        said=said,
        listing=listing,
        again=then - float(saved["again_ago"]) if "again_ago" in saved else NEVER,
        agreed=int(saved.get("agreed", 0)),
        second=None if second is None else int(second),
        second_at=NEVER if second is None else then - float(saved["second_ago"]),
        disputed=bool(saved.get("disputed", False)),
    )


def read_listing(saved: Any) -> Listing:
    return Listing(
        codes=tuple(map(str, saved["codes"])),
        meaning=str(saved["meaning"]),
        severity=Severity(saved["severity"]),
        remedy=str(saved["remedy"]),
        since=float(saved["since"]),
        text=str(saved["text"]),
    )


def plain_looks(looks: Sequence[Look], now: float) -> list[Any]:
    return [[now - at, plain_listing(listing) if listing else None] for at, listing in looks]


def read_looks(saved: Any, then: float) -> list[Look]:
    return [(then - float(ago), read_listing(listing) if listing else None) for ago, listing in saved]


def changes(before: ListAnswer | None, blocklist: Blocklist, reply: Reply) -> bool:
    """Would the answer change what is kept? A fault, and the first answer, count as a change."""
    if not reply.status.conclusive:
        return False
    said = blocklist.read(reply)
    if before is None or before.disputed or isinstance(said, ListError):
        return True
    if isinstance(said, Listed):
        return before.unconfirmed or before.listing is None or before.listing.codes != said.codes
    return before.unconfirmed or before.listing is not None
