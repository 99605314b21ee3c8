"""Keeps two processes from sharing one state file: each would undo what the other has written.

The lock is an advisory one (flock) on a file of its own, because the state file itself may be replaced. The kernel ends
it with the process, however that ends. So the lock file stays, and says nothing by being there.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path


class StateInUseError(OSError):
    """Another process has the state file. The text says which one, and what to do."""


class StateLock:
    """A lock of `path`, once it is taken. It knows when its file is no longer the one that others see."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def take(self) -> None:
        """Raise StateInUseError if another process has it, and OSError if there can be no lock file."""
        if self._file is not None and self._is_there(self._file):
            return
        self.leave()
        flags = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        file = os.open(self._path, flags, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(file)
            os.close(file)
            raise StateInUseError(
                f"{holder} uses this state file (its lock is {self._path}): stop that one, or give this one another "
                "--storage.path"
            ) from None
        except OSError:
            os.close(file)
            raise
        self._file = file
        with contextlib.suppress(OSError):  # a full disk: then nobody is told who has it
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode(), 0)

    def leave(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _is_there(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), self._path.lstat())
        except OSError:
            return False


def _holder(file: int) -> str:
    """As the lock file says. The number is that of the holder's own container, if it runs in one."""
    told = os.pread(file, 20, 0).strip()
    return f"process {int(told)}" if told.isdigit() else "another process"
