"""The HTTP server: /metrics, the pages for people, and the paths for health and reload that Prometheus users know."""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Handler

from exporter.check_state import FindingPolicy
from exporter.clock import Clock
from exporter.engine.actions import Actions
from exporter.engine.catalogue import Catalogue
from exporter.engine.history import History
from exporter.engine.store import Store
from exporter.views.actions import FIELDS, TARGET, ActionPaths
from exporter.views.changes import HistoryPages, Wanted
from exporter.views.connection import (
    BODY,
    SAFE_HEADERS,
    Connection,
    Faults,
    Limits,
    Slots,
    note_requests,
    plainly,
    take_in,
)
from exporter.views.fleet.selection import Selection
from exporter.views.http_stats import HttpStats
from exporter.views.listener import Listener, bound, no_tls
from exporter.views.metrics import Exposition
from exporter.views.origin import is_foreign
from exporter.views.pasted import FIELD, pasted
from exporter.views.public import LOCAL, PublicAddress
from exporter.views.security import WebSecurity
from exporter.views.site import OtherPage, Site
from exporter.views.sockets import Place, cannot_listen, is_local, url
from exporter.views.target_pages import PageNotFoundError

log = logging.getLogger(__name__)

USUAL = Limits()
_UNKNOWN = PublicAddress()
STOPPED = 0.25  # seconds, twice, in which a request that is being answered may end at a stop
_FREE = frozenset({"healthy", "ready", "reload", "style"})  # routes that cost nothing: answered when all else is busy


class Reload(Protocol):
    """Puts the new configuration in force, or returns its problems."""

    def __call__(self, *, force: bool) -> Awaitable[list[str]]: ...


@dataclass(frozen=True)
class WebContext:
    """What the HTTP server may use of the daemon."""

    store: Store
    exposition: Exposition
    catalogue: Catalogue
    clock: Clock
    alive: Callable[[], bool]
    notices: Callable[[], list[str]]
    reload: Reload | None = None
    security: WebSecurity | None = None  # None: everybody may do all
    public: PublicAddress = _UNKNOWN
    history: History | None = None  # None: nothing is remembered
    actions: Actions | None = None  # None: nobody may act


