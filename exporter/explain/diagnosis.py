"""A refusal explained to a person: what it says, what causes it, and whether one of the causes stands here and now.

Of the refusal itself only what is out of closed sets is shown (codes, receiver, stage), never its text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from exporter.check_state import CheckState
from exporter.explain import runbook
from exporter.explain.refusals import Diagnosis, Grade, Match
from exporter.explain.smtp_status import Refusal, meaning, reply_meaning
from exporter.model import Rule

TOLD = 6  # causes told in full; the others by name
_HEADINGS = {
    Grade.SAID: "Receivers say so because of:",
    Grade.SEARCHED: "What has these words:",
    Grade.CODE: "The same code, in other words:",
    Grade.ALIKE: "Not these words, but much like them:",
}


def plain(answer: Diagnosis) -> dict[str, Any]:
    """The answer as a page and a terminal show it: the causes that fit best in full, the rest by name."""
    best = answer.best
    return {
        "read": _read(answer.refusal),
        "heading": _HEADINGS[best[0].grade] if best else None,
        "causes": [_cause(match) for match in best[:TOLD]],
        "also": [_name(match) for match in answer.matches[min(len(best), TOLD) :]],
    }


def _read(refusal: Refusal) -> list[str]:
    lines = [f"{code}: {reply_meaning(code)}" for code in refusal.codes]
    lines += [f"{status}: {meaning(status)}" for status in refusal.statuses]
    if refusal.receiver:
        lines.append(f"said by {refusal.receiver}")
    if refusal.stage:
        lines.append(f"in reply to {refusal.stage}")
    return lines


def _cause(match: Match) -> dict[str, Any]:
    cause = match.cause
    if isinstance(cause, Rule):
        return {"quote": match.quote.text, "finding": runbook.rule(cause)}
    return {
        "quote": match.quote.text,
        "finding": None,
        "means": cause.means,
        "fix": cause.fix,
        "source": cause.source,
        "related": list(cause.related),
    }


def _name(match: Match) -> str:
    return match.cause.id if isinstance(match.cause, Rule) else match.quote.text


def as_text(answer: Diagnosis, here: Iterable[str] = ()) -> str:
    """For a terminal; `here` is what `verdicts` said."""
    told = plain(answer)
    lines = list(told["read"])
    if here:
        lines += ["", "Here and now:", *(f"  {line}" for line in here)]
    if not told["causes"]:
        codes = "The codes mean no more than is said above. " if told["read"] else ""
        lines += ["", f"Nothing in the catalogue matches. {codes}The server that refuses knows why."]
    else:
        lines += ["", told["heading"]]
    for cause in told["causes"]:
        lines += ["", *_lines(cause)]
    if told["also"]:
        lines += ["", f"See also: {', '.join(told['also'])}"]
    return "\n".join(lines).lstrip("\n")


def _lines(cause: dict[str, Any]) -> list[str]:
    finding = cause["finding"]
    if finding:
        return [
            f"{finding['id']} ({finding['default_severity']}): {finding['says']}",
            f"  {finding['why']}",
            f"  answer: {cause['quote']}",
            f"  Fix: {finding['to_fix']}",
        ]
    related = [f"  Look also at: {', '.join(cause['related'])}"] if cause["related"] else []
    return [
        "No finding of this exporter:",
        f"  {cause['means']}",
        f"  answer: {cause['quote']}",
        f"  Fix: {cause['fix']}",
        f"  Source: {cause['source']}",
        *related,
    ]


def verdicts(held: Iterable[CheckState], findings: Iterable[str]) -> list[str]:
    """Which of these findings stand, wherever they were looked for; accepted or not, they cause the same refusals."""
    wanted = tuple(findings)
    checks = {finding.partition(".")[0] for finding in wanted}
    looked = [h for h in held if h.check.id in checks]
    standing = [(s.finding, h) for finding in wanted for h in looked for s in h.findings if s.finding.id == finding]
    lines = []
    for finding, where in standing:
        lines += [f"{finding.id} of {where.target.title}: {finding.text}. That is it.", f"  Fix: {finding.fix}"]
    doubts = [h for h in looked if h.doubt]
    lines += [f"could not tell {h.check.id} of {h.target.title}: {h.doubt.detail}" for h in doubts if h.doubt]
    absent = [finding for finding in wanted if finding not in {found.id for found, _ in standing}]
    if absent and len(looked) > len(doubts):
        lines.append(f"not found: {', '.join(absent)}")
    if not looked:
        lines.append("nothing is configured that could show it")
    elif not standing and not doubts:
        lines.append("What is configured is sound: the server that was refused may say or be something else.")
    return lines
