"""A resolver that answers from the text of a zone: scenarios run with it when they run in memory."""

from __future__ import annotations

import dns.name
import dns.rcode
import dns.rdatatype

from exporter.demo.nameserver import ServerFault, ZoneData
from exporter.mail.dns import Question, Reply, Status
from exporter.net.dns.wire import name_text, record

_FAULTS = {
    ServerFault.SERVFAIL: Status.SERVFAIL,
    ServerFault.REFUSED: Status.REFUSED,
    ServerFault.TIMEOUT: Status.TIMEOUT,
    ServerFault.BOGUS: Status.BOGUS,
    ServerFault.MALFORMED: Status.MALFORMED,
}


class MemoryResolver:
    """`asked` lists the questions in order."""

    def __init__(self, zone: ZoneData) -> None:
        self._zone = zone
        self.asked: list[Question] = []

    async def ask(self, question: Question, *, fresh: bool = False, tcp: bool = False) -> Reply:
        self.asked.append(question)
        name = dns.name.from_text(question.name)
        fault = self._zone.fault(name, question.rdtype)
        if fault is ServerFault.NO_TCP and tcp:
            return Reply(question, Status.TIMEOUT, server="memory")
        if fault in _FAULTS:
            told = ("EDE 6 (dnssec bogus): signature verification failed",) if fault is ServerFault.BOGUS else ()
            return Reply(question, _FAULTS[fault], server="memory", extended_errors=told)
        found = self._zone.find(name, question.rdtype)
        if found.rcode == dns.rcode.SERVFAIL:
            return Reply(question, Status.SERVFAIL, server="memory")
        chain = tuple(name_text(r[0].target) for r in found.answer if r.rdtype == dns.rdatatype.CNAME)
        last = found.answer[-1] if found.answer else None
        if last is not None and dns.rdatatype.to_text(last.rdtype) == question.rdtype:
            chain = chain if question.rdtype != "CNAME" else ()
            records = tuple(record(r) for r in last)
            secure = fault is ServerFault.SIGNED
            return Reply(question, Status.ANSWER, records, chain, ttl=last.ttl, authenticated=secure, server="memory")
        status = Status.NXDOMAIN if found.rcode == dns.rcode.NXDOMAIN else Status.NODATA
        return Reply(question, status, chain=chain, ttl=300, server="memory")