class Web:
    """The HTTP server of one daemon."""

    def __init__(self, views: WebContext, limits: Limits = USUAL) -> None:
        self._views = views
        self._limits = limits
        self._scrapes = Slots(limits.scrapes, limits.patience)
        self._pages = Slots(limits.pages, limits.patience)
        self._faults = Faults()
        self._listener: Listener | None = None
        self.stats = HttpStats()
        self._public = public = views.public
        self._site = site = Site(
            views.store,
            views.catalogue,
            views.clock,
            lambda: views.exposition.policy,
            views.notices,
            views.alive,
            public.links,
        )

        def policy() -> FindingPolicy:
            return views.exposition.policy

        self._changes = HistoryPages(
            views.history or History(views.clock),
            views.store,
            views.catalogue,
            views.clock,
            policy,
        )
        acting = ActionPaths(views.actions, views.catalogue, views.clock, policy, public)
        self._site.offer(today=self._changes.today, timeline=self._changes.timeline, acts=acting.offered)
        self._security = views.security or WebSecurity(views.clock)
        app = web.Application(middlewares=[plainly, self._security.guard, self._one_of_few], client_max_size=BODY)
        app.on_response_prepare.extend((_safe, self._security.headers))
        below = public.routes
        app.add_routes(
            [
                web.get(f"{below}/", self._list(site.overview)),
                web.get(f"{below}/problems", self._list(site.problems)),
                web.get(f"{below}/domains", self._list(site.domains)),
                web.get(f"{below}/senders", self._list(site.senders)),
                web.get(f"{below}/labels/{{name}}/{{value:.+}}", self._label),
                web.get(f"{below}/metrics", self._metrics, name="metrics"),
                web.get(f"{below}/targets/{{path:.+}}", self._target),
                web.get(f"{below}/findings", self._findings),
                web.post(f"{below}/findings", self._explained),
                web.get(f"{below}/findings/{{id}}", self._finding),
                web.get(f"{below}/receivers", self._receivers),
                web.get(f"{below}/receivers/{{name}}", self._receiver),
                web.get(f"{below}/receivers/{{name}}/{{domain}}", self._reception),
                web.get(f"{below}/changes", self._changed),
                web.get(f"{below}/style.css", self._style, name="style"),
                web.get(f"{below}/-/healthy", self._healthy, name="healthy"),
                web.get(f"{below}/-/ready", self._ready, name="ready"),
                web.route("*", f"{below}/-/reload", self._reload, name="reload"),
                *acting.routes(below),
            ]
        )
        if below:
            app.add_routes([web.get(below, self._list(site.overview)), web.get("/", self._to_prefix)])
            app.add_routes([web.get("/{rest:.*}", self._nothing)])
        self._runner = web.AppRunner(app, shutdown_timeout=STOPPED)
        self.addresses: list[str] = []
        self.warnings: list[str] = []  # about the addresses

    @property
    def rendering(self) -> int:
        """How many pages are being made."""
        return self._site.rendering

    async def start(self, places: Sequence[Place]) -> None:
        """Raise OSError if an address cannot be listened on."""
        await self._runner.setup()
        server = self._runner.server
        if server is None:
            raise RuntimeError("setup makes a server")
        note_requests(server)
        listening = [sock for place in places for sock in _listening(place)]
        self._listener = Listener(
            partial(Connection, server, self._limits, self.stats, self._faults), self._limits, self.stats, self._faults
        )
        tls = self._security.tls
        for sock in listening:
            self._listener.listen(sock, tls or no_tls)
        own = [sock.getsockname() for sock in listening]
        self.addresses = [url(address, tls=tls is not None, path=self._public.routes) for address in own]
        known = self._public.origin or self._public.for_itself
        self.warnings = [] if known or not all(map(is_local, own)) else [LOCAL]

    async def stop(self) -> None:
        if self._listener:
            await self._listener.stop()
        await self._runner.cleanup()
        self._security.close()

    @web.middleware
    async def _one_of_few(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer it if not too many like it are being answered. Its slot is free when the client has got the answer."""
        await take_in(request, self._limits)
        connection = request.protocol
        route = request.match_info.route.name
        if route in _FREE or not isinstance(connection, Connection):
            return await handler(request)
        slots = self._scrapes if route == "metrics" else self._pages
        slots.take(connection)
        try:
            response = await self._found(request, handler)
            await response.prepare(request)
            await response.write_eof()
        except ConnectionError:
            log.debug("%s hung up before the end of an answer", request.remote)
            raise
        finally:
            slots.free(connection)
        return response

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        await self._views.exposition.catch_up()
        names = frozenset(request.query.getall("name[]", []))
        scrape = self._views.exposition.scrape(request.headers.get("Accept", ""), names)
        response = web.StreamResponse(headers={**SAFE_HEADERS, "Content-Type": scrape.content_type})
        response.headers["Vary"] = "Accept, Accept-Encoding"
        gzip = "gzip" in request.headers.get("Accept-Encoding", "")
        if gzip:
            response.headers["Content-Encoding"] = "gzip"
        await response.prepare(request)
        if request.method != "HEAD":
            await scrape.write(response.write, gzip=gzip)
        return response

    def _list(self, page: Callable[[Selection], Awaitable[str]]) -> Handler:
        """A handler for a page that shows what its URL selects."""

        async def answer(request: web.Request) -> web.Response:
            return await self._html(page(Selection.read(request.query.items())))

        return answer

    async def _label(self, request: web.Request) -> web.Response:
        name, value = request.match_info["name"], request.match_info["value"]
        return await self._html(self._site.label(name, value, Selection.read(request.query.items())))

    async def _to_prefix(self, _request: web.Request) -> web.Response:
        raise web.HTTPFound(f"{self._public.routes}/")

    async def _nothing(self, _request: web.Request) -> web.Response:
        raise web.HTTPNotFound(text=f"not found; paths here begin with {self._public.routes}/\n")

    async def _target(self, request: web.Request) -> web.Response:
        selection = Selection.read(request.query.items())
        return await self._html(self._site.targets.target(request.match_info["path"], selection))

    async def _findings(self, request: web.Request) -> web.Response:
        return await self._html(self._site.findings(request.query.get(FIELD, "")))

    async def _explained(self, request: web.Request) -> web.Response:
        try:
            text = pasted(await request.read(), request.content_type)
        except ValueError as wrong:
            raise web.HTTPBadRequest(text=f"{wrong}\n") from None
        answer = await self._html(self._site.findings(text))
        answer.headers["Cache-Control"] = "no-store"  # it holds what was pasted
        return answer

    async def _finding(self, request: web.Request) -> web.Response:
        return await self._html(self._site.finding(request.match_info["id"]))

    async def _receivers(self, _request: web.Request) -> web.Response:
        return await self._html(self._site.receivers.all())

    async def _receiver(self, request: web.Request) -> web.Response:
        selection = Selection.read(request.query.items())
        return await self._html(self._site.receivers.one(request.match_info["name"], selection))

    async def _reception(self, request: web.Request) -> web.Response:
        name, domain = request.match_info["name"], request.match_info["domain"]
        return await self._html(self._site.receivers.reception(name, domain))

    async def _html(self, page: Awaitable[str]) -> web.Response:
        try:
            return web.Response(text=await page, content_type="text/html")
        except OtherPage as other:
            raise web.HTTPSeeOther(str(other)) from None
        except PageNotFoundError as nothing:
            raise web.HTTPNotFound(text=f"{nothing}\n") from None

    async def _found(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The answer. Where there is nothing, and if an action is refused, a browser gets a page that leads on.

        Programs get the words alone.
        """
        try:
            return await handler(request)
        except web.HTTPClientError as refused:
            act = request.match_info.route.name in FIELDS
            if not act and refused.status != web.HTTPNotFound.status_code:
                raise
            refused.__traceback__ = None  # it would keep the connection
            status, why = refused.status, refused.text or ""
            headers = {name: refused.headers[name] for name in ("Allow", "Retry-After") if name in refused.headers}
        if "text/html" not in request.headers.get("Accept", ""):
            return web.Response(status=status, text=why, headers=headers)
        if act:
            text = await self._site.page("refused.html", why=why.strip(), target=request.get(TARGET))
        else:
            search = request.path.rpartition("/")[2].rpartition("=")[2]
            text = await self._site.nothing(why.strip(), search)
        return web.Response(status=status, text=text, content_type="text/html", headers=headers)

    async def _changed(self, request: web.Request) -> web.Response:
        try:
            wanted = Wanted.of(request.query)
        except ValueError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from None
        return await self._html(self._site.page("changes.html", **await self._changes.context(wanted)))

    async def _style(self, _request: web.Request) -> web.Response:
        return web.Response(text=await self._site.style(), content_type="text/css")

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
        origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
        if is_foreign(origin, site, request.host, self._public.origin):
            raise web.HTTPForbidden(text="a page of another origin may not reload\n")
        force = request.query.get("force", "false")
        if force not in ("true", "false"):
            raise web.HTTPBadRequest(text="force is true or false\n")
        problems = await self._views.reload(force=force == "true")
        if problems:
            raise web.HTTPInternalServerError(text="the old configuration stays:\n" + "\n".join(problems) + "\n")
        return web.Response(text="configuration reloaded\n")


def _listening(place: Place) -> list[socket.socket]:
    if isinstance(place, socket.socket):
        return [place]
    try:
        return bound(*place)
    except OSError as error:
        raise cannot_listen(place, error) from None


async def _safe(_request: web.Request, response: web.StreamResponse) -> None:
    for name, value in SAFE_HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = SAFE_HEADERS["Server"]  # aiohttp has set its own by now
