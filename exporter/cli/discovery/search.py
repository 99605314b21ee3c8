"""Finds in DNS who probably sends for a domain: machines of its own, and companies that send for others.

The problem: `check example.com` alone should see what receivers see, but no record lists the machines that send.

The idea: those that DNS gives a part in mail are likely. These are the addresses of the MX hosts and of the domain
itself, and those that its SPF policy names. What lies below a company's names is the company's, and left alone.

The rules:

- An SPF policy that was read to its end outweighs the rest: an MX host or a web server that it does not name is
  passed over.
- Of a policy, the records of the domain's own organisation are read. All other includes are somebody else's machines.
- A network counts as its addresses if it has MOST_IN_NETWORK or fewer; of a larger one nobody knows which of them send.
- Likely is not proven: what is found here never decides a verdict. A HELO name is never guessed.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TypeAlias

from exporter import providers
from exporter.cli.discovery import selectors
from exporter.facts import IP
from exporter.mail import names
from exporter.mail.dns import Question, Reply
from exporter.mail.mx import NULL
from exporter.mail.spf.macro import MacroString, query_name
from exporter.mail.spf.provider import made_for
from exporter.mail.spf.record import Mechanism, SpfPolicy, SpfResult, read
from exporter.net.interfaces import DnsClient
from exporter.providers import Provider

MOST_IN_NETWORK = 8
MOST_ADDRESSES = 32  # of one domain
MOST_NETWORKS = 1000  # that are kept of a policy
MOST_TERMS = 20  # that ask DNS, of all records of a policy: twice what receivers follow (RFC 7208 section 4.6.4)
MOST_HOSTS = 10  # of an MX
MOST_DOUBTS = 5  # questions without an answer: each may take seconds, and the next of the policy waits for it
BOUNCES = ("pm-bounces", "bounces", "bounce", "em", "send")  # envelope domains that manuals of companies name
_EVERYONE = ("d", "o")  # macros whose value is known before a message comes

Network: TypeAlias = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Likely:
    """An address that may send, and the records that show it."""

    ip: IP
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Service:
    """Machines of somebody else: of a known company, or those that an SPF include of another domain names."""

    provider: Provider | None
    by: tuple[str, ...]
    include: str | None = None  # as the policy names it; None: it does not, or by a macro
    bounces: str | None = None  # an envelope domain of the domain that is an alias of the company's

    @property
    def name(self) -> str:
        return self.provider.name if self.provider else self.include or ""


@dataclass(frozen=True, slots=True)
class Found:
    """What DNS shows of one domain."""

    domain: str
    addresses: tuple[Likely, ...] = ()
    passed_over: tuple[Likely, ...] = ()  # they have a part in its mail, but its SPF policy does not name them
    large: tuple[Network, ...] = ()
    more: int = 0  # addresses beyond MOST_ADDRESSES
    services: tuple[Service, ...] = ()
    selectors: tuple[str, ...] = ()
    parked: bool = False  # it says that it sends nothing, by `v=spf1 -all`, and has no MX host
    receives: bool = True  # it is not parked, and has no null MX (RFC 7505)
    doubts: tuple[str, ...] = ()  # questions without an answer


async def discover(domain: str, dns: DnsClient) -> Found:
    """Ask DNS about the domain. Questions without an answer are among the doubts."""
    return await _Search(domain, dns).run()


@dataclass
class _Draft:
    by: dict[str, None] = field(default_factory=dict)
    include: str | None = None
    bounces: str | None = None


class _Search:
    def __init__(self, domain: str, dns: DnsClient) -> None:
        self.domain = domain
        self.dns = dns
        self.itself = providers.of(domain)  # a company's own domain is no customer of it
        self.hosts: dict[IP, dict[str, None]] = {}  # of MX and A
        self.named: dict[IP, None] = {}  # by SPF
        self.networks: list[Network] = []
        self.services: dict[Provider | str, _Draft] = {}
        self.doubts: dict[str, None] = {}
        self.terms = 0
        self.read: set[str] = set()
        self.everyone = False
        self.whole = True  # all of the policy that is the domain's own was seen

    async def run(self) -> Found:
        policy, mx, keys, _ = await asyncio.gather(
            self.policy(self.domain), self.mail_hosts(), selectors.find(self.domain, self.dns), self.bounces()
        )
        for selector, chain in keys.items():
            if provider := self.provider(chain):
                self.serve(provider, f"DKIM {selector}")
        decides = policy.record is not None and self.whole and not self.everyone
        likely = {ip: dict.fromkeys(("SPF",)) for ip in self.named}
        passed_over: dict[IP, dict[str, None]] = {}
        for ip, by in self.hosts.items():
            inside = not decides or ip in likely or any(ip in network for network in self.networks)
            (likely if inside else passed_over).setdefault(ip, {}).update(by)
        ours = await self.ours(dict(sorted(likely.items(), key=lambda it: names.order(it[0]))))
        parked = mx in ((), (NULL,)) and _says_nothing(policy)
        return Found(
            domain=self.domain,
            addresses=ours[:MOST_ADDRESSES],
            passed_over=tuple(Likely(ip, tuple(by)) for ip, by in passed_over.items()),
            large=tuple(it for it in self.networks if it.num_addresses > MOST_IN_NETWORK),
            more=max(0, len(likely) - MOST_ADDRESSES),
            services=tuple(_service(key, draft) for key, draft in self.services.items()),
            selectors=tuple(keys),
            parked=parked,
            receives=not parked and mx != (NULL,),
            doubts=tuple(self.doubts),
        )

    async def ask(self, name: str, rdtype: str, by: str) -> Reply:
        """`by` says what leads there."""
        reply = await self.dns.ask(Question(name, rdtype))
        if reply.doubt:
            self.doubts[reply.doubt.detail] = None
            self.whole &= by != "SPF"
        return reply

    def provider(self, chain: Iterable[str]) -> Provider | None:
        """Whose is one of these names?"""
        found = (providers.of(name) for name in chain)
        return next((it for it in found if it and it is not self.itself), None)

    def serve(self, who: Provider | str, by: str) -> _Draft:
        draft = self.services.setdefault(who, _Draft())
        draft.by[by] = None
        return draft

    async def mail_hosts(self) -> tuple[str, ...] | None:
        """The MX hosts, once they and the domain itself have been looked at. None if there was no answer."""
        reply = await self.ask(self.domain, "MX", "MX")
        hosts = tuple(it.exchange for it in sorted(reply.exchanges))
        wanted = [(self.domain, "A"), *((name, "MX") for name in hosts[:MOST_HOSTS] if name != NULL)]
        for found, (_, by) in zip(await asyncio.gather(*(self.addresses(*it) for it in wanted)), wanted, strict=True):
            for ip in found:
                self.hosts.setdefault(ip, {})[by] = None
        return None if reply.doubt else hosts

    async def addresses(self, name: str, by: str) -> tuple[IP, ...]:
        """Those of a host of our own; none of a company's, which is noted."""
        replies = await asyncio.gather(*(self.ask(name, rdtype, by) for rdtype in ("A", "AAAA")))
        if provider := self.provider((name, *(alias for reply in replies for alias in reply.chain))):
            self.serve(provider, by)
            return ()
        return tuple(ip for reply in replies for ip in reply.addresses if not names.not_public(ip))

    async def bounces(self) -> None:
        chains = await asyncio.gather(*map(self.aliases, BOUNCES))
        found = {
            label: provider for label, chain in zip(BOUNCES, chains, strict=True) if (provider := self.provider(chain))
        }
        if not found or self.provider(await self.aliases(secrets.token_hex(8))):
            return  # a wildcard answers for every name
        for label, provider in found.items():
            self.serve(provider, f"CNAME {label}").bounces = f"{label}.{self.domain}"

    async def aliases(self, label: str) -> tuple[str, ...]:
        return (await self.dns.ask(Question(f"{label}.{self.domain}", "TXT"))).chain

    # SPF

    async def policy(self, name: str) -> SpfPolicy:
        self.read.add(name)
        reply = await self.ask(name, "TXT", "SPF")
        policy = read(reply)
        if policy.record is None:
            return policy
        if provider := self.provider(reply.chain):
            self.serve(provider, "SPF").include = name
            return policy
        for mechanism in policy.record.reachable:
            if mechanism.qualifier is SpfResult.PASS and self.goes_on():
                await self.term(mechanism, name)
        if policy.record.all is None and policy.record.redirect is not None and self.goes_on():
            await self.follow(policy.record.redirect.value, name)
        return policy

    def goes_on(self) -> bool:
        on = self.terms < MOST_TERMS and len(self.doubts) < MOST_DOUBTS
        self.whole &= on
        return on

    async def term(self, mechanism: Mechanism, name: str) -> None:
        match mechanism.name:
            case "all":
                self.everyone = True
            case "ip4" | "ip6" if mechanism.address is not None:
                self.allow(mechanism, mechanism.address)
            case "include" if mechanism.domain is not None:
                await self.follow(mechanism.domain, name)
            case "a" | "mx":
                self.terms += 1
                target = self.target(mechanism.domain, name) if mechanism.domain else name
                hosts = [target] if target else []
                if target and mechanism.name == "mx":
                    reply = await self.ask(target, "MX", "SPF")
                    hosts = [it.exchange for it in sorted(reply.exchanges) if it.exchange != NULL][:MOST_HOSTS]
                for found in await asyncio.gather(*(self.addresses(host, "SPF") for host in hosts)):
                    for ip in found:
                        self.named[ip] = None
                        self.allow(mechanism, ip)

    def allow(self, mechanism: Mechanism, ip: IP) -> None:
        bits = mechanism.prefix4 if ip.version == 4 else mechanism.prefix6
        if bits == 0:
            self.everyone = True
        elif len(self.networks) < MOST_NETWORKS and not names.not_public(ip):
            network = ip_network(f"{ip}/{bits}", strict=False)
            self.networks.append(network)
            if network.num_addresses <= MOST_IN_NETWORK:
                self.named |= dict.fromkeys(network)

    async def follow(self, spec: MacroString, name: str) -> None:
        """Read the policy if it is of the same organisation; else note whose it is."""
        self.terms += 1
        target = self.target(spec, name)
        if provider := self.provider((spec.text,)):
            draft = self.serve(provider, "SPF")
            draft.include = draft.include or target
        elif target and made_for(target, self.domain):
            if target not in self.read:
                await self.policy(target)
        elif target:
            self.serve(target, "SPF").include = target

    def target(self, spec: MacroString, name: str) -> str | None:
        """The name that the term means; None if only a message decides that, or DNS can hold no such name."""
        if spec.letters.difference(_EVERYONE):
            return None
        return query_name(spec.target({"d": name, "o": self.domain}))

    async def ours(self, likely: Mapping[IP, Iterable[str]]) -> tuple[Likely, ...]:
        """Those without a PTR name that is a company's."""
        first = list(likely)[:MOST_ADDRESSES]
        replies = await asyncio.gather(*(self.dns.ask(Question(names.pointer(ip), "PTR")) for ip in first))
        return tuple(self._ours(first, replies, likely))

    def _ours(self, first: list[IP], replies: Iterable[Reply], likely: Mapping[IP, Iterable[str]]) -> Iterator[Likely]:
        for ip, reply in zip(first, replies, strict=True):
            provider = self.provider(reply.names)
            if provider and not provider.rents:
                self.serve(provider, "PTR")
            else:
                yield Likely(ip, tuple(likely[ip]))


def _service(key: Provider | str, draft: _Draft) -> Service:
    provider = key if isinstance(key, Provider) else None
    return Service(provider, tuple(draft.by), draft.include, draft.bounces)


def _says_nothing(policy: SpfPolicy) -> bool:
    """Is it `v=spf1 -all`?"""
    record = policy.record
    return (
        record is not None
        and record.redirect is None
        and [(m.name, m.qualifier) for m in record.mechanisms] == [("all", SpfResult.FAIL)]
    )
