"""No octets can hurt: budgets, and any octets at all."""

from __future__ import annotations

import struct

import dns.flags
import dns.message
import dns.name
import dns.rcode
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.mail.dns import TLSA, Question, Status
from exporter.net.dns import frame, wire
from tests.support.hostile import response
from tests.support.messages import HERE, LONG, NX, SOA_LINE, asked, raw, rr, said

# --- budgets -----------------------------------------------------------------------------------------------------


def bomb(rdtype: int, data: bytes, count: int, owner: bytes = HERE) -> wire.Decoded:
    query = wire.query(Question(LONG, {12: "PTR", 15: "MX"}[rdtype]))
    return wire.decode(raw(query, rr(owner, rdtype, data) * count, (count, 0, 0)), query)


@pytest.mark.parametrize(
    ("rdtype", "data", "count"), [(12, HERE, 4600), (12, HERE, 512), (12, HERE, 40), (15, b"\0\0" + HERE, 512)]
)
def test_the_label_bomb_is_refused(rdtype: int, data: bytes, count: int) -> None:
    decoded = bomb(rdtype, data, count)
    assert decoded.status is Status.MALFORMED
    assert "more than" in decoded.detail


def test_long_owner_names_are_counted_too() -> None:
    query = wire.query(Question("example", "A"))
    owner = b"\1a" * 120 + b"\0"
    decoded = wire.decode(raw(query, rr(owner, 1, b"\xc0\0\2\1") * 200, (200, 0, 0)), query)
    assert f"{frame.MOST_LABELS} labels" in decoded.detail


def test_the_budget_does_not_hurt_large_honest_answers() -> None:
    lines = [f"x.example. 60 IN MX {i} mx{i}.mail.some-provider.example." for i in range(300)]
    decoded = said("x.example", "MX", *lines)
    assert len(decoded.records) == 300
    pointer = ".".join("0123456789abcdef" * 2) + ".ip6.arpa"
    assert len(said(pointer, "PTR", *[f"{pointer}. 60 IN PTR h{i}.pool.example." for i in range(200)]).records) == 200
    large = '"' + "x" * 255 + '" '
    assert said("x.example", "TXT", f"x.example. 60 IN TXT {large * 200}").status is Status.ANSWER


def test_strings_without_end_are_refused() -> None:
    query = wire.query(Question("x.example", "TXT"))
    decoded = wire.decode(raw(query, rr(HERE, 16, bytes(60_000))), query)
    assert f"{frame.MOST_STRINGS} strings" in decoded.detail


def test_more_records_than_anybody_needs_are_refused() -> None:
    query = wire.query(Question("x.example", "A"))
    for counts in [(513, 0, 0), (0, 513, 0), (200, 200, 200), (65535, 65535, 65535)]:
        assert f"{frame.MOST_RECORDS} records" in wire.decode(raw(query, b"", counts), query).detail


@pytest.mark.parametrize(
    ("owner", "why"),
    [
        (b"\xc0\x1b", "backwards"),  # to itself: the question ends at 27
        (b"\xc0\xff", "backwards"),
        (b"\1a\xc0\x1b", "backwards"),
        (b"\1a\xc0\x1d", "backwards"),
        (b"\xc0", "too early"),
        (b"\x3f", "too early"),
        (b"\x40a\0", "kind of label"),
        (b"\x80a\0", "kind of label"),
        ((b"\x3f" + b"a" * 63) * 4 + b"\0", "255 bytes"),
        ((b"\x3f" + b"a" * 63) * 3 + b"\x38" + b"a" * 56 + HERE, "255 bytes"),
    ],
)
def test_impossible_names_are_refused(owner: bytes, why: str) -> None:
    query = wire.query(Question("x.example", "A"))
    assert len(query.asked) == 15
    tail = b"" if why == "too early" else struct.pack("!HHIH", 1, 1, 60, 4) + b"\xc0\0\2\1"
    decoded = wire.decode(raw(query, owner + tail), query)
    assert decoded.status is Status.MALFORMED
    assert why in decoded.detail


