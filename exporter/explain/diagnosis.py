"""Explains a refusal to a person: who refused, what it means, who can act, and which of the causes is active here.

Of the refusal itself only parts from closed sets are shown, and well-formed names and addresses. Its text is not shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from exporter.check_state import CheckState
from exporter.explain import vendors
from exporter.explain.families import Who
from exporter.explain.refusals import BounceKind, Diagnosis, Grade, Match, Refusal
from exporter.explain.reply import Stage
from exporter.explain.smtp_status import meaning, reply_meaning
from exporter.explain.values import Values

IN_FULL = 6  # causes that are explained in full; the others are only named
MOST_NAMED = 20  # other causes that are named
MOST_READ = 12  # lines about what was read; a bounce can be about many recipients
NO_MATCH = "No match."
_HEADINGS = {
    Grade.SAID: "Possible causes:",
    Grade.SEARCHED: "Findings and rejections that contain these words:",
    Grade.CODE: "Same status code, different text:",
    Grade.VAGUE: "The text is vague. Most often it means:",
}
_WORDS = Values(
    ip="the sending IP",
    domain="your domain",
    helo="of your server",
    host="the receiver",
    listed="that the text names",
)
_NO_REFUSAL = {
    BounceKind.DELIVERED: "The notification says that the mail was delivered or handed on. Nothing was rejected.",
    BounceKind.RECEIPT: "This is a receipt of the recipient's mail program (MDN). Nothing was rejected.",
    BounceKind.COMPLAINT: "This is a complaint (ARF): a recipient reported the mail as spam. Stop mail to them.",
}
_BY_CLASS = {
    "4": "It is a temporary failure: the mail server retries by itself.",
    "5": "It is a permanent failure: to send the same message again does not help.",
}
_ACTS = {
    Who.YOU: "you",
    Who.RECIPIENT: "the recipient",
    Who.RECEIVER: "the receiver's postmaster",
    Who.NETWORK: "you, or your network provider",
}


@dataclass(frozen=True, slots=True)
class CauseCard:
    """One cause with one fix. `findings` may be behind it, the likeliest first; `related` are worth a look."""

    family: str
    text: str  # the known text that fits
    means: str
    who: str
    fix: str
    source: str
    findings: tuple[str, ...]
    related: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExplainedRefusal:
    """What a page or a terminal shows: the best causes in full, and the names of the others."""

    read: tuple[str, ...]  # what the codes mean, who said it and when
    heading: str | None  # of the causes; None: there are none
    causes: tuple[CauseCard, ...]
    also: tuple[str, ...]
    no_match: str = ""  # what to do without a cause; empty where nothing was refused


@dataclass(frozen=True, slots=True)
class InSetup:
    """What the checks of one configuration say of possible causes."""

    lines: tuple[str, ...] = ()
    answered: bool = False  # at least one check said yes or no


def explain(answer: Diagnosis) -> ExplainedRefusal:
    best = answer.best
    shown = best[:IN_FULL]
    others = answer.matches[len(shown) : len(shown) + MOST_NAMED]
    return ExplainedRefusal(
        read=tuple(_read(answer))[:MOST_READ],
        heading=_HEADINGS[best[0].grade] if best else None,
        causes=tuple(_card(match, _values(answer, match)) for match in shown),
        also=tuple(dict.fromkeys(match.family.id for match in others)),
        no_match="" if best or answer.kind in _NO_REFUSAL else " ".join(_unknown(answer)),
    )


def _values(answer: Diagnosis, match: Match) -> Values:
    """Of the refusal that has this cause."""
    return next((it.values for it in answer.refusals if any(own is match for own in it.matches)), Values())


def _card(match: Match, values: Values) -> CauseCard:
    family = match.family
    return CauseCard(
        family.id,
        match.text,
        _filled(family.means, values),
        _ACTS[family.who],
        _filled(family.fix, values),
        family.source,
        match.findings,
        tuple(id_ for id_ in family.related if id_ not in match.findings),
    )


def _filled(sentence: str, values: Values) -> str:
    """The sentence with what the text holds, or with words where it holds nothing."""
    begins_with_name = False
    for name in ("ip", "domain", "helo", "host", "listed"):
        value = getattr(values, name)
        begins_with_name = begins_with_name or bool(value and sentence.startswith(f"{{{name}}}"))
        if name == "helo" and value:
            value = f'"{value}"'
        sentence = sentence.replace(f"{{{name}}}", value or getattr(_WORDS, name))
    return sentence if begins_with_name else f"{sentence[0].upper()}{sentence[1:]}"


def _read(answer: Diagnosis) -> Iterator[str]:
    if answer.kind in _NO_REFUSAL:
        yield _NO_REFUSAL[answer.kind]
    yield from dict.fromkeys(line for refusal in answer.refusals for line in _told(refusal))


def _told(refusal: Refusal) -> Iterator[str]:
    reply, values = refusal.reply, refusal.values
    if reply.code:
        yield f"{reply.code}: {reply_meaning(reply.code)}"
    if reply.status:
        yield f"{reply.status}: {meaning(reply.status)}"
    vendor = f" ({refusal.vendor})" if refusal.vendor and values.host else ""
    by = refusal.refused_by or refusal.vendor or ""
    when = f", {_when(reply.stage)}" if reply.stage else ""
    if reply.code and (by or when):
        yield f"Rejected{f' by {by}' if by else ''}{vendor}{when}"
    elif values.host:
        yield f"About {values.host}{vendor}{when}. No server replied"
    if values.writer and values.writer != values.host:
        yield f"Written by {values.writer}"
    if refusal.lasted:
        yield "The failure was temporary, and lasted until the message expired"


def _when(stage: Stage) -> str:
    return f"at {stage}" if stage is Stage.GREETING else f"in reply to {stage}"


def _unknown(answer: Diagnosis) -> Iterator[str]:
    """The general meaning, and whom to ask."""
    yield NO_MATCH
    refusal = next((it for it in answer.refusals if it.reply.code), None)
    if refusal is None:
        yield "If it is a rejection, paste the whole line."
        return
    yield _BY_CLASS.get(refusal.reply.kind or "", "")
    where = refusal.values.host or "the server that refused"
    ask = vendors.shipped().ask.get(refusal.vendor or "")
    yield f"Ask the postmaster of {where}{f' ({ask})' if ask else ''}, and quote the whole line."


def as_text(answer: Diagnosis, here: InSetup | None = None) -> str:
    """The text for a terminal. With the result of `in_setup` it ends there, if that is an answer."""
    explained = explain(answer)
    here = here or InSetup()
    lines = list(explained.read)
    if here.lines:
        lines += ["", "In your setup:", *(f"  {line}" for line in here.lines)]
    # What no check can see is not ruled out by checks.
    causes = [card for card in explained.causes if not (here.answered and card.findings)]
    if explained.no_match:
        lines += ["", explained.no_match]
    elif explained.heading and causes and not here.answered:
        lines += ["", explained.heading]
    for card in causes:
        lines += ["", *_lines(card)]
    if explained.also and not here.answered:
        lines += ["", f"See also: {', '.join(explained.also)}"]
    return "\n".join(lines).lstrip("\n")


def _lines(card: CauseCard) -> list[str]:
    lines = [
        f"{card.family}: {card.means}",
        f"  Fix: {card.fix}",
        f"  Who can act: {card.who}",
        f"  Rejection text: {card.text}",
    ]
    if card.findings:
        lines.append(f"  Findings: {', '.join(card.findings)}")
    if card.related:
        lines.append(f"  Related findings: {', '.join(card.related)}")
    return [*lines, f"  Source: {card.source}"]


def in_setup(states: Iterable[CheckState], findings: Iterable[str]) -> InSetup:
    """Which of these findings are active, and where. Acknowledged ones count too: they cause the same refusals."""
    wanted = tuple(findings)
    checks = {finding.partition(".")[0] for finding in wanted}
    looked = [state for state in states if state.check.id in checks]
    active = [
        (it.finding, state)
        for finding in wanted
        for state in looked
        for it in state.findings
        if it.finding.id == finding
    ]
    lines = []
    for finding, where in active:
        lines += [
            f"{finding.id} of {where.target.title}: {finding.text}. This is the cause.",
            f"  Fix: {finding.fix}",
        ]
    doubts = [state for state in looked if state.doubt]
    lines += [f"unknown: {it.check.id} of {it.target.title} ({it.doubt.detail})" for it in doubts if it.doubt]
    absent = [finding for finding in wanted if finding not in {found.id for found, _ in active}]
    conclusive = len(looked) > len(doubts)
    if absent and conclusive:
        lines.append(f"Ruled out: {', '.join(absent)}")
    if not looked:
        lines.append("The configuration has no target that could show it.")
    elif not active and not doubts:
        lines.append("No configured target has this problem. Perhaps another server sent the rejected mail.")
    return InSetup(tuple(lines), answered=bool(active) or conclusive)
