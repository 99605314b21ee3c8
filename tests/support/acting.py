"""A served store with a schedule and actions on it, and a program that sends forms there."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import aiohttp

from exporter.check_state import CheckState
from exporter.engine.actions import Actions
from exporter.engine.catalogue import Catalogue, CatalogueEntry
from exporter.engine.schedule import Job, Schedule
from exporter.model import Door, Facts, check
from exporter.targets import Domain
from exporter.views.public import PublicAddress
from exporter.views.security import WebSecurity
from exporter.views.web import Web, WebContext
from tests.support.checks import BROKEN, EXAMPLE, LISTED, ODD, SAMPLE, outcome
from tests.support.exposed import lines_of
from tests.views.test_web import Site

NOW = 1_780_000_000.0  # 2026-05-28


@check(over=Domain, needs={Door.SMTP}, interval=timedelta(minutes=30))
async def visit(target: Domain, net: Any) -> Facts:
    """Is somebody there?"""
    yield ()


CATALOGUE = Catalogue((CatalogueEntry(SAMPLE, (BROKEN, ODD, LISTED), ()), CatalogueEntry(visit, (), ())))


class Acting(Site):
    """A served store with a schedule, and actions on it."""

    def __init__(
        self, *, on: bool = True, public: PublicAddress | None = None, security: WebSecurity | None = None
    ) -> None:
        super().__init__(catalogue=CATALOGUE)
        self.clock.step_wall(NOW - self.clock.wall())
        self.ran: list[tuple[str, str]] = []
        self.schedule = Schedule(self._run, self.clock)
        self.actions = Actions(self.store, self.schedule, CATALOGUE, self.clock, self.exposition.put)
        views = WebContext(
            store=self.store,
            exposition=self.exposition,
            catalogue=CATALOGUE,
            clock=self.clock,
            alive=lambda: True,
            notices=list,
            history=self.history,
            actions=self.actions if on else None,
            public=public or PublicAddress(),
            security=security,
        )
        if security:
            security.open()
        self.web = Web(views)

    async def _run(self, ran: Any, target: Any) -> None:
        self.ran.append((ran.id, target.key))

    def look(self, target: Domain = EXAMPLE, *findings: Any, runs: Any = SAMPLE) -> CheckState:
        """A run that has just ended."""
        self.store.hold(runs, target)
        self.schedule.add(Job(runs, target, 900.0))
        state = self.store.record(replace(outcome(*findings, at=self.clock.wall(), target=target), check=runs))
        assert state is not None
        self.exposition.put(state)
        return state

    async def post(self, action: str, form: dict[str, str] | bytes) -> tuple[int, str, Any]:
        """As a program sends it."""
        return await self.send(action, {}, form)

    async def send(
        self, action: str, headers: dict[str, str], form: dict[str, str] | bytes, method: str = "POST"
    ) -> tuple[int, str, Any]:
        url = f"{self.web.addresses[0]}/-/{action}"
        if isinstance(form, bytes):
            headers = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        sent: dict[str, Any] = {"data": form, "headers": headers, "allow_redirects": False}
        async with aiohttp.ClientSession() as session, session.request(method, url, **sent) as answer:
            return answer.status, await answer.text(), answer.headers

    def series(self, family: str) -> str:
        return "".join(f"{line}\n" for line in lines_of(family, self.exposition))
