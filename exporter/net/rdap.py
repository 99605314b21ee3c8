"""Asks domain registries, over RDAP, and remembers their answers. There is one RdapClient per daemon.

The problem: registries answer for free, and block a client that asks too often (RFC 7480 section 5.5). Our checks may
run much more often than the answer changes.

The rules:

- A domain is asked about once a day, however often it is checked.
- A server gets at most one question a second.
- A server that answers 429 is not asked for as long as it says.
- The list of servers is read once a day. If it cannot be read, the last one is used.
- A failure is not remembered: the next run asks again.
- A server that answers 401, 403 or 451 refuses us, and not the name: its cause is where we ask from.
- The registrar's own server is asked too, under the same limits, but only if its date may matter: the registry's date
  is missing or near, or the registry has renewed the name by itself. If it fails, its last date counts.

exporter/mail/rdap.py reads the answers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from exporter.clock import Clock
from exporter.facts import CannotTell, Reason
from exporter.files import Reader
from exporter.mail import rdap
from exporter.mail.rdap import Bootstrap, RdapRegistration, RdapSyntaxError
from exporter.net.https import Fetched, HttpsClient
from exporter.net.rate_limit import TokenBucket
from exporter.net.shortage import shortage

log = logging.getLogger(__name__)

REDIRECTS = 3  # RFC 7480 section 5.2 lets a server send us on
KEPT = 23 * 3600.0  # seconds; a daily run then asks anew, and never finds an answer of yesterday
DAY = 86400.0
RETRY = 600.0  # seconds between attempts to read a list of servers that could not be read
PAUSE = 1.0  # seconds between two questions to one server
PATIENCE = 40.0  # seconds that a question may wait: one for each run that the schedule starts at once, and some more
TRIES = 3
NEAR = 35 * DAY  # seconds before an expiry from which the registrar is asked too
MOST_KEPT = 10_000  # dates of registrars, and top-level domains that have dates
ANSWER = 13.0  # seconds for one question; bootstrap and all it stays under the check's deadline
REGISTRAR = 8.0  # seconds for the question to a registrar, and seconds for which it may wait before
SOME_TIME = 60.0  # seconds that "later" means when it is not said
REFUSING_US = frozenset({401, 403, 451})  # RFC 9110 sections 15.5.2, 15.5.4; RFC 7725

Say: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class RdapLookup:
    """What we learnt about a domain.

    If `server` is empty, there is none to ask. Without a registration, the server knows no such domain (RFC 7480
    section 5.3). `expires` is the later of the registry's and the registrar's date, in unix seconds. `dated` says
    whether the registry has given a date to any name beside this one.
    """

    domain: str
    server: str
    registration: RdapRegistration | None
    at_registrar: float | None = None  # when it expires according to the registrar, in unix seconds
    dated: bool = False

    @property
    def expires(self) -> float | None:
        own = self.registration.expires if self.registration else None
        return max((moment for moment in (own, self.at_registrar) if moment is not None), default=None)


class RdapClient:
    """`bootstrap` is the URL of the list of servers, or a file in the same format. `sleep` is for tests.

    `pause`: seconds between two questions to one server.
    """

    def __init__(
        self,
        https: HttpsClient,
        clock: Clock,
        bootstrap: str | Path = rdap.IANA,
        *,
        pause: float = PAUSE,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._per_second = 1 / max(pause, 1e-6)
        self._https = https
        self._clock = clock
        self._source = bootstrap
        self._sleep = sleep
        self._reading = asyncio.Lock()
        self._reader = Reader()
        self._bootstrap: Bootstrap | CannotTell = CannotTell(Reason.PENDING, "the list of RDAP servers is not read yet")
        self._read_again = float("-inf")  # monotonic, as all moments here
        self._kept: dict[str, tuple[float, RdapLookup]] = {}  # in order of age
        self._slots: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._buckets: dict[str, TokenBucket] = {}
        self._closed: dict[str, float] = {}  # until when a server wants to be left alone
        self._registrars: dict[str, float] = {}  # by domain, when it expires according to its registrar: unix seconds
        self._dated: set[str] = set()  # parents of names to which a registry has given dates

    async def look_up(self, domain: str, say: Say) -> RdapLookup:
        """`say` gets every line for the transcript. Raise CannotTell."""
        slot = self._slots.setdefault(domain, asyncio.Lock())
        async with slot:
            now = self._clock.monotonic()
            while self._kept and now - next(iter(self._kept.values()))[0] >= KEPT:
                del self._kept[next(iter(self._kept))]
            if domain in self._kept:
                asked, lookup = self._kept[domain]
                say(f"-- asked {(now - asked) / 60:.0f} minutes ago, which is enough for a day")
            else:
                lookup = await self._completed(await self._asked(domain, say), say)
                if lookup.server:
                    self._kept[domain] = self._clock.monotonic(), lookup
        _report(lookup, say)
        return lookup

    async def _asked(self, domain: str, say: Say) -> RdapLookup:
        bases = (await self._servers(say)).servers(domain)
        base = next((url for url in bases if url.startswith("https://")), None)
        if base is None:
            return RdapLookup(domain, "", None)
        server = urlsplit(base).netloc
        latest = self._clock.monotonic() + PATIENCE
        for _ in range(TRIES):
            await self._wait(server, latest)
            fetched = await self._https.get(
                f"{base}domain/{domain}",
                accept=rdap.MEDIA,
                largest=rdap.LARGEST,
                redirects=REDIRECTS,
                deadline=ANSWER,
            )
            for line in fetched.lines:
                say(line)
            if fetched.status != 429:
                return RdapLookup(domain, server, _read(fetched, domain))
            self._close(server, fetched)
        raise CannotTell(Reason.RATE_LIMITED, f"{server} answers 429 again and again")

    def _close(self, server: str, fetched: Fetched) -> None:
        pause = retry_after(fetched.retry_after, self._clock.wall())
        self._closed[server] = self._clock.monotonic() + pause

    async def _completed(self, lookup: RdapLookup, say: Say) -> RdapLookup:
        """Add the registrar's date if it may matter. If the registrar fails, only the transcript says so."""
        registered, domain = lookup.registration, lookup.domain
        if registered is None:
            return lookup
        parent = domain.partition(".")[2]
        if registered.expires is not None and len(self._dated) < MOST_KEPT:
            self._dated.add(parent)
        near = registered.expires is None or registered.expires - self._clock.wall() <= NEAR
        elsewhere = registered.related and urlsplit(registered.related).netloc.lower() != lookup.server.lower()
        if elsewhere and (near or rdap.AUTO_RENEWED in registered.statuses):
            try:
                date = await self._of_registrar(domain, registered.related, say)
            except CannotTell as could_not:
                say(f"-- the registrar's server: {could_not}")
            else:
                self._registrars.pop(domain, None)
                if date is not None:
                    self._registrars[domain] = date
                    if len(self._registrars) > MOST_KEPT:
                        del self._registrars[next(iter(self._registrars))]
        return replace(lookup, at_registrar=self._registrars.get(domain), dated=parent in self._dated)

    async def _of_registrar(self, domain: str, url: str, say: Say) -> float | None:
        """When the name expires according to its registrar; None if it gives no date. Raise CannotTell."""
        server = urlsplit(url).netloc.lower()
        await self._wait(server, self._clock.monotonic() + REGISTRAR)
        fetched = await self._https.get(
            url, accept=rdap.MEDIA, largest=rdap.LARGEST, redirects=REDIRECTS, deadline=REGISTRAR
        )
        for line in fetched.lines:
            say(line)
        if fetched.status == 429:
            self._close(server, fetched)
        registered = _read(fetched, domain)
        return registered.expires if registered else None

    async def _wait(self, server: str, latest: float) -> None:
        """Wait until this server may be asked. Raise CannotTell if that is too late."""
        opens = self._closed.get(server, float("-inf"))
        if opens > latest:
            left = opens - self._clock.monotonic()
            raise CannotTell(Reason.RATE_LIMITED, f"{server} wants no questions for the next {left:.0f} s")
        await self._until(opens)
        moment = self._buckets.setdefault(server, TokenBucket(self._per_second)).take(self._clock.monotonic(), latest)
        if moment is None:
            raise CannotTell(
                Reason.RATE_LIMITED, f"too many questions of ours wait for {server}, which gets one a second"
            )
        await self._until(moment)

    async def _until(self, moment: float) -> None:
        now = self._clock.monotonic()
        if moment > now:
            await self._sleep(moment - now)

    async def _servers(self, say: Say) -> Bootstrap:
        """The list of today, or else the last one that could be read. Raise CannotTell if there is none."""
        async with self._reading:
            if self._clock.monotonic() >= self._read_again:
                pause = DAY
                try:
                    self._bootstrap = await self._read_bootstrap(say)
                except CannotTell as could_not:
                    log.warning("the list of RDAP servers could not be read: %s", could_not)
                    pause = 0.0 if could_not.reason is Reason.LOCAL_RESOURCES else RETRY
                    if isinstance(self._bootstrap, CannotTell):  # else that of yesterday is better than none
                        self._bootstrap = could_not
                self._read_again = self._clock.monotonic() + pause
            if isinstance(self._bootstrap, CannotTell):
                raise CannotTell(self._bootstrap.reason, self._bootstrap.detail)
            return self._bootstrap

    async def _read_bootstrap(self, say: Say) -> Bootstrap:
        if isinstance(self._source, Path):
            say(f"-- the list of servers is in {self._source.name}")
            octets = await self._octets(self._source)
        else:
            fetched = await self._https.get(
                self._source, accept="application/json", largest=rdap.LARGEST, redirects=REDIRECTS, deadline=ANSWER
            )
            for line in fetched.lines:
                say(line)
            octets = _body(fetched)
        try:
            return rdap.bootstrap(octets)
        except RdapSyntaxError as error:
            raise CannotTell(Reason.MALFORMED, f"the list of RDAP servers: {error}") from None

    async def _octets(self, path: Path) -> bytes:
        try:
            return await self._reader.read(lambda files: files.read(path, rdap.LARGEST + 1))
        except OSError as error:
            short = shortage(error)
            reason = Reason.LOCAL_RESOURCES if short else Reason.NETWORK
            raise CannotTell(reason, f"the list of RDAP servers cannot be read: {short or error.strerror}") from None


