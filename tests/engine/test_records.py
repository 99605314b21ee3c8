"""When a record changes, what it was and what it is are kept with the time, through doubt and restarts."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.check_state import CHANGES_KEPT, CheckState, FindingPolicy, RecordChange
from exporter.demo.nameserver import NameServer, ZoneData
from exporter.engine import catalogue
from exporter.engine.evaluate import evaluate
from exporter.engine.state_file import StateFile
from exporter.engine.store import Store
from exporter.facts import RECORD_LIMIT, Reason, Record
from exporter.model import Check
from exporter.net import Net
from exporter.net.interfaces import CheckStates
from exporter.views import metrics
from exporter.views.fleet.selection import Selection
from exporter.views.site import Site
from tests.support.checks import EXAMPLE, SAMPLE, cannot, outcome, scripted
from tests.support.clock import FakeClock
from tests.support.daemon import Scrape, daemon
from tests.support.memory import MemoryResolver

NAME = "_dmarc.example.com TXT"
NONE, REJECT = "v=DMARC1; p=none", "v=DMARC1; p=reject"
CHANGED = "deliverability_record_changed_timestamp_seconds"


def record(*texts: str | bytes, name: str = NAME) -> Record:
    return Record.of(name, texts)


def held(*runs: object) -> CheckState:
    now = CheckState(SAMPLE, EXAMPLE)
    for run in runs:
        now = now.after(run).confirmed(float("inf"))  # type: ignore[arg-type]  # outcomes, spelled shortly
    return now


def changed(now: CheckState) -> float:
    """0: there is no such series."""
    lines = dict(metrics.lines(now, FindingPolicy(), 9999))
    return float(lines[CHANGED].split()[-1]) if CHANGED in lines else 0.0


def test_the_order_of_answers_is_no_change() -> None:
    assert record("a", "b") == record("b", "a")
    assert record("ab") != record("a", "b")
    assert record() != record("")


def test_a_change_beyond_what_is_shown_is_seen() -> None:
    long = "x" * (2 * RECORD_LIMIT)
    one, two = record(f"{long}1"), record(f"{long}2")
    assert one.texts == two.texts
    assert len(one.texts[0]) == RECORD_LIMIT + 1
    now = held(outcome(one, at=1000), outcome(two, at=2000))
    assert now.changed == 2000


def test_hostile_octets_are_shown_harmlessly() -> None:
    (text,) = record(b"\x1b[2J\xff\x00").texts
    assert text.isprintable()


def test_first_sight_is_no_change() -> None:
    now = held(outcome(record(NONE), at=1000), outcome(record(NONE), at=2000))
    (it,) = now.records
    assert (it.since, it.changes) == (1000, ())
    assert changed(now) == 0


def test_a_change_is_kept_with_before_after_and_the_time() -> None:
    now = held(outcome(record(NONE), at=1000), outcome(record(REJECT), at=2000), outcome(record(REJECT), at=3000))
    (it,) = now.records
    assert it.changes == (RecordChange((NONE,), (REJECT,), 2000),)
    assert it.since == 2000
    assert changed(now) == 2000


def test_vanishing_and_coming_back_are_changes() -> None:
    now = held(outcome(record(NONE), at=1000), outcome(record(), at=2000), outcome(record(NONE), at=3000))
    assert now.records[0].changes == (RecordChange((), (NONE,), 3000), RecordChange((NONE,), (), 2000))


def test_no_answer_is_no_change() -> None:
    now = held(
        outcome(record(NONE), at=1000), outcome(doubt=Reason.DNS_SERVFAIL, at=2000), outcome(record(NONE), at=3000)
    )
    (it,) = now.records
    assert (it.since, it.changes) == (1000, ())


def test_what_was_answered_before_a_run_broke_off_counts() -> None:
    other = record("10 mx.example.com", name="example.com MX")
    now = held(outcome(record(NONE), other, at=1000), outcome(record(REJECT), doubt=Reason.DNS_TIMEOUT, at=2000))
    assert {it.record.name: len(it.changes) for it in now.records} == {NAME: 1, "example.com MX": 0}


def test_a_record_that_is_looked_at_no_more_is_forgotten() -> None:
    """A MAIL FROM domain that has left the configuration."""
    other = record("10 mx.example.com", name="example.com MX")
    now = held(outcome(record(NONE), other, at=1000), outcome(other, at=2000))
    assert [it.record.name for it in now.records] == ["example.com MX"]


def test_a_record_that_flaps_keeps_its_latest_changes_only() -> None:
    now = held(*(outcome(record(NONE if n % 2 else REJECT), at=1000 + n) for n in range(20)))
    (it,) = now.records
    assert [change.at for change in it.changes] == [1019 - n for n in range(CHANGES_KEPT)]


async def test_a_check_sees_its_own_past() -> None:
    clock, dns = FakeClock(), MemoryResolver(ZoneData(""))
    now = held(outcome(record(NONE), at=1000))

    class Holding:
        def get(self, check: str, target: str) -> CheckState | None:
            return now if (check, target) == now.key else None

    def view(check: Check, states: CheckStates | None) -> Net:
        net = Net(dns, clock, states=states)
        net.serve(check)
        return net

    remembered = view(SAMPLE, Holding()).remembered(EXAMPLE, NAME)
    assert remembered is not None
    assert remembered.since == 1000
    assert view(SAMPLE, Holding()).remembered(EXAMPLE, "another") is None
    assert view(replace(SAMPLE, id="another"), Holding()).remembered(EXAMPLE, NAME) is None
    assert view(SAMPLE, None).remembered(EXAMPLE, NAME) is None


async def test_the_engine_hands_on_what_was_recorded_before_the_doubt() -> None:
    check = scripted(lambda: [record(NONE), record(REJECT), cannot()])
    clock = FakeClock()
    made = await evaluate(check, EXAMPLE, lambda: Net(MemoryResolver(ZoneData("")), clock), clock)
    assert made.records == (record(REJECT),), "one name has one record, the last that was seen"
    assert made.doubt is not None


CATALOGUE = catalogue.load()
MX = CATALOGUE.checks["mx"]


async def test_changes_survive_a_restart(tmp_path: Path) -> None:
    before = CheckState(MX, EXAMPLE)
    for run in (outcome(record(NONE), at=1000), outcome(record(REJECT), at=2000)):
        before = before.after(run).confirmed(float("inf"))
    state = await StateFile.open(tmp_path / "state", CATALOGUE)
    state.save(before)
    await state.close()
    state = await StateFile.open(tmp_path / "state", CATALOGUE)
    after = state.recall(CheckState(MX, EXAMPLE))
    await state.close()
    assert after.records == before.records


async def test_a_state_file_from_before_records_is_read(tmp_path: Path) -> None:
    path = tmp_path / "state"
    state = await StateFile.open(path, CATALOGUE)
    state.save(CheckState(MX, EXAMPLE).after(outcome(at=1000)))
    await state.close()
    with closing(sqlite3.connect(path)) as db, db:
        (body,) = db.execute("SELECT body FROM held").fetchone()
        older = json.dumps({key: value for key, value in json.loads(body).items() if key != "records"})
        db.execute("UPDATE held SET body = ?", (older,))
    state = await StateFile.open(path, CATALOGUE)
    after = state.recall(CheckState(MX, EXAMPLE))
    await state.close()
    assert after.records == ()
    assert after.last_conclusive == 1000


async def test_the_page_shows_before_and_after_with_the_time_and_nothing_of_it_is_markup() -> None:
    now = held(outcome(record("<b>old</b>"), at=1767225600), outcome(record(), at=1767312000))
    store, clock = Store(), FakeClock(wall=1767312060)
    store.hold(now.check, now.target, lambda _: now)
    pages = Site(store, CATALOGUE, clock, FindingPolicy, list).targets
    page = await pages.target("domain=example.com", Selection())
    assert "2026-01-02 00:00 UTC" in page
    assert "1 min ago" in page or "60 s ago" in page
    assert "&lt;b&gt;old&lt;/b&gt;" in page
    assert "<b>old" not in page
    assert "(no record)" in page


ZONE = """
$TTL 1
; signed: com. NS
com.                   NS   a.gtld.com.
example.com.           MX   10 mx.example.com.
example.com.           TXT  "v=spf1 ip4:192.0.2.10 -all"
example.com.           TXT  "some-verification=1"
_dmarc.example.com.    TXT  "v=DMARC1; p=reject; rua=mailto:d@example.com"
s1._domainkey.example.com. TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
mx.example.com.        A    192.0.2.25
mx2.example.com.       A    192.0.2.26
"""
CONFIG = """
resolver: {{nameservers: ["127.0.0.1:{port}"], timeout: 1s}}
checks: {{smtp_tls: {{enabled: false}}, registration: {{enabled: false}}, zone: {{enabled: false}}}}
schedule: {{default: 1s}}
blocklists: []
domains: [{{name: example.com, dkim_selectors: [s1]}}]
"""
EDITS = (
    ("10 mx.example.com", "10 mx2.example.com"),
    ("ip4:192.0.2.10", "ip4:192.0.2.11"),
    ("p=reject", "p=none"),
    ("11qYAYKx", "21qYAYKx"),
    ("verification=1", "verification=2"),
)
WATCHED = {"mx", "spf", "dmarc", "dkim"}


def moved(scrape: Scrape) -> set[str]:
    return {s.labels["check"] for s in scrape.all(CHANGED, domain="example.com") if s.value > 0}


@pytest.mark.long
async def test_the_real_process_tells_what_changed_and_remembers_it(tmp_path: Path) -> None:
    server = NameServer(ZoneData(ZONE))
    await server.start()
    port = server.address[1]
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(port=port))
    flags = (f"--config.file={config}", f"--storage.path={tmp_path / 'state'}")
    async with daemon(*flags) as running:
        first = await running.settled()
        assert first.all(CHANGED) == []
        await server.stop()
        text = ZONE
        for old, new in EDITS:
            assert text.count(old) == 1
            text = text.replace(old, new)
        server = NameServer(ZoneData(text))
        await server.start(port=port)
        after = await running.until(lambda s: moved(s) >= WATCHED, "changes")
        assert moved(after) == WATCHED
        _, page = await running.get("/targets/domain=example.com")
        for old, new in EDITS[:3]:
            assert old in page
            assert new in page
        assert "some-verification" not in page.partition("Evidence")[0], (
            "only the SPF record is the SPF check's business"
        )
        assert await running.stop() == 0
    await server.stop()
    async with daemon(*flags) as running:
        again = await running.scrape()
        assert sorted(again.all(CHANGED), key=str) == sorted(after.all(CHANGED), key=str)
        _, page = await running.get("/targets/domain=example.com")
        assert "ip4:192.0.2.10" in page
        assert "ip4:192.0.2.11" in page
