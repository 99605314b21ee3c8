"""exporter/mail/dmarc/record.py against RFC 9989 sections 4.7, 4.8 and 4.10.1, and RFC 7489."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.mail.dmarc.record import (
    DmarcPolicy,
    DmarcRecord,
    DmarcSyntaxError,
    ReportURI,
    Requested,
    is_record,
    meant,
    parse,
)
from exporter.mail.tag_list import LONGEST

NONE, QUARANTINE, REJECT = DmarcPolicy.NONE, DmarcPolicy.QUARANTINE, DmarcPolicy.REJECT


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
    with pytest.raises(DmarcSyntaxError, match="65545 bytes are more"):
        parse(text)


def test_every_tag_is_read() -> None:
    record = parse(
        b"v=DMARC1; p=reject; sp=Quarantine; np=none; psd=Y; t=y; adkim=s; aspf=r; fo=1:d:s; "
        b"rua=mailto:A@Example.com!10m, https://h.example/x; ruf=mailto:b@example.com; pct=5; rf=afrf; ri=1; xyz=1"
    )
    assert record == DmarcRecord(
        p=REJECT,
        sp=QUARANTINE,
        np=NONE,
        psd="y",
        testing=True,
        strict=frozenset({"adkim"}),
        wants_reports=True,
        rua=(
            ReportURI("mailto:A@Example.com", "mailto", "example.com"),
            ReportURI("https://h.example/x", "https", "h.example"),
        ),
        bad_policies=(),
        bad_values=(),
        bad_terms=(),
        repeated=(),
        removed=(("pct", "5"), ("rf", "afrf"), ("ri", "1")),
        sized=("mailto:A@Example.com!10m",),
        tags=(
            ("v", "DMARC1"),
            ("p", "reject"),
            ("sp", "Quarantine"),
            ("np", "none"),
            ("psd", "Y"),
            ("t", "y"),
            ("adkim", "s"),
            ("aspf", "r"),
            ("fo", "1:d:s"),
            ("rua", "mailto:A@Example.com!10m, https://h.example/x"),
            ("ruf", "mailto:b@example.com"),
        ),
        unknown=("xyz",),
        empty_tags=False,
        policy_late=False,
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
    ("rua", "wanted"),
    [
        ("mailto:a@b.c", True),
        ("mailto:", True),  # nobody is there, and yet it is a URI
        ("mailto:a%2Cb@b.c!10M", True),
        ("nobody, https://h.example/x", True),
        ("urn:whatever", True),
        ("a@b.c", False),
        ("mailto:a b@b.c", False),
        ("mailto:a!b@b.c", False),  # must be written %21 (section 4.8)
        ("<mailto:a@b.c>", False),
        ("mailto:a%zz@b.c", False),
        ("1mailto:a@b.c", False),
        ("", False),
    ],
)
def test_any_valid_uri_makes_up_for_a_policy_that_is_none(rua: str, wanted: bool) -> None:
    """RFC 9989 section 4.10.1: one that is syntactically valid; nothing need be able to report to it."""
    requested = parse(f"v=DMARC1; p=bounce; rua={rua}".encode()).requests()
    assert requested == (Requested("p", NONE, testing=False) if wanted else None)


@pytest.mark.parametrize(
    ("options", "good"),
    [
        ("0", True),
        ("1:d:s", True),
        ("S : D", True),
        ("d:1:s", True),
        ("0:1", False),
        ("d:d", False),
        ("d:", False),
        ("", False),
        ("1,d", False),
        ("0:1:d:s:d:s:d", False),
    ],
)
def test_failure_options_stand_once_and_only_one_of_0_and_1(options: str, good: bool) -> None:
    """RFC 9989 section 4.8, dmarc-fo."""
    assert parse(f"v=DMARC1; p=none; fo={options}".encode()).bad_values == (() if good else (("fo", options),))


@pytest.mark.parametrize(
    ("text", "strict"),
    [
        ("adkim=s", {"adkim"}),
        ("aspf=S; adkim=r", {"aspf"}),
        ("aspf=s; adkim=s", {"adkim", "aspf"}),
        ("aspf=strict", set()),
    ],
)
def test_alignment_is_relaxed_unless_the_record_says_s(text: str, strict: set[str]) -> None:
    assert parse(f"v=DMARC1; p=none; {text}".encode()).strict == strict


@pytest.mark.parametrize(
    ("text", "was_meant"),
    [
        (b"v=DMARC1; p=none", True),
        (b" V = dmarc1 p=none", True),
        (b'\\"v=DMARC1; p=none\\"', True),
        (b"v=DMARC10", True),
        (b"p=none; v=DMARC1", False),
        (b"v=spf1 -all", False),
        (b"", False),
        (b"v=DMARC1;" + b"x" * LONGEST, False),
    ],
)
def test_what_was_meant_as_a_record_is_told_from_what_is_not(text: bytes, was_meant: bool) -> None:
    assert meant(text) is was_meant


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
    text: str,
    own: tuple[str, DmarcPolicy] | None,
    subdomain: tuple[str, DmarcPolicy] | None,
    missing: tuple[str, DmarcPolicy] | None,
) -> None:
    record = parse(f"v=DMARC1; {text}".encode())
    asked = (record.requests(), record.requests(subdomain=True), record.requests(subdomain=True, exists=False))
    assert [r and (r.tag, r.policy) for r in asked] == [own, subdomain, missing]


@pytest.mark.parametrize(("policy", "applied"), [(NONE, NONE), (QUARANTINE, NONE), (REJECT, QUARANTINE)])
def test_testing_lowers_a_policy_by_one_level(policy: DmarcPolicy, applied: DmarcPolicy) -> None:
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
        assert (record.requests() is None) == (not record.valid and not record.wants_reports)
        assert record.wants_reports or not record.rua


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


@pytest.mark.parametrize("filling", [b" ", b"v", b"\\", b"v=", b"=", b"'"])
def test_whether_a_long_text_was_meant_as_a_record_costs_no_more_than_a_moment(filling: bytes) -> None:
    for start in (b"", b"v", b"v="):
        text = start + filling * ((LONGEST - len(start)) // len(filling))
        began = time.process_time()
        assert not meant(text)
        assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    ("value", "expected"),
    [("0", 0), ("00", 0), ("7", 7), ("050", 50), ("100", 100)]
    + [(value, 100) for value in ("", "101", "999", "-1", "+5", "1.5", "50%", "0100", "half", "\u0665")],
)
def test_what_is_no_percentage_is_ignored(value: str, expected: int) -> None:
    record = parse(f"v=DMARC1; p=reject; pct={value}".encode())
    assert record.percentage == expected
    assert bool(record.removed) is not bool(record.bad_values)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("v=DMARC1; p=none", "v=DMARC1; p=reject"),
        ("v=DMARC1; sp=none; p=none; np=none; t=y; pct=5; adkim=s", "v=DMARC1; p=reject"),
        ("v=DMARC1; p=none; psd=n; fo=1", "v=DMARC1; p=reject; psd=n; fo=1"),
        ("v=DMARC1; p=none; psd=yes; fo=7", "v=DMARC1; p=reject"),
        (
            "v=DMARC1; p=none; rua=mailto:a@example.com!5m,b@example.com; ruf=mailto:c@example.com",
            "v=DMARC1; p=reject; rua=mailto:a@example.com; ruf=mailto:c@example.com",
        ),
    ],
)
def test_a_closed_record_keeps_what_is_good_of_reports(text: str, expected: str) -> None:
    assert parse(text.encode()).closed() == expected


@pytest.mark.parametrize(
    ("text", "late"),
    [
        (b"v=DMARC1; p=none; sp=none", False),
        (b"v=DMARC1; sp=none; p=none", True),
        (b"v=DMARC1;; P=none", False),
        (b"v=DMARC1; hello; p=none", True),
        (b"v=DMARC1; sp=none", False),
    ],
)
def test_a_policy_is_late_behind_another_tag(text: bytes, late: bool) -> None:
    assert parse(text).policy_late is late
