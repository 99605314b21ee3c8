"""`init`, as a person calls it: from names or a list, to standard output or a new file."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from exporter import __main__ as command
from exporter.cli import init
from exporter.config import load
from exporter.demo.nameserver import NameServer, ZoneData
from exporter.targets import Authorisation, Domain
from tests.cli.test_command_refusals import run
from tests.support.configuration import CATALOGUE, only

pytestmark = pytest.mark.long

ZONE = """
com.                  NS   a.gtld-servers.example.
one.example.          MX   10 aspmx.l.google.com.
one.example.          TXT  "v=spf1 include:_spf.google.com -all"
two.example.          TXT  "v=spf1 include:_spf.google.com -all"
_spf.google.com.      TXT  "v=spf1 ip4:198.51.100.0/24 -all"
"""


def refused(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert command.main(["init", *arguments]) == 64
    return capsys.readouterr().err


async def test_names_and_a_list_become_a_file_that_passes(tmp_path: Path) -> None:
    server = NameServer(ZoneData(ZONE))
    await server.start()
    customers, made = tmp_path / "customers.csv", tmp_path / "config.yaml"
    customers.write_bytes("\ufeffteam;Domain\n# ours\ncrm;Two.Example.\n\ncrm;two.example\n".encode())
    try:
        code, out, err = await run(
            *("init", "https://one.example/", "--from", str(customers), "--output", str(made)),
            *("--smtp.helo-name", "probe.example.net", "--resolver", f"127.0.0.1:{server.address[1]}"),
        )
    finally:
        await server.stop()
    assert (code, out) == (0, "")
    assert err.startswith(f"{made}: 2 domains, ")
    settings = load(made, CATALOGUE)
    assert [it.name for it in only(settings, Domain)] == ["one.example", "two.example"]
    assert {it.sender for it in only(settings, Authorisation)} == {"google-workspace"}
    assert (settings.helo_name, settings.nameservers[0].port) == ("probe.example.net", server.address[1])


def test_a_file_is_not_overwritten_without_a_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "config.yaml"
    made.write_text("mine")
    assert "overwrite it with --force" in refused("a.example", "--output", str(made), capsys=capsys)
    assert made.read_text() == "mine"


@pytest.mark.parametrize(
    ("text", "domains"),
    [
        ("a.example\n\n# b.example\nhttps://c.example/x\nanna@d.example\n", ["a.example", "c.example", "d.example"]),
        ("id,domain,owner\n1,a.example,x\n2,,y\n3,b.example,z\n", ["a.example", "b.example"]),
        ('name;note\n"a.example";"x;y"\n', ["a.example"]),
        ("owner\tdomain_name\nx\tm\u00fcnchen.example\n", ["xn--mnchen-3ya.example"]),
        ("a.example,x\nb.example,domain\n", ["a.example", "b.example"]),
        ("", []),
    ],
)
def test_a_list_is_lines_or_csv(text: str, domains: list[str], tmp_path: Path) -> None:
    file = tmp_path / "list"
    file.write_text(text, encoding="utf-8")
    assert init._listed(str(file)) == domains


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            b"domain\nok.example\nno such\n192.0.2.1\nx\n",
            ["list:3: 'no such' is neither", "list:4: '192.0.2.1'", "list:5:"],
        ),
        (b"a.example\n\xff.example\n", ["list:2: is not UTF-8 text"]),
        (b"x y\n" * 100, ["list:1: ", "... and 80 more"]),
        (b"a" * 200_000, ["list:1: "]),
        (b"", ["name a domain, or give a list of them with --from FILE"]),
    ],
)
def test_faults_of_a_list_are_told_with_their_lines(
    content: bytes, told: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "list").write_bytes(content)
    said = refused("--from", str(tmp_path / "list"), capsys=capsys)
    assert all(it in said for it in told), said
    assert len(said) < 5000


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name a domain, or give a list of them with --from FILE"),
        (["localhost"], "'localhost' is one label; a whole domain"),
        (["192.0.2.1"], "'192.0.2.1' is no domain"),
        (["a.example", "--smtp.helo-name", "probe"], "fully qualified host name"),
        (["a.example", "--resolver", "x"], "--resolver: 'x' is no nameserver"),
        (["--from", "/no/such/list"], "No such file or directory"),
        (["a.example", "--output", "/no/such/folder/x"], "there is no folder /no/such/folder"),
    ],
)
def test_what_cannot_be_done_is_said_with_exit_64(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told in refused(*arguments, capsys=capsys)


def test_a_resolver_that_does_not_answer_is_said_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    assert command.main(["init", "a.example", f"--resolver=127.0.0.1:{port}"]) == 3
    assert "the resolver does not answer" in capsys.readouterr().err
