"""What the README and the documents say is so: links lead somewhere, names exist, configurations and commands work."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import struct
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.cli.arguments import parser
from exporter.cli.exit_codes import Exit
from exporter.config import load
from exporter.config.web_file import WebFile
from exporter.demo.nameserver import ZoneData
from exporter.engine import catalogue
from exporter.engine.evaluate import evaluate
from exporter.engine.families import HELP
from exporter.facts import Rule
from exporter.net import Net
from exporter.publish.thresholds import Thresholds
from tests.lab.process import need
from tests.support import scenario
from tests.support.certificates import Pki
from tests.support.clock import FakeClock
from tests.support.json_keys import key_paths
from tests.support.markdown import anchors, blocks, cells, links, prose
from tests.support.memory import MemoryResolver
from tests.test_architecture import MODULES, RANK, imports, part
from tools.reference import config
from tools.reference import metrics as families

HOME = Path(__file__).parents[1]
CATALOGUE = catalogue.load()
PAGES = {path.relative_to(HOME).as_posix(): path.read_text() for path in HOME.glob("docs/**/*.md")}
PAGES |= {name: (HOME / name).read_text() for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")}
WRITTEN = {name: text for name, text in PAGES.items() if not name.startswith("docs/reference/")}
LARGEST = 300_000  # octets of a picture
FIRST_SCREEN = 60  # lines
COMMAND_LINE = "docs/command-line.md"
SECTION = re.MULTILINE | re.DOTALL

each_page = pytest.mark.parametrize("name", sorted(PAGES))
each_written = pytest.mark.parametrize("name", sorted(WRITTEN))


def fenced(kind: str) -> list[tuple[str, str]]:
    """Page and text of the code marked so."""
    return [(name, block.text) for name, text in PAGES.items() for block in blocks(text) if block.info == kind]


@each_page
def test_links_lead_to_what_is_there(name: str) -> None:
    for link in links(PAGES[name]):
        if "://" in link:
            continue
        target, _, anchor = link.partition("#")
        path = ((HOME / name).parent / target).resolve() if target else HOME / name
        assert path.exists(), link
        if anchor:
            assert anchor in anchors(path.read_text()), link


@each_written
def test_tables_are_rectangular_and_have_no_empty_cell(name: str) -> None:
    for rows in cells(WRITTEN[name]):
        assert {len(row) for row in rows} == {len(rows[0])}
        assert [row for row in rows if not all(row)] == []


def test_every_document_is_found_from_the_readme() -> None:
    found, new = {"README.md"}, {"README.md"}
    while new:
        led = {((HOME / name).parent / link.partition("#")[0]).resolve() for name in new for link in links(PAGES[name])}
        new = {path.relative_to(HOME).as_posix() for path in led if path.suffix == ".md" and path.is_relative_to(HOME)}
        new = new & PAGES.keys() - found
        found |= new
    assert found == PAGES.keys()


def test_pictures_are_small() -> None:
    for path in HOME.glob("docs/images/*"):
        assert path.stat().st_size < LARGEST, path.name


def test_the_readme_begins_with_what_it_is_good_for() -> None:
    """One screen: the pictures, what a check prints, and how to install it."""
    begin = "\n".join(PAGES["README.md"].splitlines()[:FIRST_SCREEN])
    for wanted in (
        "docs/images/overview.png",
        "docs/images/domain.png",
        "make run",
        "docs/501-5.5.4.md",
        "deliverability-exporter check example.com",
        "pipx install .",
    ):
        assert wanted in begin


@pytest.mark.parametrize("name", ["overview.png", "domain.png"])
def test_a_picture_is_as_wide_as_a_page(name: str) -> None:
    """`make pictures` draws them again."""
    header = (HOME / "docs" / "images" / name).read_bytes()[:24]
    width, height = struct.unpack(">II", header[16:24])
    assert (width, height < 900) == (1280, True)


@pytest.mark.parametrize(("name", "text"), fenced("yaml config.yaml"))
def test_configurations_are_good(name: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the README, which is a whole one, without a doubt."""
    monkeypatch.setenv("ZEN_ZONE", "key.zen.dq.spamhaus.net")
    file = tmp_path / "config.yaml"
    file.write_text(text)
    for included, more in fenced("yaml targets.d/customers.yaml"):
        if included == name:
            (tmp_path / "targets.d").mkdir(exist_ok=True)
            (tmp_path / "targets.d" / "customers.yaml").write_text(more)
    settings = load(file, CATALOGUE)
    if name == "README.md":
        assert settings.warnings == ()
        assert len(text.splitlines()) == 10


@pytest.mark.parametrize(("name", "text"), fenced("yaml web.yml"))
def test_web_configurations_are_good(name: str, text: str, tmp_path: Path) -> None:
    Pki(tmp_path).serve()
    (tmp_path / "ca.crt").rename(tmp_path / "clients.crt")
    (tmp_path / "web.yml").write_text(text)
    assert WebFile(tmp_path / "web.yml").read().warnings == ()


