"""What a look has found, as text for a terminal: a page of problems, and on demand all evidence."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from exporter.check_state import CheckState, FindingPolicy
from exporter.engine.difference import Difference
from exporter.engine.problems import ProblemGroup, groups, problems
from exporter.engine.store import Store
from exporter.facts import Severity, Verdict
from exporter.model import Exchange
from exporter.receivers import DemandState
from exporter.remedies import Remedy, blanks_in
from exporter.remedies.forms import zone_lines
from exporter.text import commas
from exporter.views import cards
from exporter.views.cards import Card, DemandCard, Reception, ShownFinding
from exporter.views.report import NOTHING_FOUND, Discovered, Prospect, Report, report, supposed
from exporter.views.times import until
from exporter.views.unknowns import Unknown, unknowns

SHOWN = 25  # problems on one page
NOTHING = "no problem found"  # which is no promise: much shows only when mail is sent
RECORDS = 6  # lines of records for one problem
NAMED = 5  # targets named in one line
STOPPED = "stopped: {:,} of {:,} checks. Nothing is said of the rest."
_STATES_OF_ALL: Mapping[Severity | Verdict, str] = {
    Severity.CRITICAL: "AT RISK",
    Severity.WARNING: "WARNINGS",
    Verdict.UNKNOWN: "UNKNOWN",
    Verdict.PASS: "OK",
}
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
_INDENT = 10


@dataclass(frozen=True, slots=True)
class Look:
    """What the first and the last lines say. `left_out` says what was not looked at, and how to.

    `stopped`: how many checks were made, and of how many, if somebody ended the look. `planned`: which records are.
    """

    subject: str
    seconds: float
    resolver: str
    left_out: Sequence[str] = ()
    discovered: Discovered = NOTHING_FOUND
    stopped: tuple[int, int] | None = None
    planned: Sequence[str] = ()


def as_text(
    store: Store,
    policy: FindingPolicy,
    now: float,
    look: Look,
    stream: TextIO = sys.stdout,
    *,
    detail: int = 0,
    change: Difference | None = None,
) -> None:
    """A page of problems. With `detail` 1 the evidence of what does not pass follows, with 2 everything.

    `change`: what planned records do; the store is the world as it would be with them.
    """
    console = Console(file=stream, highlight=False)
    found = report(store, policy, now)
    _summary(console, found, look, change)
    if change:
        _change(console, change)
    else:
        _groups(console, found.groups)
    for unknown in found.unknowns:
        _unknown(console, unknown)
    if look.discovered.told:
        _line(console, 0, Text(f"Found in DNS: {look.discovered.told}."))
    _supposed(console, supposed(store), policy, now)
    for text in look.left_out:
        _line(console, 0, Text(f"Not checked: {text}"))
    if found.prospects:
        _line(console, 0, Text("Receivers: ").append(", ".join(map(_prospect, found.prospects))))
    if detail:
        judged = [*(it for it in store if not it.target.likely), *supposed(store)]
        _details(console, store, cards.cards(judged, policy, now), everything=detail > 1)
    else:
        _line(
            console,
            0,
            Text("Evidence: -v   Everything: -vv   One check: --only NAME   For programs: --format json", "dim"),
        )


def _groups(console: Console, some: Sequence[ProblemGroup], *, brief: bool = False) -> None:
    for group in some[:SHOWN]:
        _group(console, group, brief=brief)
    if left := sum(len(it.problems) for it in some[SHOWN:]):
        _line(console, 0, Text(f"... and {left:,} more problems: --format json lists them"))


def _change(console: Console, change: Difference) -> None:
    """Three sections. What breaks is told in full."""
    sections = (("Would break", change.breaks), ("Would heal", change.heals), ("Would stay", change.stays))
    for title, some in sections:
        _line(console, 0, Text(f"{title}: {len(some) or 'nothing'}", "bold"))
        _groups(console, groups(some), brief=some is not change.breaks)
    if change.blinded:
        titles = list(dict.fromkeys(f"{it.check.id} of {it.target.title}" for it in change.blinded))
        _line(console, 0, Text(f"Would be unknown: {_some(titles)}", _STYLE[Verdict.UNKNOWN]))


def _summary(console: Console, found: Report, look: Look, change: Difference | None) -> None:
    counts: dict[Severity | Verdict, int] = {
        Severity.CRITICAL: found.count(Severity.CRITICAL),
        Severity.WARNING: found.count(Severity.WARNING),
        Verdict.UNKNOWN: found.unknown,
        Verdict.PASS: found.passed,
    }
    state = found.state
    line = Text.assemble((look.subject, "bold"), "  ", (_STATES_OF_ALL[state], _STYLE[state]), "  ")
    for number, (kind, count) in enumerate(counts.items()):
        line.append(", " if number else "").append(f"{count} {kind}", _STYLE[kind] if count else "")
    if change:
        line.append("  with the planned records")
    _line(console, 0, line.append(f"  ({look.seconds:.1f} s, resolver {look.resolver})", "dim"))
    if look.stopped:
        _line(console, 0, Text(STOPPED.format(*look.stopped), "bold"))
    for text in look.planned:
        _line(console, 0, Text(f"Planned: {text}"))
    console.print()


def _supposed(console: Console, states: Sequence[CheckState], policy: FindingPolicy, now: float) -> None:
    """In few lines, because nobody has said that these machines send."""
    found, unknown = problems(states, policy, now), unknowns(states)
    if found or unknown:
        _line(console, 0, Text("If they send, this is wrong or unknown. It does not count:"))
    elif states:
        looked_at = commas(sorted({state.check.id for state in states}))
        _line(console, 0, Text(f"If they send: no problem found ({looked_at})."))
    for group in groups(found):
        _group(console, group, Text("NOTE", _STYLE[Severity.INFO]), brief=True)
        _line(console, _INDENT, Text.assemble(("Fix: ", "bold"), group.fix))
        _fill_in(console, _INDENT, blanks_in(group.fix))
    for one in unknown:
        _unknown(console, one, Text("NOTE", _STYLE[Severity.INFO]))


def _group(console: Console, group: ProblemGroup, mark: Text | None = None, *, brief: bool = False) -> None:
    severity = group.severity
    mark = mark or Text(severity.upper(), _STYLE[severity])
    _line(console, _INDENT, Text.assemble(group.text, (f"  [{group.rule.id}]", "dim")), mark)
    if brief:
        return
    _line(console, _INDENT, Text(group.rule.why))
    remedy = group.remedy
    fix, lines = group.fix, [line for change in remedy.records for line in zone_lines(change)]
    if [fix] == [f'Publish at {it.name} the TXT record "{value}".' for it in remedy.records for value in it.add]:
        fix = lines.pop()  # it says the same
    _line(console, _INDENT, Text.assemble(("Fix: ", "bold"), fix))
    _remedy(console, remedy, fix, lines)
    members = [it for problem in group.problems for it in problem.members]
    titles = list(dict.fromkeys(it.target.title for it in members))
    if len(titles) > 1 or not all(value in group.text for _, value in members[0].target.identity):
        hurt = f" It hurts {len(group.domains):,} domains." if len(group.domains) > 1 else ""
        _line(console, _INDENT, Text(f"Seen at {_some(titles)}.{hurt}"))


def _remedy(console: Console, remedy: Remedy, fix: str, lines: Sequence[str]) -> None:
    """The lines to paste, and what has to be filled in. `lines` are those of its records."""
    for line in lines[:RECORDS]:
        _line(console, _INDENT, Text(line))
    if len(lines) > RECORDS:
        _line(console, _INDENT, Text(f"... and {len(lines) - RECORDS} more lines: --format json lists them", "dim"))
    for setting in remedy.settings:
        for line in setting.lines:
            _line(console, _INDENT, Text.assemble((f"{setting.server}: ", "bold"), line))
    if remedy.request:
        _line(console, _INDENT, Text.assemble(("For the owner of the address: ", "bold"), remedy.request))
    _fill_in(console, _INDENT, blanks_in(fix) | remedy.blanks)


def _fill_in(console: Console, indent: int, blanks: Mapping[str, str]) -> None:
    for blank, meaning in blanks.items():
        _line(console, indent, Text(f"{blank} is {meaning}.", "dim"))


def _unknown(console: Console, unknown: Unknown, mark: Text | None = None) -> None:
    text = unknown.told(str)
    if len(unknown.checks) > 1:
        text += f": {unknown.doubt.detail}"
    if len(unknown.checks) == 1 or any(it not in text for it in unknown.targets):
        text += f" ({_some(unknown.targets)})"
    line = Text.assemble(text, (f"  [{unknown.doubt.reason}]", "dim"))
    _line(console, _INDENT, line, mark or Text("UNKNOWN", _STYLE[Verdict.UNKNOWN]))


def _some(titles: Sequence[str]) -> str:
    more = len(titles) - NAMED
    if more > 1:
        return f"{len(titles)} targets: {', '.join(titles[:NAMED])} and {more} more"
    return ", ".join(titles)


def _prospect(prospect: Prospect) -> str:
    name, domains = prospect.profile.name, len(prospect.domains)
    states = {"at risk": len(prospect.at_risk), "unknown": len(prospect.unknown)}
    if domains == 1:
        return f"{name} {next((state for state, count in states.items() if count), NOTHING)}"
    told = " and ".join(f"{state} for {count} of {domains} domains" for state, count in states.items() if count)
    return f"{name} {told or NOTHING}"


def _details(console: Console, store: Store, shown: Sequence[Card], *, everything: bool) -> None:
    console.print()
    for card in shown:
        if everything or card.verdict is not Verdict.PASS:
            _card(console, card)
    if everything:
        for reception in cards.receptions(store):
            _reception(console, reception)


def _card(console: Console, card: Card) -> None:
    head = Text.assemble((f"{_MARKS[card.verdict]} ", _STYLE[card.state]), (f"{card.check.id:<16} ", "bold"))
    _line(console, 0, head.append(card.target.title))
    for finding in card.findings:
        _finding(console, finding)
    if card.doubt:
        _line(console, 5, Text(f"unknown: {card.doubt.detail}", _STYLE[Verdict.UNKNOWN]))
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
        _fill_in(console, 5, blanks_in(finding.fix))


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
        _line(console, 12, Text(f"unknown: {trouble.check} of {trouble.title}: {trouble.doubt.detail}"))
    if answer.why:
        _line(console, 12, Text(answer.why, "dim"))


def _line(console: Console, indent: int, text: Text, mark: Text | None = None) -> None:
    """On a terminal wrapped under its indent; elsewhere one whole line, for grep. `mark` stands in the indent."""
    before = mark or Text()
    if console.is_terminal and not indent:
        console.print(text)
    elif console.is_terminal:
        row = Table.grid()
        row.add_column(width=indent)
        row.add_column(overflow="fold")
        row.add_row(before, text)
        console.print(row)
    else:
        before.pad_right(indent - len(before))
        console.print(before.append_text(text), soft_wrap=True)
