"""Chromium, which draws pages of ours, and axe-core, which looks at them for people who cannot see them as we do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, TypeAlias

from playwright.async_api import Browser, Page, async_playwright

Theme: TypeAlias = Literal["light", "dark"]

CHROMIUM = "/usr/bin/chromium"
ALONE = ("--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")  # nothing but loopback
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_RUN = "async (tags) => (await axe.run(document, {runOnly: {type: 'tag', values: tags}})).violations"


@dataclass(frozen=True, slots=True)
class Look:
    """What the browser says of a page as it is drawn."""

    status: int
    octets: int
    width: int  # of the content, in CSS pixels: more than the window's means sideways scrolling
    height: int
    text: str
    scripts: int
    complaints: list[str]  # of axe-core


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        made = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(ALONE))
        try:
            yield made
        finally:
            await made.close()


@asynccontextmanager
async def window(of: Browser, width: int, theme: Theme) -> AsyncIterator[Page]:
    context = await of.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
    try:
        yield await context.new_page()
    finally:
        await context.close()


async def look(page: Page, url: str) -> Look:
    """Open the page. Scripts of ours are run in it beside its policy, which allows none."""
    answer = await page.goto(url)
    assert answer
    width, height, scripts = await page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.scrollHeight, document.scripts.length]"
    )
    await page.evaluate(_axe())
    found: list[dict[str, Any]] = await page.evaluate(_RUN, STANDARDS)
    return Look(
        answer.status,
        len(await answer.body()),
        width,
        height,
        await page.inner_text("body"),
        scripts,
        [f"{it['id']}: {node['html'][:200]}" for it in found for node in it["nodes"][:3]],
    )


@cache
def _axe() -> str:
    return (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
