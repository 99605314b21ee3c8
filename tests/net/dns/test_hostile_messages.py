"""Hostile messages through the real path: sockets, attempts, reader. Nothing is raised, no false data is believed."""

from __future__ import annotations

import asyncio
import gc
import random
import re
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterable

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import pytest

from exporter.mail.dns import Question, Rdata, Reply, Status
from exporter.net.dns import wire
from tests.support.hostile import Hostile, framed, response
from tests.support.messages import HERE, rr
from tests.support.resolving import resolving
from tests.support.torture import seed, size

AT_ONCE = 48
LONGEST = 0.05  # seconds of CPU to read one message
TYPES = {
    "A": ["A 192.0.2.1", "A 192.0.2.2"],
    "AAAA": ["AAAA 2001:db8::1"],
    "MX": ["MX 10 mx1.x.example.", "MX 20 mx2.x.example."],
    "TXT": ['TXT "v=spf1 -all"', 'TXT "b" "c"'],
    "SOA": ["SOA a.x. b.x. 1 2 3 4 5"],
    "TLSA": ["TLSA 3 1 1 " + "ab" * 32],
    "PTR": ["PTR host.x.example."],
    "NS": ["NS ns1.x.example.", "NS ns2.x.example."],
}
PIECES = [
    HERE,
    b"\xc0\x0e",
    b"\xff",
    b"\1a",
    b"\0",
    b"\0\x0f\0\1",
    b"\0\5\0\1",
    b"\0\0\0\x3c",
    b"\0\2",
    b"\0\4",
    b"\0\x29",
]


_SPECIAL = re.compile(rb"(\xc0.)\x00[\xfa\x29]", re.DOTALL)  # a TSIG or OPT record of a name


