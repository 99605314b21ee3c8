"""Sender Policy Framework: may this address send mail for this domain? (RFC 7208)

The owner of a domain publishes in a TXT record which addresses may use it in MAIL FROM or HELO (section 3).
A receiver plays `check_host` (section 4): it takes the client's address, fetches the policy and tries its
mechanisms from left to right. `include` asks another domain's policy and matches if that says pass (5.2);
`redirect` hands over to it (6.1). Mechanisms that need DNS are limited, so that nobody can make receivers
do work without end (4.6.4): 10 such terms in all, two of which may come back empty ("void lookups"), 10 MX
names in one `mx` (more is permerror), 10 PTR names (the others are ignored).

What is counted where: a term counts once, however many questions it takes. So the address lookups behind
an `mx` or `ptr` are not counted, `exp` and the first TXT are not, and a term is void at most once: section
4.6.4 limits "the number of terms" whose queries are void. An include that is written twice counts twice.

An evaluation is pure: a generator that yields questions and gets replies, see mail/dns.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv6Address
from typing import NamedTuple

from exporter.mail.dns import Evaluation, Question, Reply, Status
from exporter.mail.names import IP, pointer, under
from exporter.mail.spf_macro import MacroString, SpfSyntaxError, can_have_policy, macro_string, query_name
from exporter.mail.spf_record import ASKS_DNS, Mechanism, Modifier, Policy, Record, Word, read
from exporter.model import Reason, printable

MOST_LOOKUPS = 10  # section 4.6.4, here and below
MOST_VOIDS = 2
MOST_MX = 10
MOST_PTR = 10
MOST_QUESTIONS = 100  # ours: bounds the address lookups behind mx and ptr
MOST_STEPS = 200  # ours: terms kept to show


class Step(NamedTuple):
    """One term that was tried. `lookups` is the count of section 4.6.4 after it."""

    domain: str
    term: str
    outcome: str
    lookups: int

    def __str__(self) -> str:
        return f"{self.domain}: {self.term}: {self.outcome} ({self.lookups} lookups)"


@dataclass(frozen=True, slots=True)
class Result:
    """What check_host says, and why.

    `reason` is set when the result rests on a question without conclusive answer: always for temperror, and
    for any other word if such a question was passed over, as section 5.5 orders for ptr.
    """

    word: Word
    why: str
    trace: tuple[Step, ...] = ()
    lookups: int = 0
    voids: int = 0
    reason: Reason | None = None
    explanation: str = ""


class _Error(Exception):
    """Temperror or permerror: wherever it arises, it ends the whole evaluation (sections 5.2, 6.1)."""

    def __init__(self, word: Word, why: str, reason: Reason | None = None) -> None:
        super().__init__(why)
        self.word, self.why, self.reason = word, why, reason


def check_host(
    ip: IP, domain: str, sender: str, helo: str, *, explain: bool = False, receiver: str = "unknown", timestamp: int = 0
) -> Evaluation[Result]:
    """Section 4.1. `sender` is the MAIL FROM address (of an empty one: postmaster@helo, section 2.4).

    `explain` also fetches the text of exp= after a fail; `receiver` and `timestamp` (unix seconds) are for
    its macros. It never changes the result.
    """
    run = _CheckHost(ip, sender, helo, receiver, timestamp)
    try:
        word = yield from run.check(domain)
        result = run.result(word, run.why)
    except _Error as error:
        result = run.result(error.word, error.why, error.reason)
    if explain and result.word is Word.FAIL:
        result = replace(result, explanation=(yield from run.explanation()))
    return result


class _CheckHost:
    """The budget and the facts of one evaluation, shared by all the policies that it visits."""

    def __init__(self, ip: IP, sender: str, helo: str, receiver: str, timestamp: int) -> None:
        # An IPv4-mapped address is an IPv4 address (section 5).
        self.ip: IP = (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip
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
        self.why = ""
        self.lookups = 0
        self.voids = 0
        self.void_counts = False  # may an empty answer still be counted for the term under evaluation?
        self.doubt: Reason | None = None
        self.steps: list[Step] = []
        self.replies: dict[Question, Reply] = {}
        self.policies: dict[str, Policy] = {}  # read once each: they may be large
        self.last: tuple[Record, str] | None = None  # the record that decided, and its domain

    def result(self, word: Word, why: str, reason: Reason | None = None) -> Result:
        return Result(word, why, tuple(self.steps), self.lookups, self.voids, reason or self.doubt)

    # What is asked, and what it costs

    def ask(self, name: str, rdtype: str) -> Evaluation[Reply]:
        question = Question(name, rdtype)
        reply = self.replies.get(question)
        if reply is None:
            if len(self.replies) == MOST_QUESTIONS:
                raise _Error(Word.PERMERROR, f"the policy asks more than {MOST_QUESTIONS} questions")
            reply = self.replies[question] = yield question
        if reply.void and self.void_counts:
            self.void_counts = False
            self.voids += 1
            if self.voids > MOST_VOIDS:
                raise _Error(Word.PERMERROR, f"more than {MOST_VOIDS} void lookups, the last for {question}")
        return reply

    def ask_firmly(self, name: str, rdtype: str) -> Evaluation[Reply]:
        """Where a DNS error is temperror (sections 4.4 and 5)."""
        reply = yield from self.ask(name, rdtype)
        if not reply.status.conclusive:
            why = printable(f"{reply.question}: {reply.detail or reply.status}")
            raise _Error(Word.TEMPERROR, why, reply.status.reason)
        return reply

    def spend(self, term: str, domain: str) -> None:
        if self.lookups == MOST_LOOKUPS:
            why = f"more than {MOST_LOOKUPS} DNS lookups: {term} of {domain} is one too many"
            raise _Error(Word.PERMERROR, printable(why))
        self.lookups += 1
        self.void_counts = True

    def note(self, domain: str, term: str, outcome: str) -> None:
        if len(self.steps) < MOST_STEPS:
            self.steps.append(Step(printable(domain), printable(term), outcome, self.lookups))

    # Section 4

    def check(self, domain: str) -> Evaluation[Word]:
        name = query_name(domain)
        if name is None or not can_have_policy(name):
            self.why = printable(f"{domain!r} is no domain name")
            return Word.NONE
        domain = domain.removesuffix(".")
        reply = yield from self.ask_firmly(name, "TXT")
        policy = self.policies.get(name) or self.policies.setdefault(name, read(reply))
        if policy.error:
            raise _Error(Word.PERMERROR, printable(policy.error))
        if policy.record is None:
            self.why = f"{name} has no SPF record"
            return Word.NONE
        for mechanism in policy.record.mechanisms:
            if (yield from self.matches(mechanism, domain)):
                self.note(domain, mechanism.text, mechanism.qualifier)
                self.why = printable(f"{mechanism.text} of {domain} matches")
                self.last = policy.record, domain
                return mechanism.qualifier
            self.note(domain, mechanism.text, "no match")
        if policy.record.redirect:
            return (yield from self.redirect(policy.record.redirect, domain))
        self.why = printable(f"no term of {domain} matches")
        return Word.NEUTRAL

    def redirect(self, modifier: Modifier, domain: str) -> Evaluation[Word]:
        self.spend(modifier.text, domain)
        self.note(domain, modifier.text, "follow")
        word = yield from self.check((yield from self.expand(modifier.value, domain)))
        if word is Word.NONE:
            raise _Error(Word.PERMERROR, printable(f"{modifier.text} of {domain}: {self.why}"))
        return word

    def expand(self, text: MacroString, domain: str) -> Evaluation[str]:
        if "p" in text.letters:
            self.values["p"] = yield from self.validated_name(domain)
        return text.expand({**self.values, "d": domain})

    # Section 5

    def matches(self, mechanism: Mechanism, domain: str) -> Evaluation[bool]:
        if mechanism.name == "all":
            return True
        if mechanism.address is not None:
            return mechanism.covers(mechanism.address, self.ip)
        if mechanism.name in ASKS_DNS:
            self.spend(mechanism.text, domain)
        target = (yield from self.expand(mechanism.domain, domain)) if mechanism.domain else domain
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
        word = yield from self.check(target)
        if word is Word.NONE:
            raise _Error(Word.PERMERROR, printable(f"{mechanism.text} of {domain}: {self.why}"))
        return word is Word.PASS

    def holds(self, mechanism: Mechanism, name: str) -> Evaluation[bool]:
        reply = yield from self.ask_firmly(name, "A" if self.ip.version == 4 else "AAAA")
        return any(mechanism.covers(address, self.ip) for address in reply.addresses)

    def mx(self, mechanism: Mechanism, name: str) -> Evaluation[bool]:
        reply = yield from self.ask_firmly(name, "MX")
        if len(reply.exchanges) > MOST_MX:
            raise _Error(Word.PERMERROR, f"{name} has more than {MOST_MX} MX records")
        for exchange in sorted(reply.exchanges):
            if exchange.exchange != "." and (yield from self.holds(mechanism, exchange.exchange)):
                return True
        return False

    def ptr(self, name: str) -> Evaluation[bool]:
        for found in (yield from self.pointers(name)):
            if (yield from self.validates(found)):
                return True
        return False

    def pointers(self, under_name: str | None) -> Evaluation[list[str]]:
        """The first PTR names of the client, those under a name; errors are no match (section 5.5)."""
        reply = yield from self.ask(pointer(self.ip), "PTR")
        self.pass_over(reply)
        found = sorted(name.lower() for name in reply.names)[:MOST_PTR]  # sorted: the same result every time
        return [name for name in found if under_name is None or under(name, under_name)]

    def validates(self, name: str) -> Evaluation[bool]:
        reply = yield from self.ask(name, "A" if self.ip.version == 4 else "AAAA")
        self.pass_over(reply)
        return self.ip in reply.addresses

    def validated_name(self, domain: str) -> Evaluation[str]:
        """Macro p (section 7.3): the domain itself, else a name inside it, else any, else `unknown`."""
        home = query_name(domain) or ""
        names = yield from self.pointers(None)
        for name in sorted(names, key=lambda name: (name != home, not under(name, home))):
            if (yield from self.validates(name)):
                return name
        return "unknown"

    def pass_over(self, reply: Reply) -> None:
        if not reply.status.conclusive:
            self.doubt = self.doubt or reply.status.reason

    # Section 6.2

    def explanation(self) -> Evaluation[str]:
        record, domain = self.last or (None, "")
        if record is None or record.exp is None:
            return ""
        self.void_counts = False
        try:
            name = query_name((yield from self.expand(record.exp.value, domain)))
            if name is None:
                return ""
            reply = yield from self.ask(name, "TXT")
            if reply.status is not Status.ANSWER or len(reply.texts) != 1:
                return ""
            text = macro_string(reply.texts[0].text.decode("ascii"), explanation=True)
            return (yield from self.expand(text, domain))
        except (SpfSyntaxError, UnicodeDecodeError, _Error):
            return ""  # as if no exp had been given
