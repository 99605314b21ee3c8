"""Translates between DNS wire format and the types of exporter/mail/dns.py, and decides what an answer means.

The problem: answers come broken, incomplete and forged. If an answer is misread as "there is no such record", a false
verdict follows.

exporter/net/dns/frame.py reads the frame, with a budget. Only the records that answer the question are read, one by
one: by plain.py if they are plain, else by dnspython. The rules for an answer (RFC 1034 section 4.3.1, RFC 2308
section 2):

- Only records of the answer section count, and only those of the question's name and of the names that its CNAMEs lead
  to. An answer section about anything else is malformed; it does not prove absence.
- NXDOMAIN is about the last name of the CNAME chain (RFC 6604 section 3).
- NOERROR without records means NODATA if there is a SOA record of a zone above the name.
- Many resolvers leave the authority section out. So if a resolver (RA) or the zone's own server (AA) answers, NODATA
  needs no SOA record. But NS records make it a referral; RFC 2308 section 2.2 shows how alike both look.
- A resolver returns the whole CNAME chain. So a chain without an end is read by the same rules.
- If the resolver says that an answer is forged, blocked, censored or filtered (RFC 8914), it is a refusal.
- A stale answer (RFC 8767) is an answer, because receivers get it too.
"""

from __future__ import annotations

import struct
from functools import cache
from ipaddress import ip_address
from typing import Any, NamedTuple

import dns.exception
import dns.flags
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from exporter.mail.dns import MX, SOA, TLSA, TXT, Question, Rdata, Referral, Signature, Status
from exporter.net.dns import extended_errors, plain
from exporter.net.dns.frame import LONGEST_TTL, MOST_RECORDS, Frame, MalformedError, Walk, under
from exporter.text import printable

PAYLOAD = 1232  # octets of UDP we ask for: what fits any path unfragmented (DNS flag day 2020)
LARGEST_UDP = 16 * 1024
LONGEST_CHAIN = 16  # CNAMEs

# Plain numbers: arithmetic with dnspython's flags makes a new object each time.
_AA, _TC, _RD, _RA, _AD, _CD = (int(dns.flags.Flag[name]) for name in ("AA", "TC", "RD", "RA", "AD", "CD"))
_NOERROR, _NXDOMAIN = int(dns.rcode.NOERROR), int(dns.rcode.NXDOMAIN)
_IN = dns.rdataclass.IN
_CNAME = int(dns.rdatatype.CNAME)
_HEADER = struct.Struct("!HHHHHH")
_TWO = struct.Struct("!HH")
_RRSIG = struct.Struct("!H6xII")  # RFC 4034 section 3.1: type covered, ..., expiration, inception
_OPT = b"\0" + struct.pack("!HHIH", dns.rdatatype.OPT, PAYLOAD, 0, 0)
_NO_DATA = frozenset({dns.rdatatype.OPT, dns.rdatatype.TSIG})  # they stand in the additional section alone
_OPT_DO = b"\0" + struct.pack("!HHIH", dns.rdatatype.OPT, PAYLOAD, int(dns.flags.DO), 0)
_DISLIKES_EDNS = frozenset({dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.BADVERS})
_MAY_BE_BARE = frozenset({dns.rcode.FORMERR, dns.rcode.SERVFAIL, dns.rcode.NOTIMP, dns.rcode.REFUSED})
_MAY_STAND_BY = frozenset({dns.rdatatype.RRSIG, dns.rdatatype.DNAME, dns.rdatatype.NSEC, dns.rdatatype.NSEC3})
# Each octet of a label as text (RFC 1035 section 5.1, RFC 4343 section 2.1), as dnspython has it but for the case.
_SHOWN = tuple(
    f"\\{chr(octet)}" if octet in b'".;\\()@$' else chr(octet).lower() if 0x20 < octet < 0x7F else f"\\{octet:03d}"
    for octet in range(256)
)
_ADDRESSES = {int(dns.rdatatype.A): 4, int(dns.rdatatype.AAAA): 16}  # octets
_NAMES = {  # records whose data may hold compressed names: octets before the first, and how many
    dns.rdatatype.CNAME: (0, 1),
    dns.rdatatype.NS: (0, 1),
    dns.rdatatype.PTR: (0, 1),
    dns.rdatatype.MX: (2, 1),
    dns.rdatatype.SOA: (0, 2),
}


class Query(NamedTuple):
    """A question ready to be sent: two octets of id, then `tail`. `asked` is its question section."""

    question: Question
    rdtype: dns.rdatatype.RdataType
    asked: bytes
    tail: bytes
    iterative: bool = False


