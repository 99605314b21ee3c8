"""Random SPF policies: graphs of includes and redirects, every mechanism, modifier and macro, and all DNS failures.

A number makes a case. The same number always makes the same case.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from random import Random

from exporter.mail.dns import MX, TXT, Rdata, Status

DOMAINS = (*(f"d{n}.example.com" for n in range(6)), "sub.d0.example.com", "other.example.org")
HOSTS = ("h0.example.com", "h1.example.com", "mail.d0.example.com", "mail.sub.d0.example.com", "void.example.net")
CLIENTS = ("192.0.2.1", "192.0.2.200", "198.51.100.7", "2001:db8::1", "2001:db8:1:2:3:4:5:6", "::ffff:192.0.2.1")
NEAR4 = ("192.0.2.1", "192.0.2.77", "192.0.3.1", "198.51.100.7", "203.0.113.9")
NEAR6 = ("2001:db8::1", "2001:db8::2", "2001:db8:1:2:3:4:5:6", "2001:db8:ffff::9")
LONGEST_CHAIN = 8
BROKEN = [
    "all:x",
    "all/8",
    "include",
    "include:",
    "exists",
    "a:",
    "a/",
    "a/33",
    "a//129",
    "a/024",
    "a:1.2.3.4",
    "ip4:1.2.3",
    "ip4:1.2.3.4/33",
    "ip4:01.2.3.4",
    "ip4:1.2.3.4//24",
    "ip6:::1/129",
    "ip6:1.2.3.4",
    "ip6:g::",
    "mx:com",
    "ptr:",
    "ptr/24",
    "prt",
    "ip:1.2.3.4",
    "1.2.3.4",
    "foo",
    "-x=y",
    "redirect=",
    "exp=",
    "exp=a.b exp=c.d",
    "a:%{d",
    "a:%{x}",
    "a:%{d0}",
    "a:%d",
    "a:x%",
    "a:%{c}",
    "x=%{t}",
    "x=%",
    "a:%{d!}",
    "a:%{dx}",
    "a:%%%x.com",
    "exists:%{d}.a b",
    "a:x.1",
    "a:x.a-",
    "a:x.-a",
    "include:a/24",
    "a,",
    "a:x.com,",
    "default=%{",
    "op=%",
    "=",
    ":x",
    "redirect=d1.example.com redirect=d2.example.com",
    "x=1 x=2",
    "a:b/c.com",
    "+",
    "a//64/24",
    "ip6:1::2%eth0",
]


class Failure(Exception):
    """DNS gave no conclusive answer."""


@dataclass
class World:
    """What stands in `zone` and `aliases`; of everything else, chance decides by the name."""

    seed: int
    trouble: int  # how many of a hundred names that chance decides about fail
    void: int  # and how many have nothing
    client: IPv4Address | IPv6Address
    zone: dict[tuple[str, str], Status | tuple[Rdata, ...]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)

    def look_up(self, name: str, rdtype: str) -> tuple[Status, tuple[Rdata, ...], tuple[str, ...]]:
        chain: list[str] = []
        while (alias := self.aliases.get(name)) is not None:
            if len(chain) == LONGEST_CHAIN:
                return Status.SERVFAIL, (), tuple(chain)
            chain.append(name := alias)
        found = self.zone.get((name, rdtype))
        if found is None:
            found = self.chance(name, rdtype)
        return (found, (), tuple(chain)) if isinstance(found, Status) else (Status.ANSWER, found, tuple(chain))

    def chance(self, name: str, rdtype: str) -> Status | tuple[Rdata, ...]:
        luck = zlib.crc32(f"{self.seed} {name} {rdtype}".encode("utf-8", "backslashreplace")) % 100
        if luck < self.trouble:
            return (Status.TIMEOUT, Status.SERVFAIL, Status.REFUSED)[luck % 3]
        if luck < self.trouble + self.void:
            return (Status.NXDOMAIN, Status.NODATA)[luck % 2]
        match rdtype:
            case "A":
                return (self.client if luck % 2 and self.client.version == 4 else ip_address(NEAR4[luck % 5]),)
            case "AAAA":
                return (self.client if luck % 2 and self.client.version == 6 else ip_address(NEAR6[luck % 4]),)
            case "MX":
                return tuple(MX(n, HOSTS[(luck + n) % len(HOSTS)]) for n in range(luck % 4 + 1))
            case "PTR":
                return tuple(sorted({HOSTS[(luck * n) % len(HOSTS)] for n in range(3)}))
            case _:
                text = ("v=spf1 -all", "v=spf1 +all", "v=spf1", "no policy", "v=spf1 a ?all")[luck % 5]
                return (TXT((text.encode(),)),)

    def rows(self, name: str, rdtype: str) -> list[tuple[tuple[str, str], object]]:
        """As a stub resolver gives them, aliases in front. Raise Failure."""
        status, records, chain = self.look_up(name, rdtype)
        if not status.conclusive:
            raise Failure(status)
        owners = (name, *chain)
        rows: list[tuple[tuple[str, str], object]] = [
            ((owner, "CNAME"), target) for owner, target in zip(owners, chain, strict=False)
        ]
        return rows + [((owners[-1], rdtype), _plain(record)) for record in records]


def _plain(record: Rdata) -> object:
    if isinstance(record, MX):
        return (record.preference, record.exchange)
    if isinstance(record, TXT):
        return record.strings
    return str(record)


@dataclass(frozen=True)
class Case:
    client: str
    sender: str
    helo: str
    world: World

    @property
    def from_(self) -> str:
        """What stands for the sender of a bounce (section 2.4)."""
        return self.sender or f"postmaster@{self.helo}"

    @property
    def domain(self) -> str:
        return self.from_.rpartition("@")[2]


def case(number: int) -> Case:
    """The same number always makes the same case."""
    return _Maker(Random(number)).case(number)


class _Maker:
    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.pick = chance.choice
        # Most worlds are well, so that evaluations get far; the others are ill in many egress at once.
        self.ill = chance.choice((0.0, 0.0, 0.02, 0.1, 0.5))
        self.busy = chance.choice((1, 2, 3, 3, 5, 12))

    def often(self, share: float) -> bool:
        return self.chance.random() < share

    def case(self, seed: int) -> Case:
        client = self.pick(CLIENTS)
        address = ip_address(client)
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or address
        world = World(seed, self.pick((0, 0, 2, 15)), self.pick((5, 30, 60)), address)
        for domain in DOMAINS:
            if self.often(0.93):
                world.zone[domain, "TXT"] = self.texts()
            if self.often(0.5):
                world.zone[domain, "MX"] = self.exchanges()
        if self.often(0.7):
            names = self.chance.sample((*DOMAINS, *HOSTS), self.chance.randint(1, 8))
            if self.often(0.1):
                names += [f"p{n:02}.{self.pick(DOMAINS)}" for n in range(9)]
            # Sorted, as the ten that count and the one that is p are chosen by order (sections 5.5, 7.3).
            world.zone[_pointer(address), "PTR"] = tuple(sorted(names))
        for _ in range(self.pick((0, 0, 1, 3))):
            alias, target = self.chance.sample((*DOMAINS[1:], *HOSTS), 2)
            world.aliases[alias] = target
        if self.often(0.003):
            self.toil(world)
        if self.often(0.02):
            return Case(client, "", "d0.example.com", world)
        return Case(client, self.sender(), self.pick(("mail.example.org", "h0.example.com", "localhost", "")), world)

    def toil(self, world: World) -> None:
        """Ten terms of ten hosts each, none of which matches."""
        world.zone["d0.example.com", "TXT"] = (
            TXT((b"v=spf1" + b" mx:d%d.example.com" * 10 % tuple(range(10)) + b" ?all",)),
        )
        for domain in (f"d{n}.example.com" for n in range(10)):
            world.zone[domain, "MX"] = tuple(MX(n, f"m{n}.{domain}") for n in range(self.pick((1, 10, 10))))
            for n in range(10):
                world.zone[f"m{n}.{domain}", "A"] = (IPv4Address("203.0.113.254"),)
                world.zone[f"m{n}.{domain}", "AAAA"] = (IPv6Address("2001:db8::fe"),)

    def sender(self) -> str:
        local = self.pick(("user", "user", "user", "me+you=x/y", "a-b_c.d", "", "a..b", "x" * 64, '"q u"', "%{d}"))
        if self.often(0.01):
            local = '"at@at"'
        domain = "d0.example.com"
        if self.often(0.05):
            domain = self.pick(("D0.Example.COM", "d0.example.com.", "localhost", "a..example.com", "192.0.2.1"))
        return f"{local}@{domain}"

    def texts(self) -> Status | tuple[Rdata, ...]:
        if self.often(self.ill * 0.5):
            return self.pick((Status.TIMEOUT, Status.SERVFAIL, Status.NXDOMAIN, Status.NODATA))
        texts = [self.record()]
        if self.often(0.1):
            texts.append(b"another text")
        if self.often(self.ill * 0.3):
            texts.append(self.pick((b"v=spf1", b"v=spf10 -all", b"V=SPF1 ?all", b"\xff")))
        return tuple(TXT(self.strings(text)) for text in dict.fromkeys(texts))  # no two are alike: RFC 2181 section 5

    def strings(self, text: bytes) -> tuple[bytes, ...]:
        at = self.chance.randrange(len(text) + 1) if self.often(0.1) else 0
        return (text[:at], text[at:]) if at else (text,)

    def exchanges(self) -> Status | tuple[Rdata, ...]:
        if self.often(0.05):
            return (MX(0, "."),)
        count = self.pick((1, 1, 2, 3, 10, 11)) if self.often(0.3) else self.pick((1, 2))
        return tuple(MX(self.pick((0, 10, 10, 20)), f"m{n}.{self.pick(DOMAINS)}") for n in range(count))

    def record(self) -> bytes:
        terms = [self.term() for _ in range(self.chance.randint(0, self.busy))]
        if self.often(0.6):
            terms.append(self.sign() + "all")
        elif self.often(0.5):
            terms.append(f"{self.cased('redirect')}={self.name()}")
        if self.often(0.1):
            terms.insert(self.chance.randint(0, len(terms)), f"{self.cased('exp')}={self.name()}")
        if self.often(0.08):
            terms.insert(self.chance.randint(0, len(terms)), self.modifier())
        text = " ".join((self.cased("v=spf1"), *terms))
        if self.often(self.ill):
            text = self.spoil(text)
        return text.encode("latin-1")

    def cased(self, word: str) -> str:
        return self.pick((word.upper(), word.title())) if self.often(0.03) else word

    def sign(self) -> str:
        return self.pick(("", "", "+", "-", "~", "?"))

    def modifier(self) -> str:
        name = self.pick(("x", "x", "default", "op", "moo.two_3-4", "redirect", "exp"))
        return f"{self.cased(name)}={self.pick(('', 'y', '%{d}', self.name(), 'a=b', '%{p}', '%%'))}"

    def term(self) -> str:
        kind = self.chance.random()
        if kind < 0.30:
            return f"{self.sign()}{self.cased('include')}:{self.name()}"
        if kind < 0.45:
            return f"{self.sign()}{self.cased('a')}{self.colon()}{self.cidr()}"
        if kind < 0.57:
            return f"{self.sign()}{self.cased('mx')}{self.colon()}{self.cidr()}"
        if kind < 0.65:
            return f"{self.sign()}{self.cased('ptr')}{self.colon()}"
        if kind < 0.78:
            return f"{self.sign()}{self.cased('exists')}:{self.name()}"
        if kind < 0.89:
            return (
                f"{self.sign()}{self.cased('ip4')}:{self.pick(NEAR4)}{self.pick(('', '/32', '/24', '/23', '/8', '/0'))}"
            )
        return f"{self.sign()}{self.cased('ip6')}:{self.address6()}{self.pick(('', '/128', '/64', '/32', '/0'))}"

    def address6(self) -> str:
        return self.pick((*NEAR6, "::ffff:192.0.2.1", "2001:DB8::1", "::", "2001:db8:0:0:0:0:192.0.2.1", "1::2:3"))

    def colon(self) -> str:
        return f":{self.name()}" if self.often(0.6) else ""

    def cidr(self) -> str:
        if self.often(0.7):
            return ""
        return self.pick(("/24", "/0", "/32", "//64", "//0", "/16//48", "/24//128", "/31"))

    def name(self) -> str:
        kind = self.chance.random()
        if kind < 0.65:
            name = self.pick((*DOMAINS, *HOSTS))
        elif kind < 0.95:
            name = "".join(self.piece() for _ in range(self.chance.randint(1, 3))) + self.pick(
                ("", "%{d}", "example.com", ".d1.example.com", "%{d2}", "%{o}")
            )
        else:
            name = self.pick(
                ("localhost", "%{h}", "%{l}", "%{i}", "%{p}", "x" * 64 + ".com", "a..com", "%%.com", "d1.example.com.")
            )
            if self.often(0.2):
                name = f"{'long-label.' * 30}{name}"
        return name.upper() if "%" not in name and self.often(0.02) else name

    def piece(self) -> str:
        if self.often(0.3):
            return self.pick(("x.", "_spf.", "%%.", "%-.", "%_x.", "a-b.", "100/86400.", "!#$&'.", "1."))
        letter = self.pick("slodipvhSLODIPVH" if self.often(0.3) else "lodiv")
        parts = self.pick(("", "", "", "1", "2", "3", "9", "128", "99999999"))
        reverse = self.pick(("", "", "r", "R"))
        delimiters = self.pick(("", "", "", "-", ".-", "+", "+=", ",/_", "@"[:0]))
        return f"%{{{letter}{parts}{reverse}{delimiters}}}{self.pick(('.', '.', '-', ''))}"

    def spoil(self, text: str) -> str:
        """One small damage, such as people and programs do."""
        at = self.chance.randint(len("v=spf1"), len(text))
        damage = self.chance.random()
        if damage < 0.3:
            return text[:at] + self.pick('%{}/:=.,+-~? \t\n\0\x7fé"\\0r!@') + text[at:]
        if damage < 0.5:
            return text[:at] + text[at + 1 :]
        words = text.split(" ")
        words.insert(self.chance.randint(1, len(words)), self.pick(BROKEN))
        return " ".join(words)


def _pointer(address: IPv4Address | IPv6Address) -> str:
    return address.reverse_pointer
