"""Cards and receptions as text for a terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TextIO

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from exporter.check_state import FindingPolicy
from exporter.engine.store import Store
from exporter.facts import Severity, Verdict
from exporter.model import Exchange
from exporter.receivers import DemandState
from exporter.views import cards
from exporter.views.cards import Card, DemandCard, Reception, ShownFinding
from exporter.views.times import until

_STYLE: Mapping[Severity | Verdict, str] = {
    Severity.CRITICAL: "bold red",
    Severity.WARNING: "yellow",
    Severity.INFO: "cyan",
    Verdict.UNKNOWN: "magenta",
    Verdict.PASS: "green",
}
_MARKS = {Verdict.FAIL: "FAIL", Verdict.UNKNOWN: "????", Verdict.PASS: "ok  "}
_STATES = {
    DemandState.UNMET: ("UNMET", _STYLE[Severity.CRITICAL]),
    DemandState.CANNOT_TELL: ("?????", _STYLE[Verdict.UNKNOWN]),
    DemandState.MET: ("met  ", _STYLE[Verdict.PASS]),
    DemandState.NOT_OBSERVABLE: ("unseen", "dim"),
}


def as_text(store: Store, policy: FindingPolicy, now: float, notes: Sequence[str], stream: TextIO = sys.stdout) -> None:
    """Worst first: what is wrong with its fix and evidence, what is unknown, what passes."""
    console = Console(file=stream, highlight=False)
    shown = cards.cards(store, policy, now)
    for note in notes:
        _line(console, 0, Text(f"note: {note}", style="yellow"))
    for card in shown:
        _card(console, card)
    for reception in cards.receptions(store):
        _reception(console, reception)
    totals = {verdict: sum(card.verdict is verdict for card in shown) for verdict in Verdict}
    console.print(
        Text.assemble(
            f"\n{len(shown)} verdicts: ",
            (f"{totals[Verdict.FAIL]} fail", _STYLE[Severity.CRITICAL] if totals[Verdict.FAIL] else ""),
            ", ",
            (
                f"{totals[Verdict.UNKNOWN]} unknown",
                _STYLE[Verdict.UNKNOWN] if totals[Verdict.UNKNOWN] else "",
            ),
            f", {totals[Verdict.PASS]} pass",
        )
    )


def _card(console: Console, card: Card) -> None:
    head = Text.assemble((f"{_MARKS[card.verdict]} ", _STYLE[card.state]), (f"{card.check.id:<16} ", "bold"))
    _line(console, 0, head.append(card.target.title))
    for finding in card.findings:
        _finding(console, finding)
    if card.doubt:
        _line(console, 5, Text(f"could not tell: {card.doubt.detail}", _STYLE[Verdict.UNKNOWN]))
    if card.verdict is not Verdict.PASS and card.evidence:
        for exchange in card.evidence.exchanges:
            _exchange(console, exchange)


def _finding(console: Console, finding: ShownFinding) -> None:
    severity = finding.severity
    line = Text.assemble((f"{severity}: ", _STYLE[severity]), finding.text, (f"  [{finding.rule.id}]", "dim"))
    if finding.accepted_until is not None:
        line.append(f" (accepted: {until(finding.accepted_until)})")
    _line(console, 5, line)
    if severity is not Severity.INFO:
        _line(console, 5, Text(f"fix: {finding.fix}"))


def _exchange(console: Console, exchange: Exchange) -> None:
    first, *more = exchange.got or ("",)
    via = f"({exchange.via.strip()}, {exchange.seconds * 1000:.0f} ms)"
    _line(console, 7, Text(f"{exchange.asked}  {first}  {via}", "dim"))
    for line in more:
        _line(console, 9, Text(line, "dim"))


def _reception(console: Console, reception: Reception) -> None:
    """One receiver and one domain: what it demands, and what it says to mail that does not do it."""
    counts = ", ".join(f"{count} {state}" for state, count in reception.counts.items() if count)
    _line(
        console, 0, Text.assemble((f"\n{reception.profile.question}", "bold"), f"  {reception.target.domain}: {counts}")
    )
    for demand in reception.demands:
        _demand(console, demand)


def _demand(console: Console, card: DemandCard) -> None:
    demand, answer = card.demand, card.answer
    mark, style = _STATES[answer.state]
    _line(console, 5, Text.assemble((f"{mark:<6} ", style), demand.text))
    for cause in answer.causes:
        _line(console, 12, Text.assemble(cause.finding.text, (f"  [{cause.finding.id}]", "dim")))
    if answer.state is DemandState.UNMET:
        for text in demand.refusals:
            _line(console, 12, Text(f"answer: {text}"))
    for trouble in answer.troubles:
        _line(console, 12, Text(f"could not tell: {trouble.check} of {trouble.title}: {trouble.doubt.detail}"))
    if answer.why:
        _line(console, 12, Text(answer.why, "dim"))


def _line(console: Console, indent: int, text: Text) -> None:
    """On a terminal wrapped under its indent; elsewhere one whole line, for grep."""
    if console.is_terminal:
        console.print(Padding(text, (0, 0, 0, indent)))
    else:
        console.print(Text(" " * indent).append_text(text), soft_wrap=True)
