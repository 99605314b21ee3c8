"""The verdicts of all lists on one subject: which lists a verdict needs, and why there is none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from exporter.facts import Doubt, Reason, worst
from exporter.mail.dnsbl.blocklist import Blocklist, ListError
from exporter.net.dnsbl.answers import Listing


@dataclass(frozen=True, slots=True)
class ListVerdict:
    """What one list says of one subject now. `clean`: its latest answer is a recent "no". `quorum`: it is needed."""

    blocklist: Blocklist
    listing: Listing | None
    clean: bool
    quorum: bool
    doubt: Doubt | None
    again: float | None = None  # seconds after which a second look decides
    suspect: bool = False  # the listing began together with very many others

    def alone(self, verdicts: Iterable[ListVerdict]) -> bool:
        """Is it a suspect listing that no list of another operator confirms?"""
        found = (it for it in verdicts if it.listing and it.listing.severity.fails and not it.suspect)
        return self.suspect and not any(self.blocklist.independent(it.blocklist) for it in found)


@dataclass(frozen=True, slots=True)
class ListCondition:
    """The health of one list. `unanswered` counts the latest questions that got no answer.

    `ipv6` is a fault that concerns IPv6 addresses only. `suspects` counts the subjects that it named all at once.
    `contradicted` counts the subjects about which it contradicted itself; it is 0 while new listings of it count.
    """

    fault: ListError | None
    unreliable: bool
    unanswered: int
    doubt: Doubt | None
    ipv6: ListError | None = None
    suspects: int = 0
    contradicted: int = 0


def resting_on(verdicts: Sequence[ListVerdict]) -> int:
    """How many lists the verdict is based on."""
    return sum(1 for it in verdicts if it.listing or (it.quorum and it.clean))


def silent(verdicts: Sequence[ListVerdict]) -> list[ListVerdict]:
    """The lists that the verdict needs, but that have not answered lately."""
    return [it for it in verdicts if it.quorum and not it.listing and not it.clean]


def missing(verdicts: Sequence[ListVerdict]) -> Iterator[Doubt]:
    """Why it cannot be told that the subject is on no list: one that the verdict needs has said nothing of late."""
    if not any(s.quorum for s in verdicts):
        names = ", ".join(s.blocklist.name for s in verdicts)
        known = worst(s.doubt for s in verdicts if s.doubt)
        # However they came to be so, they are the cause, and it hits all subjects alike.
        reason = known.reason if known and known.reason.from_here else Reason.BLOCKLIST_UNHEALTHY
        why = f": {known.detail}" if known else ""
        yield Doubt(
            reason,
            f"all blocklists failed the self-test; your resolver is probably blocked: {names}{why}"
            if names
            else "no list holds it",
        )
        return
    left = silent(verdicts)
    first = worst(it.doubt or Doubt(Reason.PENDING, f"{it.blocklist.name} was not asked yet") for it in left)
    if first:
        yield Doubt(first.reason, f"{len(left)} of {len(verdicts)} lists gave no usable answer: {first.detail}")
