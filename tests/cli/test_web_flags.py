"""The flags about the HTTP server: addresses, sockets of systemd, the web configuration; and clear words for faults."""

from __future__ import annotations

import asyncio
import errno
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from exporter import __main__ as command
from exporter.cli.arguments import parser
from exporter.views.sockets import cannot_listen, from_systemd, url
from tests.support.certificates import Pki
from tests.support.daemon import PATIENCE, ROOT
from tests.support.guarded import basic, hashed

TLS = "tls_server_config: {cert_file: server.crt, key_file: server.key}\n"
NO_HASH = "expected a bcrypt hash, 60 characters that begin with $2; `htpasswd -nBC 10 NAME` makes one"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text("blocklists: []\nresolver: {nameservers: ['127.0.0.1:1']}\nchecks: {resolver: {enabled: false}}\n")
    return path


@pytest.fixture
def web(tmp_path: Path) -> Path:
    Pki(tmp_path).serve("127.0.0.1", "127.0.0.2")
    path = tmp_path / "web.yml"
    path.write_text(f"{TLS}basic_auth_users: {{alice: {hashed('alice123')}}}\n")
    return path


def run(*arguments: str) -> int:
    return command.main(arguments)


def test_the_check_of_the_configuration_judges_the_web_configuration_too(
    config: Path, web: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = f"--config.file={config}", f"--web.config.file={web}", "--config.check"
    assert run(*arguments) == 0
    assert capsys.readouterr().out.endswith(f"{config}: OK, 1 targets\n{web}: OK\n")
    web.write_text(TLS + "basic_auth_users: {alice: secret}\n")
    config.write_text("limts: {}\n")
    assert run(*arguments) == 64
    assert capsys.readouterr().err.splitlines() == [
        f"{config}:1 limts: is an unknown key; did you mean limits?",
        f"{web}:2 basic_auth_users.alice: {NO_HASH}",
    ]
    config.write_text("")
    web.write_text("http_server_config: {http2: true}")
    assert run(*arguments) == 0
    assert f"warning: {web}:1 http_server_config.http2: is taken and has no effect" in capsys.readouterr().out


def test_a_start_that_fails_says_which_file_or_address_and_what_to_do(
    config: Path, web: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LISTEN_FDS", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (web.parent / "server.key").unlink()
        for arguments, expected in {
            (f"--web.config.file={web}",): (
                f"{web}:1 tls_server_config.key_file: names {web.parent}/server.key, which cannot be read: "
                "No such file or directory"
            ),
            (f"--web.listen-address=127.0.0.1:{port}",): (
                f"cannot listen on 127.0.0.1:{port}: something listens there already; choose another address or port"
            ),
            ("--web.listen-address=a..example:9000",): "cannot listen on a..example:9000: a..example is no host name",
            ("--web.systemd-socket",): (
                "--web.systemd-socket wants sockets from systemd, and none was passed; start it by its socket unit, "
                "deliverability-exporter.socket, or give --web.listen-address"
            ),
            ("--web.systemd-socket", "--web.listen-address=:0"): (
                "--web.systemd-socket and --web.listen-address exclude each other; give one"
            ),
        }.items():
            assert run(f"--config.file={config}", *arguments) == 64
            assert capsys.readouterr().err.splitlines()[-1] == expected


def test_a_url_or_a_prefix_that_is_none_ends_the_start_and_says_what_is_expected(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for flag, expected in {
        "--web.external-url=monitoring.example.com/mail": (
            "argument --web.external-url: 'monitoring.example.com/mail' is not http://HOST[:PORT][/PATH] or "
            "https://..., such as https://monitoring.example.com/mail"
        ),
        "--web.external-url=https://a.example/a b": (
            "argument --web.external-url: the path '/a b' wants letters, digits and . _ ~ - between slashes, "
            "such as /mail"
        ),
        "--web.route-prefix=/../x": (
            "argument --web.route-prefix: the path '/../x' wants letters, digits and . _ ~ - between slashes, "
            "such as /mail"
        ),
    }.items():
        with pytest.raises(SystemExit) as ended:
            run(f"--config.file={config}", flag)
        assert ended.value.code == 64
        assert capsys.readouterr().err.splitlines()[0] == f"deliverability-exporter: {expected}"


def test_an_empty_flag_is_none() -> None:
    """A unit or a chart may write the flag and leave its value open."""
    given = parser().parse_args(["--web.external-url=", "--web.route-prefix="])
    assert (given.external_url, given.route_prefix) == (None, None)
    assert parser().parse_args(["--web.route-prefix=/"]).route_prefix == ""


def test_sockets_for_another_process_or_of_no_number_are_refused() -> None:
    for environment, expected in (
        ({"LISTEN_FDS": "1", "LISTEN_PID": "1"}, "they were passed to another process"),
        ({"LISTEN_FDS": "1", "LISTEN_FDNAMES": "a"}, "they were passed to another process"),
        ({"LISTEN_FDS": "many", "LISTEN_PID": "7"}, "is 'many', and no number from 1 to 100"),
        ({"LISTEN_FDS": "0", "LISTEN_PID": "7"}, "is '0', and no number from 1 to 100"),
        ({"LISTEN_FDS": "999999999", "LISTEN_PID": "7"}, "is '999999999', and no number from 1 to 100"),
    ):
        with pytest.raises(OSError, match=expected):
            from_systemd(environment, 7)
        assert environment == {}, "no child takes them for its own"


def test_an_address_is_told_as_a_url_and_an_unknown_error_in_its_own_words() -> None:
    assert url(("::1", 10554, 0, 0), tls=True) == "https://[::1]:10554"
    assert url(("127.0.0.1", 10554), tls=False) == "http://127.0.0.1:10554"
    assert url("/run/web.sock", tls=False) == "unix:/run/web.sock"
    assert str(cannot_listen((None, 80), PermissionError(errno.EACCES, "Permission denied"))) == (
        "cannot listen on :80: that is not allowed; choose a port from 1024 up"
    )
    assert str(cannot_listen(("192.0.2.1", 80), OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"))) == (
        "cannot listen on 192.0.2.1:80: this machine has no such address; give one of its own, or :PORT for all"
    )
    assert str(cannot_listen(("::1", 80), OSError(errno.EAFNOSUPPORT, "Address family not supported"))) == (
        "cannot listen on [::1]:80: Address family not supported"
    )


@asynccontextmanager
async def started(*arguments: str, under: tuple[str, ...] = ()) -> AsyncIterator[asyncio.StreamReader]:
    """The real process, and what it says. `under` is a program that starts it."""
    process = await asyncio.create_subprocess_exec(
        *under,
        *(sys.executable, "-m", "exporter"),
        *arguments,
        cwd=ROOT,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(PATIENCE):
            yield process.stderr
            process.terminate()
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def told(words: str, log: asyncio.StreamReader) -> str:
    """What follows the words in the log."""
    while words not in (line := (await log.readline()).decode()):
        assert line, f"it ended before it said {words}"
    return line.rpartition(words)[2].strip().strip('"')


async def get(
    address: str, tls: ssl.SSLContext | bool = True, path: str = "/-/ready", **headers: str
) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(address + path, headers=headers, ssl=tls) as answer:
        return answer.status, await answer.text()


async def status(address: str, tls: ssl.SSLContext | bool = True, path: str = "/-/ready", **headers: str) -> int:
    return (await get(address, tls, path, **headers))[0]


@pytest.mark.long
async def test_it_serves_on_each_address_below_a_prefix_with_tls_and_passwords(config: Path, web: Path) -> None:
    places = "--web.listen-address=127.0.0.1:0", "--web.listen-address=127.0.0.2:0"
    flags = f"--config.file={config}", f"--web.config.file={web}", "--web.health-without-auth"
    trusts = ssl.create_default_context(cafile=web.parent / "ca.crt")
    async with started(*flags, *places, "--web.route-prefix=mail") as log:
        assert "History is lost on restart" in await told("level=warning", log)
        addresses = (await told("listens on ", log)).split(" ")
        assert [address.rpartition(":")[0] for address in addresses] == ["https://127.0.0.1", "https://127.0.0.2"]
        assert {address.rpartition("/")[2] for address in addresses} == {"mail"}
        assert "--web.external-url is not set" in await told("level=warning", log)
        for address in addresses:
            assert await status(address, trusts) == 200
            assert await status(address, trusts, "/metrics") == 401
            assert await status(address, trusts, "/metrics", **basic("alice", "alice123")) == 200
        _, scrape = await get(address, trusts, "/metrics", **basic("alice", "alice123"))
        assert "deliverability_exporter_web_config_last_reload_successful 1" in scrape
        assert 'deliverability_exporter_web_requests_refused_total{cause="password"} 2' in scrape
        assert "deliverability_exporter_web_password_checks_total 1" in scrape
        web.write_text("tls_server_config: {cert_file: server.crt}\n")
        _, page = await get(address, trusts, "/", **basic("alice", "alice123"))
        assert "The web configuration was changed but is wrong; the old one is in force." in page
        assert "--web.external-url is not set" in page
        assert f"{web}:1 tls_server_config: wants key_file or key, and has neither" in page
        _, scrape = await get(address, trusts, "/metrics", **basic("alice", "alice123"))
        assert "deliverability_exporter_web_config_last_reload_successful 0" in scrape


@pytest.mark.long
async def test_it_serves_on_the_sockets_that_systemd_passes(config: Path) -> None:
    """systemd's tool for tries starts the program, with its sockets, when the first connection comes."""
    activate = shutil.which("systemd-socket-activate")
    if activate is None:
        pytest.skip("no systemd here, so nobody to pass a socket")
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        free = [f"127.0.0.1:{sock.getsockname()[1]}" for sock in (one, two)]
    under = activate, *(f"--listen={address}" for address in free)
    async with started(f"--config.file={config}", "--web.systemd-socket", under=under) as log:
        for _ in free:
            await told("Listening on ", log)
        assert [await status(f"http://{address}") for address in free] == [200, 200]
        assert await told("listens on ", log) == " ".join(f"http://{address}" for address in free)


def test_a_passed_file_that_does_not_listen_is_refused(config: Path, tmp_path: Path) -> None:
    """In a process of its own, because the numbers of passed files are fixed."""
    script = (
        "import os, socket, sys\n"
        "from exporter.views.sockets import from_systemd\n"
        "it = {passed}\n"
        "os.dup2(it.fileno(), 3)\n"
        "try: taken = from_systemd(dict(LISTEN_FDS='1', LISTEN_PID='7'), 7)\n"
        "except OSError as error: sys.exit(print(error))\n"
        "print(taken[0].getsockname(), os.get_inheritable(3))\n"
    )
    silent = "the socket 3 that systemd has passed does not listen; its unit needs ListenStream= and Accept=no"
    for passed, expected in {
        "socket.create_server(('127.0.0.7', 0))": "('127.0.0.7', ",
        "socket.socket()": silent,
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)": silent,
        "open(os.devnull)": "the file 3 that systemd has passed is no socket: Socket operation on non-socket",
    }.items():
        done = subprocess.run(
            [sys.executable, "-c", script.format(passed=passed)], capture_output=True, text=True, check=True, cwd=ROOT
        )
        assert done.stdout.startswith(expected), done
        assert "True" not in done.stdout, "no child inherits it"
