"""Planned files: as BIND and octoDNS document them, and as an enemy writes them. Each error says file and line."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.mail.dns import MX, TLSA, TXT, Question
from exporter.net.planned import octodns, zone_file
from exporter.net.planned.records import PlannedFile, PlannedFileError, PlannedRecords

# BIND 9 Administrator Reference Manual, "Zone File", and the sample zone of its "Configurations" chapter
BIND = """
$TTL 2d    ; default TTL for zone
$ORIGIN example.com. ; base domain-name
; Start of Authority RR defining the key characteristics of the zone (domain)
@         IN      SOA   ns1.example.com. hostmaster.example.com. (
                                2003080800 ; serial number
                                12h        ; refresh
                                15m        ; update retry
                                3w         ; expiry
                                2h         ; minimum
                                )
; name server RR for the domain
           IN      NS      ns1.example.com.
           IN      NS      ns2.example.net.
; mail server RRs for the zone (domain)
        3w IN      MX  10  mail.example.com.
           IN      MX  20  mail.example.net.
ns1        IN      A       192.168.254.2
mail       IN      A       192.168.254.4
www        IN      A       192.168.254.7
ftp        IN      CNAME   www.example.com.
key        IN      TXT     ( "v=DKIM1; k=rsa; "
                             "p=AAAA" )
"""

# octoDNS, docs/records: names, multiple records, values; tests/config/unit.tests.yaml: TXT, MX, NS, octodns, geo
OCTODNS = r"""
---
'':
  - type: A
    values:
      - 1.2.3.4
      - 1.2.3.5
  - type: MX
    values:
      - exchange: mx1.example.com.
        preference: 10
      - priority: 20
        value: mx2.example.com.
  - type: CAA
    value: {flags: 0, tag: issue, value: ca.unit.tests}
'*':
  type: CNAME
  value: www.example.com.
www:
  ttl: 300
  type: A
  values: [1.2.3.4]
s1._domainkey:
  type: TXT
  values:
    - Bah bah black sheep
    - 'v=DKIM1\;k=rsa\;p=A/kinda+of/long'
long:
  type: TXT
  value: '"first" " second; third"'
_25._tcp.mail:
  type: TLSA
  value: {certificate_usage: 3, selector: 1, matching_type: 0, certificate_association_data: AB}
sub:
  type: 'NS'
  values: [6.2.3.4., 7.2.3.4.]
geo:
  type: A
  value: 1.2.3.4
  geo:
    AF: [2.2.3.4]
ignored:
  octodns: {ignored: true}
  type: A
  value: 9.9.9.9
excluded:
  octodns: {excluded: [test]}
  type: CNAME
  value: unit.tests.
