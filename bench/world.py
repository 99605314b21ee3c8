"""The DNS that the benchmarks look at: zones of a fleet, and the real name servers that serve them on loopback.

A domain has two mail hosts with an address each, an SPF policy with one include out of INCLUDES, DMARC, a DKIM key of
2048 bits and TLS-RPT. An address has a PTR record that leads back to it. Each list says yes to one address in LISTED.
"""

from __future__ import annotations

import base64
import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address

import dns.exception
import dns.message
import dns.rcode
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.lab.process import Endpoint, Lab, free

INCLUDES = 100
LISTED = 500
_HOST = "mx1.bench-d1.net"
_STUBS = ("net", "com", "lists.test")
SERVERS_CORE, OWN_CORE = 0, 1  # servers and drivers have one core, and what is measured has the other


def pinned(core: int) -> list[str]:
    """The beginning of a command that keeps it on this core, where there are two."""
    allowed = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(allowed[core])] if len(allowed) > 1 and shutil.which("taskset") else []


def drive_from_the_other_core() -> None:
    """A process that only asks and waits must not take time from what is measured."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) > 1:
        os.sched_setaffinity(0, {allowed[SERVERS_CORE]})


def address(number: int) -> IPv4Address:
    return IPv4Address((11 << 24) + number)


def reverse(number: int) -> str:
    return ".".join(reversed(str(address(number)).split(".")))


@dataclass(frozen=True)
class Zones:
    """`ttl` is of the domains and of their addresses; answers of lists keep theirs for five minutes."""

    domains: int = 0
    addresses: int = 0
    lists: int = 0
    ttl: int = 300

    @property
    def list_zones(self) -> list[str]:
        return [f"bl{number}.lists.test" for number in range(self.lists)]

    @cached_property
    def _key(self) -> str:
        key = rsa.generate_private_key(65537, 2048).public_key()
        return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()

    def listed(self, number: int) -> list[int]:
        """The addresses that a list says yes to."""
        return [it for it in range(self.addresses) if (it + 8 * number) % LISTED == 0]

    def texts(self) -> Iterator[tuple[str, str]]:
        """Each zone's name and records."""
        yield ".", _head(".", 300)
        yield "com.", _head("com.", 300)
        yield "net.", _head("net.", self.ttl) + "".join(self._of_domains())
        yield (
            "11.in-addr.arpa.",
            _head("11.in-addr.arpa.", self.ttl)
            + "".join(f"{reverse(it)}.in-addr.arpa. PTR out{it}.bench-provider.net.\n" for it in range(self.addresses)),
        )
        for number, zone in enumerate(self.list_zones):
            listed = ["2.0.0.127", *(reverse(it) for it in self.listed(number))]
            yield (
                f"{zone}.",
                _head(f"{zone}.", 300)
                + "".join(f'{it}.{zone}. A 127.0.0.2\n{it}.{zone}. TXT "see https://{zone}/"\n' for it in listed),
            )

    def _of_domains(self) -> Iterator[str]:
        key = " ".join(f'"{text}"' for text in _pieces(f"v=DKIM1; k=rsa; p={self._key}"))
        for number in range(INCLUDES):
            yield f'_spf{number}.bench-provider.net. TXT "v=spf1 ip4:11.0.0.0/8 -all"\n'
        for number in range(self.addresses):
            yield f"out{number}.bench-provider.net. A {address(number)}\n"
        for number in range(self.domains):
            name = f"bench-d{number}.net."
            yield (
                f"{name} MX 10 mx1.{name}\n{name} MX 20 mx2.{name}\nmx1.{name} A 20.0.0.1\nmx2.{name} A 20.0.0.2\n"
                f'{name} TXT "v=spf1 include:_spf{number % INCLUDES}.bench-provider.net -all"\n'
                f'_dmarc.{name} TXT "v=DMARC1; p=reject; rua=mailto:dmarc@{name[:-1]}"\n'
                f"s1._domainkey.{name} TXT {key}\n"
                f'_smtp._tls.{name} TXT "v=TLSRPTv1; rua=mailto:tls@{name[:-1]}"\n'
            )


def _head(zone: str, ttl: int) -> str:
    return f"$TTL {ttl}\n{zone} SOA ns.test. hostmaster.test. 1 3600 600 86400 {ttl}\n{zone} NS ns.test.\n"


