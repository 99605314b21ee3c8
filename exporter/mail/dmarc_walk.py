"""Whose DMARC record counts for a domain: the tree walk of RFC 9989, and RFC 7489's answer beside it.

Most names hold no record of their own and inherit one. *Whose* is found by the tree walk (RFC 9989 section 4.10):
ask at the domain, then at each parent up to the top-level domain; a name of eight or more labels is first cut down
to seven, so that there are never more than eight questions. A record with psd=y or psd=n ends the walk. Of several
records at one name none counts. From the records that were met follow the organisational domain (section 4.10.2),
which also decides about alignment, and the record to use (section 4.10.1): the domain's own, else its
organisational domain's, else the public suffix's.

RFC 7489 (section 3.2) found the organisational domain in the Public Suffix List instead, and looked in two places only.
Receivers of both kinds exist, and a sender wants them to agree: hence `Discovery.new` and `Discovery.old`.
"""

from __future__ import annotations

from dataclasses import dataclass

from exporter.mail import names
from exporter.mail.dmarc import Record, is_record, parse
from exporter.mail.dns import Evaluation, Question, Reply, Status

MOST_LABELS = 7  # what a long name is cut down to (section 4.10 step 4)


def walk(domain: str) -> tuple[str, ...]:
    """The names whose `_dmarc` a full tree walk asks, in order: at most eight (section 4.10)."""
    labels = domain.split(".")
    parents = labels[1:] if len(labels) <= MOST_LABELS else labels[-MOST_LABELS:]
    return (domain, *(".".join(parents[i:]) for i in range(len(parents))))


@dataclass(frozen=True, slots=True)
class Step:
    """One name of the walk and what stands at its `_dmarc`."""

    domain: str
    reply: Reply
    records: tuple[Record, ...]

    @property
    def name(self) -> str:
        return f"_dmarc.{self.domain}"

    @property
    def record(self) -> Record | None:
        """The record that counts: several are all discarded (section 4.10 step 2)."""
        return self.records[0] if len(self.records) == 1 else None


@dataclass(frozen=True, slots=True)
class Published:
    """A record and the domain that it stands for."""

    domain: str
    record: Record

    @property
    def name(self) -> str:
        return f"_dmarc.{self.domain}"


@dataclass(frozen=True, slots=True)
class Found:
    """Where the policy and alignment of a domain come from, by one RFC's reading."""

    source: str | None  # the domain whose record is used
    organisational: str

    def __str__(self) -> str:
        record = f"the record at _dmarc.{self.source}" if self.source else "no record"
        return f"{record} and the organisational domain {self.organisational}"


@dataclass(frozen=True, slots=True)
class Discovery:
    """How far the walk came. With `doubt`, the first question without a usable answer, the walk broke off there."""

    domain: str
    steps: tuple[Step, ...]
    doubt: Reply | None = None
    apex: Reply | None = None  # the domain's own TXT records, asked where it holds no DMARC record
    aside: Step | None = None  # RFC 7489's other place, where the walk did not come by

    @property
    def organisational(self) -> str:
        """Section 4.10.2; meaningless in doubt."""
        found = [(step.domain, step.record.psd) for step in self.steps if step.record]
        for domain, psd in found:
            if psd == "n":
                return domain
            if psd == "y":  # one label below; where the walk began there is none, and it is itself
                return ".".join(self.domain.split(".")[-domain.count(".") - 2 :])
        return found[-1][0] if found else self.domain

    @property
    def source(self) -> Published | None:
        """The record used for the domain itself (section 4.10.1). In doubt, only its own is certain."""
        if self.steps and self.steps[0].record:
            return Published(self.domain, self.steps[0].record)
        return None if self.doubt else self.subdomain_source

    @property
    def subdomain_source(self) -> Published | None:
        """The record used for a subdomain without one of its own; meaningless in doubt."""
        at = {step.domain: Published(step.domain, step.record) for step in self.steps if step.record}
        suffix = next((published for published in at.values() if published.record.psd == "y"), None)
        return at.get(self.organisational, suffix)

    @property
    def exists(self) -> bool:
        """By RFC 8020: only NXDOMAIN says no (section 4.10.1)."""
        return self.apex is None or self.apex.status is not Status.NXDOMAIN

    @property
    def new(self) -> Found:
        return Found(self.source.domain if self.source else None, self.organisational)

    @property
    def old(self) -> Found:
        """By RFC 7489 section 6.6.3: the domain's own record, else that of its registrable domain."""
        organisational = names.registrable(self.domain)
        place = self.domain if self.steps[0].records else organisational  # several end the search (step 5)
        asked = (*self.steps, *([self.aside] if self.aside else ()))
        found = any(step.domain == place and step.record for step in asked)
        return Found(place if found else None, organisational)


def discover(domain: str) -> Evaluation[Discovery]:
    """Walk the tree; stop at psd=y, at psd=n and at the first question that gets no usable answer."""
    steps: list[Step] = []
    for name in walk(domain):
        step = yield from _look(name)
        if not step.reply.status.conclusive:
            return Discovery(domain, tuple(steps), doubt=step.reply)
        steps.append(step)
        if step.record and step.record.psd != "u":
            break
    if steps[0].record:
        return Discovery(domain, tuple(steps))
    apex = yield Question(domain, "TXT")
    old, aside = names.registrable(domain), None
    if not steps[0].records and old not in {step.domain for step in steps}:
        aside = yield from _look(old)
    return Discovery(domain, tuple(steps), None, apex, aside)


def _look(domain: str) -> Evaluation[Step]:
    reply = yield Question(f"_dmarc.{domain}", "TXT")
    texts = (txt.text for txt in reply.texts)
    return Step(domain, reply, tuple(parse(text) for text in texts if is_record(text)))
