"""exporter/mail/dmarc/reports.py against RFC 9990 section 4 and RFC 7489 section 7.1."""

from __future__ import annotations

import pytest

from exporter.demo.nameserver import ZoneData
from exporter.mail.dmarc.record import ReportURI
from exporter.mail.dmarc.reports import Destination, destination
from exporter.mail.dmarc.tree_walk import climb
from exporter.net import Net
from tests.support.clock import FakeClock
from tests.support.memory import MemoryResolver

ANYWHERE = (
    "*.example.com. A 192.0.2.1\n*.example.net. A 192.0.2.1\nexample.com. A 192.0.2.1\nexample.net. A 192.0.2.1\n"
)
OURS = '_dmarc.example.com. TXT "v=DMARC1; p=none"\n'


async def look(domain: str, host: str, zone: str, uri: str = "mailto:d@{}") -> tuple[Destination, list[str]]:
    """And the names that were asked for the destination."""
    dns = MemoryResolver(ZoneData(zone))
    net = Net(dns, FakeClock())
    ours = await net.drive(climb(domain))
    before = len(dns.asked)
    text = uri.format(host)
    end = await net.drive(destination(ours, ReportURI(text, text.partition(":")[0], host)))
    return end, [question.name for question in dns.asked[before:]]


@pytest.mark.parametrize(
    ("domain", "host"),
    [
        ("example.com", "example.com"),
        ("example.com", "reports.example.com"),
        ("mail.example.com", "reports.example.com"),
    ],
)
async def test_within_one_organisation_nobody_need_agree(domain: str, host: str) -> None:
    end, asked = await look(domain, host, OURS + ANYWHERE)
    assert (end.foreign, end.foreign_once, end.agrees, end.doubt) == (False, False, None, None)
    assert not [name for name in asked if "_report" in name]


async def test_a_stranger_is_asked_at_the_name_where_the_record_was_found() -> None:
    end, asked = await look("blue.example.com", "red.example.net", OURS + ANYWHERE)
    assert (end.foreign, end.foreign_once, end.agrees) == (True, True, False)
    assert asked[-1] == end.authorisation == "blue.example.com._report._dmarc.red.example.net"


@pytest.mark.parametrize(
    ("texts", "agrees"),
    [
        (['"v=DMARC1"'], True),
        (['"v=DMARC1;"'], True),
        (['"v=DMARC1; p=none; whatever"'], True),
        (['"something else"', '"v=DMARC1"'], True),
        (['"v=DMARC1"', '"v=DMARC1"'], True),  # one is enough, several do no harm
        (['"v=dmarc1"'], False),
        (['" v=DMARC1"'], False),
        (['"something else"'], False),
        ([], False),
    ],
)
async def test_a_text_that_begins_like_a_record_is_an_agreement(texts: list[str], agrees: bool) -> None:
    zone = "".join(f"example.com._report._dmarc.example.net. TXT {text}\n" for text in texts)
    assert (await look("example.com", "example.net", OURS + ANYWHERE + zone))[0].agrees is agrees


async def test_a_wildcard_agrees_to_everybody() -> None:
    zone = OURS + ANYWHERE + '*._report._dmarc.example.net. TXT "v=DMARC1"\n'
    assert (await look("example.com", "example.net", zone))[0].agrees is True


@pytest.mark.parametrize(
    ("rua", "elsewhere"),
    [
        ("mailto:other@example.net", ""),
        ("mailto:other@EXAMPLE.net, mailto:more@example.org", "mailto:more@example.org"),
        ("mailto:other@reports.example.net", "mailto:other@reports.example.net"),
        ("https://example.net/x", ""),
        ("nonsense", ""),
    ],
)
async def test_a_destination_may_choose_another_address_at_its_own_host_only(rua: str, elsewhere: str) -> None:
    zone = OURS + ANYWHERE + f'example.com._report._dmarc.example.net. TXT "v=DMARC1; rua={rua}"\n'
    end, _ = await look("example.com", "example.net", zone)
    assert (end.agrees, end.elsewhere) == (True, elsewhere)


