"""Many problems of one kind are read as one row, and one fix that many share is one change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from exporter.check_state import CheckState, FindingPolicy
from exporter.engine.held import Held
from exporter.engine.problems import FEW, ProblemGroup, groups, problems
from exporter.facts import Record
from exporter.targets import Authorisation, Egress, Greeting, MailHost
from tests.engine.test_problems import CATALOGUE, domain, finding, state

POOL = [f"198.51.100.{host}" for host in range(40)]


def grouped(*states: CheckState) -> list[ProblemGroup]:
    return groups(problems(states, FindingPolicy(), 5000))


def without_dmarc(count: int) -> list[CheckState]:
    record = "v=DMARC1; p=none; rua=mailto:YOUR-MAILBOX@{}"
    names = [f"customer{number:04}.example" for number in range(count)]
    return [
        state(
            "dmarc",
            domain(it),
            finding("dmarc.missing", domain=it, record=record.format(it)),
            at=number,
            records=(Record.of(f"_dmarc.{it} TXT", ()),),
        )
        for number, it in enumerate(names)
    ]


def test_many_domains_without_a_record_are_one_row_below_what_hurts_all() -> None:
    sends = [sibling(f"customer{number:04}.example", "v=spf1 mx -all", passes=True) for number in range(301)]
    greeting = Greeting(sender="pool", ip=ip_address("198.51.100.1"), helo="localhost")
    says = state("helo", greeting, finding("helo.local-name", helo="localhost"))
    made = grouped(*(it for those in sends for it in those), *without_dmarc(300), says)
    assert [(it.rule.id, len(it.problems), len(it.domains)) for it in made] == [
        ("helo.local-name", 1, 301),
        ("dmarc.missing", 300, 300),
    ]
    row = made[1]
    assert row.text.endswith("(and 299 more like it)")
    assert row.fix.endswith("Do the same for the other 299.")
    assert (row.since, row.newest) == (0, 299)
    assert [it.name for it in row.remedy.records][:2] == ["_dmarc.customer0299.example", "_dmarc.customer0298.example"]
    assert len(row.remedy.records) == 20  # a page has no room for all


def test_a_few_are_rows_of_their_own() -> None:
    assert [len(it.problems) for it in grouped(*without_dmarc(FEW))] == [1] * FEW
    assert [len(it.problems) for it in grouped(*without_dmarc(FEW + 1))] == [FEW + 1]


def test_a_broken_policy_that_many_include_is_no_part_of_a_group_of_small_ones() -> None:
    def broken(name: str, policy: str) -> CheckState:
        told = finding(
            "spf.include-broken", domain=name, term=f"include:{policy}", detail=f"{policy} has 2 SPF records"
        )
        return state("spf", domain(name), told)

    shared = [broken(f"customer{number}.example", "spf.mailco.example") for number in range(79)]
    single = [broken(f"own{number}.example", f"spf{number}.example") for number in range(5)]
    made = grouped(*shared, *single)
    assert [(len(it.problems), len(it.domains)) for it in made] == [(1, 79), (5, 5)]


def test_the_same_term_of_two_domains_is_one_problem_only_if_it_leads_to_the_same_policy() -> None:
    def missing(name: str) -> CheckState:
        told = finding(
            "spf.include-without-record", domain=name, term="include:%{d}.x.example", detail=f"{name}.x.example"
        )
        return state("spf", domain(name), told)

    assert len(grouped(missing("a.example"), missing("b.example"))) == 2


def test_hosts_that_show_one_expired_certificate_are_one_problem() -> None:
    shown = {"date": "2026-05-01", "subject": "CN=mail.example.com"}
    hosts = [
        state(
            "smtp_tls",
            MailHost(host=host),
            finding("smtp_tls.certificate-expired", host=host, ip="192.0.2.25", **shown),
        )
        for host in ("mx1.example.com", "mx2.example.com")
    ]
    (row,) = grouped(*hosts)
    assert row.fix.startswith("Renew the certificate CN=mail.example.com ")


def sibling(name: str, record: str, *, passes: bool, sender: str = "pool") -> list[CheckState]:
    """A domain of the same pool of senders, and its SPF record."""
    target = Authorisation(
        domain=name,
        sender=sender,
        mail_from=(name,),
        egress=tuple(Egress(ip_address(ip), "out.example.com") for ip in POOL),
    )
    refused = [finding("spf_sender.not-authorised", ip=ip, name=name, result="fail") for ip in POOL]
    return [state("spf_sender", target, *([] if passes else refused)), published(name, record)]


def published(name: str, record: str) -> CheckState:
    return state("spf", domain(name), records=(Record.of(f"{name} TXT v=spf1", [record]),))


def flat(*those: Iterable[CheckState]) -> list[CheckState]:
    return [it for some in those for it in some]


def test_the_fix_is_the_include_by_which_other_domains_of_the_same_senders_pass() -> None:
    good = [
        sibling(f"good{number}.example", "v=spf1 include:_spf.mailco.example -all", passes=True) for number in range(9)
    ]
    bad = sibling("example.com", "v=spf1 ip4:203.0.113.9 -all", passes=False)
    (row,) = grouped(*flat(*good, bad))
    assert row.fix == (
        'Add include:_spf.mailco.example to the SPF record of example.com, before "all" and before any mechanism that '
        "rejects them: 9 other domains pass by it."
    )
    assert [it.add for it in row.remedy.records] == [("v=spf1 ip4:203.0.113.9 include:_spf.mailco.example -all",)]


def test_an_include_that_is_not_proven_for_all_addresses_is_no_fix() -> None:
    mixed = "v=spf1 ip4:198.51.100.0/24 include:_spf.mailco.example -all"
    for good in (
        sibling("good.example", mixed, passes=True),  # the networks may be what lets them pass
        sibling("good.example", "v=spf1 include:_spf.mailco.example -all", passes=False),
        sibling("good.example", "v=spf1 include:_spf.mailco.example ip4:198.51.100.7 -all", passes=True),
    ):
        bad = sibling("example.com", "v=spf1 -all", passes=False)
        found = [it for it in grouped(*flat(good, bad)) if "good.example" not in it.domains]
        assert [it.add for it in found[0].remedy.records] == [("v=spf1 ip4:198.51.100.0/27 ip4:198.51.100.32/29 -all",)]


def test_a_record_that_has_the_include_already_gets_another_fix() -> None:
    good = sibling("good.example", "v=spf1 include:_spf.mailco.example -all", passes=True)
    bad = sibling("example.com", "v=spf1 -ip4:198.51.100.0/24 include:_spf.mailco.example -all", passes=False)
    (row,) = grouped(*flat(good, bad))
    assert row.fix.startswith("Add ip4:198.51.100.0/27 ip4:198.51.100.32/29 to the SPF record")


def test_all_problems_of_one_name_propose_one_record() -> None:
    """Whoever pastes one after the other must not end with two records."""
    newsletter = Authorisation(
        domain="example.com", sender="news", mail_from=("example.com",), spf_include="spf.news.example"
    )
    lacks = {"name": "example.com", "include": "spf.news.example", "remedy": "add it"}
    wrong = {"name": "example.com", "term": "ip4=203.0.113.7", "right": "ip4:203.0.113.7"}
    judged = replace(
        published("example.com", "v=spf1 mx ip4=203.0.113.7 ?all"),
        findings=state(
            "spf",
            domain("example.com"),
            finding("spf.open-ended", name="example.com", end="?all"),
            finding("spf.mistaken-modifier", **wrong),
        ).findings,
    )
    rows = grouped(
        *sibling("example.com", "", passes=False)[:1],
        state("spf_sender", newsletter, finding("spf_sender.include-missing", **lacks)),
        judged,
    )
    assert len(rows) == 4
    (record,) = {it for row in rows for it in row.remedy.records}
    assert record.add == (
        "v=spf1 ip4:198.51.100.0/27 ip4:198.51.100.32/29 mx ip4:203.0.113.7 include:spf.news.example ~all",
    )


def test_a_missing_record_gets_all_who_are_configured_to_send_with_the_name() -> None:
    newsletter = Authorisation(
        domain="example.com", sender="news", mail_from=("example.com",), spf_include="spf.news.example"
    )
    bad = [
        state("spf", domain("example.com"), finding("spf.missing", name="example.com")),
        *sibling("example.com", "v=spf1 -all", passes=True)[:1],
        state("spf_sender", newsletter),
    ]
    (row,) = grouped(*bad)
    assert [it.add for it in row.remedy.records] == [
        ("v=spf1 ip4:198.51.100.0/27 ip4:198.51.100.32/29 include:spf.news.example ~all",)
    ]


def test_hosts_that_a_policy_does_not_list_are_lines_of_it() -> None:
    known: dict[str, Any] = {
        "domain": "example.com",
        "url": "https://mta-sts.example.com/.well-known/mta-sts.txt",
        "mode": "enforce",
    }
    rule = CATALOGUE.rules["mta_sts.mx-not-listed"]
    both = [rule(mail_host=f"mx{number}.example.com", **known) for number in (1, 2)]
    assert rule.fix_of(both, Held([])).startswith(
        'Add the lines "mx: mx1.example.com", "mx: mx2.example.com" to https:'
    )