def test_a_staircase_of_pointers_is_climbed_only_so_far() -> None:
    query = wire.query(Question("x.example", "TLSA"))
    start = 12 + len(query.asked) + 12  # the data of the first record, whose owner is a pointer
    stairs = b"\0" + b"".join(struct.pack("!H", 0xC000 | start + (0 if i == 0 else 2 * i - 1)) for i in range(200))
    last = struct.pack("!H", 0xC000 | start + len(stairs) - 2)
    message = raw(query, rr(HERE, 52, stairs) + rr(last, 52, b"\3\1\1\0"), (2, 0, 0))
    assert f"{frame.MOST_HOPS} compression pointers" in wire.decode(message, query).detail


@pytest.mark.parametrize(
    ("data", "records"),
    [
        (b"\3\1\1\xab", (TLSA(3, 1, 1, b"\xab"),)),
        (b"\x09\xff\x02" + bytes(65), (TLSA(9, 255, 2, bytes(65)),)),
        (b"\3\1\1", (TLSA(3, 1, 1, b""),)),
    ],
)
def test_a_tlsa_record_that_means_nothing_is_read_all_the_same(data: bytes, records: tuple[TLSA, ...]) -> None:
    """Senders ignore it, and use the others: it must not hide them."""
    query = wire.query(Question("x.example", "TLSA"))
    assert wire.decode(raw(query, rr(HERE, 52, data)), query).records == records


def test_a_tlsa_record_too_short_for_its_numbers_is_malformed() -> None:
    query = wire.query(Question("x.example", "TLSA"))
    assert "TLSA record that ends too early" in wire.decode(raw(query, rr(HERE, 52, b"\3\1")), query).detail


def test_a_ttl_with_the_highest_bit_is_zero() -> None:
    query = wire.query(Question("x.example", "A"))
    assert wire.decode(raw(query, rr(HERE, 1, b"\xc0\0\2\1", ttl=0x80000001)), query).ttl == 0


def test_two_opt_records_are_malformed() -> None:
    query = wire.query(Question("x.example", "A"))
    message = raw(query, rr(HERE, 1, b"\xc0\0\2\1") + rr(b"\0", 41, b"") * 2, (1, 0, 2))
    assert wire.decode(message, query).status is Status.MALFORMED


@pytest.mark.parametrize("option", [b"\0\x0f\0\x09\0\0", b"\0", b"\0\x0f\0"])
def test_a_broken_option_is_malformed(option: bytes) -> None:
    query = wire.query(Question("x.example", "A"))
    message = raw(query, rr(HERE, 1, b"\xc0\0\2\1") + rr(b"\0", 41, option), (1, 0, 1))
    assert wire.decode(message, query).status is Status.MALFORMED


# --- any octets at all -------------------------------------------------------------------------------------------

HONEST = [
    ("x.example", "A", ("x.example. 60 IN A 192.0.2.1",), {}),
    ("x.example", "MX", ("x.example. 60 IN CNAME y.example.", "y.example. 60 IN MX 1 m.example."), {}),
    ("x.example", "TXT", ('x.example. 60 IN TXT "v=spf1 -all"', 'x.example. 60 IN TXT "b" "c"'), {}),
    ("x.example", "A", (), {"rcode": NX, "authority": [SOA_LINE]}),
    ("x.example", "SOA", ("x.example. 60 IN SOA a. b. 1 2 3 4 5",), {"ede": (22, "at delegation")}),
]
MESSAGES = [(query, response(octets, *lines, **how)) for *of, lines, how in HONEST for query, octets in [asked(*of)]]  # type: ignore[arg-type]  # a table of mixed things


@pytest.mark.parametrize(("query", "message"), MESSAGES)
def test_no_part_of_a_message_is_an_answer(query: wire.Query, message: bytes) -> None:
    assert wire.decode(message, query).status.conclusive
    for cut in range(12 + len(query.asked), len(message)):
        assert not wire.decode(message[:cut], query).status.conclusive
    assert not wire.decode(message + b"\0", query).status.conclusive


