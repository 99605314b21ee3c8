"""An external URL and a route prefix: which paths are answered, where links lead, and who may reload."""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from exporter.engine import catalogue
from exporter.engine.catalogue import Catalogue
from exporter.views.public import LOCAL, PublicAddress, external_url, route_prefix
from exporter.views.sockets import is_local
from tests.support.fleet_of_all_verdicts import CATALOGUE, NOW, POLICY, fill
from tests.support.guarded import guarded, hashed
from tests.views.test_web import Site

SHIPPED = [entry for entry in catalogue.load().entries if entry.check.id in ("ptr", "helo", "receiver", "spf")]
ALL = Catalogue((*CATALOGUE.entries, *SHIPPED))
PROXY = "https://monitoring.example.com/mail"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://monitoring.example.com", "https://monitoring.example.com"),
        ("HTTPS://Monitoring.Example.Com:443/mail//", "https://monitoring.example.com/mail"),
        ("http://mx1:10554/a/b_c.d~e-f/", "http://mx1:10554/a/b_c.d~e-f"),
        ("http://[2001:DB8:0::1]:80/", "http://[2001:db8::1]"),
        ("http://under_score:8080", "http://under_score:8080"),
    ],
)
def test_an_external_url_is_kept_as_browsers_write_it(text: str, expected: str) -> None:
    assert external_url(text) == expected
    assert external_url(expected) == expected


@pytest.mark.parametrize(
    "text",
    [
        "monitoring.example.com/mail", "/mail", "ftp://a.example", "https://", "https:///mail", "http://a b/",
        "https://u:p@a.example", "https://a.example/?q=1", "https://a.example/#x", "https://a.example/a?",
        "https://a.example:0", "https://a.example:x", "https://a.example:99999", "http://[::1", "http://[x]/",
        "https://a.example/../b", "https://a.example/a//b", "https://a.example/%2e", 'https://a.example/"x', "'http://a'",
        "https://m\u00e4il.example", "https://a.example/\n", "https://a.example/{x}", "https://-a.example",
        "https://a.example/" + "a" * 500,
    ],
)  # fmt: skip
def test_what_is_no_external_url_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as "):
        external_url(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("/", ""), ("//", ""), ("mail", "/mail"), ("/mail/", "/mail"), ("/a/b", "/a/b")]
)
def test_a_route_prefix_has_one_form(text: str, expected: str) -> None:
    assert route_prefix(text) == expected


@pytest.mark.parametrize(
    "text", ["/a//b", "/a/../b", "/.", "/a b", "/{x}", "/%2e", "http://a/b", "/\u00e4", "/a\n", "/?"]
)
def test_what_is_no_route_prefix_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="wants letters, digits"):
        route_prefix(text)


def test_the_prefix_is_the_path_of_the_external_url_unless_it_is_given() -> None:
    assert PublicAddress.of(PROXY) == PublicAddress("https://monitoring.example.com", "/mail", "/mail")
    assert PublicAddress.of(PROXY, "") == PublicAddress("https://monitoring.example.com", "/mail", "")
    assert PublicAddress.of(PROXY, "/x") == PublicAddress("https://monitoring.example.com", "/mail", "/x")
    assert PublicAddress.of(None, "/x") == PublicAddress("", "/x", "/x")
    assert PublicAddress.of(None) == PublicAddress()
    assert PublicAddress.of(PROXY).url == PROXY
    assert PublicAddress.of(None, "/x").url == ""


@asynccontextmanager
async def serving(public: PublicAddress) -> AsyncIterator[Site]:
    site = Site(catalogue=ALL, public=public)
    site.clock.step_wall(NOW - site.clock.wall())
    site.exposition.policy = POLICY
    fill(site.store)
    await site.web.start([("127.0.0.1", 0)])
    try:
        yield site
    finally:
        await site.web.stop()


@pytest.mark.parametrize(
    ("url", "prefix", "links", "routes"),
    [
        (PROXY, None, "/mail", "/mail"),
        (PROXY, "", "/mail", ""),  # the proxy takes the prefix off
        (PROXY, "/inner/x", "/mail", "/inner/x"),  # it changes the prefix
        (None, "/mail", "/mail", "/mail"),
        (None, None, "", ""),
    ],
)
async def test_every_link_of_every_page_leads_to_a_page(
    url: str | None, prefix: str | None, links: str, routes: str
) -> None:
    async with serving(PublicAddress.of(url, prefix)) as site, aiohttp.ClientSession() as session:
        assert site.web.addresses == [site.web.addresses[0].removesuffix(routes) + routes]
        todo = {f"{links}/"}
        seen = set(todo)
        while todo:
            path = todo.pop()
            assert path.startswith(f"{links}/"), path
            async with session.get(site.web.addresses[0] + path.removeprefix(links), allow_redirects=False) as answer:
                assert answer.status == 200, path
                page = await answer.text()
            found = {unescape(link) for link in re.findall(r'(?:href|action)="([^"]*)"', page)}
            # sources of demands, and places in the page itself
            found = {link.partition("#")[0] for link in found if not link.startswith(("https://", "#"))}
            if "?" in path:  # filters of filters have no end
                found = {link for link in found if "?" not in link}
            todo |= found - seen
            seen |= found
        assert {f"{links}{path}" for path in ("/findings", "/style.css", "/metrics", "/receivers/gmail")} <= seen
        assert len(seen) > 40


