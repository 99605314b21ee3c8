"""Writes the configuration file that a user would write for a scenario, and reads the targets from it.

A scenario names its targets directly. But users reach them through a configuration. So here the targets take that way
too, and a name that the loader refuses or changes makes the test fail.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import yaml

from exporter.config import load
from exporter.engine import catalogue
from exporter.facts import IP
from exporter.mail.dnsbl.blocklist import Blocklist
from exporter.model import Target
from exporter.targets import (
    Address,
    Authorisation,
    Delivery,
    Domain,
    EhloProbe,
    Greeting,
    KeyNamespace,
    ListHealth,
    MailHost,
    OwnResolver,
    Peer,
    Registration,
    Reputation,
    Selector,
    Zone,
)

CATALOGUE = catalogue.load()
ANY_IP, ANY_HELO, ANY_SENDER, ANY_DOMAIN = ip_address("192.0.2.10"), "mail.example.com", "out", "example.com"
ANY_IPV6 = ip_address("2001:db8::10")
_FIRST = (Authorisation, Greeting, EhloProbe, Selector)  # they say whose an address is, and who signs


def past_the_loader(target: Target) -> str | None:
    """Why no configuration comes to it; None where one must."""
    match target:
        case MailHost(configured=False, port=25):
            return "the MX hosts of a domain are in DNS, and mx finds them"
        case OwnResolver(wildcard_free=free, signed=signed) if (free, signed) != ("com", "com"):
            return "the names that it tries are set by a laboratory without the Internet alone"
        case Address(ip=IPv6Address(ipv4_mapped=IPv4Address())):
            return "the loader wants the IPv4 address itself, but the command takes any"
        case EhloProbe(helo=helo) if set(helo) & set("\r\n"):
            return "the loader refuses a line break; whatever gets past it must not be sent either"
        case Reputation(subject=subject, lists=lists) if not all(blocklist.holds(subject) for blocklist in lists):
            return "the loader leaves out lists that do not hold the subject; who asks must not rely on it"
    return None


def as_compared(target: Target) -> Target:
    """Where the order or a repetition means nothing, in an order of its own."""
    if isinstance(target, Delivery):
        return replace(target, rests_on=tuple(sorted(set(target.rests_on), key=lambda it: it.key)))
    return target


def completed(made: Target | None, said: Target) -> Target | None:
    """With what is filled in after loading."""
    if isinstance(made, OwnResolver) and isinstance(said, OwnResolver):
        return replace(made, nameservers=said.nameservers)  # whom `system` means is up to the machine
    return made


def differences(targets: Sequence[Target]) -> list[str]:
    """Where the loader comes to something else than is said. Raise ConfigError if it refuses it altogether."""
    return [
        f"{target} is loaded as {made}"
        for target, made in zip(targets, loaded(targets), strict=True)
        if made is None or as_compared(made) != as_compared(target)
    ]


def loaded(targets: Sequence[Target]) -> list[Target | None]:
    """What the loader makes of a file that names these: None for one that it does not make.

    What is past it stays as it is. Raise ConfigError if it refuses the file.
    """
    said = [target for target in targets if past_the_loader(target) is None]
    file = _File()
    for target in sorted(said, key=lambda target: not isinstance(target, _FIRST)):
        file.write(target)
    made = _load(file.text) if said else {}
    return [completed(made.get((type(target), target.key)), target) if target in said else target for target in targets]


@cache
def _load(text: str) -> dict[tuple[type[Target], str], Target]:
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "config.yaml"
        path.write_text(text)
        return {(type(target), target.key): target for target in load(path, CATALOGUE).targets}


@dataclass
class _File:
    senders: dict[str, dict[str, Any]] = field(default_factory=dict)
    domains: dict[str, dict[str, Any]] = field(default_factory=dict)
    hosts: list[dict[str, Any]] = field(default_factory=list)
    blocklists: dict[str, dict[str, Any]] = field(default_factory=dict)
    peers: list[Any] = field(default_factory=list)

    @property
    def text(self) -> str:
        content: Mapping[str, Any] = {
            "smtp": {"helo_name": "probe.example.net"},
            "blocklists": list(self.blocklists.values()),
            "receivers": [],
            "ehlo_probe": {"peers": self.peers},
            "senders": list(self.senders.values()),
            "domains": list(self.domains.values()),
            "mail_hosts": self.hosts,
        }
        text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        return text

    def write(self, target: Target) -> None:
        match target:
            case Address(ip=ip, helo=(helo,)):
                sender = self._from(ip, helo)
                sender.update(_options(target))
            case Greeting(sender=name, ip=ip, helo=helo, lists=lists):
                for blocklist in lists:
                    self._blocklist(blocklist)
                self._address(name, ip, helo)
                self.senders[name].update(_options(target))
            case EhloProbe(sender=name, ip=ip, helo=helo):
                self._address(name, ip, helo)
                self.peers = list(map(_peer, target.peers))
            case Authorisation():
                self._authorisation(target)
            case Domain():
                self._domain_itself(target)
            case Zone(name=name, mail_from=mail_from, keys=keys):
                self._mail_from(name, mail_from)
                self._domain(name)
                for key in keys:
                    selector, _, signer = key.partition("._domainkey.")
                    self._selector(name, selector=selector, domain=signer)
            case Selector(domain=name):
                given = {"retired": True} if target.retired else {}
                self._selector(name, selector=target.selector, domain=target.signer, **given)
                for sibling in target.siblings:
                    self._selector(name, selector=sibling, domain=target.signer)
            case KeyNamespace(domain=name) | Registration(domain=name):
                self._domain(name)
            case MailHost(host=host, port=port):
                self.hosts.append({"host": host, "port": port})
            case Reputation(subject=subject, lists=lists):
                for blocklist in lists:
                    self._blocklist(blocklist)
                self._subject(subject)
            case ListHealth(blocklist=blocklist, ipv6=six):
                self._blocklist(blocklist)
                self._subject(ANY_IPV6 if six else ANY_IP if blocklist.holds(ANY_IP) else ANY_DOMAIN)
            case Delivery(domain=name, receivers=receivers):
                self._domain(name)["receivers"] = list(receivers)
            case OwnResolver(uses_blocklists=uses):
                self._from(ANY_IP, ANY_HELO)
                if uses:
                    self.blocklists["spamhaus-zen"] = {"name": "spamhaus-zen"}
            case _:
                raise AssertionError(f"no key of the configuration leads to {target}")

    def _domain(self, name: str) -> dict[str, Any]:
        return self.domains.setdefault(name, {"name": name, "senders": [], "dkim_selectors": []})

    def _domain_itself(self, target: Domain) -> None:
        domain = self._domain(target.name)
        for sender in target.theirs:
            self.senders[sender] = {"name": sender}
            domain["senders"].append({"name": sender, "mail_from": "theirs"})
        if target.theirs and target.mail_from:
            domain["mail_from"] = list(target.mail_from)
        elif not target.theirs:
            self._mail_from(target.name, target.mail_from)
        domain |= {"receives_mail": target.receives_mail, "sends_mail": target.sends_mail} | _options(target)
        for number, signer in enumerate(target.signers):
            if signer not in {key["domain"] for key in domain["dkim_selectors"]}:
                self._selector(target.name, selector=f"s{number}", domain=signer)
        if target.own_machines and not any(sender not in target.theirs for sender in map(_name, domain["senders"])):
            self._from(ANY_IP, ANY_HELO)
            domain["senders"].append(ANY_SENDER)

    def _mail_from(self, name: str, mail_from: tuple[str, ...]) -> None:
        if mail_from != (name,):
            self._domain(name)["mail_from"] = list(mail_from)

    def _selector(self, name: str, **key: Any) -> None:
        keys = self._domain(name)["dkim_selectors"]
        if key not in keys:
            keys.append(key)

    def _authorisation(self, target: Authorisation) -> None:
        own = {"name": target.sender, "mail_from": list(target.mail_from)}
        used = target.sender if target.mail_from == (target.domain,) else own
        self._domain(target.domain)["senders"].append(used)
        if target.spf_include is not None:
            self.senders[target.sender] = {"name": target.sender, "spf_include": target.spf_include}
        for egress in target.egress:
            self._address(target.sender, egress.ip, egress.helo)

    def _address(self, sender: str, ip: IP, helo: str) -> None:
        addresses = self.senders.setdefault(sender, {"name": sender, "addresses": []})["addresses"]
        entry = {"ip": str(ip), "helo": helo}
        if entry not in addresses:
            addresses.append(entry)

    def _from(self, ip: IP, helo: str) -> dict[str, Any]:
        """The sender whose address it is."""
        for sender in self.senders.values():
            if str(ip) in {address["ip"] for address in sender.get("addresses", ())}:
                return sender
        self._address(ANY_SENDER, ip, helo)
        return self.senders[ANY_SENDER]

    def _subject(self, subject: IP | str) -> None:
        if isinstance(subject, str):
            self._domain(subject)
        else:
            self._from(subject, ANY_HELO)

    def _blocklist(self, blocklist: Blocklist) -> None:
        self.blocklists[blocklist.name] = {"name": blocklist.name, "zone": blocklist.zone}


def _name(sender: str | dict[str, Any]) -> str:
    """Of one that a domain uses."""
    return sender if isinstance(sender, str) else str(sender["name"])


def _peer(peer: Peer) -> Any:
    return {"host": peer.name, "port": peer.port} if peer.exactly else peer.name


def _options(target: Target) -> dict[str, Any]:
    """What the entry says of single checks."""
    owners = {kind: check for check, kind in CATALOGUE.options.items()}
    given = {
        owners[type(options)]: {key: _plain(value) for key, value in asdict(options).items()}
        for options in target.options
    }
    return {"checks": given} if given else {}


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
