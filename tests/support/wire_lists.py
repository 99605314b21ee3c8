"""Blocklists in wire format behind one nameserver: honest, broken and hostile ones, the same for whoever asks."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

import dns.flags
import dns.rcode

from tests.support.hostile import framed, response

HOSTILE = (
    *("listed", "listed", "nodata", "truncated", "truncated no", "servfail", "refused", "stale", "forged", "option"),
    *("wrong id first", "wrong case", "other name first", "garbage", "cut", "broken soa", "two opts", "no soa"),
    *("authority", "loop", "answer in a no", "bare refusal", "lost once", "lost", "twice"),
)
MODES = ("good", "good", "good", "good", "world", "dead", "refuses", "parked", "servfail", "silent")


def named(query: bytes) -> str:
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += 1 + query[at]
    return ".".join(labels)


@dataclass
class WireLists:
    """What is said depends on the question and on `turn` alone, and for some on how often it was asked in this turn."""

    seed: int
    modes: bool = True  # do whole lists misbehave at times?
    turn: int = 0
    hostile: float = 0.25  # how much of all
    times: dict[tuple[int, str], int] = field(default_factory=dict)

    def udp(self, query: bytes) -> Iterable[bytes]:
        kind, asked = self._kind(query), (self.turn, named(query))
        self.times[asked] = self.times.get(asked, 0) + 1
        return said(kind, query, self.times[asked])

    def tcp(self, query: bytes) -> Iterable[bytes]:
        """The same over TCP, by which a client may ask when it distrusts datagrams."""
        match kind := self._kind(query):
            case "truncated":
                return [framed(_listed(query))]
            case "truncated no" | "wrong id first" | "other name first" | "lost once":
                return [framed(_no(query))]
            case "wrong case":
                return []
        return [framed(message) for message in said(kind, query, 2)]

    def _kind(self, query: bytes) -> str:
        name = named(query)
        *_, zone = name.split(".", name.count(".") - 1)
        mode = random.Random(f"{self.seed} {zone} {self.turn // 3}").choice(MODES) if self.modes else "good"
        if name.startswith(("2.0.0.127.", "1.0.0.127.")):
            if mode == "good":
                return "listed" if name.startswith("2") else "no"
            return {"world": "listed", "dead": "no", "silent": "lost"}.get(mode, mode)
        chance = random.Random(f"{self.seed} {name} {self.turn}")
        kind = "no" if chance.random() >= self.hostile else chance.choice(HOSTILE)
        return kind if mode == "good" else {"world": "listed", "dead": "no", "silent": "lost"}.get(mode, mode)


def _no(query: bytes, ttl: int = 300) -> bytes:
    zone = ".".join(named(query).split(".")[-2:])
    soa = f"{zone}. {ttl} IN SOA ns.{zone}. host.{zone}. 1 3600 600 86400 60"
    return response(query, rcode=dns.rcode.NXDOMAIN, authority=[soa])


def _listed(query: bytes, address: str = "127.0.0.2") -> bytes:
    if query[-15:-13] == b"\0\x10":  # TXT
        return response(query, f'{named(query)}. 60 IN TXT "because"')
    return response(query, f"{named(query)}. 60 IN A {address}")


def said(kind: str, query: bytes, time: int) -> list[bytes]:
    """The datagrams of that kind, when the question comes for the n-th time."""
    no, end = _no(query, 300 - len(named(query))), query.index(b"\0", 12) + 5
    match kind:
        case "listed":
            return [_listed(query)]
        case "refuses":
            return [_listed(query, "127.255.255.254")]
        case "parked":
            return [_listed(query, "203.0.113.80")]
        case "nodata":
            return [response(query)]
        case "truncated":
            return [response(query, flags=dns.flags.TC)]
        case "truncated no":
            return [response(query, rcode=dns.rcode.NXDOMAIN, flags=dns.flags.TC)]
        case "servfail":
            return [response(query, rcode=dns.rcode.SERVFAIL)]
        case "refused":
            return [response(query, rcode=dns.rcode.REFUSED)]
        case "stale":
            return [response(query, rcode=dns.rcode.NXDOMAIN, ede=(3, "stale"))]
        case "forged":
            return [response(query, rcode=dns.rcode.NXDOMAIN, ede=(4, "forged"))]
        case "option":
            return [no[:-2] + b"\0\4\0\3\0\0"]  # NSID
        case "wrong id first":
            return [bytes([query[0] ^ 1]) + _listed(query)[1:], no]
        case "other name first":
            return [_listed(query).replace(b"\2", b"\3", 1) if query[12] == 2 else no, no]
        case "wrong case":
            return [no.replace(b"zone", b"zOne", 1)]
        case "garbage":
            return [no + b"\0"]
        case "cut":
            return [no[:-5]]
        case "broken soa":
            at = no.index(b"\0\6\0\1", end) + 8
            return [no[:at] + (int.from_bytes(no[at : at + 2]) - 1).to_bytes(2) + no[at + 2 :]]
        case "two opts":
            return [no[:11] + b"\2" + no[12:] + no[-11:]]
        case "no soa":
            return [response(query, rcode=dns.rcode.NXDOMAIN)]
        case "authority":
            zone = ".".join(named(query).split(".")[-2:])
            return [response(query, rcode=dns.rcode.NXDOMAIN, authority=[f"{zone}. 60 IN NS ns.{zone}."])]
        case "loop":
            return [query[:2] + b"\x81\x83\0\1\0\0\0\1\0\0" + query[12:end] + end.to_bytes(2)[:0] + bytes([0xC0, end])]
        case "answer in a no":
            return [_listed(query)[:3] + b"\x83" + _listed(query)[4:]]
        case "bare refusal":
            return [query[:2] + b"\x81\x85" + bytes(8)]
        case "lost once":
            return [no] if time > 1 else []
        case "lost" | "silent":
            return []
        case "twice":
            return [no, no]
        case _:
            return [no]
