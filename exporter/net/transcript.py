"""The questions and answers of one run, as a person reads them. Their size is limited, and remote text is escaped."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.mail.dns import MX, SOA, TXT, Reply, ServerReply, Status
from exporter.model import Exchange
from exporter.text import EVIDENCE_LIMIT, minute, printable

TRANSCRIPT_LIMIT = 200  # exchanges of one run
LINES_LIMIT = 60  # of one exchange
TEXT_LIMIT = 65536  # characters of one run: a fleet keeps many transcripts, and what fills them is remote
_WORDS = {status: str(status).upper() for status in Status}


class Transcript:
    """The exchanges of one run, in order, bounded."""

    def __init__(self) -> None:
        self._exchanges: list[Exchange] = []
        self._left_out = 0
        self._room = TEXT_LIMIT

    def note(self, asked: str, got: tuple[str, ...], via: str = "", seconds: float = 0.0) -> None:
        if len(self._exchanges) == TRANSCRIPT_LIMIT or self._room <= 0:
            self._left_out += 1
            return
        lines, text = got, "".join(got)
        if len(got) > LINES_LIMIT or len(text) > EVIDENCE_LIMIT or not (text.isascii() and text.isprintable()):
            lines = tuple(printable(line) for line in got[:LINES_LIMIT])
            if len(got) > LINES_LIMIT:
                lines += (f"… {len(got) - LINES_LIMIT} more lines",)
            text = "".join(lines)
        self._room -= len(text) + len(asked)
        self._exchanges.append(Exchange(printable(asked), lines, via, seconds))

    def freeze(self) -> tuple[Exchange, ...]:
        if self._left_out:
            return (*self._exchanges, Exchange(f"… {self._left_out} more exchanges", (), "", 0.0))
        return tuple(self._exchanges)


def shown(reply: Reply) -> tuple[str, ...]:
    """A reply line by line: what it says as a whole, then each record."""
    server = reply if isinstance(reply, ServerReply) else None
    head = _WORDS[reply.status]
    if reply.authenticated:
        head += " AD"
    if server and server.authoritative:
        head += " AA"
    if reply.status.conclusive:
        head += f" ttl={reply.ttl}"
    if reply.detail:
        head += f" {reply.detail}"
    rdtype = reply.question.rdtype
    return (
        head,
        *reply.extended_errors,
        *[f"CNAME {target}" for target in reply.chain],
        *[_text(record, rdtype) for record in reply.records],
        *(_elsewhere(server) if server else ()),
    )


def _elsewhere(reply: ServerReply) -> Iterator[str]:
    if reply.referral:
        for name in reply.referral.nameservers:
            yield f"referral: {reply.referral.zone} NS {name}"
        for name, ip in reply.referral.glue:
            yield f"glue: {name} {ip}"
    if reply.signature:
        yield f"signed from {minute(reply.signature.begins)} to {minute(reply.signature.ends)}"


def _text(record: object, rdtype: str) -> str:
    if isinstance(record, MX):
        return f"MX {record.preference} {record.exchange}"
    if isinstance(record, TXT):
        return f"{rdtype} " + " ".join([f'"{it.decode("utf-8", "backslashreplace")}"' for it in record.strings])
    if isinstance(record, SOA):
        return f"SOA {record.mname} {record.rname} {record.serial}"
    return f"{rdtype} {record}"
