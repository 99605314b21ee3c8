"""The kinds of targets, and what checks need to know of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from exporter.facts import IP
from exporter.mail.dnsbl.blocklist import Blocklist
from exporter.mail.helo import parse
from exporter.model import Target, TargetId


@dataclass(frozen=True, slots=True)
class Egress:
    """One address that sends, and the name it says in HELO/EHLO."""

    ip: IP
    helo: str


@dataclass(frozen=True, kw_only=True)
class Address(Target):
    """A sending address of ours: `ptr` judges it."""

    LABELS = ("ip",)
    NOUN = "each address in `senders[].addresses`"
    KIND = "sender_ip"

    ip: IP
    helo: tuple[str, ...]  # every HELO name said from it

    def _names(self) -> tuple[object, ...]:
        return (self.ip,)


@dataclass(frozen=True, kw_only=True)
class Greeting(Target):
    """What one sender says in HELO/EHLO from one address: `helo` judges it. The name is as configured, unrepaired.

    The sender of an address on a command line has no name: "". The HELO name is looked up in `lists`. There are none if
    it contains no name that can be looked up.
    """

    LABELS = ("sender", "ip")
    NOUN = "each HELO name that a sender says from one of its addresses"
    KIND = "sender_helo"

    sender: str
    ip: IP
    helo: str
    lists: tuple[Blocklist, ...] = ()

    def _names(self) -> tuple[object, ...]:
        return (self.sender or None, self.ip)


@dataclass(frozen=True, slots=True)
class Peer:
    """A receiver: a mail domain, or one server `exactly`, by its name and port."""

    name: str
    exactly: bool = False
    port: int = 25


@dataclass(frozen=True, kw_only=True)
class EhloProbe(Target):
    """What one sender says in HELO/EHLO from one address, and the peers that are asked: `ehlo_probe` judges it."""

    LABELS = ("sender", "ip")
    NOUN = "each HELO name that a sender says from one of its addresses, once `ehlo_probe.peers` names receivers"
    KIND = "sender_helo"

    sender: str
    ip: IP
    helo: str
    peers: tuple[Peer, ...]

    def _names(self) -> tuple[object, ...]:
        return (self.sender, self.ip)


@dataclass(frozen=True, kw_only=True)
class Domain(Target):
    """A name that mail is sent from (the From: domain): `mx`, `spf` and `dmarc` judge it."""

    LABELS = ("domain",)
    NOUN = "each of `domains`"
    KIND = "domain"

    name: str
    mail_from: tuple[str, ...]  # its envelope domains, where SPF is judged; empty if all senders have other ones
    receives_mail: bool = True
    sends_mail: bool = True
    signers: tuple[str, ...] = ()  # the d= domains of its DKIM selectors in use; none: they are not known
    own_machines: bool = False  # some of its mail is sent by machines of ours, as configured and not otherwise
    theirs: tuple[str, ...] = ()  # the senders that use an envelope domain of a provider for it

    def _names(self) -> tuple[object, ...]:
        return (self.name,)


@dataclass(frozen=True, kw_only=True)
class Zone(Target):
    """The DNS zone of a domain, and the names whose data must be equal on all servers: `zone` judges it."""

    LABELS = ("domain",)
    NOUN = "the DNS zone of each of `domains`"
    KIND = "domain"

    name: str
    mail_from: tuple[str, ...] = ()  # envelope domains
    keys: tuple[str, ...] = ()  # names of DKIM keys: s1._domainkey.example.com

    def _names(self) -> tuple[object, ...]:
        return (self.name,)


@dataclass(frozen=True, kw_only=True)
class Authorisation(Target):
    """May this sender send for this domain, with these envelope domains? `spf_sender` judges it.

    If the sender is our own, it has `egress`. If it is somebody else's, it has `spf_include`: the policy that must be
    included. A sender with `mail_from: theirs` has no such target. On a command line, its name may be "".
    """

    LABELS = ("domain", "sender")
    NOUN = "each of `domains` with each of its senders, except those with `mail_from: theirs`"
    KIND = "domain_sender"

    domain: str
    sender: str
    mail_from: tuple[str, ...]
    egress: tuple[Egress, ...] = ()
    spf_include: str | None = None

    def _names(self) -> tuple[object, ...]:
        return (self.domain, self.sender or None)


@dataclass(frozen=True, kw_only=True)
class Selector(Target):
    """One DKIM key: `dkim` judges it. `signer` is the d= domain, the From: domain unless configured."""

    LABELS = ("domain", "selector")
    NOUN = "each of `domains[].dkim_selectors`"
    KIND = "dkim_selector"

    domain: str
    selector: str
    signer: str
    retired: bool = False  # nothing is signed with it any more: its key ought to be gone
    siblings: tuple[str, ...] = ()  # the domain's other selectors in use with the same signer

    def _names(self) -> tuple[object, ...]:
        return (self.domain, self.selector)


@dataclass(frozen=True, kw_only=True)
class KeyNamespace(Target):
    """The place of a domain's DKIM keys, if its selectors are not known: `dkim` looks whether any key exists.

    The name is from RFC 6376 section 3.6.2.1. Its key is that of the Domain.
    """

    LABELS = ("domain",)
    NOUN = "each of `domains` that sends mail and names no DKIM selector in use"
    KIND = "domain"

    domain: str

    def _names(self) -> tuple[object, ...]:
        return (self.domain,)


@dataclass(frozen=True, kw_only=True)
class MailHost(Target):
    """One SMTP server: `smtp_tls` judges it. Only `configured` hosts may have private addresses."""

    LABELS = ("mail_host", "mail_port")
    NOUN = "each MX host of the domains, found in DNS, and each of `mail_hosts`"
    KIND = "mail_host"

    host: str
    port: int = 25
    configured: bool = False

    def _names(self) -> tuple[object, ...]:
        return (self.host, self.port)


@dataclass(frozen=True, kw_only=True)
class Registration(Target):
    """A registered name, for our domains at it or below it: `registration` judges it."""

    LABELS = ("domain",)
    NOUN = "each registered name that the domains are or lie below"
    KIND = "registration"

    domain: str

    def _names(self) -> tuple[object, ...]:
        return (self.domain,)


@dataclass(frozen=True, kw_only=True)
class Reputation(Target):
    """An address or a domain, and the lists it is looked up in: `blocklist` judges it."""

    LABELS = ("domain", "ip")
    ONE_OF_LABELS = True
    NOUN = "each address of a sender and each of `domains`"

    subject: IP | str
    lists: tuple[Blocklist, ...]

    @property
    def kind(self) -> str:
        return (Domain if isinstance(self.subject, str) else Address).KIND

    def _names(self) -> tuple[object, ...]:
        return (self.subject, None) if isinstance(self.subject, str) else (None, self.subject)


@dataclass(frozen=True, kw_only=True)
class ListHealth(Target):
    """One blocklist: `blocklist_health` judges whether its answers are right."""

    LABELS = ("blocklist",)
    NOUN = "each of the blocklists that are in use"
    KIND = "blocklist"

    blocklist: Blocklist
    ipv6: bool = False  # it is asked about IPv6 addresses, too

    def _names(self) -> tuple[object, ...]:
        return (self.blocklist.name,)


@dataclass(frozen=True, kw_only=True)
class Delivery(Target):
    """The mail of one From: domain to large receivers: `receiver` judges whether they will take it.

    `rests_on` are the targets whose results decide: the domain, its selectors in use, its senders' addresses.
    """

    LABELS = ("domain",)
    NOUN = "each of `domains` that sends mail, with the receivers that are chosen for it"
    KIND = "domain"

    domain: str
    receivers: tuple[str, ...]  # ids of their profiles

    def _names(self) -> tuple[object, ...]:
        return (self.domain,)


@dataclass(frozen=True, kw_only=True)
class OwnResolver(Target):
    """The exporter's own resolver: `resolver` judges it. There is only one, so it needs no label.

    `wildcard_free` is a zone in which a random name does not exist. `signed` is a name with NS records and a chain of
    trust. A test world may have its own.
    """

    NOUN = "the resolver of the exporter itself"
    KIND = "resolver"

    nameservers: tuple[IP, ...] = ()
    uses_blocklists: bool = True
    wildcard_free: str = "com"
    signed: str = "com"

    def _names(self) -> tuple[object, ...]:
        return ()

    @cached_property
    def key(self) -> str:
        return "resolver"

    @property
    def title(self) -> str:
        return "own resolver"


def looked_up(made: Iterable[Target]) -> Iterator[IP | str]:
    """All addresses and names that blocklists are asked about."""
    for target in made:
        match target:
            case Reputation(subject=subject):
                yield subject
            case Greeting(helo=helo, lists=lists) if lists:
                yield parse(helo).name


def lists_of_name(helo: str, lists: Iterable[Blocklist]) -> tuple[Blocklist, ...]:
    """The lists in which the HELO name can be looked up."""
    name, lists = parse(helo).host, tuple(lists)
    held = tuple(blocklist for blocklist in lists if blocklist.holds(name)) if name else ()
    return lists if len(held) == len(lists) else held  # one tuple for all that it serves


def deliveries(made: Iterable[Target], receivers: Callable[[str], tuple[str, ...]]) -> Iterator[Delivery]:
    """One for each domain that sends mail and has receivers, with the targets whose results decide."""
    domains: dict[str, Domain] = {}
    telling: dict[str, list[TargetId]] = {}
    machines: dict[tuple[str, Egress], tuple[TargetId, TargetId]] = {}  # many domains share them
    for target in made:
        match target:
            case Domain(name=name):
                domains[name] = target
                telling.setdefault(name, []).append(TargetId(target.identity))
            case Selector(domain=name, retired=False):
                telling.setdefault(name, []).append(TargetId(target.identity))
            case Authorisation(domain=name, sender=sender):
                telling.setdefault(name, []).append(TargetId(target.identity))
                for egress in target.egress:
                    if (sender, egress) not in machines:
                        greeting = Greeting(sender=sender, ip=egress.ip, helo=egress.helo)
                        address = Address(ip=egress.ip, helo=())
                        machines[sender, egress] = TargetId(address.identity), TargetId(greeting.identity)
                    telling[name] += machines[sender, egress]
    for name, domain in domains.items():
        wanted = receivers(name)
        if domain.sends_mail and wanted:
            yield Delivery(
                domain=name,
                receivers=wanted,
                rests_on=tuple(dict.fromkeys(telling[name])),
                labels=domain.labels,
                off=domain.off,
                accept=domain.accept,
            )
