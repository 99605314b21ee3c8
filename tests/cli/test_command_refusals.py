"""`explain TEXT` and `check --recipients`, as a person calls them: the process, its streams and its exit code."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exporter.demo.nameserver import NameServer, ZoneData
from tests.support.refusals import POSTFIX

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
ZONE = """
$TTL 60
; servfail: broken.example MX
com.                         NS  a.gtld-servers.example.
good.example.                MX  10 mx.good.example.
gmial.com.                   MX  0 .
mail.example.com.            A   192.0.2.10
10.2.0.192.in-addr.arpa.     PTR mail.example.com.
"""
CONFIG = """
resolver: {{nameservers: ["127.0.0.1:{port}"], timeout: 1s}}
blocklists: []
senders:
  - {{name: laptop, addresses: [192.0.2.10], helo: "{helo}"}}
"""


@pytest.fixture
async def nameserver() -> AsyncIterator[NameServer]:
    server = NameServer(ZoneData(ZONE))
    await server.start()
    yield server
    await server.stop()


async def run(*arguments: str, given: bytes = b"") -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "exporter",
        *arguments,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate(given)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize(
    ("helo", "told"),
    [
        (
            "MacBook..",
            'helo.trailing-dot of laptop 192.0.2.10: the HELO name "MacBook.." ends with a dot',
        ),
        ("mail.example.com", "No configured target has this problem"),
    ],
)
async def test_explain_says_whether_a_cause_stands_where_it_is_configured(
    tmp_path: Path, nameserver: NameServer, helo: str, told: str
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(port=nameserver.address[1], helo=helo))
    code, out, err = await run("explain", POSTFIX, f"--config.file={config}")
    assert told in out
    assert ("This is the cause." in out) is (helo == "MacBook..")
    assert (code, err) == (0, "")
    assert out.splitlines()[-2:] == out.partition("In your setup:")[2].splitlines()[-2:]
    assert "Possible causes" not in out, "after the answer comes no catalogue"
    code, out, _ = await run("explain", "helo.trailing-dot", f"--config.file={config}")
    assert "helo.trailing-dot (critical)" in out
    assert "In your setup:" in out
    assert told.partition(" of ")[0] in out
    assert code == 0


LIST = (
    "\ufeffanna@good.example\r\n\r\nanna@gmial.com\r\nx y@good.example\r\nanna@good.example\r\nanna@broken.example\r\n"
)


@pytest.mark.parametrize("standard", [False, True])
async def test_recipients_of_a_file_and_of_standard_input(
    tmp_path: Path, nameserver: NameServer, standard: bool
) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(LIST.encode())
    name = "-" if standard else str(path)
    resolver = f"--resolver=127.0.0.1:{nameserver.address[1]}"
    code, out, err = await run("check", "--recipients", name, resolver, given=LIST.encode() if standard else b"")
    lines = out.splitlines()
    assert lines[0].startswith(f'{name}:1: refused: "\\u{{feff}}anna@good.example" holds what cannot be seen: U+FEFF')
    assert lines[1].startswith(
        f'{name}:3: refused: "anna@gmial.com" is in gmial.com, which accepts no mail (null MX); looks'
    )
    assert lines[2].startswith(f'{name}:4: refused: "x y@good.example" has a space at position 2')
    assert lines[3].startswith(f'{name}:6: unknown: "anna@broken.example"')
    assert lines[4] == "5 addresses: 3 refused, 1 unknown, 0 doubtful, 1 good"
    assert (code, err) == (2, "")


async def test_behind_a_resolver_that_denies_everything_no_recipient_is_refused_for_its_domain() -> None:
    server = NameServer(ZoneData(""))
    await server.start()
    try:
        resolver = f"--resolver=127.0.0.1:{server.address[1]}"
        code, out, err = await run("check", "--recipients=-", resolver, given=b"anna@gmail.com\nx y@gmail.com\n")
    finally:
        await server.stop()
    first, second, totals = out.splitlines()
    assert first.startswith('-:1: unknown: "anna@gmail.com" is in gmail.com, which is unknown, because the')
    assert "com has no name servers (NXDOMAIN)" in first
    assert second.startswith('-:2: refused: "x y@gmail.com" has a space')
    assert totals == "2 addresses: 1 refused, 1 unknown, 0 doubtful, 0 good"
    assert (code, err) == (2, "")


async def test_recipients_as_json_and_with_a_configuration(tmp_path: Path, nameserver: NameServer) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(port=nameserver.address[1], helo="mail.example.com"))
    code, out, _ = await run(
        "check", "--recipients=-", f"--config.file={config}", "--format=json", given=b"j\xc3\xb6rg@good.example\n"
    )
    document = json.loads(out)
    assert (code, document["exit"]) == (1, 1)
    assert document["summary"] == {"refused": 0, "unknown": 0, "doubtful": 1, "good": 0}
    (row,) = document["recipients"]
    assert (row["line"], row["address"], row["judgement"]) == (1, "jörg@good.example", "doubtful")


async def test_check_takes_what_dns_alone_does_not_show(nameserver: NameServer) -> None:
    code, out, err = await run(
        *("check", "good.example", "192.0.2.10", "--dkim-selector", "s1", "--mail-from", "bounce.good.example"),
        *("--spf-include", "_spf.google.com", "mx.good.example:25", "--format", "json"),
        *("--resolver", f"127.0.0.1:{nameserver.address[1]}"),
    )
    told = json.loads(out)
    found = {(verdict["check"], finding["id"]) for verdict in told["verdicts"] for finding in verdict["findings"]}
    assert {("dkim", "dkim.missing"), ("spf", "spf.missing")} <= found
    senders = {verdict["target"].get("sender") for verdict in told["verdicts"] if verdict["check"] == "spf_sender"}
    assert senders == {None, "_spf.google.com"}, "the addresses of a command line have no sender's name"
    assert [re.findall(r"--\S+", note) for note in told["notes"]] == [["--helo"], ["--smtp.helo-name"]]
    assert (code, err) == (2, "")


async def test_checks_can_be_chosen(nameserver: NameServer) -> None:
    at = f"--resolver=127.0.0.1:{nameserver.address[1]}"
    _, out, _ = await run("check", "good.example", at, "--format=json", "--only", "spf,mx", "--only", "dmarc")
    told = json.loads(out)
    assert {it["check"] for it in told["verdicts"]} == {"spf", "mx", "dmarc"}
    assert [it["domain"] for it in told["discovered"]] == ["good.example"]
    assert told["if_it_sends"] == {"problems": [], "verdicts": []}
    _, out, _ = await run("check", "good.example", at, "--format=json", "--only", "spf,mx", "--skip", "mx")
    assert {it["check"] for it in json.loads(out)["verdicts"]} == {"spf"}
    code, _, err = await run("check", "good.example", at, "--skip", "spff")
    assert code == 64
    assert "--skip: no check is called 'spff'; there are bimi, " in err


async def test_a_resolver_that_does_not_answer_is_said_at_once() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    code, out, err = await run("check", "good.example", f"--resolver=127.0.0.1:{port}")
    assert (code, err) == (3, "")
    said, fix = out.splitlines()
    assert said.startswith(f"the resolver 127.0.0.1:{port} does not answer: ")
    assert fix.startswith("Fix: name one that answers with --resolver")
    code, out, _ = await run("check", "good.example", f"--resolver=127.0.0.1:{port}", "--format=json")
    told = json.loads(out)
    assert (code, told["exit"]) == (3, 3)
    assert told["notes"][0].partition(": ")[0] == said.partition(": ")[0]
