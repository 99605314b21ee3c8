"""`check --with FILE` and `--without NAME`: the world as it is, then as it would be with the planned records.

The second look shares what does not change. A check runs again only if DNS would answer one of its questions otherwise,
or if it reads a result that has changed. What asks the zone's own name servers does not run: they do not have the plan.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from exporter.check_state import CheckState, Key
from exporter.cli.once import Looker
from exporter.engine.catalogue import Catalogue
from exporter.engine.store import Store
from exporter.files import Files, Reader
from exporter.mail import names
from exporter.mail.dns import Question, Reply
from exporter.model import Door
from exporter.net import Net
from exporter.net.interfaces import CheckStates, DnsClient
from exporter.net.planned import octodns, zone_file
from exporter.net.planned.client import PlannedDns
from exporter.net.planned.records import EVERY, LARGEST, PlannedFile, PlannedFileError, PlannedRecords
from exporter.text import commas, printable

AT_ONCE = 100  # questions
STANDARD = "-"  # standard input, in place of a path
_YAML = (".yaml", ".yml")
_GONE = re.compile(r"([^:\s]+?)(?::([A-Za-z][A-Za-z0-9]{0,15}))?", re.ASCII)


def read(files: Sequence[str], gone: Sequence[str]) -> PlannedRecords | None:
    """What the flags plan; None if they plan nothing. Raise ValueError or OSError, with the file or the flag."""
    if not files and not gone:
        return None
    return PlannedRecords([_file(text) for text in files], [_removed(text) for text in gone])


def _file(text: str) -> PlannedFile:
    before, equals, behind = text.partition("=")
    origin, path = (_origin(before), behind) if equals and "/" not in before else (None, text)

    def whole(files: Files) -> bytes:
        return files.read(path, LARGEST + 1)

    if path == STANDARD:
        name, content = "standard input", sys.stdin.buffer.read(LARGEST + 1)
    else:
        name, content = printable(path), Reader().read_here(whole)
    if len(content) > LARGEST:
        raise PlannedFileError(f"{name}: is larger than {LARGEST // 1024 // 1024} MiB")
    if Path(path).suffix not in _YAML:
        return zone_file.parse(name, content, origin)
    if origin is None:
        stem = Path(path).stem.removesuffix(".")
        if "." not in stem:
            raise PlannedFileError(f"{name}: its name is no zone; call it ZONE.yaml or give ZONE={name}")
        origin = _origin(stem)
    return octodns.parse(name, content, origin)


def _origin(text: str) -> str:
    try:
        return names.canonical(text, underscores=True)
    except ValueError as error:
        raise ValueError(f"--with: {printable(text)!r} is no zone: it {error}") from None


def _removed(text: str) -> Question:
    found = _GONE.fullmatch(text)
    try:
        name = zone_file.read_name(found[1], ".") if found else ""
    except ValueError as error:
        raise ValueError(f"--without: {printable(text)!r} {error}") from None
    if not found or name == ".":
        raise ValueError(f"--without: {printable(text)!r} is no NAME or NAME:TYPE, such as _dmarc.example.com:TXT")
    return Question(name, (found[2] or EVERY).upper())


def told(plan: PlannedRecords) -> Iterator[str]:
    """What is planned, for people."""
    for file in plan.files:
        count = f"{file.count:,} record{'' if file.count == 1 else 's'}"
        if file.zone:
            yield f"{file.name} is the whole zone {file.zone}: {count}. Nothing else exists in it."
        else:
            yield f"{file.name} has {count}, in place of the same names and types in DNS. Everything else stays."
    if plan.removed:
        gone = (f"all of {it.name}" if it.rdtype == EVERY else str(it) for it in sorted(plan.removed))
        yield f"removed: {commas(gone)}."


UNPUBLISHED = "{}, with --with or --without. Its name servers do not have the planned records yet."
DNSSEC = "DNSSEC of planned records. They count as signed where their zone is signed now."
UNASKED = "{}. No check here asks for what is planned there; look whether the name is right."
NOT_COMPARED = "the planned records. The look ended before they were compared."


def left_out(unpublished: Iterable[str]) -> Iterator[str]:
    """What is not looked at. `unpublished`: these checks, which would run without planned records."""
    yield from map(UNPUBLISHED.format, sorted(unpublished))
    yield DNSSEC


def checks(known: Catalogue, enabled: frozenset[str]) -> frozenset[str]:
    """Those that can tell of records that no server has yet. Raise ValueError if there are none."""
    found = frozenset(it for it in enabled if Door.NAMESERVERS not in known.checks[it].doors)
    if not found:
        raise ValueError("--with and --without: none of these checks can evaluate planned records; choose others")
    return found


class TwoLooks:
    """`now` is the world as it is, `then` as it would be. `share`: what does not change is looked at once."""

    def __init__(self, looker: Looker, plan: PlannedRecords, *, share: bool = True) -> None:
        self._share = share
        self.now = Store()
        self.then = Store()
        self._looker = looker
        self._plan = plan
        self._real = looker.clients.dns
        self._planned = PlannedDns(self._real, plan)
        self._asked: dict[Key, set[Question]] = defaultdict(set)
        self._web = _Noting(self._real)
        self._also: set[Question] = set()  # asked in the second look

    async def run(self) -> None:
        """Look twice. Raise ResolverFailsError."""
        looker, world = self._looker, self._looker.clients
        web = world.web.through(self._web)

        def as_is(states: CheckStates) -> Net:
            return world.net(states, web=web)

        await looker.test_resolver(self.now)
        await looker.sweep(self.now, await looker.targets(), net=as_is, ended=self._note)
        changed = await self._changed(set().union(*self._asked.values()))
        web_changed = bool(await self._changed(self._web.asked))
        for state in self.now:
            self.then.take(state)
        looker.watcher.begin("checking the planned world")
        planned_web = world.web.through(self._planned)

        def as_planned(states: CheckStates) -> Net:
            return world.net(states, dns=self._planned, web=planned_web)

        def due(state: CheckState) -> bool:
            before = self.now.get(*state.key)
            if before is None or before.target != state.target or state.check.concludes or not self._share:
                return True
            if web_changed and Door.HTTPS in state.check.doors:
                return True
            return not changed.isdisjoint(self._asked[state.key])

        targets = await looker.targets(_WithOldKeys(self._planned, self._real))
        await looker.sweep(self.then, targets, net=as_planned, due=due, ended=self._note_also)

    def unasked(self) -> list[str]:
        """What is planned, and no check asks for: a wrong name perhaps, which must not pass for harmless."""
        return list(self._plan.unasked(self._also.union(self._web.asked, *self._asked.values())))

    def _near(self, net: Net) -> Iterator[Question]:
        """The questions that the plan may answer otherwise, and those about the aliases on the way."""
        near = self._plan.near
        for question, chain in net.questions.items():
            if near(question.name) or any(map(near, chain)):
                yield from (question, *(Question(link, question.rdtype) for link in chain))

    def _note(self, state: CheckState, net: Net) -> None:
        self._asked[state.key].update(self._near(net))

    def _note_also(self, _: CheckState, net: Net) -> None:
        self._also.update(self._near(net))

    async def _changed(self, asked: set[Question]) -> set[Question]:
        """Those of the questions that DNS would answer otherwise."""
        slots = asyncio.Semaphore(AT_ONCE)

        async def differs(question: Question) -> bool:
            async with slots:
                now, then = await self._real.ask(question), await self._planned.ask(question)
            return _essence(now) != _essence(then)

        ordered = sorted(asked)
        found = await asyncio.gather(*map(differs, ordered))
        return {question for question, other in zip(ordered, found, strict=True) if other}


def _essence(reply: Reply) -> object:
    return reply.status, frozenset(reply.records), reply.chain, reply.authenticated


class _Noting:
    """A DnsClient that remembers what was asked."""

    def __init__(self, dns: DnsClient) -> None:
        self._dns = dns
        self.asked: set[Question] = set()

    async def ask(self, question: Question, *, fresh: bool = False, tcp: bool = False) -> Reply:
        self.asked.add(question)
        return await self._dns.ask(question, fresh=fresh, tcp=tcp)


class _WithOldKeys:
    """A DnsClient of the planned world in which keys that are removed can still be found: they are looked at, too."""

    def __init__(self, planned: DnsClient, real: DnsClient) -> None:
        self._planned = planned
        self._real = real

    async def ask(self, question: Question, *, fresh: bool = False, tcp: bool = False) -> Reply:
        reply = await self._planned.ask(question, fresh=fresh, tcp=tcp)
        if reply.exists or "._domainkey." not in question.name:
            return reply
        return await self._real.ask(question, fresh=fresh, tcp=tcp)