async def test_a_name_that_dns_cannot_hold_is_no_agreement_and_is_not_asked() -> None:
    domain = ".".join(["a" * 60] * 3 + ["example.com"])
    end, asked = await look(domain, f"{'b' * 50}.example.net", OURS + ANYWHERE)
    uri = ReportURI(f"mailto:d@{'b' * 50}.example.net", "mailto", f"{'b' * 50}.example.net")
    at = f"{domain}._report._dmarc.{uri.host}"
    assert end == Destination(uri, at, foreign=True, foreign_once=True, agrees=False)
    assert not [name for name in asked if "_report" in name]


async def test_organisations_are_told_apart_by_each_rfc_in_its_own_way() -> None:
    """Without a record above, mail.example.com is an organisation of its own by the walk, and not by the list."""
    end, _ = await look("mail.example.com", "example.com", '_dmarc.mail.example.com. TXT "v=DMARC1"\n' + ANYWHERE)
    assert (end.foreign, end.foreign_once, end.agrees) == (True, False, False)
    end, _ = await look(
        "a.blogspot.com", "blogspot.com", '_dmarc.blogspot.com. TXT "v=DMARC1"\nblogspot.com. A 192.0.2.1\n'
    )
    assert (end.foreign, end.foreign_once, end.agrees) == (False, True, False)


async def test_an_agreement_ends_the_doubt_about_who_is_a_stranger() -> None:
    silent = OURS + ANYWHERE + "; timeout: _dmarc.a.example.com. TXT\n"
    end, _ = await look("example.com", "a.example.com", silent)
    assert (end.foreign, end.agrees) == (None, False)
    assert end.doubt
    end, _ = await look("example.com", "a.example.com", silent + '*._report._dmarc.a.example.com. TXT "v=DMARC1"\n')
    assert (end.foreign, end.agrees, end.doubt) == (None, True, None)


async def test_where_the_walk_of_the_record_broke_off_strangers_are_not_known() -> None:
    end, _ = await look("example.com", "example.net", OURS + ANYWHERE + "; timeout: _dmarc.com. TXT\n")
    assert (end.foreign, end.foreign_once, end.agrees) == (None, True, False)
    assert end.doubt


async def test_no_answer_is_no_refusal() -> None:
    name = "example.com._report._dmarc.example.net"
    end, _ = await look("example.com", "example.net", OURS + ANYWHERE + f"; servfail: {name}. TXT\n")
    assert end.agrees is None
    assert end.doubt
    assert end.doubt.question.name == name


async def test_other_schemes_are_left_alone() -> None:
    end, asked = await look("example.com", "example.net", OURS, uri="https://{}/x")
    assert (end.agrees, end.unreachable, end.doubt, asked) == (None, False, None, [])


async def test_of_another_scheme_nothing_is_known_but_where_it_would_have_to_agree() -> None:
    end, asked = await look("example.com", "example.net", OURS + ANYWHERE, "https://{}/report")
    uri = ReportURI("https://example.net/report", "https", "example.net")
    assert end == Destination(uri, "example.com._report._dmarc.example.net")
    assert asked == []


async def test_every_answer_is_about_the_destination_that_was_asked() -> None:
    uri = ReportURI("mailto:d@red.example.net", "mailto", "red.example.net")
    at = "example.com._report._dmarc.red.example.net"
    there = f"{OURS}{ANYWHERE}red.example.net. A 192.0.2.1\n"
    for zone in (
        there,
        f"{there}; servfail: {at}. TXT\n",
        f'{there}{at}. TXT "v=DMARC1"\n',
    ):
        end, _ = await look("example.com", "red.example.net", zone)
        assert (end.uri, end.authorisation, end.foreign, end.foreign_once) == (uri, at, True, True)
        assert (end.unreachable, end.no_route, end.elsewhere) == (False, None, "")
    ours, _ = await look("example.com", "reports.example.com", OURS + ANYWHERE)
    assert (ours.uri.host, ours.authorisation) == (
        "reports.example.com",
        "example.com._report._dmarc.reports.example.com",
    )


@pytest.mark.parametrize("host", ["reports.example.com", "red.example.net"])
async def test_whether_mail_gets_to_the_destination_is_known_or_open(host: str) -> None:
    nowhere, _ = await look("example.com", host, f"{OURS}{host}. MX 0 .\n")
    assert (nowhere.unreachable, nowhere.no_route) == (True, None)
    unsure, _ = await look("example.com", host, f"{OURS}{ANYWHERE}; servfail: {host}. MX\n")
    assert unsure.unreachable is False
    assert unsure.no_route is not None
