"""Other programs for parts of the same work, pinned to the core on which the exporter is measured.

checkdmarc and pyspf get an environment of their own, `.venv/peers`; blackbox_exporter and dnsperf are Debian packages.
A peer that is not installed gives None.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from bench.daemon import HOME, cpu_of
from bench.world import OWN_CORE, SERVERS_CORE, pinned, unbound
from tests.lab.process import Endpoint, Lab, accepts, free

_PEERS = HOME / ".venv" / "peers"
_PACKAGES = ("checkdmarc==6.0.4", "pyspf==2.0.14")
_ASKERS = 8
_BLACKBOX = "prometheus-blackbox-exporter"


def blackbox(lab: Lab, server: Endpoint, name: str, qtype: str, probes: int) -> float | None:
    """Microseconds of CPU for one probe of one question."""
    if not shutil.which(_BLACKBOX):
        return None
    at = free()
    config = lab.write(
        "blackbox.yaml",
        "modules:\n  dns:\n    prober: dns\n    dns:\n"
        f"      query_name: {name}\n      query_type: {qtype}\n      preferred_ip_protocol: ip4\n"
        "      valid_rcodes: [NOERROR, NXDOMAIN]\n",
    )
    command = [*pinned(OWN_CORE), _BLACKBOX, f"--config.file={config}", f"--web.listen-address={at}"]
    process = lab.start("blackbox", [*command, "--log.level=error"], lambda: accepts(at))
    try:
        before = cpu_of(process.pid)
        with ThreadPoolExecutor(_ASKERS) as askers:
            good = sum(askers.map(lambda _: _probes(at, server, probes // _ASKERS), range(_ASKERS)))
        assert good == probes // _ASKERS * _ASKERS, f"{good} of {probes} probes went well"
        return (cpu_of(process.pid) - before) / good * 1e6
    finally:
        lab.stop("blackbox")


def _probes(at: Endpoint, server: Endpoint, number: int) -> int:
    connection = http.client.HTTPConnection(at.host, at.port)
    good = 0
    for _ in range(number):
        connection.request("GET", f"/probe?module=dns&target={server}")
        good += b"probe_success 1" in connection.getresponse().read()
    connection.close()
    return good


def dnsperf(lab: Lab, server: Endpoint, questions: list[str], seconds: float) -> float | None:
    """Microseconds of CPU for a question of a client in C, as fast as it can: the limit."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    answered = _dnsperf(lab, server, questions, OWN_CORE, "-l", str(seconds))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cost = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return cost / answered * 1e6 if answered else None


def resolver(lab: Lab, server: Endpoint, questions: list[str], asked: str) -> float | None:
    """Microseconds of CPU of unbound for a question whose answer it has to fetch from the server."""
    if not shutil.which("unbound"):
        return None
    at = unbound(lab, server, "resolver", core=OWN_CORE, ready=asked)
    before = cpu_of(lab.pid("resolver"))
    answered = _dnsperf(lab, at, questions, SERVERS_CORE, "-n", "1")
    cost = cpu_of(lab.pid("resolver")) - before
    lab.stop("resolver")
    return cost / answered * 1e6 if answered else None


def _dnsperf(lab: Lab, server: Endpoint, questions: list[str], core: int, *how: str) -> int | None:
    """How many were answered."""
    if not shutil.which("dnsperf"):
        return None
    path = lab.write("questions", "\n".join(questions) + "\n")
    command = ["dnsperf", "-s", server.host, "-p", str(server.port), "-d", str(path), "-c", "1", "-q", "100", *how]
    told = subprocess.run([*pinned(core), *command], capture_output=True, text=True, check=True).stdout
    found = re.search(r"Queries completed:\s+(\d+)", told)
    assert found, told
    return int(found[1])


def checkdmarc(server: Endpoint, domains: list[str]) -> float | None:
    """Milliseconds of CPU for SPF and DMARC of a domain."""
    return _in_python("checkdmarc", server, domains)


def pyspf(server: Endpoint, domains: list[str]) -> float | None:
    """Milliseconds of CPU for the SPF of one sender of a domain."""
    return _in_python("pyspf", server, domains)


def _in_python(what: str, server: Endpoint, domains: list[str]) -> float | None:
    if not (python := _environment()):
        return None
    asked = json.dumps([what, *server, domains])
    command = [*pinned(OWN_CORE), str(python), str(Path(__file__).with_name("peers_in_python.py"))]
    told = subprocess.run(command, input=asked, capture_output=True, text=True, check=True).stdout
    return float(told) * 1e3


@cache
def _environment() -> Path | None:
    python = _PEERS / "bin" / "python"
    made = _PEERS / "made"
    if not made.exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", str(_PEERS)], check=True, capture_output=True)
            install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *_PACKAGES]
            subprocess.run(install, check=True, capture_output=True, env=os.environ)
        except subprocess.CalledProcessError as error:
            print(f"checkdmarc and pyspf cannot be installed: {error.stderr.decode(errors='replace')[-300:]}")
            return None
        made.touch()
    return python
