"""`deliverability-exporter init`: a configuration to begin with, from what DNS shows of some domains."""

from __future__ import annotations

import argparse
import asyncio
import csv
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from exporter import clients
from exporter.cli.asking import RESOLVER, asking, own_name
from exporter.cli.discovery.draft import Answers, draft
from exporter.cli.discovery.search import Found, discover
from exporter.cli.exit_codes import Exit
from exporter.cli.named import Words
from exporter.cli.once import ResolverFailsError, evaluated
from exporter.cli.run import fail, run
from exporter.clock import SystemClock
from exporter.config import Settings, defaults
from exporter.config.values import own_helo
from exporter.engine import catalogue
from exporter.model import Door
from exporter.net.dnsbl.client import DnsblClient
from exporter.net.interfaces import DnsClient
from exporter.targets import OwnResolver
from exporter.text import printable

AT_ONCE = 20  # domains
LARGEST = 20 * 1024 * 1024  # bytes of a list of domains
MOST_DOMAINS = 50_000  # as many as a configuration may list
MOST_TOLD = 20  # faults of a list
_HEADS = ("domain", "domains", "domain_name", "domainname", "name")


def command(arguments: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.ERROR)
    output: Path | None = arguments.output
    try:
        if output is not None and output.exists() and not arguments.force:
            raise ValueError(f"{output} exists; name another file, or overwrite it with --force")
        if output is not None and not output.parent.is_dir():
            raise ValueError(f"{output}: there is no folder {output.parent}")
        domains = list(dict.fromkeys((*map(_domain, arguments.domains), *_listed(arguments.source))))
        if not domains:
            raise ValueError("name a domain, or give a list of them with --from FILE")
        if len(domains) > MOST_DOMAINS:
            raise ValueError(f"{len(domains):,} domains are more than a configuration takes: {MOST_DOMAINS:,}")
        text = run(_drafted(domains, arguments))
        if output is None:
            print(text, end="")
        else:
            with output.open("w" if arguments.force else "x", encoding="utf-8") as file:
                file.write(text)
            print(f"{output}: {len(domains):,} domains, {text.count('# ? ')} questions", file=sys.stderr)
    except BrokenPipeError:
        raise
    except ResolverFailsError as fails:
        return fail(f"the resolver does not answer, so nothing can be found: {fails}\n{RESOLVER}", Exit.UNKNOWN)
    except (OSError, ValueError) as error:
        return fail(error)
    return Exit.OK


async def _drafted(domains: Sequence[str], arguments: argparse.Namespace) -> str:
    known, clock = catalogue.load(), SystemClock()
    settings = asking(defaults(known), arguments.resolver)
    given = Answers(
        helo_name=own_helo(own_name(arguments.helo_name)) if arguments.helo_name is not None else None,
        nameservers=tuple(arguments.resolver or ()),
        speaking=tuple(sorted(name for name, check in known.checks.items() if Door.SMTP in check.needs)),
    )
    settings = clients.resolve_system_nameservers(settings)
    eyes = replace(settings, targets=(OwnResolver(uses_blocklists=False),))
    await evaluated(known, eyes, frozenset(), clock)
    return draft(await _found(domains, settings, clock), given)


async def _found(domains: Sequence[str], settings: Settings, clock: SystemClock) -> list[Found]:
    world = clients.open_clients(settings, DnsblClient(clock, patience=0.0), clock)
    slots, progress = asyncio.Semaphore(AT_ONCE), _Progress(len(domains))
    try:
        return await asyncio.gather(*(_one(name, world.dns, slots, progress) for name in domains))
    finally:
        progress.end()
        await world.close()


async def _one(name: str, dns: DnsClient, slots: asyncio.Semaphore, progress: _Progress) -> Found:
    async with slots:
        found = await discover(name, dns)
    progress.step()
    return found


class _Progress:
    """How far it is, on a terminal only."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._shown = sys.stderr.isatty()

    def step(self) -> None:
        self._done += 1
        if self._shown:
            print(f"\r{self._done:,} of {self._total:,} domains", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._shown:
            print(file=sys.stderr)


def _listed(source: str | None) -> list[str]:
    """The domains of a list: one a line, or CSV with a column `domain`. Raise ValueError with all its faults."""
    if source is None:
        return []
    with open(0 if source == "-" else source, "rb", closefd=source != "-") as file:
        content = file.read(LARGEST + 1)
    name = printable(source)
    if len(content) > LARGEST:
        raise ValueError(f"{name}: is larger than {LARGEST // 1024 // 1024} MiB")
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{name}:{line}: is not UTF-8 text; save the file as UTF-8") from None
    domains, faults = [], list[str]()
    for number, text in _cells(lines, name):
        try:
            domains.append(_domain(text))
        except ValueError as error:
            faults.append(f"{name}:{number}: {error}")
    if faults:
        more = [f"... and {len(faults) - MOST_TOLD:,} more"] if len(faults) > MOST_TOLD else []
        raise ValueError("\n".join((*faults[:MOST_TOLD], *more)))
    return domains


def _cells(lines: Sequence[str], name: str) -> Iterator[tuple[int, str]]:
    """The cell of each row that names the domain, with the number of its line."""
    first = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    delimiter = max(",;\t", key=first.count)
    column, begun = 0, False
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        row = _row(line, delimiter, f"{name}:{number}")
        heads = [cell.strip().lower() for cell in row]
        if not begun and (found := next((heads.index(head) for head in _HEADS if head in heads), None)) is not None:
            column, begun = found, True
            continue
        begun = True
        if column < len(row) and row[column].strip():
            yield number, row[column].strip()


def _row(line: str, delimiter: str, where: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error as error:
        raise ValueError(f"{where}: {error}") from None


def _domain(word: str) -> str:
    """Raise ValueError for what is no domain."""
    read = Words.read([word])
    if not read.domains:
        raise ValueError(f"{printable(word, 80)!r} is no domain")
    (name,) = read.domains
    if "." not in name:
        raise ValueError(f"{name!r} is one label; a whole domain such as {name}.com is wanted")
    return name
