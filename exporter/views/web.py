"""HTTP: /metrics from memory, the pages for a person, and the life-cycle paths that Prometheus users know."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any
from urllib.parse import quote

from aiohttp import web

from exporter import receivers
from exporter.check_state import CheckState
from exporter.clock import Clock
from exporter.engine.catalogue import Catalogue
from exporter.engine.store import Store
from exporter.explain import diagnosis, runbook
from exporter.explain.refusals import Refusals
from exporter.model import Severity, Verdict
from exporter.receivers import Profile
from exporter.targets import Delivery
from exporter.views import cards
from exporter.views.metrics import Exposition, compressor
from exporter.views.pages import Pages

log = logging.getLogger(__name__)

SHOWN = 200  # rows of one table; a fleet's page must stay a page
MOST_CAUSES = 20  # shown of one demand
FEW = 50  # domains judged at one receiver before the same
LONGEST_SEARCH = 4000  # characters: a bounce fits, and more does not fit into a URL
KINDS = ("critical", "warning", "unknown", "pass")  # of verdicts, the worst first
BREATH = 500  # verdicts looked at before the loop may do something else
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True)
class WebContext:
    """What the web side may see of the daemon. `reload` returns the problems that kept the old configuration."""

    store: Store
    exposition: Exposition
    catalogue: Catalogue
    clock: Clock
    alive: Callable[[], bool]
    notices: Callable[[], list[str]]
    reload: Callable[[], Awaitable[list[str]]] | None = None


class Web:
    """The HTTP server of one daemon."""

    def __init__(self, views: WebContext) -> None:
        self._views = views
        self._pages = Pages()
        self._refusals = Refusals(views.catalogue)
        app = web.Application(middlewares=[_safe])
        app.add_routes(
            [
                web.get("/", self._overview),
                web.get("/metrics", self._metrics),
                web.get("/targets/{key:.+}", self._target),
                web.get("/findings", self._findings),
                web.get("/findings/{id}", self._finding),
                web.get("/receivers", self._receivers),
                web.get("/receivers/{name}", self._receiver),
                web.get("/receivers/{name}/{domain}", self._reception),
                web.get("/style.css", self._style),
                web.get("/-/healthy", self._healthy),
                web.get("/-/ready", self._ready),
                web.route("*", "/-/reload", self._reload),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        self.addresses: list[str] = []

    async def start(self, addresses: list[tuple[str | None, int]]) -> None:
        """Raise OSError when an address cannot be listened on."""
        await self._runner.setup()
        for host, port in addresses:
            site = web.TCPSite(self._runner, host, port)
            await site.start()
        self.addresses = [f"http://{f'[{a[0]}]' if ':' in a[0] else a[0]}:{a[1]}" for a in self._runner.addresses]

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        names = frozenset(request.query.getall("name[]", []))
        pieces, content_type = self._views.exposition.render(request.headers.get("Accept", ""), names)
        response = web.StreamResponse(headers={**_HEADERS, "Content-Type": content_type})
        response.headers["Vary"] = "Accept, Accept-Encoding"
        squeeze: Callable[[bytes], bytes] | None = None
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            response.headers["Content-Encoding"] = "gzip"
            squeeze = compressor()
        try:
            await response.prepare(request)
            if request.method != "HEAD":
                await _send(response, pieces, squeeze)
        except ConnectionError:
            log.debug("%s hung up in the middle of a scrape", request.remote)
        return response

    async def _overview(self, request: web.Request) -> web.Response:
        wanted = request.query.get("q", "").strip().lower()[:100]
        targets: set[str] = set()
        kinds: dict[str, list[CheckState]] = {kind: [] for kind in KINDS}
        async for held in self._each(lambda _: True):
            targets.add(held.target.key)
            if _matches(held, wanted):
                kinds[self._kind(held)].append(held)
        totals = {kind: len(rows) for kind, rows in kinds.items()}
        critical, warning = (_first(kinds[kind]) for kind in ("critical", "warning"))
        return self._page(
            "overview.html",
            query=wanted,
            totals=totals,
            notices=self._views.notices(),
            targets=len(targets),
            wrong=await self._carded([*critical, *warning][:SHOWN]),
            unknown=await self._carded(kinds["unknown"][:SHOWN]),
            passing=await self._carded(kinds["pass"][:SHOWN]),
            left_out={
                "wrong": max(0, totals["critical"] + totals["warning"] - SHOWN),
                "unknown": max(0, totals["unknown"] - SHOWN),
            },
        )

    async def _target(self, request: web.Request) -> web.Response:
        key = request.match_info["key"]
        pairs = set(key.split(","))
        kinds: dict[str, list[CheckState]] = {kind: [] for kind in KINDS}
        async for held in self._each(lambda h: h.target.key == key or pairs <= set(h.target.key.split(","))):
            kinds[self._kind(held)].append(held)
        found = list(chain.from_iterable(kinds.values()))
        if not found:
            raise web.HTTPNotFound(text=f"no target {key[:200]!r} is configured\n")
        shown = found[:SHOWN]
        told = cards.cards(shown, self._views.exposition.policy, self._views.clock.wall())
        title = " ".join(p.partition("=")[2] or p for p in key.split(","))
        asked = [(receivers.shipped()[name], dict(h.target.identity)["domain"]) for h in shown for name in _wanted(h)]
        links = [{"question": profile.question, "href": _at(profile.id, domain)} for profile, domain in asked]
        left_out = len(found) - len(shown)
        return self._page("target.html", title=title, cards=told, receivers=links, left_out=left_out)

    async def _findings(self, request: web.Request) -> web.Response:
        asked = request.query.get("q", "").strip()[:LONGEST_SEARCH]
        answer = diagnosis.plain(self._refusals.find(asked)) if asked else None
        entries = [
            {"check": e.check.id, "question": e.check.question, "rules": [runbook.rule(r) for r in e.rules]}
            for e in self._views.catalogue.entries
        ]
        return self._page("findings.html", entries=entries, asked=asked, answer=answer)

    async def _finding(self, request: web.Request) -> web.Response:
        declared = self._views.catalogue.rules.get(request.match_info["id"])
        if declared is None:
            raise web.HTTPNotFound(text="no such finding; /findings lists them all\n")
        standing = [h async for h in self._each(lambda h: any(s.finding.rule is declared for s in h.findings))]
        return self._page("finding.html", rule=runbook.rule(declared), cards=self._cards(standing[:SHOWN]))

    async def _receivers(self, _request: web.Request) -> web.Response:
        domains = dict.fromkeys(receivers.shipped(), 0)
        unmet = dict.fromkeys(receivers.shipped(), 0)
        async for held in self._each(lambda h: bool(_wanted(h))):
            standing = {s.finding.id for s in held.findings}
            for name in _wanted(held):
                profile = receivers.shipped()[name]
                domains[name] += 1
                unmet[name] += any(profile.finding(demand) in standing for demand in profile.demands)
        rows = [
            {"profile": profile, "href": _at(name), "domains": domains[name], "unmet": unmet[name]}
            for name, profile in receivers.shipped().items()
        ]
        return self._page("receivers.html", rows=rows)

    async def _receiver(self, request: web.Request) -> web.Response:
        profile = _profile(request)
        domains = [h.target async for h in self._each(lambda h: profile.id in _wanted(h))]
        told: list[dict[str, Any]] = []
        for count, target in enumerate(domains, 1):
            told.append(cards.reception(profile, target, self._views.store.get))
            if count % FEW == 0:
                await asyncio.sleep(0)
        told.sort(key=lambda t: (cards.FIRST.index(t["state"]), -t["counts"]["unmet"], t["domain"]))
        shown = [{**row, "href": _at(profile.id, row["domain"])} for row in told[:SHOWN]]
        totals = {state: sum(t["state"] == state for t in told) for state in cards.FIRST}
        left_out = len(told) - len(shown)
        return self._page("receiver.html", profile=profile, rows=shown, totals=totals, left_out=left_out)

    async def _reception(self, request: web.Request) -> web.Response:
        profile, domain = _profile(request), request.match_info["domain"]
        held = [h async for h in self._each(lambda h: profile.id in _wanted(h))]
        target = next((h.target for h in held if h.target.domain == domain), None)
        if target is None:
            raise web.HTTPNotFound(text=f"{domain[:200]!r} has no {profile.id} among its receivers\n")
        told = cards.reception(profile, target, self._views.store.get)
        for demand in told["demands"]:
            demand["causes"] = [{**cause, "href": _page_of(cause["target"])} for cause in demand["causes"]]
            demand["unknown"] = [{**doubt, "href": _page_of(doubt["target"])} for doubt in demand["unknown"]]
        return self._page("reception.html", told=told, profile=profile, href=_page_of(target.key), most=MOST_CAUSES)

    async def _style(self, _request: web.Request) -> web.Response:
        return web.Response(text=self._pages.render("style.css", 0), content_type="text/css")

    async def _healthy(self, _request: web.Request) -> web.Response:
        if self._views.alive():
            return web.Response(text="deliverability-exporter is healthy.\n")
        raise web.HTTPServiceUnavailable(text="the schedule has stopped\n")

    async def _ready(self, _request: web.Request) -> web.Response:
        return web.Response(text="deliverability-exporter is ready.\n")

    async def _reload(self, request: web.Request) -> web.Response:
        if self._views.reload is None:
            raise web.HTTPForbidden(text="reloading over HTTP is off; start with --web.enable-lifecycle\n")
        if request.method not in ("POST", "PUT"):
            raise web.HTTPMethodNotAllowed(request.method, ["POST", "PUT"], text="use POST or PUT\n")
        problems = await self._views.reload()
        if problems:
            raise web.HTTPInternalServerError(text="the old configuration stays:\n" + "\n".join(problems) + "\n")
        return web.Response(text="configuration reloaded\n")

    async def _each(self, wanted: Callable[[CheckState], bool]) -> Any:
        for count, held in enumerate(list(self._views.store), 1):
            if wanted(held):
                yield held
            if count % BREATH == 0:
                await asyncio.sleep(0)

    def _kind(self, held: CheckState) -> str:
        policy, now = self._views.exposition.policy, self._views.clock.wall()
        verdict = held.verdict(policy, now)
        if verdict is not Verdict.FAIL:
            return str(verdict)
        critical = any(j.fails and j.severity is Severity.CRITICAL for j in held.judged(policy, now))
        return "critical" if critical else "warning"

    def _cards(self, held: list[CheckState]) -> list[dict[str, Any]]:
        policy, now = self._views.exposition.policy, self._views.clock.wall()
        return [{**cards.card(h, policy, now), "href": _page_of(h.target.key)} for h in held]

    async def _carded(self, held: list[CheckState]) -> list[dict[str, Any]]:
        """The same, with a breath for the loop before each table."""
        await asyncio.sleep(0)
        return self._cards(held)

    def _page(self, name: str, **context: Any) -> web.Response:
        text = self._pages.render(name, self._views.clock.wall(), **context)
        return web.Response(text=text, content_type="text/html")


def _first(held: list[CheckState]) -> list[CheckState]:
    """By check and target, as many as one table shows."""
    return heapq.nsmallest(SHOWN, held, key=lambda h: (h.check.id, h.target.title))


def _page_of(key: str) -> str:
    return f"/targets/{quote(key, safe='=,:')}"


def _at(receiver: str, domain: str = "") -> str:
    return f"/receivers/{receiver}/{quote(domain)}".rstrip("/")


def _wanted(held: CheckState) -> tuple[str, ...]:
    """The receivers that the mail of this target goes to."""
    return held.target.receivers if isinstance(held.target, Delivery) else ()


async def _send(
    response: web.StreamResponse, pieces: Iterable[bytes], squeeze: Callable[[bytes], bytes] | None
) -> None:
    loop = asyncio.get_running_loop()
    for piece in (piece for piece in pieces if piece):
        octets = await loop.run_in_executor(None, squeeze, piece) if squeeze else piece
        if octets:
            await response.write(octets)
    if squeeze:
        await response.write(squeeze(b""))
    await response.write_eof()


def _profile(request: web.Request) -> Profile:
    profile = receivers.shipped().get(request.match_info["name"])
    if profile is None:
        raise web.HTTPNotFound(text=f"no such receiver; there are {', '.join(receivers.shipped())}\n")
    return profile


def _matches(held: CheckState, wanted: str) -> bool:
    words = (held.check.id, held.target.title, *(value for _, value in held.target.labels))
    return not wanted or any(wanted in word.lower() for word in words)


@web.middleware
async def _safe(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        response = await handler(request)
    except web.HTTPException as refused:
        refused.headers.update(_HEADERS)
        raise
    if not response.prepared:
        response.headers.update(_HEADERS)
    return response
