"""`check DOMAIN` says what it found in DNS, and what may be wrong with machines that may send counts nowhere."""

from __future__ import annotations

import io
import json
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from exporter.check_state import FindingPolicy
from exporter.cli.discovery.checked import MOST_DOMAINS, DomainSearch, LooksAt
from exporter.cli.discovery.search import MOST_ADDRESSES
from exporter.cli.exit_codes import Exit, FailOn
from exporter.cli.judging import exit_code
from exporter.cli.named import DomainFlags, named
from exporter.demo.nameserver import ZoneData
from exporter.engine.plan import Plan
from exporter.engine.problems import problems
from exporter.engine.store import Store
from exporter.engine.sweep import Sweep
from exporter.facts import Severity
from exporter.mail.dnsbl.blocklist import Blocklist
from exporter.net import Net
from exporter.targets import Domain, KeyNamespace
from exporter.views import json_report, pipelines, terminal
from exporter.views.report import Discovered, report, supposed
from tests.cli.test_check import CATALOGUE
from tests.support.clock import FakeClock
from tests.support.memory import MemoryResolver
from tests.views.test_golden import same

KEY = "v=DKIM1; k=ed25519; p=FYp4tnRdwbG+Lp7G8brlkNJe4n0ZNcfcouo3PHYH1Ag="
VPS = f"""
example.com.                  A      192.0.2.10
example.com.                  MX     10 mail.example.com.
mail.example.com.             A      192.0.2.10
example.com.                  TXT    "v=spf1 a mx include:_spf.google.com ~all"
_spf.google.com.            TXT    "v=spf1 ip4:198.51.100.0/24 -all"
mail._domainkey.example.com.  TXT    "{KEY}"
"""
POLICY = FindingPolicy()
CHECKS = ("spf", "spf_sender", "ptr", "dkim", "mx", "dmarc", "helo")


@dataclass
class Looked:
    store: Store
    discovered: Discovered
    left_out: Sequence[str]
    asked: int

    def text(self) -> str:
        stream = io.StringIO()
        look = terminal.Look("example.com", 1.5, "192.0.2.53", self.left_out, self.discovered)
        terminal.as_text(self.store, POLICY, 0, look, stream)
        return stream.getvalue()


async def looked(
    *words: str, zone: str = VPS, flags: DomainFlags | None = None, lists: Sequence[Blocklist] = ()
) -> Looked:
    clock, dns, store = FakeClock(), MemoryResolver(ZoneData(zone)), Store()
    flags = flags or DomainFlags()
    discovery = DomainSearch(lists, flags)
    targets = await discovery.targets(named(words, None, lists, flags), dns)
    asked = len(dns.asked)
    await Sweep(
        Plan(CATALOGUE, targets, CHECKS.__contains__, store), store, lambda it: Net(dns, clock, states=it), clock
    ).run()
    looks_at = looking(CHECKS)
    return Looked(store, discovery.discovered(looks_at), list(discovery.left_out(looks_at)), asked)


def looking(checks: Iterable[str]) -> LooksAt:
    return lambda kind: not frozenset(checks).isdisjoint(CATALOGUE.looking_at(kind))


@pytest.mark.parametrize(
    ("checks", "told"),
    [
        (["dmarc"], ""),
        (["dkim"], "DKIM keys mail (name other selectors with --dkim-selector NAME)"),
        (["ptr"], "192.0.2.10 (SPF, A, MX); Google Workspace (SPF), whose servers are not checked"),
    ],
)
async def test_what_was_found_for_other_checks_is_not_said(checks: list[str], told: str) -> None:
    discovery = DomainSearch((), DomainFlags())
    await discovery.targets(named(["example.com"], None, ()), MemoryResolver(ZoneData(VPS)))
    found = discovery.discovered(looking(checks))
    assert found.told == told
    assert found.facts, "programs get all of it"


async def test_a_machine_that_may_send_is_judged_and_counts_nowhere(tmp_path: Path) -> None:
    it = await looked("example.com")
    (state,) = supposed(it.store)
    assert [one.rule.id for one in problems([state], POLICY, 0)] == ["ptr.missing"]
    assert report(it.store, POLICY, 0).state is Severity.WARNING, "it has no DMARC record"
    assert exit_code(it.store, POLICY, 0, FailOn.CRITICAL) is Exit.OK
    same(it.text(), "check-alone.txt", tmp_path)


async def test_what_is_unknown_of_such_a_machine_counts_nowhere_and_is_said() -> None:
    it = await looked("example.com", zone=f"{VPS}; servfail: 10.2.0.192.in-addr.arpa. PTR\n")
    assert exit_code(it.store, POLICY, 0, FailOn.UNKNOWN) is Exit.WARNING
    assert "\nNOTE      ptr: " in it.text()
    assert "0 unknown" in it.text()


