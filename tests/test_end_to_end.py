"""The real process over real sockets: it serves, reloads whole or not at all, remembers, and ends in order."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exporter.demo.nameserver import NameServer, ZoneData
from tests.support.daemon import Sample, Scrape, daemon

pytestmark = pytest.mark.long

ZONE = """
$TTL 1
; signed: com. NS
com.                      NS   a.gtld.com.
example.com.              MX   10 mx.example.com.
example.com.              TXT  "v=spf1 ip4:192.0.2.10 -all"
_dmarc.example.com.       TXT  "v=DMARC1; p=reject; rua=mailto:d@example.com"
mx.example.com.           A    192.0.2.25
mail.example.com.         A    192.0.2.10
10.2.0.192.in-addr.arpa.  PTR  mail.example.com.
example.net.              TXT  "v=spf1 ip4:192.0.2.99 -all"
example.net.              MX   10 mx.example.com.
_dmarc.example.net.       TXT  "v=DMARC1; p=reject; rua=mailto:d@example.net"
"""
CONFIG = """
resolver: {{nameservers: ["127.0.0.1:{port}"], timeout: 1s}}
checks: {{smtp_tls: {{enabled: false}}, registration: {{enabled: false}}, zone: {{enabled: false}}}}
schedule: {{default: 2s}}
blocklists: []
senders: [{{name: out, addresses: [192.0.2.10], helo: mail.example.com}}]
domains:
  - {{name: example.com, senders: [out]}}
