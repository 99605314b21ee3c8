"""The HTTPS client returns what was asked for, up to a size and a time, and gives each failure its kind."""

from __future__ import annotations

import asyncio
import ssl
import time
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from exporter import __version__
from exporter.demo.ca import Authority
from exporter.demo.nameserver import ZoneData
from exporter.engine.schedule import RUNS_AT_ONCE
from exporter.facts import IP, Reason
from exporter.net.https import AT_ONCE, LARGEST, MOST_ADDRESSES, Failure, HttpsClient
from tests.support.memory import MemoryResolver
from tests.support.web import (
    NAME,
    NOBODY,
    OTHER,
    THERE,
    URL,
    ZONE,
    answering,
    failed,
    leading_to,
    peer,
    saying,
    sites,
)


async def test_an_answer_is_its_status_its_type_and_its_octets() -> None:
    async with sites(answering(body=b"hello", content_type="text/plain")) as https:
        got = await https.get(URL)
    assert (got.url, got.status, got.body, got.content_type) == (URL, 200, b"hello", "text/plain")
    assert (got.failure, got.doubt) == (None, None)
    assert got.lines == (f"GET {URL}", "200 text/plain, 5 bytes")


async def test_it_says_who_it_is_and_asks_for_nothing_that_hides_the_size() -> None:
    seen: list[web.BaseRequest] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        seen.append(request)
        return web.Response(headers={"Set-Cookie": "a=b"})

    async with sites(answer) as https:
        await https.get(URL, accept="application/rdap+json")
        await https.get(URL)
    first, second = seen
    assert first.method == "GET"
    assert first.headers["User-Agent"] == f"deliverability-exporter/{__version__}"
    assert first.headers["Accept"] == "application/rdap+json"
    assert first.headers["Accept-Encoding"] == "identity"
    assert first.headers["Host"] == NAME
    assert "Cookie" not in second.headers


@pytest.mark.parametrize(
    ("status", "reason"), [(404, None), (403, None), (429, Reason.TEMPFAIL), (503, Reason.TEMPFAIL)]
)
async def test_any_status_is_an_answer_and_some_say_later(status: int, reason: Reason | None) -> None:
    async with sites(answering(status, retry_after="7")) as https:
        got = await https.get(URL)
    assert (got.status, got.retry_after) == (status, "7")
    assert failed(got) == (None, reason)


async def test_a_redirect_is_not_followed_unless_wanted() -> None:
    """As RFC 8461 section 3.3 wants it for MTA-STS."""
    async with sites(leading_to(f"https://{OTHER}/")) as https:
        got = await https.get(URL)
    assert (got.status, got.location, got.failure) == (302, f"https://{OTHER}/", None)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", [f"https://{OTHER}/moved#part", f"//{OTHER}/moved"])
async def test_a_redirect_is_followed_where_wanted(status: int, location: str) -> None:
    async with sites(leading_to(location, status), answering(body=b"here")) as https:
        got = await https.get(URL, redirects=1)
    assert (got.url, got.status, got.body) == (f"https://{OTHER}/moved", 200, b"here")
    assert got.lines[0::2] == (f"GET {URL}", f"GET https://{OTHER}/moved")


@pytest.mark.parametrize("location", [URL, ""])
async def test_redirects_come_to_an_end(location: str) -> None:
    async with sites(leading_to(location)) as https:
        got = await https.get(URL, redirects=3)
    assert failed(got) == (Failure.REDIRECTS, Reason.MALFORMED)
    assert sum(line.startswith("GET ") for line in got.lines) == 4


BAD_URLS = [
    "http://www.example.com/",
    "ftp://www.example.com/",
    "https:///file",
    "https://user@www.example.com/",
    "https://www.example.com@127.0.0.1/",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://192.0.2.80/",
    "https://[::1]/",
    "https://www.example.com\\@127.0.0.1/",
    "https://www_example.com/",
    "https://www.example.com./",
    "https://www.example.com:port/",
    "https://wwẃ.example.com/",
    "https://www.example.com/a b",
    "https://www.example.com/\r\nX: y",
    "https://[",
    "file:///etc/passwd",
    "",
]


@pytest.mark.parametrize("url", BAD_URLS)
async def test_only_https_of_a_host_name_is_asked(url: str) -> None:
    async with sites(answering()) as https:
        assert failed(await https.get(url)) == (Failure.URL, Reason.MALFORMED)


@pytest.mark.parametrize("url", [url for url in BAD_URLS if "://" in url and "\r" not in url])
async def test_a_redirect_leads_to_nothing_that_could_not_be_asked_at_once(url: str) -> None:
    async with sites(leading_to(url)) as https:
        got = await https.get(URL, redirects=3)
    assert got.failure in {Failure.URL, Failure.REDIRECTS}  # some are taken for a path of the same host
    assert not got.body


async def test_a_port_beyond_all_ports_is_no_url() -> None:
    async with sites(answering()) as https:
        assert failed(await https.get("https://www.example.com:99999/"))[0] is Failure.URL


