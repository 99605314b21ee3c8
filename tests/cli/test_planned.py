"""`check --with` and `--without`: what would break, what would heal, what would stay; a gate for DNS changes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import pytest

from exporter import clients
from exporter.check_state import FindingPolicy
from exporter.cli import check
from exporter.cli.arguments import parser
from exporter.cli.named import DomainFlags, named
from exporter.cli.once import Looker
from exporter.cli.planned import TwoLooks
from exporter.clock import SystemClock
from exporter.config import Nameserver, defaults
from exporter.demo.mailserver import Behaviour
from exporter.demo.nameserver import NameServer, ZoneData
from exporter.demo.small_world import SmallWorld
from exporter.engine.difference import difference
from exporter.facts import IP
from exporter.net.planned import zone_file
from exporter.net.planned.records import LARGEST, PlannedRecords
from tests.support.configuration import CATALOGUE

WORLD = """
; signed: com. NS
; soa: com. 1
com.                          NS   a.nic.test.
; soa: example.com. 1
example.com.                  NS   ns1.example.net.
example.com.                  MX   10 mx.example.com.
mx.example.com.               A    192.0.2.25
example.com.                  TXT  "v=spf1 ip4:192.0.2.25 -all"
other.example.                TXT  "v=spf1 include:_spf.example.com -all"
_spf.example.com.             TXT  "v=spf1 ip4:192.0.2.26 -all"
"""
DMARC = '_dmarc.example.com. TXT "v=DMARC1; p=reject; rua=mailto:d@example.com"\n'
CHECKS = "resolver,mx,spf,dmarc"


@pytest.fixture
async def server() -> AsyncIterator[NameServer]:
    server = NameServer(ZoneData(WORLD))
    await server.start()
    yield server
    await server.stop()


class Gate:
    """Runs the command in process against the server."""

    def __init__(self, server: NameServer, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._at = f"{server.address[0]}:{server.address[1]}"
        self.folder = folder
        self._capsys = capsys

    async def run(self, plan: str | None, *words: str, name: str = "plan.zone") -> tuple[int, str]:
        if plan is not None:
            (self.folder / name).write_text(plan)
            words = (f"--with={self.folder / name}", *words)
        domains = () if any(it.startswith("d=") for it in words) else ("example.com",)
        named = [it.removeprefix("d=") for it in words]
        arguments = parser().parse_args(["check", *domains, *named, "--resolver", self._at, "--only", CHECKS])
        code = await check.check_once(arguments)
        return code, self._capsys.readouterr().out

    async def change(self, plan: str | None, *words: str, name: str = "plan.zone") -> dict[str, list[str]]:
        _, text = await self.run(plan, *words, "--format", "json", name=name)
        return {
            key: [it.get("id", it.get("check")) for it in found] for key, found in json.loads(text)["change"].items()
        }


@pytest.fixture
def gate(server: NameServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Gate:
    return Gate(server, tmp_path, capsys)


async def test_three_sections_say_what_breaks_what_heals_and_what_stays(gate: Gate) -> None:
    code, told = await gate.run(f"{DMARC}example.com. MX 10 mx.example.com.\nexample.com. MX 20 gone.example.com.\n")
    assert code == 1, "judged as it would be"
    assert "Planned: " in told
    assert "plan.zone has 3 records, in place of the same names and types in DNS. Everything else stays." in told
    breaks, _, rest = told.partition("Would heal: 1\n")
    assert "Would break: 1\nWARNING   the MX host gone.example.com of example.com does not exist" in breaks
    assert "          Fix: " in breaks
    assert rest.startswith("WARNING   example.com has no DMARC policy")
    assert "Fix: " not in rest
    assert "\nWould stay: nothing\n" in rest
    assert "\nNot checked: DNSSEC of planned records." in rest
    assert "Not checked: zone" not in rest, "--only leaves it out anyway"


async def test_a_check_that_the_plan_makes_useless_is_named(gate: Gate) -> None:
    _, told = await gate.run(DMARC, "--only", "zone")
    line = "Not checked: zone, with --with or --without. Its name servers do not have the planned records yet."
    assert line in told.splitlines()


async def test_the_gate_may_ask_for_what_is_new_alone(gate: Gate) -> None:
    same = "example.com. TXT v=spf1\\032ip4:192.0.2.25\\032-all\n"
    assert (await gate.run(same))[0] == 1, "DMARC is still missing"
    assert (await gate.run(same, "--fail-on", "new"))[0] == 0
    assert (await gate.run("example.com. MX 1 no.example.com.\n", "--fail-on", "new"))[0] == 2
    assert (await gate.run(None, "--without", "example.com:TXT", "--fail-on", "new"))[0] == 1


async def test_a_whole_zone_removes_what_is_not_in_it_and_some_records_do_not(gate: Gate) -> None:
    some = '$ORIGIN example.com.\n@ MX 10 mx\nmx A 192.0.2.25\n@ TXT "v=spf1 ip4:192.0.2.25 -all"\n'
    soa = "$ORIGIN example.com.\n@ SOA ns1.example.net. host 1 2 3 4 5\n@ NS ns1.example.net.\n"
    assert (await gate.change(some, "d=example.com", "d=other.example"))["breaks"] == []
    change = await gate.change(soa + some, "d=example.com", "d=other.example")
    assert change["breaks"] == ["spf.include-without-record"], "of another domain, which includes a name of the zone"
    assert "dmarc.missing" in change["stays"]


async def test_octodns_yaml_is_the_whole_zone_of_its_name(gate: Gate) -> None:
    octo = (
        "'':\n- {type: MX, values: [{exchange: mx.example.com., preference: 10}]}\n"
        "- {type: TXT, value: v=spf1 ip4:192.0.2.25 -all}\nmx: {type: A, value: 192.0.2.25}\n"
        "_dmarc: {type: TXT, value: 'v=DMARC1\\; p=reject\\; rua=mailto:d@example.com'}\n"
    )
    assert await gate.change(octo, name="example.com.yaml") == {
        "breaks": [],
        "heals": ["dmarc.missing"],
        "stays": [],
        "unknown": [],
    }
    with pytest.raises(ValueError, match=r"plan.yaml: its name is no zone; call it ZONE.yaml or give ZONE="):
        await gate.run(octo, name="plan.yaml")


async def test_what_the_plan_does_not_tell_is_unknown_and_heals_nothing(gate: Gate) -> None:
    octo = "'':\n- {type: MX, octodns: {excluded: [x]}, value: {exchange: mx.example.com., preference: 10}}\n"
    code, told = await gate.run(octo, "--fail-on", "new", name="example.com.yaml")
    assert code == 3
    assert "Would be unknown: mx of example.com\n" in told
    assert "example.com.yaml:2 does not tell it: only some providers get it (excluded)" in told


async def test_only_what_changes_is_looked_at_again(gate: Gate, server: NameServer) -> None:
    await gate.run(DMARC)
    asked = [it for it in server.asked if it == "example.com MX"]
    assert len(asked) == 1, "once for both looks"
    text = (await gate.run(DMARC, "--format", "json"))[1]
    via = {it["check"]: {e["via"] for e in it["evidence"]["exchanges"]} for it in json.loads(text)["verdicts"]}
    assert any("planned" in it for it in via["dmarc"])
    assert not any("planned" in it for it in via["mx"])


async def test_json_says_what_is_planned(gate: Gate) -> None:
    _, text = await gate.run(DMARC, "--without", "example.com:TXT", "--format", "json")
    told = json.loads(text)
    (file,) = told["planned"]["files"]
    assert (file["zone"], file["sets"], file["records"]) == (None, 1, 1)
    assert told["planned"]["removed"] == [{"name": "example.com", "type": "TXT"}]
    assert [it["id"] for it in told["change"]["breaks"]] == ["spf.missing"]
    assert [it["id"] for it in told["problems"]] == ["spf.missing"], "as it would be"
    assert told["exit"] == 1


@pytest.mark.parametrize("form", ["json", "junit", "sarif"])
async def test_pipelines_read_the_world_as_it_would_be(gate: Gate, form: str) -> None:
    code, told = await gate.run("example.com. MX 1 no.example.com.\n", "--format", form)
    assert code == 2
    assert "mx.dangling" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--with", "{}/none.zone"], "No such file"),
        (["--with", "{}"], "Is a directory"),
        (["--with", "{}/relative.zone"], "relative.zone:2: has a relative name and no origin"),
        (["--with", "a..b={}/relative.zone"], "--with: 'a..b' is no zone"),
        (["--with", "{}/large.zone"], "large.zone: is larger than 20 MiB"),
        (["--without", "a..b"], "--without: 'a..b' is no name"),
        (["--without", "a:b:c"], "is no NAME or NAME:TYPE"),
        (["--fail-on", "new"], "--fail-on new needs planned records"),
        (["--without", "a.example", "--watch"], "--watch looks at DNS as it is"),
        (["--without", "a.example", "--format", "ndjson"], "not ndjson"),
        (["--watch", "--format", "json"], "--watch prints text, not json"),
    ],
)
async def test_what_cannot_be_planned_is_said_before_anything_is_asked(
    gate: Gate, server: NameServer, words: list[str], told: str
) -> None:
    (gate.folder / "relative.zone").write_text("; x\nwww A 192.0.2.1\n")
    with (gate.folder / "large.zone").open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises((ValueError, OSError)) as error:
        await gate.run(None, *(it.format(gate.folder) for it in words))
    assert told in str(error.value)
    assert server.asked == []


async def test_a_plan_that_nothing_asks_for_does_not_pass_for_harmless(gate: Gate) -> None:
    _, told = await gate.run("_dmarc.exmaple.com. TXT v=DMARC1\n", "--without", "_dmarc.example.org:TXT")
    assert "plan.zone. No check here asks for what is planned there; look whether the name is right.\n" in told
    assert "Not checked: _dmarc.example.org. No check" in told
    assert "No check here asks" not in (await gate.run(DMARC))[1]


async def test_a_gate_that_checks_nothing_is_refused(gate: Gate) -> None:
    with pytest.raises(ValueError, match="none of these checks can evaluate planned records"):
        await gate.run(DMARC, "--skip", CHECKS)


async def test_the_origin_may_be_given_with_the_file(gate: Gate) -> None:
    (gate.folder / "db").write_text("_dmarc TXT v=DMARC1\\;p=reject\n")
    change = await gate.change(None, "--with", f"example.com={gate.folder / 'db'}")
    assert "dmarc.missing" in change["heals"]


MAIL = """
; signed: com. NS
com.                         NS   a.nic.test.
; soa: example.com. 1
example.com.                 MX   10 old.example.com.
old.example.com.             A    185.10.20.25
new.example.com.             A    185.10.20.26
stays.example.net.           MX   10 other.example.net.
other.example.net.           A    185.10.20.27
"""


async def test_mail_hosts_come_and_go_with_the_plan_and_nobody_is_visited_twice() -> None:
    clock = SystemClock()
    hosts = {
        (ip_address("185.10.20.25"), 25): Behaviour(name="old.example.com", starttls=False),
        (ip_address("185.10.20.26"), 25): Behaviour(name="new.example.com"),
        (ip_address("185.10.20.27"), 25): Behaviour(name="other.example.net", starttls=False),
    }
    plan = PlannedRecords([zone_file.parse("plan", b"example.com. MX 10 new.example.com.\n")])
    async with SmallWorld(MAIL, hosts, {}, (), clock) as world:
        visited: list[str] = []

        async def dial(ip: IP, port: int) -> tuple[str, int]:
            visited.append(str(ip))
            return await world.dial(ip, port)

        settings = replace(
            defaults(CATALOGUE), nameservers=(Nameserver(*world.nameserver.address),), helo_name="probe.example.net"
        )
        targets = tuple(named(["example.com", "stays.example.net"], None, (), DomainFlags()))
        opened = partial(clients.open_clients, dial=dial, authorities=world.authorities, pause=0.0)
        looker = Looker(
            CATALOGUE,
            replace(settings, targets=targets),
            frozenset({"mx", "smtp_tls"}),
            clock,
            open_clients=opened,
        )
        try:
            looks = TwoLooks(looker, plan)
            await looks.run()
        finally:
            await looker.close()
    change = difference(looks.now, looks.then, FindingPolicy(), clock.wall())
    assert change.breaks == ()
    assert {member.target.title for it in change.heals for member in it.members} == {"old.example.com 25"}
    assert {member.target.title for it in change.stays for member in it.members} == {"other.example.net 25"}
    assert [visited.count(f"185.10.20.{it}") for it in (25, 27)] == [1, 1]