"""


def records(file: PlannedFile, name: str, rdtype: str) -> tuple[object, ...]:
    return file.sets[Question(name, rdtype)].records


def test_a_master_file_of_bind_is_a_whole_zone() -> None:
    file = zone_file.parse("db.example", BIND.encode())
    assert file.zone == "example.com"
    assert records(file, "example.com", "MX") == (MX(10, "mail.example.com"), MX(20, "mail.example.net"))
    assert records(file, "example.com", "NS") == ("ns1.example.com", "ns2.example.net")
    assert records(file, "ftp.example.com", "CNAME") == ("www.example.com",)
    assert records(file, "key.example.com", "TXT") == (TXT((b"v=DKIM1; k=rsa; ", b"p=AAAA")),)
    assert file.sets[Question("www.example.com", "A")].ttl == 2 * 86400
    assert file.sets[Question("example.com", "MX")].ttl == 2 * 86400, "the lower one of two"
    assert file.sets[Question("www.example.com", "A")].line == 20


def test_without_a_soa_record_it_is_some_records_and_the_origin_may_be_said_outside() -> None:
    file = zone_file.parse("x", b"_dmarc TXT v=DMARC1\n@ 60 IN TXT v=spf1\n", "example.com")
    assert file.zone is None
    assert {str(it): found.ttl for it, found in file.sets.items()} == {
        "_dmarc.example.com TXT": zone_file.USUAL_TTL,
        "example.com TXT": 60,
    }


def test_octodns_yaml_is_a_whole_zone_but_for_its_own_ns_and_soa() -> None:
    file = octodns.parse("example.com.yaml", OCTODNS.encode(), "example.com")
    assert file.zone == "example.com"
    assert records(file, "example.com", "A") == (ip_address("1.2.3.4"), ip_address("1.2.3.5"))
    assert records(file, "example.com", "MX") == (MX(10, "mx1.example.com"), MX(20, "mx2.example.com"))
    assert records(file, "*.example.com", "CNAME") == ("www.example.com",)
    assert records(file, "s1._domainkey.example.com", "TXT") == (
        TXT((b"Bah bah black sheep",)),
        TXT((b"v=DKIM1;k=rsa;p=A/kinda+of/long",)),
    )
    assert records(file, "long.example.com", "TXT") == (TXT((b"first second; third",)),)
    assert records(file, "_25._tcp.mail.example.com", "TLSA") == (TLSA(3, 1, 0, b"\xab"),)
    assert records(file, "sub.example.com", "NS") == ("6.2.3.4", "7.2.3.4")
    assert file.sets[Question("www.example.com", "A")].ttl == 300
    unclear = {str(it): found.unclear for it, found in file.sets.items() if found.unclear}
    assert unclear == {
        "example.com CAA": "records of the type CAA are not read",
        "geo.example.com A": "its answer depends on who asks (geo)",
        "excluded.example.com CNAME": "only some providers get it (excluded)",
    }
    assert {str(it) for it in file.kept} == {"ignored.example.com A", "example.com NS", "example.com SOA"}


def test_a_zone_transfer_ends_with_its_soa_record_once_more() -> None:
    file = zone_file.parse("axfr", f"$ORIGIN a.example.\n{SOA}@ TXT x\n{SOA}".encode())
    assert (file.zone, file.count) == ("a.example", 2)


def test_a_complex_key_of_octodns_is_a_name_too() -> None:
    file = octodns.parse("unit.tests.yaml", b"---\n? ''\n: - type: A\n    values:\n    - 1.2.3.4\n", "unit.tests")
    assert records(file, "unit.tests", "A") == (ip_address("1.2.3.4"),)


def test_a_long_text_of_octodns_is_cut_into_strings() -> None:
    (text,) = records(
        octodns.parse("x", b"'': {type: TXT, value: " + b"a" * 600 + b"}", "x.example"), "x.example", "TXT"
    )
    assert isinstance(text, TXT)
    assert [len(it) for it in text.strings] == [255, 255, 90]


SOA = "@ SOA ns.example. host.example. 1 2 3 4 5\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("www A 192.0.2.1\n", "db:1: has a relative name and no origin"),
        ("\nwww.example. MX 10 mx\n", "db:2: has a relative name and no origin"),
        ("$ORIGIN example.com\nwww A 192.0.2.1\n", "db:2: has a relative name and no origin"),
        (
            "a.example. A 192.0.2.1\n$INCLUDE /etc/passwd\n",
            "db:2: cannot be read: zone file directive '$INCLUDE' is not allowed",
        ),
        (
            "$GENERATE 1-99999999 h$.example. A 192.0.2.1\n",
            "db:1: cannot be read: zone file directive '$GENERATE' is not allowed",
        ),
        ("a.example. A 192.0.2.300\n", "db:1: cannot be read: "),
        ("a.example. CH A 192.0.2.3\n", "db:1: cannot be read: RR class is not zone's class"),
        ("a.example. NOSUCH x\n", "db:1: cannot be read: unknown rdatatype 'NOSUCH'"),
        ("; nothing\n", "db: has no record"),
        (f"$ORIGIN a.example.\n{SOA}b.example. A 192.0.2.1\n", "db:3: b.example is not in the zone a.example"),
        (f"$ORIGIN a.example.\n{SOA}$ORIGIN b.a.example.\n{SOA}", "db:4: has a second SOA record"),
        ('a.example. TXT ( "never ends"\n', "db:"),
    ],
)
def test_a_fault_of_a_zone_file_is_said_with_its_line(text: str, told: str) -> None:
    with pytest.raises(PlannedFileError) as error:
        zone_file.parse("db", text.encode())
    assert told in str(error.value)
    assert str(error.value).startswith("db:")


def test_what_is_no_text_is_said_with_its_line() -> None:
    with pytest.raises(PlannedFileError, match="db:2: is not UTF-8 text"):
        zone_file.parse("db", b"; caf\nx \xe9\n")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- a\n", "y:1: is no zone of octoDNS"),
        ("www: 3\n", "y:1: www has no record"),
        ("a: {type: A, value: 192.0.2.1}\nwww:\n  type: A\n", "y:2: www has neither value nor values"),
        ("www: {type: a b, value: x}\n", "y:1: www has the type 'a b'"),
        ("www: {type: A, value: 192.0.2.300}\n", "y:1: www is no A record"),
        ("www: {type: CNAME, value: a.example}\n", "y:1: www has the value 'a.example' without a dot"),
        ("www: {type: MX, value: {preference: 10}}\n", "y:1: www has no exchange"),
        ("www: {type: A, ttl: soon, value: 192.0.2.1}\n", "y:1: www has a ttl that is no number"),
        ("www:\n- {type: A, value: 192.0.2.1}\n- {type: A, value: 192.0.2.2}\n", "y:3: www A is planned here and in"),
        ("a..b: {type: A, value: 192.0.2.1}\n", "y:1: a..b is no name"),
        ("www: &x {type: A, value: 192.0.2.1}\nw2: *x\n", "y:1: www has the anchor"),
        ("www: !include other.yaml\n", "y:1: www has the tag"),
        ("www: {type: TXT, value: ü}\n", "y:1: www has a character that is not ASCII"),
    ],
)
def test_a_fault_of_octodns_yaml_is_said_with_its_line(text: str, told: str) -> None:
    with pytest.raises(PlannedFileError) as error:
        octodns.parse("y", text.encode(), "example.com")
    assert told in str(error.value)


def test_more_names_than_a_configuration_has_are_read() -> None:
    text = "".join(f"h{n}: {{type: A, value: 192.0.2.1}}\n" for n in range(1500))
    assert octodns.parse("y", text.encode(), "example.com").count == 1500


@pytest.mark.parametrize(
    ("texts", "removed", "told"),
    [
        (["a.example. TXT x\n", "a.example. TXT y\n"], [], "2:1: a.example TXT is in 1:1, too; keep one"),
        (
            ["a.example. TXT x\na.example. CNAME b.example.\n"],
            [],
            "1:2: a.example has a CNAME record and a.example TXT",
        ),
        (["a.example. CNAME x.\n\na.example. CNAME b.example.\n"], [], "1:1: a.example has a CNAME record and another"),
        ([f"$ORIGIN a.example.\n{SOA}", "b.a.example. TXT x\n"], [], "2:1: b.a.example is in the zone a.example, of"),
        (["a.example. TXT x\n"], [Question("a.example", "TXT")], "1:1: a.example TXT is planned here, and --without"),
        ([f"$ORIGIN a.example.\n{SOA}"], [Question("b.a.example", "*")], "--without b.a.example: remove it from the"),
    ],
)
def test_what_contradicts_itself_is_refused(texts: list[str], removed: list[Question], told: str) -> None:
    with pytest.raises(PlannedFileError) as error:
        PlannedRecords([zone_file.parse(str(n), it.encode()) for n, it in enumerate(texts, 1)], removed)
    assert told in str(error.value)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.sampled_from((b"$ORIGIN a.example.\n@ SOA a. b. 1 2 3 4 5\n", b"", b"'': ")))
def test_whatever_a_file_holds_it_is_read_or_refused(content: bytes, head: bytes) -> None:
    for read in (zone_file.parse, octodns.parse):
        said = "f:"
        try:
            assert read("f", head + content, "a.example").sets
        except PlannedFileError as error:
            said = str(error)
        assert said.startswith("f:")
        assert said.isprintable()
