"""Cards and receptions as text for a terminal, and as JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from exporter import __version__
from exporter.check_state import FindingPolicy
from exporter.engine.store import Store
from exporter.model import Verdict
from exporter.views import cards


def as_json(store: Store, policy: FindingPolicy, now: float, notes: Sequence[str], exit_code: int) -> str:
    """Every verdict with its evidence; the same words as the pages'."""
    told = cards.cards(store, policy, now)
    summary = {str(v): sum(card["verdict"] == v for card in told) for v in Verdict}
    body = {"version": __version__, "exit": exit_code, "summary": summary}
    body |= {"notes": list(notes), "verdicts": told, "receivers": cards.receptions(store)}
    return json.dumps(body, indent=2, ensure_ascii=False)


_STYLE = {"critical": "bold red", "warning": "yellow", "info": "cyan", "unknown": "magenta", "pass": "green"}


def as_text(store: Store, policy: FindingPolicy, now: float, notes: Sequence[str], stream: TextIO = sys.stdout) -> None:
    """Worst first: what is wrong with its fix and evidence, what could not be told, what passes."""
    console = Console(file=stream, highlight=False)
    told = cards.cards(store, policy, now)
    for note in notes:
        _line(console, 0, Text(f"note: {note}", style="yellow"))
    for card in told:
        _card(console, card)
    for reception in cards.receptions(store):
        _reception(console, reception)
    totals = {v: sum(card["verdict"] == v for card in told) for v in Verdict}
    console.print(
        Text.assemble(
            f"\n{len(told)} verdicts: ",
            (f"{totals[Verdict.FAIL]} fail", _STYLE["critical"] if totals[Verdict.FAIL] else ""),
            ", ",
            (f"{totals[Verdict.UNKNOWN]} could not be told", _STYLE["unknown"] if totals[Verdict.UNKNOWN] else ""),
            f", {totals[Verdict.PASS]} pass",
        )
    )


def _card(console: Console, card: dict[str, Any]) -> None:
    state = card["severity"] or card["verdict"]
    mark = {"fail": "FAIL", "unknown": "????", "pass": "ok  "}[card["verdict"]]
    _line(console, 0, Text.assemble((f"{mark} ", _STYLE[state]), (f"{card['check']:<16} ", "bold"), card["title"]))
    for finding in card["findings"]:
        severity = finding["severity"]
        accepted = f" (accepted: {finding['accepted']})" if finding["accepted"] else ""
        line = Text.assemble((f"{severity}: ", _STYLE[severity]), finding["text"], (f"  [{finding['id']}]", "dim"))
        _line(console, 5, line.append(accepted))
        if severity != "info":
            _line(console, 5, Text(f"fix: {finding['fix']}"))
    if card["unknown"]:
        _line(console, 5, Text(f"could not tell: {card['unknown']['detail']}", _STYLE["unknown"]))
    if card["verdict"] == "pass" or card["evidence"] is None:
        return
    for exchange in card["evidence"]["exchanges"]:
        first, *more = exchange["got"] or [""]
        via = f"({exchange['via'].strip()}, {exchange['seconds'] * 1000:.0f} ms)"
        _line(console, 7, Text(f"{exchange['asked']}  {first}  {via}", "dim"))
        for line in more:
            _line(console, 9, Text(line, "dim"))


_STATES = {
    "unmet": ("UNMET", _STYLE["critical"]),
    "cannot tell": ("?????", _STYLE["unknown"]),
    "met": ("met  ", _STYLE["pass"]),
    "not observable": ("unseen", "dim"),
}


def _reception(console: Console, told: dict[str, Any]) -> None:
    """One receiver and one domain: what it demands, and what it says to mail that does not do it."""
    counts = ", ".join(f"{count} {state}" for state, count in told["counts"].items() if count)
    _line(console, 0, Text.assemble((f"\n{told['question']}", "bold"), f"  {told['domain']}: {counts}"))
    for demand in told["demands"]:
        mark, style = _STATES[demand["state"]]
        _line(console, 5, Text.assemble((f"{mark:<6} ", style), demand["demand"]))
        for cause in demand["causes"]:
            _line(console, 12, Text.assemble(cause["text"], (f"  [{cause['id']}]", "dim")))
        if demand["state"] == "unmet":
            for text in demand["refusals"]:
                _line(console, 12, Text(f"answer: {text}"))
        for unknown in demand["unknown"]:
            _line(console, 12, Text(f"could not tell: {unknown['check']} of {unknown['title']}: {unknown['detail']}"))
        if demand["why"]:
            _line(console, 12, Text(demand["why"], "dim"))


def _line(console: Console, indent: int, text: Text) -> None:
    """On a terminal wrapped under its indent; elsewhere one whole line, for grep."""
    if console.is_terminal:
        console.print(Padding(text, (0, 0, 0, indent)))
    else:
        console.print(Text(" " * indent).append_text(text), soft_wrap=True)
