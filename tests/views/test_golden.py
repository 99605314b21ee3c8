"""What is shown is the same as ever, octet by octet: the pages, the text of `check` and `explain`, and the JSON."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exporter import __version__
from exporter.engine.store import Store
from exporter.explain import diagnosis
from exporter.explain.refusals import Refusals
from exporter.views import json_report, pipelines, terminal
from tests.support.fleet_of_all_verdicts import CATALOGUE, NOW, POLICY, fill
from tests.views.test_web import Site, served

GOLDEN = Path(__file__).parents[1] / "golden"
NOTES = ("a note", "another")
PAGES = {
    "overview": "/",
    "overview-searched": "/?q=CRM",
    "problems": "/problems",
    "problems-unknown": "/problems?severity=unknown",
    "domains": "/domains?sort=name",
    "senders": "/senders",
    "label": "/labels/team/crm",
    "target-failing": "/targets/domain=bad.example",
    "target-passing": "/targets/domain=good.example",
    "target-unknown": "/targets/domain=late.example",
    "target-with-receivers": "/targets/domain=example.com",
    "target-of-one-sender": "/targets/sender=out",
    "target-of-two-labels": "/targets/sender=out,domain=a.example",
    "target-resolver": "/targets/resolver",
    "finding": "/findings/sample.refused",
    "findings": "/findings",
    "findings-of-ours": "/findings?q=554 5.7.99 Sample host is not welcome",
    "findings-of-others": "/findings?q=550 5.7.606 Access denied, banned sending IP",
    "findings-of-nobody": "/findings?q=550 5.4.99 out of cheese",
    "receivers": "/receivers",
    "receiver": "/receivers/gmail",
    "reception-unmet": "/receivers/gmail/example.com",
    "reception-met": "/receivers/gmail/other.example",
    "reception-on-top": "/receivers/microsoft/example.com",
}
REFUSALS = (
    "554 5.7.99 Sample host is not welcome",
    "550 5.7.606 Access denied, banned sending IP [192.0.2.1]",
    "host mx.gmail.example said: 550-5.7.26 in reply to end of DATA command",
    "cheese",
)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async for it in served(Site(catalogue=CATALOGUE)):
        it.clock.step_wall(NOW - it.clock.wall())
        it.exposition.policy = POLICY
        it.notices.append("a <notice>")
        fill(it.store)
        yield it


def same(made: str, name: str, directory: Path) -> None:
    """As it is kept in tests/golden, but for the version."""
    (directory / name).write_bytes(made.encode())
    assert made.encode() == (GOLDEN / name).read_bytes(), f"if that is meant: cp {directory / name} {GOLDEN / name}"


@pytest.mark.parametrize("name", PAGES)
async def test_the_pages_stay_the_same(site: Site, name: str, tmp_path: Path) -> None:
    status, body, _ = await site.get(PAGES[name])
    assert status == 200
    same(body.replace(f"Version {__version__}.", "Version 0."), f"{name}.html", tmp_path)


def test_the_text_for_a_terminal_stays_the_same(tmp_path: Path) -> None:
    look = terminal.Look("6 domains", 1.5, "192.0.2.53", NOTES)
    for detail in range(3):
        stream = io.StringIO()
        terminal.as_text(fill(Store()), POLICY, NOW, look, stream, detail=detail)
        same(stream.getvalue(), f"check{'-' * bool(detail)}{'v' * detail}.txt", tmp_path)


def test_what_pipelines_read_stays_the_same(tmp_path: Path) -> None:
    store = fill(Store())
    same(pipelines.as_junit(store, POLICY, NOW), "check.junit.xml", tmp_path)
    told = pipelines.as_sarif(store, POLICY, NOW)
    same(told.replace(f'"semanticVersion": "{__version__}"', '"semanticVersion": "0"') + "\n", "check.sarif", tmp_path)


def test_the_json_stays_the_same_key_for_key(tmp_path: Path) -> None:
    told = json_report.as_json(fill(Store()), POLICY, NOW, NOTES, 2)
    same(told.replace(f'"version": "{__version__}"', '"version": "0"', 1) + "\n", "check.json", tmp_path)


def test_what_is_said_of_refusals_stays_the_same(tmp_path: Path) -> None:
    refusals = Refusals(CATALOGUE)
    here = diagnosis.in_setup(fill(Store()), ("sample.refused", "sample.broken"))
    told = [diagnosis.as_text(refusals.find(REFUSALS[0]), here)]
    told += [diagnosis.as_text(refusals.find(text)) for text in REFUSALS[1:]]
    same("\n----\n".join(told) + "\n", "explain.txt", tmp_path)
