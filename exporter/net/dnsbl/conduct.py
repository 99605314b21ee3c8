"""How a list behaves over all its subjects: does it answer, contradict itself, or name very many at once?

The rules:

- An unanswered question counts against a list only if our resolver was well: an answer of another list came after this
  question was sent and before it ended, or at most a MOMENT away; and another list answers afterwards, too.
- Of questions that overlap, only one counts: when a resolver falls silent, very many are under way.
- A list that has left RESTS questions in a row unanswered rests: one question at a time asks for all subjects, and the
  others are in doubt at once. Once it has left the quorum, there is such a question only every PROBE seconds.
- A list that leaves two questions in a row unanswered over an hour, or half of its last 20, leaves the quorum.
- A list whose second looks contradicted its first looks about three subjects within 6 hours begins no listing for 24
  hours. Each further contradiction restarts these 24 hours.
- A list is suspect if it suddenly names more than a fifth of the subjects that it called clean, and these are at least
  20 in 5 networks (/24, IPv6 /48). It may be right all the same, so this ends after 6 hours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

from exporter.facts import Doubt
from exporter.net.dnsbl.answers import DAY, HOUR

MOMENT = 1.0  # seconds: lists are asked about a subject at the same time, and one may be quicker than we are
WINDOW = 20  # latest questions; a list that left half of them unanswered is unreliable
SILENT = 4  # so is one that left this many in a row unanswered,
SILENT_FOR = HOUR  # for this long
RESTS = 2  # so many in a row unanswered, until one question asks for all
PROBE = 30.0  # seconds between such questions
ABSENT = 2  # after this many in a row, for as long, no verdict waits for the list
CONTRADICTIONS = 3  # subjects about which a list contradicted itself
CONTRADICTED_FOR = 6 * HOUR
BEGINS_NOTHING_FOR = DAY
MOST_LOOKS = 6  # after the first, before a change counts
SUDDENLY = 3 * HOUR
SUSPECT_SUBJECTS = 20
SUSPECT_NETWORKS = 5
SUSPECT_PART = 5  # more than one in 5 subjects that it called clean
SUSPECT_FOR = 6 * HOUR
_ALL = (1 << WINDOW) - 1


@dataclass(slots=True)
class Heard:
    """What one list has answered of late. Places count all questions to all lists, and the ends of these questions."""

    answered: int = 0  # where the latest question that it has answered was asked
    arrived: int = 0  # where its latest answer came,
    at: float = float("-inf")  # and when, in monotonic seconds


@dataclass(frozen=True, slots=True)
class _Unanswered:
    asked: int  # places, as in Heard
    ended: int
    at: float  # when it was asked
    over: float  # when it ended
    meanwhile: bool  # until it ended, an answer of another list came


@dataclass(slots=True)
class Conduct:
    """Times are monotonic seconds."""

    recent: int = 0  # a bit for each of the latest questions, the latest is the lowest: was it unanswered?
    silent: int = 0  # in a row
    silent_since: float = 0.0
    heard: Heard = field(default_factory=Heard)  # what it proves of the resolver
    undecided: deque[_Unanswered] = field(default_factory=lambda: deque(maxlen=WINDOW))  # whose fault is not clear yet
    decided: int = 0  # where the latest one ended about which we have decided
    contradictions: list[tuple[float, str]] = field(default_factory=list)  # when, and about whom
    begins_nothing_until: float = 0.0
    named_anew: dict[str, float] = field(default_factory=dict)
    suspect_until: float = 0.0
    suspects: set[str] = field(default_factory=set)  # the subjects that it named then
    probe: float = 0.0  # when the next question may ask for all
    why: Doubt | None = None  # of the latest question that got no answer

    def answered(self, asked: int, arrived: int, at: float) -> None:
        """The list has answered the question at that place. The answer came at the other one, at that time."""
        heard = self.heard
        heard.answered = max(asked, heard.answered)
        heard.arrived, heard.at = arrived, at
        self.recent = self.recent << 1 & _ALL
        self.silent = 0

    def unanswered(self, asked: int, ended: int, at: float, now: float, others: Iterable[Heard]) -> None:
        """A question, asked at that time, has ended now without an answer."""
        latest = self.undecided[-1].ended if self.undecided else self.decided
        if asked > latest:
            meanwhile = any(other.arrived > asked or at - other.at <= MOMENT for other in others)
            self.undecided.append(_Unanswered(asked, ended, at, now, meanwhile))
        if not self.absent(now):
            self.probe = now  # until a list is known to be silent, that is found out as soon as can be

    def settle(self, others: Collection[Heard]) -> None:
        """Decide about the unanswered questions after whose end another list has answered one."""
        while self.undecided:
            first = self.undecided[0]
            alive = [other for other in others if other.answered > first.ended]
            if not alive:
                return
            self.undecided.popleft()
            self.decided = first.ended
            if not first.meanwhile and all(other.at - first.over > MOMENT for other in alive):
                continue  # our resolver may have been silent
            self.recent = (self.recent << 1 | 1) & _ALL
            if first.asked > self.heard.answered:
                self.silent_since = self.silent_since if self.silent else first.at
                self.silent += 1

    @property
    def rests(self) -> bool:
        return self.silent >= RESTS

    def turn(self, now: float) -> bool:
        """May a question leave now? If the list rests, it asks for all."""
        if self.rests:
            if now < self.probe:
                return False
            self.probe = now + PROBE
        return True

    @property
    def unanswered_lately(self) -> int:
        return self.recent.bit_count() + len(self.undecided)

    def unreliable(self, now: float) -> bool:
        return self._silent(SILENT, now) or self.recent.bit_count() * 2 >= WINDOW

    def absent(self, now: float) -> bool:
        """Shall verdicts no longer wait for the list?"""
        return self._silent(ABSENT, now) or self.recent.bit_count() * 2 >= WINDOW

    def _silent(self, times: int, now: float) -> bool:
        return self.silent >= times and now - self.silent_since >= SILENT_FOR

    def contradict(self, key: str, now: float) -> None:
        """Two looks at the subject disagreed."""
        self.contradictions = [it for it in self.contradictions if now - it[0] < DAY]
        self.contradictions.append((now, key))
        if len(self.contradicted_lately(now)) >= CONTRADICTIONS or self.begins_nothing(now):
            self.begins_nothing_until = now + BEGINS_NOTHING_FOR
        self.named_anew.pop(key, None)

    def contradicted_lately(self, now: float) -> set[str]:
        return {key for at, key in self.contradictions if now - at < CONTRADICTED_FOR}

    def looks_wanted(self, now: float) -> int:
        """How many looks after the first must say the same? One, and two more for each contradiction within a day."""
        return min(1 + 2 * sum(now - at < DAY for at, _ in self.contradictions), MOST_LOOKS)

    def begins_nothing(self, now: float) -> bool:
        return now < self.begins_nothing_until

    def name_anew(self, key: str, now: float, clean: int) -> None:
        """The list names a subject that it called clean. `clean` counts those that it still calls clean."""
        self.named_anew = {k: at for k, at in self.named_anew.items() if now - at < SUDDENLY}
        self.named_anew[key] = now
        if self.suspect(now):
            self.suspects.add(key)
            return
        named = len(self.named_anew)
        if named < SUSPECT_SUBJECTS or named * SUSPECT_PART <= named + clean:
            return
        if len({_network(it) for it in self.named_anew}) >= SUSPECT_NETWORKS:
            self.suspect_until = now + SUSPECT_FOR
            self.suspects = set(self.named_anew)

    def suspect(self, now: float) -> bool:
        return now < self.suspect_until

    def forget(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.contradictions = [it for it in self.contradictions if it[1] != key]
            self.named_anew.pop(key, None)
            self.suspects.discard(key)

    def plain(self, now: float) -> dict[str, Any]:
        return {
            "contradictions": [[now - at, key] for at, key in self.contradictions],
            "begins_nothing_for": max(0.0, self.begins_nothing_until - now),
            "suspect_for": max(0.0, self.suspect_until - now),
            "suspects": sorted(self.suspects) if self.suspect(now) else [],
        }

    @classmethod
    def read(cls, saved: Any, then: float) -> Conduct:
        """What `plain` wrote at `then`. An older state has none of it."""
        return cls(
            contradictions=[(then - float(ago), str(key)) for ago, key in saved.get("contradictions", ())],
            begins_nothing_until=then + float(saved.get("begins_nothing_for", 0.0)),
            suspect_until=then + float(saved.get("suspect_for", 0.0)),
            suspects=set(map(str, saved.get("suspects", ()))),
        )


def _network(key: str) -> str:
    """The network of an address (/24, IPv6 /48); for a domain, the domain itself."""
    try:
        ip = ip_address(key)
    except ValueError:
        return key
    return str(ip_network((ip, 24 if ip.version == 4 else 48), strict=False))
