"""`check`: the same engine once, for a person or a CI job, with the exit codes of monitoring plug-ins."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from exporter.check_state import FindingPolicy
from exporter.cli import check
from exporter.cli.arguments import parser
from exporter.cli.discovery.checked import DomainSearch
from exporter.cli.exit_codes import Exit, FailOn
from exporter.cli.judging import exit_code
from exporter.cli.named import DomainFlags, named
from exporter.demo.mailserver import Behaviour, SmtpFault
from exporter.demo.nameserver import NameServer, ZoneData
from exporter.engine import catalogue
from exporter.engine.plan import Plan
from exporter.engine.store import Store
from exporter.engine.sweep import Sweep
from exporter.facts import Reason
from exporter.mail.dnsbl.blocklist import Blocklist, Lists
from exporter.model import Check, Door, Outcome, Target
from exporter.net import Net
from exporter.net.interfaces import CheckStates
from exporter.targets import (
    Address,
    Authorisation,
    Domain,
    Greeting,
    KeyNamespace,
    MailHost,
    OwnResolver,
    Registration,
    Reputation,
    Selector,
    Zone,
)
from exporter.views import json_report, terminal
from tests.support.checks import BROKEN, EXAMPLE, NOTE, ODD, SAMPLE, outcome
from tests.support.clock import FakeClock
from tests.support.mail import mail_door
from tests.support.memory import MemoryResolver
from tests.support.scenario import HOME, read

CATALOGUE = catalogue.load()
ALL = set(CATALOGUE.checks)
ZONE = """
example.com.             MX   10 mx.example.com.
example.com.             TXT  "v=spf1 ip4:192.0.2.10 -all"
mx.example.com.          A    192.0.2.25
"""


WELL = """
mail.example.com.                A    192.0.2.10
10.2.0.192.in-addr.arpa.         PTR  mail.example.com.
_dmarc.example.com.              TXT  "v=DMARC1; p=reject; rua=mailto:dmarc@example.com"
"""


def test_words_of_a_command_line_become_targets() -> None:
    lists = (Blocklist("ips", "bl.example.org"), Blocklist("names", "dbl.example.org", lists=Lists.DOMAINS))
    made = named(["Example.COM.", "192.0.2.10", "2001:DB8::1"], "mail.example.com", lists)
    kinds = [type(target) for target in made]
    assert kinds.count(Address) == kinds.count(Greeting) == 2
    assert kinds.count(Reputation) == 3
    assert kinds.count(Authorisation) == kinds.count(Domain) == kinds.count(OwnResolver) == 1
    assert [t.domain for t in made if isinstance(t, KeyNamespace)] == ["example.com"], "nobody named its selectors"
    (asked,) = (t for t in made if isinstance(t, Authorisation))
    assert (asked.domain, [e.ip for e in asked.egress]) == (
        "example.com",
        [ip_address("192.0.2.10"), ip_address("2001:db8::1")],
    )


def test_domains_below_one_registered_name_share_its_registration() -> None:
    made = named(["example.com", "shop.example.com", "example.net", "192.0.2.10"], None, ())
    assert [t.domain for t in made if isinstance(t, Registration)] == ["example.com", "example.net"]


def test_without_a_helo_name_no_greeting_is_judged() -> None:
    assert not any(isinstance(t, Greeting) for t in named(["192.0.2.10"], None, ()))


def test_a_word_that_is_neither_is_an_error_that_says_so() -> None:
    with pytest.raises(ValueError, match="'no such' is neither an address nor a domain"):
        named(["no such"], None, ())


def test_flags_say_how_a_named_domain_sends() -> None:
    flags = DomainFlags(("bounce.example.com",), ("s1", "s2"), ("_spf.google.com",))
    made = named(["example.com", "192.0.2.1", "MX.example.com.:25"], None, (), flags)
    assert [(t.selector, t.signer, t.siblings) for t in made if isinstance(t, Selector)] == [
        ("s1", "example.com", ("s2",)),
        ("s2", "example.com", ("s1",)),
    ]
    assert not any(isinstance(t, KeyNamespace) for t in made), "its selectors are known"
    (domain,) = (t for t in made if isinstance(t, Domain))
    assert (domain.mail_from, domain.signers) == (("bounce.example.com",), ("example.com",))
    assert domain.own_machines, "as the address shows"
    (zone,) = (t for t in made if isinstance(t, Zone))
    assert zone.keys == ("s1._domainkey.example.com", "s2._domainkey.example.com")
    assert [(t.sender, t.mail_from, t.spf_include) for t in made if isinstance(t, Authorisation)] == [
        ("", ("bounce.example.com",), None),
        ("_spf.google.com", ("bounce.example.com",), "_spf.google.com"),
    ]
    assert [t for t in made if isinstance(t, MailHost)] == [MailHost(host="mx.example.com", port=25, configured=True)]


@pytest.mark.parametrize("word", ["https://example.com/contact?x=1", "anna@example.com", "smtp://example.com:587"])
def test_what_people_paste_is_understood(word: str) -> None:
    assert [it.name for it in named([word], None, ()) if isinstance(it, Domain)] == ["example.com"]


@pytest.mark.parametrize(
    ("words", "helo", "flags", "told"),
    [
        (["example.com"], None, DomainFlags(), ["--helo", "--dkim-selector", "192.0.2.25 (MX)"]),
        (["empty.example"], None, DomainFlags(), ["PTR, HELO and listings", "--dkim-selector"]),
        (["example.com", "192.0.2.1"], None, DomainFlags(selectors=("s1",)), ["--helo"]),
        (["192.0.2.1"], "mail.example.com", DomainFlags(), []),
    ],
)
async def test_what_was_not_looked_at_is_said_with_the_flag(
    words: list[str], helo: str | None, flags: DomainFlags, told: list[str]
) -> None:
    discovery = DomainSearch((), flags)
    await discovery.targets(named(words, helo, (), flags), MemoryResolver(ZoneData(ZONE)))
    said = list(discovery.left_out(lambda _: True))
    assert len(said) == len(told)
    assert all(flag in line for flag, line in zip(told, said, strict=True))


@pytest.mark.parametrize(
    ("words", "running", "told"),
    [
        (["empty.example"], {"dmarc"}, []),
        (["example.com", "192.0.2.1"], {"dmarc"}, []),
        (["empty.example"], ALL - {"dkim"}, ["PTR, HELO and listings"]),
        (["empty.example"], {"dkim"}, ["--dkim-selector"]),
        (["example.com", "192.0.2.1"], {"ptr", "spf_sender"}, []),
        ([f"d{n}.example" for n in range(30)], {"mx"}, []),
    ],
)
async def test_nothing_is_said_of_checks_that_are_left_out(
    words: list[str], running: set[str], told: list[str]
) -> None:
    discovery = DomainSearch((), DomainFlags())
    await discovery.targets(named(words, None, ()), MemoryResolver(ZoneData(ZONE)))
    said = list(discovery.left_out(lambda kind: not running.isdisjoint(CATALOGUE.looking_at(kind))))
    assert len(said) == len(told)
    assert all(flag in line for flag, line in zip(told, said, strict=True))


@pytest.mark.parametrize(("count", "line"), [(1, "1 domain, 1 address"), (4, "4 domains, 4 addresses")])
async def test_the_first_line_counts_in_singular_and_plural(
    count: int, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    domains = ", ".join(f"{{name: d{n}.example, senders: [out]}}" for n in range(count))
    addresses = ", ".join(f"192.0.2.{n + 1}" for n in range(count))
    file = tmp_path / "config.yaml"
    file.write_text(
        f"smtp: {{helo_name: probe.example.net}}\ndomains: [{domains}]\n"
        f"senders: [{{name: out, addresses: [{addresses}], helo: mail.d0.example}}]\n"
    )
    server = NameServer(ZoneData(ZONE))
    await server.start()
    try:
        words = [
            "check",
            f"--config.file={file}",
            f"--resolver={server.address[0]}:{server.address[1]}",
            "--only=dmarc",
        ]
        await check.check_once(parser().parse_args(words))
    finally:
        await server.stop()
    told = capsys.readouterr().out
    assert told.startswith(f"{line}  ")
    assert [it for it in told.splitlines() if it.startswith("Not checked")] == [
        f"Not checked: {len(ALL) - 1} checks, left out by --only."
    ]


async def test_one_wrong_record_of_forty_machines_is_one_problem_with_one_fix() -> None:
    words = ["example.com", *(f"198.51.100.{n}" for n in range(40))]
    told = text(await evaluated(named(words, None, ()), "spf", "spf_sender"))
    assert told.count("CRITICAL") == 1
    assert told.count("Fix: ") == 1
    assert "198.51.100.0/27" in told
    assert len(told.splitlines()) < 12


async def test_a_fleet_ends_in_a_page_of_problems() -> None:
    names = [f"d{n}.example" for n in range(60)]
    zone = "".join(f'{name}. TXT "v=spf1 ipv4:192.0.2.1 -all"\n' for name in names)
    told = text(await evaluated([Domain(name=it, mail_from=(it,)) for it in names], "spf", zone=zone))
    assert told.count("CRITICAL") == 1
    assert "(and 59 more like it)" in told
    assert "Do the same for the other 59." in told
    assert "It hurts 60 domains." in told
    assert len(told.splitlines()) < 12


async def test_one_usable_key_of_a_rotation_is_enough_here_too() -> None:
    case = read(HOME / "dkim" / "key-to-come-ses.zone")
    (key,) = case.written("target")
    assert isinstance(key, Selector)
    flags = DomainFlags(selectors=(key.selector, *key.siblings))
    store = await evaluated(named(["example.com"], None, (), flags), "dkim", zone=case.world)
    assert [active.finding.id for state in store for active in state.findings] == ["dkim.key-to-come"]


async def test_what_the_flags_say_is_judged() -> None:
    flags = DomainFlags(("bounce.example.com",), ("s1",), ("_spf.google.com",))
    store = await evaluated(named(["example.com", "192.0.2.10"], None, (), flags), "dkim", "spf", "spf_sender")
    found = {(state.target.title, active.finding.id) for state in store for active in state.findings}
    assert ("example.com s1", "dkim.missing") in found
    assert ("example.com", "spf.missing") in found, "of the envelope domain"
    assert any(title == "example.com _spf.google.com" for title, _ in found)


def test_the_helo_name_is_looked_up_in_lists_of_domains() -> None:
    lists = (Blocklist("ips", "bl.example.org"), Blocklist("names", "dbl.example.org", lists=Lists.DOMAINS))
    (flags,) = (t for t in named(["192.0.2.10"], "mail.example.com", lists) if isinstance(t, Greeting))
    assert flags.lists == lists[1:]
    (broken,) = (t for t in named(["192.0.2.10"], "MacBook..", lists) if isinstance(t, Greeting))
    assert broken.lists == ()


async def evaluated(targets: Iterable[Target], *checks: str, zone: str = ZONE) -> Store:
    clock = FakeClock()
    dns = MemoryResolver(ZoneData(zone))
    steps: list[tuple[int, int]] = []
    store = Store()
    plan = Plan(CATALOGUE, targets, checks.__contains__, store)

    def net(states: CheckStates) -> Net:
        return Net(dns, clock, states=states)

    await Sweep(plan, store, net, clock, lambda done, total: steps.append((done, total))).run()
    assert steps[-1] == (len(store), len(store))
    return store


async def test_each_check_that_fits_runs_once_and_progress_is_told() -> None:
    store = await evaluated(named(["example.com", "192.0.2.10"], None, ()), "mx", "spf", "spf_sender", "ptr")
    assert sorted(held.check.id for held in store) == ["mx", "ptr", "spf", "spf_sender"]


async def test_mail_hosts_that_were_found_are_looked_at_too() -> None:
    store = await evaluated([Domain(name="example.com", mail_from=("example.com",))], "mx", "smtp_tls")
    (host,) = (held.target for held in store if held.check.id == "smtp_tls")
    assert isinstance(host, MailHost)
    assert host.host == "mx.example.com"


async def test_a_domain_is_looked_at_again_once_its_mail_hosts_have_been_met() -> None:
    clock = FakeClock()
    dns = MemoryResolver(ZoneData(ZONE))
    refuses = {(ip_address("192.0.2.25"), 25): Behaviour(fault=SmtpFault.REFUSED)}
    async with mail_door(refuses, clock) as mail:
        domain = Domain(name="example.com", mail_from=("example.com",))
        store = Store()
        plan = Plan(CATALOGUE, [domain], {"mx", "smtp_tls"}.__contains__, store)
        await Sweep(plan, store, lambda states: Net(dns, clock, mail=mail, states=states), clock).run()
    (mx,) = (held for held in store if held.check.id == "mx")
    assert {"mx.host-unreachable", "mx.all-unreachable"} <= {standing.finding.id for standing in mx.findings}


REGISTRY = replace(SAMPLE, needs=frozenset({Door.RDAP}))
LISTS_TOO = replace(SAMPLE, may_need=frozenset({Door.BLOCKLISTS}))  # as the check of a HELO name
CONCLUDING = replace(SAMPLE, concludes=True)


def held(*outcomes: Outcome, check: Check = SAMPLE) -> Store:
    store = Store()
    store.hold(check, EXAMPLE)
    for each in outcomes:
        store.record(replace(each, check=check))
    return store


LOOK = terminal.Look("example.com", 1.5, "192.0.2.53", ["the moon."])


def text(store: Store, look: terminal.Look = LOOK, detail: int = 0) -> str:
    stream = io.StringIO()
    terminal.as_text(store, FindingPolicy(), 0, look, stream, detail=detail)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("store", "code"),
    [
        (held(outcome()), Exit.OK),
        (held(outcome(NOTE(what="x"))), Exit.OK),
        (held(outcome(ODD(what="x"))), Exit.WARNING),
        (held(outcome(BROKEN(what="x"))), Exit.CRITICAL),
        (held(outcome(doubt=Reason.DNS_TIMEOUT)), Exit.UNKNOWN),
        (held(outcome(ODD(what="x"), doubt=Reason.DNS_TIMEOUT)), Exit.UNKNOWN),
        (held(outcome(BROKEN(what="x"), doubt=Reason.DNS_TIMEOUT)), Exit.CRITICAL),
        (held(), Exit.UNKNOWN),
    ],
)
def test_exit_codes(store: Store, code: Exit) -> None:
    assert exit_code(store, FindingPolicy(), 0) == code


@pytest.mark.parametrize(
    ("store", "fail_on", "code"),
    [
        (held(outcome(ODD(what="x"))), FailOn.CRITICAL, Exit.OK),
        (held(outcome(BROKEN(what="x"))), FailOn.CRITICAL, Exit.CRITICAL),
        (held(outcome(doubt=Reason.DNS_TIMEOUT)), FailOn.CRITICAL, Exit.UNKNOWN),
        (held(outcome(doubt=Reason.EGRESS)), FailOn.WARNING, Exit.OK),
        (held(outcome(doubt=Reason.EGRESS)), FailOn.UNKNOWN, Exit.UNKNOWN),
        (held(outcome(doubt=Reason.DNS_SERVFAIL), check=LISTS_TOO), FailOn.WARNING, Exit.UNKNOWN),
        (held(outcome(doubt=Reason.BLOCKLIST_UNHEALTHY), check=LISTS_TOO), FailOn.WARNING, Exit.OK),
        (held(outcome(doubt=Reason.NETWORK), check=REGISTRY), FailOn.WARNING, Exit.OK),
        (held(outcome(doubt=Reason.NETWORK), check=REGISTRY), FailOn.UNKNOWN, Exit.UNKNOWN),
        (held(outcome(ODD(what="x"), doubt=Reason.EGRESS)), FailOn.WARNING, Exit.WARNING),
        (held(outcome(doubt=Reason.DNS_TIMEOUT), check=CONCLUDING), FailOn.UNKNOWN, Exit.OK),
    ],
)
def test_what_counts_for_the_exit_code(store: Store, fail_on: FailOn, code: Exit) -> None:
    assert exit_code(store, FindingPolicy(), 0, fail_on) == code


def test_text_says_what_is_wrong_and_how_to_fix_it_on_whole_lines() -> None:
    long = "very " * 60 + "long"
    told = text(held(outcome(BROKEN(what=long), doubt=Reason.BOGUS)))
    first, second, *_ = told.splitlines()
    assert first == "example.com  AT RISK  1 critical, 0 warning, 0 unknown, 0 pass  (1.5 s, resolver 192.0.2.53)"
    assert second == ""
    assert f"\nCRITICAL  {long} is broken  [sample.broken]\n          W.\n          Fix: Mend {long}.\n" in told
    assert "\n          Seen at example.com.\n" in told
    assert "\nUNKNOWN   sample: because (example.com)  [bogus]\n" in told
    assert "\nNot checked: the moon.\n" in told
    assert "could not tell" not in told, "evidence is for -v"
    assert "\x1b" not in told, "no colours into a file"


def test_markup_in_remote_text_is_not_obeyed() -> None:
    assert "[bold]x[/bold] is broken" in text(held(outcome(BROKEN(what="[bold]x[/bold]"))))


def test_json_holds_every_verdict_with_its_evidence() -> None:
    told = json.loads(json_report.as_json(held(outcome(BROKEN(what="x"))), FindingPolicy(), 0, ["a note"], 2))
    assert told["exit"] == 2
    assert told["schema"] == json_report.SCHEMA
    assert told["summary"] == {"pass": 0, "fail": 1, "unknown": 0}
    (problem,) = told["problems"]
    assert (problem["id"], problem["fix"], problem["domains"]) == ("sample.broken", "Mend x.", ["example.com"])
    assert [it["title"] for it in problem["members"]] == ["example.com"]
    (card,) = told["verdicts"]
    assert card["findings"][0]["id"] == "sample.broken"
    assert card["findings"][0]["fix"] == "Mend x."
    assert card["evidence"]["exchanges"] == []


async def test_what_receivers_demand_is_concluded_last_and_told_behind_the_verdicts() -> None:
    store = await evaluated(named(["example.com", "192.0.2.10"], None, ()), "spf", "spf_sender", "ptr", "receiver")
    assert re.search(r"\nReceivers: .*Gmail at risk, .*\n", text(store))
    told = text(store, detail=2).partition("Will Office 365 accept my mail?")[2]
    assert told
    assert "UNMET  each sending address has forward-confirmed reverse DNS (FCrDNS)" in told
    assert "answer: 550 5.7.25 This message was blocked" in told
    assert "met    mail passes SPF or DKIM" in told
    assert "unseen mail is sent over TLS" in told
    (gmail,) = (
        r
        for r in json.loads(json_report.as_json(store, FindingPolicy(), 0, [], 2))["receivers"]
        if r["receiver"] == "gmail"
    )
    assert (gmail["domain"], gmail["state"], gmail["counts"]["unmet"]) == ("example.com", "unmet", 1)
    (unmet,) = (demand for demand in gmail["demands"] if demand["state"] == "unmet")
    assert unmet["finding"] == "receiver.gmail-ptr"
    assert [cause["id"] for cause in unmet["causes"]] == ["ptr.missing"]
    assert unmet["source"]["url"].startswith("https://support.google.com/")


async def test_of_receivers_nothing_is_promised_where_nothing_can_be_seen() -> None:
    store = await evaluated(named(["example.com"], None, ()), "spf", "receiver")
    (line,) = re.findall(r"\nReceivers: (.*)\n", text(store))
    assert set(line.split(", ")) == {f"{it} unknown" for it in ("Microsoft 365 and Outlook.com", "Gmail", "Yahoo")}
    seen = named(["example.com", "192.0.2.10"], "mail.example.com", ())
    checks = ("spf", "spf_sender", "ptr", "helo", "dmarc", "receiver")
    assert "Gmail no problem found" in text(await evaluated(seen, *checks, zone=ZONE + WELL))
