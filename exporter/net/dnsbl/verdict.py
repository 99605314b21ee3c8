"""What the lists say of one subject, taken together: which of them a verdict needs, and why it cannot be told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from exporter.facts import Doubt, Reason, worst
from exporter.mail.dnsbl.blocklist import Blocklist, ListError
from exporter.net.dnsbl.answers import Listing


@dataclass(frozen=True, slots=True)
class ListVerdict:
    """What one list says of one subject now. `clean` is a recent kept "no"; `quorum`: the verdict needs this list."""

    blocklist: Blocklist
    listing: Listing | None
    clean: bool
    quorum: bool
    doubt: Doubt | None
    again: float | None = None  # seconds after which a second look decides
    suspect: bool = False  # the listing is one of very many that began at once

    def alone(self, verdicts: Iterable[ListVerdict]) -> bool:
        """Is it a suspect listing, and has no other operator's list found as much?"""
        found = (it for it in verdicts if it.listing and it.listing.severity.fails and not it.suspect)
        return self.suspect and not any(self.blocklist.independent(it.blocklist) for it in found)


@dataclass(frozen=True, slots=True)
class ListCondition:
    """How far one list can be believed. `unanswered` counts the last questions without an answer.

    `ipv6` is what is wrong with its IPv6 addresses alone. `suspects` are the subjects that it named all at once, and
    `contradicted` those about which it has contradicted itself until nothing new of it counts; 0 if it has not.
    """

    fault: ListError | None
    unreliable: bool
    unanswered: int
    doubt: Doubt | None
    ipv6: ListError | None = None
    suspects: int = 0
    contradicted: int = 0


def resting_on(verdicts: Sequence[ListVerdict]) -> int:
    """How many lists the verdict rests on."""
    return sum(1 for s in verdicts if s.listing or (s.quorum and s.clean))


def silent(verdicts: Sequence[ListVerdict]) -> list[ListVerdict]:
    """Those lists that the verdict needs, and that have said nothing of late."""
    return [s for s in verdicts if s.quorum and not s.listing and not s.clean]


def missing(verdicts: Sequence[ListVerdict]) -> Iterator[Doubt]:
    """Why it cannot be told that the subject is on no list: one that the verdict needs has said nothing of late."""
    if not any(s.quorum for s in verdicts):
        names = ", ".join(s.blocklist.name for s in verdicts)
        known = worst(s.doubt for s in verdicts if s.doubt)
        # However they came to be so, they are the cause, and it hits all subjects alike.
        reason = known.reason if known and known.reason.from_here else Reason.BLOCKLIST_UNHEALTHY
        why = f": {known.detail}" if known else ""
        yield Doubt(reason, f"none of the lists can be believed: {names}{why}" if names else "no list holds it")
        return
    left = silent(verdicts)
    first = worst(s.doubt or Doubt(Reason.PENDING, f"{s.blocklist.name} was not asked yet") for s in left)
    if first:
        yield Doubt(first.reason, f"{len(left)} of {len(verdicts)} lists gave no usable answer: {first.detail}")
