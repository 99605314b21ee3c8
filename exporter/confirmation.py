"""When a finding is certain enough to wake somebody, and when it is over.

The problem: one look can be wrong. A name server answers from an old zone, a router drops a packet. An alert for each
such look wakes people for nothing, and an alert that waits half an hour wakes them too late.

The idea: looks that follow soon. The finding is seen at once, but alerts wait until further looks have confirmed it.

The rules (truth rule 5 of the contract):

- A finding is `ripe` after LOOKS bad looks in a row. One good look ends a finding that is not confirmed.
- A confirmed finding is `over` after LOOKS good looks in a row. A bad look between them begins the count again.
- A look in doubt counts for neither.
- A look counts only if some time has passed since the one before. Else two runs within a second would count twice.
- What is ripe is confirmed, and what is over ends, once the resolver has passed its own test after the last look.
- If the resolver fails its test, the looks of before prove nothing: the count begins again when it passes.
- The good looks last for a few minutes at least (HEALED). So what is bad and good by turns is not told anew each time.
- A confirmed finding that returns soon after its end keeps its old `since`, and one bad look confirms it again. From
  then on, each time that it turned bad again costs it another interval of good looks.
- The same `since` returns with a target that is back in the configuration, but it is confirmed there anew.
- Some findings need no confirmation, since their check has looked several times itself (`Rule.certain`). If such a
  one is about a blocklist that cannot be believed, it waits for the resolver's test alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from exporter.facts import Finding, Labels

LOOKS = 3
WAITS = ((60.0, 0.25), (120.0, 0.5))  # seconds from one bad look to the next, and at most this part of the interval
HEALED = 450.0, 0.5  # seconds that good looks last at least, and at most this part of the interval
REMEMBERED = 2  # intervals: how long an ended finding is remembered
FLAPPING = 6  # intervals in which it must have turned bad twice
TURNS_KEPT = 4


@dataclass(frozen=True, slots=True)
class Looks:
    """When a check looks again at what is not certain. `interval` is its usual one, in seconds.

    `soon`: it asks nobody but DNS, so it need not wait for its usual time.
    """

    interval: float = 900.0
    soon: bool = True

    @property
    def apart(self) -> float:
        """Seconds between two looks that count."""
        return 0.75 * self._waits[0]

    @property
    def _waits(self) -> tuple[float, ...]:
        return tuple(min(wait, self.interval * share) for wait, share in WAITS)

    def after_bad(self, done: int) -> float | None:
        """Seconds until the next look, after so many bad ones in a row. None: its usual time is right."""
        return self._waits[done - 1] if self.soon and 0 < done < LOOKS else None

    def after_good(self, done: int, lasted: float) -> float | None:
        """The same after so many good ones in a row, which have lasted for so many seconds."""
        if not self.soon or not 0 < done < LOOKS:
            return None
        return self._waits[0] if done == 1 else max(self._waits[0], self.healed(0) - lasted)

    def healed(self, turns: int) -> float:
        """Seconds that good looks last before they are believed, if it has turned bad again so many times."""
        seconds, share = HEALED
        return turns * self.interval if turns else min(seconds, share * self.interval)


@dataclass(frozen=True, slots=True)
class EndedFinding:
    """A confirmed finding that is over: its key, since when it was active and when it ended, in unix seconds.

    `left`: its target left the configuration, and is back since `at`.
    """

    key: tuple[str, Labels]
    since: float
    at: float
    turns: tuple[float, ...] = ()
    left: bool = False

    def timed(self, right: Callable[[float], float]) -> EndedFinding:
        turns = tuple(map(right, self.turns))
        return replace(self, since=right(self.since), at=right(self.at), turns=turns)

    def remembered(self, now: float, looks: Looks) -> bool:
        """Does it keep its `since` if it is seen again? What has left does until a run without doubt has looked."""
        return self.left or now - self.at <= REMEMBERED * looks.interval

    def again(self, finding: Finding, at: float) -> ActiveFinding:
        """The finding after a look that saw it again."""
        if self.left:
            return ActiveFinding(finding, self.since, looked=at).sure()
        return ActiveFinding(finding, self.since, bad=LOOKS, looked=at, turns=(*self.turns, at)[-TURNS_KEPT:]).sure()


@dataclass(frozen=True, slots=True)
class ActiveFinding:
    """A finding, since when it is active (unix seconds), and what the looks at it have said.

    `bad` and `good` count looks in a row, up to LOOKS. `looked` is when the latest look that counts ended, `well` when
    the first of the good ones did. `turns` are the latest times at which it turned bad again.
    """

    finding: Finding
    since: float
    confirmed: bool = False
    bad: int = 1
    good: int = 0
    looked: float = 0.0
    well: float = 0.0
    turns: tuple[float, ...] = ()

    def timed(self, right: Callable[[float], float]) -> ActiveFinding:
        """The same with other times."""
        turns = tuple(map(right, self.turns))
        return replace(self, since=right(self.since), looked=right(self.looked), well=right(self.well), turns=turns)

    @property
    def ripe(self) -> bool:
        """Is it confirmed as soon as the resolver has passed its own test?"""
        return not self.confirmed and self.bad >= LOOKS

    @property
    def over(self) -> bool:
        """Is it at its end as soon as the resolver has passed its own test?"""
        return self.confirmed and self.good >= LOOKS

    def flapping(self, now: float, looks: Looks) -> bool:
        return now <= self.flaps_until(looks)

    def flaps_until(self, looks: Looks) -> float:
        """Until when it flaps if it does not turn bad again; -infinity if it does not flap."""
        return sorted(self.turns)[-2] + FLAPPING * looks.interval if len(self.turns) > 1 else float("-inf")

    def next_look(self, looks: Looks) -> float | None:
        """In how many seconds another look is due; None if its usual time is right."""
        if self.good:
            return None if self.turns else looks.after_good(self.good, self.looked - self.well)
        return None if self.confirmed else looks.after_bad(self.bad or 1)

    @property
    def stands(self) -> bool:
        """Would another bad look change nothing but its time?"""
        return self.confirmed and not self.good and self.bad >= LOOKS and not self.turns

    def stands_as(self, other: ActiveFinding) -> bool:
        """Is it the same, but for the times of the looks?"""
        return self is other or replace(self, looked=other.looked, well=other.well) == other

    def sure(self) -> ActiveFinding:
        """The same, confirmed if it needs no confirmation, or if it is about the resolver and is ripe."""
        rule = self.finding.rule
        if rule.certain and rule.doubts:
            return replace(self, bad=LOOKS)  # a resolver that denies everything makes every list look dead
        return replace(self, confirmed=True) if rule.certain or (rule.doubts and self.ripe) else self

    def seen(self, at: float, looks: Looks) -> ActiveFinding:
        """After another bad look."""
        if self.good:
            return replace(self, good=0, well=0.0, looked=at, turns=(*self.turns, at)[-TURNS_KEPT:])
        if at - self.looked < looks.apart:
            return self.sure()
        if self.stands:
            return ActiveFinding(self.finding, self.since, True, self.bad, 0, at, self.well)
        return replace(self, bad=min(self.bad + 1, LOOKS), looked=at).sure()

    def not_seen(self, at: float, looks: Looks) -> ActiveFinding | None:
        """After a good look; None if that ends it."""
        rule = self.finding.rule
        if not self.confirmed or rule.certain:
            return None
        if self.good and at - self.looked < looks.apart:
            return self
        well = self.well or at
        lasted = at - well >= looks.healed(len(self.turns))
        better = replace(self, good=min(self.good + 1, LOOKS if lasted else LOOKS - 1), looked=at, well=well)
        return None if better.over and rule.doubts else better

    def unproven(self) -> ActiveFinding:
        """After the resolver has failed its own test: the looks since then may have been wrong."""
        rule = self.finding.rule
        of_a_list = rule.certain and rule.doubts and not self.confirmed
        if (rule.certain or rule.doubts) and not of_a_list:
            return self
        return replace(self, good=0, well=0.0, looked=0.0) if self.confirmed else replace(self, bad=0, looked=0.0)
