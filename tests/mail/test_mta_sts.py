"""exporter/mail/mta_sts.py and announcement.py against RFC 8461."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.demo.nameserver import ZoneData
from exporter.mail.mta_sts import MOST_LINES, OLDEST, RECORD, Mode, MtaStsPolicy, parse, policy_id, policy_url
from exporter.mail.policy_txt import MOST_FIELDS, PolicyTxt, PolicyTxtSyntaxError, fields, find_policy_txt, tried
from exporter.mail.tag_list import LONGEST
from exporter.net import Net
from tests.support.clock import FakeClock
from tests.support.memory import MemoryResolver

POLICY = b"version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\nmax_age: 604800\n"


def fails(text: bytes) -> str:
    _, error = tried(parse, text)
    assert error
    return error


# --- the record (section 3.1)


@pytest.mark.parametrize(
    ("text", "id_"),
    [
        ("v=STSv1; id=20160831085700Z;", "20160831085700Z"),
        ("v=STSv1;id=1", "1"),
        ("v=STSv1 \t;\t id=1 \t;", "1"),
        ("v=STSv1; x=1; id=a; y.-_9=!:<>~", "a"),
        ("v=STSv1; id=first; id=second", "first"),
        ("v=STSv1; id=first; id=not-one", "first"),
        (f"v=STSv1; id={'x' * 32}", "x" * 32),
    ],
)
def test_the_id_of_a_record(text: str, id_: str) -> None:
    assert policy_id(text.encode()) == id_


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v=STSv1",
        "v=STSv1;",
        "v=STSv1; ;id=1",
        "v=STSv1; id=1;;",
        "v=STSv1; id=",
        "v=STSv1; id = 1",
        "v=STSv1; ID=1",
        "v=STSv1; id=a-b",
        f"v=STSv1; id={'x' * 33}",
        "v=STSv1; id=1; x",
        "v=STSv1; id=1; x=",
        "v=STSv1; id=1; x=a b",
        "v=STSv1; id=1; x=a=b",
        "v=STSv1; id=1; x=é",
        "v=STSv1; id=1; -x=1",
        f"v=STSv1; id=1; {'x' * 33}=1",
        "v=STSv1, id=1",
        "v=STSv2; id=1",
        "v=stsv1; id=1",
        "V=STSv1; id=1",
        " v=STSv1; id=1",
        "id=1; v=STSv1",
        "v= STSv1; id=1",
    ],
)
def test_a_record_with_a_fault_has_no_id(text: str) -> None:
    with pytest.raises(PolicyTxtSyntaxError):
        policy_id(text.encode())


def test_a_record_has_room_for_many_fields_but_not_for_any_number() -> None:
    many = ";".join(f"x{number}=1" for number in range(MOST_FIELDS - 1)).encode()
    assert policy_id(b"v=STSv1;id=1;" + many) == "1"
    assert len(fields(b"v=STSv1;id=1;" + many + b";", RECORD, ())) == MOST_FIELDS
    with pytest.raises(PolicyTxtSyntaxError, match="more than"):
        policy_id(b"v=STSv1;id=1;x=1;" + many)
    with pytest.raises(PolicyTxtSyntaxError, match="bytes"):
        policy_id(b"v=STSv1;id=" + b"1" * LONGEST)


@pytest.mark.parametrize("text", ["v=stsv1; id=1", "V=STSV1", '"v=STSv1; id=1"', " v = STSv1;", "x; v=STSv2"])
def test_what_is_meant_as_a_record_is_recognised_by_its_version(text: str) -> None:
    assert RECORD.meant(text.encode())


@pytest.mark.parametrize("text", ["", "v=spf1 -all", "v=TLSRPTv1; rua=mailto:a@b.c", "google-site-verification=STSv1"])
def test_what_stands_there_for_another_reason_is_not_meant(text: str) -> None:
    assert not RECORD.meant(text.encode())


async def found(zone: str) -> tuple[PolicyTxt, list[str]]:
    dns = MemoryResolver(ZoneData(zone))
    result = await Net(dns, FakeClock()).drive(find_policy_txt("example.com", RECORD))
    return result, [str(question) for question in dns.asked]


async def test_only_where_a_record_may_be_meant_elsewhere_more_is_asked() -> None:
    own, apex = "_mta-sts.example.com TXT", "example.com TXT"
    there = '_mta-sts.example.com. TXT "v=STSv1; id=1"\n'
    assert (await found(there))[1] == [own]
    assert (await found("example.com. A 192.0.2.1"))[1] == [own, apex]
    assert (await found("; servfail: _mta-sts.example.com. TXT\nexample.com. A 192.0.2.1"))[1] == [own]
    assert (await found("_mta-sts.example.com. CNAME nowhere.example."))[1] == [own, "_no_mta-sts.example.com TXT"]


async def test_a_wildcard_does_not_hide_that_a_record_stands_at_the_domain_itself() -> None:
    wildcard = '*.example.com. CNAME www.example.com.\nwww.example.com. A 192.0.2.1\nexample.com. TXT "v=STSv1; id=1"'
    result, _ = await found(wildcard)
    assert (result.dangling, result.at_apex) == ("", True)


# --- the policy (section 3.2)


def test_a_policy_says_for_how_long_and_which_hosts() -> None:
    policy = parse(POLICY)
    assert (policy.mode, policy.max_age, policy.faults) == (Mode.ENFORCE, 604800, ())
    assert policy.patterns == ("mail.example.com", "*.example.net")
    assert policy.lines == tuple(POLICY.decode().splitlines())


@pytest.mark.parametrize(
    "text",
    [
        POLICY.replace(b"\n", b"\r\n"),
        POLICY.replace(b"mode: enforce\n", b"mode: enforce\r\n"),
        POLICY.rstrip(b"\n"),
        POLICY.replace(b": ", b":"),
        POLICY.replace(b": ", b":\t  "),
        POLICY.replace(b"enforce", b"enforce \t"),
        b"\n".join(reversed(POLICY.splitlines())),
        POLICY + b"mode: none\nversion: STSv2\nmax_age: 1\n",
        POLICY + b"later: anything, even: this = \xc3\xa9; so\n",
        POLICY + b"mx: MAIL.example.com\n",
    ],
)
def test_what_readers_have_to_accept_means_the_same(text: bytes) -> None:
    policy = parse(text)
    assert (policy.mode, policy.max_age, policy.faults) == (Mode.ENFORCE, 604800, ())
    assert set(policy.patterns) == {"mail.example.com", "*.example.net"}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (POLICY + b"\n", "line 6 is empty"),
        (b" " + POLICY, 'line 1, " version: STSv1", is not name: value'),
        (POLICY + b"a policy\n", 'line 6, "a policy", is not name: value'),
        (POLICY + b"later:\n", 'line 6, "later:", is not name: value'),
        (POLICY + b"_x: y\n", 'line 6, "_x: y", is not name: value'),
        (POLICY + b"x" * 33 + b": y\n", f'line 6, "{"x" * 33}: y", is not name: value'),
        (POLICY + b"later: a\x00b\n", 'line 6, "later: a\x00b", is not name: value'),
        (POLICY.replace(b"mode: ", b"mode : "), 'line 2, "mode : enforce", is not name: value'),
        (POLICY + b"mx: mail.example.com.\n", 'mx "mail.example.com." is no host name'),
        (POLICY + b"mx: mx*.example.com\n", 'mx "mx*.example.com" is no host name'),
        (POLICY + b"mx: *.*.example.com\n", 'mx "*.*.example.com" is no host name'),
        (POLICY + b"mx: *\n", 'mx "*" is no host name'),
        (POLICY + b"mx: m\xc3\xbcnchen.example\n", 'mx "münchen.example" is no host name'),
    ],
)
def test_what_careful_readers_refuse_is_told_and_read_all_the_same(text: bytes, fault: str) -> None:
    policy = parse(text)
    assert policy.faults == (fault,)
    assert (policy.mode, policy.max_age) == (Mode.ENFORCE, 604800)
    assert policy.patterns == ("mail.example.com", "*.example.net")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"", "it has no line version:, mode:, max_age:"),
        (POLICY.replace(b"version", b"Version"), "it has no line version:"),
        (b"\xef\xbb\xbf" + POLICY, "it has no line version:"),
        (POLICY.replace(b"STSv1", b"stsv1"), 'version "stsv1" is not STSv1'),
        (POLICY.replace(b"enforce", b"enforced"), 'mode "enforced" is none of enforce, testing, none'),
        (POLICY.replace(b"604800", b"1w"), f'max_age "1w" is no number from 0 to {OLDEST}'),
        (POLICY.replace(b"604800", "٣".encode()), f'max_age "٣" is no number from 0 to {OLDEST}'),
        (POLICY.replace(b"604800", b"31557601"), f'max_age "31557601" is no number from 0 to {OLDEST}'),
        (POLICY.replace(b"604800", b"0" * 11), f'max_age "{"0" * 11}" is no number from 0 to {OLDEST}'),
        (POLICY.replace(b"mx:", b"MX:"), "it lists no MX host"),
        (POLICY.replace(b"mail.example.com", b".").replace(b"*.example.net", b"-"), "it lists no MX host"),
        (POLICY + b"\n" * MOST_LINES, f"it has more than {MOST_LINES} lines"),
        (POLICY + b"x" * LONGEST, f"{len(POLICY) + LONGEST} bytes are more than a policy can need"),
    ],
)
def test_what_nobody_can_follow_is_no_policy(text: bytes, error: str) -> None:
    assert fails(text) == error


def test_only_mode_none_needs_no_host() -> None:
    rest = b"version: STSv1\nmax_age: 0\nmode: "
    assert parse(rest + b"none") == MtaStsPolicy(Mode.NONE, 0, (), ("version: STSv1", "max_age: 0", "mode: none"), ())
    assert fails(rest + b"testing") == fails(rest + b"enforce") == "it lists no MX host"


def test_of_many_faults_some_are_told() -> None:
    assert len(parse(POLICY + b"x\n" * 100).faults) == 5


@pytest.mark.parametrize(
    ("host", "patterns"),
    [
        ("mail.example.com", {"mail.example.com"}),
        ("a.example.net", {"*.example.net"}),
        ("example.net", set()),
        ("a.b.example.net", set()),
        ("other.example.com", set()),
        ("x.mail.example.com", set()),
        ("net", set()),
    ],
)
def test_a_wildcard_stands_for_exactly_one_label(host: str, patterns: set[str]) -> None:
    assert parse(POLICY).matching(host) == patterns


def test_the_url_is_made_of_the_domain_alone() -> None:
    assert policy_url("example.com") == "https://mta-sts.example.com/.well-known/mta-sts.txt"


@given(st.text(alphabet="vmx:*.e \n\r0", max_size=60))
def test_a_policy_never_has_a_pattern_that_matches_nothing(text: str) -> None:
    policy = parse(POLICY + text.encode())
    for pattern in policy.patterns:
        assert policy.matching(pattern.replace("*", "any")) >= {pattern}