def _body(fetched: Fetched) -> bytes:
    if fetched.doubt:
        raise CannotTell(fetched.doubt.reason, fetched.doubt.detail)
    if fetched.status in REFUSING_US:
        server = urlsplit(fetched.url).netloc
        raise CannotTell(Reason.EGRESS, f"{server} refuses to answer us here: HTTP status {fetched.status}")
    if fetched.status != 200:
        raise CannotTell(Reason.MALFORMED, f"{fetched.url}: HTTP status {fetched.status}, where 200 is due")
    return fetched.body


def _read(fetched: Fetched, domain: str) -> RdapRegistration | None:
    if fetched.status == 404:
        return None
    try:
        return rdap.registration(_body(fetched), domain)
    except RdapSyntaxError as error:
        raise CannotTell(Reason.MALFORMED, f"{fetched.url}: {error}") from None


def retry_after(text: str, now: float) -> float:
    """Seconds from now (unix seconds), 1 to a day, that a Retry-After field asks for (RFC 9110 section 10.2.3)."""
    seconds = SOME_TIME
    if text.isascii() and text.isdecimal():
        seconds = float(text[:6])
    elif text:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now
        except (ValueError, OverflowError):
            seconds = SOME_TIME
    return min(max(seconds, 1.0), DAY)


def _report(lookup: RdapLookup, say: Say) -> None:
    if not lookup.server:
        say("-- the list of servers has none for this domain")
    elif lookup.registration is None:
        say(f"-- {lookup.server} knows no such domain")
    else:
        found = lookup.registration
        say(f"expires: {_day(found.expires)}")
        if lookup.at_registrar is not None:
            say(f"expires by the registrar's word: {_day(lookup.at_registrar)}")
        say(f"registered: {_day(found.registered)}")
        say(f"status: {', '.join(sorted(found.statuses)) or 'unknown'}")
        say(f"registrar: {found.registrar or 'unknown'}")


def _day(moment: float | None) -> str:
    return "unknown" if moment is None else datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
