"""What a reload changes of the clients, and what they keep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from exporter import clients
from exporter.app import Daemon
from exporter.clients import sees_differently
from exporter.clock import SystemClock
from exporter.config import Nameserver, Settings, defaults
from exporter.mail.dnsbl.blocklist import Blocklist
from tests.support.configuration import CATALOGUE
from tests.support.hostile import Hostile
from tests.support.resolving import A, honest


def settings(*blocklists: Blocklist, server: tuple[str, int] = ("127.0.0.1", 9), rate: int = 500) -> Settings:
    nowhere = (Nameserver(*server),)
    return replace(defaults(CATALOGUE), nameservers=nowhere, blocklists=blocklists, targets=(), queries_per_second=rate)


def rate(daemon: Daemon, name: str) -> float | None:
    """Questions a second for that name, besides the rate of all."""
    assert daemon._clients
    bucket = daemon._clients.dns._limiter.zone(name)
    return 1 / bucket._gap if bucket else None


async def test_other_rates_and_lists_count_after_a_reload_and_nothing_is_forgotten() -> None:
    one, faster = Blocklist("one", "one.example"), Blocklist("one", "one.example", queries_per_second=200)
    async with Hostile(honest) as server:
        versions: Iterator[Settings] = iter(
            [
                settings(one, server=server.address),
                settings(faster, Blocklist("two", "two.example", queries_per_second=3), server=server.address, rate=9),
                settings(server=server.address),
            ]
        )
        daemon = Daemon(lambda _: next(versions), clients.open_clients, CATALOGUE, SystemClock())
        await daemon.start([("127.0.0.1", 0)])
        try:
            before = daemon._clients
            assert before
            await before.dns.ask(A)
            assert rate(daemon, "1.one.example") == pytest.approx(50)
            assert rate(daemon, "1.two.example") is None
            assert await daemon.reload() == []
            assert daemon._clients is before
            assert rate(daemon, "1.one.example") == pytest.approx(200)
            assert rate(daemon, "1.two.example") == pytest.approx(3)
            assert 1 / before.dns._limiter.everything._gap == pytest.approx(9)
            assert (await before.dns.ask(A)).transport == "cache"
            assert await daemon.reload() == []
            assert rate(daemon, "1.one.example") is None
        finally:
            await daemon.stop()


def test_a_rate_changes_no_target_so_that_nothing_runs_anew() -> None:
    one, faster = Blocklist("one", "one.example"), Blocklist("one", "one.example", queries_per_second=200)
    assert one == faster
    assert not sees_differently(settings(one), settings(faster, rate=9))


def test_lists_that_share_a_zone_keep_to_the_lower_rate() -> None:
    lists = [Blocklist(name, "x.example", queries_per_second=rate) for name, rate in (("a", 9), ("b", 3), ("c", 5))]
    assert clients._rates(settings(*lists)) == {"x.example": 3}
