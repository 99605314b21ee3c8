"""What is known of one question while it is under way. resolver.py moves it on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from exporter.mail.dns import Question, Reply
from exporter.net.dns.attempts import UpstreamState
from exporter.net.dns.cache import Cache
from exporter.net.dns.wire import Query
from exporter.net.rate_limit import TokenBucket


class Flight:
    """A question under way, and those who wait for its answer."""

    __slots__ = (
        "cache", "deliver", "latest", "outcome", "placed", "query", "question", "sent", "servers", "tcp", "waiting",
        "withdraw", "zone",
    )  # fmt: skip

    def __init__(self, question: Question, query: Query, latest: float, *, tcp: bool) -> None:
        self.question = question
        self.query = query
        self.latest = latest  # in the clock's monotonic seconds: until then, it may wait to be sent
        self.tcp = tcp
        self.waiting: list[asyncio.Future[Reply]] = []
        self.outcome: Reply | BaseException | None = None
        self.zone: TokenBucket | None = None
        self.cache: Cache | None = None
        self.placed = False
        self.sent = 0.0  # in the loop's time
        self.servers: Sequence[UpstreamState] = ()
        self.withdraw: Callable[[], None] | None = None  # the first datagram
        self.deliver: Callable[[bytes | OSError], None] | None = None  # to the Attempts that go on

    def tell(self) -> None:
        """Give the outcome to those who wait."""
        for waiting in self.waiting:
            if waiting.done():
                continue
            if isinstance(self.outcome, Reply):
                waiting.set_result(self.outcome)
            elif self.outcome is not None:
                waiting.set_exception(self.outcome)
        self.waiting.clear()
