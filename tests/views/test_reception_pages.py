"""The pages that answer "Will Office 365 accept my mail?": demand by demand, in the receiver's own words."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from html import unescape
from ipaddress import ip_address

import pytest

from exporter import receivers
from exporter.checks.ptr import MISSING, ptr
from exporter.checks.receiver import receiver
from exporter.engine import catalogue
from exporter.facts import Doubt, Finding, Reason
from exporter.model import Acceptance, Check, Outcome, Target, TargetId
from exporter.targets import Address, Delivery
from exporter.views.receiver_pages import ROWS
from tests.views.test_web import Site, served

HOST = Address(ip=ip_address("192.0.2.1"), helo=("mail.example.com",))
MAIL = Delivery(domain="example.com", receivers=("gmail",), rests_on=(TargetId(HOST.identity),))
FAILS = catalogue.load().rules["receiver.gmail-ptr"](
    domain="example.com", causes="c of t", finding="f", target="t", remedy="Do it."
)
BAD = MISSING(ip="192.0.2.1", pointer="1.2.0.192.in-addr.arpa", helo="<b>mail.example.com</b>")


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async for it in served(Site()):
        yield it


def ended(check: Check, target: Target, *findings: Finding, doubt: Doubt | None = None) -> Outcome:
    return Outcome(check, target, findings, (), (doubt,) if doubt else (), (), 9000, 0)


def hold(site: Site, check: Check, target: Target, *findings: Finding, doubt: Doubt | None = None) -> None:
    site.store.hold(check, target)
    site.store.record(ended(check, target, *findings, doubt=doubt))


async def test_a_demand_that_is_not_met_shows_the_finding_its_fix_the_words_and_the_source(site: Site) -> None:
    hold(site, ptr, HOST, BAD)
    hold(site, receiver, MAIL)
    status, body, _ = await site.get("/receivers/gmail/example.com")
    assert status == 200
    assert receivers.shipped()["gmail"].question in body
    assert "1 requirement fails" in body
    for told in (
        "ptr.missing",
        "/findings/receiver.gmail-ptr",
        'href="/targets/ip=192.0.2.1"',
        "550 5.7.25 This message",
    ):
        assert told in body
    assert "Ask the owner of 192.0.2.1" in body
    assert "support.google.com/a/answer/3726730" in body
    assert "2026-02" in body
    assert "<b>mail" not in body


async def test_an_accepted_finding_is_refused_all_the_same(site: Site) -> None:
    accepted = replace(HOST, accept=(Acceptance(finding="ptr.missing", until=None, reason="we know"),))
    hold(site, ptr, accepted, BAD)
    hold(site, receiver, MAIL)
    assert "1 requirement fails" in (await site.get("/receivers/gmail/example.com"))[1]


async def test_a_demand_that_cannot_be_told_says_of_which_check(site: Site) -> None:
    hold(site, ptr, HOST, doubt=Doubt(Reason.DNS_SERVFAIL, "1.2.0.192.in-addr.arpa PTR: SERVFAIL"))
    hold(site, receiver, MAIL)
    _, body, _ = await site.get("/receivers/gmail/example.com")
    assert "<b>Unknown.</b>" in body
    assert "DNS SERVFAIL" in body
    assert "1.2.0.192.in-addr.arpa PTR: SERVFAIL" in body


async def test_what_only_a_message_shows_is_listed_and_not_counted_as_met(site: Site) -> None:
    hold(site, ptr, HOST)
    hold(site, receiver, MAIL)
    _, body, _ = await site.get("/receivers/gmail/example.com")
    assert "No problem found." in body
    assert "1 passed, 6 not checkable" in " ".join(body.split())
    assert "Only a real delivery shows whether the sending server uses TLS." in body


async def test_where_nothing_shows_a_requirement_the_answer_is_unknown(site: Site) -> None:
    hold(site, receiver, MAIL)
    _, body, _ = await site.get("/receivers/gmail/example.com")
    assert "<b>Unknown.</b>" in body
    assert "7 not checkable" in " ".join(body.split())


async def test_each_receiver_has_its_pages_with_every_requirement_and_its_source(site: Site) -> None:
    hold(site, receiver, replace(MAIL, receivers=tuple(receivers.shipped())))
    for name, profile in receivers.shipped().items():
        for path in (f"/receivers/{name}", f"/receivers/{name}/example.com"):
            status, body, _ = await site.get(path)
            assert status == 200
            assert profile.question in body
        for demand in profile.demands:
            assert demand.text in unescape(body)
            assert demand.source.url in body


async def test_the_page_of_a_receiver_lists_domains_worst_first(site: Site) -> None:
    doubt = Doubt(Reason.DNS_TIMEOUT, "no answer")
    other, third = (replace(HOST, ip=ip_address(f"192.0.2.{n}")) for n in (2, 3))
    hold(site, ptr, HOST)
    hold(site, ptr, other, BAD)
    hold(site, ptr, third, doubt=doubt)
    told: dict[str, tuple[Finding, ...]] = {"good.example": (), "late.example": (), "bad.example": (FAILS,)}
    for (domain, findings), host in zip(told.items(), (HOST, third, other), strict=True):
        mail = replace(MAIL, domain=domain, rests_on=(TargetId(host.identity),))
        hold(site, receiver, mail, *findings, doubt=doubt if host is third else None)
    status, body, _ = await site.get("/receivers/gmail")
    assert status == 200
    places = [body.index(f"/receivers/gmail/{name}.example") for name in ("bad", "late", "good")]
    assert places == sorted(places)
    assert [int(it) for it in re.findall(r"<b>(\d+)</b>", body)] == [1, 1, 1]
    assert "c of t" in body, "what the requirement rests on"
    _, body, _ = await site.get("/receivers/yahoo")
    assert "No domain has it among its receivers." in body


async def test_what_leaves_several_demands_open_is_told_once(site: Site) -> None:
    rules, missing = catalogue.load().rules, Doubt(Reason.DNS_TIMEOUT, "no answer of the name server")
    each = tuple(missing.over(rules[f"receiver.gmail-{it}"]) for it in ("ptr", "authenticated", "spf-fail"))
    site.store.hold(receiver, MAIL)
    site.store.record(Outcome(receiver, MAIL, (), (), each, (), 9000, 0))
    _, body, _ = await site.get("/receivers/gmail")
    assert body.count("no answer of the name server") == 1


async def test_the_page_of_a_fleet_stays_a_page(site: Site) -> None:
    for number in range(ROWS + 10):
        hold(site, receiver, replace(MAIL, domain=f"d{number}.example"))
    _, body, _ = await site.get("/receivers/gmail")
    assert body.count('href="/receivers/gmail/d') == ROWS
    assert f"1–{ROWS} of {ROWS + 10} domains" in body
    assert (await site.get("/receivers/gmail?page=2"))[1].count('href="/receivers/gmail/d') == 10


async def test_all_receivers_are_listed_with_what_is_not_met(site: Site) -> None:
    hold(site, receiver, MAIL, FAILS)
    status, body, _ = await site.get("/receivers")
    assert status == 200
    for profile in receivers.shipped().values():
        assert f'<a href="/receivers/{profile.id}">{profile.question}</a>' in body
    assert body.count('<tr class="unmet">') == 1
    assert '<a href="/receivers">' in (await site.get("/"))[1]


async def test_the_page_of_a_domain_leads_to_its_receivers(site: Site) -> None:
    hold(site, receiver, MAIL)
    _, body, _ = await site.get("/targets/domain=example.com")
    assert f'<a href="/receivers/gmail/example.com">{receivers.shipped()["gmail"].question}</a>' in body


@pytest.mark.parametrize(
    "path", ["/receivers/nobody", "/receivers/gmail/other.example", "/receivers/nobody/example.com"]
)
async def test_what_is_not_there_is_not_found(site: Site, path: str) -> None:
    hold(site, receiver, MAIL)
    status, body, _ = await site.get(path)
    assert status == 404
    assert body