def _pieces(text: str) -> list[str]:
    return [text[at : at + 255] for at in range(0, len(text), 255)]


def knot(lab: Lab, zones: Zones, name: str = "knot") -> Endpoint:
    """One authority for all of it. It says that nothing else exists."""
    at, home = free(), lab.folder(name)
    served = []
    for number, (zone, text) in enumerate(zones.texts()):
        path = lab.write(f"{name}/{number}.zone", text)
        served.append(f'  - domain: "{zone}"\n    file: "{path}"\n')
    config = lab.write(
        f"{name}.conf",
        f"""server:
    rundir: "{home}"
    listen: {at.host}@{at.port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: warning
database:
    storage: "{home}"
template:
  - id: default
    storage: "{home}"
    zonefile-sync: -1
    journal-content: none
zone:
{"".join(served)}""",
    )
    ready = ("bench-d0.net", "MX") if zones.domains else ("2.0.0.127." + zones.list_zones[-1], "A")
    lab.start(name, [*pinned(SERVERS_CORE), "knotd", "-c", config], lambda: answers(at, *ready), within=60)
    return at


def rbldnsd(lab: Lab, zones: Zones, name: str = "rbldnsd", *, silent: Sequence[int] = ()) -> Endpoint:
    """The lists alone. To questions about the `silent` ones no answer comes."""
    at, home = free(), lab.folder(name)
    served = []
    for number, zone in enumerate(zones.list_zones):
        listed = "".join(f"{address(it)}\n" for it in zones.listed(number))
        lab.write(
            f"{name}/{zone}.ip4set",
            f"$SOA 300 ns.test hostmaster.test 1 3600 600 86400 300\n$NS 300 ns.test\n"
            f":127.0.0.2:see https://{zone}/\n127.0.0.2\n{listed}",
        )
        served.append(f"{zone}:ip4set:{zone}.ip4set")
        if number in silent:
            lab.write(f"{name}/{zone}.acl", "127.0.0.0/8 :ignore\n")
            served.append(f"{zone}:acl:{zone}.acl")
    who = ["-u", "nobody"] if os.geteuid() == 0 else []
    command = ["rbldnsd", "-n", *who, "-w", str(home), "-b", f"{at.host}/{at.port}", *served]
    asked = next(zone for number, zone in enumerate(zones.list_zones) if number not in silent)
    lab.start(name, [*pinned(SERVERS_CORE), *command], lambda: answers(at, f"2.0.0.127.{asked}", "A"), within=60)
    return at


def unbound(
    lab: Lab, server: Endpoint, name: str, *, silent: Sequence[str] = (), core: int = SERVERS_CORE, ready: str = _HOST
) -> Endpoint:
    """A resolver that asks the server for all zones of ours. To questions about the `silent` ones no answer comes."""
    at, home = free(), lab.folder(name)
    dropped = "".join(f'  local-zone: "{it}." deny\n' for it in silent)
    stubs = "".join(f'stub-zone:\n  name: "{it}"\n  stub-addr: {server.host}@{server.port}\n' for it in _STUBS)
    config = lab.write(
        f"{name}.conf",
        f"""server:
  interface: {at.host}@{at.port}
  outgoing-interface: 127.0.0.1
  username: ""
  chroot: ""
  directory: "{home}"
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  do-not-query-localhost: no
  do-ip6: no
  num-threads: 1
  module-config: "iterator"
  local-zone: "test." nodefault
{dropped}remote-control:
  control-enable: no
{stubs}""",
    )
    command = [*pinned(core), "unbound", "-d", "-c", str(config)]
    lab.start(name, command, lambda: answers(at, ready, "A"), within=60)
    return at


def silent_server() -> socket.socket:
    """A name server that takes questions and never answers."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    return sock


def answers(endpoint: Endpoint, qname: str, qtype: str) -> bool:
    """Does it say that this exists?"""
    query = dns.message.make_query(qname, qtype)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(0.1)
        try:
            asker.connect(endpoint)
            asker.send(query.to_wire())
            response = dns.message.from_wire(asker.recv(4096))
        except (OSError, dns.exception.DNSException):
            return False
    return response.id == query.id and response.rcode() == dns.rcode.NOERROR
