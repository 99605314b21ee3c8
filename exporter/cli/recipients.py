"""`deliverability-exporter check --recipients FILE`: which addresses of a list can receive no mail, and why.

One address a line. The list is read as it comes and never held, so it may be of any length; each domain is looked up
once, at the resolver's pace, and the answers come out in the order of the list.

A resolver that denies or invents names would make "does not exist" of good addresses. So the resolver is tested first
(`doubted`). If it fails, no domain is looked up, and each is unknown.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from exporter import __version__
from exporter.cli.exit_codes import Exit
from exporter.clock import Clock
from exporter.engine.evaluate import NetFactory, evaluate
from exporter.engine.plan import Pair
from exporter.mail import mailbox, mx
from exporter.mail.mailbox import Mailbox, MailboxSyntaxError
from exporter.mail.mx import HostState, Way
from exporter.text import printable

CHUNK = 65536  # octets read at once
LONGEST_LINE = 8192  # octets kept of one line; an address has 254
WINDOW = 2000  # addresses in hand: read, and not told yet
AT_ONCE = 64  # domains
KEPT = 100_000  # domains remembered


class Judgement(StrEnum):
    REFUSED = "refused"  # certain: no server can take it
    UNKNOWN = "unknown"  # DNS said nothing about the domain, or cannot be believed
    DOUBTFUL = "doubtful"
    GOOD = "good"


@dataclass(frozen=True, slots=True)
class Remark:
    """`says` is a clause about the address, `fix` an imperative sentence; both are safe to show."""

    judgement: Judgement
    says: str
    fix: str


@dataclass(frozen=True, slots=True)
class Recipient:
    """One line of the list. `text` is safe to show."""

    line: int
    text: str
    remarks: tuple[Remark, ...]

    @property
    def judgement(self) -> Judgement:
        found = {remark.judgement for remark in self.remarks}
        return next((judgement for judgement in Judgement if judgement in found), Judgement.GOOD)


class Lines:
    """Octets in, lines out, without their ends. What is too long for an address is cut, and still too long."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[str]:
        first, *more = chunk.split(b"\n")
        self._rest = (self._rest + first)[:LONGEST_LINE]
        for line in more:
            yield _text(self._rest)
            self._rest = line[:LONGEST_LINE]

    def end(self) -> Iterator[str]:
        if self._rest:
            yield _text(self._rest)
            self._rest = b""


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode("utf-8", "surrogateescape")


async def doubted(tests: Iterable[Pair], net: NetFactory, clock: Clock) -> str:
    """Why the resolver cannot be believed, by its own tests. Empty if it can."""
    for check, target in tests:
        outcome = await evaluate(check, target, net, clock)
        lies = (found.text for found in outcome.findings if found.rule.doubts)
        why = next(lies, "") or (f"its own test: {outcome.doubt.detail}" if outcome.doubt else "")
        if why:
            return why
    return ""


class Domains:
    """What DNS says of the domains of a list, each asked once. None is asked if the resolver is `doubted`."""

    def __init__(self, net: NetFactory, doubted: str) -> None:
        self._net = net
        self._doubted = doubted
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._known: OrderedDict[str, asyncio.Task[Remark | None]] = OrderedDict()

    def look_up(self, domain: str) -> asyncio.Task[Remark | None]:
        """The task that ends with what is wrong with the domain, or None."""
        task = self._known.get(domain)
        if task is None:
            task = self._known[domain] = asyncio.get_running_loop().create_task(self._ask(domain))
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(domain)
        return task

    async def _ask(self, domain: str) -> Remark | None:
        if self._doubted:
            says = f"is in {domain}, which is unknown, because the resolver is not reliable"
            return Remark(Judgement.UNKNOWN, f"{says}: {self._doubted}", "Ask again with another --resolver.")
        async with self._slots:
            return remark(await self._net().drive(mx.route(domain)))


def remark(route: mx.Route) -> Remark | None:
    """What the way of mail to a domain means for an address in it; None where mail can go."""
    domain = route.domain
    correct = "Correct the domain, or remove the address."
    match route.way:
        case Way.NO_SUCH_DOMAIN:
            return Remark(Judgement.REFUSED, f"is in {domain}, which does not exist in DNS", correct)
        case Way.NOWHERE:
            return Remark(Judgement.REFUSED, f"is in {domain}, which has neither an MX nor an address record", correct)
        case Way.NULL:
            return Remark(Judgement.REFUSED, f"is in {domain}, which accepts no mail (null MX)", correct)
        case Way.IMPLICIT if route.implicit and route.implicit.state is HostState.NOT_PUBLIC:
            return Remark(Judgement.REFUSED, f"is in {domain}, which has no MX and no public address", correct)
        case Way.UNKNOWN:
            why = route.doubt.detail or route.doubt.status if route.doubt else ""
            says = f"is in {domain}, of which DNS says nothing now: {printable(why)}"
            return Remark(Judgement.UNKNOWN, says, "Ask again later.")
        case _:
            return None


