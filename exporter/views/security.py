"""Who may use the HTTP server: TLS, client certificates, passwords, the rate of requests, and headers.

The file of --web.config.file decides, as it is at this request or connection. If it has become wrong, what was in
force stays. A lock that has gone whole (TLS, client certificates, passwords) stays too, until a restart: a file that
is half written looks the same.
"""

from __future__ import annotations

import ipaddress
import logging
import math
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from exporter.clock import Clock
from exporter.config import ConfigError, ConfigProblem
from exporter.config.web_file import WebFile, WebSettings
from exporter.views.authentication import Login, Passwords, credentials

log = logging.getLogger(__name__)

REALM = 'Basic realm="deliverability-exporter", charset="UTF-8"'
USER = web.RequestKey("user", str)  # the name of the login
FOR_PROBES = frozenset({"healthy", "ready"})  # routes that are free with --web.health-without-auth
RETRY = "1"  # seconds

_KINDS = {"DNS", "email", "URI", "IP Address"}


class WebSecurity:
    """`refused` counts requests by cause: certificate, password, busy, rate. Without a path, everybody may do all."""

    def __init__(self, clock: Clock, path: Path | None = None, *, health_without_auth: bool = False) -> None:
        self._clock = clock
        self._file = WebFile(path) if path else None
        self._health_without_auth = health_without_auth
        self._settings = WebSettings()
        self._due = -math.inf  # when the next request is exactly on time (the generic cell rate algorithm)
        self.passwords = Passwords()
        self.refused = Counter(certificate=0, password=0, busy=0, rate=0)
        self.problems: list[str] = []  # of the file as it is now, if it could not be put in force

    @property
    def configured(self) -> bool:
        return self._file is not None

    def open(self) -> None:
        """Read the file for the first time. Raise ConfigError."""
        if self._file:
            self._settings = self._file.read()
            self._say()

    def close(self) -> None:
        self.passwords.close()

    @property
    def current(self) -> WebSettings:
        """What is in force now."""
        if self._file and self._file.changed():
            self._read_again(self._file)
        return self._settings

    @property
    def tls(self) -> Callable[[], ssl.SSLContext] | None:
        """None: no TLS. Else the context for a new connection."""
        return None if self._settings.tls is None else self._context

    def _context(self) -> ssl.SSLContext:
        context = self.current.tls
        if context is None:
            raise RuntimeError("TLS does not end while it runs")
        return context

    def _read_again(self, file: WebFile) -> None:
        try:
            new = file.read()
            self._keep_shut(new, str(file.path))
        except ConfigError as error:
            if self.problems != (now := str(error).splitlines()):
                self.problems = now
                for problem in now:
                    log.error("web configuration not reloaded: %s", problem)  # noqa: TRY400 (the trace says no more)
            return
        self._settings, self.problems = new, []
        log.info("web configuration reloaded from %s", file.path)
        self._say()

    def _keep_shut(self, new: WebSettings, path: str) -> None:
        """Raise ConfigError for a change that needs a restart."""
        gone = self._settings.locks - new.locks
        if gone:
            told = f"no longer has {' and '.join(sorted(gone))}, so more clients could get in"
        elif new.tls is not None and self._settings.tls is None:
            told = "now has tls_server_config, and connections are taken without TLS"
        else:
            return
        raise ConfigError([ConfigProblem(path, 0, "", f"{told}; restart the exporter if that is meant")])

    def _say(self) -> None:
        for warning in self._settings.warnings:
            log.warning("%s", warning)

    @web.middleware
    async def guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Let the request through, or raise an HTTPException."""
        settings = self.current
        self._within_rate(settings)
        self._known_certificate(request, settings)
        if settings.users and not (self._health_without_auth and request.match_info.route.name in FOR_PROBES):
            await self._known_user(request, settings)
        response = await handler(request)
        if settings.tls is not None and _context_of(request) is not settings.tls:
            response.force_close()  # its next request shakes hands with the certificate that is in force
        return response

    async def headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Put the configured headers in the place of ours. It is called for every answer of the application."""
        for name, value in self._settings.headers.items():
            if value:
                response.headers[name] = value
            else:
                response.headers.pop(name, None)

    def _within_rate(self, settings: WebSettings) -> None:
        if not settings.interval:
            return
        now = self._clock.monotonic()
        due = max(self._due, now - (settings.burst - 1) * settings.interval)
        if due > now + settings.interval * 1e-6:  # sums of parts of a second are not exact
            self.refused["rate"] += 1
            raise web.HTTPTooManyRequests(
                text="too many requests: rate_limit of the web configuration\n",
                headers={"Retry-After": str(math.ceil(due - now))},
            )
        self._due = due + settings.interval

    def _known_certificate(self, request: web.Request, settings: WebSettings) -> None:
        if not settings.allowed_sans:
            return
        names = set(_alternative_names(request.get_extra_info("peercert") or {}))
        if names.isdisjoint(settings.allowed_sans):
            self.refused["certificate"] += 1
            refusal = web.HTTPForbidden(text="no name of the client's certificate is in client_allowed_sans\n")
            refusal.force_close()
            raise refusal

    async def _known_user(self, request: web.Request, settings: WebSettings) -> None:
        given = credentials(request.headers.get("Authorization", ""))
        login = await self.passwords.check(settings.users, given, request.remote or "") if given else Login.WRONG
        match login:
            case Login.GOOD:
                if given:
                    request[USER] = given[0].decode("utf-8", "replace")
            case Login.WRONG:
                self.refused["password"] += 1
                raise web.HTTPUnauthorized(
                    text="a name and a password are wanted\n", headers={"WWW-Authenticate": REALM}
                )
            case Login.LATER:
                self.refused["busy"] += 1
                raise web.HTTPTooManyRequests(text="too many logins wait\n", headers={"Retry-After": RETRY})
            case Login.BUSY:
                self.refused["busy"] += 1
                raise web.HTTPServiceUnavailable(text="too many logins wait\n", headers={"Retry-After": RETRY})


def _context_of(request: web.Request) -> object:
    secure = request.get_extra_info("ssl_object")
    return secure.context if secure else None


def _alternative_names(certificate: dict[str, Any]) -> list[str]:
    """As Go writes them: names, e-mail addresses, URIs, and addresses in their short form."""
    names = certificate.get("subjectAltName", ())
    return [_short(text) if kind == "IP Address" else text for kind, text in names if kind in _KINDS]


def _short(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address.strip()))
    except ValueError:  # such as the ones of eight octets in name constraints
        return address
