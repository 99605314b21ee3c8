"""What the answers of a zone's servers amount to, each by itself and held against the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address

import dns.dnssec
import dns.rdata
import dns.rdtypes.ANY.DNSKEY
import pytest

from exporter.mail.dns import (
    MX,
    SOA,
    TXT,
    Evaluation,
    Question,
    Rdata,
    Referral,
    Reply,
    ServerReply,
    Signature,
    Status,
    T,
)
from exporter.mail.zone import (
    DnssecKey,
    Gathered,
    Item,
    ItemKind,
    ServerAnswer,
    ServerState,
    ZoneCut,
    ends_soon,
    find,
    inside,
    is_subdomain,
    keys,
    look_up,
    serial_lt,
    wanted_keys,
)

IP = ip_address("192.0.2.53")
AT = Question("example.com", "SOA")
RECORD = SOA("ns.example.com", "hostmaster.example.com", 7, 3600)
GOOD = ServerReply(AT, Status.ANSWER, (RECORD,), authoritative=True)
HEARSAY = ServerReply(AT, Status.ANSWER, (RECORD,))
REFUSED = ServerReply(AT, Status.REFUSED, detail="192.0.2.53 answers REFUSED")
UPWARD = ServerReply(AT, Status.REFUSED, referral=Referral(".", ("a.root-servers.net",)))
NO_ZONE = ServerReply(AT, Status.NODATA, authoritative=True)
SERVFAIL = ServerReply(AT, Status.SERVFAIL, detail="192.0.2.53 answers SERVFAIL")
SILENT = ServerReply(AT, Status.TIMEOUT)
CLOSED = ServerReply(AT, Status.NETWORK)
BROKEN = ServerReply(AT, Status.MALFORMED)


def played(evaluation: Evaluation[T], answer: Callable[[Question], Reply]) -> T:
    try:
        question = next(evaluation)
        while True:
            question = evaluation.send(answer(question))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # StopIteration carries it untyped


def world(**answers: Reply) -> Callable[[Question], Reply]:
    """NXDOMAIN for all names but those given."""
    said = {reply.question: reply for reply in answers.values()}
    return lambda question: said.get(question, Reply(question, Status.NXDOMAIN))


@pytest.mark.parametrize(
    ("serial", "other", "is_older"),
    [(1, 2, True), (2, 1, False), (1, 1, False), (2**32 - 1, 0, True), (0, 2**32 - 1, False), (0, 2**31, False)],
)
def test_serials_are_compared_on_a_circle(serial: int, other: int, is_older: bool) -> None:
    assert serial_lt(serial, other) is is_older


def test_everything_lies_within_the_root() -> None:
    assert is_subdomain("example.com", ".")
    assert inside("com", ".")
    assert not inside("com", "com")
    assert not is_subdomain("badexample.com", "example.com")


def test_a_zone_is_found_upwards() -> None:
    apex = Reply(AT, Status.ANSWER, (RECORD,))
    assert played(find("a.b.example.com"), world(apex=apex)) == ZoneCut("example.com", exists=False, doubt=None)


def test_an_alias_to_an_apex_is_no_apex() -> None:
    alias = Reply(Question("www.example.com", "SOA"), Status.ANSWER, (RECORD,), ("example.net",))
    apex = Reply(AT, Status.ANSWER, (RECORD,))
    assert played(find("www.example.com"), world(alias=alias, apex=apex)).zone == "example.com"


def test_the_deepest_doubt_is_kept_and_the_walk_goes_on() -> None:
    """A zone all of whose servers fail is just what has to be found."""
    failed = Reply(Question("example.com", "SOA"), Status.SERVFAIL)
    parent = Reply(Question("com", "SOA"), Status.ANSWER, (RECORD,))
    assert played(find("example.com"), world(a=failed, b=parent)) == ZoneCut("com", exists=True, doubt=failed)


def test_the_root_is_nobodys_zone() -> None:
    asked: list[str] = []

    def nothing(question: Question) -> Reply:
        asked.append(question.name)
        return Reply(question, Status.NXDOMAIN)

    assert played(find("host.internal"), nothing).zone is None
    assert asked == ["host.internal", "internal"]


def test_glue_stands_in_for_addresses_that_dns_does_not_tell() -> None:
    failed = Reply(Question("ns.example.com", "A"), Status.SERVFAIL)
    told = Reply(Question("ns.example.com", "A"), Status.ANSWER, (ip_address("198.51.100.1"),))
    assert played(look_up("ns.example.com", (IP,)), world(a=failed)).addresses == (IP,)
    assert played(look_up("ns.example.com", (IP,)), world(a=told)).addresses == told.addresses
    assert not played(look_up("ns.example.com"), world(a=failed)).without_address
    assert played(look_up("ns.example.com"), world()).without_address


def test_glue_that_the_name_does_not_have_is_stale_where_that_is_known() -> None:
    other, v6 = ip_address("198.51.100.1"), ip_address("2001:db8::1")
    told = Reply(Question("ns.example.com", "A"), Status.ANSWER, (other,))
    failed = Reply(Question("ns.example.com", "A"), Status.SERVFAIL)
    assert played(look_up("ns.example.com", (IP, other)), world(a=told)).stale == (IP,)
    assert played(look_up("ns.example.com", (other,)), world(a=told)).stale == ()
    assert played(look_up("ns.example.com", (IP, v6)), world(a=failed)).stale == (v6,)
    assert played(look_up("ns.example.com", (IP,)), world()).stale == (IP,), "DNS says that it has none"


@pytest.mark.parametrize(
    ("udp", "tcp", "word"),
    [
        (GOOD, GOOD, ServerState.GOOD),
        (GOOD, SILENT, ServerState.GOOD),
        (REFUSED, GOOD, ServerState.GOOD),
        (REFUSED, REFUSED, ServerState.LAME),
        (HEARSAY, SILENT, ServerState.LAME),
        (NO_ZONE, SERVFAIL, ServerState.LAME),
        (SERVFAIL, SERVFAIL, ServerState.FAILING),
        (SERVFAIL, CLOSED, ServerState.FAILING),
        (SILENT, CLOSED, ServerState.SILENT),
        (BROKEN, SILENT, ServerState.UNKNOWN),
    ],
)
def test_one_good_word_is_enough_and_else_that_which_says_most(
    udp: ServerReply, tcp: ServerReply, word: ServerState
) -> None:
    assert ServerAnswer("ns", IP, udp, tcp).word is word


@pytest.mark.parametrize(
    ("reply", "how"),
    [
        (REFUSED, "answers REFUSED"),
        (UPWARD, "sends the asker to the servers of ."),
        (NO_ZONE, "says that there is no such zone"),
        (HEARSAY, "answers without authority, from what it heard elsewhere"),
        (SERVFAIL, "answers SERVFAIL"),
    ],
)
def test_how_a_server_is_lame_is_said(reply: ServerReply, how: str) -> None:
    assert ServerAnswer("ns", IP, SILENT, reply).how == how


def had(kind: ItemKind, *records: Rdata, chain: tuple[str, ...] = (), status: Status = Status.ANSWER) -> ServerReply:
    return ServerReply(Item(kind, "example.com").question, status, records, chain, authoritative=True)


def differ(kind: ItemKind, *replies: ServerReply) -> bool:
    return Gathered(Item(kind, "example.com"), replies).differ


SPF, OTHER = TXT((b"v=spf1 -all",)), TXT((b"something=else",))


def test_only_data_count_and_not_their_order_or_their_cutting() -> None:
    ten, twenty = MX(10, "a.example"), MX(20, "b.example")
    assert not differ(ItemKind.MX, had(ItemKind.MX, ten, twenty), had(ItemKind.MX, twenty, ten))
    assert differ(ItemKind.MX, had(ItemKind.MX, ten), had(ItemKind.MX, twenty, ten))
    assert not differ(ItemKind.SPF, had(ItemKind.SPF, SPF), had(ItemKind.SPF, TXT((b"v=spf1", b" -all")), OTHER))
    assert differ(ItemKind.DKIM, had(ItemKind.DKIM, SPF), had(ItemKind.DKIM, SPF, OTHER))


def test_no_record_is_the_same_whether_or_not_the_name_exists() -> None:
    assert not differ(
        ItemKind.DMARC, had(ItemKind.DMARC, status=Status.NXDOMAIN), had(ItemKind.DMARC, status=Status.NODATA)
    )
    assert differ(ItemKind.SPF, had(ItemKind.SPF, SPF), had(ItemKind.SPF, status=Status.NODATA))


def test_of_an_alias_only_the_first_step_is_the_servers_own() -> None:
    assert not differ(
        ItemKind.DKIM,
        had(ItemKind.DKIM, SPF, chain=("k.example",)),
        had(ItemKind.DKIM, chain=("k.example", "z.example")),
    )
    assert differ(ItemKind.DKIM, had(ItemKind.DKIM, chain=("k.example",)), had(ItemKind.DKIM, chain=("l.example",)))
    assert differ(ItemKind.DKIM, had(ItemKind.DKIM, SPF, chain=("k.example",)), had(ItemKind.DKIM, SPF))


def test_a_name_that_one_server_delegates_is_left_out_and_silence_is_no_data() -> None:
    away = ServerReply(AT, Status.REFUSED, referral=Referral("example.com", ("ns.example.org",)))
    gathered = Gathered(
        Item(ItemKind.SPF, "example.com"), (had(ItemKind.SPF, SPF), had(ItemKind.SPF, OTHER), away, SILENT)
    )
    assert not gathered.differ
    assert gathered.unanswered == (SILENT,)


def test_what_differs_is_shown_by_server_and_long_keys_with_their_ends() -> None:
    one, other = (TXT((b"v=DKIM1; p=" + b"A" * 200 + end,)) for end in (b"B", b"C"))
    replies = (had(ItemKind.DKIM, one), had(ItemKind.DKIM, other), had(ItemKind.DKIM, one))
    shown = Gathered(Item(ItemKind.DKIM, "example.com"), replies).shown(["a", "b", "c"])
    assert shown.endswith('AC" at b')
    assert 'AB" at a, c; ' in shown
    assert len(shown) < 300


def test_ds_and_dnskey_records_are_matched_by_tag_and_algorithm() -> None:
    texts = ["257 3 13 " + "QUJD" * 16, "256 3 8 AwEAAbPT"]
    for text in texts:
        parsed = dns.rdata.from_text("IN", "DNSKEY", text)
        assert isinstance(parsed, dns.rdtypes.ANY.DNSKEY.DNSKEY)
        assert keys([text]) == {DnssecKey(dns.dnssec.key_id(parsed), parsed.algorithm)}
    assert wanted_keys(["4711 13 2 AB CD", "4712 253 2 ABCD", "nonsense"]) == {DnssecKey(4711, 13)}


@pytest.mark.parametrize("text", ["257 3 13 !!!", "99999999 3 13 QUJD", "257 3 999 QUJD", "257 3 x QUJD"])
def test_a_key_that_is_none_is_passed_over(text: str) -> None:
    assert keys([text]) == set()


@pytest.mark.parametrize(
    ("days", "left", "soon"), [(30, 3, False), (30, 1.9, True), (2, 1, False), (2, 0.4, True), (30, -1, True)]
)
def test_a_signature_ends_soon_by_the_margin_or_by_its_own_short_life(days: float, left: float, soon: bool) -> None:
    day, now = 86400, 1_780_000_000
    end = now + int(left * day)
    assert ends_soon(Signature(end - int(days * day), end), now, 2 * day) is soon


def test_a_server_without_authority_is_told_unless_the_name_is_delegated_away() -> None:
    item = Item(ItemKind.MX, "example.com")
    mine = ServerReply(item.question, Status.ANSWER, (MX(10, "mx.example.com"),), authoritative=True)
    heard = replace(mine, authoritative=False)
    cut = replace(heard, status=Status.REFUSED, records=(), referral=Referral("example.com", ("ns.example.net",)))
    assert Gathered(item, (mine, heard)).without_authority == (1,)
    assert Gathered(item, (mine, replace(heard, status=Status.TIMEOUT, records=()))).without_authority == ()
    assert Gathered(item, (cut, heard)).without_authority == ()
