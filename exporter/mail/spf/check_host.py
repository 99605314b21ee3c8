"""Sender Policy Framework: may this address send mail for this domain? (RFC 7208)

The owner of a domain publishes in a TXT record which addresses may use it in MAIL FROM or HELO (section 3). A
receiver plays `check_host` (section 4): it takes the client's address, fetches the policy of the domain and tries
its mechanisms from left to right until one matches; the sign before that one is the result. When none matches, it is
neutral (4.7). Read on in the order of an evaluation:

 - spf_record.py: which TXT record is the policy, and what its terms say (4.5, 4.6, 12);
 - spf_macro.py: how the names in terms are made of facts of the message (7);
 - this file: what each mechanism asks and when it matches (5, 6);
 - spf_budget.py: how much of that receivers put up with (4.6.4);
 - spf_cost.py: what of that budget a policy uses in the worst case.

Policies lead to policies. `include` asks another domain's and matches if that says pass: it borrows its yes and
nothing else, so an `-all` there refuses nobody here (5.2). `redirect` hands over for good when nothing matched (6.1).
Either is a permerror if there is no policy. The seven results are those of 2.6. Two of them, from wherever they arise,
end everything: permerror, the policy is broken and the domain must repair it; temperror, DNS gave no answer now.

An evaluation is pure: a generator that yields questions and gets replies, see mail/dns.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv6Address
from typing import NamedTuple

from exporter.facts import IP, Reason
from exporter.mail.dns import Evaluation, Reply
from exporter.mail.names import pointer, under
from exporter.mail.spf.limits import MOST_MX, Budget, Stop
from exporter.mail.spf.macro import MacroString, can_have_policy, query_name
from exporter.mail.spf.record import Mechanism, Modifier, SpfPolicy, SpfRecord, SpfResult, read, read_explanation
from exporter.text import printable

MOST_STEPS = 200  # ours: terms kept to show
_LOCAL_PART = frozenset("ls")  # macros


class TermStep(NamedTuple):
    """One term that was tried. `lookups` is the count of section 4.6.4 after it."""

    domain: str
    term: str
    outcome: str
    lookups: int

    def __str__(self) -> str:
        return f"{self.domain}: {self.term}: {self.outcome} ({self.lookups} lookups)"


@dataclass(frozen=True, slots=True)
class SpfEvaluation:
    """What check_host says, and why.

    `reason` is set when the result rests on a question without conclusive answer: always for temperror, and for any
    other word if such a question was passed over, as section 5.5 orders for ptr, and its answer could change the word.
    `first_ten`: this permerror is for too many hosts of an `mx`, and the client is one of the first ten by preference,
    whom receivers that do not count find. `lookups` and `voids` are
    one above their limit if that made it a permerror.
    """

    word: SpfResult
    why: str
    trace: tuple[TermStep, ...] = ()
    lookups: int = 0
    voids: int = 0
    seconds: float = 0.0  # that the answers took
    reason: Reason | None = None
    mailbox: str = (
        ""  # the first term that was evaluated for this local part of the sender alone, as %{l} or %{s} in it
    )
    explanation: str = ""
    first_ten: bool = False

    @property
    def lines(self) -> tuple[str, ...]:
        """Lines for the transcript: the result, and the terms that led to it."""
        return (
            f"{self.word}: {self.why} ({self.lookups} lookups, {self.voids} void)",
            *map(str, self.trace),
        )


def check_host(
    ip: IP, domain: str, sender: str, helo: str, *, explain: bool = False, receiver: str = "unknown", timestamp: int = 0
) -> Evaluation[SpfEvaluation]:
    """Section 4.1. `sender` is the MAIL FROM address (of an empty one: postmaster@helo, section 2.4).

    `explain` also fetches the text of exp= after a fail; `receiver` and `timestamp` (unix seconds) are for
    its macros. It never changes the result.
    """
    run = _CheckHost(ip, sender, helo, receiver, timestamp)
    result = yield from run.end(domain)
    if result.word is not SpfResult.TEMPERROR and run.passed_over and not run.nameless:
        words: set[SpfResult] = {result.word}
        for number in range(1, run.doubtful + 1):
            other = _CheckHost(ip, sender, helo, receiver, timestamp, budget=run.budget.again(), taken=number)
            words.add((yield from other.end(domain)).word)
        if len(words) == 1:
            result = replace(result, reason=None)
    if explain and result.word is SpfResult.FAIL:
        result = replace(result, explanation=(yield from run.explanation()))
    return result


class _CheckHost:
    """The facts of one evaluation and its budget, shared by all the policies that it visits.

    `taken` is the number of the `ptr` that is taken for a match, of those for which DNS gave no answer.
    """

    def __init__(
        self,
        ip: IP,
        sender: str,
        helo: str,
        receiver: str,
        timestamp: int,
        *,
        budget: Budget | None = None,
        taken: int = 0,
    ) -> None:
        # An IPv4-mapped address is an IPv4 address (section 5).
        self.ip: IP = (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip
        self.address_type = "A" if self.ip.version == 4 else "AAAA"
        local, _, domain = sender.rpartition("@")
        local = local or "postmaster"  # section 4.3
        self.values = {
            "s": f"{local}@{domain}",
            "l": local,
            "o": domain,
            "i": ".".join(self.ip.exploded.replace(":", "").upper()) if self.ip.version == 6 else str(self.ip),
            "v": "in-addr" if self.ip.version == 4 else "ip6",
            "h": helo,
            "c": str(self.ip),
            "r": receiver,
            "t": str(timestamp),
        }
        self.budget = budget or Budget()
        self.taken = taken
        self.doubtful = 0  # the `ptr` for which DNS gave no answer
        self.nameless = False  # did %{p} get none? Then nobody knows what the names in terms are
        self.first_ten = False
        self.why = ""
        self.mailbox = ""
        self.passed_over: Reply | None = None
        self.steps: list[TermStep] = []
        self.policies: dict[str, SpfPolicy] = {}  # read once each: they may be large
        self.last: tuple[SpfRecord, str] | None = None  # the record that decided, and its domain

    def end(self, domain: str) -> Evaluation[SpfEvaluation]:
        try:
            word = yield from self.check(domain)
        except Stop as stop:
            return self.result(stop.word, stop.why, stop.reason)
        return self.result(word, self.why)

    def result(self, word: SpfResult, why: str, reason: Reason | None = None) -> SpfEvaluation:
        if reason is None and self.passed_over is not None:
            reason = self.passed_over.status.reason
            why = printable(f"{why}; without an answer to {_doubt(self.passed_over)}")
        return SpfEvaluation(
            word=word,
            why=why,
            trace=tuple(self.steps),
            lookups=self.budget.lookups,
            voids=self.budget.voids,
            seconds=self.budget.seconds,
            reason=reason,
            mailbox=self.mailbox,
            first_ten=self.first_ten,
        )

    def ask(self, name: str, rdtype: str) -> Evaluation[Reply]:
        reply = yield from self.budget.ask(name, rdtype)
        if reply.void:
            self.budget.void(reply.question)
        return reply

    def ask_firmly(self, name: str, rdtype: str) -> Evaluation[Reply]:
        """Where a DNS error is temperror (sections 4.4 and 5)."""
        reply = yield from self.ask(name, rdtype)
        if not reply.status.conclusive:
            raise Stop(SpfResult.TEMPERROR, _doubt(reply), reply.status.reason)
        return reply

    def note(self, domain: str, term: str, outcome: str) -> None:
        if len(self.steps) < MOST_STEPS:
            self.steps.append(TermStep(printable(domain), printable(term), outcome, self.budget.lookups))

    # Section 4

    def check(self, domain: str) -> Evaluation[SpfResult]:
        name = query_name(domain)
        if name is None or not can_have_policy(name):
            self.why = printable(f"{domain!r} is not a domain name")
            return SpfResult.NONE
        domain = domain.removesuffix(".")
        reply = yield from self.ask_firmly(name, "TXT")
        policy = self.policies.get(name) or self.policies.setdefault(name, read(reply))
        if policy.error:
            raise Stop(SpfResult.PERMERROR, policy.error)
        if policy.record is None:
            self.why = f"{name} has no SPF record"
            return SpfResult.NONE
        for mechanism in policy.record.mechanisms:
            if (yield from self.matches(mechanism, domain)):
                self.note(domain, mechanism.text, mechanism.qualifier)
                self.why = printable(f"{mechanism.text} of {domain} matches")
                self.last = policy.record, domain
                return mechanism.qualifier
            self.note(domain, mechanism.text, "no match")
        if policy.record.redirect:
            return (yield from self.redirect(policy.record.redirect, domain))
        self.why = printable(f"no mechanism of {domain} matches")
        return SpfResult.NEUTRAL

    def redirect(self, modifier: Modifier, domain: str) -> Evaluation[SpfResult]:
        """Section 6.1."""
        self.budget.spend(f"{modifier.text} of {domain}")
        self.note(domain, modifier.text, "follow")
        word = yield from self.check((yield from self.target(modifier.value, modifier.text, domain)))
        if word is SpfResult.NONE:
            raise Stop(SpfResult.PERMERROR, f"{modifier.text} of {domain}: {self.why}")
        return word

    def target(self, spec: MacroString, term: str, domain: str) -> Evaluation[str]:
        """The target-name of section 4.8."""
        if spec.letters & _LOCAL_PART:
            self.mailbox = self.mailbox or printable(f"{term} of {domain}")
        return spec.target((yield from self.facts(spec, domain)))

    def facts(self, text: MacroString, domain: str) -> Evaluation[dict[str, str]]:
        if "p" in text.letters:
            self.values["p"] = yield from self.validated_name(domain)
        return {**self.values, "d": domain}

    # Section 5

    def matches(self, mechanism: Mechanism, domain: str) -> Evaluation[bool]:
        if mechanism.name == "all":
            return True
        if mechanism.address is not None:
            return mechanism.covers(mechanism.address, self.ip)
        self.budget.spend(f"{mechanism.text} of {domain}")
        spec = mechanism.domain
        target = (yield from self.target(spec, mechanism.text, domain)) if spec else domain
        if mechanism.name == "include":
            return (yield from self.include(mechanism, domain, target))
        name = query_name(target)
        if name is None:
            return False  # a name that DNS cannot hold matches nothing (section 4.8 leaves it open)
        match mechanism.name:
            case "a":
                return (yield from self.holds(mechanism, name))
            case "mx":
                return (yield from self.mx(mechanism, name))
            case "exists":
                return (yield from self.ask_firmly(name, "A")).exists
            case _:  # ptr
                return (yield from self.ptr(name))

    def include(self, mechanism: Mechanism, domain: str, target: str) -> Evaluation[bool]:
        """Section 5.2."""
        word = yield from self.check(target)
        if word is SpfResult.NONE:
            raise Stop(SpfResult.PERMERROR, f"{mechanism.text} of {domain}: {self.why}")
        return word is SpfResult.PASS

    def holds(self, mechanism: Mechanism, name: str) -> Evaluation[bool]:
        """Section 5.3."""
        reply = yield from self.ask_firmly(name, self.address_type)
        return any(mechanism.covers(address, self.ip) for address in reply.addresses)

    def mx(self, mechanism: Mechanism, name: str) -> Evaluation[bool]:
        """Section 5.4."""
        reply = yield from self.ask_firmly(name, "MX")
        if len(reply.exchanges) > MOST_MX and mechanism.qualifier is SpfResult.PASS:
            for host in self.budget.first_hosts(reply):
                found = yield from self.budget.ask(host, self.address_type)
                self.first_ten |= any(mechanism.covers(address, self.ip) for address in found.addresses)
        for host in self.budget.hosts(reply):
            if (yield from self.holds(mechanism, host)):
                return True
        return False

    def ptr(self, name: str) -> Evaluation[bool]:
        """Section 5.5."""
        reply = yield from self.pointers()
        unsure = not reply.status.conclusive
        for found in self.budget.names(reply):
            if under(found, name):
                back = yield from self.validating(found)
                unsure |= not back.status.conclusive
                if self.ip in back.addresses:
                    return True
        self.doubtful += unsure
        return unsure and self.doubtful == self.taken

    def pointers(self) -> Evaluation[Reply]:
        """The PTR names of the client; an error is no match (section 5.5)."""
        reply = yield from self.ask(pointer(self.ip), "PTR")
        self.pass_over(reply)
        return reply

    def validating(self, name: str) -> Evaluation[Reply]:
        """Where the name leads: back to the client? Of an error, another name is tried (section 5.5)."""
        reply = yield from self.ask(name, self.address_type)
        self.pass_over(reply)
        return reply

    def validated_name(self, domain: str) -> Evaluation[str]:
        """Macro p (section 7.3): the domain itself, else a name inside it, else any, else `unknown`."""
        home = query_name(domain) or ""
        reply = yield from self.pointers()
        self.nameless |= not reply.status.conclusive
        for name in sorted(self.budget.names(reply), key=lambda name: (name != home, not under(name, home))):
            back = yield from self.validating(name)
            self.nameless |= not back.status.conclusive
            if self.ip in back.addresses:
                return name
        return "unknown"

    def pass_over(self, reply: Reply) -> None:
        if not reply.status.conclusive:
            self.passed_over = self.passed_over or reply

    # Section 6.2

    def explanation(self) -> Evaluation[str]:
        """The text for a refusal; "" where there is none, or anything is wrong with it."""
        record, domain = self.last or (None, "")
        if record is None or record.exp is None:
            return ""
        self.budget.end()
        try:
            name = query_name((yield from self.target(record.exp.value, record.exp.text, domain)))
            if name is None:
                return ""
            reply = yield from self.ask(name, "TXT")
            text = read_explanation(reply).text
            return text.expand((yield from self.facts(text, domain))) if text else ""
        except Stop:
            return ""  # as if no exp had been given


def _doubt(reply: Reply) -> str:
    return f"{reply.question}: {reply.detail or reply.status}"
