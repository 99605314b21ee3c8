"""exporter/mail/dmarc/tree_walk.py against RFC 9989 section 4.10 and RFC 7489."""

from __future__ import annotations

from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.demo.nameserver import ZoneData
from exporter.mail.dmarc.tree_walk import Discovery, PolicySource, climb, discover, walk
from exporter.mail.dns import Evaluation, Status
from exporter.net import Net
from tests.support.clock import FakeClock
from tests.support.memory import MemoryResolver

T = TypeVar("T")


async def play(evaluation: Evaluation[T], zone: str) -> tuple[T, list[str]]:
    """The result and the names that were asked."""
    dns = MemoryResolver(ZoneData(zone))
    result = await Net(dns, FakeClock()).drive(evaluation)
    return result, [question.name for question in dns.asked]


async def found(domain: str, zone: str) -> Discovery:
    discovery, _ = await play(discover(domain), zone)
    return discovery


def test_thirteen_labels_are_walked_as_the_rfc_says() -> None:
    """The query sequence of RFC 9989 Appendix B.4.2."""
    assert walk("a.b.c.d.e.f.g.h.i.j.k.example.com") == (
        "a.b.c.d.e.f.g.h.i.j.k.example.com",
        "g.h.i.j.k.example.com",
        "h.i.j.k.example.com",
        "i.j.k.example.com",
        "j.k.example.com",
        "k.example.com",
        "example.com",
        "com",
    )


@pytest.mark.parametrize(
    ("domain", "second", "count"),
    [
        ("example.com", "com", 2),
        ("g.f.e.d.c.example.com", "f.e.d.c.example.com", 7),
        ("h.g.f.e.d.c.example.com", "g.f.e.d.c.example.com", 8),
        ("i.h.g.f.e.d.c.example.com", "g.f.e.d.c.example.com", 8),
    ],
)
def test_seven_labels_go_step_by_step_and_eight_or_more_jump(domain: str, second: str, count: int) -> None:
    assert walk(domain)[1] == second
    assert len(walk(domain)) == count


def test_a_top_level_domain_is_asked_once() -> None:
    assert walk("com") == ("com",)


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=120))
def test_no_name_costs_more_than_eight_questions(labels: list[str]) -> None:
    asked = walk(".".join(labels))
    assert len(asked) <= 8
    assert len(set(asked)) == len(asked)
    assert asked[-1] == labels[-1]


async def test_the_walk_asks_txt_at_each_name_and_does_not_stop_at_a_plain_record() -> None:
    zone = '_dmarc.a.example.com. TXT "v=DMARC1; p=none"\n_dmarc.example.com. TXT "v=DMARC1; p=none"\n'
    _, asked = await play(discover("a.example.com"), zone)
    assert asked == ["_dmarc.a.example.com", "_dmarc.example.com", "_dmarc.com"]


async def test_where_the_walk_has_looked_nothing_is_asked_twice() -> None:
    _, asked = await play(discover("example.com"), "example.com. A 192.0.2.1\n")
    assert asked == ["_dmarc.example.com", "_dmarc.com", "example.com"]
    one = '_dmarc.a.b.c.d.e.f.g.example.com. TXT "v=DMARC1; p=none"\n'
    twice = one + one.replace("p=none", "p=reject")
    _, asked = await play(discover("a.b.c.d.e.f.g.example.com"), twice)
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize("psd", ["y", "n"])
async def test_the_walk_stops_at_psd_y_and_psd_n(psd: str) -> None:
    zone = f'_dmarc.a.b.example.com. TXT "v=DMARC1; p=none"\n_dmarc.b.example.com. TXT "v=DMARC1; p=none; psd={psd}"\n'
    _, asked = await play(discover("a.b.example.com"), zone)
    assert asked == ["_dmarc.a.b.example.com", "_dmarc.b.example.com"]


async def test_the_walk_stops_at_the_first_question_without_an_answer() -> None:
    discovery, asked = await play(discover("a.b.example.com"), "; timeout: _dmarc.b.example.com. TXT\n")
    assert asked == ["_dmarc.a.b.example.com", "_dmarc.b.example.com"]
    assert discovery.doubt is not None
    assert discovery.source is None