async def test_paths_lie_below_the_prefix_and_the_root_leads_there() -> None:
    async with serving(PublicAddress.of(PROXY)) as site, aiohttp.ClientSession() as session:
        root = site.web.addresses[0].removesuffix("/mail")
        async with session.get(f"{root}/", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (302, "/mail/")
        pages = [await (await session.get(f"{root}{path}")).text() for path in ("/", "/mail", "/mail/")]
        assert pages[0] == pages[1] == pages[2]
        for path, status in {
            "/mail/-/healthy": 200, "/mail/-/ready": 200, "/mail/metrics": 200, "/mail/-/reload": 403,
            "/-/healthy": 404, "/metrics": 404, "/mailx": 404, "/mail/mail/": 404, "//mail/": 404, "/Mail/": 404,
            "/mail/nothing": 404,
        }.items():  # fmt: skip
            async with session.get(root + path) as answer:
                assert answer.status == status, path
                assert status != 404 or await answer.text() == "not found; paths here begin with /mail/\n"
        async with session.get(f"{root}/mail/findings/no.such") as answer:
            assert await answer.text() == "no such finding; /mail/findings lists them all\n"


async def test_below_a_prefix_passwords_hold_and_probes_are_as_free(tmp_path: Path) -> None:
    users, public = f"basic_auth_users: {{alice: {hashed('alice123')}}}\n", PublicAddress.of(None, "/mail")
    async with guarded(tmp_path / "web.yml", users, health_without_auth=True, public=public) as it:
        for path, status in {
            "/": 401, "/mail": 401, "/mail/": 401, "/mail/metrics": 401, "/mail/style.css": 401, "/-/ready": 401,
            "/mail/-/healthy": 200, "/mail/-/ready": 200, "/mail/-/ready/": 401, "/mail//-/ready": 401,
        }.items():  # fmt: skip
            assert (await it.get(path)).status == status, path
        assert (await it.log_in("alice", "alice123", "/mail/")).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://monitoring.example.com", "Host": "10.0.0.1:10554"}, 200),
        ({"Origin": "https://monitoring.example.com", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "https://monitoring.example.com", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "https://monitoring.example.com", "Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://monitoring.example.com", "Host": "monitoring.example.com"}, 403),
        ({"Origin": "https://monitoring.example.com:8443", "Host": "monitoring.example.com"}, 403),
        ({"Origin": "https://monitoring.example.com.evil.example"}, 403),
        ({"Origin": "https://evil.example", "Host": "monitoring.example.com"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "http://127.0.0.1:2", "Host": "127.0.0.1:2"}, 200),
        ({}, 200),
    ],
)
async def test_a_page_of_the_external_url_may_reload(headers: dict[str, str], status: int) -> None:
    async def reload(*, force: bool) -> list[str]:
        return []

    site = Site(reload, public=PublicAddress.of(PROXY, ""))
    await site.web.start([("127.0.0.1", 0)])
    try:
        assert (await site.get("/-/reload", method="POST", **headers))[0] == status
    finally:
        await site.web.stop()


async def test_a_loopback_address_without_an_external_url_is_warned_of(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "web.sock"))
        unix.listen()
        unix.setblocking(False)
        for public, places, expected in (
            (PublicAddress(), [("127.0.0.1", 0)], [LOCAL]),
            (PublicAddress(), [("127.0.0.1", 0), ("127.0.0.2", 0)], [LOCAL]),
            (PublicAddress.of(None, "/mail"), [("127.0.0.1", 0)], [LOCAL]),
            (PublicAddress.of(PROXY), [("127.0.0.1", 0)], []),
            (PublicAddress.of(None, for_itself=True), [("127.0.0.1", 0)], []),
            (PublicAddress.of(None, "/mail"), [unix], [LOCAL]),
        ):
            site = Site(public=public)
            await site.web.start(places)
            assert site.web.warnings == expected
            assert not site.web.addresses[0].startswith("unix:") or site.web.addresses == [f"unix:{unix.getsockname()}"]
            await site.web.stop()


@pytest.mark.parametrize(
    ("address", "local"),
    [
        (("127.0.0.53", 1), True),
        (("::1", 1, 0, 0), True),
        (("::ffff:127.0.0.1", 1, 0, 0), True),
        ("/run/web.sock", True),
        (("::", 1, 0, 0), False),
        (("fe80::1%eth0", 1, 0, 2), False),
        (("192.0.2.1", 1), False),
    ],
)
def test_what_is_local_is_known_by_its_address(address: object, local: bool) -> None:
    assert is_local(address) is local


def test_the_origin_is_as_a_browser_sends_it() -> None:
    """Without the port that its scheme has by default (Fetch standard, section 3.2)."""
    for text, origin in {
        "https://Monitoring.example.com:443/mail": "https://monitoring.example.com",
        "http://monitoring.example.com:443": "http://monitoring.example.com:443",
        "http://[::1]:80/x": "http://[::1]",
    }.items():
        assert PublicAddress.of(external_url(text)).origin == origin
        assert urlsplit(origin).path == ""