async def test_what_is_not_public_is_never_connected_to() -> None:
    """The guard around the tests would fail this one if it were."""
    async with sites(leading_to("https://private.example.com/")) as https:
        direct = await https.get("https://private.example.com/")
        led = await https.get(URL, redirects=3)
    assert failed(direct) == failed(led) == (Failure.NOT_PUBLIC, Reason.NETWORK)
    assert led.trouble is not None
    assert "10.0.0.1 (private use)" in led.trouble.detail
    assert "fd00::1 (unique local)" in led.trouble.detail


async def test_one_public_address_is_enough() -> None:
    async with sites(answering(), zone=f"{NAME}. AAAA ::1\n") as https:
        assert (await https.get(URL)).status == 200


async def test_names_are_looked_up_by_our_own_resolver_aliases_too() -> None:
    dns = MemoryResolver(ZoneData(ZONE))
    https = HttpsClient(dns)
    assert failed(await https.get("https://nowhere.example.com/")) == (Failure.NO_ADDRESS, Reason.NETWORK)
    assert [str(question) for question in dns.asked] == ["nowhere.example.com AAAA", "nowhere.example.com A"]
    async with sites(answering()) as https:
        got = await https.get("https://ALIAS.example.com/")
    assert got.failure is Failure.CERTIFICATE, "which is for the other name"


@pytest.mark.parametrize(
    ("order", "reason"), [("servfail", Reason.DNS_SERVFAIL), ("timeout", Reason.DNS_TIMEOUT), ("bogus", Reason.BOGUS)]
)
async def test_the_resolver_s_silence_is_passed_on(order: str, reason: Reason) -> None:
    async with sites(answering(), zone=f"; {order}: dark.example.com. A\ndark.example.com. TXT x\n") as https:
        assert failed(await https.get("https://dark.example.com/")) == (Failure.DNS, reason)


async def test_an_address_of_one_kind_does_not_wait_for_the_other() -> None:
    async with sites(answering(), zone=f"; servfail: {NAME}. AAAA\n") as https:
        assert (await https.get(URL)).status == 200


async def test_many_addresses_of_one_kind_do_not_crowd_out_the_other() -> None:
    """Large web hosts have eight IPv6 addresses to a name, and who looks may have IPv4 alone."""
    many = "".join(f"{NAME}. AAAA 2001:db8::{number}\n" for number in range(1, 10))
    asked = []
    async with sites(answering(), zone=many) as https:
        direct = https._addresses._dial

        async def dial(ip: IP, port: int) -> tuple[str, int]:
            asked.append(ip)
            return NOBODY if ip.version == 6 else await direct(ip, port)

        https._addresses._dial = dial
        assert (await https.get(URL)).status == 200
    assert len(asked) == MOST_ADDRESSES


async def test_what_is_not_public_proves_nothing_while_the_other_kind_is_unknown() -> None:
    order = "; servfail: half.example.com. A\nhalf.example.com. AAAA fd00::2\n"
    async with sites(answering(), zone=order) as https:
        assert failed(await https.get("https://half.example.com/")) == (Failure.DNS, Reason.DNS_SERVFAIL)


async def test_a_certificate_of_an_unknown_authority_is_refused() -> None:
    async with sites(answering()) as good:
        other = Authority(time.time(), "another authority")
        stranger = HttpsClient(good._addresses._dns, dial=good._addresses._dial, authorities=other.pem)
        got = await stranger.get(URL)
    assert failed(got) == (Failure.CERTIFICATE, Reason.NETWORK)
    assert not got.body


async def test_a_machine_that_knows_no_authority_blames_no_certificate(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    async with sites(answering()) as good:
        blind = HttpsClient(good._addresses._dns, dial=good._addresses._dial)
        got = await blind.get(URL)
    assert failed(got) == (Failure.BLIND, Reason.NETWORK)


async def test_a_certificate_out_of_date_is_refused() -> None:
    async with peer(saying(b"HTTP/1.1 200 OK\r\n\r\n"), not_after=-1) as https:
        got = await https.get(URL)
    assert got.failure is Failure.CERTIFICATE
    assert got.trouble is not None
    assert "expired" in got.trouble.detail


async def test_a_certificate_for_another_name_is_refused() -> None:
    async with peer(saying(b"HTTP/1.1 200 OK\r\n\r\n")) as https:
        assert (await https.get(f"https://{OTHER}/")).failure is Failure.CERTIFICATE


async def test_old_tls_is_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        async with peer(saying(b"HTTP/1.1 200 OK\r\n\r\n"), newest=ssl.TLSVersion.TLSv1_1) as https:
            got = await https.get(URL)
    assert got.failure in {Failure.TLS, Failure.CONNECTION}  # the latter where the server hangs up without an alert
    assert not got.body


async def test_clear_text_where_tls_is_due_is_a_failure_of_tls() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mx.example.com ESMTP\r\n" * 10)
        await writer.drain()

    async with peer(greet, tls=False) as https:
        assert failed(await https.get(URL)) == (Failure.TLS, Reason.NETWORK)


@pytest.mark.parametrize("another", ["", f"{NAME}. A 192.0.2.82\n"])
async def test_a_refusal_counts_once_somebody_else_has_answered(another: str) -> None:
    """Before that it may be a firewall on our own side, which refuses in everybody's name."""
    async with sites(answering(), zone=another) as https:
        open_way = https._addresses._dial

        async def dial(ip: IP, port: int) -> tuple[str, int]:
            return await open_way(ip, port) if ip == THERE else NOBODY

        https._addresses._dial = dial
        assert failed(await https.get(URL)) == (Failure.CONNECTION, Reason.EGRESS)
        assert (await https.get(f"https://{OTHER}/")).status == 200
        assert failed(await https.get(URL)) == (Failure.REFUSED, Reason.NETWORK)


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of", b"HTTP/1.1 200 OK\r\nContent-"]
)
async def test_what_breaks_off_is_no_answer(said: bytes) -> None:
    async with peer(saying(said)) as https:
        got = await https.get(URL)
    assert failed(got) == (Failure.CONNECTION, Reason.NETWORK)
    assert not got.body


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-demo\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 1000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    ],
    ids=["no HTTP", "long header", "many headers", "two lengths"],
)
async def test_what_is_no_http_or_too_much_of_it_is_malformed(said: bytes) -> None:
    async with peer(saying(said)) as https:
        assert failed(await https.get(URL)) == (Failure.MALFORMED, Reason.MALFORMED)


