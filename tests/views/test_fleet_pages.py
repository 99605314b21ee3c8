"""The pages of a fleet with planted faults: the right rows in the right order, however large it is.

The checks are real ones, and DNS comes from memory. What it takes is measured by bench/pages.py.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from html import unescape
from ipaddress import ip_address
from typing import Any

import pytest

from exporter.checks.smtp_tls.check import smtp_tls
from exporter.facts import Doubt, Reason
from exporter.model import Acceptance, Exchange, Outcome
from exporter.targets import Address, Greeting, MailHost
from exporter.views.site import DOMAINS, PROBLEMS
from tests.support.planted_fleet import CATALOGUE, PlantedFleet
from tests.views.test_web import LARGEST, Site, served

SIZE, ADDRESSES = 300, 4


@pytest.fixture(scope="module")
def planted() -> PlantedFleet:
    fleet = PlantedFleet(SIZE, ADDRESSES)
    asyncio.run(fleet.look())
    return fleet


@pytest.fixture
async def site(planted: PlantedFleet) -> AsyncIterator[Site]:
    """It has a store of its own."""
    async for it in served(Site(catalogue=CATALOGUE)):
        it.clock.step_wall(planted.clock.wall() + 3600 - it.clock.wall())
        for state in planted.store:
            it.store.hold(state.check, state.target, lambda _, made=state: made)  # type: ignore[misc]  # a lambda
        yield it


def heads(body: str) -> list[tuple[str, str, str]]:
    """Severity, finding and number of domains of each row of problems."""
    rows = re.findall(r'<li class="problem (\w+)".*?</li>\n', body, re.DOTALL)
    found = []
    for row in re.finditer(r'<li class="problem (\w+)".*?(?=<li class="problem |</ol>)', body, re.DOTALL):
        finding = re.search(r'class="id" href="/findings/([^"]+)"', row[0])
        domains = re.search(r">([\d,]+) domains?</a>", row[0])
        found.append((row[1], finding[1] if finding else "", domains[1] if domains else "1"))
    assert len(found) >= len(rows)
    return found


def domains(body: str) -> list[str]:
    return re.findall(r'<th scope="row"><a href="/targets/domain=([^"]*)"', body)


async def get(site: Site, path: str) -> str:
    status, body, _ = await site.get(path)
    assert status == 200, path
    assert len(body.encode()) < LARGEST, path
    assert not re.search(r"\{\w+\}", body), path
    return body


async def test_the_fault_that_hurts_all_is_first_and_each_planted_fault_is_one_row(
    site: Site, planted: PlantedFleet
) -> None:
    denied = planted.wrong_spf | planted.no_spf | planted.broken_include
    body = await get(site, "/")
    assert heads(body) == [
        ("critical", "helo.local-name", str(SIZE)),
        ("critical", "spf_sender.not-authorised", str(len(denied))),
        ("critical", "dkim.missing", str(len(planted.no_key))),
        ("warning", "dmarc.missing", str(len(planted.no_dmarc))),
        ("warning", "spf.missing", str(len(planted.no_spf))),
        ("warning", "spf.include-without-record", str(len(planted.broken_include))),
        ("warning", "mx.implicit", str(len(planted.no_mx))),
    ]
    critical = 1 + len(denied) + len(planted.no_key)
    assert f"{critical} critical problems" in body
    assert f"They affect {SIZE} of {SIZE} domains." in body


async def test_each_cause_is_one_problem_with_one_fix(site: Site, planted: PlantedFleet) -> None:
    """One wrong record of several addresses is one, and so is an include that many domains have."""
    name = min(planted.wrong_spf)
    body = await get(site, f"/problems?finding=spf_sender.not-authorised&domain={name}")
    assert len(heads(body)) == 1
    assert "include:_spf.mailco-lab.com" in body, "which all the others have"
    (link,) = re.findall(r'href="(/problems\?problem=\w+)"', body)
    alone = await get(site, link)
    assert "v=spf1 ip4:203.0.113.9 include:_spf.mailco-lab.com -all" in alone, "the record to paste"
    body = await get(site, "/problems?finding=spf.include-without-record")
    assert [count for _, _, count in heads(body)] == [str(len(planted.broken_include))]
    assert f"{len(planted.broken_include)} targets</summary>" in body


async def test_filters_and_words_find_what_was_planted(site: Site, planted: PlantedFleet) -> None:
    for query, wanted in {
        "finding=dmarc.missing": planted.no_dmarc,
        "q=dmarc.missing": planted.no_dmarc,
        "check=dmarc": planted.no_dmarc,
        "q=finding=dkim.missing": planted.no_key,
        "q=DKIM+critical": planted.no_key,
        "q=mx+implicit": planted.no_mx,
        "severity=warning&check=mx": planted.no_mx,
    }.items():
        found: list[str] = []
        for page in range(1, -(-len(wanted) // PROBLEMS) + 1):
            body = await get(site, f"/problems?{query}&page={page}")
            found += re.findall(r'· <a href="/targets/domain=([^"]*)"', body)
        assert len(found) == len(wanted), query
        assert set(found) == wanted, query
        assert f"of {len(wanted)} problems" in body, query


async def test_words_and_labels_are_looked_for_together(site: Site, planted: PlantedFleet) -> None:
    team3 = set(planted.names[3::10])
    for query in ("q=team3+dmarc.missing", "label=team=team3&finding=dmarc.missing", "q=team=team3+dmarc.missing"):
        body = await get(site, f"/problems?{query}")
        assert set(re.findall(r'· <a href="/targets/domain=([^"]*)"', body)) == team3 & planted.no_dmarc
        assert set(domains(await get(site, f"/domains?{query}"))) == team3 & planted.no_dmarc
    body = await get(site, "/problems?q=team=team3")
    assert heads(body)[0][1] == "helo.local-name", "it hurts the domains of the team"
    assert "No problem matches" in await get(site, "/problems?q=team3+team4+dmarc")
    assert heads(await get(site, "/problems?q=localhost+HELO"))[0] == ("critical", "helo.local-name", str(SIZE))


async def test_lists_are_in_pages_and_in_the_order_of_the_url(site: Site, planted: PlantedFleet) -> None:
    seen: list[str] = []
    for page in range(1, SIZE // DOMAINS + 1):
        body = await get(site, f"/domains?sort=name&page={page}")
        seen += domains(body)
        assert ('rel="next"' in body) == (page < SIZE // DOMAINS)
        assert f'href="/domains?sort=name&amp;page={page + 1}"' in body or page == SIZE // DOMAINS
    assert seen == sorted(planted.names)
    assert domains(await get(site, "/domains?sort=name&page=99999")) == seen[-DOMAINS:]
    most = domains(await get(site, "/domains?sort=problems"))[0]
    assert most in planted.no_dmarc & (planted.wrong_spf | planted.no_spf | planted.broken_include)
    assert domains(await get(site, "/domains?page=-1&sort=nonsense")) == domains(await get(site, "/domains"))
    body = await get(site, "/problems?sort=domains&severity=warning")
    assert heads(body)[0][1] == "spf.include-without-record"


async def test_a_name_that_is_searched_for_has_its_page(site: Site) -> None:
    for word, key in {
        "customer7.example": "domain=customer7.example",
        "CUSTOMER7.example.": "domain=customer7.example",
        "bounce@customer7.example": "domain=customer7.example",
        "https://customer7.example/x": "domain=customer7.example",
        "11.0.0.2": "ip=11.0.0.2",
    }.items():
        status, _, headers = await site.get(f"/?q={word}")
        assert (status, headers["Location"]) == (303, f"/targets/{key}")
    body = await get(site, "/?q=customer7")
    assert '<a href="/targets/domain=customer7.example">customer7.example</a>' in body


async def test_a_domain_begins_with_a_sentence_and_its_lights(site: Site, planted: PlantedFleet) -> None:
    name = next(it for it in planted.names if it in planted.no_key and it not in planted.no_dmarc)
    body = await get(site, f"/targets/domain={name}")
    assert f"{name} is at risk: 2 critical problems." in body
    assert lights(body) == {
        "PTR": "pass", "HELO": "critical", "SPF": "pass", "DKIM": "critical", "DMARC": "pass",
        "Blocklists": "not checked", "TLS": "not checked", "Receivers": "warning",
    }  # fmt: skip
    assert body.index("<h2>Problems</h2>") < body.index('<h2 id="checks">Checks</h2>')
    assert "deliverability_" not in re.sub(r'title="[^"]*"', "", body), "names are for people"


def lights(body: str) -> dict[str, str]:
    return dict(
        re.findall(r'<li class="\w+"><a href="[^"]*">([\w]+)</a> <span(?: class="unseen")?>([\w ]+)</span>', body)
    )


async def test_the_page_of_an_owner_has_all_that_is_theirs(site: Site, planted: PlantedFleet) -> None:
    body = await get(site, "/labels/team/team3?sort=name")
    assert domains(body) == sorted(planted.names[3::10])
    assert heads(body)[0][1] == "helo.local-name"
    body = await get(site, "/labels/team/platform")
    assert 'href="/senders?label=team=platform"' in body
    assert (await site.get("/labels/team/nobody"))[0] == 404


async def test_senders_have_their_names_lights_and_domains(site: Site) -> None:
    body = await get(site, "/senders?sort=address")
    rows = re.findall(r'<tr class="(\w+)">.*?ip=([\d.]+)".*?</tr>', body, re.DOTALL)
    assert rows == [("pass", "11.0.0.1"), ("pass", "11.0.0.2"), ("pass", "11.0.0.3"), ("critical", "11.0.0.4")]
    assert body.count(f">{SIZE} domains</a>") == ADDRESSES
    for query, count in {"q=localhost": 1, "finding=helo.local-name": 1, "sender=pool": 4, "severity=pass": 3}.items():
        assert (await get(site, f"/senders?{query}")).count('<tr class="') == count, query


@pytest.mark.parametrize(("helo", "shown"), [("a.example.com ", '"a.example.com "'), ("", '""'), ("a.b", "a.b")])
async def test_white_space_in_a_helo_name_can_be_seen(site: Site, helo: str, shown: str) -> None:
    site.store.hold(CATALOGUE.checks["helo"], Greeting(sender="odd", ip=ip_address("11.0.9.9"), helo=helo))
    row = (await get(site, "/senders?q=11.0.9.9")).partition("<tbody>")[2]
    assert f"<td>{shown}</td>" in row


async def test_what_runs_for_the_first_time_is_pending_and_not_unknown(site: Site, planted: PlantedFleet) -> None:
    new = MailHost(host="mx.mailco-lab.com")
    site.store.hold(smtp_tls, new)
    body = await get(site, "/")
    assert f"{len(planted.store)} of {len(planted.store) + 1} checks have run" in body.replace(",", "")
    assert "<b>0</b> unknown checks" in body
    site.store.record(ran(new, Doubt(Reason.EGRESS, "nothing answers at port 25")))
    body = await get(site, "/")
    assert "<b>1</b> unknown check<" in body
    assert "no way out: nothing answers at port 25" in body, "the banner says that it is us"
    assert "nothing answers at port 25" in await get(site, "/problems?severity=unknown")


def ran(target: MailHost, *doubts: Doubt) -> Outcome:
    return Outcome(smtp_tls, target, (), (), doubts, (), 1_780_000_500.0, 0.0)


async def test_the_summary_follows_what_changes_and_only_that(site: Site) -> None:
    fleet = await site.web._site._summary.current()
    assert await site.web._site._summary.current() is fleet
    some = next(it for it in site.store if it.check.id == "dmarc" and not it.findings)
    records = tuple(it.record for it in some.records)
    again = Outcome(some.check, some.target, (), (), (), (), 1_780_001_000.0, 0.0, records)
    site.store.record(again)
    assert await site.web._site._summary.current() is fleet, "the run has said the same again"
    rule = CATALOGUE.rules["dmarc.missing"]
    evidence: dict[str, Any] = dict.fromkeys(rule.fields, "customer1.example")
    bad = rule(**evidence)
    site.store.record(replace(again, findings=(bad,)))
    later = await site.web._site._summary.current()
    assert len(later.problems) == len(fleet.problems) + 1


async def test_an_acceptance_that_ends_makes_a_problem_again(site: Site) -> None:
    known = next(it for it in site.store if it.findings and it.findings[0].finding.id == "dkim.missing")
    until = site.clock.wall() + 60
    accept = (Acceptance(finding="dkim.missing", until=until, reason="soon"),)
    site.store.hold(known.check, replace(known.target, accept=accept))
    path = f"/problems?finding=dkim.missing&domain={dict(known.target.identity)['domain']}"
    assert heads(await get(site, path)) == []
    site.clock.step_wall(61)
    assert len(heads(await get(site, path))) == 1


async def test_hostile_texts_make_no_large_page(site: Site) -> None:
    """Each character takes five in HTML, and there are more findings than a page ever has."""
    rule, ptr = CATALOGUE.rules["ptr.missing"], CATALOGUE.checks["ptr"]
    for number in range(30):
        labels = (("team", "<" * 200), ("env", "&" * 200))
        target = Address(ip=ip_address(f"12.0.0.{number}"), helo=("\"'" * 100,), labels=labels)
        evidence: dict[str, Any] = dict.fromkeys(rule.fields, f"{number}" + "\"'<>&" * 120)
        evil = rule(**evidence)
        found = tuple(replace(evil, evidence=(*evil.evidence, ("n", str(n)))) for n in range(21))
        got = Exchange("'" * 500, ("<" * 500,) * 100, "&" * 100, 1.0)
        site.store.hold(ptr, target)
        run = Outcome(ptr, target, found, (), (), (got,) * 100, 1_780_000_500.0, 0.0)
        site.store.record(run)
    for path in ("/", "/problems", "/problems?sort=newest", "/senders", "/targets/ip=12.0.0.7", "/domains",
                 "/targets/ip=12.0.0.7?check=ptr", "/findings/ptr.missing"):  # fmt: skip
        await get(site, path)


async def test_a_page_that_is_not_there_leads_on(site: Site) -> None:
    for path in ("/targets/domain=nosuch.example", "/nothing", "/findings/no.such", "/receivers/nobody"):
        status, body, headers = await site.get(path, Accept="text/html")
        assert (status, headers["Content-Type"]) == (404, "text/html; charset=utf-8")
        assert 'role="search"' in body
        assert 'href="/domains"' in body
        status, body, headers = await site.get(path)
        assert (status, headers["Content-Type"]) == (404, "text/plain; charset=utf-8")
    _, body, _ = await site.get("/targets/domain=nosuch.example", Accept="text/html")
    assert 'value="nosuch.example"' in body


def titles(body: str) -> Iterator[str]:
    yield from (unescape(it) for it in re.findall("<title>(.*?)</title>", body))


async def test_every_page_has_a_title_of_its_own(site: Site) -> None:
    paths = ("/", "/problems", "/problems?check=spf", "/domains", "/domains?label=team=team3", "/senders", "/receivers",
             "/receivers/gmail", "/findings", "/findings/ptr.missing", "/targets/domain=customer7.example",
             "/labels/team/team3", "/receivers/gmail/customer7.example", "/?q=team3")  # fmt: skip
    found = [title for path in paths for title in titles(await get(site, path))]
    assert len(set(found)) == len(paths) == len(found)
