"""Settings of mail servers: the right name where it is known, and lines that the server itself understands."""

from __future__ import annotations

import re
import shutil
import subprocess
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from exporter.demo.nameserver import ZoneData
from exporter.engine import catalogue
from exporter.engine.evaluate import evaluate
from exporter.engine.held import Held
from exporter.net import Net
from exporter.remedies import HOST, Remedy
from exporter.targets import Greeting
from tests.support.clock import FakeClock
from tests.support.memory import MemoryResolver

KNOWN = "10.2.0.192.in-addr.arpa. PTR mail.example.com.\nmail.example.com. A 192.0.2.10\n"
ELSEWHERE = "10.2.0.192.in-addr.arpa. PTR mail.example.com.\nmail.example.com. A 192.0.2.99\n"
MADE_UP = "10.2.0.192.in-addr.arpa. PTR 192-0-2-10.dsl.example.net.\n192-0-2-10.dsl.example.net. A 192.0.2.10\n"
UNKNOWN = "; servfail: 10.2.0.192.in-addr.arpa. PTR\n"


async def proposed(helo: str, world: str) -> Remedy:
    clock, dns = FakeClock(), MemoryResolver(ZoneData(world))
    target = Greeting(sender="out", ip=ip_address("192.0.2.10"), helo=helo)
    outcome = await evaluate(catalogue.load().checks["helo"], target, lambda: Net(dns, clock), clock)
    assert outcome.doubt is None
    first = outcome.findings[0]
    return first.rule.remedy_of([first], Held([]))


def lines(remedy: Remedy) -> dict[str, str]:
    return {it.server: "\n".join(it.lines) for it in remedy.settings}


@pytest.mark.parametrize(
    ("helo", "world", "name"),
    [
        ("localhost", KNOWN, "mail.example.com"),
        ("mx.outlook.com", KNOWN, "mail.example.com"),
        ("[127.0.0.1]", KNOWN, "mail.example.com"),
        ("out.example.com.", KNOWN, "out.example.com"),  # what was meant is known
        ("localhost", ELSEWHERE, HOST),
        ("localhost", MADE_UP, HOST),
        ("localhost", UNKNOWN, HOST),
        ("localhost", "", HOST),
    ],
)
async def test_the_name_to_say_is_that_of_the_address_if_it_leads_back(helo: str, world: str, name: str) -> None:
    told = lines(await proposed(helo, world))
    assert told == {
        "Postfix": f"postconf -e 'smtp_helo_name = {name}' && postfix reload",
        "Exim": f"primary_hostname = {name}",
        "Exchange": f"Set-SendConnector -Identity 'YOUR-CONNECTOR' -Fqdn {name}",
    }


@pytest.mark.parametrize("rule", ["helo.local-name", "smtp_tls.no-starttls", "smtp_tls.obsolete-only"])
def test_postfix_takes_the_line_and_has_the_setting_then(rule: str, tmp_path: Path) -> None:
    postconf = shutil.which("postconf", path="/usr/sbin:/usr/bin")
    if postconf is None:
        pytest.skip("there is no Postfix here")
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\n")
    (tmp_path / "master.cf").write_text("")
    declared = catalogue.load().rules[rule]
    evidence: dict[str, Any] = dict.fromkeys(declared.fields, "mail.example.com")
    finding = declared(**evidence)
    line = lines(declared.remedy_of([finding], Held([])))["Postfix"].partition(" && ")[0]
    told = line.replace("postconf", f"{postconf} -c {tmp_path}", 1)
    subprocess.run(["/bin/sh", "-c", told], check=True, timeout=30)
    wanted = re.findall("'([a-z_]+) = ([^']+)'", line)
    shown = subprocess.run(
        [postconf, "-c", str(tmp_path), *(name for name, _ in wanted)],
        check=True,
        timeout=30,
        capture_output=True,
        text=True,
    )
    assert wanted
    assert shown.stdout == "".join(f"{name} = {value}\n" for name, value in wanted)
    assert not shown.stderr, "an unknown name is a warning"


async def test_machines_with_names_of_their_own_get_a_blank() -> None:
    rule = catalogue.load().rules["helo.local-name"]
    findings = [rule(helo="localhost", detail="localhost", plain=f"out{number}.example.com") for number in range(3)]
    assert lines(rule.remedy_of(findings, Held([])))["Exim"] == f"primary_hostname = {HOST}"
