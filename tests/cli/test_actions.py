"""`ack` and `recheck` against an exporter that runs, with TLS and a login; and clear words where that fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exporter import __main__ as command
from exporter.views.security import WebSecurity
from tests.support.acting import Acting
from tests.support.certificates import Pki
from tests.support.checks import BROKEN, EXAMPLE
from tests.support.clock import FakeClock
from tests.support.guarded import hashed

ACK = ("ack", "example.com", "sample.broken", "--until=3d", "--reason=TICKET-1 <é>")


class Told:
    """What a command said, and its exit code."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        """In a thread, because the server runs on this loop."""
        code = await asyncio.to_thread(self._code, arguments)
        told = self._capsys.readouterr()
        return code, told.out, told.err

    def _code(self, arguments: tuple[str, ...]) -> int:
        try:
            return command.main(arguments)
        except SystemExit as end:
            return int(end.code or 0)


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    return Told(capsys)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Acting]:
    Pki(tmp_path).serve("127.0.0.1")
    tls = "tls_server_config: {cert_file: server.crt, key_file: server.key}\n"
    (tmp_path / "web.yml").write_text(f"{tls}basic_auth_users: {{alice: {hashed('alice123')}}}\n")
    (tmp_path / "login").write_text("alice:alice123\n")
    it = Acting(security=WebSecurity(FakeClock(), tmp_path / "web.yml"))
    it.look(EXAMPLE, BROKEN(what="it"))
    await it.web.start([("127.0.0.1", 0)])
    yield it
    await it.web.stop()


async def test_commands_act_over_tls_with_a_login_from_a_file_or_the_environment(
    site: Acting, told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = (f"--url={site.web.addresses[0]}", f"--ca-file={tmp_path / 'ca.crt'}")
    file = f"--credentials-file={tmp_path / 'login'}"
    assert await told.run(*ACK, *where, file) == (
        0, "sample.broken of domain=example.com is acknowledged until 2026-05-31 20:26 UTC\n", "",
    )  # fmt: skip
    (ack,) = site.actions.acknowledged
    assert (ack.by, ack.reason) == ("alice", "TICKET-1 <é>")
    monkeypatch.setenv("DELIVERABILITY_CREDENTIALS", "alice:alice123")
    code, out, _ = await told.run("ack", "example.com", "sample.broken", "--withdraw", *where)
    assert (code, out) == (0, "sample.broken of domain=example.com is not acknowledged any more\n")
    code, out, _ = await told.run("recheck", "domain=example.com", "sample", *where)
    assert (code, out) == (0, "sample of domain=example.com runs in 11 s\n")
    code, out, err = await told.run("recheck", "example.com", *where)
    assert (code, out) == (1, "")
    assert err.endswith("refuses (429): it was checked again a moment ago; try again in 30 s\n")
    monkeypatch.setenv("DELIVERABILITY_CREDENTIALS", "alice:wrong")
    code, _, err = await told.run(*ACK, *where)
    assert code == 1
    assert "refuses (401): a name and a password are wanted" in err
    code, _, err = await told.run(*ACK, where[0], file)
    assert code == 1
    assert "certificate verify failed" in err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (ACK[:3], 64, "--until and --reason are needed"),
        ((*ACK, "--withdraw"), 64, "--withdraw takes neither"),
        ((*ACK, "--url=ftp://x"), 64, "is not http://HOST"),
        ((*ACK, "--ca-file=/no/such/file"), 64, "are for a URL that begins with https://"),
        ((*ACK, "--url=https://127.0.0.1:1", "--ca-file=/no/such/file"), 64, "the files for TLS cannot be used"),
        ((*ACK, "--credentials-file=/no/such/file"), 64, "/no/such/file"),
        ((*ACK, "--credentials-file=/dev/null"), 64, "holds one line NAME:PASSWORD"),
        ((*ACK, "--url=http://127.0.0.1:1"), 1, "http://127.0.0.1:1 cannot be asked: "),
        (("ack", "example.com"), 64, "the following arguments are required: FINDING"),
        ((*ACK, "--password=x"), 64, "unrecognized arguments"),
    ],
)
async def test_what_is_wrong_is_said_in_a_line(told: Told, arguments: tuple[str, ...], code: int, words: str) -> None:
    ended, out, err = await told.run(*arguments)
    assert (ended, out) == (code, "")
    assert words in err


async def test_actions_without_a_state_file_end_the_start(told: Told, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("blocklists: []\n")
    code, _, err = await told.run(f"--config.file={tmp_path / 'config.yaml'}", "--web.enable-actions")
    assert code == 64
    assert err.startswith("--web.enable-actions needs --storage.path=FILE")
