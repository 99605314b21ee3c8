"""`check --watch`: looks again and again, past our own cache, and prints what changes.

Checks that ask DNS alone run each time. The others owe manners to mail hosts, registries and blocklists, and wait for
their usual interval. The resolver keeps old answers for as long as their TTL says, which nobody here can shorten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from exporter.check_state import CheckState, FindingPolicy
from exporter.cli.exit_codes import Exit, FailOn
from exporter.cli.judging import exit_code
from exporter.cli.once import Looker, ResolverFailsError
from exporter.config.values import duration
from exporter.engine.difference import difference
from exporter.engine.problems import Problem
from exporter.engine.store import Store
from exporter.model import Door
from exporter.targets import OwnResolver
from exporter.text import printable

_DURATION = duration(timedelta(seconds=5), timedelta(days=1))  # to find selectors costs some sixty questions
USUAL = 30.0  # seconds
HEAD = "Watching every {:g} s. The resolver may keep old answers for as long as their TTL. Ctrl-C ends it."

Say = Callable[[str], None]


def interval(text: str) -> float | None:
    """Seconds, or None for a text that is no duration: then it is a target that stands behind the flag."""
    try:
        return _DURATION(text).total_seconds()
    except ValueError:
        return None


async def until_well(
    looker: Looker,
    store: Store,
    every: float,
    policy: FindingPolicy,
    fail_on: FailOn,
    say: Say,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Look again until nothing is left that makes the exit code another one than 0. `store` has the first look."""
    clock = looker.clock
    say(HEAD.format(every))
    silent = False
    while exit_code(store, policy, clock.wall(), fail_on) is not Exit.OK:
        await pause(every)
        before = list(store)
        looker.clients.dns.forget_answers()
        try:
            await looker.test_resolver(store)
        except ResolverFailsError as fails:
            if not silent:
                say(f"{_time(clock.wall())}  the resolver does not answer: {printable(fails)}")
            silent = True
            continue
        if silent:
            say(f"{_time(clock.wall())}  the resolver answers again")
        silent = False
        await looker.sweep(store, await looker.targets(), due=lambda state: _due(looker, state))
        for line in _changes(before, store, policy, clock.wall()):
            say(line)
    say(f"{_time(clock.wall())}  nothing is left at or above {fail_on}")


def _due(looker: Looker, state: CheckState) -> bool:
    usual = looker.settings.intervals[state.check.id].total_seconds()
    return state.check.doors <= {Door.NAMESERVERS} or looker.clock.wall() - state.last_run >= usual


def _changes(before: list[CheckState], after: Store, policy: FindingPolicy, now: float) -> list[str]:
    before = [it for it in before if not isinstance(it.target, OwnResolver)]
    then = [it for it in after if not isinstance(it.target, OwnResolver)]
    change, time = difference(before, then, policy, now), _time(now)
    lines = [f"{time}  new   {_problem(it)}" for it in change.breaks]
    lines += [f"{time}  gone  {_problem(it)}" for it in change.heals]
    for state in change.blinded:
        why = state.doubt.detail if state.doubt else ""
        lines.append(f"{time}  unknown  {state.check.id} of {state.target.title}: {why}")
    doubted = {state.key for state in before if state.doubt}
    known = [it for it in then if it.key in doubted and not it.doubt and not it.check.concludes]
    return lines + [f"{time}  known again  {it.check.id} of {it.target.title}" for it in known]


def _problem(problem: Problem) -> str:
    return f"{problem.severity.upper():<8}  {problem.text}  [{problem.rule.id}]"


def _time(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%H:%M:%S")
