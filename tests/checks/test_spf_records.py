"""What SPF publishes is remembered: for each envelope domain its SPF record, and a record of the withdrawn type."""

from __future__ import annotations

from exporter.check_state import CheckState
from exporter.demo.nameserver import ZoneData
from exporter.engine import catalogue
from exporter.engine.evaluate import evaluate
from exporter.engine.store import Store
from exporter.model import Outcome
from exporter.net import Net
from exporter.targets import Domain
from tests.support.checks import taken
from tests.support.clock import FakeClock
from tests.support.memory import MemoryResolver

CHECK = catalogue.load().checks["spf"]
TARGET = Domain(name="example.com", mail_from=("bounce.example.com", "example.com"))
START = 1_780_000_000.0
OTHERS = 'bounce.example.com. TXT "v=spf1 ip4:192.0.2.10 -all"\nexample.com. TXT "proof=1"\n'
GOOD = 'example.com. TXT "v=spf1 ip4:192.0.2.10 -all"\n'
OLD = 'example.com. SPF "v=spf1 ip4:192.0.2.9 -all"\n'


class Watch:
    """The check, run again and again on one domain."""

    def __init__(self) -> None:
        self.store, self.clock = Store(), FakeClock(START)
        self.store.hold(CHECK, TARGET)

    async def sees(self, text: str) -> tuple[Outcome, CheckState]:
        """What one run says of this world, and what is held afterwards. An hour passes."""
        dns = MemoryResolver(ZoneData(OTHERS + text))
        outcome = await evaluate(CHECK, TARGET, lambda: Net(dns, self.clock, states=self.store), self.clock)
        held = taken(self.store, outcome)
        self.clock.pass_(3600)
        return outcome, held


def texts(outcome: Outcome) -> dict[str, tuple[str, ...]]:
    return {record.name: record.texts for record in outcome.records}


def ids(outcome: Outcome) -> set[str]:
    return {finding.id for finding in outcome.findings}


async def test_each_envelope_domain_has_its_record_of_which_other_txt_is_no_part() -> None:
    outcome, _ = await Watch().sees(GOOD)
    assert texts(outcome) == {
        "bounce.example.com TXT v=spf1": ("v=spf1 ip4:192.0.2.10 -all",),
        "example.com TXT v=spf1": ("v=spf1 ip4:192.0.2.10 -all",),
    }


async def test_two_records_are_both_told_and_none_is_a_record_without_texts() -> None:
    outcome, _ = await Watch().sees(GOOD + 'example.com. TXT "v=spf1 -all"\n')
    assert texts(outcome)["example.com TXT v=spf1"] == ("v=spf1 -all", "v=spf1 ip4:192.0.2.10 -all")
    outcome, _ = await Watch().sees("")
    assert texts(outcome)["example.com TXT v=spf1"] == ()


async def test_a_question_without_an_answer_makes_no_record_and_forgets_none() -> None:
    watch = Watch()
    await watch.sees(GOOD)
    outcome, held = await watch.sees("; servfail: example.com TXT\n")
    assert "example.com TXT v=spf1" not in texts(outcome)
    assert "example.com TXT v=spf1" in {it.record.name for it in held.records}


async def test_a_change_of_the_policy_is_remembered_with_its_time() -> None:
    watch = Watch()
    await watch.sees(GOOD)
    _, held = await watch.sees(GOOD.replace("-all", "~all"))
    (changed,) = (it for it in held.records if it.changes)
    (change,) = changed.changes
    assert changed.record.name == "example.com TXT v=spf1"
    assert (change.before, change.after) == (("v=spf1 ip4:192.0.2.10 -all",), ("v=spf1 ip4:192.0.2.10 ~all",))
    assert change.at == START + 3600


async def test_a_record_of_the_withdrawn_type_stands_until_an_answer_shows_that_it_is_gone() -> None:
    watch = Watch()
    outcome, _ = await watch.sees(GOOD + OLD)
    assert (ids(outcome), outcome.verdict) == ({"spf.obsolete-type"}, "fail")
    assert texts(outcome)["example.com SPF"] == ("v=spf1 ip4:192.0.2.9 -all",)
    outcome, _ = await watch.sees(GOOD + "; servfail: example.com SPF\n")
    assert (ids(outcome), outcome.doubt) == ({"spf.obsolete-type"}, None)
    outcome, held = await watch.sees(GOOD)
    assert (ids(outcome), outcome.verdict) == (set(), "pass")
    assert [it.record.name for it in held.records if it.changes] == ["example.com SPF"]


async def test_the_page_has_the_count_with_its_tree_and_each_evaluation_with_its_terms() -> None:
    """So that the static worst case and what one address really takes are told apart."""
    outcome, _ = await Watch().sees('example.com. TXT "v=spf1 include:bounce.example.com mx -all"\n')
    (counted,) = (it for it in outcome.transcript if it.asked == "worst case of example.com")
    assert counted.got == (
        "2 lookups, 1 void",
        "include:bounce.example.com (1)",
        "mx (1)",
        "void: example.com MX",
    )