class Liar:
    """Makes hostile answers to a query, and remembers them by the name that was asked."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.sent: dict[str, list[bytes]] = {}
        self.count = 0
        self.slowest = 0.0

    def udp(self, query: bytes) -> Iterable[bytes]:
        hostile = self._hostile(query)[: wire.LARGEST_UDP]
        self._note(query, hostile)
        # Whoever is not taken in by it, or does not take it for an answer, shall not wait for long.
        return [hostile, self._honest(query)]

    def tcp(self, query: bytes) -> Iterable[bytes]:
        hostile = self._hostile(query)[:65535]
        self._note(query, hostile)
        return [framed(hostile)]

    def _note(self, query: bytes, hostile: bytes) -> None:
        self.count += 1
        name, _ = _asked(query)
        self.sent.setdefault(name, []).append(hostile)

    def _honest(self, query: bytes) -> bytes:
        name, rdtype = _asked(query)
        return response(query, *(f"{name}. 60 IN {record}" for record in TYPES[rdtype]))

    def _hostile(self, query: bytes) -> bytes:
        chance = self.chance
        name, rdtype = _asked(query)
        own = [f"{name}. 60 IN {record}" for record in TYPES[rdtype]]
        match chance.randrange(8):
            case 0:  # the octets of an honest answer, some of them wrong
                return self._bent(self._honest(query), chance.randrange(1, 9))
            case 1:  # an alias, bent
                own = [f"{name}. 60 IN CNAME y.{name}.", *(line.replace(name, f"y.{name}", 1) for line in own)]
                return self._bent(response(query, *own), chance.randrange(4))
            case 2:  # cut, or longer than it says
                whole = self._honest(query)
                cut = chance.randrange(12, len(whole))
                return whole[:cut] if chance.random() < 0.5 else whole + chance.randbytes(chance.randrange(1, 64))
            case 3:  # any octets behind the question
                return self._behind(query, chance.randbytes(chance.randrange(0, 300)))
            case 4:  # almost honest pieces
                return self._behind(query, b"".join(chance.choices(PIECES, k=chance.randrange(40))))
            case 5:  # very many small records, or names without end
                owner = chance.choice([HERE, b"\1a" * 100 + b"\0", b"\0"])
                data = chance.choice([HERE, b"\0\0" + HERE, b"\xc0\0\2\1", bytes(200)])
                number = int(wire.query(Question(name, rdtype)).rdtype)
                count = chance.choice([3, 60, 511, 4000])
                return self._behind(query, rr(owner, number, data) * count, (count, 0, 0))
            case 6:  # somebody else's data
                other = [line.replace(name, "evil.example", 1) for line in own]
                return response(query, *other, authority=[f"{name}. 60 IN NS evil.example."])
            case _:  # refusals, truncation, other opcodes
                flags = chance.choice([0, dns.flags.TC, dns.flags.AA])
                rcode = dns.rcode.Rcode.make(chance.choice([0, 1, 2, 3, 4, 5, 9]))
                return self._bent(response(query, *own[: chance.randrange(2)], rcode=rcode, flags=flags), 0)

    def _bent(self, message: bytes, octets: int) -> bytes:
        bent = bytearray(message)
        for _ in range(octets):
            bent[self.chance.randrange(2, len(bent))] = self.chance.randrange(256)
        return bytes(bent)

    def _behind(self, query: bytes, octets: bytes, counts: tuple[int, int, int] | None = None) -> bytes:
        counts = counts or tuple(self.chance.randrange(5) for _ in range(3))  # type: ignore[assignment]  # three of them
        end = query.index(b"\0\1", query.index(b"\0", 12)) + 2
        return query[:2] + struct.pack("!HHHHH", 0x8180, 1, *counts) + query[12:end] + octets  # type: ignore[misc]  # not None

    def believed(self, reply: Reply) -> bool:
        """Is the reply what the honest answer says, or what another reader finds in one of the messages?"""
        name, rdtype = reply.question
        own = [f"{name}. 60 IN {record}" for record in TYPES[rdtype]]
        query = wire.query(reply.question)
        honest = wire.decode(response(b"\0\0" + query.tail, *own), query)
        if reply.status is Status.ANSWER and set(reply.records) == set(honest.records):
            return True
        return any(_justified(reply, query, message) for message in self.sent.get(name, ()))

    def read(self, name: str, question: Question) -> None:
        """Read each message once more, to see how long that takes, without a look for garbage of the whole process."""
        query = wire.query(question)
        gc.disable()
        try:
            for message in self.sent.pop(name, ()):
                before = time.thread_time()
                if wire.answers(message, query):
                    wire.decode(message, query)
                self.slowest = max(self.slowest, time.thread_time() - before)
        finally:
            gc.enable()


def _asked(query: bytes) -> tuple[str, str]:
    (question,) = dns.message.from_wire(query).question
    return str(question.name)[:-1], dns.rdatatype.to_text(question.rdtype)


def _justified(reply: Reply, query: wire.Query, message: bytes) -> bool:
    if reply.status in (Status.NODATA, Status.NXDOMAIN):
        return message[3] & 0x0F in (0, 3) and not message[2] & 0x02
    if reply.question.rdtype == "TLSA":  # dnspython refuses those of which the meaning is not known
        return all(bytes((it.usage, it.selector, it.matching)) + it.data in message for it in reply.records)  # type: ignore[union-attr, operator]  # all are TLSA
    # dnspython gives up at a TSIG or OPT record among answers; whoever passes over it finds what stands behind it
    others = (message, _SPECIAL.sub(lambda it: it[1] + b"\xff\0", message))
    return any(set(reply.records) <= _found(it, reply, query) for it in others)


def _found(message: bytes, reply: Reply, query: wire.Query) -> set[Rdata]:
    """What dnspython reads there of the name that was asked, and of those that the reply was led to."""
    try:
        read = dns.message.from_wire(message, continue_on_error=True)
    except dns.exception.DNSException:
        return set()
    names = {dns.name.from_text(text).canonicalize() for text in (query.question.name, *reply.chain)}
    return {
        wire.record(rdata)
        for rrset in read.answer
        if rrset.rdtype == query.rdtype and rrset.rdclass == 1 and rrset.name.canonicalize() in names
        for rdata in rrset
    }


async def _attack(messages: int, chance: random.Random) -> tuple[Liar, Counter[Status]]:
    liar, told = Liar(chance), Counter[Status]()
    number = 0

    async def ask() -> None:
        nonlocal number
        while liar.count < messages:
            number += 1
            question = Question(f"n{number}.x.example", chance.choice(list(TYPES)))
            reply = await resolver.ask(question, fresh=True)
            told[reply.status] += 1
            if reply.status.conclusive:
                assert liar.believed(reply), (reply, liar.sent[question.name])
            else:
                assert not reply.records
            liar.read(question.name, question)

    async with (
        Hostile(liar.udp, liar.tcp) as server,
        resolving(server, timeout=2.0) as resolver,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(AT_ONCE):
            group.create_task(ask())
    return liar, told


@pytest.mark.torture
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_no_message_raises_or_makes_false_data(loop: str, record_property: Callable[[str, object], None]) -> None:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is an optional extra") if loop == "uvloop" else None
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if uvloop else None) as runner:
        liar, told = runner.run(_attack(size(1000, 500_000), random.Random(f"{seed()} {loop}")))
    assert liar.slowest <= LONGEST
    assert told[Status.ANSWER] > 0
    assert told[Status.MALFORMED] > 0
    assert told[Status.LOCAL_RESOURCES] == 0
    record_property("messages", liar.count)
    record_property("uncaught or false", 0)
    record_property("slowest read in ms", round(liar.slowest * 1000, 1))
