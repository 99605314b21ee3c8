"""Reads the files that a configuration names, and always comes back.

The problem: a pipe, a device or a hung network mount never ends, and a thread that waits for it cannot be stopped.

The rules:

- Only regular files are read, no more of them than the caller wants, and no file that changes meanwhile.
- A read runs in a thread that nothing waits for: not the loop, not the next read, not the end of the process.
- Whoever waits gives up after some seconds, and the error names the file.
"""

from __future__ import annotations

import asyncio
import errno
import glob
import os
import stat
import threading
import time
from collections.abc import Callable
from concurrent import futures
from itertools import islice
from pathlib import Path
from typing import TypeVar, cast

from exporter.text import printable

T = TypeVar("T")

PATIENCE = 10.0  # seconds
LOOKS = 20  # at the clock, while the patience lasts
MOST_HANGING = 8  # reads that have hung and still do; each holds a thread

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


class HangsError(OSError):
    """A file was not read in time."""

    def __init__(self, message: str) -> None:
        super().__init__(errno.ETIMEDOUT, message)

    def __str__(self) -> str:
        return str(self.strerror)


class Files:
    """Reads for one caller. `waits` says for which path it waits just now, and since when in monotonic seconds."""

    def __init__(self) -> None:
        self.waits: tuple[str, float] | None = None
        self.wanted = True  # False: nobody waits for the result any more

    def read(self, path: str | os.PathLike[str], most: int) -> bytes:
        """At most the first `most` bytes. Raise OSError if it is no regular file, or ValueError if it is no path."""
        return self.waiting_for(path, lambda: _read(path, most))

    def matches(self, pattern: str, home: Path, most: int) -> list[str]:
        """At most `most` of the paths that a pattern names, in the order of the file system."""
        return self.waiting_for(
            home / pattern,
            lambda: list(islice(glob.iglob(pattern, root_dir=home), most)),  # noqa: PTH207 (Path.glob refuses absolute patterns)
        )

    def waiting_for(self, path: str | os.PathLike[str], work: Callable[[], T]) -> T:
        """Do the work. Meanwhile `waits` names this path."""
        self.go_on()
        self.waits = printable(path), time.monotonic()
        try:
            return work()
        finally:
            self.waits = None

    def go_on(self) -> None:
        """Raise HangsError if nobody waits for the result any more."""
        if not self.wanted:
            raise HangsError("nobody waits for the files any more")


def _read(path: str | os.PathLike[str], most: int) -> bytes:
    _regular(os.stat(path))  # noqa: PTH116 (one call: to open some devices is already too much)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        before = os.fstat(descriptor)
        _regular(before)  # what has been opened may be another file
        pieces, left = [], most
        while left and (piece := file.read(min(left, 1 << 20))):
            pieces.append(piece)
            left -= len(piece)
        after = os.fstat(descriptor)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise OSError(errno.EAGAIN, "it was changed while it was read; read it again when it is written")
    return b"".join(pieces)


def _regular(found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        raise OSError(errno.EINVAL, f"it is {kind}, and a regular file is wanted")


class Reader:
    """Runs work that reads files, each in a thread of its own, and waits for it `patience` seconds.

    Raise HangsError if it is not done by then. What it comes to later is thrown away.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._threads: list[_Thread] = []

    @property
    def busy(self) -> bool:
        """Whether a thread has not ended, although nobody may wait for it any more."""
        return any(thread.is_alive() for thread in self._threads)

    async def read(self, work: Callable[[Files], T], *, thorough: bool = False) -> T:
        """The result. `thorough`: only a file that hangs is too late; what is made of the files may take longer."""
        thread = self._begin(work)
        done = asyncio.wrap_future(thread.done)
        try:
            while not (await asyncio.wait([done], timeout=self._patience / LOOKS))[0]:
                self._judge(thread, thorough=thorough)
            return cast(T, await done)
        finally:
            thread.files.wanted = False
            done.cancel()  # or an error that comes later would be logged as one that nobody took

    def read_here(self, work: Callable[[Files], T]) -> T:
        """The same for a command, which has nothing else to do meanwhile: thorough."""
        thread = self._begin(work)
        try:
            while not futures.wait([thread.done], timeout=self._patience / LOOKS).done:
                self._judge(thread, thorough=True)
            return cast(T, thread.done.result())
        finally:
            thread.files.wanted = False

    def _begin(self, work: Callable[[Files], T]) -> _Thread:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        if len(self._threads) >= MOST_HANGING:
            at = self._threads[-1].files.waits or ("the configuration", 0.0)
            raise HangsError(f"{at[0]}: {len(self._threads)} earlier attempts to read it hang; repair its file system")
        thread = _Thread(work)
        self._threads.append(thread)
        thread.start()
        return thread

    def _judge(self, thread: _Thread, *, thorough: bool) -> None:
        """Raise HangsError if it is too late."""
        now, waits = time.monotonic(), thread.files.waits
        late = not thorough and now - thread.began >= self._patience
        if waits and (late or now - waits[1] >= self._patience):
            raise HangsError(
                f"{waits[0]}: cannot be read within {self._patience:g} s; look whether its file system is still there"
            )
        if late:
            raise HangsError(
                f"the configuration was not understood within {self._patience:g} s: it is too large for a "
                "reload. Divide it among several exporters, or restart, which may take longer"
            )


class _Thread(threading.Thread):
    """A daemon thread: no executor, because the interpreter waits for the threads of executors when it ends."""

    def __init__(self, work: Callable[[Files], object]) -> None:
        super().__init__(name="files", daemon=True)
        self._work = work
        self.files = Files()
        self.began = time.monotonic()
        self.done: futures.Future[object] = futures.Future()
        self.done.set_running_or_notify_cancel()

    def run(self) -> None:
        try:
            self.done.set_result(self._work(self.files))
        except BaseException as error:  # noqa: BLE001 (whoever waits for the result gets it)
            self.done.set_exception(error)
