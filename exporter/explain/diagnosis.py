"""Explains a refusal to a person: what it says, what can cause it, and which of these causes is active here.

Only parts from closed sets are shown of the refusal: its codes, the receiver and the stage. Its text is not shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from exporter.check_state import CheckState
from exporter.explain.refusals import Diagnosis, Grade, Match
from exporter.explain.smtp_status import Refusal, meaning, reply_meaning
from exporter.facts import Rule

IN_FULL = 6  # causes that are explained in full; the others are only named
_HEADINGS = {
    Grade.SAID: "Receivers say so because of:",
    Grade.SEARCHED: "What has these words:",
    Grade.CODE: "The same code, in other words:",
    Grade.ALIKE: "Not these words, but much like them:",
}


@dataclass(frozen=True, slots=True)
class ExplainedRefusal:
    """What a page or a terminal shows: the best causes in full, and the names of the others."""

    read: tuple[str, ...]  # what the codes mean, who said it and when
    heading: str | None  # of the causes; None: there are none
    causes: tuple[Match, ...]
    also: tuple[str, ...]


def explain(answer: Diagnosis) -> ExplainedRefusal:
    best = answer.best
    return ExplainedRefusal(
        read=tuple(_read(answer.refusal)),
        heading=_HEADINGS[best[0].grade] if best else None,
        causes=best[:IN_FULL],
        also=tuple(_name(match) for match in answer.matches[min(len(best), IN_FULL) :]),
    )


def _read(refusal: Refusal) -> list[str]:
    lines = [f"{code}: {reply_meaning(code)}" for code in refusal.codes]
    lines += [f"{status}: {meaning(status)}" for status in refusal.statuses]
    if refusal.receiver:
        lines.append(f"said by {refusal.receiver}")
    if refusal.stage:
        lines.append(f"in reply to {refusal.stage}")
    return lines


def _name(match: Match) -> str:
    return match.rule.id if match.rule else match.quote.text


def as_text(answer: Diagnosis, here: Iterable[str] = ()) -> str:
    """The text for a terminal. `here` is the result of `verdicts`."""
    explained = explain(answer)
    lines = list(explained.read)
    if here:
        lines += ["", "Here and now:", *(f"  {line}" for line in here)]
    if explained.heading is None:
        codes = "The codes mean no more than is said above. " if explained.read else ""
        lines += ["", f"Nothing in the catalogue matches. {codes}The server that refuses knows why."]
    else:
        lines += ["", explained.heading]
    for match in explained.causes:
        lines += ["", *_lines(match)]
    if explained.also:
        lines += ["", f"See also: {', '.join(explained.also)}"]
    return "\n".join(lines).lstrip("\n")


def _lines(match: Match) -> list[str]:
    cause = match.cause
    if isinstance(cause, Rule):
        return [
            f"{cause.id} ({cause.severity}): {cause.says}",
            f"  {cause.why}",
            f"  answer: {match.quote.text}",
            f"  Fix: {cause.fix}",
        ]
    related = [f"  Look also at: {', '.join(cause.related)}"] if cause.related else []
    return [
        "No finding of this exporter:",
        f"  {cause.means}",
        f"  answer: {match.quote.text}",
        f"  Fix: {cause.fix}",
        f"  Source: {cause.source}",
        *related,
    ]


def verdicts(states: Iterable[CheckState], findings: Iterable[str]) -> list[str]:
    """Which of these findings are active, and where. Accepted ones count too: they cause the same refusals."""
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
        lines += [f"{finding.id} of {where.target.title}: {finding.text}. That is it.", f"  Fix: {finding.fix}"]
    doubts = [state for state in looked if state.doubt]
    lines += [f"could not tell {it.check.id} of {it.target.title}: {it.doubt.detail}" for it in doubts if it.doubt]
    absent = [finding for finding in wanted if finding not in {found.id for found, _ in active}]
    if absent and len(looked) > len(doubts):
        lines.append(f"not found: {', '.join(absent)}")
    if not looked:
        lines.append("nothing is configured that could show it")
    elif not active and not doubts:
        lines.append("What is configured is sound: the server that was refused may say or be something else.")
    return lines
