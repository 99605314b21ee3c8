"""Whatever a nameserver says and however little time is left, a question ends in time with a reply."""

from __future__ import annotations

import asyncio
import time

import dns.rcode
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.mail.dns import Status
from exporter.net.dns.upstream import Upstream
from tests.support.hostile import Answers, Hostile, framed, response, silence
from tests.support.resolving import SLACK, TRUE, A, cut_off, honest, over_tcp, resolving, saying, truncated

KINDS: dict[str, tuple[Answers, Answers | None]] = {
    "honest": (honest, over_tcp),
    "servfail": (saying(dns.rcode.SERVFAIL), lambda query: [framed(saying(dns.rcode.SERVFAIL)(query)[0])]),  # type: ignore[index]  # a list
    "blames dnssec": (saying(dns.rcode.SERVFAIL, (6, "bogus")), None),
    "servfail unless unchecked": (
        lambda query: honest(query) if query[3] & 0x10 else saying(dns.rcode.SERVFAIL)(query),
        over_tcp,
    ),
    "refused": (saying(dns.rcode.REFUSED), None),
    "knows no edns": (saying(dns.rcode.FORMERR), None),
    "nxdomain": (saying(dns.rcode.NXDOMAIN), None),
    "truncated": (truncated, over_tcp),
    "truncated, and cut off": (truncated, cut_off),
    "truncated, and no tcp": (truncated, None),
    "silent": (silence, silence),
    "nonsense": (lambda query: [query[:2] + b"\x81\x80" + query[4:] + b"\xff"], None),
    "forging": (lambda query: [response(query, rcode=dns.rcode.SERVFAIL)[:12]] * 7, over_tcp),
}
DEADLINES = st.sampled_from([-1.0, 0.0, 1e-9, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03])


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_asking_never_raises(loop: str) -> None:
    """With several nameservers, of which each gives a reply of any kind, at a deadline that is over or just passes."""
    uvloop = pytest.importorskip("uvloop", reason="uvloop is an optional extra") if loop == "uvloop" else None

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=3), DEADLINES, st.booleans(), st.integers(1, 3)
    )
    def asks(kinds: list[str], deadline: float, tcp: bool, times: int) -> None:
        runner.run(_asked(kinds, deadline, tcp=tcp, times=times))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop if uvloop else None) as runner:
        asks()


async def _asked(kinds: list[str], deadline: float, *, tcp: bool, times: int) -> None:
    servers = [Hostile(*KINDS[kind]) for kind in kinds]
    for server in servers:
        await server.__aenter__()
    try:
        async with resolving(*servers, timeout=deadline) as resolver:
            for _ in range(times):
                since = time.monotonic()
                reply = await resolver.ask(A, fresh=True, tcp=tcp)
                assert time.monotonic() - since < max(deadline, 0) + 20 * SLACK
                assert not reply.records or set(reply.records) == set(TRUE)
                assert bool(reply.detail) is not reply.status.conclusive
                assert reply.status is not Status.NODATA
    finally:
        for server in servers:
            await server.__aexit__()


@pytest.mark.parametrize("late", [0.0, -1.0])
async def test_a_servfail_that_is_looked_into_when_its_time_is_over_stays_a_servfail(late: float) -> None:
    async with Hostile(saying(dns.rcode.SERVFAIL)) as server, resolving(server) as resolver:
        reply = await resolver.ask(A)
        assert reply.status is Status.SERVFAIL
        upstream = Upstream(*server.address)
        assert upstream.name in reply.detail
    async with Hostile(saying(dns.rcode.SERVFAIL)) as server, resolving(server, timeout=late) as resolver:
        reply = await resolver.ask(A)
        assert reply.status is Status.TIMEOUT
        assert "was not asked in time" in reply.detail
