"""TLS, client certificates, headers and the rate of requests, on real sockets, and changes of them while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from pathlib import Path

import pytest
import trustme

from exporter.config import ConfigError
from tests.support.certificates import Pki
from tests.support.guarded import LOOPS, Guarded, ask, guarded, hashed, played

TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
CLIENTS = f"{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n"
USERS = f"basic_auth_users: {{alice: {hashed('alice123')}}}\n"


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    it = Pki(tmp_path)
    it.serve()
    return it


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "web.yml"


async def serial(it: Guarded, client: ssl.SSLContext) -> int:
    """The number of the certificate that a new connection is shown."""
    _, writer = await it.connect(client)
    shown = writer.get_extra_info("peercert")["serialNumber"]
    writer.transport.abort()
    return int(shown, 16)


async def shut(it: Guarded, client: ssl.SSLContext) -> bool:
    """Does the connection end before anything is answered? With TLS 1.3 a client learns that at its first read."""
    try:
        return (await it.get("/metrics", tls=client)).status == 0
    except (OSError, asyncio.IncompleteReadError):
        return True


# ---- TLS


@pytest.mark.parametrize("loop", LOOPS)
def test_all_is_served_over_tls_and_nothing_without(pki: Pki, file: Path, loop: str) -> None:
    async def play() -> None:
        async with guarded(file, TLS) as it:
            assert it.web.addresses[0].startswith("https://127.0.0.1:")
            answer = await it.get("/metrics", tls=pki.client())
            assert answer.status == 200
            assert b"python_info" in answer.body
            reader, writer = await it.connect()
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"HTTP" not in await reader.read()
            writer.transport.abort()
            assert await shut(it, Pki(file.parent).client()), "a client that trusts nobody here"

    played(loop, play())


async def test_only_the_versions_that_are_allowed_are_spoken(pki: Pki, file: Path) -> None:
    old, new = pki.client(), pki.client()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    new.minimum_version = ssl.TLSVersion.TLSv1_3
    async with guarded(file, f"{TLS}  min_version: TLS13\n") as it:
        assert (await it.get(tls=new)).status == 200
        assert await shut(it, old)
        it.write(f"{TLS}  max_version: TLS12\n")
        assert (await it.get(tls=old)).status == 200
        assert await shut(it, new)


async def test_the_servers_order_of_suites_decides_unless_it_shall_not(pki: Pki, file: Path) -> None:
    small, large = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
    client = pki.client()
    client.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256")

    async def chosen(it: Guarded) -> str:
        _, writer = await it.connect(client)
        name: str = writer.get_extra_info("cipher")[0]
        writer.transport.abort()
        return name

    suites = f"{TLS}  max_version: TLS12\n  cipher_suites: [{small}, {large}]\n"
    async with guarded(file, suites) as it:
        assert await chosen(it) == "ECDHE-ECDSA-AES128-GCM-SHA256"
        it.write(f"{suites}  prefer_server_cipher_suites: false\n")
        assert await chosen(it) == "ECDHE-ECDSA-AES256-GCM-SHA384"


async def test_only_the_chosen_curve_is_offered(pki: Pki, file: Path) -> None:
    same, other = pki.client(), pki.client()
    same.set_ecdh_curve("secp384r1")
    other.set_ecdh_curve("prime256v1")
    async with guarded(file, f"{TLS}  curve_preferences: [CurveP384]\n") as it:
        assert (await it.get(tls=same)).status == 200
        assert await shut(it, other)


async def test_the_rest_of_a_request_that_was_refused_is_no_request(file: Path) -> None:
    async with guarded(file, USERS) as it:
        reader, writer = await it.connect()
        body = b"x" * 30_000
        writer.write(b"POST /-/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30000\r\n\r\n" + body)
        answers = await reader.read()
        assert answers.count(b"HTTP/1.1 ") == answers.count(b"HTTP/1.1 401 ") == 1
        assert b"\r\nConnection: close\r\n" in answers
        writer.transport.abort()


# ---- Client certificates


@pytest.mark.parametrize("loop", LOOPS)
def test_who_has_no_certificate_of_our_authority_gets_nothing(pki: Pki, file: Path, loop: str) -> None:
    async def play() -> None:
        async with guarded(file, CLIENTS) as it:
            assert (await it.get(tls=pki.client("prometheus.example"))).status == 200
            assert await shut(it, pki.client())
            assert await shut(it, pki.client("prometheus.example", ca=trustme.CA()))
            server = pki.client()
            server.load_cert_chain(file.parent / "server.crt", file.parent / "server.key")
            assert (await it.get(tls=server)).status == 200, "trustme's are good for both sides"

    played(loop, play())


@pytest.mark.parametrize(
    ("names", "status"),
    [
        (("prometheus.example",), 200),
        (("other.example", "prometheus.example"), 200),
        (("192.0.2.1",), 200),
        (("2001:db8::1",), 200),
        (("ops@example.com",), 200),
        (("other.example",), 403),
        (("PROMETHEUS.example.net",), 403),
        (("*.example",), 403),
        (("192.0.2.2",), 403),
    ],
)
async def test_of_our_authority_only_the_allowed_names_get_in(
    pki: Pki, file: Path, names: tuple[str, ...], status: int
) -> None:
    allowed = "client_allowed_sans: [prometheus.example, 192.0.2.1, '2001:DB8:0::1', ops@example.com]"
    async with guarded(file, f"{CLIENTS}  {allowed}\n", health_without_auth=True) as it:
        reader, writer = await it.connect(pki.client(*names))
        for path in ("/metrics", "/-/ready"):
            assert (await it.get(path, tls=pki.client(*names))).status == status
        assert (await ask(reader, writer, "/-/ready", "GET", {})).status == status
        if status == 403:
            assert await reader.read() == b"", "the connection ends"
            assert it.security.refused["certificate"] == 3
        writer.transport.abort()


async def test_a_certificate_that_is_only_asked_for_may_be_missing_but_not_wrong(pki: Pki, file: Path) -> None:
    async with guarded(file, f"{TLS}  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: ca.crt\n") as it:
        assert (await it.get(tls=pki.client())).status == 200
        assert (await it.get(tls=pki.client("prometheus.example"))).status == 200
        assert await shut(it, pki.client("prometheus.example", ca=trustme.CA()))


# ---- Changes while it runs


@pytest.mark.parametrize("loop", LOOPS)
def test_a_renewed_certificate_is_shown_to_the_next_connection(pki: Pki, file: Path, loop: str) -> None:
    async def play() -> None:
        async with guarded(file, TLS) as it:
            client = pki.client()
            first = await serial(it, client)
            reader, writer = await it.connect(client)
            assert (await ask(reader, writer, "/-/ready", "GET", {})).headers.get("connection") != "close"
            pki.serve()
            second = await serial(it, client)
            assert second != first
            assert (await ask(reader, writer, "/-/ready", "GET", {})).status == 200
            assert await reader.read() == b"", "the connection with the old one ends after its next answer"
            writer.transport.abort()

    played(loop, play())


async def test_users_are_those_of_the_file_at_each_request(file: Path) -> None:
    async with guarded(file, USERS) as it:
        assert (await it.log_in("alice", "alice123")).status == 200
        it.write(f"basic_auth_users: {{alice: {hashed('new')}, bob: {hashed('bob123')}}}\n")
        assert (await it.log_in("alice", "alice123")).status == 401
        assert (await it.log_in("alice", "new")).status == 200
        assert (await it.log_in("bob", "bob123")).status == 200
        it.write(USERS)
        assert (await it.log_in("bob", "bob123")).status == 401


async def test_passwords_can_be_asked_for_while_it_runs(file: Path) -> None:
    async with guarded(file, "") as it:
        assert (await it.get()).status == 200
        it.write(USERS)
        assert (await it.get()).status == 401


async def test_a_file_that_has_become_wrong_changes_nothing_and_is_told_once(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with guarded(file, USERS) as it:
        caplog.clear()
        it.write(f"{USERS}rate_limt: {{}}\n")
        for _ in range(3):
            assert (await it.log_in("alice", "alice123")).status == 200
            assert (await it.get()).status == 401
        (told,) = caplog.messages
        assert told == (
            f"web configuration not reloaded: {file}:2 rate_limt: is an unknown key; did you mean rate_limit?"
        )
        assert it.security.problems == [told.removeprefix("web configuration not reloaded: ")]
        file.unlink()
        assert (await it.log_in("alice", "alice123")).status == 200
        assert "cannot be read: No such file" in caplog.messages[-1]
        it.write(f"# good again\n{USERS}")
        assert (await it.log_in("alice", "alice123")).status == 200
        assert it.security.problems == []


async def test_a_certificate_that_has_become_wrong_leaves_the_old_one_in_force(pki: Pki, file: Path) -> None:
    async with guarded(file, TLS) as it:
        client = pki.client()
        first = await serial(it, client)
        other = trustme.CA().issue_cert("127.0.0.1")
        other.private_key_pem.write_to_path(file.parent / "server.key")  # half of a renewal
        assert await serial(it, client) == first
        (problem,) = it.security.problems
        assert "key_file: is not the key of the first certificate in cert_file" in problem
        pki.serve()
        assert await serial(it, client) != first
        assert it.security.problems == []


GONE = "no longer has {}, so more clients could get in"


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (f"{TLS}{USERS}", TLS, GONE.format("basic_auth_users")),
        (f"{TLS}{USERS}", USERS, GONE.format("tls_server_config")),
        (f"{TLS}{USERS}", "", GONE.format("basic_auth_users and tls_server_config")),
        (CLIENTS, TLS, GONE.format("client_auth_type and client_ca_file")),
        (CLIENTS, CLIENTS.rpartition("  client_ca_file")[0], GONE.format("client_ca_file")),
        (f"{CLIENTS}  client_allowed_sans: [prometheus.example]\n", CLIENTS, GONE.format("client_allowed_sans")),
        (USERS, f"{TLS}{USERS}", "now has tls_server_config, and connections are taken without TLS"),
    ],
)
async def test_a_half_written_file_does_not_open_the_door(
    pki: Pki, file: Path, before: str, after: str, told: str
) -> None:
    """A program that writes truncates first: for a moment the file is there and says less, or nothing."""
    async with guarded(file, before) as it:
        client = pki.client("prometheus.example") if TLS in before else None
        it.write(after)
        answer = await it.get(tls=client)
        assert answer.status == (401 if USERS in before else 200)
        assert [f"{file}: {told}; restart the exporter if that is meant"] == it.security.problems
        if CLIENTS in before:
            assert await shut(it, pki.client())
        it.write(before)
        assert (await it.log_in("alice", "alice123", tls=client)).status == 200
        assert it.security.problems == []


def test_a_wrong_file_at_the_start_is_an_error(file: Path) -> None:
    file.write_text("basic_auth_users: {alice: secret}\n")
    with pytest.raises(ConfigError, match=r"basic_auth_users\.alice: expected a bcrypt hash"):
        Guarded(file).security.open()


async def test_what_is_risky_is_told_at_the_start(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with guarded(file, f"{USERS}http_server_config: {{http2: true}}\n") as it:
        assert [(record.levelno, record.message.split(": ", 1)[1]) for record in caplog.records] == [
            (logging.WARNING, "is taken and has no effect: this exporter speaks HTTP/1.1"),
            (logging.WARNING, "asks for passwords without TLS: anyone who sees the traffic sees them"),
        ]
        await it.get()
        assert len(caplog.records) == 2


# ---- Headers


async def test_configured_headers_are_on_every_answer_in_the_place_of_ours(file: Path) -> None:
    headers = (
        "http_server_config:\n"
        "  headers:\n"
        "    Content-Security-Policy: default-src 'self'\n"
        "    Strict-Transport-Security: max-age=31536000; includeSubDomains\n"
        "    X-Frame-Options: deny\n"
        "    X-XSS-Protection: ''\n"
    )
    async with guarded(file, headers + USERS) as it:
        for path, password, status in (
            ("/", "wrong", 401),
            ("/", "alice123", 200),
            ("/metrics", "alice123", 200),
            ("/no", "alice123", 404),
        ):
            answer = await it.log_in("alice", password, path)
            assert answer.status == status
            assert answer.headers["content-security-policy"] == "default-src 'self'"
            assert answer.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
            assert answer.headers["x-frame-options"] == "deny"
            assert answer.headers["x-content-type-options"] == "nosniff", "ours, which is not configured"
            assert "x-xss-protection" not in answer.headers
        it.write("http_server_config: {headers: {Content-Security-Policy: ''}}\n" + USERS)
        answer = await it.get()
        assert "content-security-policy" not in answer.headers
        assert "strict-transport-security" not in answer.headers


# ---- Rate


async def test_a_burst_is_answered_and_then_one_request_an_interval(file: Path) -> None:
    async with guarded(file, "rate_limit: {interval: 100ms, burst: 3}\n" + USERS) as it:

        async def some(many: int) -> list[int]:
            return [(await it.log_in("alice", "alice123")).status for _ in range(many)]

        assert await some(5) == [200, 200, 200, 429, 429]
        limited = await it.get()
        assert (limited.status, limited.headers["retry-after"]) == (429, "1"), "before any password is looked at"
        it.clock.pass_(0.1)
        assert await some(2) == [200, 429]
        it.clock.pass_(3600)
        assert await some(4) == [200, 200, 200, 429]
        assert +it.security.refused == {"rate": 5}
        it.write("rate_limit: {interval: 0, burst: 0}\n" + USERS)
        assert await some(5) == [200] * 5


async def test_a_server_that_has_stopped_holds_no_file(pki: Pki, file: Path) -> None:
    """A connection that ends late must not make it keep files open for scrapes again."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    async with guarded(file, TLS) as it:
        held = [await it.connect(pki.client()) for _ in range(3)]
    for _, writer in held:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    await asyncio.sleep(0)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1
