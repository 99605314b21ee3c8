"""What registries say is read as RFC 9083 and RFC 9224 have it; whatever else they say is a syntax error at worst."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.demo.registry import Name, domain
from exporter.mail.rdap import LARGEST, LONGEST, MEDIA, MOST, Bootstrap, RdapSyntaxError, bootstrap, registration

NOW = 1_780_000_000.0
EXAMPLE = "example.com"

# The shape of section 5.3 of RFC 9083, shortened.
REAL = {
    "objectClassName": "domain",
    "handle": "XXXX",
    "ldhName": "EXAMPLE.com.",
    "status": ["client transfer prohibited", "locked"],
    "events": [
        {"eventAction": "registration", "eventDate": "1990-12-31T23:59:59Z"},
        {"eventAction": "last changed", "eventDate": "not a moment at all", "eventActor": "joe"},
        {"eventAction": "expiration", "eventDate": "2026-05-28T22:26:40.1234567+02:00"},
        {"eventAction": "registrar expiration", "eventDate": "2020-01-01T00:00:00Z"},
    ],
    "entities": [
        {
            "objectClassName": "entity",
            "roles": ["registrant"],
            "vcardArray": ["vcard", [["fn", {}, "text", "Joe User"]]],
        },
        {
            "objectClassName": "entity",
            "roles": ["abuse", "registrar"],
            "vcardArray": ["vcard", [["version", {}, "text", "4.0"], ["fn", {}, "text", " Example Registrar "]]],
        },
    ],
}


def read(**changed: Any) -> Any:
    return registration(json.dumps({**REAL, **changed}).encode(), EXAMPLE)


def events(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"eventAction": action, "eventDate": date} for action, date in pairs]


def test_an_answer_is_read() -> None:
    told = read()
    assert told.expires == NOW
    assert told.registered == 662687999
    assert told.statuses == {"client transfer prohibited", "locked"}
    assert told.registrar == "Example Registrar"


def test_what_is_not_told_is_not_known() -> None:
    told = registration(b'{"objectClassName": "domain", "ldhName": "example.com"}', EXAMPLE)
    assert (told.expires, told.registered, told.statuses, told.registrar) == (None, None, frozenset(), "")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-05-28T20:26:40Z", NOW),
        ("2026-05-28t20:26:40z", NOW),
        ("2026-05-28 20:26:40Z", NOW),
        ("2026-05-28T20:26:40+00:00", NOW),
        ("2026-05-29T05:56:40+09:30", NOW),
        ("2026-05-28T20:26:40.999Z", NOW),
        ("2016-12-31T23:59:60Z", 1483228799),
        ("9999-12-31T23:59:59Z", 253402300799),
    ],
)
def test_moments_are_those_of_rfc_3339(text: str, seconds: float) -> None:
    assert read(events=events(("expiration", text))).expires == seconds


@pytest.mark.parametrize(
    "text",
    [
        "2026-05-28",
        "2026-05-28T20:26:40",  # without an offset it may be a day earlier or later
        "2026-W22-4T20:26:40Z",
        "20260528T202640Z",
        "2026-02-30T00:00:00Z",
        "2026-05-28T24:00:00Z",
        "2026-05-28T20:26:40+24:00",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59-01:00",
        "0001-01-01T00:00:00+01:00",
        "２０２６-05-28T20:26:40Z",
        "",
        None,
        1780000000,
    ],
)
def test_anything_else_is_no_moment(text: Any) -> None:
    with pytest.raises(RdapSyntaxError, match="is no moment"):
        read(events=events(("expiration", text)))


def test_two_expirations_that_differ_are_none() -> None:
    same, other = ("expiration", "2026-05-28T20:26:40Z"), ("expiration", "2027-05-28T20:26:40Z")
    assert read(events=events(same, same)).expires == NOW
    with pytest.raises(RdapSyntaxError, match="several moments"):
        read(events=events(same, other))


def test_the_spelling_of_epp_is_understood() -> None:
    assert read(status=["clientHold", "REDEMPTION PERIOD", 7]).statuses == {"client hold", "redemption period"}


@pytest.mark.parametrize(
    "changed",
    [
        {"ldhName": "example.net"},
        {"ldhName": "www.example.com"},
        {"ldhName": None},
        {"ldhName": ["example.com"]},
        {"ldhName": "example.com" + "." * 300},
        {"objectClassName": "entity"},
        {"objectClassName": None},
        {"events": {}},
        {"events": None},
        {"status": "active"},
        {"entities": "none"},
        {"entities": [{"roles": "registrar"}]},
    ],
    ids=str,
)
def test_an_answer_about_something_else_or_of_another_shape_is_refused(changed: Any) -> None:
    with pytest.raises(RdapSyntaxError):
        read(**changed)


@pytest.mark.parametrize(
    "entity",
    [
        {"roles": ["registrar"]},
        {"roles": ["registrar"], "vcardArray": ["vcard"]},
        {"roles": ["registrar"], "vcardArray": ["jcard", [["fn", {}, "text", "X"]]]},
        {"roles": ["registrar"], "vcardArray": ["vcard", [["fn", {}, "text", ["X"]], ["fn", {}, "text", " "], 7]]},
        {"roles": []},
        "registrar",
    ],
)
def test_a_registrar_without_a_name_is_none(entity: Any) -> None:
    assert read(entities=[entity]).registrar == ""


def test_names_and_lists_have_an_end() -> None:
    told = read(
        status=["x" * 10_000, *map(str, range(2 * MOST))],
        entities=[{"roles": ["registrar"], "vcardArray": ["vcard", [["fn", {}, "text", "R" * 10_000]]]}],
    )
    assert len(told.statuses) == MOST
    assert max(map(len, told.statuses)) == len(told.registrar) == LONGEST


@pytest.mark.parametrize("days", [-1.0, 0.0, 400.0])
def test_the_demonstration_s_registry_speaks_it(days: float) -> None:
    told = registration(json.dumps(domain(EXAMPLE, Name(expires=days), NOW)).encode(), EXAMPLE)
    assert told.expires == NOW + days * 86400


LIST = {
    "version": "1.0",
    "publication": "2026-01-01T00:00:00Z",
    "services": [
        [["com", "NET"], ["https://rdap.one.example/v1"]],
        [["co.uk"], ["https://rdap.two.example/", "http://rdap.two.example/"]],
        [["uk"], ["https://rdap.three.example/"]],
    ],
}


@pytest.mark.parametrize(
    ("name", "urls"),
    [
        ("example.com", ("https://rdap.one.example/v1/",)),
        ("example.net", ("https://rdap.one.example/v1/",)),
        ("example.co.uk", ("https://rdap.two.example/", "http://rdap.two.example/")),
        ("example.uk", ("https://rdap.three.example/",)),
        ("notco.uk", ("https://rdap.three.example/",)),
        ("example.org", ()),
        ("telecom", ()),
    ],
)
def test_the_entry_that_shares_most_labels_counts(name: str, urls: tuple[str, ...]) -> None:
    assert bootstrap(json.dumps(LIST).encode()).servers(name) == urls


@pytest.mark.parametrize(
    "told",
    [
        [],
        {},
        {"services": None},
        {"services": {"com": "https://rdap.example/"}},
        {"services": [["com", "https://rdap.example/"]]},
        {"services": [[["com"]]]},
        {"services": [[["com"], ["https://rdap.example/"], []]]},
        {"services": [[[7], ["https://rdap.example/"]]]},
        {"services": [[["com"], [None]]]},
    ],
    ids=str,
)
def test_a_list_of_another_shape_is_refused(told: Any) -> None:
    with pytest.raises(RdapSyntaxError):
        bootstrap(json.dumps(told).encode())


HOSTILE = [
    b"",
    b"\xff\xfe\x00",
    b"[" * LARGEST,
    b'{"a":' * (LARGEST // 5),
    b'{"services":' + b"9" * 100_000 + b"}",
    b" " * (LARGEST + 1),
    b'{"ldhName": "\\ud800", "objectClassName": "domain"}',
    b'{"objectClassName": ' + b"[" * 900 + b"]" * 900 + b"}",
    b'{"objectClassName": "domain", "ldhName": "example.com", "events": [{"eventAction": "expiration", "eventDate": "'
    + b"1" * 900_000
    + b'"}]}',
    b'{"objectClassName": "domain", "ldhName": "' + b"a" * 900_000 + b'"}',
    b"NaN",
    b"null",
]


@pytest.mark.parametrize("octets", HOSTILE, ids=lambda octets: repr(octets[:20]))
def test_hostile_octets_are_a_short_syntax_error_and_soon(octets: bytes) -> None:
    began = time.perf_counter()
    for parse in (bootstrap, lambda octets: registration(octets, EXAMPLE)):
        with pytest.raises(RdapSyntaxError) as caught:
            parse(octets)
        assert len(str(caught.value)) < 300
        assert str(caught.value).isprintable()
    assert time.perf_counter() - began < 2


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.text(max_size=20)
    | st.sampled_from(["fn", "vcard", "registrar"]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=5),
    max_leaves=20,
)
KEYS = ["objectClassName", "ldhName", "events", "status", "entities", "services"]


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, JSON)))
def test_any_json_is_read_or_a_syntax_error(told: dict[str, Any]) -> None:
    for about in ({}, {"objectClassName": "domain", "ldhName": EXAMPLE}):
        octets = json.dumps({**told, **about}).encode()
        for parse in (bootstrap, lambda octets: registration(octets, EXAMPLE)):
            try:
                parse(octets)
            except RdapSyntaxError as error:
                assert str(error).isprintable()  # noqa: PT017  (either end is right)


@given(st.binary(max_size=200))
def test_any_octets_are_read_or_a_syntax_error(octets: bytes) -> None:
    for parse in (bootstrap, lambda octets: registration(octets, EXAMPLE)):
        try:
            parse(octets)
        except RdapSyntaxError as error:
            assert str(error)  # noqa: PT017  (either end is right)


def test_an_empty_list_serves_nobody() -> None:
    assert Bootstrap({}).servers(EXAMPLE) == ()


@pytest.mark.parametrize(
    ("link", "related"),
    [
        ({"rel": "related", "href": "https://rdap.registrar.example/domain/x", "type": MEDIA}, True),
        ({"rel": "related", "href": "http://rdap.registrar.example/domain/x", "type": MEDIA}, False),
        ({"rel": "related", "href": "https://[/domain/x", "type": MEDIA}, False),
        ({"rel": "self", "href": "https://rdap.registrar.example/domain/x", "type": MEDIA}, False),
        ({"rel": "related", "href": "https://www.registrar.example/x", "type": "text/html"}, False),
        ({"rel": "related", "href": ["https://rdap.registrar.example/"], "type": MEDIA}, False),
        ({"rel": "related", "href": "https://rdap.registrar.example/" + "x" * 2000, "type": MEDIA}, False),
    ],
)
def test_the_registrar_s_answer_is_the_related_one_in_rdap(link: dict[str, Any], related: bool) -> None:
    assert bool(read(links=[link]).related) is related


def test_of_the_two_dates_in_one_answer_the_later_counts() -> None:
    both = events(("expiration", "2026-01-01T00:00:00Z"), ("registrar expiration", "2027-01-01T00:00:00Z"))
    assert read(events=both).expires == 1_798_761_600
    odd = events(("expiration", "2027-01-01T00:00:00Z"), ("registrar expiration", "soon"))
    assert read(events=odd).expires == 1_798_761_600