class Decoded(NamedTuple):
    """The meaning of one message. `detail` says to people why it is not conclusive."""

    status: Status
    records: tuple[Rdata, ...] = ()
    chain: tuple[str, ...] = ()
    ttl: int = 0
    authenticated: bool = False
    rcode: int = 0
    extended: tuple[tuple[int, str], ...] = ()
    detail: str = ""
    authoritative: bool = False  # this and what follows: of an iterative question only
    referral: Referral | None = None
    signature: Signature | None = None

    @property
    def dislikes_edns(self) -> bool:
        return self.rcode in _DISLIKES_EDNS

    @property
    def servfail(self) -> bool:
        return self.rcode == dns.rcode.SERVFAIL

    @property
    def blames_dnssec(self) -> bool:
        return any(code in extended_errors.DNSSEC for code, _ in self.extended)

    @property
    def extended_errors(self) -> tuple[str, ...]:
        return tuple(extended_errors.shown(code, text) for code, text in self.extended)


class _Message(NamedTuple):
    flags: int
    rcode: int
    answer: list[Frame]
    authority: list[Frame]
    additional: list[Frame]


def query(question: Question, *, checking_disabled: bool = False) -> Query:
    """Raise ValueError if the name cannot be asked, dns.rdatatype.UnknownRdatatype if the type does not exist.

    AD in a query asks for AD in the answer (RFC 6840 section 5.7) without the signatures that DO would bring.
    """
    rdtype = _rdtype(question.rdtype)
    asked = _wire_name(question.name) + _TWO.pack(rdtype, _IN)
    flags = _RD | _AD | (_CD if checking_disabled else 0)
    head = _HEADER.pack(0, flags, 1, 0, 0, 1)
    return Query(question, rdtype, asked, head[2:] + asked + _OPT)


def iterative_query(question: Question) -> Query:
    """The question for a server of the zone itself: without recursion, with the signatures. Raises like `query`."""
    rdtype = _rdtype(question.rdtype)
    asked = _wire_name(question.name) + _TWO.pack(rdtype, _IN)
    head = _HEADER.pack(0, 0, 1, 0, 0, 1)
    return Query(question, rdtype, asked, head[2:] + asked + _OPT_DO, iterative=True)


def without_edns(to: Query) -> Query:
    """The same question for a nameserver that does not know EDNS (RFC 6891 section 7)."""
    return to._replace(tail=to.tail[:8] + b"\0\0" + to.asked)


def answers(message: bytes, to: Query) -> bool:
    """Is this a response to the question, octet by octet? Some errors come without the question."""
    if len(message) < _HEADER.size or message[2] & 0xF8 != 0x80:
        return False
    if message[4:6] == b"\0\1":
        return message.startswith(to.asked, _HEADER.size)
    return message[4:10] == bytes(6) and message[3] & 0x0F in _MAY_BE_BARE


def decode(message: bytes, to: Query) -> Decoded:
    """Decide what a message means that `answers` the question. Never raises, and stays within the budget."""
    try:
        return _plain_absence(message, to) or _decode(message, to)
    except MalformedError as wrong:
        return Decoded(Status.MALFORMED, detail=f"sends an answer that {wrong}")
    except (struct.error, IndexError):
        return Decoded(Status.MALFORMED, detail="sends an answer that ends too early")
    except dns.exception.DNSException as wrong:
        return Decoded(Status.MALFORMED, detail=f"sends a record that cannot be read: {printable(wrong, 120)}")


def _plain_absence(message: bytes, to: Query) -> Decoded | None:
    ttl = None if to.iterative else plain.absence(message, _HEADER.size + len(to.asked))
    if ttl is None:
        return None
    status = Status.NXDOMAIN if message[3] & 0x0F else Status.NODATA
    return Decoded(status, (), (), ttl, bool(message[3] & _AD), message[3] & 0x0F)


def _decode(message: bytes, to: Query) -> Decoded:
    _, flags, questions, *counts = _HEADER.unpack_from(message)
    rcode = flags & 0x0F
    if flags & _TC:
        return Decoded(Status.TRUNCATED, rcode=rcode, detail="sends a truncated answer")
    if not questions:
        return _refusal(rcode, ())
    if sum(counts) > MOST_RECORDS:
        raise MalformedError(f"has more than {MOST_RECORDS} records")
    walk = Walk(message)
    name, _ = walk.name(_HEADER.size)
    at = _HEADER.size + len(to.asked)
    answer, at = walk.frames(at, counts[0])
    authority, at = walk.frames(at, counts[1])
    additional, at = walk.frames(at, counts[2])
    if at != len(message):
        raise MalformedError("has bytes after its last record")
    extended: tuple[tuple[int, str], ...] = ()
    options = [frame for frame in additional if frame.rdtype == dns.rdatatype.OPT]
    if len(options) > 1:
        raise MalformedError("has more than one OPT record")  # RFC 6891 section 6.1.1
    if any(frame.rdtype in _NO_DATA for frame in (*answer, *authority)):
        raise MalformedError("has an OPT or TSIG record among its answers")  # RFC 8945 section 5.1
    if options:
        rcode |= options[0].raw_ttl >> 24 << 4  # RFC 6891 section 6.1.3
        extended = extended_errors.read(message, options[0])
    if rcode not in (_NOERROR, _NXDOMAIN):
        return _refusal(rcode, extended)
    modified = next((error for error in extended if error[0] in extended_errors.MODIFIED), None)
    if modified:
        detail = f"does not say what the zone says, as it admits: {extended_errors.shown(*modified)}"
        return Decoded(Status.REFUSED, extended=extended, detail=detail)
    read = _Message(flags, rcode, answer, authority, additional)
    said = _judge(walk, to, name, read)
    if extended:
        said = said._replace(extended=extended)
    return _with_authority(walk, to, name, read, said) if to.iterative else said