async def test_an_encoding_that_was_not_asked_for_is_not_unpacked() -> None:
    """A few octets of gzip can hold a gigabyte."""
    async with sites(answering(body=b"\x1f\x8b", content_encoding="gzip")) as https:
        assert failed(await https.get(URL)) == (Failure.MALFORMED, Reason.MALFORMED)


async def test_a_body_has_an_end_that_the_caller_sets() -> None:
    async with sites(answering(body=b"x" * 1000)) as https:
        assert len((await https.get(URL, largest=1000)).body) == 1000
        got = await https.get(URL, largest=999)
    assert failed(got) == (Failure.TOO_LARGE, Reason.MALFORMED)
    assert not got.body


async def test_a_body_without_end_is_left_when_it_is_too_large() -> None:
    sent = 0

    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal sent
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b"x" * 10_000)
            sent += 10_000

    async with sites(endless) as https:
        assert failed(await https.get(URL)) == (Failure.TOO_LARGE, Reason.MALFORMED)
    assert sent < 100 * LARGEST


def silent(event: asyncio.Event) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await event.wait()
        return web.Response()

    return answer


async def test_there_is_one_deadline_for_all_of_it() -> None:
    never = asyncio.Event()
    async with sites(leading_to(f"https://{OTHER}/"), silent(never)) as https:
        began = asyncio.get_running_loop().time()
        got = await https.get(URL, redirects=1, deadline=0.3)
        assert asyncio.get_running_loop().time() - began < 2
        never.set()
    assert failed(got) == (Failure.TIMEOUT, Reason.NETWORK)


async def test_a_trickle_does_not_outlast_the_deadline() -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with peer(trickle) as https:
        assert failed(await https.get(URL, deadline=0.3)) == (Failure.TIMEOUT, Reason.NETWORK)


async def test_the_wait_for_a_place_is_no_silence_of_the_server() -> None:
    """Else servers that are slow would make others, which are not, look as if they were."""
    never = asyncio.Event()
    async with sites(silent(never), answering()) as https:
        https._places = asyncio.Semaphore(1)
        first = asyncio.create_task(https.get(URL, deadline=0.5))
        second = asyncio.create_task(https.get(f"https://{OTHER}/", deadline=0.3))
        assert failed(await first) == (Failure.TIMEOUT, Reason.NETWORK)
        assert (await second).status == 200
        never.set()


async def test_every_run_that_asks_the_web_at_the_same_time_has_a_place() -> None:
    """A check with many slow servers fills its own queue, and delays no other check."""
    sources = [path.read_text() for path in (Path(__file__).parents[2] / "exporter" / "checks").rglob("*.py")]
    asking = sum("net.fetch(" in text or "net.registration(" in text for text in sources)
    assert asking == 3, "mta_sts, bimi, registration"
    assert asking * RUNS_AT_ONCE <= AT_ONCE
    seen, all_there, never = 0, asyncio.Event(), asyncio.Event()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal seen
        seen += 1
        if seen == AT_ONCE:
            all_there.set()
        await never.wait()
        return web.Response()

    async with sites(answer) as https:
        asked = [asyncio.create_task(https.get(URL)) for _ in range(AT_ONCE)]
        async with asyncio.timeout(15):
            await all_there.wait()
        never.set()
        assert {(await it).status for it in asked} == {200}


async def test_hostile_words_are_shown_escaped() -> None:
    async with sites(leading_to("https://127.0.0.1/\x7f")) as https:
        got = await https.get(URL, redirects=1)
    assert got.trouble is not None
    assert got.trouble.detail.isprintable()
