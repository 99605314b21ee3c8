"""Decides when each check runs on each target.

The problem: a fleet has many thousands of pairs of a check and a target, each with its own interval. They must not all
run at once: not at the start, not after a reload, not when the clock jumps. And a slow check must not delay the others.

The idea: each check has its own heap of due times and its own queue. APScheduler calls `tick` for each check once a
second. `tick` moves the pairs that are due from the heap into the queue, and the queue starts their runs.

The rules:

- A queue has at most RUNS_AT_ONCE runs at a time.
- Due times are monotonic seconds on a fixed grid. The phase of the grid is a hash of the pair's key, so the runs of a
  check are spread over its interval.
- A pair never runs twice at the same time. If it is due while it waits or runs, `skipped` counts an "overlap".
- A run can ask to be repeated before its next time (`LookAgain`), for instance because a second look then decides.
- If whole intervals have passed before `tick` looks at a pair, `skipped` counts them as "missed".
- `run_soon` moves one run forward; the next one is on the grid again. A pair that runs already runs once more at once.
- APScheduler reads the wall clock. If that is set back by an hour, APScheduler does nothing for an hour. So a timer on
  the loop's own clock compares both clocks every second, and wakes APScheduler after a jump of more than JUMP.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import zlib
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from exporter.clock import Clock
from exporter.engine.loop_lag import LoopLag
from exporter.model import Check, Target

log = logging.getLogger(__name__)

Key: TypeAlias = tuple[str, str]

TICK = 1.0  # seconds between two looks at the clock
JUMP = 2.0  # seconds by which wall and monotonic time may drift apart between two looks
RUNS_AT_ONCE = 32  # runs of one check at the same time
MOST_RELEASED = 500  # pairs of one check in one tick; the others wait for the next tick
DEPENDENTS_PER_SECOND = 50  # pairs that run because of one change: they ask the same servers
SKIPS = ("missed", "overlap")  # the causes in `skipped`
STOPPED = 30.0  # seconds without a tick after which the schedule counts as stopped


@dataclass(frozen=True, slots=True)
class Job:
    """One check of one target, every `interval` seconds. `at_once`: its first run is now, not on the grid."""

    check: Check
    target: Target
    interval: float
    at_once: bool = False

    @property
    def key(self) -> Key:
        return self.check.id, self.target.key


@dataclass(slots=True)
class _Entry:
    job: Job
    due: float
    busy: bool = False  # waiting in the queue or running
    rerun: bool = False  # it must run again, because something changed while it ran


@dataclass(slots=True)
class _Queue:
    """The due times, the queue and the number of runs of one check."""

    heap: list[tuple[float, Key]] = field(default_factory=list)
    waiting: deque[_Entry] = field(default_factory=deque)
    running: set[Key] = field(default_factory=set)


def phase(key: Key) -> float:
    """At which part of its interval a pair runs, 0 to 1."""
    return zlib.crc32("/".join(key).encode("utf-8", "surrogatepass")) / 2**32


class _EachTick(BaseTrigger):  # type: ignore[misc]  # APScheduler ships no types
    """Fires TICK after now, not after the last time. So a jump of the clock causes no series of late ticks."""

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        return now + timedelta(seconds=TICK) if previous else now


class Schedule:
    """Runs `run(check, target)` for each job when it is due. `skipped` counts (check id, cause).

    `on_jump` gets the seconds by which the wall clock was put forward.
    """

    def __init__(
        self,
        run: Callable[[Check, Target], Awaitable[None]],
        clock: Clock,
        *,
        on_jump: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        logging.getLogger("apscheduler").setLevel(logging.WARNING)
        self._run = run
        self._clock = clock
        self._on_jump = on_jump
        self._entries: dict[Key, _Entry] = {}
        self._queues: dict[str, _Queue] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._watch: asyncio.TimerHandle | None = None
        self._offset = 0.0
        self._last_tick = 0.0
        self._draining = False
        self.skipped: Counter[tuple[str, str]] = Counter()
        self.lag = LoopLag()

    @property
    def alive(self) -> bool:
        """Whether the schedule still ticks."""
        return not self._queues or self._clock.monotonic() - self._last_tick < STOPPED

    @property
    def idle(self) -> bool:
        """Whether nothing runs or waits to run."""
        return not any(queue.waiting or queue.running for queue in self._queues.values())

    @property
    def queued(self) -> dict[str, int]:
        """How many runs are due and wait for their turn, by check."""
        return {check: len(queue.waiting) for check, queue in self._queues.items()}

    def start(self) -> None:
        """Must be called on the running loop."""
        self._last_tick = self._clock.monotonic()
        self._scheduler.start()
        self._offset = self._clock.wall() - self._clock.monotonic()
        self._look_at_clocks()
        self.lag.start()

    async def drain(self, seconds: float) -> None:
        """Start no more runs, wait `seconds` for those that run, then cancel them."""
        self._draining = True
        self.lag.stop()
        if self._watch:
            self._watch.cancel()
        if self._scheduler.running:
            self._scheduler.pause()
            await asyncio.sleep(0)  # ticks that have begun end, or each would be logged as an error
            self._scheduler.shutdown(wait=False)
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def add(self, job: Job) -> None:
        """Run this job from now on. An unchanged job keeps its due time; a job with a changed target runs at once."""
        key = job.key
        entry = self._entries.get(key)
        if entry is None:
            self._add(key, _Entry(job, self._clock.monotonic() if job.at_once else self._on_grid(job)))
            return
        before, entry.job = entry.job, job
        if before.target != job.target:
            entry.rerun = entry.busy
            if not entry.busy:
                self._move(key, entry, self._clock.monotonic())
        elif before.interval != job.interval:
            self._move(key, entry, self._on_grid(job))

    def run_soon(self, key: Key, seconds: float) -> None:
        """Run it in `seconds` at the latest, and then at its own times again."""
        entry, due = self._entries.get(key), self._clock.monotonic() + seconds
        if entry is None:
            return
        if entry.busy:
            entry.rerun = True  # what runs may have looked there before
        elif due < entry.due:
            self._move(key, entry, due)

    def look_again(self, key: Key, seconds: float) -> None:
        """Run the job in so many seconds at the latest, because its run asked for that. Its usual times follow."""
        entry = self._entries.get(key)
        due = self._clock.monotonic() + max(seconds, TICK)
        if entry and due < entry.due:
            self._move(key, entry, due)

    def due_in(self, key: Key) -> float | None:
        """In how many seconds it runs; 0 if it waits for its turn or runs. None: there is no such job."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        return 0.0 if entry.busy else max(0.0, entry.due - self._clock.monotonic())

    def run_dependents(self, keys: Iterable[Key], seconds: float) -> None:
        """Run each one soon, the first in `seconds`, and not all at the same time."""
        for count, key in enumerate(keys):
            self.run_soon(key, seconds + count / DEPENDENTS_PER_SECOND)

    def remove(self, key: Key) -> None:
        """Do not run it any more. A run that has begun ends normally."""
        self._entries.pop(key, None)

    def tick(self, check_id: str) -> None:
        """Move the due pairs of one check into its queue, and start runs."""
        now = self._last_tick = self._clock.monotonic()
        queue = self._queues[check_id]
        for _ in range(MOST_RELEASED):
            if not queue.heap or queue.heap[0][0] > now:
                break
            due, key = heapq.heappop(queue.heap)
            entry = self._entries.get(key)
            if entry is None or entry.due != due:
                continue  # removed or moved since
            if key in queue.running and not entry.busy:
                self._move(key, entry, now + TICK)  # it was removed and added again: its old run comes first
                continue
            missed = int((now - due) // entry.job.interval)
            if missed:
                self.skipped[check_id, "missed"] += missed
            if entry.busy:
                self.skipped[check_id, "overlap"] += 1
            else:
                entry.busy = True
                queue.waiting.append(entry)
            self._move(key, entry, self._on_grid(entry.job))
        self._fill(check_id, queue)

    def _add(self, key: Key, entry: _Entry) -> None:
        self._entries[key] = entry
        queue = self._queues.get(key[0])
        if queue is None:
            queue = self._queues[key[0]] = _Queue()
            self._scheduler.add_job(
                self._job,
                _EachTick(),
                args=[key[0]],
                id=key[0],
                max_instances=1,
                coalesce=True,
                misfire_grace_time=None,
            )
        heapq.heappush(queue.heap, (entry.due, key))

    async def _job(self, check_id: str) -> None:
        # a coroutine function on purpose: APScheduler runs anything else in a thread
        self.tick(check_id)

    def _move(self, key: Key, entry: _Entry, due: float) -> None:
        entry.due = due
        heapq.heappush(self._queues[key[0]].heap, (due, key))

    def _on_grid(self, job: Job) -> float:
        """The next time on the job's grid, in monotonic seconds."""
        now = self._clock.monotonic()
        return now + job.interval - (now - phase(job.key) * job.interval) % job.interval

    def _fill(self, check_id: str, queue: _Queue) -> None:
        while queue.waiting and len(queue.running) < RUNS_AT_ONCE and not self._draining:
            entry = queue.waiting.popleft()
            key = entry.job.key
            if self._entries.get(key) is not entry:
                continue  # removed since
            queue.running.add(key)
            task = asyncio.get_running_loop().create_task(self._one(key, entry, queue), name=":".join(key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _one(self, key: Key, entry: _Entry, queue: _Queue) -> None:
        try:
            await self._run(entry.job.check, entry.job.target)
        except Exception:
            log.exception("the run of %s on %s could not be taken in", *key)
        finally:
            queue.running.discard(key)
            entry.busy = False
            if entry.rerun and self._entries.get(key) is entry:
                entry.rerun = False
                self._move(key, entry, self._clock.monotonic())
            self._fill(key[0], queue)

    def _look_at_clocks(self) -> None:
        offset = self._clock.wall() - self._clock.monotonic()
        jump = offset - self._offset
        if abs(jump) > JUMP:
            log.warning("the wall clock jumped by %+.0f s; every job is woken", jump)
            for job in self._scheduler.get_jobs():
                job.modify(next_run_time=datetime.now(UTC))
            self._on_jump(jump)
        self._offset = offset
        self._watch = asyncio.get_running_loop().call_later(TICK, self._look_at_clocks)
