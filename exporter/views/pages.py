"""Renders the HTML pages. The template engine escapes everything, and the pages have no scripts."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import jinja2

from exporter import __version__
from exporter.explain import examples
from exporter.remedies import blanks_in
from exporter.remedies.forms import forms
from exporter.text import minute
from exporter.views.fleet.room import brief
from exporter.views.times import ago, timestamp, until
from exporter.views.words import answer, as_sentence, check_title, metric_title, reading, reason_title, seconds

BREATH = 500  # pieces of a page, a few milliseconds of work
TEXT = 900  # octets of one text in a list
NAVIGATION = (
    ("/", "Overview"),
    ("/problems", "Problems"),
    ("/domains", "Domains"),
    ("/senders", "Senders"),
    ("/changes", "Changes"),
    ("/receivers", "Receivers"),
    ("/findings", "Findings"),
)


class Pages:
    """Renders the templates beside this file. `root` is what links begin with, `now` is unix seconds.

    `rendering` is how many pages are being made: what a template is given becomes a part of circles meanwhile.
    """

    def __init__(self, root: str = "") -> None:
        self._root = root
        self.rendering = 0
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("exporter.views"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._compiled: set[str] = set()
        self._templates.globals |= {
            "version": __version__,
            "root": root,
            "navigation": NAVIGATION,
            "record_forms": forms,
            "today": None,
            "timeline": None,
            "acts": None,
            "most": TEXT,
            "check_title": check_title,
            "target_page": self.target_page,
            "label_page": self.label_page,
            "receiver_page": self.receiver_page,
        }
        self._templates.filters |= {
            "ago": ago,
            "answer": answer,
            "as_sentence": as_sentence,
            "blanks": blanks_in,
            "brief_seconds": seconds,
            "brief": brief,
            "check_title": check_title,
            "example": examples.fact,
            "example_fix": examples.fix,
            "example_remedy": examples.remedy,
            "metric_title": metric_title,
            "reason_title": reason_title,
            "minute": minute,
            "reading": reading,
            "timestamp": timestamp,
            "until": until,
        }

    async def render(self, name: str, now: float, /, **context: object) -> str:
        """The page. It is made in slices, and the event loop does other work between them."""
        if name not in self._compiled:  # which takes a while: the loop goes on
            await asyncio.get_running_loop().run_in_executor(None, self._compile, name)
        pieces: list[str] = []
        self.rendering += 1
        try:
            for piece in self._templates.get_template(name).generate(now=now, **context):
                pieces.append(piece)
                if len(pieces) % BREATH == 0:
                    await asyncio.sleep(0)
        finally:
            self.rendering -= 1
        return "".join(pieces)

    def _compile(self, name: str) -> None:
        shared = (it for it in self._templates.list_templates() if it.startswith("_") or it == "base.html")
        for it in (name, *shared):
            self._templates.get_template(it)
        self._compiled.add(name)

    def offer(self, **functions: object) -> None:
        """Let templates call these."""
        self._templates.globals |= functions

    def target_page(self, key: str) -> str:
        """The path of the page of a target."""
        return f"{self._root}/targets/{quote(key, safe='=,:')}"

    def label_page(self, name: str, value: str) -> str:
        """The path of the page of all that has this label."""
        return f"{self._root}/labels/{quote(name, safe='')}/{quote(value, safe='')}"

    def receiver_page(self, receiver: str, domain: str = "") -> str:
        """The path of the page of a receiver, or of what it demands of one domain."""
        return f"{self._root}/receivers/{receiver}/{quote(domain)}".rstrip("/")
