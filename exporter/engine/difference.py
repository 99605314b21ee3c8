"""What a change of the world does to the problems: which are new, which are gone, and which stay.

A problem is the same if its rule and cause are (problems.py). One that stays counts as new all the same if it is worse:
its severity has risen, or it has a finding at a target that had none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from exporter.check_state import CheckState, FindingPolicy
from exporter.engine.problems import Member, Problem, problems, worst


@dataclass(frozen=True, slots=True)
class Difference:
    """`breaks` and `stays` as they are then, `heals` as they are now. Each is in the order of problems.

    `blinded` are the states then of checks that could tell before.
    """

    breaks: tuple[Problem, ...]
    heals: tuple[Problem, ...]
    stays: tuple[Problem, ...]
    blinded: tuple[CheckState, ...]

    @property
    def nothing(self) -> bool:
        return not (self.breaks or self.heals or self.blinded)


def difference(
    before: Iterable[CheckState], after: Iterable[CheckState], policy: FindingPolicy, now: float
) -> Difference:
    """`now` is unix seconds. Targets that are only likely to send count nowhere."""
    before, after = ([it for it in some if not it.target.likely] for some in (before, after))
    old = {it.key: it for it in problems(before, policy, now)}
    new = {it.key: it for it in problems(after, policy, now)}
    broken = {key for key, it in new.items() if key not in old or _worse(old[key], it)}
    told = {state.key for state in before if not state.doubt}
    counted = (it for it in after if not it.check.concludes)
    blinded = [it for it in counted if it.doubt and it.key in told]
    return Difference(
        breaks=tuple(it for key, it in new.items() if key in broken),
        heals=tuple(it for key, it in old.items() if key not in new),
        stays=tuple(it for key, it in new.items() if key not in broken),
        blinded=tuple(blinded),
    )


def _worse(old: Problem, new: Problem) -> bool:
    if old.severity is not new.severity and worst((old.severity, new.severity)) is new.severity:
        return True
    return not {_place(it) for it in new.members} <= {_place(it) for it in old.members}


def _place(member: Member) -> tuple[object, ...]:
    return member.check.id, member.target.key, member.effective.finding.key
