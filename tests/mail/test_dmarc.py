"""exporter/mail/dmarc.py, dmarc_walk.py and dmarc_reports.py against RFC 9989, RFC 9990 and RFC 7489."""

from __future__ import annotations

import time
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.demo.nameserver import Zone
from exporter.mail.dmarc import DmarcSyntaxError, Policy, Record, ReportURI, Requested, is_record, parse
from exporter.mail.dmarc_reports import destination
from exporter.mail.dmarc_walk import Discovery, Found, discover, walk
from exporter.mail.dns import Evaluation
from exporter.mail.tags import LONGEST
from exporter.net import Net
from tests.support.clock import FakeClock
from tests.support.memory import MemoryResolver

T = TypeVar("T")
NONE, QUARANTINE, REJECT = Policy.NONE, Policy.QUARANTINE, Policy.REJECT


async def play(evaluation: Evaluation[T], zone: str) -> tuple[T, list[str]]:
    """The result and the names that were asked."""
    dns = MemoryResolver(Zone(zone))
    result = await Net(dns, FakeClock()).follow(evaluation)
    return result, [question.name for question in dns.asked]


async def found(domain: str, zone: str) -> Discovery:
    discovery, _ = await play(discover(domain), zone)
    return discovery


# --- the record (RFC 9989 sections 4.7, 4.8)


@pytest.mark.parametrize(
    "text", [b"v=DMARC1", b"v=DMARC1;", b"v = DMARC1\t; p=none", b"V=DMARC1;p=none", b"v=DMARC1;\xff"]
)
def test_what_begins_with_the_version_is_a_record(text: bytes) -> None:
    assert is_record(text)


@pytest.mark.parametrize(
    "text",
    [b"", b" v=DMARC1", b"v=dmarc1; p=none", b"v=DMARC10; p=none", b"v=DMARC1 p=none", b"p=none; v=DMARC1", b"v=spf1"],
)
def test_anything_else_is_none(text: bytes) -> None:
    assert not is_record(text)
    with pytest.raises(DmarcSyntaxError, match="at character 1 is not v=DMARC1"):
        parse(text)


def test_a_record_longer_than_any_txt_record_is_not_read() -> None:
    text = b"v=DMARC1;" + b"x" * LONGEST
    assert not is_record(text)
    with pytest.raises(DmarcSyntaxError, match="65545 octets are more"):
        parse(text)


def test_every_tag_is_read() -> None:
    record = parse(
        b"v=DMARC1; p=reject; sp=Quarantine; np=none; psd=Y; t=y; adkim=s; aspf=r; fo=1:d:s; "
        b"rua=mailto:A@Example.com!10m, https://h.example/x; ruf=mailto:b@example.com; pct=5; rf=afrf; ri=1; xyz=1"
    )
    assert record == Record(
        p=REJECT,
        sp=QUARANTINE,
        np=NONE,
        psd="y",
        testing=True,
        rua=(
            ReportURI("mailto:A@Example.com", "mailto", "example.com"),
            ReportURI("https://h.example/x", "https", "h.example"),
        ),
        bad_policies=(),
        bad_values=(),
        bad_terms=(),
        repeated=(),
        removed=(("pct", "5"), ("rf", "afrf"), ("ri", "1")),
    )


def test_bad_values_are_kept_apart_and_count_as_default() -> None:
    record = parse(
        b"v=DMARC1; p=reject; psd=; t=yes; adkim=rs; fo=0:x; rua=a@b, mailto:a@b_c; ruf=; junk; x=1; x=2; p=none"
    )
    assert (record.p, record.psd, record.testing, record.rua) == (REJECT, "u", False, ())
    assert dict(record.bad_values) == {
        "adkim": "rs",
        "t": "yes",
        "psd": "",
        "fo": "0:x",
        "rua": "a@b, mailto:a@b_c",
        "ruf": "",
    }
    assert record.bad_terms == ("junk",)
    assert record.repeated == ("p",)  # nobody reads x, so nobody minds that it is there twice


