"""The three name servers: nsd has zones, rbldnsd has blocklists, unbound asks both and validates."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import dns.exception
import dns.message
import dns.name
import dns.rcode

from tests.lab.internet.namespace import Namespace
from tests.lab.process import Endpoint, Lab, free, need
from tests.lab.zones import SignedZone


def nsd(
    lab: Lab,
    zones: Iterable[SignedZone],
    name: str = "nsd",
    *,
    at: Sequence[Endpoint] = (),
    inside: Namespace | None = None,
) -> Endpoint:
    """An authority for these zones; it refuses questions about any other. It is `at` all these, the first on loopback,
    or at a free port."""
    need("nsd")
    at, home, zones = at or [free()], lab.folder(name), list(zones)
    for zone in zones:
        lab.write(f"{name}/{zone.origin}.zone", zone.text)
    listens = "\n  ".join(f"ip-address: {_at(it)}" for it in at)
    config = lab.write(
        f"{name}.conf",
        f"""server:
  {listens}
  username: ""
  chroot: ""
  zonesdir: "{home}"
  database: ""
  pidfile: "{home}/nsd.pid"
  xfrdfile: "{home}/xfrd.state"
  zonelistfile: "{home}/zone.list"
  xfrdir: "{home}"
  server-count: 1
remote-control:
  control-enable: no
"""
        + "".join(f'zone:\n  name: "{zone.origin}"\n  zonefile: "{zone.origin}.zone"\n' for zone in zones),
    )
    _start(lab, name, ["nsd", "-d", "-c", config], _answers(at[0], zones[0].origin, "SOA"), inside)
    return at[0]


def rbldnsd(lab: Lab, lists: Mapping[str, Mapping[str, str]], name: str = "rbldnsd") -> Endpoint:
    """Blocklists by zone: each has data sets, text by type (`ip4set`, `ip6trie`, `dnset`, `generic`, `acl`)."""
    need("rbldnsd")
    endpoint, home = free(), lab.folder(name)
    served = []
    for zone, data in lists.items():
        for kind, text in data.items():
            lab.write(f"{name}/{zone}.{kind}", text)
            served.append(f"{zone}:{kind}:{zone}.{kind}")
    who = ["-u", "nobody"] if os.geteuid() == 0 else []
    command: list[str | Path] = ["rbldnsd", "-n", *who, "-w", home, "-b", f"{endpoint.host}/{endpoint.port}", *served]
    lab.start(name, command, _answers(endpoint, next(iter(lists)), "SOA"))
    return endpoint


def unbound(
    lab: Lab,
    stubs: Mapping[str, Endpoint],
    zones: Iterable[SignedZone] = (),
    name: str = "unbound",
    *,
    at: Endpoint | None = None,
) -> Endpoint:
    """A validating resolver. It asks each stub's server for the names below it, trusts the keys of the signed `zones`,
    and knows nothing else: NXDOMAIN for the rest of the world, and no packet leaves loopback. `at` is a free port."""
    need("unbound")
    endpoint, home = at or free(), lab.folder(name)
    config = lab.write(
        f"{name}.conf",
        f"""server:
  interface: {_at(endpoint)}
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
  module-config: "validator iterator"
  edns-buffer-size: 1232
  max-udp-size: 1232
  infra-cache-min-rtt: 50
  val-log-level: 1
  ede: yes
  local-zone: "." static
"""
        + "".join(f'  local-zone: "{stub}" transparent\n' for stub in stubs)
        + "".join(f'  trust-anchor: "{zone.anchor}"\n' for zone in zones if zone.anchor)
        + "remote-control:\n  control-enable: no\n"
        + "".join(f'stub-zone:\n  name: "{stub}"\n  stub-addr: {_at(server)}\n' for stub, server in stubs.items()),
    )
    lab.start(name, ["unbound", "-d", "-c", config], _answers(endpoint, "elsewhere.invalid", "A"))
    return endpoint


def recursor(
    lab: Lab, root: SignedZone, root_server: str, at: Endpoint, inside: Namespace, name: str = "unbound"
) -> None:
    """A validating resolver as on the Internet: it knows the address of a root server and the root's key, no more."""
    need("unbound")
    home, server = lab.folder(name), "root-server.invalid."
    hints = lab.write(f"{name}/hints", f". NS {server}\n{server} A {root_server}\n")
    config = lab.write(
        f"{name}.conf",
        f"""server:
  interface: {_at(at)}
  username: ""
  chroot: ""
  directory: "{home}"
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  num-threads: 1
  module-config: "validator iterator"
  val-log-level: 1
  ede: yes
  root-hints: "{hints}"
  trust-anchor: "{root.anchor}"
  unblock-lan-zones: yes
  local-zone: "test." nodefault
remote-control:
  control-enable: no
""",
    )
    _start(lab, name, ["unbound", "-d", "-c", config], _answers(at, ".", "NS"), inside)


def _start(lab: Lab, name: str, command: list[str | Path], ready: Callable[[], bool], inside: Namespace | None) -> None:
    if inside:
        lab.start(name, inside.enter(command), lambda: inside.run(ready))
    else:
        lab.start(name, command, ready)


def _at(endpoint: Endpoint) -> str:
    return f"{endpoint.host}@{endpoint.port}"


def _answers(endpoint: Endpoint, qname: str, qtype: str) -> Callable[[], bool]:
    """Ready: anything but silence and SERVFAIL. A connected socket hears of a closed port at once, without waiting."""
    query = dns.message.make_query(dns.name.from_text(qname), qtype)

    def ready() -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.settimeout(0.05)
            try:
                asker.connect(endpoint)
                asker.send(query.to_wire())
                response = dns.message.from_wire(asker.recv(4096))
            except (OSError, dns.exception.DNSException):
                return False
        return response.id == query.id and response.rcode() != dns.rcode.SERVFAIL

    return ready
