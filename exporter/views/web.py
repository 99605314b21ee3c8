"""The HTTP server: /metrics, the pages for people, and the paths for health and reload that Prometheus users know."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from aiohttp import web

from exporter.clock import Clock
from exporter.engine.catalogue import Catalogue
from exporter.engine.store import Store
from exporter.views.metrics import Exposition, compressor
from exporter.views.site import PageNotFoundError, Site

log = logging.getLogger(__name__)

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True)
class WebContext:
    """What the HTTP server may use of the daemon. `reload` returns the problems of the new configuration."""

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
        self._site = Site(views.store, views.catalogue, views.clock, lambda: views.exposition.policy, views.notices)
        app = web.Application(middlewares=[_safe])
        app.add_routes(
            [
                web.get("/", self._overview),
                web.get("/metrics", self._metrics),
                web.get("/targets/{path:.+}", self._target),
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
        """Raise OSError if an address cannot be listened on."""
        await self._runner.setup()
        for host, port in addresses:
            await web.TCPSite(self._runner, host, port).start()
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
        return await _html(self._site.overview(request.query.get("q", "")))

    async def _target(self, request: web.Request) -> web.Response:
        return await _html(self._site.target(request.match_info["path"]))

    async def _findings(self, request: web.Request) -> web.Response:
        return await _html(self._site.findings(request.query.get("q", "")))

    async def _finding(self, request: web.Request) -> web.Response:
        return await _html(self._site.finding(request.match_info["id"]))

    async def _receivers(self, _request: web.Request) -> web.Response:
        return await _html(self._site.receivers())

    async def _receiver(self, request: web.Request) -> web.Response:
        return await _html(self._site.receiver(request.match_info["name"]))

    async def _reception(self, request: web.Request) -> web.Response:
        return await _html(self._site.reception(request.match_info["name"], request.match_info["domain"]))

    async def _style(self, _request: web.Request) -> web.Response:
        return web.Response(text=self._site.style(), content_type="text/css")

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


async def _html(page: Awaitable[str]) -> web.Response:
    try:
        return web.Response(text=await page, content_type="text/html")
    except PageNotFoundError as nothing:
        raise web.HTTPNotFound(text=f"{nothing}\n") from None


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