@pytest.mark.parametrize(
    ("uri", "host"),
    [
        ("mailto:a@example.com", "example.com"),
        ("MAILTO:a%21b@Example.COM", "example.com"),
        ("mailto:a@example.com?subject=x@y", "example.com"),
        ("mailto:a@b@example.com", "example.com"),
        ("mailto:@example.com", None),
        ("mailto:example.com", None),
        ("mailto:a@exa\\.mple.com", None),
        ("mailto:a@example..com", None),
        ("mailto:a b@example.com", None),
        ("https://h.example:8443/x", "h.example"),
        ("https://u@h.example", "h.example"),
        ("https:///x", None),
        ("ftp:whatever", ""),
        ("example.com", None),
        ("", None),
    ],
)
def test_report_uris(uri: str, host: str | None) -> None:
    record = parse(f"v=DMARC1; p=none; rua={uri}".encode())
    assert [u.host for u in record.rua] == ([] if host is None else [host])
    assert record.bad_values == ((("rua", uri),) if host is None else ())


@pytest.mark.parametrize(
    ("text", "own", "subdomain", "missing"),
    [
        ("p=reject", ("p", REJECT), ("p", REJECT), ("p", REJECT)),
        ("p=reject; sp=none", ("p", REJECT), ("sp", NONE), ("sp", NONE)),
        ("p=none; np=reject", ("p", NONE), ("p", NONE), ("np", REJECT)),
        ("p=none; sp=quarantine; np=reject", ("p", NONE), ("sp", QUARANTINE), ("np", REJECT)),
        ("rua=mailto:a@b.c", ("p", NONE), ("p", NONE), ("p", NONE)),
        ("p=reject; sp=x; rua=mailto:a@b.c", ("p", NONE), ("p", NONE), ("p", NONE)),
        ("p=reject; np=x", None, None, None),
        ("p=x; sp=reject", None, None, None),
        ("sp=reject", None, None, None),
    ],
)
def test_what_a_record_asks_for_each_kind_of_name(
    text: str, own: tuple[str, Policy] | None, subdomain: tuple[str, Policy] | None, missing: tuple[str, Policy] | None
) -> None:
    record = parse(f"v=DMARC1; {text}".encode())
    asked = (record.requests(), record.requests(subdomain=True), record.requests(subdomain=True, exists=False))
    assert [r and (r.tag, r.policy) for r in asked] == [own, subdomain, missing]


@pytest.mark.parametrize(("policy", "applied"), [(NONE, NONE), (QUARANTINE, NONE), (REJECT, QUARANTINE)])
def test_testing_lowers_a_policy_by_one_level(policy: Policy, applied: Policy) -> None:
    assert Requested("p", policy, testing=True).applied is applied
    assert Requested("p", policy, testing=False).applied is policy


RECORDS = st.one_of(
    st.binary(max_size=300),
    st.text("vpsnrta=;:,@ \tDMARC1mailto!.1k/", max_size=200).map(lambda text: b"v=DMARC1;" + text.encode()),
    st.binary(max_size=200).map(lambda octets: b"v=DMARC1; rua=mailto:" + octets),
    st.lists(st.sampled_from([b"p=reject", b"sp=x", b"rua=https://", b"fo=::", b"t=", b"pct=", b"=", b"p=none"])).map(
        lambda terms: b"v=DMARC1;" + b";".join(terms)
    ),
)


@given(RECORDS)
def test_the_parser_raises_nothing_but_its_own_syntax_error(text: bytes) -> None:
    try:
        record = parse(text)
    except DmarcSyntaxError:
        assert not is_record(text)
    else:
        assert (record.requests() is None) == (not record.valid and not record.rua)


