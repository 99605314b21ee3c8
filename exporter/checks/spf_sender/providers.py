"""Providers that send for us: does the policy of the envelope domain let addresses out of theirs pass (RFC 7208)?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from exporter.facts import IP, Doubt, Finding, Rule, Severity
from exporter.mail import receiver_replies
from exporter.mail.dns import Evaluation, Question, Reply, once
from exporter.mail.spf import remedies
from exporter.mail.spf.check_host import SpfEvaluation, check_host
from exporter.mail.spf.limits import MOST_LOOKUPS
from exporter.mail.spf.macro import query_name
from exporter.mail.spf.provider import is_alias, made_for, sample, single, unforeseeable
from exporter.mail.spf.record import SpfResult
from exporter.mail.spf.worst_case import MOST_COUNTED, Cost, TermTrouble, worst_case
from exporter.model import Fact, Facts
from exporter.net import Net

T = TypeVar("T")

INCLUDE_MISSING = Rule(
    "spf_sender.include-missing",
    Severity.WARNING,
    says="the SPF policy of {name} does not authorise {sender}, which sends through {include}: {why}",
    why="The provider's addresses are not authorised, so its mail for the domain fails SPF.",
    fix="Authorise {sender}: {remedy}.",
    ref="RFC 7208 section 5.2",
    refusals=receiver_replies.SPF_FAILS,
    remedy=remedies.include,
)
INCLUDE_TOO_LATE = Rule(
    "spf_sender.include-too-late",
    Severity.WARNING,
    says="the SPF policy of {name} needs {lookups} DNS lookups to reach {include}, through which {sender} sends",
    why="Receivers stop with permerror at the limit, before they see the provider's addresses.",
    fix="Move include:{include} forward in the SPF record of {name}, and remove mechanisms until {limit} lookups are "
    "enough.",
    ref="RFC 7208 section 4.6.4",
    refusals=receiver_replies.SPF_FAILS,
)
INCLUDE_PARTIAL = Rule(
    "spf_sender.include-partial",
    Severity.INFO,
    says="the SPF policy of {name} authorises {passing} of {tried} tried addresses of {include} ({sender}); {address} "
    "gets {result}",
    why="A record with single addresses becomes outdated when the provider adds some. But your mail may not leave "
    "from all of them.",
    fix="Compare the SPF record of {name} with the addresses that {sender} uses for you.",
    ref="RFC 7208 section 5.2",
)
INCLUDE_HIDDEN = Rule(
    "spf_sender.include-hidden",
    Severity.INFO,
    says="unknown whether the SPF policy of {name} authorises {sender} ({include}): {why}",
    why="Such a policy answers for each message separately. Only a sent message shows the answer.",
    fix="Send a message through {sender}, then look for spf=pass in the Authentication-Results header where it "
    "arrives.",
    ref="RFC 7208 sections 5.2 and 7",
)

HELO = "unknown"  # we do not know the provider's HELO name; Valimail's documentation has this word for that case
_RULES = (INCLUDE_MISSING, INCLUDE_TOO_LATE, INCLUDE_PARTIAL, INCLUDE_HIDDEN)
_DEAD_ENDS = {
    TermTrouble.NO_RECORD: "{term} refers to {detail}, which has no SPF record",
    TermTrouble.BROKEN: "{term} refers to a broken policy: {detail}",
    TermTrouble.IMPOSSIBLE: "{term} refers to {detail}, which is not a domain name",
}


class Replies:
    """Drives evaluations. In a run, each question is asked once, because many addresses meet the same policy."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self._replies: dict[Question, Reply] = {}

    async def drive(self, evaluation: Evaluation[T]) -> T:
        return await self.net.drive(once(evaluation, self._replies))

    async def passes(self, ip: IP, name: str) -> SpfEvaluation:
        return await self.drive(check_host(ip, name, f"postmaster@{name}", HELO))


@dataclass(frozen=True, slots=True)
class Case:
    """One envelope domain, and the provider that uses it."""

    name: str
    sender: str
    include: str
    cost: Cost
    theirs: Cost

    @property
    def lookups(self) -> int | None:
        """Lookups until include or redirect reaches the provider's policy by its name; None if none does."""
        wanted = query_name(self.include) or self.include
        at_once = wanted in (self.cost.policy.name, *self.cost.policy.reply.chain)
        return 0 if at_once and self.cost.policy.record else self.cost.included.get(wanted)

    def open(self, doubt: Doubt) -> Doubt:
        for rule in _RULES:
            doubt = doubt.over(rule, name=self.name)
        return doubt

    def too_late(self) -> Finding:
        late = max(self.lookups or 0, MOST_LOOKUPS + 1)
        return INCLUDE_TOO_LATE(
            name=self.name, include=self.include, sender=self.sender, lookups=late, limit=MOST_LOOKUPS
        )

    def hidden(self, why: str) -> Finding:
        return INCLUDE_HIDDEN(name=self.name, include=self.include, sender=self.sender, why=why)

    def missing(self, failed: Sequence[SpfEvaluation] = ()) -> Finding:
        why, remedy = _why(self, failed), f"add include:{self.include} to the SPF record of {self.name}"
        if self.theirs.policy.record is None:
            remedy = f"{remedies.WRONG_NAME}; {self.include} has no usable SPF record"
        elif not self.cost.policy.texts:
            record = f'"v=spf1 include:{self.include} ~all"'
            remedy = f"publish at {self.name} the TXT record {record}, with everything else that sends"
        elif self.cost.policy.error or self.lookups is not None:
            remedy = f"correct the SPF policy of {self.name}, so that it reaches include:{self.include}"
        else:
            remedy += ', before its "all"'
        return INCLUDE_MISSING(name=self.name, include=self.include, sender=self.sender, why=why, remedy=remedy)


