"""Texts of strangers cannot stop the reader: no crash, no stall, no memory, whatever is changed in a bounce."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable

import pytest

from exporter.engine import catalogue
from exporter.explain import bounce
from exporter.explain.diagnosis import as_text
from exporter.explain.refusals import Refusals
from tests.support import torture
from tests.support.mutated import Mutations

REFUSALS = Refusals(catalogue.load())
STALL = 0.050  # seconds of this process; several times as much would do harm, and a busy machine measures more
MEMORY = 16 * 1024 * 1024  # bytes, for a mail of 4 MB


@pytest.mark.torture
def test_mutated_mails_neither_crash_nor_stall_it(record_property: Callable[[str, object], None]) -> None:
    mutations, slowest, understood = Mutations(torture.seed()), 0.0, 0
    mails = torture.size(300, 100_000)
    for _ in range(mails):
        mail = mutations.mail()
        began = time.process_time()
        answer = REFUSALS.find(mail)
        slowest = max(slowest, time.process_time() - began)
        understood += bool(answer.matches)
        told = as_text(answer)
        assert all(char.isprintable() or char == "\n" for char in told)
    assert slowest < 4 * STALL
    assert understood > mails / 2
    record_property("mutated bounces", mails)
    record_property("the slowest, in ms", round(slowest * 1e3))


UNITS = ("a", "a.", "550 ", "<<< 550 ", "host a.b[1.2.3.4] said: ", "status=bounced (", "a@", "\n", "Received: x\n",
         "0:", "from=<a@b.c>", "gave this error: ", "user ", "--b\nContent-Type: text/plain\n\n")  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_what_is_looked_at_is_bounded(unit: str) -> None:
    for head in ("", "From: a@b.c\nContent-Type: multipart/report; boundary=b\n\n"):
        text = head + unit * (2 * bounce.LARGEST // len(unit))
        began = time.process_time()
        REFUSALS.find(text.encode())
        assert time.process_time() - began < 8 * STALL, "some 30 ms are usual"


def test_memory_is_bounded() -> None:
    mail = b"From: a@b.c\nContent-Type: multipart/report; boundary=b\n\n--b\n\n550 no\n--b\n\n" + b"a b\n" * 1_000_000
    tracemalloc.start()
    REFUSALS.find(mail)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MEMORY
