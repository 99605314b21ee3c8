"""One question of one or more nameservers, where the time is over before it begins."""

from __future__ import annotations

import asyncio

import pytest

from exporter.mail.dns import Question, Status
from exporter.net.dns import wire
from exporter.net.dns.attempts import Attempts, UpstreamState
from exporter.net.dns.upstream import Upstream
from tests.lab.process import free


@pytest.mark.parametrize("tcp", [False, True])
async def test_a_loop_that_is_late_makes_a_timeout_of_a_question_that_never_left(tcp: bool) -> None:
    """It was an IndexError once, and so unknown(bug)."""
    place = free()
    servers = [UpstreamState(Upstream(place.host, place.port))]
    query, late = wire.query(Question("example.com", "A")), asyncio.get_running_loop().time() - 1
    attempts = Attempts(query, servers, late, tcp=tcp, charge=lambda: None)
    response = await attempts.run()
    attempts.end()
    assert (response.server, response.said.status) == (servers[0], Status.TIMEOUT)
    assert "not asked in time" in response.said.detail
