"""One evaluation ends in an Outcome, whatever the check does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from inspect import isawaitable
from typing import Any

import pytest

from exporter.demo.nameserver import ZoneData
from exporter.engine.evaluate import evaluate
from exporter.engine.store import Store
from exporter.facts import Doubt, LookAgain, Reason, Verdict
from exporter.model import Door, Facts, Outcome, check
from exporter.net import Net
from exporter.targets import Domain, MailHost
from exporter.text import printable
from tests.support.checks import BROKEN, EXAMPLE, NOTE, ODD, SIZE, cannot, scripted
from tests.support.clock import FakeClock
from tests.support.memory import MemoryResolver


async def run(*steps: Any, deadline: float = 60, **declared: Any) -> Outcome:
    clock = FakeClock()
    sample = scripted(lambda: list(steps), deadline, **declared)
    return await evaluate(sample, EXAMPLE, lambda: Net(MemoryResolver(ZoneData("")), clock), clock)


async def test_no_facts_and_no_doubt_is_a_pass() -> None:
    assert (await run()).verdict is Verdict.PASS


async def test_a_warning_fails_and_an_info_does_not() -> None:
    assert (await run(ODD(what="x"))).verdict is Verdict.FAIL
    assert (await run(NOTE(what="x"))).verdict is Verdict.PASS


async def test_proven_bad_stays_bad_when_the_run_breaks_off() -> None:
    said = await run(BROKEN(what="x"), SIZE(3), cannot())
    assert said.verdict is Verdict.FAIL
    assert said.doubt is not None
    assert said.doubt.reason is Reason.DNS_TIMEOUT


async def test_unproven_good_is_unknown() -> None:
    assert (await run(SIZE(3), cannot())).verdict is Verdict.UNKNOWN


async def test_the_next_look_that_a_run_wants_is_the_soonest() -> None:
    assert (await run()).again is None
    assert (await run(LookAgain(300), [LookAgain(60), LookAgain(900)])).again == 60


async def test_a_doubt_does_not_end_the_run() -> None:
    said = await run(Doubt(Reason.NETWORK, "one"), [ODD(what="x"), Doubt(Reason.DNS_TIMEOUT, "two")], SIZE(3))
    assert said.verdict is Verdict.FAIL
    assert [doubt.detail for doubt in said.doubts] == ["one", "two"]
    assert said.doubt == said.doubts[1], "the order of precedence decides, not that of the run"
    assert [sample.value for sample in said.samples] == [3]


async def test_a_run_tells_what_it_has_found_and_finds_only_what_it_declares() -> None:
    host = MailHost(host="mx.example.com")
    assert (await run(host, host, finds=[MailHost])).found == (host,)
    undeclared = await run(host)
    assert (undeclared.found, undeclared.doubt and undeclared.doubt.reason) == ((), Reason.BUG)


async def test_a_check_uses_only_what_it_declares() -> None:
    """Otherwise it would be run where that is not there, and before those that it reads."""

    async def reached(use: Callable[[Net], Any], **declared: Any) -> str:
        clock = FakeClock()

        async def sample(target: Any, net: Net) -> Facts:
            """Is it so?"""
            told = use(net)
            yield NOTE(what=await told if isawaitable(told) else told)

        declaration = check(over=Domain, **declared)(sample)
        store = Store()
        outcome = await evaluate(
            declaration, EXAMPLE, lambda: Net(MemoryResolver(ZoneData("")), clock, states=store), clock
        )
        return str(outcome.doubt.reason) if outcome.doubt else "told"

    uses: list[tuple[Callable[[Net], Any], dict[str, Any]]] = [
        (lambda net: net.listed("192.0.2.1", ()), {"needs": [Door.BLOCKLISTS]}),
        (lambda net: net.listed("192.0.2.1", ()), {"may_need": [Door.BLOCKLISTS]}),
        (lambda net: net.state("another", "key"), {"after": ["another"]}),
    ]
    for use, declared in uses:
        assert await reached(use) == "bug"
        assert await reached(use, **declared) == "told"
    fetch = await reached(lambda net: net.fetch("https://example.com/"), needs=[Door.HTTPS])
    assert fetch == "bug", "declared, but there is no such way here"


async def test_a_bug_is_unknown_and_logged_with_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        said = await run(KeyError("ours"))
    assert said.verdict is Verdict.UNKNOWN
    assert said.doubt is not None
    assert said.doubt == Doubt(Reason.BUG, "a fault of the exporter itself; its log has the trace")
    (record,) = caplog.records
    assert record.getMessage() == "bug in check sample on domain=example.com"
    assert record.exc_info
    assert record.exc_info[0] is KeyError


async def test_evidence_that_does_not_fit_the_sentence_is_our_bug() -> None:
    with pytest.raises(TypeError, match="what"):
        BROKEN(other="x")


async def test_the_deadline_ends_a_run_and_says_so() -> None:
    said = await run(BROKEN(what="x"), asyncio.Event().wait(), deadline=0.01)
    assert said.doubt is not None
    assert said.doubt.reason is Reason.DEADLINE
    assert said.verdict is Verdict.FAIL


async def test_a_timeout_that_is_not_the_deadline_is_a_bug() -> None:
    said = await run(TimeoutError("from somewhere else"))
    assert said.doubt is not None
    assert said.doubt.reason is Reason.BUG


async def test_a_cancelled_run_says_nothing() -> None:
    task = asyncio.create_task(run(asyncio.Event().wait()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_fact_said_twice_is_one_fact() -> None:
    assert len((await run(ODD(what="x"), ODD(what="x"))).findings) == 1


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("plain text", "plain text"),
        ("a\x00b\nc", "a\\u{0}b\\u{a}c"),
        ("\x1b[31mred", "\\u{1b}[31mred"),
        ("\udcff", "\\u{dcff}"),
        ("right\u202eleft", "right\\u{202e}left"),
        ("größe", "größe"),
    ],
)
def test_remote_text_is_shown_escaped(hostile: str, shown: str) -> None:
    assert printable(hostile) == shown


def test_remote_text_is_bounded() -> None:
    assert len(printable("x" * 100_000)) < 600


async def test_an_outcome_says_what_ran_and_on_whom() -> None:
    said = await run(BROKEN(what="x"))
    assert (said.check.id, said.target) == ("sample", EXAMPLE)
