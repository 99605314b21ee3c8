"""Whose DMARC record counts for a domain: the tree walk of RFC 9989, and RFC 7489's answer beside it.

Most names hold no record of their own and inherit one. Two questions follow: from whom, and which names are one
organisation? The *tree walk* answers both (RFC 9989 section 4.10). It asks at the domain, then at each parent up to the
top-level domain; a name of eight or more labels is cut down to seven after the first question, so that there are
never more than eight. A record with psd=y or psd=n ends the walk. Of several records at one name none counts, and the
walk goes on. For mail of a.mail.example.com, where example.com has the only record:

    _dmarc.a.mail.example.com    nothing
    _dmarc.mail.example.com      nothing
    _dmarc.example.com           v=DMARC1; p=reject; sp=quarantine
    _dmarc.com                   nothing: the organisational domain is example.com, the policy quarantine

The organisational domain (section 4.10.2) is the first name with psd=n; or the one below the first with psd=y, unless
the walk began there; else the shortest name that has a record; else the domain itself. The record to use (section
4.10.1) is the domain's own, else its organisational domain's, else the public suffix's: a record at
mail.example.com would have no say above. From an inherited one sp= is taken, or np= where DNS says NXDOMAIN of the
domain.

RFC 7489 (section 3.2) found the organisational domain in the Public Suffix List instead, and looked in two places only.
Receivers of both kinds exist, and a sender wants them to agree: hence `Discovery.new` and `Discovery.old`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from exporter.mail import names
from exporter.mail.dmarc.record import DmarcRecord, is_record, parse
from exporter.mail.dns import Evaluation, Question, Reply, Status

MOST_LABELS = 7  # what a long name is cut down to (section 4.10 step 4)


def walk(domain: str) -> tuple[str, ...]:
    """The names whose `_dmarc` a full tree walk asks, in order: at most eight (section 4.10)."""
    labels = domain.split(".")
    parents = labels[1:] if len(labels) <= MOST_LABELS else labels[-MOST_LABELS:]
    return (domain, *(".".join(parents[i:]) for i in range(len(parents))))


@dataclass(frozen=True, slots=True)
class WalkStep:
    """One name of the walk and what stands at its `_dmarc`."""

    domain: str
    reply: Reply
    records: tuple[DmarcRecord, ...]

    @property
    def name(self) -> str:
        return f"_dmarc.{self.domain}"

    @property
    def record(self) -> DmarcRecord | None:
        """The record that counts: several are all discarded (section 4.10 step 2)."""
        return self.records[0] if len(self.records) == 1 else None


@dataclass(frozen=True, slots=True)
class Published:
    """A record and the domain that it stands for."""

    domain: str
    record: DmarcRecord

    @property
    def name(self) -> str:
        return f"_dmarc.{self.domain}"


@dataclass(frozen=True, slots=True)
class PolicySource:
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
    steps: tuple[WalkStep, ...]
    doubt: Reply | None = None
    apex: Reply | None = None  # the domain's own TXT records, asked where it holds no DMARC record
    aside: WalkStep | None = None  # RFC 7489's other place, where the walk did not come by

    @property
    def organisational(self) -> str:
        """Section 4.10.2; meaningless in doubt."""
        found = [(step.domain, record.psd) for step in self.steps if (record := step.record)]
        for domain, psd in found:
            if psd == "n":
                return domain
            if psd == "y":  # one label below; where the walk began there is none, and it is itself
                return ".".join(self.domain.split(".")[-domain.count(".") - 2 :])
        return found[-1][0] if found else self.domain

    @property
    def source(self) -> Published | None:
        """The record used for the domain itself (section 4.10.1). In doubt, only its own is certain."""
        own = self.steps[0].record if self.steps else None
        if own:
            return Published(self.domain, own)
        return None if self.doubt else self.subdomain_source

    @property
    def subdomain_source(self) -> Published | None:
        """The record used for a subdomain without one of its own; meaningless in doubt."""
        at = {step.domain: Published(step.domain, record) for step in self.steps if (record := step.record)}
        suffix = next((published for published in at.values() if published.record.psd == "y"), None)
        return at.get(self.organisational, suffix)

    @property
    def exists(self) -> bool:
        """By RFC 8020: only NXDOMAIN says no (section 4.10.1), and not of an alias, which exists wherever it leads."""
        return self.apex is None or self.apex.status is not Status.NXDOMAIN or bool(self.apex.chain)

    @property
    def new(self) -> PolicySource:
        source = self.source
        return PolicySource(source.domain if source else None, self.organisational)

    @property
    def old_source(self) -> Published | None:
        """By RFC 7489 section 6.6.3: the domain's own record, else that of its registrable domain.

        None as well where that place gave no usable answer; an IndexError where the domain itself gave none.
        """
        place = names.registrable(self.domain)
        if self.steps[0].records:  # several end the search (step 5)
            place = self.domain
        asked = (*self.steps, self.aside) if self.aside else self.steps
        return next((Published(place, step.record) for step in asked if step.domain == place and step.record), None)

    @property
    def old(self) -> PolicySource:
        source = self.old_source
        return PolicySource(source.domain if source else None, names.registrable(self.domain))


def climb(domain: str) -> Evaluation[Discovery]:
    """The walk alone; stop at psd=y, at psd=n and at the first question that gets no usable answer."""
    steps: list[WalkStep] = []
    for name in walk(domain):
        step = yield from _look(name)
        if not step.reply.status.conclusive:
            return Discovery(domain, tuple(steps), doubt=step.reply)
        steps.append(step)
        if step.record and step.record.psd != "u":
            break
    return Discovery(domain, tuple(steps))


def discover(domain: str) -> Evaluation[Discovery]:
    """The walk, and what else is to be asked to know which record counts."""
    found = yield from climb(domain)
    if found.doubt or found.steps[0].record:
        return found
    apex = yield Question(domain, "TXT")
    old, aside = names.registrable(domain), None
    if not found.steps[0].records and old not in {step.domain for step in found.steps}:
        aside = yield from _look(old)
    return replace(found, apex=apex, aside=aside)


def _look(domain: str) -> Evaluation[WalkStep]:
    reply = yield Question(f"_dmarc.{domain}", "TXT")
    texts = [txt.text for txt in reply.texts]
    return WalkStep(domain, reply, tuple([parse(text) for text in texts if is_record(text)]))