async def test_what_is_right_is_said_in_one_line() -> None:
    it = await looked("example.com", zone=f"{VPS}10.2.0.192.in-addr.arpa. PTR mail.example.com.\n")
    assert "\nIf they send: no problem found (ptr).\n" in it.text()
    assert "NOTE" not in it.text()


async def test_listings_are_looked_up_for_them_too() -> None:
    lists = [Blocklist("ours", "bl.example.org")]
    discovery = DomainSearch(lists, DomainFlags())
    made = await discovery.targets(named(["example.com"], None, lists), MemoryResolver(ZoneData(VPS)))
    assert [it.title for it in made if type(it).__name__ == "Reputation"] == ["192.0.2.10"]


async def test_who_names_the_machines_is_not_second_guessed() -> None:
    it = await looked("example.com", "192.0.2.77")
    assert not supposed(it.store)
    assert "Found in DNS: Google Workspace (SPF), whose servers are not checked; DKIM keys mail (name " in it.text()
    assert exit_code(it.store, POLICY, 0) is Exit.CRITICAL, "a named address counts"


async def test_programs_read_it_apart_from_what_counts() -> None:
    it = await looked("example.com")
    told = json.loads(json_report.as_json(it.store, POLICY, 0, [], 1, it.discovered))
    (found,) = told["discovered"]
    assert found["addresses"] == [{"ip": "192.0.2.10", "found_in": ["SPF", "A", "MX"]}]
    assert found["providers"] == [
        {"name": "Google Workspace", "known": True, "found_in": ["SPF"], "spf_include": "_spf.google.com"}
    ]
    assert [one["id"] for one in told["if_it_sends"]["problems"]] == ["ptr.missing"]
    assert [one["verdict"] for one in told["if_it_sends"]["verdicts"]] == ["fail"]
    assert "ptr" not in {one["check"] for one in told["verdicts"]}
    assert "ptr.missing" not in {one["id"] for one in told["problems"]}


async def test_pipelines_do_not_fail_by_it() -> None:
    it = await looked("example.com")
    suite = ET.fromstring(pipelines.as_junit(it.store, POLICY, 0))
    (case,) = suite.findall("testcase[@classname='ptr']")
    (skipped,) = case
    assert (skipped.tag, skipped.get("message", "")[:18]) == ("skipped", "only if it sends: ")
    assert suite.get("skipped") == "1"
    assert int(suite.get("tests", "0")) == len(suite.findall("testcase"))
    (run,) = json.loads(pipelines.as_sarif(it.store, POLICY, 0))["runs"]
    (note,) = (one for one in run["results"] if one["ruleId"] == "ptr.missing")
    assert note["level"] == "note"
    assert note["message"]["text"].startswith("only if it sends: ")
    assert run["tool"]["driver"]["rules"][note["ruleIndex"]]["id"] == "ptr.missing"


async def test_a_parked_domain_is_judged_as_such_unless_a_flag_says_how_it_sends() -> None:
    zone = 'example.com. TXT "v=spf1 -all"\nexample.com. MX 0 .\n'
    it = await looked("example.com", zone=zone)
    (domain,) = {state.target for state in it.store if isinstance(state.target, Domain)}
    assert (domain.sends_mail, domain.receives_mail) == (False, False)
    assert not any(isinstance(state.target, KeyNamespace) for state in it.store)
    assert it.discovered.told == "no mail of example.com, by SPF -all and no MX host"
    assert it.left_out == []
    sends = await looked("example.com", zone=zone, flags=DomainFlags(mail_from=("b.example",)))
    assert all(state.target.sends_mail for state in sends.store if isinstance(state.target, Domain))


async def test_a_long_command_line_asks_no_thousands_of_questions() -> None:
    one = await looked("d0.example")
    many = await looked(*(f"d{n}.example" for n in range(100)))
    assert many.asked <= one.asked * MOST_DOMAINS
    assert any(f"after the first {MOST_DOMAINS}" in line for line in many.left_out)


async def test_hostile_text_stays_text() -> None:
    it = await looked("example.com", zone=r'example.com. TXT "v=spf1 include:x[red]\027y.evil.example -all"' + "\n")
    assert "\x1b" not in it.text()
    assert all(line.isprintable() for line in it.text().splitlines())


async def test_only_so_many_machines_are_looked_up_for_one_command() -> None:
    terms = {n: " ".join(f"ip4:198.18{n}.1.{host}" for host in range(1, 11)) for n in range(1, 6)}
    zone = "".join(f'd{n}.example. TXT "v=spf1 {its} -all"\n' for n, its in terms.items())
    it = await looked(*(f"d{n}.example" for n in terms), zone=zone)
    assert len(supposed(it.store)) == MOST_ADDRESSES
    assert any(line.startswith("18 more addresses that DNS shows.") for line in it.left_out)
