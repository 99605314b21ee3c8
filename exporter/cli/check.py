"""`deliverability-exporter check`: the daemon's engine, once, for a person or a CI job.

The same checks, store and policy as the daemon's, so the two cannot disagree. First everything that is
configured or named runs, then the mail hosts that were found on the way.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, TextIO, TypeAlias

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from exporter import __version__, receivers
from exporter.checks.mta_sts import mta_sts
from exporter.engine import discovery
from exporter.engine.catalogue import Catalogue
from exporter.engine.evaluate import evaluate
from exporter.engine.store import FindingPolicy, Store
from exporter.mail import names
from exporter.mail.dnsbl.blocklist import Blocklist, Lists
from exporter.model import Check, Clock, Severity, Target, Verdict
from exporter.net import HeldStates, Net
from exporter.targets import (
    Address,
    Authorisation,
    Delivery,
    Domain,
    Egress,
    Greeting,
    KeyNamespace,
    MailHost,
    OwnResolver,
    Registration,
    Reputation,
    Zone,
    deliveries,
)
from exporter.views import cards

Pair: TypeAlias = tuple[Check, Target]

AT_ONCE = 32
SENDER = "command-line"
CONCERNED = frozenset({discovery.CHECK, mta_sts.id})  # checks of domains that rest on what was met at mail hosts


class Exit(IntEnum):
    """As monitoring plug-ins do; 64 is EX_USAGE of sysexits.h."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3
    USAGE = 64


def named(words: Sequence[str], helo: str | None, lists: Iterable[Blocklist]) -> list[Target]:
    """Targets for the domains and addresses of a command line; each address is asked to send for each domain.

    Raise ValueError for a word that is neither.
    """
    addresses: list[IPv4Address | IPv6Address] = []
    domains: list[str] = []
    for word in words:
        try:
            addresses.append(ip_address(word))
        except ValueError:
            try:
                domains.append(names.canonical(word))
            except ValueError as error:
                raise ValueError(f"{word!r} is neither an address nor a domain: it {error}") from None
    of = {kind: tuple(b for b in lists if b.lists is kind) for kind in Lists}
    made: list[Target] = [OwnResolver(uses_blocklists=any(of.values()))]
    for ip in dict.fromkeys(addresses):
        made.append(Address(ip=ip, helo=(helo,) if helo is not None else ("the name this server says in HELO",)))
        if helo is not None:
            made.append(Greeting(sender=SENDER, ip=ip, helo=helo))
        if of[Lists.IPS]:
            made.append(Reputation(subject=ip, lists=of[Lists.IPS]))
    for name in dict.fromkeys(domains):
        made.append(Domain(name=name, mail_from=(name,)))
        made.append(KeyNamespace(domain=name))
        made.append(Zone(name=name, mail_from=(name,)))
        if addresses:
            egress = tuple(Egress(ip, helo or name) for ip in dict.fromkeys(addresses))
            made.append(Authorisation(domain=name, sender=SENDER, mail_from=(name,), egress=egress))
        if of[Lists.DOMAINS]:
            made.append(Reputation(subject=name, lists=of[Lists.DOMAINS]))
    made += [Registration(domain=name) for name in dict.fromkeys(map(names.registered, domains))]
    return [*made, *deliveries(made, lambda _: receivers.DEFAULT)]


def pairs(catalogue: Catalogue, targets: Iterable[Target], enabled: Callable[[str], bool]) -> list[Pair]:
    """Which check looks at which target."""
    return [
        (check, target)
        for target in targets
        for check in catalogue.checks.values()
        if isinstance(target, check.over) and enabled(check.id) and check.id not in target.off
    ]


async def run(
    catalogue: Catalogue,
    targets: Sequence[Target],
    enabled: Callable[[str], bool],
    net: Callable[[HeldStates], Net],
    clock: Clock,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Store:
    """Evaluate everything once; `progress(done, total)` is called as runs end.

    Mail hosts that were found come second, then their domains once more, what is concluded from the others last.
    """
    store = Store()
    todo = pairs(catalogue, targets, enabled)
    for pair in todo:
        store.want(*pair)
    done = 0

    async def sweep(some: Sequence[Pair]) -> None:
        nonlocal done
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(check: Check, target: Target) -> None:
            nonlocal done
            async with slots:
                store.record(await evaluate(check, target, partial(net, store), clock))
            done += 1
            if progress:
                progress(done, len(todo))

        await asyncio.gather(*(one(*pair) for pair in some))

    last = [pair for pair in todo if isinstance(pair[1], Delivery)]
    await sweep([pair for pair in todo if not isinstance(pair[1], Delivery)])
    hosts = discovery.MailHosts(t for t in targets if isinstance(t, MailHost))
    for held in store:
        if held.check.id == discovery.CHECK:
            hosts.learn(held)
    late = [pair for pair in pairs(catalogue, hosts.all, enabled) if store.want(*pair)]
    todo = [*todo, *late]
    await sweep(late)
    # What was met at a mail host is news for the domains that lead to it.
    faulty = {(h.target.host, h.target.port) for h in store if isinstance(h.target, MailHost) and h.findings}
    domains = hosts.leading_to(faulty)
    again = [(check, target) for check, target in todo if check.id in CONCERNED and target.key in domains]
    todo = [*todo, *again]
    await sweep(again)
    await sweep(last)
    return store


def exit_code(store: Store, policy: FindingPolicy, now: float) -> Exit:
    held = list(store)
    judged = [j for h in held for j in h.judged(policy, now) if j.fails]
    if any(j.severity is Severity.CRITICAL for j in judged):
        return Exit.CRITICAL
    if any(h.doubt for h in held):
        return Exit.UNKNOWN
    return Exit.WARNING if judged else Exit.OK


def progress_bar(stream: TextIO) -> Progress:
    """Shown on a terminal only."""
    console = Console(file=stream)
    columns = (TextColumn("checking"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def as_json(store: Store, policy: FindingPolicy, now: float, notes: Sequence[str]) -> str:
    """Every verdict with its evidence; the same words as the pages'."""
    told = cards.cards(store, policy, now)
    summary = {str(v): sum(card["verdict"] == v for card in told) for v in Verdict}
    body = {"version": __version__, "exit": exit_code(store, policy, now), "summary": summary}
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
