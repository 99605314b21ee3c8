"""Finds the causes of a refusal: from any text that holds one to the family of refusals and the findings behind it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from exporter.engine.catalogue import Catalogue
from exporter.explain import bounce, vendors
from exporter.explain.bounce import BounceKind
from exporter.explain.examples import example
from exporter.explain.families import Family, Who, shipped
from exporter.explain.loglines import Attempt
from exporter.explain.matching import Grade, Hit, Matcher, phrases, quoted
from exporter.explain.reply import RefusingReply, read_reply, words
from exporter.explain.values import Surroundings, Values, read_around, read_values
from exporter.facts import Rule, Severity
from exporter.mail import helo

LONGEST_SEARCH = 200  # characters
SEARCH = 12  # words of a search at most; more is a text that was pasted
_GRAVITY = {severity: rank for rank, severity in enumerate(Severity)}

__all__ = ["BounceKind", "Diagnosis", "Grade", "Match", "Refusal", "Refusals"]


@dataclass(frozen=True, slots=True)
class Match:
    """A possible cause of a refusal. `text` is the known one that fits, `findings` may be behind it."""

    family: Family
    text: str
    grade: Grade
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is told of one recipient, and its possible causes, the likeliest first.

    `refused_by` is the host that refused; it may be unknown. `vendor` runs or made it. `lasted`: the reply was
    temporary, and stayed until the message expired.
    """

    reply: RefusingReply
    matches: tuple[Match, ...]
    values: Values
    vendor: str | None = None
    recipient: str = ""
    lasted: bool = False
    remote: bool = True

    @property
    def refused_by(self) -> str:
        return self.values.host or ("" if self.remote and not self.values.writer else self.values.writer)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a text is, the refusals in it, and their possible causes: the best first, each once."""

    kind: BounceKind
    refusals: tuple[Refusal, ...]
    matches: tuple[Match, ...]

    @property
    def best(self) -> tuple[Match, ...]:
        """Those that fit as well as the first."""
        return tuple(match for match in self.matches if match.grade == self.matches[0].grade)

    @property
    def findings(self) -> tuple[str, ...]:
        """The ids worth looking at: the causes among the best, and what is related to them."""
        best = self.best
        causes = [finding for match in best for finding in match.findings]
        return tuple(dict.fromkeys([*causes, *(finding for match in best for finding in match.family.related)]))


class Refusals:
    """Everything that receivers are known to say."""

    def __init__(self, catalogue: Catalogue) -> None:
        """Raise RefusalSyntaxError for a text that is not in the one form: a programming error."""
        self._vendors = vendors.shipped()
        self._names = {rule.id: {*words(rule.id)} for rule in catalogue.rules.values()}
        self._gravity = {rule.id: (_GRAVITY[rule.severity], len(rule.refusals)) for rule in catalogue.rules.values()}
        texts = phrases(shipped())
        families = Matcher(texts)
        rules: dict[str, list[str]] = defaultdict(list)
        for rule in catalogue.rules.values():
            for text in rule.refusals:
                rules[text].append(rule.id)
        for text, ids in rules.items():
            vendor, _, said = text.partition(": ")
            hits = families.find(read_reply(said.replace("...", " , ")), vendor)
            family = hits[0].phrase.family if hits else _alone(catalogue.rules[ids[0]])
            texts.append(quoted(family, text, tuple(ids)))
        self._matcher = Matcher(texts)

    def find(self, text: str | bytes) -> Diagnosis:
        """What may be behind a text: a reply, a log line, a bounce as a mail, or words and codes to search for."""
        read = bounce.read(text)
        around = read_around(read.raw) if read.raw else None
        refusals = tuple(self._refusal(it, around, read.helo) for it in read.reports)
        matches: dict[str, Match] = {}
        for refusal in refusals:
            for match in refusal.matches:
                matches.setdefault(match.family.id, match)
        found = tuple(matches.values())
        if len(refusals) == 1 and not refusals[0].refused_by and (not found or _is_word(refusals[0].reply)):
            found = self._search(refusals[0].reply) or found
        return Diagnosis(read.kind, refusals, found)

    def _refusal(self, report: bounce.DeliveryReport, around: Surroundings | None, helo_name: str) -> Refusal:
        attempt = report.attempt
        hits = self._hits(attempt)
        if report.more and (not hits or hits[0].grade is not Grade.SAID):  # the fields say less than the text does
            told = report.more
            if told.reply.kind in (None, attempt.reply.kind) or attempt.reply.kind is None:
                better = self._hits(told)
                if better and (not hits or better[0].grade < hits[0].grade):
                    hits = better
        values = read_values(attempt, around or read_around(attempt.reply.text), helo_name)
        return Refusal(
            attempt.reply,
            tuple(self._match(hit, values) for hit in hits),
            values,
            self._vendors.of(attempt.host, attempt.reply.text),
            attempt.recipient,
            attempt.lasted,
            attempt.remote,
        )

    def _hits(self, attempt: Attempt) -> list[Hit]:
        return self._matcher.find(attempt.reply, self._vendors.of(attempt.host, attempt.reply.text))

    def _search(self, reply: RefusingReply) -> tuple[Match, ...]:
        if not reply.said and reply.status:
            hits = self._matcher.with_code(reply.status)
        elif (
            reply.code is None
            and len(reply.text) <= LONGEST_SEARCH
            and (asked := set(words(reply.text)))
            and len(asked) <= SEARCH
        ):
            hits = self._matcher.search(asked, self._names)
        else:
            return ()
        return tuple(self._match(hit, Values()) for hit in hits)

    def _match(self, hit: Hit, values: Values) -> Match:
        phrase = hit.phrase
        order = {finding: place for place, finding in enumerate(phrase.family.findings)}
        last = len(order)
        findings = sorted(phrase.rules, key=lambda id_: (order.get(id_, last), *self._gravity[id_]))
        named = _helo_findings(values.helo)
        findings = sorted(findings or phrase.family.findings, key=lambda id_: id_ not in named)
        return Match(phrase.family, phrase.text, hit.grade, tuple(id_ for id_ in findings if id_ in self._names))


def _is_word(reply: RefusingReply) -> bool:
    """A single word without a code is a search."""
    return reply.code is None and reply.status is None and " " not in reply.text.strip()


def _alone(rule: Rule) -> Family:
    """A family for a finding whose rejection texts are in none."""
    found = example(rule)
    return Family(rule.id, rule.id, Who.YOU, f"{found.text}.", found.fix, rule.ref, findings=(rule.id,))


def _helo_findings(name: str) -> frozenset[str]:
    """What is wrong with the HELO name, if the text holds it."""
    if not name:
        return frozenset()
    return frozenset(f"helo.{fault.kind}" for fault in helo.parse(name).faults)
