"""Answers DNS questions as DNS would once the planned records are published.

The problem: a plan knows its own records only. All else stands in DNS, and some of it changes with the plan: a name
becomes an empty non-terminal, an alias must go, a wildcard covers a name no longer.

The rules:

- What is planned is answered from the plan, with the TTL of the file and `planned` as the way it came.
- CNAME records are followed from planned names to real ones and back.
- A planned answer counts as signed (AD) where DNS now proves the SOA record of its zone. A zone that is signed now
  stays signed, and a new one is not.
- A name below a planned delegation is asked in DNS if DNS delegates it to one of the same servers. Else it is unclear.
- Where a wildcard in DNS may have given an answer that the plan takes away, it is unclear. If it gave none, NODATA may
  stand where NXDOMAIN would be right: either is absence.
- A name whose usual types are all removed does not exist, unless a usual name below it does. Then a wildcard of DNS
  may cover it, which is unclear.
- What is unclear is REFUSED, and the detail says why: it is neither there nor absent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from exporter.mail.dns import Question, Reply, Status
from exporter.net.dns.frame import LONGEST_TTL
from exporter.net.interfaces import DnsClient
from exporter.net.planned.records import (
    Absence,
    Alias,
    AsInDns,
    Delegated,
    Lookup,
    PlannedRecords,
    PlannedSet,
    ancestors,
    parent,
)

VIA = "planned"
LONGEST_CHAIN = 16  # CNAMEs, as in wire.py
NEGATIVE_TTL = 300  # seconds, of a planned "no": nothing rests on it
USUAL_TYPES = ("A", "AAAA", "CNAME", "MX", "NS", "PTR", "SRV", "TLSA", "TXT")
USUAL_LABELS = ("_dmarc", "_domainkey", "_tcp", "mail", "www")
NOBODY = "no-such-name-3f1c"  # below a name, only a wildcard answers for it

_Ask = Callable[[Question], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class _Step:
    """What one name says. `onward`: the question goes on there. `links`: the aliases on the way to it."""

    reply: Reply
    onward: str = ""
    links: tuple[str, ...] = ()


class PlannedDns:
    """A DnsClient. `dns` is the real one. It asks DNS what the plan does not say."""

    def __init__(self, dns: DnsClient, plan: PlannedRecords) -> None:
        self._dns = dns
        self._plan = plan

    async def ask(self, question: Question, *, fresh: bool = False, tcp: bool = False) -> Reply:
        """Never raises, as the real one."""

        async def ask(it: Question) -> Reply:
            return await self._dns.ask(it, fresh=fresh, tcp=tcp)

        chain: list[str] = []
        secure, ttl, name = True, LONGEST_TTL, question.name.lower()
        for steps in range(LONGEST_CHAIN + 1):
            step = await self._step(Question(name, question.rdtype), ask)
            reply = step.reply
            secure, ttl = secure and reply.authenticated, min(ttl, reply.ttl)
            if not step.onward:
                if not steps:
                    return reply if reply.question == question else replace(reply, question=question)
                whole = (*chain, *reply.chain)
                return replace(reply, question=question, chain=whole, ttl=ttl, authenticated=secure, transport=VIA)
            chain += step.links
            name = step.onward
        why = f"answers with a cname loop, or with more than {LONGEST_CHAIN} CNAMEs in a row"
        return _unanswered(question, Status.SERVFAIL, why, reply.server)

    async def _step(self, question: Question, ask: _Ask) -> _Step:
        plan = self._plan
        if not plan.near(question.name):
            return await self._real(question, ask)
        if zone := plan.zone(question):
            return await self._planned(question, zone.find(question), zone.apex, ask)
        return await self._loose(question, ask)

    async def _planned(self, question: Question, found: Lookup, apex: str, ask: _Ask) -> _Step:
        """What the plan says, as a reply."""
        match found:
            case AsInDns.KEPT:
                return await self._real(question, ask)
            case Delegated(cut, servers):
                reply = await self._elsewhere(question, cut, servers, ask)
                return _Step(reply) if reply else await self._real(question, ask)
            case PlannedSet(unclear=why, file=file, line=line) if why:
                detail = f"{file}:{line} does not tell it: {why}"
                return _Step(_unanswered(question, Status.REFUSED, detail, file))
        secure = (await ask(Question(apex, "SOA"))).authenticated if apex else False
        match found:
            case PlannedSet():
                return _Step(
                    Reply(
                        question,
                        Status.ANSWER,
                        found.records,
                        ttl=found.ttl,
                        authenticated=secure,
                        server=found.file,
                        transport=VIA,
                    )
                )
            case Alias(target, ttl, file):
                reply = Reply(question, Status.NODATA, ttl=ttl, authenticated=secure, server=file, transport=VIA)
                return _Step(reply, target, (target,))
            case Absence.NODATA if question.rdtype in ("A", "AAAA") and (alias := self._flattened(question.name)):
                # the provider gives the addresses of the target at the name itself
                return _Step(Reply(question, Status.NODATA, ttl=alias.ttl, authenticated=secure), alias.target)
        status = Status.NXDOMAIN if found is Absence.NXDOMAIN else Status.NODATA
        return _Step(Reply(question, status, ttl=NEGATIVE_TTL, authenticated=secure, server="the plan", transport=VIA))

    async def _real(self, question: Question, ask: _Ask) -> _Step:
        """What DNS says, up to an alias whose target the plan may change."""
        reply = await ask(question)
        for place, link in enumerate(reply.chain):
            if self._plan.near(link):
                before = reply.chain[place - 1] if place else question.name
                proof = await ask(Question(before, "CNAME"))
                return _Step(replace(reply, authenticated=proof.authenticated), link, reply.chain[: place + 1])
        return _Step(reply)

    def _flattened(self, name: str) -> Alias | None:
        """The ALIAS record of octoDNS, which is none of DNS."""
        zone = self._plan.zone(Question(name, "ALIAS"))
        found = zone.records.sets.get(Question(name, "ALIAS")) if zone else None
        return Alias(str(found.records[0]), found.ttl, found.file) if found and found.records else None

    async def _elsewhere(self, question: Question, cut: str, servers: PlannedSet, ask: _Ask) -> Reply | None:
        """Why nobody can tell what is below a planned delegation. None: DNS has it, from one of the same servers."""
        now = await ask(Question(cut, "NS"))
        if not now.status.conclusive:
            return replace(now, question=question)
        if set(now.records) & set(servers.records):
            return None
        why = f"{cut} is delegated to name servers there that DNS does not delegate it to now"
        return _unanswered(question, Status.REFUSED, f"{servers.file}:{servers.line}: {why}", servers.file)

    async def _loose(self, question: Question, ask: _Ask) -> _Step:
        """A name that some planned records may change, in a zone that stays otherwise."""
        name, rdtype = question
        records = self._plan.loose
        apex = await self._apex(name, ask)
        if found := records.at(name, rdtype, name):
            return await self._planned(question, found, apex, ask)
        for cut in ancestors(name):
            servers = records.sets.get(Question(cut, "NS"))
            if servers and (reply := await self._elsewhere(question, cut, servers, ask)):
                return _Step(reply)
        if renamed := records.renamed(name):
            return await self._planned(question, renamed, apex, ask)
        real = await self._real(question, ask)
        reply = real.reply
        if not reply.status.conclusive:
            return real
        there = reply.exists or bool(reply.chain)  # what a wildcard may have given
        if self._plan.touches(name):
            gone = self._plan.removes(Question(name, "CNAME") if reply.chain else question)
            if gone or reply.void:
                return await self._removed(question, real, apex, ask, gone=gone)
        if name in records.exists:
            if there and name != apex and await self._same(question, reply, parent(name), ask):
                return _unclear(question, f"a wildcard may have answered for {name}, and does so no longer")
            alias = bool(reply.chain) or (rdtype == "CNAME" and reply.exists)
            alias_goes = alias and name in records.owners  # none stands beside other records
            if alias_goes or (reply.status is Status.NXDOMAIN and not reply.chain):
                return await self._planned(question, Absence.NODATA, apex, ask)
            return real
        return await self._uncovered(question, real, apex, ask)

    async def _removed(self, question: Question, real: _Step, apex: str, ask: _Ask, *, gone: bool) -> _Step:
        """A name that loses records, perhaps all. `gone`: also those in question. Then a wildcard may cover it."""
        name, rdtype = question
        if name == apex or name in self._plan.loose.exists or await self._left(name, ask):
            return await self._planned(question, Absence.NODATA, apex, ask) if gone else real
        for above in ancestors(parent(name)):
            if await self._wild(above, rdtype, ask):
                return _unclear(question, f"a wildcard may answer for {name} once its records are removed")
            if above == apex:
                break
        return await self._planned(question, Absence.NXDOMAIN, apex, ask)

    async def _left(self, name: str, ask: _Ask) -> bool:
        """Does the name still exist without what is removed? By the types and the names below that are usual."""
        usual = [Question(name, rdtype) for rdtype in USUAL_TYPES]
        usual += [Question(f"{label}.{name}", "TXT") for label in USUAL_LABELS]
        for question in usual:
            if not self._plan.removes(question):
                reply = await ask(question)
                alias = bool(reply.chain) and not self._plan.removes(Question(question.name, "CNAME"))
                there = reply.exists if question.name == name else reply.status is not Status.NXDOMAIN
                if not reply.status.conclusive or alias or (there and not reply.chain):
                    return True
        return False

    async def _uncovered(self, question: Question, real: _Step, apex: str, ask: _Ask) -> _Step:
        """A name that the plan does not have: one of its names above may end a wildcard of DNS, or be a wildcard."""
        name, rdtype = question
        records, reply = self._plan.loose, real.reply
        between: list[str] = []
        for above in ancestors(parent(name)):
            if (wildcard := f"*.{above}") in records.owners:
                if reply.status is not Status.NXDOMAIN:
                    if await self._same(question, reply, above, ask):
                        return _unclear(question, f"{wildcard} is planned, and may cover {name}")
                    return real
                for name_between in between:
                    if (await ask(Question(name_between, rdtype))).status is not Status.NXDOMAIN:
                        return real
                return await self._planned(question, records.at(name, rdtype, wildcard) or Absence.NODATA, apex, ask)
            if above == apex:
                return real
            if above in records.exists:
                there = reply.exists or bool(reply.chain)
                if there and await self._same(question, reply, parent(above), ask):
                    return _unclear(question, f"a wildcard may have answered for {name}, and does so no longer")
                return real
            between.append(above)
        return real

    async def _same(self, question: Question, reply: Reply, above: str, ask: _Ask) -> bool:
        """Does a name that nobody has made get the same answer there? Then a wildcard may have given it."""
        other = await ask(Question(f"{NOBODY}.{above}", question.rdtype))
        if not other.status.conclusive:
            return True
        return (other.status, set(other.records), other.chain) == (reply.status, set(reply.records), reply.chain)

    async def _wild(self, above: str, rdtype: str, ask: _Ask) -> bool:
        other = await ask(Question(f"{NOBODY}.{above}", rdtype))
        return not other.status.conclusive or other.exists or bool(other.chain)

    async def _apex(self, name: str, ask: _Ask) -> str:
        """The zone that DNS has the name in; empty if DNS does not say."""
        for above in ancestors(name):
            soa = await ask(Question(above, "SOA"))
            if soa.exists and not soa.chain:
                return above
        return ""


def _unanswered(question: Question, status: Status, why: str, server: str) -> Reply:
    return Reply(question, status, server=server, transport=VIA, detail=why)


def _unclear(question: Question, why: str) -> _Step:
    detail = f"the planned records do not tell it: {why}; plan the whole zone, with its SOA record"
    return _Step(_unanswered(question, Status.REFUSED, detail, "the plan"))
