"""What an SPF policy costs when every one of its terms is reached, whoever sends (RFC 7208 section 4.6.4).

check_host stops at the first match, so one sender passes with three lookups and the next needs twelve and gets
permerror. Here all terms up to `all` are visited, through include and redirect, and counted as a receiver does that
finds no match: the *static worst case*. What one sender really takes is in the Result of check_host.

include, a, mx, ptr, exists and redirect count one each, every time that they are written. A target with macros that
depend on the message (7.2; anything but d and o) cannot be followed: it counts one, and the count is then a lower
bound. A name is void here if it has neither A nor AAAA; a receiver asks for one of them only, and may count more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from exporter.facts import IP, Doubt
from exporter.mail.dns import Evaluation, Question, Reply
from exporter.mail.spf.limits import MOST_LOOKUPS, MOST_MX, Budget, Stop
from exporter.mail.spf.macro import MacroString, can_have_policy, query_name
from exporter.mail.spf.record import ASKS_DNS, Mechanism, Modifier, SpfPolicy, SpfRecord, SpfResult, read

MOST_COUNTED = 100  # lookups: ten times too many is enough to know
MOST_ALLOWED = 1000  # networks that are kept
# A policy of ten lookups asks no more: its TXT, and for each term an mx of ten hosts without A, so that AAAA is asked.
MOST_VISITED = 1 + MOST_LOOKUPS * (1 + 2 * MOST_MX)
_KNOWN_LETTERS = frozenset("do")


class TermTrouble(StrEnum):
    """What makes a term a permerror, or useless, for everybody who reaches it."""

    NO_RECORD = "no record"  # an include or redirect of a name without SPF (sections 5.2, 6.1)
    BROKEN = "broken"  # of a name whose own policy is a permerror
    LOOP = "loop"
    TOO_MANY_MX = "too many mx"
    IMPOSSIBLE = "impossible"  # a name that DNS cannot hold


@dataclass(frozen=True, slots=True)
class TermFault:
    trouble: TermTrouble
    term: str
    domain: str  # whose record holds the term
    detail: str


class TermDoubt(NamedTuple):
    """A question of one term that got no usable answer."""

    doubt: Doubt
    term: str
    domain: str  # whose record holds the term
    rdtype: str  # TXT: a whole policy is not seen; "": time was up


class MacroTerm(NamedTuple):
    """A term that lets senders pass, and whose name depends on the message."""

    term: str
    domain: str  # whose record holds it
    letters: frozenset[str]

    def __str__(self) -> str:
        return f"{self.term} of {self.domain}"


class Allowed(NamedTuple):
    """Addresses that the policy lets pass: this one, and those that share its first bits."""

    address: IP
    bits: int
    domain: str  # whose record says so


@dataclass(frozen=True, slots=True)
class Branch:
    """One term with its lookups, its own included."""

    term: str
    lookups: int
    branches: tuple[Branch, ...] = ()

    @property
    def costliest(self) -> str:
        """The path that costs most: `include:a.example (7) > include:b.example (4)`."""
        path, branch = [f"{self.term} ({self.lookups})"], self
        while branch.branches:
            branch = max(branch.branches, key=lambda b: b.lookups)
            path.append(f"{branch.term} ({branch.lookups})")
        return " > ".join(path)

    def tree(self, depth: int = 0) -> Iterator[str]:
        """The branch and what is below, a line each."""
        yield f"{'. ' * depth}{self.term} ({self.lookups})"
        for branch in self.branches:
            yield from branch.tree(depth + 1)


@dataclass(frozen=True, slots=True)
class Cost:
    """Counts are exact if `complete` and there are neither `macros` nor a `doubt`; else lower bounds.

    A policy within the limits is always `complete`.
    """

    policy: SpfPolicy
    lookups: int
    branches: tuple[Branch, ...]
    voids: tuple[str, ...]  # the questions that came back empty, one for each void term
    faults: tuple[TermFault, ...]
    included: Mapping[str, int]  # the names whose pass is a pass here, and the lookups until their policy is reached
    macros: tuple[str, ...]  # terms whose targets depend on the message
    hidden: tuple[str, ...]  # those of them that lead to another policy
    everyone: str  # the term of the first record that lets everyone pass, or ""
    end: SpfResult | None  # what `all` says at the end of the record or of its redirects; None: there is no `all`
    mechanisms: int  # other than `all`, in the record and its redirects
    doubts: tuple[TermDoubt, ...]  # of questions without conclusive answer, or that time was up; not of its own record
    doubt: Doubt | None  # the first, that of its own record among them
    complete: bool
    visited: frozenset[str]  # the domains whose records were read
    passing_macros: tuple[MacroTerm, ...]
    allowed: tuple[Allowed, ...]

    @property
    def costliest(self) -> str:
        return max(self.branches, key=lambda b: b.lookups).costliest if self.branches else ""

    @property
    def lines(self) -> tuple[str, ...]:
        """Lines for the transcript: what is counted, and which terms cause it."""
        return (
            f"{self.lookups} lookups, {len(self.voids)} void",
            *(line for branch in self.branches for line in branch.tree()),
            *(f"void: {question}" for question in self.voids),
        )


def worst_case(domain: str, policy: SpfPolicy | None = None) -> Evaluation[Cost]:
    """Visit the policy of a domain; `policy` spares the first question."""
    walk = _Walk(domain)
    seen = _Seen()
    if policy is None:
        policy = read((yield Question(query_name(domain) or domain, "TXT")))
    walk.budget.know(policy.reply)
    if policy.record is not None:
        seen = yield from walk.record(policy.record, domain, (policy.name,), trusted=True)
    return Cost(
        policy=policy,
        lookups=walk.budget.lookups,
        branches=tuple(seen.branches),
        voids=tuple(walk.voids),
        faults=tuple(walk.faults),
        included=walk.included,
        macros=tuple(walk.macros),
        hidden=tuple(walk.hidden),
        everyone=seen.everyone,
        end=seen.end,
        mechanisms=seen.mechanisms,
        doubts=tuple(walk.doubts),
        doubt=policy.reply.doubt or next((it.doubt for it in walk.doubts), None),
        complete=walk.complete,
        visited=frozenset(walk.visited),
        passing_macros=tuple(dict.fromkeys(walk.passing_macros)),
        allowed=tuple(walk.allowed),
    )


@dataclass
class _Seen:
    """What one record turned out to be."""

    branches: list[Branch] = field(default_factory=list)
    everyone: str = ""
    end: SpfResult | None = None
    mechanisms: int = 0


class _Walk:
    def __init__(self, domain: str) -> None:
        self.origin = domain
        self.budget = Budget(lookups=MOST_COUNTED, questions=MOST_VISITED)
        self.policies: dict[str, SpfPolicy] = {}  # read once each: they may be large
        self.voids: list[str] = []
        self.faults: list[TermFault] = []
        self.included: dict[str, int] = {}
        self.macros: list[str] = []
        self.hidden: list[str] = []
        self.doubts: list[TermDoubt] = []
        self.visited: set[str] = set()
        self.passing_macros: list[MacroTerm] = []
        self.allowed: list[Allowed] = []
        self.at = ("", "")  # the term that asks, and whose it is
        self.complete = True

    def ask(self, name: str, rdtype: str) -> Evaluation[Reply | None]:
        """The conclusive answer; None if there is none, or too much has been asked."""
        try:
            reply = yield from self.budget.ask(name, rdtype)
        except Stop as stop:
            self.complete = False
            if stop.reason is not None:
                self.doubts.append(TermDoubt(Doubt(stop.reason, stop.why), *self.at, ""))
            return None
        if reply.doubt:
            self.doubts.append(TermDoubt(reply.doubt, *self.at, rdtype))
        return None if reply.doubt else reply

    def spend(self, term: str) -> bool:
        """Count one more; False if there are enough."""
        if self.budget.lookups == MOST_COUNTED:
            self.complete = False
            return False
        self.budget.spend(term)
        return True

    def record(self, record: SpfRecord, domain: str, path: tuple[str, ...], *, trusted: bool) -> Evaluation[_Seen]:
        seen = _Seen()
        self.visited.add(domain)
        for mechanism in record.reachable:
            self.at = mechanism.text, domain
            passes = mechanism.qualifier is SpfResult.PASS
            if mechanism.address is not None and trusted and passes:
                self.allow(mechanism, mechanism.address, domain)
            if mechanism.name == "all":
                seen.end = mechanism.qualifier
                open_to_all = passes
            else:
                seen.mechanisms += 1
                open_to_all = passes and 0 in (mechanism.prefix4, mechanism.prefix6)
            if mechanism.name in ASKS_DNS:
                before = self.budget.lookups
                if not self.spend(mechanism.text):
                    return seen
                below = yield from self.term(mechanism, domain, path, trusted=trusted and passes)
                open_to_all |= passes and bool(below.everyone)
                seen.branches.append(Branch(mechanism.text, self.budget.lookups - before, tuple(below.branches)))
            if open_to_all:
                seen.everyone = seen.everyone or mechanism.text
        if record.all is None and record.redirect is not None:
            yield from self.redirect(seen, record.redirect, domain, path, trusted=trusted)
        return seen

    def redirect(
        self, seen: _Seen, modifier: Modifier, domain: str, path: tuple[str, ...], *, trusted: bool
    ) -> Evaluation[None]:
        before = self.budget.lookups
        if not self.spend(modifier.text):
            return
        self.at = modifier.text, domain
        below = yield from self.follow(modifier.text, modifier.value, domain, path, trusted=trusted)
        seen.branches.append(Branch(modifier.text, self.budget.lookups - before, tuple(below.branches)))
        seen.everyone = seen.everyone or (modifier.text if below.everyone else "")
        seen.end = below.end
        seen.mechanisms += below.mechanisms

    def term(self, mechanism: Mechanism, domain: str, path: tuple[str, ...], *, trusted: bool) -> Evaluation[_Seen]:
        if mechanism.name == "include" and mechanism.domain is not None:
            return (yield from self.follow(mechanism.text, mechanism.domain, domain, path, trusted=trusted))
        target = self.target(mechanism.domain, mechanism.text, domain, trusted=trusted) if mechanism.domain else domain
        if target is None:
            return _Seen()
        name = query_name(target)
        if name is None:
            self.fault(TermTrouble.IMPOSSIBLE, mechanism.text, domain, target)
        elif mechanism.name == "exists":
            reply = yield from self.ask(name, "A")
            if reply is not None and reply.void:
                self.voids.append(str(reply.question))
        elif mechanism.name == "a":
            found = yield from self.addresses(name)
            if found == ():
                self.voids.append(f"{name} A, AAAA")
            for address in found or () if trusted else ():
                self.allow(mechanism, address, domain)
        elif mechanism.name == "mx":
            yield from self.mx(mechanism, domain, name, trusted=trusted)
        return _Seen()

    def mx(self, mechanism: Mechanism, domain: str, name: str, *, trusted: bool) -> Evaluation[None]:
        reply = yield from self.ask(name, "MX")
        if reply is None:
            return
        if reply.void:
            self.voids.append(str(reply.question))
        if len(reply.exchanges) > MOST_MX:
            self.fault(TermTrouble.TOO_MANY_MX, mechanism.text, domain, f"{name} has {len(reply.exchanges)} MX records")
            return
        for host in self.budget.hosts(reply):
            found = yield from self.addresses(host)
            if found == ():
                self.voids.append(f"{host} A, AAAA")
                return  # a term is void once
            for address in found or () if trusted else ():
                self.allow(mechanism, address, domain)

    def addresses(self, name: str) -> Evaluation[tuple[IP, ...] | None]:
        """Those of one family, if there are any; None if that is not known."""
        for rdtype in ("A", "AAAA"):
            reply = yield from self.ask(name, rdtype)
            if reply is None or not reply.void:
                return reply.addresses if reply else None
        return ()

    def allow(self, mechanism: Mechanism, address: IP, domain: str) -> None:
        bits = mechanism.prefix4 if address.version == 4 else mechanism.prefix6
        if bits and len(self.allowed) < MOST_ALLOWED:
            self.allowed.append(Allowed(address, bits, domain))

    def follow(
        self, term: str, spec: MacroString, domain: str, path: tuple[str, ...], *, trusted: bool
    ) -> Evaluation[_Seen]:
        target = self.target(spec, term, domain, trusted=trusted)
        if target is None:
            self.hidden.append(self.macros[-1])
            return _Seen()
        name = query_name(target)
        if name is None or not can_have_policy(name):
            self.fault(TermTrouble.IMPOSSIBLE, term, domain, target)
            return _Seen()
        if name in path:
            self.fault(TermTrouble.LOOP, term, domain, " > ".join((*path, name)))
            return _Seen()
        reply = yield from self.ask(name, "TXT")
        if reply is None:
            return _Seen()
        if reply.void:
            self.voids.append(str(reply.question))
        policy = self.policies.get(name) or self.policies.setdefault(name, read(reply))
        if policy.record is None:
            self.fault(
                TermTrouble.BROKEN if policy.error else TermTrouble.NO_RECORD, term, domain, policy.error or name
            )
            return _Seen()
        if trusted:
            self.included.setdefault(name, self.budget.lookups)
        return (yield from self.record(policy.record, target.removesuffix("."), (*path, name), trusted=trusted))

    def target(self, spec: MacroString, term: str, domain: str, *, trusted: bool) -> str | None:
        if spec.letters - _KNOWN_LETTERS:
            macro = MacroTerm(term, domain, spec.letters)
            self.macros.append(str(macro))
            if trusted:
                self.passing_macros.append(macro)
            return None
        return spec.target({"d": domain, "o": self.origin})

    def fault(self, trouble: TermTrouble, term: str, domain: str, detail: str) -> None:
        if not any((known.trouble, known.term, known.domain) == (trouble, term, domain) for known in self.faults):
            self.faults.append(TermFault(trouble, term, domain, detail))