"""
MORE = "  - {name: example.net, senders: [out]}\n"


@pytest.fixture
async def nameserver() -> AsyncIterator[NameServer]:
    server = NameServer(ZoneData(ZONE))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def config(tmp_path: Path, nameserver: NameServer) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.format(port=nameserver.address[1]))
    return path


async def test_a_config_goes_in_and_truthful_gauges_come_out(config: Path) -> None:
    letters = config.read_text().replace("senders: [out]", "senders: [out, {name: letters, mail_from: theirs}]")
    config.write_text(letters.replace("senders: [{", "senders: [{name: letters}, {"))
    async with daemon(f"--config.file={config}") as running:
        scrape = await running.settled()
        assert scrape.value("deliverability_check_ok", check="spf", domain="example.com") == 1
        assert scrape.value("deliverability_check_ok", check="ptr", ip="192.0.2.10") == 1
        assert scrape.value("deliverability_mx_hosts", domain="example.com") == 1
        assert scrape.value("deliverability_sender_info", sender="out", helo="mail.example.com") == 1
        senders = scrape.all("deliverability_domain_sender_info", domain="example.com")
        assert {sample.labels["sender"] for sample in senders} == {"out", "letters"}
        assert scrape.value("deliverability_check_interval_seconds", check="spf") == 2
        assert scrape.value("deliverability_targets", kind="domain") == 1
        assert scrape.value("deliverability_checks", check="spf", status="pass") == 1
        assert scrape.value("deliverability_exporter_overdue_targets", check="spf") == 0
        now = scrape.value("deliverability_exporter_time_seconds")
        oldest = scrape.value("deliverability_exporter_oldest_run_timestamp_seconds", check="spf")
        assert now
        assert oldest
        assert 0 <= now - oldest < 10
        assert not scrape.all("deliverability_exporter_state_writable"), "there is no state file"
        assert scrape.value("deliverability_exporter_config_last_reload_successful") == 1
        assert (await running.get("/-/ready"))[0] == 200
        assert (await running.get("/-/healthy"))[0] == 200
        assert (await running.get("/-/reload", "POST"))[0] == 403
        began = time.monotonic()
        assert await running.stop() == 0
        assert time.monotonic() - began < 5
        assert not [line for line in running.log if "level=error" in line]


async def test_what_receivers_demand_follows_the_verdicts_that_it_rests_on(config: Path) -> None:
    """Within seconds, although that check itself looks every five minutes only."""
    config.write_text(config.read_text() + MORE)
    async with daemon(f"--config.file={config}", "--log.level=debug") as running:
        scrape = await running.settled()
        unmet = {"microsoft": 1, "gmail": 1}
        assert {
            s.labels["receiver"]: s.value for s in scrape.all("deliverability_receiver_unmet", domain="example.net")
        } == unmet
        assert scrape.findings(check="receiver", domain="example.net") == {
            "receiver.microsoft-spf",
            "receiver.gmail-spf-fail",
        }
        assert scrape.value("deliverability_check_ok", check="receiver", domain="example.com") == 1
        assert not scrape.all("deliverability_receiver_unmet", domain="example.com")
        assert "requirement fails" in (await running.get("/receivers/gmail/example.net"))[1]
        began = 'msg="finding began" check=receiver domain=example.net finding=receiver.gmail-spf-fail severity=warning'
        (line,) = [line for line in running.log if began in line]
        assert "level=info" in line
        assert [line for line in running.log if "level=debug" in line and 'msg="run ended" check=receiver' in line]


async def test_sighup_reloads_all_or_nothing_and_a_metric_tells(config: Path) -> None:
    async with daemon(f"--config.file={config}") as running:
        before = await running.settled()
        good = config.read_text()
        config.write_text(good + MORE + "  - {name: example.org, sender: [out]}\n")
        running.process.send_signal(signal.SIGHUP)
        failed = await running.until(
            lambda s: s.value("deliverability_exporter_config_last_reload_successful") == 0, "the failed reload"
        )
        assert not failed.all("deliverability_check_unknown", domain="example.net"), "nothing of it came in"
        assert failed.value("deliverability_exporter_config_hash_info") == 1
        old = before.all("deliverability_exporter_config_hash_info")[0].labels
        assert failed.all("deliverability_exporter_config_hash_info")[0].labels == old
        assert "the old one is in force" in (await running.get("/"))[1]

        config.write_text(good + MORE)
        running.process.send_signal(signal.SIGHUP)
        after = await running.until(
            lambda s: s.value("deliverability_check_ok", check="spf_sender", domain="example.net") is not None,
            "the verdict of the new domain",
        )
        assert after.value("deliverability_exporter_config_last_reload_successful") == 1
        assert after.findings(check="spf_sender", domain="example.net") == {"spf_sender.not-authorised"}

        config.write_text(good)
        running.process.send_signal(signal.SIGHUP)
        await running.until(lambda s: not s.all("deliverability_check_ok", domain="example.net"), "its end")


async def test_reload_over_http_answers_with_every_problem(config: Path) -> None:
    async with daemon(f"--config.file={config}", "--web.enable-lifecycle") as running:
        await running.settled()
        good = config.read_text()
        config.write_text(good.replace("timeout: 1s", "timeout: soon") + "  - {nome: x}\n")
        status, body = await running.get("/-/reload", "POST")
        assert status == 500
        assert "resolver.timeout" in body
        assert "domains[1]" in body
        config.write_text(good)
        assert (await running.get("/-/reload", "POST"))[0] == 200


async def test_when_the_resolver_goes_no_verdict_moves_and_unknown_says_why(
    config: Path, nameserver: NameServer
) -> None:
    async with daemon(f"--config.file={config}") as running:
        before = await running.settled()
        port = nameserver.address[1]
        await nameserver.stop()
        reasons = {"dns_timeout", "network"}
        after = await running.until(
            lambda s: {r.labels["check"] for r in s.all("deliverability_check_unknown_reason")} >= {"ptr", "mx", "spf"},
            "unknown",
        )
        assert {r.labels["reason"] for r in after.all("deliverability_check_unknown_reason")} <= reasons

        def verdicts(scrape: Scrape) -> list[Sample]:
            return sorted(scrape.all("deliverability_check_ok"), key=str)

        assert verdicts(after) == verdicts(before)
        back = NameServer(ZoneData(ZONE))
        await back.start(port=port)
        await running.until(lambda s: not s.all("deliverability_check_unknown_reason"), "recovery")
        await back.stop()


async def test_after_a_restart_verdicts_are_served_as_saved_before_anything_runs(
    config: Path, nameserver: NameServer, tmp_path: Path
) -> None:
    config.write_text(config.read_text().replace("default: 2s", "default: 1h") + MORE)
    flags = (f"--config.file={config}", f"--storage.path={tmp_path / 'state'}")
    async with daemon(*flags) as running:
        before = await running.settled()
        size, saved = (f"deliverability_exporter_state_{what}" for what in ("size_bytes", "saved_timestamp_seconds"))
        written = await running.until(lambda s: s.value(saved), "a write")
        assert (written.value(size) or 0) >= 4096
        assert 0 <= (written.value("deliverability_exporter_time_seconds") or 0) - (written.value(saved) or 0) < 20
        assert await running.stop() == 0
    asked = len(nameserver.asked)
    async with daemon(*flags) as running:
        after = await running.scrape()
        kept = (
            "deliverability_check_ok",
            "deliverability_finding",
            "deliverability_finding_since_timestamp_seconds",
            "deliverability_check_last_conclusive_timestamp_seconds",
            "deliverability_spf_dns_lookups",
        )
        for name in kept:
            assert sorted(after.all(name), key=str) == sorted(before.all(name), key=str)
        assert after.value("deliverability_exporter_state_writable") == 1
        assert len(nameserver.asked) == asked, "what has a fresh verdict is not asked again"


async def test_a_bad_config_ends_the_start_with_every_problem_and_exit_64(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("domains: [{name: example.com, sender: [x]}]\nresolvr: {}\n")
    for more in ([], ["--config.check"]):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "exporter", f"--config.file={path}", *more, stderr=asyncio.subprocess.PIPE
        )
        _, told = await process.communicate()
        assert process.returncode == 64
        assert f"{path}:1 domains[0]" in told.decode()
        assert f"{path}:2" in told.decode()
        assert "Traceback" not in told.decode()
