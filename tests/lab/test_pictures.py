"""Every page as Chromium draws it, at three widths and in both themes. `make drill` draws all, `make test` a few.

With PICTURES=FOLDER the pictures stay there, for whoever wants to look at them.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import pytest

from exporter.checks.smtp_tls.check import smtp_tls
from exporter.facts import Doubt, Reason
from exporter.model import Outcome
from exporter.targets import MailHost
from tests.lab.browser import Look, Theme, browser, look, window
from tests.support.planted_fleet import CATALOGUE, PlantedFleet
from tests.views.test_web import LARGEST, Site, served

Drawn: TypeAlias = tuple[str, int, Theme]

PAGES = {
    "overview": "/",
    "search": "/?q=team3",
    "problems": "/problems",
    "problems-narrow": "/problems?severity=warning&check=dmarc&label=team=team3&sort=newest",
    "unknown": "/problems?severity=unknown",
    "domains": "/domains",
    "senders": "/senders",
    "label": "/labels/team/team3",
    "domain-bad": "/targets/domain=customer7.example",
    "domain-good": "/targets/domain=customer4.example",
    "address": "/targets/ip=11.0.0.4",
    "resolver": "/targets/resolver",
    "check-alone": "/targets/domain=customer7.example?check=dkim",
    "changes": "/changes?since=all",
    "receivers": "/receivers",
    "receiver": "/receivers/gmail",
    "reception": "/receivers/gmail/customer7.example",
    "findings": "/findings",
    "refusal": "/findings?q=554 5.7.1 Helo command rejected: need fully-qualified hostname",
    "finding": "/findings/helo.local-name",
    "nothing": "/targets/domain=nosuch.example",
}
WIDTHS = (1280, 640, 390)  # a screen, the same at 200 % zoom, a phone
THEMES: tuple[Theme, ...] = ("light", "dark")
TALLEST = {1280: 6000, 640: 11_000, 390: 14_000}  # pixels
MOST_DRAWN = 15_000  # pixels: of a taller page the first screen
IN_EVERY_RUN = {("overview", 1280, "light"), ("domains", 390, "dark"), ("domain-bad", 390, "light")}

ALL: tuple[Drawn, ...] = tuple(itertools.product(PAGES, WIDTHS, THEMES))


@asynccontextmanager
async def fleet() -> AsyncIterator[Site]:
    """With problems, something unknown, and a check that has not run yet."""
    planted = PlantedFleet(60, 4)
    await planted.look()
    async for site in served(Site(catalogue=CATALOGUE)):
        site.clock.step_wall(planted.clock.wall() + 3600 - site.clock.wall())
        site.exposition.configure(planted.settings)
        for state in planted.store:
            site.store.hold(state.check, state.target, lambda _, made=state: made)  # type: ignore[misc]  # a lambda
        shut, new = MailHost(host="mx.mailco-lab.com"), MailHost(host="mx2.mailco-lab.com")
        for host in (shut, new):
            site.store.hold(smtp_tls, host)
        doubt = Doubt(Reason.EGRESS, "nothing answers at port 25 of 11.0.1.1")
        site.store.record(Outcome(smtp_tls, shut, (), (), (doubt,), (), site.clock.wall() - 60, 1.0))
        site.notices.append("History is lost on restart. Start with --storage.path to keep it.")
        yield site


def titled(drawn: Drawn) -> str:
    return "-".join(map(str, drawn))


@pytest.fixture(scope="module")
def looks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[Drawn, Look]:
    """All pages that this run has chosen, from one browser."""
    of_this = {it.name for it in request.session.items if it.path == request.path}
    wanted = [it for it in ALL if any(f"[{titled(it)}]" in name for name in of_this)]
    folder = Path(os.environ.get("PICTURES") or tmp_path_factory.mktemp("pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return asyncio.run(_drawn(wanted, folder))


async def _drawn(wanted: list[Drawn], folder: Path) -> dict[Drawn, Look]:
    made: dict[Drawn, Look] = {}
    async with fleet() as site, browser() as chromium:
        for name, width, theme in wanted:
            async with window(chromium, width, theme) as page:
                made[name, width, theme] = await look(page, site.web.addresses[0] + PAGES[name])
                await page.screenshot(
                    path=folder / f"{titled((name, width, theme))}.png",
                    full_page=made[name, width, theme].height < MOST_DRAWN,
                )
    return made


@pytest.mark.parametrize(
    "drawn",
    [
        pytest.param(it, id=titled(it), marks=[pytest.mark.lab] if it in IN_EVERY_RUN else [pytest.mark.drill])
        for it in ALL
    ],
)
def test_each_page_is_drawn_for_everybody(looks: dict[Drawn, Look], drawn: Drawn) -> None:
    name, width, _ = drawn
    seen = looks[drawn]
    assert seen.status == (404 if name == "nothing" else 200)
    assert seen.width <= width, "nobody scrolls sideways"
    assert seen.height <= TALLEST[width]
    assert seen.octets <= LARGEST
    assert seen.scripts == 0
    assert not re.search(r"\{\w+\}", seen.text), "a placeholder is for programs"
    assert seen.complaints == []


@pytest.mark.lab
async def test_a_keyboard_gets_to_the_content_and_sees_where_it_is() -> None:
    async for site in served(Site(catalogue=CATALOGUE)):
        async with browser() as chromium, window(chromium, 1280, "light") as page:
            await page.goto(f"{site.web.addresses[0]}/domains")
            await page.keyboard.press("Tab")
            skip = page.locator(":focus")
            assert await skip.inner_text() == "Skip to content"
            box = await skip.bounding_box()
            assert box
            assert box["x"] >= 0, "it is seen once it has the focus"
            await page.keyboard.press("Enter")
            assert await page.evaluate("document.activeElement.id") == "main"
            await page.keyboard.press("Tab")
            outline = await page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
            assert float(outline.removesuffix("px")) >= 2
            assert await page.locator("[aria-current=page]").inner_text() == "Domains"
            await page.emulate_media(media="print")
            assert not await page.locator("form.filter").is_visible()
            assert not await page.locator("header nav").is_visible()