def _why(case: Case, failed: Sequence[SpfEvaluation]) -> str:
    cost = case.cost
    if not cost.policy.texts:
        return f"{case.name} has no SPF record"
    broken = "; ".join(
        _DEAD_ENDS[fault.trouble].format(term=fault.term, detail=fault.detail)
        for fault in cost.faults
        if fault.trouble in _DEAD_ENDS
    )
    unreached = "" if cost.complete else f"none of its first {MOST_COUNTED} lookups reaches it"
    ended = next((result.why for result in failed if result.word is SpfResult.PERMERROR), "")
    return cost.policy.error or broken or unreached or ended or "no mechanism refers to it"


async def judge(name: str, sender: str, include: str, replies: Replies) -> Facts:
    """Warn only if it is proven: an address passes the provider's own policy, but not the policy of `name`."""
    case = Case(
        name,
        sender,
        include,
        cost=await replies.drive(worst_case(name)),
        theirs=await replies.drive(worst_case(include)),
    )
    replies.net.transcript.note(f"worst case of {name}", case.cost.lines, "counted")
    if case.cost.policy.reply.doubt:
        yield case.open(case.cost.policy.reply.doubt)
        return
    if is_alias(case.cost, include):
        return
    passed, failed, unsure = 0, dict[IP, SpfEvaluation](), list[Doubt]()
    for ip in sample(case.theirs.allowed):
        result = await replies.passes(ip, name)
        replies.net.transcript.note(f"check_host {ip}, MAIL FROM postmaster@{name}", result.lines, "evaluated")
        ours = result.word is SpfResult.PASS
        both = (result,) if ours else (result, await replies.passes(ip, include))
        unsure += [Doubt(it.reason, it.why) for it in both if it.reason]
        if not any(it.reason for it in both):
            passed += ours
            if both[-1].word is SpfResult.PASS and not ours:
                failed[ip] = result
    yield map(case.open, unsure)
    if failed and (passed or not unsure):
        yield _proven(case, passed, failed)
    elif not passed and not unsure:
        yield await _by_name(case, replies)


def _proven(case: Case, passed: int, failed: dict[IP, SpfEvaluation]) -> Finding:
    late = any(it.word is SpfResult.PERMERROR and it.lookups > MOST_LOOKUPS for it in failed.values())
    ip, result = next(iter(failed.items()))
    terms = unforeseeable(case.cost)
    if passed and not late:
        return INCLUDE_PARTIAL(
            name=case.name,
            sender=case.sender,
            include=case.include,
            passing=passed,
            tried=passed + len(failed),
            address=ip,
            result=result.word,
        )
    if terms and not passed:
        return case.hidden(f"it depends on the message in {'; '.join(terms)}")
    if late and (passed or (case.lookups or 0) > MOST_LOOKUPS):
        return case.too_late()
    return case.missing([*failed.values()])


async def _by_name(case: Case, replies: Replies) -> list[Fact]:
    """Judge by names, because the provider's policy names no address that could be tried."""
    if case.lookups is not None:
        return [case.too_late()] if case.lookups > MOST_LOOKUPS else []
    doubt = case.cost.doubt or case.theirs.doubt
    if doubt:
        return [case.open(doubt)]
    theirs = {macro.term for macro in case.theirs.passing_macros}
    if theirs & {macro.term for macro in case.cost.passing_macros}:
        return []  # a term of the provider's policy, copied
    if terms := unforeseeable(case.cost):
        return [case.hidden(f"it depends on the message in {'; '.join(terms)}")]
    own = [it for it in case.cost.allowed if made_for(it.domain, case.name)] if theirs else []
    for ip in sample(own):
        result = await replies.passes(ip, case.include)
        if result.reason:
            return [case.open(Doubt(result.reason, result.why))]
        if result.word is SpfResult.PASS:
            return []
    if not all(map(single, own)):
        return [case.hidden(f"{case.include} has no addresses in its networks that could be tried")]
    return [case.missing()]