@settings(max_examples=400)
@given(
    st.sampled_from(MESSAGES),
    st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=8),
    st.binary(max_size=40),
    st.integers(0, 2**16),
)
def test_no_mutation_can_hurt(
    honest: tuple[wire.Query, bytes], changes: list[tuple[int, int]], insertion: bytes, where: int
) -> None:
    query, octets = honest
    message = bytearray(octets)
    for at, octet in changes:
        message[at % len(message)] = octet
    at = where % len(message)
    message[at:at] = insertion
    hostile = bytes(message)
    if not wire.answers(hostile, query):
        return
    decoded = wire.decode(hostile, query)
    if decoded.status is Status.ANSWER:
        assert decoded.records
    elif decoded.status.conclusive:
        assert hostile[3] & 0x0F in (0, 3)
        assert not hostile[2] & 0x02
    else:
        assert decoded.detail
        assert not decoded.records


@settings(max_examples=400)
@example(b"\xff" * 20, (1, 0, 0))
@given(st.binary(max_size=300), st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)))
def test_any_octets_may_follow_the_question(octets: bytes, counts: tuple[int, int, int]) -> None:
    query = wire.query(Question("x.example", "MX"))
    wire.decode(raw(query, octets, counts), query)


PIECES = st.sampled_from(
    [
        HERE,
        b"\xc0\x0e",
        b"\1a",
        b"\0",
        b"\0\x0f\0\1",
        b"\0\5\0\1",
        b"\0\0\0\x3c",
        b"\0\2",
        b"\0\4",
        b"\0\x29",
        b"\0\x0f",
    ]
)


@settings(max_examples=400)
@given(st.lists(PIECES, max_size=40), st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 2)))
def test_almost_honest_octets_cannot_hurt(pieces: list[bytes], counts: tuple[int, int, int]) -> None:
    query = wire.query(Question("x.example", "MX"))
    wire.decode(raw(query, b"".join(pieces), counts), query)


@pytest.mark.parametrize("rdtype", [41, 250])
@pytest.mark.parametrize("section", [0, 1])
def test_what_belongs_in_the_additional_section_is_no_answer(rdtype: int, section: int) -> None:
    query = wire.query(Question("x.example", "TXT"))
    text = HERE + struct.pack("!HHIH", 16, 1, 60, 2) + b"\1a"
    other = HERE + struct.pack("!HHIH", rdtype, 1, 0, 0)
    counts = (2, 0, 0) if section == 0 else (1, 1, 0)
    assert wire.decode(raw(query, text + other, counts), query).status is Status.MALFORMED


@settings(max_examples=300)
@example(which=2, changes=[(11106, 250)])  # TXT becomes TSIG
@given(st.integers(0, len(MESSAGES) - 1), st.lists(st.tuples(st.integers(12, 2**16), st.integers(0, 255)), max_size=4))
def test_what_is_an_answer_here_is_one_for_dnspython(which: int, changes: list[tuple[int, int]]) -> None:
    """An independent parser finds the same records under the same name, or our own reading is too generous."""
    query, octets = MESSAGES[which]
    message = bytearray(octets)
    for at, octet in changes:
        message[12 + at % (len(message) - 12)] = octet
    hostile = bytes(message)
    if not wire.answers(hostile, query):
        return
    decoded = wire.decode(hostile, query)
    if decoded.status is not Status.ANSWER:
        return
    read = dns.message.from_wire(hostile, ignore_trailing=False, continue_on_error=True)
    names = {dns.name.from_text("x.example").canonicalize()}
    names |= {dns.name.from_text(target).canonicalize() for target in decoded.chain}
    found = [
        wire.record(rdata)
        for rrset in read.answer
        if rrset.rdtype == query.rdtype and rrset.rdclass == 1 and rrset.name.canonicalize() in names
        for rdata in rrset
    ]
    assert set(decoded.records) <= set(found)
