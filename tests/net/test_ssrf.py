"""No spelling of a URL, no redirect, no DNS answer and no mail host leads us to an address that nobody may name."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, ip_address, ip_network

import pytest
from aiohttp import web

from exporter.facts import IP
from exporter.mail.dns import Question, Reply, Status
from exporter.net.https import Failure, HttpsClient
from exporter.net.smtp.client import SmtpClient
from exporter.targets import MailHost
from tests.support.clock import FakeClock
from tests.support.torture import seed, size
from tests.support.watch import LOOPS, run_on
from tests.support.web import HERE, NAME, NOBODY, answering, sites

# By the registries of special-purpose addresses (RFC 6890), written down apart from the product's own table.
_DENIED = """
    0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24
    192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 255.255.255.255/32
    ::/128 ::1/128 ::/96 ::ffff:0:0/96 ::ffff:0:0:0/96 64:ff9b::/96 64:ff9b:1::/48 100::/64 100:0:0:1::/64
    2001::/32 2001:2::/48 2001:10::/28 2001:20::/28 2001:db8::/32 2002::/16 3fff::/20 5f00::/16
    fc00::/7 fe80::/10 fec0::/10 ff00::/8
"""
DENIED = [ip_network(network) for network in _DENIED.split()]
PUBLIC = ip_address("93.184.215.14")
CASES = size(300, 50_000)
LED = 40  # one of so many is a redirect, which takes a TLS handshake
_WIDE = str.maketrans("0123456789", "０１２３４５６７８９")
_CIRCLED = str.maketrans("123456789", "①②③④⑤⑥⑦⑧⑨")


class Resolver:
    """Every name has the addresses that the test says, and others at each further question: DNS rebinding."""

    def __init__(self) -> None:
        self.first: list[IP] = []
        self.later: list[IP] = []
        self._asked: set[Question] = set()

    def tell(self, first: list[IP], later: list[IP]) -> None:
        self.first, self.later, self._asked = first, later, set()

    async def ask(self, question: Question, *, fresh: bool = False, tcp: bool = False) -> Reply:
        known = self.later if question in self._asked else self.first
        self._asked.add(question)
        if question.name == NAME:
            known = [HERE]
        version = 4 if question.rdtype == "A" else 6
        records = tuple(ip for ip in known if ip.version == version)
        return Reply(question, Status.ANSWER if records else Status.NODATA, records, server="test")


class Connections:
    """Where sockets of this process connect to. A hook of the interpreter stays until the process ends."""

    def __init__(self) -> None:
        self.places: set[tuple[str, int]] | None = None
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "socket.connect" and self.places is not None and isinstance(arguments[1], tuple):
            self.places.add(arguments[1][:2])


CONNECTIONS = Connections()


def somewhere(chance: random.Random) -> IP:
    network = chance.choice(DENIED)
    return network[chance.randrange(network.num_addresses)]


def spellings(ip: IP, chance: random.Random) -> Iterator[str]:
    """Hosts in a URL that some parser or resolver takes for the address."""
    if isinstance(ip, IPv4Address):
        number, parts = int(ip), str(ip).split(".")
        yield from (str(ip), f"{ip}.", str(number), hex(number), oct(number), f"0{number:o}", f"{number:#034b}")
        yield ".".join(hex(int(part)) for part in parts)
        yield ".".join(f"0{int(part):o}" for part in parts)
        yield ".".join(f"{int(part):0{chance.randint(3, 9)}}" for part in parts)
        yield ".".join((parts[0], str(number & 0xFFFFFF)))
        yield ".".join((*parts[:2], str(number & 0xFFFF)))
        yield ".".join((hex(int(parts[0])), f"0{int(parts[1]):o}", *parts[2:]))
        yield str(number + 2**32)
        yield from (str(ip).translate(_WIDE), str(ip).translate(_CIRCLED), "。".join(parts), "．".join(parts))
        yield "".join(f"%{ord(letter):02x}" for letter in str(ip))
        yield from (f"{ip}\u00ad", f"{parts[0]}.\u200b{'.'.join(parts[1:])}", f"{ip}%00.example.com", f"{ip}\t")
        yield from (f"[::ffff:{ip}]", f"[::{ip}]", f"[64:ff9b::{ip}]", f"[2002:{number >> 16:x}:{number & 0xFFFF:x}::]")
        yield from (f"{ip}.nip.io", f"{str(ip).replace('.', '-')}.sslip.io", f"[{ip}]")
    else:
        yield from (
            f"[{ip}]",
            f"[{ip.exploded}]",
            f"[{ip.exploded.upper()}]",
            f"[{ip}%25eth0]",
            f"[{ip}%eth0]",
            str(ip),
        )
        yield from (f"{ip.exploded.replace(':', '-')}.ipv6-literal.net", f"[{ip}", f"[v1.{ip}]", f"[0:{ip}]")
    yield from (
        "localhost",
        "LOCALHOST",
        "localhost.",
        "localhost.localdomain",
        "ip6-localhost",
        "metadata.google.internal",
    )
    yield from ("rebind.example.com", "xn--127001-", "a.b", "_dmarc.example.com", "")


def urls(ip: IP, chance: random.Random) -> str:
    host = chance.choice(list(spellings(ip, chance)))
    port = chance.choice(["", "", "", ":443", ":22", ":0", ":65536", ":25", ":-1", ":0443"])
    before = chance.choice(
        ["", "", "", f"{NAME}@", f"{NAME}:443@", "user:secret@", f"{NAME}\\@", f"{NAME}#@", f"{NAME}/@"]
    )
    start = chance.choice(
        ["https://"] * 12 + ["HTTPS://", "http://", "https:", "https:/", "https:///", "https:\\\\", "//"]
    )
    return f"{start}{before}{host}{port}{chance.choice(['', '/', '/x', '?x', f'/../@{NAME}'])}"


@pytest.mark.torture
@pytest.mark.parametrize("loop", LOOPS)
def test_no_spelling_leads_to_an_address_that_nobody_may_name(
    loop: str, record_property: Callable[[str, object], None]
) -> None:
    chance, dialled = random.Random(f"{seed()} {loop}"), set[IP]()
    ends: dict[str, int] = {}

    async def attack() -> None:
        dns, target = Resolver(), [""]

        async def leads(request: web.BaseRequest) -> web.StreamResponse:
            return await answering(302, location=target[0])(request)

        async with sites(leads) as good:
            real = good._addresses._dial

            async def dial(ip: IP, port: int) -> tuple[str, int]:
                """As in production; but what is public is answered by nobody, and NAME by a server that redirects."""
                dialled.add(ip)
                return await real(ip, port) if ip == HERE else NOBODY if ip == PUBLIC else (str(ip), port)

            https = HttpsClient(dns, dial=dial, authorities=good._authorities)
            mail = SmtpClient("probe.example.net", FakeClock(), dial=dial)
            CONNECTIONS.places = set()
            for number in range(CASES):
                ip = somewhere(chance)
                others = [somewhere(chance) for _ in range(chance.randrange(3))]
                public = [PUBLIC] if not chance.randrange(10) else []
                dns.tell([*others, *public, ip], [ip])
                target[0] = urls(ip, chance)
                printable = target[0].isascii() and target[0].isprintable()  # others no header can hold
                led = number % LED == 0 and printable
                got = await https.get(f"https://{NAME}/" if led else target[0], redirects=3)
                ends[got.failure or str(got.status)] = ends.get(got.failure or str(got.status), 0) + 1
                assert not got.body
                told = await mail.probe(MailHost(host="mx.example.com"), ip)
                assert told.passed_over, (ip, told)

    try:
        run_on(loop, attack)
        places = CONNECTIONS.places or set()
    finally:
        CONNECTIONS.places = None
    assert {host for host, _ in places} <= {"127.0.0.1"}, places
    assert {port for _, port in places if port < 1024} <= {NOBODY[1]}, "only our own web server, at its high port"
    assert ends.keys() <= {Failure.URL, Failure.NOT_PUBLIC, Failure.CONNECTION, Failure.REFUSED, Failure.REDIRECTS}
    assert ends[Failure.NOT_PUBLIC] > CASES / 60, ends
    record_property(f"spellings of addresses that nobody may name, {loop}", CASES)
    record_property("connections to denied addresses", 0)


async def test_each_denied_block_is_refused_at_both_ends() -> None:
    async def dial(ip: IP, port: int) -> tuple[str, int]:
        return str(ip), port

    dns = Resolver()
    https, mail = HttpsClient(dns, dial=dial), SmtpClient("probe.example.net", FakeClock(), dial=dial)
    for network in DENIED:
        for ip in (network[0], network[-1]):
            dns.tell([ip], [ip])
            got = await https.get("https://elsewhere.example.com/")
            assert got.failure is Failure.NOT_PUBLIC, got
            assert (await mail.probe(MailHost(host="mx.example.com"), ip)).passed_over, ip


async def test_a_name_is_looked_up_once_and_what_was_looked_up_is_dialled() -> None:
    """DNS that answers otherwise the next time changes nothing."""
    asked: list[IP] = []

    async def dial(ip: IP, port: int) -> tuple[str, int]:
        asked.append(ip)
        return NOBODY if ip == PUBLIC else (str(ip), port)

    dns = Resolver()
    dns.tell([PUBLIC], [ip_address("127.0.0.1")])
    got = await HttpsClient(dns, dial=dial).get("https://rebind.example.com/")
    assert got.failure is Failure.CONNECTION
    assert asked == [PUBLIC]
