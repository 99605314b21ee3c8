"""What `check DOMAIN` does with what DNS shows: it says so, and judges machines that may send apart from the rest.

Nobody has said that these machines send. So what is wrong with them is told as "if they send", and counts nowhere: not
in the first line, not in the exit code. Machines of companies that send for others are named, and not judged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from exporter.cli.discovery.search import MOST_ADDRESSES, MOST_IN_NETWORK, Found, Likely, discover
from exporter.cli.discovery.selectors import with_selectors
from exporter.cli.named import DomainFlags
from exporter.facts import IP
from exporter.late import Late
from exporter.mail.dnsbl.blocklist import Blocklist, Lists
from exporter.model import Target
from exporter.net.interfaces import DnsClient
from exporter.targets import Address, Authorisation, Domain, Greeting, KeyNamespace, Reputation
from exporter.text import commas, listed, printable

if TYPE_CHECKING:
    from exporter.views import report
    from exporter.views.json_report import JsonObject
else:
    report = Late("exporter.views.report")

OF_MACHINES = (Address, Greeting, Reputation, Authorisation)
LooksAt: TypeAlias = Callable[[type[Target]], bool]  # does a check look at this kind?
MOST_DOMAINS = 20  # of one command: it is a guess, and each costs some sixty questions


class DomainSearch:
    """`targets` is called once, before anything else is asked. Then the rest says what came of it."""

    def __init__(self, lists: Iterable[Blocklist], flags: DomainFlags) -> None:
        self._lists = tuple(it for it in lists if it.lists is Lists.IPS)
        self._flags = flags
        self._targets: list[Target] = []
        self._found: list[Found] = []
        self._left = 0  # domains that were not looked at

    async def targets(self, targets: Sequence[Target], dns: DnsClient) -> list[Target]:
        """The targets, with the keys and the machines that were found."""
        domains = [it.name for it in targets if isinstance(it, Domain)]
        self._left = max(0, len(domains) - MOST_DOMAINS)
        self._found = await asyncio.gather(*(discover(name, dns) for name in domains[:MOST_DOMAINS]))
        self._targets = list(self._as_they_say(targets))
        made = with_selectors(self._targets, {it.domain: it.selectors for it in self._found})
        for ip in self._likely():
            made.append(Address(ip=ip, helo=(), likely=True))
            if self._lists:
                made.append(Reputation(subject=ip, lists=self._lists, likely=True))
        return made

    def _as_they_say(self, targets: Sequence[Target]) -> Iterator[Target]:
        """Parked domains as such, unless the command line says how they send."""
        told = self._flags.given() or any(isinstance(it, Address) for it in targets)
        found = {} if told else {it.domain: it for it in self._found}
        for it in targets:
            match it:
                case Domain(name=name) if name in found:
                    yield replace(it, sends_mail=not found[name].parked, receives_mail=found[name].receives)
                case KeyNamespace(domain=name) if name in found and found[name].parked:
                    pass
                case _:
                    yield it

    def discovered(self, looks_at: LooksAt) -> report.Discovered:
        """What was found. People read only of kinds of targets that a check looks at."""
        return report.Discovered("; ".join(self._told(looks_at)), tuple(map(_as_json, self._found)))

    def left_out(self, looks_at: LooksAt) -> Iterator[str]:
        """What was not looked at, and how to. Nothing is said of kinds of targets that no check looks at."""
        kinds = {type(it) for it in self._targets}
        domains = [it.name for it in self._targets if isinstance(it, Domain) and it.sends_mail]
        machines = any(map(looks_at, OF_MACHINES))
        if machines and domains and Address not in kinds:
            yield self._unnamed(domains)
        if looks_at(Greeting) and Address in kinds and Greeting not in kinds:
            yield "the HELO name of the addresses. Say it with --helo NAME."
        if looks_at(KeyNamespace) and KeyNamespace in kinds and not self._keys():
            yield "DKIM keys: none was found under a common selector. Name yours with --dkim-selector NAME."
        if machines and Address not in kinds:
            yield from self._passed_over()
        if self._left and (machines or looks_at(KeyNamespace)):
            yield f"senders and DKIM keys of the domains after the first {MOST_DOMAINS}. `init` looks at all of them."

    def _unnamed(self, domains: Sequence[str]) -> str:
        if first := next(iter(self._likely()), None):
            name = domains[0] if len(domains) == 1 else "DOMAIN"
            return f"HELO names, and SPF of these servers. If {first} sends, say so: check {name} {first} --helo NAME."
        whose = "your own servers, as DNS shows none" if self._services() else "the servers that send"
        return f"PTR, HELO and listings of {whose}. Name their addresses."

    def _passed_over(self) -> Iterator[str]:
        over = _merged(one for it in self._found if not it.parked for one in it.passed_over)
        if over:
            yield f"{listed(map(_named, over))}, which SPF does not name. Name the address if it sends."
        if large := dict.fromkeys(network for it in self._found for network in it.large):
            yield (
                f"SPF networks of more than {MOST_IN_NETWORK} addresses: {listed(large)}. "
                "Name the addresses in them that send."
            )
        every = len(dict.fromkeys(one.ip for it in self._found for one in it.addresses))
        if more := sum(it.more for it in self._found) + max(0, every - MOST_ADDRESSES):
            yield f"{more} more addresses that DNS shows. Name those that send."

    def _likely(self) -> dict[IP, None]:
        """None if the command names the addresses that send."""
        if any(isinstance(it, Address) for it in self._targets):
            return {}
        every = dict.fromkeys(one.ip for it in self._found for one in it.addresses)
        return dict.fromkeys(list(every)[:MOST_ADDRESSES])  # each is looked up in all blocklists

    def _keys(self) -> list[str]:
        return list(dict.fromkeys(key for it in self._found for key in it.selectors))

    def _services(self) -> Mapping[str, Sequence[str]]:
        """By the name: how DNS shows it."""
        services: dict[str, dict[str, None]] = {}
        for service in (one for it in self._found for one in it.services):
            services.setdefault(service.name, {}).update(dict.fromkeys(service.by))
        return {name: tuple(by) for name, by in services.items()}

    def _told(self, looks_at: LooksAt) -> Iterator[str]:
        silent = [it for it in self._targets if isinstance(it, Domain) and not it.receives_mail]
        if parked := [it.name for it in silent if not it.sends_mail]:
            yield f"no mail of {listed(parked)}, by SPF -all and no MX host"
        if null := [it.name for it in silent if it.sends_mail]:
            yield f"no mail to {listed(null)}, by a null MX"
        machines = any(map(looks_at, OF_MACHINES))
        if machines and self._likely():
            yield listed(map(_named, _merged(one for it in self._found for one in it.addresses)))
        if machines and (services := self._services()):
            shown = (f"{printable(name, 80)} ({listed(by, 4)})" for name, by in services.items())
            yield f"{listed(shown)}, whose servers are not checked"
        if looks_at(KeyNamespace) and (keys := self._keys()):
            yield f"DKIM keys {listed(keys, 8)} (name other selectors with --dkim-selector NAME)"


def _merged(likely: Iterable[Likely]) -> list[Likely]:
    """Each address once, with all that shows it."""
    by: dict[object, Likely] = {}
    for one in likely:
        known = by.get(one.ip)
        by[one.ip] = Likely(one.ip, tuple(dict.fromkeys((*known.by, *one.by)))) if known else one
    return list(by.values())


def _named(one: Likely) -> str:
    return f"{one.ip} ({commas(one.by)})"


def _as_json(found: Found) -> JsonObject:
    return {
        "domain": found.domain,
        "addresses": [{"ip": str(it.ip), "found_in": it.by} for it in found.addresses],
        "passed_over": [{"ip": str(it.ip), "found_in": it.by} for it in found.passed_over],
        "large_networks": [str(it) for it in found.large],
        "providers": [
            {"name": printable(it.name), "known": it.provider is not None, "found_in": it.by, "spf_include": it.include}
            for it in found.services
        ],
        "dkim_selectors": found.selectors,
    }