def _with_authority(walk: Walk, to: Query, name: bytes, message: _Message, said: Decoded) -> Decoded:
    """Add what only a server of the zone can say: is it one, does it refer us to others, when do signatures end."""
    referral = None if said.status is Status.ANSWER else _referral(walk, message)
    return said._replace(
        detail="gives a referral" if referral else said.detail,
        authoritative=bool(message.flags & _AA),
        referral=referral,
        signature=_signature(walk, to, name, message),
    )


def _referral(walk: Walk, message: _Message) -> Referral | None:
    """RFC 1034 section 4.3.2, step 3b. An answer of the zone itself may have NS records there, too, but then has AA."""
    cuts = [frame for frame in message.authority if frame.rdtype == dns.rdatatype.NS and frame.rdclass == _IN]
    if not cuts or message.flags & _AA:
        return None
    targets: dict[bytes, str] = {}
    for frame in cuts:
        if frame.owner == cuts[0].owner:
            walk.charge(frame, 0, 1)
            name, _ = walk.name(frame.start)
            targets.setdefault(name, _text(name))
    glue = tuple(
        (targets[frame.owner], ip_address(walk.message[frame.start : frame.end]))
        for frame in message.additional
        if frame.owner in targets and frame.rdclass == _IN and _ADDRESSES.get(frame.rdtype) == frame.length
    )
    return Referral(_text(cuts[0].owner), tuple(targets.values()), glue)


def _signature(walk: Walk, to: Query, name: bytes, message: _Message) -> Signature | None:
    """Of what stands at the name itself. A validator needs one good signature (RFC 4035 section 5.3.3)."""
    found = []
    for frame in message.answer:
        if frame.rdtype == dns.rdatatype.RRSIG and frame.owner == name and frame.length >= _RRSIG.size:
            covered, ends, begins = _RRSIG.unpack_from(walk.message, frame.start)
            if covered in (to.rdtype, dns.rdatatype.CNAME):
                found.append(Signature(begins, ends))
    return max(found, key=lambda signature: signature.ends, default=None)


def _text(name: bytes) -> str:
    return name_text(dns.name.from_wire(name, 0)[0])


def _judge(walk: Walk, to: Query, name: bytes, message: _Message) -> Decoded:
    """What the answer and authority sections say about a name, by the rules at the top of this file."""
    chain: list[str] = []
    seen = {name}
    ttls = [LONGEST_TTL]
    names = plain.Names(walk.message)
    while True:
        here = [frame for frame in message.answer if frame.owner == name and frame.rdclass == _IN]
        wanted = [frame for frame in here if frame.rdtype == to.rdtype]
        if wanted:
            break
        aliases = [frame for frame in here if frame.rdtype == _CNAME]
        if not aliases:
            break
        if len({walk.name(alias.start)[0] for alias in aliases}) > 1:
            raise MalformedError("has two CNAME records at one name")  # RFC 2181 section 10.1
        ttls.append(aliases[0].ttl)
        chain.append(str(_record(walk, names, dns.rdatatype.CNAME, aliases[0])))
        name, _ = walk.name(aliases[0].start)
        if name in seen:
            return Decoded(Status.SERVFAIL, detail="answers with a cname loop")
        if len(chain) > LONGEST_CHAIN:
            return Decoded(Status.SERVFAIL, detail=f"answers with more than {LONGEST_CHAIN} CNAMEs in a row")
        seen.add(name)
    absent = message.rcode == _NXDOMAIN
    secure = bool(message.flags & _AD)
    if wanted:
        if absent:
            raise MalformedError("says NXDOMAIN and has the records all the same")
        # RFC 2181 section 5: twice is once
        records = dict.fromkeys([_record(walk, names, to.rdtype, frame) for frame in wanted])
        ttl = min(*ttls, *[frame.ttl for frame in wanted])
        return Decoded(Status.ANSWER, tuple(records), tuple(chain), ttl, secure)
    others = [frame for frame in message.answer if frame.rdtype not in _MAY_STAND_BY]
    if any(frame.owner not in seen for frame in others):
        raise MalformedError("answers another name")
    if any(frame.rdtype != dns.rdatatype.CNAME for frame in others):
        raise MalformedError("answers another type")
    soa = next((f for f in message.authority if f.rdtype == dns.rdatatype.SOA and under(name, f.owner)), None)
    if soa is None and not absent:
        referral = any(frame.rdtype == dns.rdatatype.NS for frame in message.authority)
        if not message.flags & (_AA if referral else _AA | _RA):
            return Decoded(Status.REFUSED, detail="gives a referral, not an answer: it does not resolve")
    ttl = min(*ttls, soa.ttl, _minimum(walk, soa)) if soa else 0  # RFC 2308 section 5: without a SOA, not kept
    return Decoded(
        Status.NXDOMAIN if absent else Status.NODATA, (), tuple(chain), ttl, authenticated=secure, rcode=message.rcode
    )


