"""What a change does to the problems: a worse one is a new one, and a doubt heals nothing."""

from __future__ import annotations

from dataclasses import replace

from exporter.check_state import CheckState, FindingPolicy
from exporter.engine.difference import Difference, difference
from exporter.facts import Reason, Severity
from exporter.model import Outcome
from exporter.targets import Domain
from tests.support.checks import BROKEN, EXAMPLE, ODD, SAMPLE, outcome

OTHER = replace(EXAMPLE, name="other.example")


def state(*outcomes: Outcome, target: Domain = EXAMPLE) -> CheckState:
    made = CheckState(SAMPLE, target)
    for each in outcomes:
        made = made.after(replace(each, target=target))
    return made


def change(before: list[CheckState], after: list[CheckState]) -> Difference:
    return difference(before, after, FindingPolicy(), 0)


def ids(change: Difference) -> list[list[str]]:
    return [[it.rule.id for it in some] for some in (change.breaks, change.heals, change.stays)]


def test_what_is_new_what_is_gone_and_what_stays() -> None:
    before = [state(outcome(BROKEN(what="a"), ODD(what="x")))]
    after = [state(outcome(ODD(what="x"), ODD(what="y")))]
    told = change(before, after)
    assert ids(told)[1] == ["sample.broken"]
    assert not told.nothing
    assert change(before, before).nothing


def test_a_problem_that_hurts_one_more_target_is_new() -> None:
    one, both = state(outcome(BROKEN(what="a"))), state(outcome(BROKEN(what="a")), target=OTHER)
    well = state(outcome(), target=OTHER)
    assert ids(change([one, well], [one, both]))[0] == ["sample.broken"]
    assert ids(change([one, both], [one, both])) == [[], [], ["sample.broken", "sample.broken"]]


def test_a_problem_whose_severity_rises_is_new_and_one_whose_falls_stays() -> None:
    mild, grave = (state(outcome(ODD(what="a", severity=it))) for it in (Severity.WARNING, Severity.CRITICAL))
    assert ids(change([mild], [grave])) == [["sample.odd"], [], []]
    assert ids(change([grave], [mild])) == [[], [], ["sample.odd"]]


def test_a_look_that_cannot_tell_heals_nothing_and_is_said() -> None:
    bad = state(outcome(BROKEN(what="a")))
    blind = bad.after(outcome(doubt=Reason.DNS_REFUSED))
    told = change([bad], [blind])
    assert ids(told) == [[], [], ["sample.broken"]]
    assert [it.key for it in told.blinded] == [bad.key]
    assert change([blind], [blind]).nothing, "it could not tell before"


def test_what_is_only_likely_to_send_neither_breaks_nor_blinds() -> None:
    likely = replace(EXAMPLE, likely=True)
    well, bad = state(outcome(), target=likely), state(outcome(BROKEN(what="a")), target=likely)
    assert change([well], [bad]).nothing
    assert change([bad], [well]).nothing
    assert change([well], [state(outcome(doubt=Reason.DNS_REFUSED), target=likely)]).nothing
