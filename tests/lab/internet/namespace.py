"""A network of its own, in which every address of the Internet is this machine, and each port is shut until opened."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from tests.lab.process import Lab, need, unfit, until

_CLONE_NEWNET = 0x4000_0000  # of <sched.h>; os.setns is in Python 3.12 only
# "local" for the whole Internet: any address can be listened at, and who listens nowhere refuses.
_ALL_IS_HERE = """link set lo up
route add local 0.0.0.0/0 dev lo
-6 route add local ::/0 dev lo
"""
_IPV6_ANYWHERE = Path("/proc/sys/net/ipv6/ip_nonlocal_bind")  # for IPv4 the route is enough

T = TypeVar("T")


class Namespace:
    """Lives as long as the lab. Processes are started in it by `enter`; `run` opens sockets in it."""

    def __init__(self, lab: Lab, name: str = "namespace") -> None:
        need("unshare", "nsenter", "ip", "sleep")
        if os.geteuid() != 0:
            unfit("a network of its own is made by root only")
        try:
            subprocess.run(["unshare", "--net", "true"], check=True, capture_output=True)
        except subprocess.CalledProcessError as error:
            unfit(f"no network of its own: {error.stderr.decode().strip()}")
        holder = lab.start(name, ["unshare", "--net", "sleep", "infinity"], lambda: True)
        self._path = Path(f"/proc/{holder.pid}/ns/net")
        ours = Path("/proc/self/ns/net").readlink()
        until(lambda: self._path.readlink() != ours, "a network of its own")
        for line in _ALL_IS_HERE.splitlines():
            subprocess.run(self.enter(["ip", *line.split()]), check=True)
        self.run(lambda: _IPV6_ANYWHERE.write_text("1"))

    def enter(self, command: Sequence[str | Path]) -> list[str | Path]:
        """The command that runs this one here: it takes over the process, so its pid is that of the command."""
        return ["nsenter", f"--net={self._path}", *command]

    def run(self, function: Callable[[], T]) -> T:
        """Call it in a thread that is here. A socket stays in the network that it was made in."""
        with ThreadPoolExecutor(1, initializer=self._move) as thread:
            return thread.submit(function).result()

    def _move(self) -> None:
        with self._path.open("rb") as here:
            if ctypes.CDLL(None, use_errno=True).setns(here.fileno(), _CLONE_NEWNET):
                error = ctypes.get_errno()
                raise OSError(error, os.strerror(error))