@pytest.mark.parametrize(
    "filling",
    [b";", b"a=1;", b"p=none;", b"rua=mailto:a@b.c,", b"mailto:a@b.c,", b"!1", b" ", b"https://@", b"a", b":"],
)
def test_the_longest_texts_cost_no_more_than_a_moment(filling: bytes) -> None:
    for start in (b"v=DMARC1;", b"v=DMARC1; rua=", b"v=DMARC1; rua=mailto:", b"v=DMARC1; fo="):
        text = start + filling * ((LONGEST - len(start)) // len(filling))
        began = time.process_time()
        parse(text)
        assert time.process_time() - began < 0.5


# --- the tree walk (RFC 9989 section 4.10)


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
    assert discovery.new == Found(source, organisational)


async def test_several_records_are_discarded_and_the_walk_goes_on() -> None:
    zone = (
        '_dmarc.a.example.com. TXT "v=DMARC1; p=reject; psd=n"\n_dmarc.a.example.com. TXT "v=DMARC1; p=none"\n'
        '_dmarc.example.com. TXT "v=DMARC1; p=none"\n'
    )
    discovery = await found("a.example.com", zone)
    assert discovery.new == Found("example.com", "example.com")
    assert discovery.old == Found(None, "example.com")  # RFC 7489 section 6.6.3 step 5 ends the search


@pytest.mark.parametrize(
    ("domain", "records", "old"),
    [
        ("a.b.example.co.uk", {"example.co.uk": "", "b.example.co.uk": ""}, Found("example.co.uk", "example.co.uk")),
        ("a.example.com", {"a.example.com": ""}, Found("a.example.com", "example.com")),
        ("a.b.example.com", {"b.example.com": "psd=n", "example.com": ""}, Found("example.com", "example.com")),
        ("a.b.example.com", {"b.example.com": "psd=n"}, Found(None, "example.com")),
        ("alice.blogspot.com", {"blogspot.com": ""}, Found(None, "alice.blogspot.com")),
        ("news.foo-bar.example", {"foo-bar.example": ""}, Found("foo-bar.example", "foo-bar.example")),
        ("news.foo-bar.example", {"foo.example": ""}, Found(None, "foo-bar.example")),
    ],
)
async def test_the_old_answer_stands_beside_the_new_one(domain: str, records: dict[str, str], old: Found) -> None:
    """By the Public Suffix List; a hyphen does not end a name, as it once did elsewhere."""
    zone = "".join(f'_dmarc.{name}. TXT "v=DMARC1; p=none; {tags}"\n' for name, tags in records.items())
    assert (await found(domain, zone)).old == old


@pytest.mark.parametrize(("name", "exists"), [("a.example.com.", True), ("x.a.example.com.", True), ("b.net.", False)])
async def test_only_nxdomain_means_that_a_name_does_not_exist(name: str, exists: bool) -> None:
    zone = f'_dmarc.example.com. TXT "v=DMARC1; p=none"\n{name} A 192.0.2.1\n'
    assert (await found("a.example.com", zone)).exists is exists


# --- reports (RFC 9990 section 4)


async def test_within_one_organisation_no_agreement_is_asked_for() -> None:
    uri = ReportURI("mailto:d@reports.example.com", "mailto", "reports.example.com")
    end, asked = await play(destination("mail.example.com", uri), "reports.example.com. A 192.0.2.1\n")
    assert (end.refused, end.unreachable, end.doubt) == (False, False, None)
    assert not [name for name in asked if "_report" in name]


async def test_a_stranger_is_asked_at_the_name_of_the_record() -> None:
    uri = ReportURI("mailto:d@example.net", "mailto", "example.net")
    end, asked = await play(destination("example.com", uri), "example.net. A 192.0.2.1\n")
    assert end.refused
    assert asked[-1] == end.authorisation == "example.com._report._dmarc.example.net"


async def test_other_schemes_are_left_alone() -> None:
    uri = ReportURI("https://example.net/x", "https", "example.net")
    end, asked = await play(destination("example.com", uri), "")
    assert (end.refused, end.unreachable, asked) == (False, False, [])