def test_no_configuration_is_left_unmarked() -> None:
    assert fenced("yaml config.yaml")
    assert fenced("yaml") == []


@pytest.mark.lab
@pytest.mark.parametrize(("name", "text"), fenced("yaml prometheus.yml"))
def test_prometheus_takes_what_is_told_it(name: str, text: str, tmp_path: Path) -> None:
    need("promtool")
    (tmp_path / "prometheus").symlink_to(HOME / "prometheus")
    (tmp_path / "deliverability-alerts.yml").symlink_to(HOME / "prometheus" / "alerts.yml")
    file = tmp_path / "prometheus.yml"
    file.write_text(text)
    ran = subprocess.run(["promtool", "check", "config", str(file)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{name}: {ran.stderr}"
    assert "honor_labels: true" in text


@pytest.mark.lab
def test_the_routes_that_the_tutorial_makes_are_good(tmp_path: Path) -> None:
    need("amtool")
    (made,) = (block.text for block in blocks(PAGES["docs/tutorial.md"]) if "alertmanager-mail.yml" in block.text)
    (tmp_path / "alertmanager").symlink_to(HOME / "alertmanager")
    script = made.partition("sudo ")[0]
    ran = subprocess.run(["sh", "-euc", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    routes = yaml.safe_load((tmp_path / "alertmanager-mail.yml").read_text())
    mailed = [receiver["name"] for receiver in routes["receivers"] if "email_configs" in receiver]
    assert mailed == ["pager", "mail"]
    (subject,) = {it["email_configs"][0]["headers"]["Subject"] for it in routes["receivers"][:2]}
    assert subject in (HOME / "alertmanager" / "alertmanager.yml").read_text(), "the example there is the same"
    for count, said in {1: "firing: Local HELO name: out", 3: "firing: Local HELO name: out (1 of 3)"}.items():
        alert = {"status": "firing", "annotations": {"summary": "Local HELO name: out"}}
        (tmp_path / "data.json").write_text(json.dumps({"status": "firing", "alerts": [alert] * count}))
        command = ["amtool", "template", "render", f"--template.text={subject}", "--template.data=data.json"]
        ran = subprocess.run(
            [*command, f"--template.glob={tmp_path}/*.tmpl"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (ran.stdout.strip(), ran.stderr) == (said, "")


@pytest.mark.lab
def test_the_test_of_rules_succeeds(tmp_path: Path) -> None:
    need("promtool")
    ((_, text),) = fenced("yaml tests.yml")
    (tmp_path / "prometheus").symlink_to(HOME / "prometheus")
    file = tmp_path / "tests.yml"
    file.write_text(text)
    ran = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_thresholds_are_some(tmp_path: Path) -> None:
    ((_, text),) = fenced("yaml thresholds.yml")
    file = tmp_path / "thresholds.yml"
    file.write_text(text)
    assert Thresholds.read(file) != Thresholds()


@pytest.mark.lab
def test_prometheus_understands_the_queries(tmp_path: Path) -> None:
    need("promtool")
    told = [{"record": f"told:{number}", "expr": query} for number, (_, query) in enumerate(fenced("promql"))]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "documents", "rules": told}]}))
    ran = subprocess.run(["promtool", "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout
    assert {name for name, _ in fenced("promql")} >= {"docs/operations.md", "docs/reference/metrics.md"}


def commands() -> list[list[str]]:
    shown = [block.text for text in PAGES.values() for block in blocks(text) if block.info.startswith("console")]
    lines = [line for text in shown for line in text.replace("\\\n", " ").splitlines()]
    told = [re.sub(r" [|<] .*", "", line.removeprefix("$ ")) for line in lines]
    inline = [span for text in WRITTEN.values() for span in re.findall(r"`([^`\n]+)`", prose(text))]
    found = [shlex.split(line, comments=True) for line in (*told, *inline) if "deliverability-exporter " in f"{line} "]
    starts = [words for words in found if words and words[0].rpartition("/")[2] == "deliverability-exporter"]
    return [words[1:] for words in starts if words[1:] not in ([], ["--version"])]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_commands_are_understood(words: list[str]) -> None:
    parser().parse_args(words)


def test_the_exit_codes_are_those_that_are_told() -> None:
    (rows,) = (rows for rows in cells(PAGES[COMMAND_LINE]) if rows[0] == ("Code", "Meaning"))
    assert [int(row[0]) for row in rows[1:]] == [Exit.OK, Exit.WARNING, Exit.CRITICAL, Exit.UNKNOWN, Exit.USAGE]


def test_every_flag_is_told_where_its_command_is() -> None:
    (commands_,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    found = re.findall(r"^## (.*?)$(.*?)(?=^## |\Z)", PAGES[COMMAND_LINE], SECTION)
    parts = {name.lower(): text for name, text in found}
    parts["demo"] += parts["the daemon"]  # it has those of the daemon
    parts["check"] += parts["check --recipients"]
    for command, its in {"the daemon": parser(), **commands_.choices}.items():
        flags = {flag for action in its._actions for flag in action.option_strings} - {"-h", "--help", "--version"}
        assert [flag for flag in sorted(flags) if f"`{flag}" not in parts[command]] == [], command


def test_every_key_of_the_json_is_told() -> None:
    """Those that only a look at the real world prints are held by tests/first_hour."""
    (rows,) = (rows for rows in cells(PAGES[COMMAND_LINE]) if rows[0] == ("Key", "Value"))
    printed = json.loads((HOME / "tests" / "golden" / "check.json").read_text())
    assert set(key_paths(printed)) - {row[0].strip("`") for row in rows} == set()


@each_written
def test_names_that_are_told_exist(name: str) -> None:
    """Metrics, findings, alerts and keys, where they stand as code."""
    spans = re.findall(r"`([^`\n]+)`", prose(WRITTEN[name])) + [block.text for block in blocks(WRITTEN[name])]
    series = HELP.keys() | {measure.name for measure in CATALOGUE.metrics}
    own = {row[0].strip("`") for row in families.own(CATALOGUE)}
    keys = {key.path for key in config.all_keys()}
    paces = {f"schedule.{pace}" for pace in ("default", *CATALOGUE.checks)}
    alerts = set(re.findall(r"alert: (\w+)", (HOME / "prometheus" / "alerts.yml").read_text()))
    for span in spans:
        for family in re.findall(r"\bdeliverability_\w+", span):
            assert family in series | own, span
        for alert in re.findall(r"\bDeliverability[A-Z]\w+", span):
            assert alert in alerts, span
        if re.fullmatch(r"[a-z_]+\.[a-z0-9_-]+", span) and span.partition(".")[0] in {*CATALOGUE.checks, *keys}:
            assert span in CATALOGUE.rules.keys() | keys | paces, span


def test_each_room_is_on_the_page_about_them() -> None:
    rooms, *_ = cells(PAGES["docs/architecture.md"])
    assert [row[0].strip("`") for row in rooms[1:]] == list(RANK)


def test_the_picture_of_the_rooms_is_the_code() -> None:
    """Each arrow is an import, and what a room imports can be reached by the arrows."""
    (drawn,) = (block.text for block in blocks(PAGES["docs/architecture.md"]) if block.info == "mermaid")
    arrows = {
        (room, below)
        for line in drawn.splitlines()
        if "-->" in line
        for room in line.partition("-->")[0].split(" & ")
        for below in line.partition("-->")[2].split(" & ")
    }
    below: dict[str, set[str]] = {room: set() for room in RANK}
    for room, other in arrows:
        below[room.strip()].add(other.strip())
    real: dict[str, set[str]] = {room: set() for room in RANK}
    for path, tree in MODULES.items():
        used = {name.split(".")[1] for name in imports(tree) if name.startswith("exporter.")}
        real.setdefault(part(path), set()).update(used & RANK.keys() - {part(path)})
    reached: dict[str, set[str]] = {}
    for room in RANK:  # the lowest first: what they reach is known by then
        assert below[room] <= real[room], room
        assert real[room] <= below[room].union(*(reached[it] for it in below[room])), room
        reached[room] = below[room].union(*(reached[it] for it in below[room]))


def test_functions_and_words_are_where_the_pages_say() -> None:
    rows = [
        (name, row)
        for name in ("docs/architecture.md", "docs/glossary.md")
        for head, *body in cells(PAGES[name])
        if "File" in head
        for row in [dict(zip(head, it, strict=True)) for it in body]
    ]
    assert len(rows) > 50
    for name, row in rows:
        text = (HOME / row["File"].strip("`")).read_text()
        for word in re.findall(r"`(\w+)`", row.get("Function") or row["Name"]):
            assert re.search(rf"^ *(?:(?:async )?def |class )?{word}\b(?= *[:=(])", text, re.MULTILINE), (name, row)


def _memory(world: str) -> Net:
    return Net(MemoryResolver(ZoneData(world)), FakeClock())


async def test_the_example_of_a_check_works_as_it_is_written(tmp_path: Path) -> None:
    files = {
        Path(block.info.partition(" ")[2]): block.text
        for block in blocks(PAGES["CONTRIBUTING.md"])
        if "/" in block.info
    }
    ((path, code),) = [(path, text) for path, text in files.items() if path.suffix == ".py"]
    module: dict[str, Any] = {"__name__": path.stem}
    exec(compile(code, str(path), "exec"), module)
    check = module[path.stem]
    expected: set[str] = set()
    for zone in files.keys() - {path}:
        file = tmp_path / zone.parent.name / zone.name
        file.parent.mkdir(exist_ok=True)
        file.write_text(files[zone])
        case = scenario.read(file)
        case.judge(await evaluate(check, case.target, partial(_memory, case.world), FakeClock()))
        expected |= {rule for rule, _ in case.expected}
    assert {zone.parent.name for zone in files} == {"checks", check.id}
    assert expected == {value.id for value in module.values() if isinstance(value, Rule)}
