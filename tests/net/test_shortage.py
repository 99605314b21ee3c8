"""A process that has no file left blames nobody for it, says so, and recovers."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.net.shortage import no_route, shortage
from tests.support.torture import FULL, size

ROOT = Path(__file__).parents[2]


@pytest.mark.torture
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"] if FULL else ["uvloop"])  # seconds of CPU each
def test_without_files_all_is_unknown_for_that_reason_and_nobody_is_blamed(
    loop: str, record_property: Callable[[str, object], None]
) -> None:
    """Sweeps over the demonstration, half an hour apart: with no file at all, and with a few."""
    pytest.importorskip(loop, reason="uvloop is an optional extra")
    sweeps, step = size(1, 12), size(4, 1)
    command = [sys.executable, "-m", "tests.support.exhausted", loop, str(sweeps), str(step)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=600, check=True)
    *wanting, recovered = json.loads(done.stdout)
    standing = {(key, finding) for key, told in recovered.items() for finding in told["findings"]}
    reasons: Counter[str | None] = Counter()
    for told in wanting:
        found = {(key, finding) for key, state in told.items() for finding in state["findings"]}
        assert found <= standing, "what is wrong without files is wrong with them, too"
        reasons.update(state["reason"] for state in told.values())
    nothing = Counter(state["reason"] for state in wanting[0].values())
    assert nothing.keys() <= {"local_resources", None}
    assert nothing["local_resources"] > 0.9 * nothing.total()
    assert nothing.total() >= size(150, 700)
    assert "bug" not in reasons
    assert b"Traceback" not in done.stderr
    assert "local_resources" not in {state["reason"] for state in recovered.values()}, "it recovers at once"
    record_property("verdicts without files", sum(len(told) for told in wanting))
    record_property("of these unknown for that reason", reasons["local_resources"])
    record_property("false findings", 0)


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (OSError(errno.EMFILE, "Too many open files"), True),
        (OSError(errno.ENFILE, "Too many open files in system"), True),
        (OSError(errno.ENOBUFS, "No buffer space available"), True),
        (MemoryError(), True),
        (ExceptionGroup("", [ValueError(), ExceptionGroup("", [OSError(errno.ENOMEM, "")])]), True),
        (OSError("Multiple exceptions: [Errno 101] Network is unreachable, [Errno 24] Too many open files"), True),
        (OSError(errno.ECONNREFUSED, "Connection refused"), False),
        (TimeoutError(), False),
        (ValueError("[Errno 24]"), False),
    ],
)
def test_which_errors_are_our_own_shortage(error: BaseException, *, ours: bool) -> None:
    assert (shortage(error) is not None) == ours


def test_a_port_can_be_missing_over_ipv4_and_an_address_over_ipv6() -> None:
    error = OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
    assert shortage(error, ipv4=True)
    assert not shortage(error)


@pytest.mark.parametrize(
    ("error", "none"),
    [
        (OSError(errno.ENETUNREACH, "Network is unreachable"), True),
        (OSError("Multiple exceptions: [Errno 101] Network is unreachable, [Errno 99] Cannot assign"), True),
        (OSError("Multiple exceptions: [Errno 101] Network is unreachable, [Errno 111] Connection refused"), False),
        (OSError(errno.ECONNREFUSED, "Connection refused"), False),
        (OSError("it was closed"), False),
        (ValueError("[Errno 101]"), False),
    ],
)
def test_no_way_from_here_is_one_to_none_of_the_addresses(error: Exception, none: bool) -> None:
    assert no_route(error) is none