def _record(walk: Walk, names: plain.Names, rdtype: dns.rdatatype.RdataType, frame: Frame) -> Rdata:
    if rdtype in _NAMES:
        walk.charge(frame, *_NAMES[rdtype])
    elif rdtype in (dns.rdatatype.TXT, dns.rdatatype.SPF):
        walk.charge_strings(frame)
    elif rdtype == dns.rdatatype.TLSA:  # dnspython refuses digests of another length than they should have
        return _association(walk.message[frame.start : frame.end])
    read = plain.record(names, walk.message, frame.rdtype, frame.start, frame.end)
    return (
        read if read is not None else record(dns.rdata.from_wire(_IN, rdtype, walk.message, frame.start, frame.length))
    )


def record(rdata: Any) -> Rdata:
    """One rdata of dnspython's (whose attributes depend on its type) as one of our records."""
    match rdata.rdtype:
        case dns.rdatatype.A | dns.rdatatype.AAAA:
            return ip_address(rdata.address)
        case dns.rdatatype.MX:
            return MX(rdata.preference, name_text(rdata.exchange))
        case dns.rdatatype.TXT | dns.rdatatype.SPF:
            return TXT(tuple(rdata.strings))
        case dns.rdatatype.SOA:
            return SOA(name_text(rdata.mname), name_text(rdata.rname), rdata.serial, rdata.refresh)
        case dns.rdatatype.TLSA:
            return _association(rdata.to_wire())
        case dns.rdatatype.PTR | dns.rdatatype.NS | dns.rdatatype.CNAME:
            return name_text(rdata.target)
        case _:
            return str(rdata.to_text())


def _association(data: bytes) -> TLSA:
    if len(data) < 3:
        raise MalformedError("has a TLSA record that ends too early")
    return TLSA(data[0], data[1], data[2], data[3:])


def name_text(name: dns.name.Name) -> str:
    """Presentation format, lower case, without the trailing dot; the root is "."."""
    labels = name.labels[:-1]
    return ".".join(["".join([_SHOWN[octet] for octet in label]) for label in labels]) or "."


def _minimum(walk: Walk, soa: Frame) -> int:
    """The MINIMUM field of a SOA record: behind two names and four other numbers."""
    _, at = walk.name(soa.start)
    _, at = walk.name(at)
    if at + 20 != soa.end:
        raise MalformedError("has a SOA record of the wrong length")
    return int.from_bytes(walk.message[soa.end - 4 : soa.end])


def _refusal(rcode: int, extended: tuple[tuple[int, str], ...]) -> Decoded:
    status = Status.REFUSED if rcode == dns.rcode.REFUSED else Status.SERVFAIL
    said = dns.rcode.to_text(dns.rcode.Rcode.make(rcode))
    return Decoded(status, rcode=rcode, extended=extended, detail=f"answers {said}")


@cache
def _rdtype(text: str) -> dns.rdatatype.RdataType:
    return dns.rdatatype.from_text(text)


def _wire_name(text: str) -> bytes:
    if not text.isascii():
        raise ValueError("the name is not ASCII")
    if "\\" in text or text == ".":
        try:
            return dns.name.from_text(text).to_wire() or b""
        except dns.exception.DNSException as wrong:
            raise ValueError(f"no such name can be: {wrong}") from None
    labels = text.encode("ascii").split(b".")
    if not all(0 < len(label) < 64 for label in labels):
        raise ValueError("the name has an empty label, or one of more than 63 bytes")
    name = b"".join([len(label).to_bytes() + label for label in labels]) + b"\0"
    if len(name) > 255:
        raise ValueError("the name is longer than 255 bytes")
    return name
