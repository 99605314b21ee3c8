"""Certificates vouched for by DNS instead of by authorities: DANE for SMTP (RFC 6698, RFC 7671, RFC 7672).

Between mail servers TLS is opportunistic: whoever sits on the way can take the offer of STARTTLS away, or show a
certificate of his own, and mail is delivered all the same. A mail host that wants better publishes TLSA records under
its own name, `_25._tcp.mx.example.com`. They say two things to a sender that knows DANE: here is always TLS, and the
certificate is one of these. From then on such a sender delivers in no other way. TLSA records that do not fit what
the host shows are therefore worse than none: mail waits in the queues of careful senders, and then comes back.

A record has four fields (RFC 6698 section 2.1), as in `3 1 1 8cb0fc6c...`:

    usage      0 PKIX-TA, 1 PKIX-EE   need an authority that both sides trust, which between mail servers there is not:
                                      not to be used for SMTP, and of no effect (RFC 7672 section 3.1.3)
               2 DANE-TA              an issuer of the certificate; it has to be among the certificates that the server
                                      sends, and name and dates count (section 3.1.2)
               3 DANE-EE              the server's own certificate; its name and dates do not count (section 3.1.1)
    selector   0 the whole certificate, 1 its key (SubjectPublicKeyInfo), which outlives a renewal with the same key
    matching   0 the octets themselves, 1 their SHA-256, 2 their SHA-512
    data       32 or 64 octets for a digest

A record with another number, or data that cannot be that, is *unusable* (RFC 6698 section 4.1). Where all are, a sender
still insists on TLS, but verifies nothing (RFC 7672 section 2.2). Beside a stronger digest with the same usage and
selector a weaker one is ignored (RFC 7671 section 9): if both are published, both must be right.

All this is worth something only if DNSSEC proves it, step by step (RFC 7672 section 2.2): the MX records of the domain,
else nobody knows whether it is the right host (section 2.2.1); the addresses of the host, else the TLSA records are
not even asked for (section 2.2.2); the TLSA records themselves, else they count as none. The name below which they
stand is the *base domain*. For an alias it is the name at the end, if all on the way there is proven, and only if that
has none, or is not proven, the alias itself (section 2.2.3). An answer that is missing is something else than a proof
that there is none: when the question for TLSA fails, senders put the mail off (section 2.1.2).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from exporter.facts import IP
from exporter.mail import names
from exporter.mail.dns import TLSA, Evaluation, Question, Reply

PKIX = frozenset({0, 1})
DANE_TA, DANE_EE = 2, 3
CERTIFICATE, KEY = 0, 1
WHOLE, SHA_256, SHA_512 = 0, 1, 2

_DIGESTS = {SHA_256: 32, SHA_512: 64}  # octets


def malformed(record: TLSA) -> str:
    """Why the record can never mean anything, or the empty text."""
    if record.usage not in (*PKIX, DANE_TA, DANE_EE):
        return f"there is no usage {record.usage}"
    if record.selector not in (CERTIFICATE, KEY):
        return f"there is no selector {record.selector}"
    if record.matching not in (WHOLE, *_DIGESTS):
        return f"there is no matching type {record.matching}"
    wanted = _DIGESTS.get(record.matching)
    if wanted and len(record.data) != wanted:
        return f"a digest of {len(record.data)} bytes, instead of {wanted}"
    if record.matching == WHOLE and not _is_sequence(record.data):
        return f"no {'key' if record.selector == KEY else 'certificate'} but {len(record.data)} other bytes"
    return ""


def _is_sequence(data: bytes) -> bool:
    """Is it one DER value of the kind that certificates and keys are, and nothing behind it?"""
    if len(data) < 2 or data[0] != 0x30:
        return False
    extra = data[1] & 0x7F if data[1] & 0x80 else 0
    length = int.from_bytes(data[2 : 2 + extra]) if extra else data[1]
    return len(data) == 2 + extra + length


def usable(records: Iterable[TLSA]) -> tuple[TLSA, ...]:
    """Those that senders of mail go by; of digests of one thing, the strongest alone."""
    fit = [record for record in records if record.usage not in PKIX and not malformed(record)]
    best: dict[tuple[int, int], int] = {}
    for record in fit:
        what = record.usage, record.selector
        best[what] = max(best.get(what, WHOLE), record.matching)
    return tuple(r for r in fit if r.matching in (WHOLE, best[r.usage, r.selector]))


@dataclass(frozen=True, slots=True)
class TlsaLookup:
    """What DNS says of one host. `answers` are the answered questions for TLSA records.

    `found` are the records that senders use, with the `base` domain they stand below. `unproven` is the first answer
    that would have been of use if DNSSEC had proven it, or a question that failed where senders may not even ask.
    `doubt` is the first question that senders, too, need an answer to, and that had none.
    """

    addresses: tuple[IP, ...] = ()
    answers: tuple[Reply, ...] = ()
    base: str = ""
    found: tuple[TLSA, ...] = ()
    unproven: Reply | None = None
    doubt: Reply | None = None


def place(host: str, port: int) -> str:
    """Where TLSA records of a service stand (RFC 6698 section 3)."""
    return f"_{port}._tcp.{host}"


def look_up(host: str, port: int) -> Evaluation[TlsaLookup]:
    """The addresses of a host and its TLSA records, as RFC 7672 section 2.2 has senders find them."""
    v4 = yield Question(host, "A")
    v6 = yield Question(host, "AAAA")
    doubt = next((reply for reply in (v4, v6) if not reply.status.conclusive), None)
    there = [reply for reply in (v4, v6) if reply.exists]
    if not there:
        return TlsaLookup(doubt=doubt)
    addresses = tuple(sorted(v4.addresses + v6.addresses, key=names.order))
    last = next((reply.chain[-1] for reply in there if reply.chain), host)
    if all(reply.authenticated for reply in there):
        believed = {last, host}
    elif last == host:
        believed = set()
    else:
        alias = yield Question(host, "CNAME")
        if not alias.status.conclusive:
            doubt = doubt or alias
        believed = {host} if alias.exists and alias.authenticated else set()
    answers: list[Reply] = []
    unproven: Reply | None = None
    for base in dict.fromkeys((last, host)):
        reply = yield Question(place(base, port), "TLSA")
        if reply.status.conclusive:
            answers.append(reply)
        elif base in believed:
            return TlsaLookup(addresses, tuple(answers), unproven=unproven, doubt=reply)
        if reply.exists and reply.authenticated and base in believed:
            return TlsaLookup(addresses, tuple(answers), base, reply.associations, unproven, doubt)
        if not reply.void and (base == host or not reply.authenticated):  # else it is the host's own name that lacks it
            unproven = unproven or reply
    return TlsaLookup(addresses, tuple(answers), unproven=unproven, doubt=doubt)
