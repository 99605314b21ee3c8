"""The resolver of deploy/: with its own configuration unbound validates, hides nothing and lets blocklists speak."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exporter.clock import SystemClock
from exporter.mail.dns import Question, Status
from exporter.net.dns.resolver import Resolver
from tests.lab import nameservers
from tests.lab.process import Lab, accepts, free
from tests.lab.zones import Signing, zone

pytestmark = pytest.mark.lab

SHIPPED = Path(__file__).parents[2] / "deploy" / "unbound" / "unbound.conf"


@pytest.fixture(scope="module")
def configuration(lab: Lab) -> Path:
    """The shipped one, at work: only its places are of the lab, and what it would ask the root for is here."""
    zones = [zone("good.test", '@ TXT "v=spf1 -all"', Signing.GOOD), zone("bogus.test", '@ TXT "x"', Signing.BOGUS)]
    authority = nameservers.nsd(lab, zones)
    lists = nameservers.rbldnsd(lab, {"bl.test": {"ip4set": ":127.0.0.2:See bl.test $\n127.0.0.2\n"}})
    stubs = {it.origin: authority for it in zones} | {"bl.test": lists}
    anchors = lab.write("root.key", "".join(f"{it.anchor}\n" for it in zones))
    at = free()
    text = SHIPPED.read_text()
    for shipped, ours in {
        "127.0.0.1@5335": f"{at.host}@{at.port}",
        "/usr/share/dns/root.key": str(anchors),
        "/run/unbound": str(lab.home),
    }.items():
        assert text.count(shipped) == 1
        text = text.replace(shipped, ours)
    text += 'server:\n  do-not-query-localhost: no\n  outgoing-interface: 127.0.0.1\n  local-zone: "." static\n'
    text += "".join(f'  local-zone: "{name}" transparent\n' for name in stubs)
    text += "".join(f'stub-zone:\n  name: "{name}"\n  stub-addr: {it.host}@{it.port}\n' for name, it in stubs.items())
    config = lab.write("deployed.conf", text)
    lab.start("deployed", ["unbound", "-d", "-c", config], lambda: accepts(at))
    lab.write("deployed.port", str(at.port))
    return config


@pytest.fixture
async def resolver(configuration: Path) -> AsyncIterator[Resolver]:
    port = int(configuration.with_suffix(".port").read_text())
    it = Resolver([("127.0.0.1", port)], SystemClock(), timeout=5)
    await it.start()
    yield it
    await it.close()


@pytest.mark.parametrize(
    ("name", "rdtype", "status", "authenticated"),
    [
        ("good.test", "TXT", Status.ANSWER, True),
        ("absent.good.test", "TXT", Status.NXDOMAIN, True),
        ("bogus.test", "TXT", Status.BOGUS, False),
        ("2.0.0.127.bl.test", "A", Status.ANSWER, False),
        ("1.0.0.127.bl.test", "A", Status.NXDOMAIN, False),
    ],
)
async def test_what_it_answers(resolver: Resolver, name: str, rdtype: str, status: Status, authenticated: bool) -> None:
    reply = await resolver.ask(Question(name, rdtype))
    assert (reply.status, reply.authenticated) == (status, authenticated), reply
    assert bool(reply.extended_errors) >= (status is Status.BOGUS), "it should say why"


def test_its_health_check_finds_it_well(configuration: Path) -> None:
    command = ["/usr/sbin/unbound-control", "-c", str(configuration), "status"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 0, done.stderr
