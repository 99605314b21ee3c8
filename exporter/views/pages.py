"""Renders the HTML pages. The template engine escapes everything, and the pages have no scripts."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import jinja2

from exporter import __version__
from exporter.explain import examples
from exporter.facts import Sample
from exporter.remedies.forms import forms
from exporter.text import minute
from exporter.views.times import ago, timestamp, until

BREATH = 500  # pieces of a page, a few milliseconds of work


class Pages:
    """Renders the templates beside this file. `root` is what links begin with, `now` is unix seconds."""

    def __init__(self, root: str = "") -> None:
        self._root = root
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("exporter.views"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals |= {
            "version": __version__,
            "root": root,
            "record_forms": forms,
            "target_page": self.target_page,
            "receiver_page": self.receiver_page,
            "today": None,
            "timeline": None,
            "acts": None,
        }
        self._templates.filters |= {
            "ago": ago,
            "example": examples.fact,
            "example_fix": examples.fix,
            "minute": minute,
            "reading": reading,
            "timestamp": timestamp,
            "until": until,
        }

    async def render(self, name: str, now: float, **context: object) -> str:
        """The page. It is made in slices, and the event loop does other work between them."""
        pieces: list[str] = []
        for piece in self._templates.get_template(name).generate(now=now, **context):
            pieces.append(piece)
            if len(pieces) % BREATH == 0:
                await asyncio.sleep(0)
        return "".join(pieces)

    def offer(self, **functions: object) -> None:
        """Let templates call these."""
        self._templates.globals |= functions

    def target_page(self, key: str) -> str:
        """The path of the page of a target."""
        return f"{self._root}/targets/{quote(key, safe='=,:')}"

    def receiver_page(self, receiver: str, domain: str = "") -> str:
        """The path of the page of a receiver, or of what it demands of one domain."""
        return f"{self._root}/receivers/{receiver}/{quote(domain)}".rstrip("/")


def reading(sample: Sample) -> str:
    """A measured value as a person reads it: moments as dates, durations in milliseconds."""
    name, value = sample.metric.name, sample.value
    if name.endswith("_timestamp_seconds"):
        return minute(value)
    if name.endswith("_duration_seconds"):
        return f"{value * 1000:.1f} ms"
    return f"{value:.0f}" if value == int(value) else f"{value:.4g}"
