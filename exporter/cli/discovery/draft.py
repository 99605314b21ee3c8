"""Writes a configuration from what DNS shows of some domains, with what it does not show as questions.

The problem: DNS shows which machines may send, not which do, and never a HELO name. A guess would be judged as if it
were true. So what rests on an answer stands in comments: a line with `# ?` asks, and a line with `#+` is what to use
with the answer. The file is good as it is, and as well without the marks `#+`.

What many domains share stands once. Addresses that serve the same domains are one sender, and the senders and selectors
that most domains share are `domain_defaults`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from exporter.cli.discovery.search import MOST_ADDRESSES, Found, Likely, Service
from exporter.config import values
from exporter.facts import IP
from exporter.mail import names
from exporter.text import commas, listed, printable

ASK, ADD = "# ? ", "#+ "
MOST_ASKED = 20  # questions of one kind
HEAD = (
    "# Configuration of deliverability-exporter, drawn from DNS for {domains}.",
    '# A line with "# ?" is a question.',
    '# A line with "#+" waits for the answer: fill in NAME, and remove the mark.',
    "# Check it:     deliverability-exporter --config.file=FILE --config.check",
    "# Try it once:  deliverability-exporter check --config.file=FILE",
    "",
)
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*|[0-9]{1,3}(?:\.[0-9]{1,3}){3}", re.ASCII)
_WORDS = ("true", "false", "null")


@dataclass(frozen=True, slots=True)
class Answers:
    """What the command line says of the exporter itself. `speaking` are the checks that need `helo_name`."""

    helo_name: str | None
    nameservers: tuple[str, ...]
    speaking: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Machines:
    """Addresses that serve the same domains."""

    name: str
    addresses: tuple[Likely, ...]


@dataclass(frozen=True, slots=True)
class _Keys:
    """What domains may share. `machines` wait for their HELO names."""

    senders: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    selectors: tuple[str, ...] = ()


def draft(found: Sequence[Found], given: Answers) -> str:
    """The text of the file."""
    return "\n".join(_Draft(found, given).lines()) + "\n"


class _Draft:
    def __init__(self, found: Sequence[Found], given: Answers) -> None:
        self.found = found
        self.given = given
        self.sending = [it for it in found if not it.parked]
        self.machines, serving = _machines(self.sending)
        self.includes, included = _includes(self.sending)
        self.keys = {
            it.domain: _Keys(tuple(included[it.domain]), tuple(serving[it.domain]), it.selectors) for it in self.sending
        }
        (self.shared, self.sharing), *_ = Counter(self.keys.values()).most_common(1) or [(_Keys(), 0)]
        if self.sharing < 2 or self.shared == _Keys():
            self.shared, self.sharing = _Keys(), 0

    def lines(self) -> Iterator[str]:
        domains = f"{len(self.found):,} domains" if len(self.found) > 1 else self.found[0].domain
        yield from (line.format(domains=domains) for line in HEAD)
        yield from self.exporter()
        yield from self.doubts()
        yield ""
        yield from self.senders()
        if self.sharing:
            yield ""
            yield from self.defaults()
        yield ""
        yield from self.domains()

    def exporter(self) -> Iterator[str]:
        if self.given.nameservers:
            yield f"resolver: {{nameservers: {_list(self.given.nameservers)}}}"
        if self.given.helo_name is not None:
            yield f"smtp: {{helo_name: {_scalar(self.given.helo_name)}}}"
        else:
            yield f"{ASK}What is the exporter's own machine called? Then it can look at mail hosts: delete `checks`."
            yield f"{ADD}smtp: {{helo_name: NAME}}"
            off = ", ".join(f"{name}: {{enabled: false}}" for name in self.given.speaking)
            yield f"checks: {{{off}}}"
        yield f"{ASK}Who owns what? With labels on senders and domains, alerts find their team."
        yield f"{ADD}label_names: [team]"

    def doubts(self) -> Iterator[str]:
        if doubts := list(dict.fromkeys(doubt for it in self.found for doubt in it.doubts)):
            yield f"{ASK}Something may be missing, because DNS gave no answer: {_told(doubts)}. Run init again."

    # Who sends

    def senders(self) -> Iterator[str]:
        yield from self.others()
        before = "" if self.includes else ADD  # a list whose entries are all comments would be empty
        if self.machines or self.includes:
            yield f"{before}senders:"
        if self.machines:
            yield f"  {ASK}Which of these servers send mail? Delete the others. What does each say in HELO/EHLO? Where"
            yield "  #   they differ, write {ip: ADDRESS, helo: NAME} for an address."
        for one in self.machines:
            mark = f"{ADD}  " if before else f"  {ADD}"
            yield f"{mark}- name: {one.name}"
            yield f"{mark}  helo: NAME"
            yield f"{mark}  addresses:"
            for likely in one.addresses:
                yield f"{mark}    - {_scalar(str(likely.ip))}   # {commas(likely.by)}"
        for include, name in self.includes.items():
            yield f"  - {{name: {_scalar(name)}, spf_include: {_scalar(include)}}}"

    def others(self) -> Iterator[str]:
        """Questions about who else sends."""
        unnamed: dict[str, tuple[Service, dict[str, None], list[str]]] = {}
        for it, service in _services(self.sending):
            if not _writable(service):
                _, by, domains = unnamed.setdefault(service.name, (service, {}, []))
                by.update(dict.fromkeys(service.by))
                domains.append(it.domain)
        yield from _bounded(_unnamed(*it, self.includes.values()) for it in unnamed.values())
        yield from self.about(
            lambda it: map(str, it.large), "Which addresses of {what} send? SPF of {domains} names the whole network."
        )
        yield from self.about(
            lambda it: (f"{one.ip} ({commas(one.by)})" for one in it.passed_over),
            "Does any of these send, though SPF does not name it: {what}? DNS of {domains} shows them.",
        )
        yield from self.about(
            lambda it: ("more",) * min(1, it.more),
            f"Which addresses send? SPF of {{domains}} names {{what}} than {MOST_ADDRESSES}.",
        )

    def about(self, things: Callable[[Found], Iterable[str]], question: str) -> Iterator[str]:
        """One question for what the same domains show."""
        domains: dict[str, list[str]] = {}
        for it in self.sending:
            for what in things(it):
                domains.setdefault(what, []).append(it.domain)
        alike: dict[tuple[str, ...], list[str]] = {}
        for what, of in domains.items():
            alike.setdefault(tuple(of), []).append(what)
        yield from _bounded(ASK + question.format(what=_told(what), domains=_told(of)) for of, what in alike.items())

    # Domains

    def defaults(self) -> Iterator[str]:
        keys = self.shared
        mark = "" if keys.senders or keys.selectors else ADD
        yield f"{mark}domain_defaults:   # of {self.sharing:,} of {len(self.found):,} domains"
        for line in _senders(keys.senders, keys.machines, _Keys()):
            yield f"  {line}" if not mark else f"{ADD}  {line.removeprefix(ADD)}"
        if keys.selectors:
            yield f"  dkim_selectors: {_list(keys.selectors)}"

    def domains(self) -> Iterator[str]:
        keyless = [it.domain for it in self.sending if not it.selectors]
        if keyless:
            yield f"{ASK}Under which selectors is mail of {_told(keyless)} signed? No common name has a key."
        if len(keyless) < len(self.sending):
            yield f"{ASK}Are these all the selectors in use? DNS cannot list them; only common names were tried."
        yield "domains:"
        for it in self.found:
            yield from self.domain(it)

    def domain(self, it: Found) -> Iterator[str]:
        more = [] if it.receives else ["receives_mail: false"]
        if it.parked:
            silent = "sends_mail: false, receives_mail: false"
            yield f"  - {{name: {_scalar(it.domain)}, {silent}}}   # SPF -all, no MX host"
            return
        keys = self.keys[it.domain]
        if (keys.senders, keys.machines) != (self.shared.senders, self.shared.machines):
            more += _senders(keys.senders, keys.machines, self.shared)
        if keys.selectors != self.shared.selectors:
            more.append(f"dkim_selectors: {_list(keys.selectors)}")
        if any("#" in line or line.endswith(":") for line in more):
            yield f"  - name: {_scalar(it.domain)}"
            yield from (f"    {line}" for line in more)
        else:
            yield f"  - {{{', '.join((f'name: {_scalar(it.domain)}', *more))}}}"


def _machines(found: Sequence[Found]) -> tuple[list[_Machines], dict[str, list[str]]]:
    """Addresses that serve the same domains, those of most domains first; and their names for each domain."""
    by: dict[IP, dict[str, None]] = {}
    serves: dict[IP, list[str]] = {}
    for it in found:
        for one in it.addresses:
            by.setdefault(one.ip, {}).update(dict.fromkeys(one.by))
            serves.setdefault(one.ip, []).append(it.domain)
    alike: dict[tuple[str, ...], list[IP]] = {}
    for ip in sorted(serves, key=names.order):
        alike.setdefault(tuple(serves[ip]), []).append(ip)
    made, of = [], {it.domain: list[str]() for it in found}
    for number, (served, ips) in enumerate(sorted(alike.items(), key=lambda it: -len(it[0])), 1):
        name = "outbound" if len(alike) == 1 else f"outbound-{number}"
        made.append(_Machines(name, tuple(Likely(ip, tuple(by[ip])) for ip in ips)))
        for domain in served:
            of[domain].append(name)
    return made, of


def _includes(found: Sequence[Found]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """The names of senders by the policy that SPF includes, and those of each domain."""
    counts = Counter(service.include for _, service in _services(found) if _writable(service))
    who = {service.include: service for _, service in _services(found)}
    called: dict[str, str] = {}
    for include, _ in counts.most_common():
        if include is not None:
            wanted = provider.id if (provider := who[include].provider) else include.lstrip("_")
            called[include] = _free(wanted if values.NAME.fullmatch(wanted) else "provider", called.values())
    of = {
        it.domain: list(dict.fromkeys(called[one.include] for one in it.services if one.include in called))
        for it in found
    }
    return called, of


def _unnamed(service: Service, by: Iterable[str], domains: Sequence[str], known: Iterable[str]) -> str:
    """A question about a company that SPF does not name, and what to write if it sends. `known` are senders."""
    name, mail_from = (service.provider.id if service.provider else "NAME"), values.THEIRS
    sender = f"{{name: {name}}}"
    if service.bounces:
        sender, mail_from = f"{{name: {name}, spf_include: NAME}}", f"[{service.bounces}]"
    use = f"{{name: {name}, mail_from: {mail_from}}}"
    shown = f"DNS shows it ({listed(by, 4)}), but SPF does not name it."
    asked = f"{ASK}Does {printable(service.name, 80)} send for {_told(domains)}? {shown}"
    here = "" if name in known else f" {sender} to the senders here, and"
    return f"{asked}\n#   If it does, add{here} {use} to those of the domain."


def _free(wanted: str, taken: Iterable[str]) -> str:
    taken, number, name = set(taken), 1, wanted
    while name in taken:
        number += 1
        name = f"{wanted}-{number}"
    return name


def _services(found: Iterable[Found]) -> Iterator[tuple[Found, Service]]:
    for it in found:
        for service in it.services:
            yield it, service


def _writable(service: Service) -> bool:
    """Is it named by SPF, with a name that a configuration takes?"""
    try:
        return service.include is not None and names.canonical(service.include, underscores=True) == service.include
    except ValueError:
        return False


def _senders(senders: Sequence[str], machines: Sequence[str], default: _Keys) -> list[str]:
    """The key `senders`. Machines wait in comments; a list that is empty without them is one itself."""
    if not machines:
        return [f"senders: {_list(senders)}"] if senders or default.senders or default.machines else []
    if senders:
        return ["senders:", *(f"  {ADD}- {name}" for name in machines), *(f"  - {_scalar(name)}" for name in senders)]
    if default.senders:
        return [f"senders: []   {ASK}with the HELO names: {_list(machines)}"]
    return [f"{ADD}senders: {_list(machines)}"]


def _told(things: Sequence[str]) -> str:
    return listed((printable(it, 120) for it in things), 4)


def _bounded(lines: Iterable[str]) -> Iterator[str]:
    """The first ones, and how many more there are."""
    every = list(lines)
    yield from every[:MOST_ASKED]
    if len(every) > MOST_ASKED:
        yield f"{ASK}There are {len(every) - MOST_ASKED:,} more of this kind. Run init with fewer domains to see them."


def _list(items: Iterable[str]) -> str:
    return f"[{', '.join(map(_scalar, items))}]"


def _scalar(text: str) -> str:
    """As YAML that is read as this very text."""
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return text if plain else json.dumps(text)
