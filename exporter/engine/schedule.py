"""Decides when each check runs on each target.

The problem: a fleet has many thousands of pairs of a check and a target, each with its own interval. They must not all
run at once: not at the start, not after a reload, not when the clock jumps. And a slow check must not delay the others.

The idea: each check has its own slots, one for each second in which a pair is due, and its own queue. APScheduler calls
`tick` for each check once a second. `tick` moves the pairs that are due from their slots into the queue, and the queue
starts their runs.

The rules:

- A queue has at most RUNS_AT_ONCE runs at a time.
- Due times are monotonic seconds on a fixed grid. The phase of the grid is a hash of the target's key. So the runs of a
  check are spread over its interval, and the checks of one target are due together. One run may do those of others of
  its target, too (`claim`).
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
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from exporter.clock import Clock, Turns
from exporter.engine.loop_lag import LoopLag
from exporter.model import Check, Target

log = logging.getLogger(__name__)

Key: TypeAlias = tuple[str, str]

TICK = 1.0  # seconds between two looks at the clock
ABOUT = 2.0  # seconds by which a run may be early, at most, because another of its target is due
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


@dataclass(slots=True, eq=False)
class _Entry:
    check: Check
    target: Target
    interval: float
    due: float
    busy: bool = False  # waiting in the queue or running
    started: bool = False  # running
    claimed: bool = False  # the run that waits was done by another
    rerun: bool = False  # it must run again, because something changed while it ran


@dataclass(slots=True)
class _Queue:
    """The pairs of one check by target key, when they are due, which of them wait, and which run.

    An entry that has moved or left stays in its old slot until that is due.
    """

    entries: dict[str, _Entry] = field(default_factory=dict)
    slots: dict[int, list[_Entry]] = field(default_factory=dict)  # by second
    seconds: list[int] = field(default_factory=list)  # a heap of these
    intervals: dict[float, float] = field(default_factory=dict)  # equal ones are one object
    waiting: deque[_Entry] = field(default_factory=deque)
    running: set[str] = field(default_factory=set)

    def put(self, entry: _Entry, due: float) -> None:
        entry.due = due
        second = int(due)
        if second in self.slots:
            self.slots[second].append(entry)
        else:
            self.slots[second] = [entry]
            heapq.heappush(self.seconds, second)

    def has(self, entry: _Entry) -> bool:
        return self.entries.get(entry.target.key) is entry

    def take(self, now: float, most: int) -> Iterator[_Entry]:
        """The entries that are due, the earliest first. Each has to be put again at once."""
        while self.seconds and self.seconds[0] <= now:
            second = self.seconds[0]
            slot, early = self.slots[second], list[_Entry]()
            for place, entry in enumerate(slot):
                if int(entry.due) != second or not self.has(entry):
                    continue
                if entry.due > now:
                    early.append(entry)
                elif most:
                    most -= 1
                    yield entry
                else:
                    early += slot[place:]
                    break
            if early:
                self.slots[second] = early
                return
            del self.slots[second]
            heapq.heappop(self.seconds)


def phase(key: Key) -> float:
    """At which part of its interval a pair runs, 0 to 1. It is that of the target: its checks share their questions."""
    return zlib.crc32(key[1].encode("utf-8", "surrogatepass")) / 2**32


class _EachTick(BaseTrigger):  # type: ignore[misc]  # APScheduler ships no types
    """Fires TICK after now, not after the last time. So a jump of the clock causes no series of late ticks."""

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        return now + timedelta(seconds=TICK) if previous else now


class Schedule:
    """Runs `run(check, target)` for each job when it is due. `skipped` counts (check id, cause).

    `on_jump` gets the seconds by which the wall clock was put forward. `prepare` is called before a run begins.
    """

    def __init__(
        self,
        run: Callable[[Check, Target], Awaitable[None]],
        clock: Clock,
        *,
        on_jump: Callable[[float], None] = lambda _seconds: None,
        prepare: Callable[[Check, Target], None] = lambda _check, _target: None,
    ) -> None:
        logging.getLogger("apscheduler").setLevel(logging.WARNING)
        self._run = run
        self._clock = clock
        self._on_jump = on_jump
        self._prepare = prepare
        self._turns, self._ticks = Turns(clock), Turns(clock)
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

    def start(self, after: asyncio.Future[None] | None = None) -> None:
        """Must be called on the running loop. Runs begin when `after` is done: it needs the loop first."""
        self._last_tick = self._clock.monotonic()
        self._scheduler.start(paused=after is not None)
        if after:
            after.add_done_callback(self._resume)
        self._offset = self._clock.wall() - self._clock.monotonic()
        self._look_at_clocks()
        self.lag.start()

    def _resume(self, _: object) -> None:
        if not self._draining:
            self._scheduler.resume()

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
        queue, now = self._queue(job.check.id), self._clock.monotonic()
        entry = queue.entries.get(job.target.key)
        every = queue.intervals.setdefault(job.interval, job.interval)
        if entry is None:
            entry = queue.entries[job.target.key] = _Entry(job.check, job.target, every, now)
            queue.put(entry, now if job.at_once else self._on_grid(entry))
            return
        target, interval = entry.target, entry.interval
        entry.check, entry.target, entry.interval = job.check, job.target, every
        if target != job.target:
            entry.rerun = entry.busy
            if not entry.busy:
                queue.put(entry, now)
        elif interval != job.interval:
            queue.put(entry, self._on_grid(entry))

    def run_soon(self, key: Key, seconds: float) -> None:
        """Run it in `seconds` at the latest, and then at its own times again."""
        entry = self._find(key)
        due = self._clock.monotonic() + seconds
        if entry is None:
            return
        if entry.busy:
            entry.rerun = True  # what runs may have looked there before
        elif due < entry.due:
            self._queues[key[0]].put(entry, due)

    def claim(self, key: Key) -> bool:
        """Leave the next run of this pair to whoever asks. False: it is not due about now, or has begun.

        The one after that is on the grid again.
        """
        entry = self._find(key)
        if entry is None or entry.started or entry.claimed:
            return False
        if entry.busy:
            entry.claimed = True
            return True
        queue, about = self._queues[key[0]], min(ABOUT, entry.interval / 4)
        if entry.due > self._clock.monotonic() + about or key[1] in queue.running:
            return False
        queue.put(entry, self._on_grid(entry, entry.due + about))
        return True

    def look_again(self, key: Key, seconds: float) -> None:
        """Run the job in so many seconds at the latest, because its run asked for that. Its usual times follow."""
        entry = self._find(key)
        due = self._clock.monotonic() + max(seconds, TICK)
        if entry and due < entry.due:
            self._queues[key[0]].put(entry, due)

    def due_in(self, key: Key) -> float | None:
        """In how many seconds it runs; 0 if it waits for its turn or runs. None: there is no such job."""
        entry = self._find(key)
        if entry is None:
            return None
        return 0.0 if entry.busy else max(0.0, entry.due - self._clock.monotonic())

    def run_dependents(self, keys: Iterable[Key], seconds: float) -> None:
        """Run each one soon, the first in `seconds`, and not all at the same time."""
        for count, key in enumerate(keys):
            self.run_soon(key, seconds + count / DEPENDENTS_PER_SECOND)

    def remove(self, key: Key) -> None:
        """Do not run it any more. A run that has begun ends normally."""
        if self._find(key):
            del self._queues[key[0]].entries[key[1]]

    def tick(self, check_id: str) -> None:
        """Move the due pairs of one check into its queue, and start runs."""
        now = self._last_tick = self._clock.monotonic()
        queue = self._queues[check_id]
        for entry in queue.take(now, MOST_RELEASED):
            if entry.target.key in queue.running and not entry.busy:
                queue.put(entry, now + TICK)  # it was removed and added again: its old run comes first
                continue
            missed = int((now - entry.due) // entry.interval)
            if missed:
                self.skipped[check_id, "missed"] += missed
            if entry.busy:
                self.skipped[check_id, "overlap"] += 1
            else:
                entry.busy = True
                queue.waiting.append(entry)
            queue.put(entry, self._on_grid(entry))
        self._fill(check_id, queue)

    def _queue(self, check_id: str) -> _Queue:
        queue = self._queues.get(check_id)
        if queue is None:
            queue = self._queues[check_id] = _Queue()
            self._scheduler.add_job(
                self._job,
                _EachTick(),
                args=[check_id],
                id=check_id,
                max_instances=1,
                coalesce=True,
                misfire_grace_time=None,
            )
        return queue

    def _find(self, key: Key) -> _Entry | None:
        queue = self._queues.get(key[0])
        return queue.entries.get(key[1]) if queue else None

    async def _job(self, check_id: str) -> None:
        # a coroutine function on purpose: APScheduler runs anything else in a thread
        await self._ticks.wait()
        self.tick(check_id)

    def _on_grid(self, entry: _Entry, after: float | None = None) -> float:
        """The next time on the grid of the entry, in monotonic seconds."""
        now, interval = self._clock.monotonic() if after is None else after, entry.interval
        return now + interval - (now - phase((entry.check.id, entry.target.key)) * interval) % interval

    def _fill(self, check_id: str, queue: _Queue) -> None:
        while queue.waiting and len(queue.running) < RUNS_AT_ONCE and not self._draining:
            entry = queue.waiting.popleft()
            if not queue.has(entry):
                continue  # removed since
            if entry.claimed:
                self._ended(entry, queue)
                continue
            entry.started = True
            queue.running.add(entry.target.key)
            self._prepare(entry.check, entry.target)
            name = f"{check_id}:{entry.target.key}"
            task = asyncio.get_running_loop().create_task(self._one(check_id, entry, queue), name=name)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _one(self, check_id: str, entry: _Entry, queue: _Queue) -> None:
        target = entry.target
        try:
            await self._turns.wait()
            await self._run(entry.check, target)
        except Exception:
            log.exception("the run of %s on %s could not be taken in", check_id, target.key)
        finally:
            queue.running.discard(target.key)
            self._ended(entry, queue)
            self._fill(check_id, queue)

    def _ended(self, entry: _Entry, queue: _Queue) -> None:
        entry.busy = entry.started = entry.claimed = False
        if entry.rerun and queue.has(entry):
            entry.rerun = False
            queue.put(entry, self._clock.monotonic())

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
