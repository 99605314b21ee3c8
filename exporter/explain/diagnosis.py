"""Explains a refusal to a person: what it says, what can cause it, and which of these causes is active here.

Only parts from closed sets are shown of the refusal: its codes, the receiver and the stage. Its text is not shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from exporter.check_state import CheckState
from exporter.explain import examples
from exporter.explain.refusals import Diagnosis, Grade, Match
from exporter.explain.smtp_status import Refusal, Stage, meaning, reply_meaning
from exporter.facts import Rule

IN_FULL = 6  # causes that are explained in full; the others are only named
NO_MATCH = "No match."
ASK = "Ask the receiver's postmaster, and quote the whole line."
_HEADINGS = {
    Grade.SAID: "Possible causes:",
    Grade.SEARCHED: "Findings that contain these words:",
    Grade.CODE: "Same status code, different text:",
    Grade.ALIKE: "Similar texts:",
}


@dataclass(frozen=True, slots=True)
class ExplainedRefusal:
    """What a page or a terminal shows: the best causes in full, and the names of the others."""

    read: tuple[str, ...]  # what the codes mean, who said it and when
    heading: str | None  # of the causes; None: there are none
    causes: tuple[Match, ...]
    also: tuple[str, ...]

    @property
    def no_match(self) -> str:
        """What to do without a cause."""
        return f"{NO_MATCH} {'Only the generic meaning above is known. ' if self.read else ''}{ASK}"


@dataclass(frozen=True, slots=True)
class InSetup:
    """What the checks of one configuration say of possible causes."""

    lines: tuple[str, ...] = ()
    answered: bool = False  # at least one check said yes or no


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
    if refusal.receiver or refusal.stage:
        by = f" by {refusal.receiver}" if refusal.receiver else ""
        when = f", {_when(refusal.stage)}" if refusal.stage else ""
        lines.append(f"Rejected{by}{when}")
    return lines


def _when(stage: Stage) -> str:
    return f"at {stage}" if stage is Stage.GREETING else f"in reply to {stage}"


def _name(match: Match) -> str:
    return match.rule.id if match.rule else match.quote.text


def as_text(answer: Diagnosis, here: InSetup | None = None) -> str:
    """The text for a terminal. With the result of `in_setup` it ends there, if that is an answer."""
    explained = explain(answer)
    here = here or InSetup()
    lines = list(explained.read)
    if here.lines:
        lines += ["", "In your setup:", *(f"  {line}" for line in here.lines)]
    # What no check can see is not ruled out by checks.
    causes = [match for match in explained.causes if not (here.answered and match.rule)]
    if explained.heading is None:
        lines += ["", explained.no_match]
    elif causes and not here.answered:
        lines += ["", explained.heading]
    for match in causes:
        lines += ["", *_lines(match)]
    if explained.also and not here.answered:
        lines += ["", f"See also: {', '.join(explained.also)}"]
    return "\n".join(lines).lstrip("\n")


def _lines(match: Match) -> list[str]:
    cause = match.cause
    if isinstance(cause, Rule):
        return [
            f"{cause.id} ({cause.severity})",
            f"  {examples.fact(cause)}",
            f"  {cause.why}",
            f"  Rejection text: {match.quote.text}",
            f"  {examples.fix(cause)}",
        ]
    related = [f"  Related findings: {', '.join(cause.related)}"] if cause.related else []
    return [
        "Not detectable in DNS or SMTP:",
        f"  {cause.means}",
        f"  Rejection text: {match.quote.text}",
        f"  Fix: {cause.fix}",
        f"  Source: {cause.source}",
        *related,
    ]


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
