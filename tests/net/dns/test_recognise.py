"""KnownAnswers that say the same are recognised without being read, and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import dns.flags
import dns.rcode
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.mail.dns import Question
from exporter.net.dns import wire
from exporter.net.dns.recognise import FIELDS, FORMS, KnownAnswer, KnownAnswers
from exporter.net.trace import HeardAnswer, digest
from tests.support.clock import FakeClock
from tests.support.hostile import Answers as Script
from tests.support.hostile import Hostile, response
from tests.support.resolving import A, honest, over_tcp, resolving, saying, truncated

OF_TWO = ("www.example. 60 IN A 192.0.2.1", "www.example. 60 IN A 192.0.2.2")
SOA = "example. 300 IN SOA ns.example. hostmaster.example. 1 2 3 4 300"
MESSAGES: dict[str, tuple[Question, Callable[[bytes], bytes]]] = {
    "addresses": (A, lambda query: response(query, *OF_TWO)),
    "alias": (A, lambda query: response(query, "www.example. 60 IN CNAME a.example.", "a.example. 30 IN A 192.0.2.1")),
    "text": (Question("example", "TXT"), lambda query: response(query, 'example. 60 IN TXT "v=spf1 " "-all"')),
    "hosts": (
        Question("example", "MX"),
        lambda query: response(query, "example. 60 IN MX 10 a.example.", "example. 60 IN MX 20 b.example."),
    ),
    "no such name": (A, lambda query: response(query, rcode=dns.rcode.NXDOMAIN, authority=[SOA])),
    "no such record": (A, lambda query: response(query, authority=[SOA])),
    "stale": (A, lambda query: response(query, *OF_TWO, ede=(3, "stale answer"))),
}
_REAL_TIME = 3.0


def message(name: str) -> tuple[wire.Query, bytes]:
    question, answer = MESSAGES[name]
    query = wire.query(question)
    return query, answer(b"\x12\x34" + query.tail)


def known(question: Question) -> tuple[KnownAnswer, Callable[[bytes, float], bool]]:
    """An answer that is held, and how a message for it is read."""
    answers = KnownAnswers(FakeClock())
    answer = answers.hold(HeardAnswer(question, 0, 0, exists=True))
    return answer, partial(answers.read, answer)


@pytest.mark.parametrize(
    "name",
    [
        "example.com",
        ".",
        "_dmarc.example.com",
        "UPPER.example",
        r"a\.b.example",
        r"\000.example",
        r"\255\".example",
        "a" * 63,
    ],
)
@pytest.mark.parametrize("rdtype", ["A", "TXT", "MX", "SPF"])
def test_the_query_is_made_again_from_its_octets(name: str, rdtype: str) -> None:
    answers, question = KnownAnswers(FakeClock()), Question(name, rdtype)
    assert answers.query(answers.hold(HeardAnswer(question, 0, 0, exists=True))) == wire.query(question)


@pytest.mark.parametrize("name", MESSAGES)
def test_an_answer_that_was_read_is_recognised_with_other_ids_and_ttls(name: str) -> None:
    query, octets = message(name)
    answer, read = known(query.question)
    assert not answer.recognise(octets, 0.0)
    assert read(octets, 0.0)
    assert answer.digest == digest(wire.decode(octets, query))
    later = bytearray(octets)
    later[:2] = b"\xab\xcd"
    for at in answer.forms[2]:
        later[at : at + 4] = (7).to_bytes(4)
    answer.digest = 0
    assert answer.recognise(bytes(later), 100.0)
    assert answer.digest == digest(wire.decode(octets, query))
    assert answer.until == 107.0


@pytest.mark.parametrize("name", MESSAGES)
def test_no_octet_can_change_without_being_noticed(name: str) -> None:
    """Whatever is recognised, says the same when it is read; for each octet, and for each length."""
    query, octets = message(name)
    answer, read = known(query.question)
    assert read(octets, 0.0)
    said = answer.digest
    free = {0, 1} | {at + n for at in answer.forms[2] for n in range(4)}
    for at in range(len(octets)):
        for flip in (0x01, 0x80, 0xFF):
            other = octets[:at] + bytes([octets[at] ^ flip]) + octets[at + 1 :]
            assert answer.recognise(other, 0.0) == (at in free)
            if at in free:
                assert digest(wire.decode(other, query)) == said
        assert not answer.recognise(octets[:at], 0.0)
    assert not answer.recognise(octets + b"\0", 0.0)


@settings(max_examples=100, deadline=None)
@given(name=st.sampled_from(sorted(MESSAGES)), data=st.data())
def test_whatever_is_recognised_says_the_same_when_it_is_read(name: str, data: st.DataObject) -> None:
    query, octets = message(name)
    answer, read = known(query.question)
    read(octets, 0.0)
    places = [*range(len(octets)), *(at + n for at in answer.forms[2] for n in range(4))]
    other = bytearray(octets)
    for at in data.draw(st.lists(st.sampled_from(places), min_size=1, max_size=4)):
        other[at] = data.draw(st.integers(0, 255))
    if answer.recognise(bytes(other), 0.0):
        said = wire.decode(bytes(other), query)
        assert said.status.conclusive
        assert digest(said) == answer.digest


def test_an_answer_counts_for_as_long_as_the_cache_would_keep_it() -> None:
    for name, ttl, kept in (("addresses", 60, 60.0), ("no such name", 300, 300.0), ("alias", 60, 30.0)):
        query, octets = message(name)
        answer, read = known(query.question)
        for learn in (read, answer.recognise):
            assert learn(octets, 1000.0)
            assert answer.until == 1000.0 + kept, (name, ttl)


@pytest.mark.parametrize("ttl", [0x8000_0000, 0xFFFF_FFFF])
def test_a_ttl_with_the_highest_bit_counts_as_zero(ttl: int) -> None:
    query, octets = message("addresses")
    answer, read = known(query.question)
    read(octets, 0.0)
    other = bytearray(octets)
    for at in answer.forms[2]:
        other[at : at + 4] = ttl.to_bytes(4)
    assert answer.recognise(bytes(other), 1000.0)
    assert answer.until == 1000.0


def test_records_in_turn_are_known_forms_of_one_answer() -> None:
    query = wire.query(A)
    records = [f"www.example. 60 IN A 192.0.2.{n}" for n in range(FORMS)]
    turns = [response(bytes(2) + query.tail, *records[n:], *records[:n]) for n in range(FORMS)]
    answer, read = known(A)
    for turn in turns:
        assert read(turn, 0.0)
    for turn in turns:
        said, answer.digest = answer.digest, 0
        assert answer.recognise(turn, 0.0)
        assert answer.digest == said


def test_no_more_forms_than_a_few_are_kept() -> None:
    query = wire.query(A)
    answer, read = known(A)
    for n in range(3 * FORMS):
        assert read(response(bytes(2) + query.tail, f"www.example. 60 IN A 192.0.2.{n}"), 0.0)
    assert len(answer.forms) == FORMS * FIELDS


# --- over sockets -----------------------------------------------------------------------------------------------------


async def renewed(script: Script, tcp: Script | None = None) -> tuple[bool, bool, list[str]]:
    """After an honest answer, and then this: is it known, is it the same, and over what was asked?"""
    clock = FakeClock()
    answers = KnownAnswers(clock)
    async with Hostile(script, tcp) as server, resolving(server, clock=clock, timeout=_REAL_TIME) as resolver:
        query = wire.query(A)
        (octets,) = honest(bytes(2) + query.tail)
        said = digest(wire.decode(octets, query))
        answer = answers.hold(HeardAnswer(A, said, 0, exists=True))
        unknown, _ = await answers.renew([answer], resolver)
        return answer not in unknown, answer.digest == said, server.transports


async def test_the_same_again() -> None:
    assert await renewed(honest) == (True, True, ["udp"])


async def test_another_answer_is_known_to_be_another() -> None:
    assert await renewed(lambda query: [response(query, "www.example. 60 IN A 203.0.113.66")]) == (True, False, ["udp"])


async def test_no_such_name_is_another_answer() -> None:
    assert await renewed(lambda query: [response(query, rcode=dns.rcode.NXDOMAIN, authority=[SOA])]) == (
        True,
        False,
        ["udp"],
    )


async def test_what_is_truncated_is_asked_over_tcp() -> None:
    known, same, transports = await renewed(truncated, over_tcp)
    assert (known, same, transports[-1]) == (True, True, "tcp")


async def test_what_is_truncated_for_good_is_not_known() -> None:
    cut: Script = lambda query: [response(query, "www.example. 60 IN A 192.0.2.1", flags=dns.flags.TC)]  # noqa: E731  (a script)
    known, _, _ = await renewed(cut)
    assert not known


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED], ids=str)
async def test_a_failure_is_not_known(rcode: dns.rcode.Rcode) -> None:
    known, _, _ = await renewed(saying(rcode))
    assert not known


async def test_a_forged_answer_that_the_resolver_admits_is_not_known() -> None:
    known, _, _ = await renewed(saying(dns.rcode.NOERROR, ede=(4, "forged")))
    assert not known


async def test_octets_that_are_no_message_are_not_known() -> None:
    def broken(query: bytes) -> Iterable[bytes]:
        return [honest(query)[0][:-3]]  # type: ignore[index]  # a list

    known, _, _ = await renewed(broken)
    assert not known


async def test_what_counts_still_is_not_asked() -> None:
    clock = FakeClock()
    answers = KnownAnswers(clock)
    async with Hostile(honest) as server, resolving(server, clock=clock, timeout=_REAL_TIME) as resolver:
        answer = answers.hold(HeardAnswer(A, 1, 60, exists=True))
        assert await answers.renew([answer], resolver) == (set(), 0.0)
        assert server.seen == []
        clock.pass_(60.0)
        await answers.renew([answer], resolver)
        assert len(server.seen) == 1


def test_two_who_heard_different_answers_make_it_asked_anew() -> None:
    clock = FakeClock()
    answers = KnownAnswers(clock)
    one = answers.hold(HeardAnswer(A, 1, 300, exists=True))
    assert one.until > clock.monotonic()
    assert answers.hold(HeardAnswer(A, 2, 300, exists=True)) is one
    assert one.until < clock.monotonic()


def test_a_question_is_held_for_as_long_as_anybody_needs_it() -> None:
    answers = KnownAnswers(FakeClock())
    heard = HeardAnswer(A, 1, 300, exists=True)
    one, same = answers.hold(heard), answers.hold(heard)
    other = answers.hold(replace_question(heard))
    assert len(answers) == 2
    answers.release([one, other])
    assert len(answers) == 1
    answers.release([same])
    assert len(answers) == 0


def replace_question(heard: HeardAnswer) -> HeardAnswer:
    return heard._replace(question=Question("other.example", "A"))