ROWS = [
    # domain, records by name, organisational domain, record used, the record that subdomains use
    ("example.com", {"example.com": ""}, "example.com", "example.com", "example.com"),
    ("a.mail.example.com", {"mail.example.com": "", "example.com": ""}, "example.com", "example.com", "example.com"),
    ("a.mail.example.com", {"mail.example.com": "psd=n"}, "mail.example.com", "mail.example.com", "mail.example.com"),
    ("a.mail.example.com", {"com": "psd=y"}, "example.com", "com", "com"),
    ("a.mail.example.com", {"example.com": "", "com": "psd=y"}, "example.com", "example.com", "example.com"),
    ("a.mail.example.com", {"mail.example.com": "", "com": "psd=y"}, "example.com", "com", "com"),
    ("a.mail.example.com", {"a.mail.example.com": "", "com": "psd=y"}, "example.com", "a.mail.example.com", "com"),
    ("mail.example.com", {"example.com": "psd=y"}, "mail.example.com", "example.com", "example.com"),
    ("com", {"com": "psd=y"}, "com", "com", "com"),
    ("a.example.com", {"a.example.com": "psd=n", "example.com": ""}, "a.example.com", "a.example.com", "a.example.com"),
    ("a.example.com", {"a.example.com": ""}, "a.example.com", "a.example.com", "a.example.com"),
    ("a.example.com", {"com": ""}, "com", "com", "com"),
    ("a.example.com", {}, "a.example.com", None, None),
    # The anti-abuse cut skips the record at six labels below com (RFC 9989 section 5.1).
    (
        "mail.a.b.c.d.e.f.g.example.com",
        {"b.c.d.e.f.g.example.com": "psd=n", "example.com": ""},
        "example.com",
        "example.com",
        "example.com",
    ),
]


@pytest.mark.parametrize(("domain", "records", "organisational", "source", "below"), ROWS)
async def test_organisational_domain_and_record(
    domain: str, records: dict[str, str], organisational: str, source: str | None, below: str | None
) -> None:
    zone = "".join(f'_dmarc.{name}. TXT "v=DMARC1; p=none; {tags}"\n' for name, tags in records.items())
    discovery = await found(domain, zone)
    assert discovery.organisational == organisational
    assert (discovery.source.domain if discovery.source else None) == source
    assert (discovery.subdomain_source.domain if discovery.subdomain_source else None) == below
    assert discovery.new == PolicySource(source, organisational)


async def test_several_records_are_discarded_and_the_walk_goes_on() -> None:
    zone = (
        '_dmarc.a.example.com. TXT "v=DMARC1; p=reject; psd=n"\n_dmarc.a.example.com. TXT "v=DMARC1; p=none"\n'
        '_dmarc.example.com. TXT "v=DMARC1; p=none"\n'
    )
    discovery = await found("a.example.com", zone)
    assert discovery.new == PolicySource("example.com", "example.com")
    assert discovery.old == PolicySource(None, "example.com")  # RFC 7489 section 6.6.3 step 5 ends the search


@pytest.mark.parametrize(
    ("domain", "records", "old"),
    [
        (
            "a.b.example.co.uk",
            {"example.co.uk": "", "b.example.co.uk": ""},
            PolicySource("example.co.uk", "example.co.uk"),
        ),
        ("a.example.com", {"a.example.com": ""}, PolicySource("a.example.com", "example.com")),
        ("a.b.example.com", {"b.example.com": "psd=n", "example.com": ""}, PolicySource("example.com", "example.com")),
        ("a.b.example.com", {"b.example.com": "psd=n"}, PolicySource(None, "example.com")),
        ("alice.blogspot.com", {"blogspot.com": ""}, PolicySource(None, "alice.blogspot.com")),
        ("news.foo-bar.example", {"foo-bar.example": ""}, PolicySource("foo-bar.example", "foo-bar.example")),
        ("news.foo-bar.example", {"foo.example": ""}, PolicySource(None, "foo-bar.example")),
    ],
)
async def test_the_old_answer_stands_beside_the_new_one(
    domain: str, records: dict[str, str], old: PolicySource
) -> None:
    """By the Public Suffix List; a hyphen does not end a name, as it once did elsewhere."""
    zone = "".join(f'_dmarc.{name}. TXT "v=DMARC1; p=none; {tags}"\n' for name, tags in records.items())
    assert (await found(domain, zone)).old == old


@pytest.mark.parametrize(("name", "exists"), [("a.example.com.", True), ("x.a.example.com.", True), ("b.net.", False)])
async def test_only_nxdomain_means_that_a_name_does_not_exist(name: str, exists: bool) -> None:
    zone = f'_dmarc.example.com. TXT "v=DMARC1; p=none"\n{name} A 192.0.2.1\n'
    assert (await found("a.example.com", zone)).exists is exists


async def test_an_alias_exists_wherever_it_leads() -> None:
    """The answer is NXDOMAIN then (RFC 6604 section 3), but of the name at the end of the chain."""
    zone = '_dmarc.example.com. TXT "v=DMARC1; p=none"\na.example.com. CNAME gone.example.net.\n'
    discovery = await found("a.example.com", zone)
    assert discovery.apex
    assert (discovery.apex.status, discovery.exists) == (Status.NXDOMAIN, True)


async def test_the_walk_alone_asks_nothing_else() -> None:
    walked, asked = await play(climb("a.example.com"), '_dmarc.example.com. TXT "v=DMARC1; p=none"\n')
    assert walked.organisational == "example.com"
    assert asked == ["_dmarc.a.example.com", "_dmarc.example.com", "_dmarc.com"]


def test_where_a_policy_comes_from_is_said_in_words() -> None:
    assert str(PolicySource("a.example.com", "example.com")) == (
        "the record at _dmarc.a.example.com and the organisational domain example.com"
    )
    assert str(PolicySource(None, "example.com")) == "no record and the organisational domain example.com"