def judge(text: str) -> tuple[Mailbox | None, list[Remark]]:
    """What can be said of an address without asking anybody; None if it is none."""
    try:
        found = mailbox.parse(text)
    except MailboxSyntaxError as error:
        return None, [Remark(Judgement.REFUSED if error.certain else Judgement.DOUBTFUL, error.says, error.fix)]
    remarks = []
    if found.odd_dots:
        says = (
            f"has dots where RFC 5321 allows none; old addresses of {found.domain} have them, many servers refuse them"
        )
        quoted = printable(f'"{found.local}"@{found.domain}')
        fix = f"Keep the dots, write {quoted} if the mail program can, and ask for another address."
        remarks.append(Remark(Judgement.DOUBTFUL, says, fix))
    if found.smtputf8:
        says = "has characters outside ASCII before the @ and reaches only servers with SMTPUTF8"
        fix = "Make sure that each server on the way offers SMTPUTF8 (RFC 6531), or use another address."
        remarks.append(Remark(Judgement.DOUBTFUL, says, fix))
    if found.as_unicode:
        says = "has characters outside ASCII in its domain, which not every program can send to"
        remarks.append(Remark(Judgement.DOUBTFUL, says, f"Write the domain as {found.domain}."))
    meant = mailbox.meant(found.domain) if found.domain else None
    if meant:
        fix = f"Write {printable(found.local)}@{meant} if that is meant."
        remarks.append(Remark(Judgement.DOUBTFUL, f"looks like a slip of {meant}", fix))
    return found, remarks


async def examine(lines: AsyncIterator[str], net: NetFactory, doubted: str = "") -> AsyncIterator[Recipient]:
    """Each address of the lines, in their order; empty lines are left out. `doubted` says why DNS is not believed."""
    domains = Domains(net, doubted)
    in_hand: deque[tuple[int, str, list[Remark], asyncio.Task[Remark | None] | None]] = deque()

    async def first() -> Recipient:
        number, text, remarks, task = in_hand.popleft()
        way = await task if task else None
        return Recipient(number, text, (*([way] if way else []), *remarks))

    number = 0
    async for line in lines:
        number += 1
        if not line.strip(" \t"):
            continue
        found, remarks = judge(line)
        task = domains.look_up(found.domain) if found and found.domain else None
        in_hand.append((number, printable(line, 400), remarks, task))
        while in_hand and (len(in_hand) > WINDOW or in_hand[0][3] is None or in_hand[0][3].done()):
            yield await first()
    while in_hand:
        yield await first()


async def lines_of(descriptor: int) -> AsyncIterator[str]:
    """The lines of an open file, pipe or terminal, as they come. Raise OSError where it cannot be read."""
    lines = Lines()
    while chunk := await _read(descriptor):
        for line in lines.feed(chunk):
            yield line
    for line in lines.end():
        yield line


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def _read(descriptor: int) -> bytes:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    try:
        loop.add_reader(descriptor, _wake, ready)
    except PermissionError:  # a regular file, which is always ready
        await asyncio.sleep(0)
    else:
        try:
            await ready
        finally:
            loop.remove_reader(descriptor)
    return os.read(descriptor, CHUNK)


async def tell(
    recipients: AsyncIterator[Recipient], name: str, write: Callable[[str], object], *, as_json: bool = False
) -> Exit:
    """Write a line for each address that something is to be said of, and the totals; nothing of it is raw."""
    totals: Counter[Judgement] = Counter()
    if as_json:
        write(f'{{"version": {json.dumps(__version__)}, "recipients": [')
    between = "\n"
    async for recipient in recipients:
        judgement = recipient.judgement
        totals[judgement] += 1
        if judgement is Judgement.GOOD:
            continue
        if as_json:
            write(between + json.dumps(_plain(recipient), ensure_ascii=False))
            between = ",\n"
        else:
            said = "; ".join(remark.says for remark in recipient.remarks)
            fixes = " ".join(remark.fix for remark in recipient.remarks)
            write(f'{name}:{recipient.line}: {judgement}: "{recipient.text}" {said}. Fix: {fixes}\n')
    code = exit_code(totals)
    if as_json:
        summary = {str(judgement): totals[judgement] for judgement in Judgement}
        write(f'\n], "summary": {json.dumps(summary)}, "exit": {int(code)}}}\n')
    else:
        parts = ", ".join(f"{totals[judgement]} {judgement}" for judgement in Judgement)
        write(f"{totals.total()} addresses: {parts}\n")
    return code


def exit_code(totals: Counter[Judgement]) -> Exit:
    """Refused for certain is critical."""
    if totals[Judgement.REFUSED]:
        return Exit.CRITICAL
    if totals[Judgement.UNKNOWN]:
        return Exit.UNKNOWN
    return Exit.WARNING if totals[Judgement.DOUBTFUL] else Exit.OK


def _plain(recipient: Recipient) -> dict[str, object]:
    return {
        "line": recipient.line,
        "address": recipient.text,
        "judgement": str(recipient.judgement),
        "remarks": [{"says": remark.says, "fix": remark.fix} for remark in recipient.remarks],
    }
