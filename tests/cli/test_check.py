"""`check`: the same engine once, for a person or a CI job, with the exit codes of monitoring plug-ins."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from ipaddress import ip_address

import pytest

from exporter.check_state import FindingPolicy
from exporter.cli.check import DomainFlags, named
from exporter.cli.exit_codes import Exit, exit_code
from exporter.demo.mailserver import Behaviour, SmtpFault
from exporter.demo.nameserver import ZoneData
from exporter.engine import catalogue
from exporter.engine.plan import Plan
from exporter.engine.store import Store
from exporter.engine.sweep import Sweep
from exporter.facts import Reason
from exporter.mail.dnsbl.blocklist import Blocklist, Lists
from exporter.model import Target
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
ZONE = """
example.com.             MX   10 mx.example.com.
example.com.             TXT  "v=spf1 ip4:192.0.2.10 -all"
mx.example.com.          A    192.0.2.25
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
        ("command-line", ("bounce.example.com",), None),
        ("_spf.google.com", ("bounce.example.com",), "_spf.google.com"),
    ]
    assert [t for t in made if isinstance(t, MailHost)] == [MailHost(host="mx.example.com", port=25, configured=True)]


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


def held(*outcomes: object) -> Store:
    store = Store()
    store.hold(SAMPLE, EXAMPLE)
    for each in outcomes:
        store.record(each)  # type: ignore[arg-type]  # outcomes, spelled shortly
    return store


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


def test_text_says_what_is_wrong_and_how_to_fix_it_on_whole_lines() -> None:
    stream = io.StringIO()
    long = "very " * 60 + "long"
    terminal.as_text(held(outcome(BROKEN(what=long), doubt=Reason.BOGUS)), FindingPolicy(), 0, ["a note"], stream)
    told = stream.getvalue()
    assert f"critical: {long} is broken  [sample.broken]\n" in told
    assert f"fix: Mend {long}.\n" in told
    assert "could not tell: because" in told
    assert "note: a note" in told
    assert "\x1b" not in told, "no colours into a file"


def test_markup_in_remote_text_is_not_obeyed() -> None:
    stream = io.StringIO()
    terminal.as_text(held(outcome(BROKEN(what="[bold]x[/bold]"))), FindingPolicy(), 0, [], stream)
    assert "[bold]x[/bold] is broken" in stream.getvalue()


def test_json_holds_every_verdict_with_its_evidence() -> None:
    told = json.loads(json_report.as_json(held(outcome(BROKEN(what="x"))), FindingPolicy(), 0, ["a note"], 2))
    assert told["exit"] == 2
    assert told["summary"] == {"pass": 0, "fail": 1, "unknown": 0}
    (card,) = told["verdicts"]
    assert card["findings"][0]["id"] == "sample.broken"
    assert card["findings"][0]["fix"] == "Mend x."
    assert card["evidence"]["exchanges"] == []


async def test_what_receivers_demand_is_concluded_last_and_told_behind_the_verdicts() -> None:
    store = await evaluated(named(["example.com", "192.0.2.10"], None, ()), "spf", "spf_sender", "ptr", "receiver")
    stream = io.StringIO()
    terminal.as_text(store, FindingPolicy(), 0, [], stream)
    told = stream.getvalue().partition("Will Office 365 take my mail?")[2]
    assert told
    assert "UNMET  each sending address has a PTR record" in told
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
