"""What README and tutorial show is what the program prints today, to somebody who follows them from top to bottom.

A block ```console first-hour``` is run: each line after `$ ` is a command, the lines below it are what a terminal of
110 columns then shows. `...` stands for the rest. Files that the page shows before are in the directory. The domain of
the examples is on a network of its own, with real name servers, a registry and a mail host: example.zone.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.lab.internet.servers import RESOLVER, Internet, internet
from tests.lab.process import Lab, need
from tests.support.json_keys import key_paths
from tests.support.markdown import FENCE, blocks, cells
from tests.worlds import world

pytestmark = pytest.mark.lab

HOME = Path(__file__).parents[2]
PAGES = ("README.md", "docs/tutorial.md", "docs/command-line.md")
RUN = "console first-hour"
COMMAND = "deliverability-exporter"
OURS = "127.0.0.1"  # the resolver of the pages, where a reader has unbound
TERMINAL = {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "110", "PYTHONPATH": str(HOME)}
RARE = re.compile(r"planned\.removed\[|stopped|discovered\[\]\.providers\[|problems\[\]\.settings\[")  # keys
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_SECONDS = re.compile(r"(?<=\()\d+\.\d(?= s,\s+resolver)")
_PROMPT = re.compile(r"^\$ ", re.MULTILINE)


@dataclass
class Reader:
    """Somebody on that network. What needs no file is run once for all pages."""

    net: Internet
    seen: dict[tuple[str, ...], str] = field(default_factory=dict)

    def again(self, command: str, shown: str, home: Path) -> str:
        """The command and its output, as far as the page shows it."""
        line, _, query = _here(command).partition(" | jq ")
        words = shlex.split(line)
        assert words[0] == COMMAND, command
        if words[1] == "check" and not {"--resolver", "--config.file"} & {word.partition("=")[0] for word in words}:
            words += ["--resolver", RESOLVER]  # the page's reader has it in /etc/resolv.conf
        printed = self._printed(tuple(words[1:]), home)
        if query:
            need("jq")
            filtered = ["jq", *shlex.split(query)]
            printed = subprocess.run(filtered, input=printed, capture_output=True, text=True, check=True).stdout
        text = "".join(f"{line.rstrip()}\n" for line in _CONTROL.sub("", printed).replace(RESOLVER, OURS).splitlines())
        if (seconds := _SECONDS.search(shown)) is not None:
            text = _SECONDS.sub(seconds[0], text)
        if shown.endswith("...\n"):
            text = "".join(f"{line}\n" for line in text.splitlines()[: len(shown.splitlines()) - 1]) + "...\n"
        return f"$ {command}\n{text}"

    def _printed(self, words: tuple[str, ...], home: Path) -> str:
        needs_file = any(word.startswith("--config.file") for word in words)
        if words not in self.seen or needs_file:
            ran = subprocess.run(
                self.net.namespace.enter([sys.executable, "-m", "exporter", *words]),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
                cwd=home,
                env={**os.environ, **TERMINAL, **self.net.trust},
            )
            assert ran.returncode in {0, 1, 2}, ran.stderr
            self.seen[words] = ran.stdout
        return self.seen[words]


@pytest.fixture(scope="module")
def reader(lab: Lab) -> Reader:
    return Reader(internet(lab, [world.read(Path(__file__).with_name("example.zone"))]))


@pytest.mark.parametrize("name", PAGES)
def test_what_the_pages_show_is_what_the_program_prints(reader: Reader, name: str, tmp_path: Path) -> None:
    page, home = (HOME / name).read_text(), tmp_path / "home"
    home.mkdir()
    new, ran = page, 0
    for found in FENCE.finditer(page):
        kind, text = found["info"].strip(), found["text"]
        if kind == RUN:
            again = "".join(reader.again(command, shown, home) for command, shown in _commands(text))
            new, ran = new.replace(found[0], found[0].replace(text, again)), ran + 1
        elif file := kind.partition(" ")[2]:
            (home / file).write_text(_here(text))
    made = tmp_path / Path(name).name
    made.write_text(new)
    assert ran, "a page without a block to run needs no test"
    assert new == page, f"if that is meant: cp {made} {HOME / name}"


def test_what_is_said_of_the_json_is_in_it_or_in_the_golden_file(reader: Reader, tmp_path: Path) -> None:
    page = (HOME / "docs" / "command-line.md").read_text()
    (planned,) = (block for block in blocks(page) if block.info.endswith(".zone"))
    (tmp_path / planned.info.partition(" ")[2]).write_text(planned.text)
    (command,) = re.findall(rf"^\$ ({COMMAND} .* --format json) \|", page, re.MULTILINE)
    printed = json.loads(reader.again(f"{command} | jq .", "", tmp_path).partition("\n")[2])
    printed["problems"] += printed["change"]["heals"]
    golden = json.loads((HOME / "tests" / "golden" / "check.json").read_text())
    (rows,) = (rows[1:] for rows in cells(page) if rows[0][0] == "Key")
    told, real = {row[0].strip("`") for row in rows}, {*key_paths(printed), *key_paths(golden)}
    assert real - told == set()
    assert {key for key in told - real if not RARE.match(key)} == set()


def _commands(text: str) -> Iterator[tuple[str, str]]:
    """Each command, and what the page shows of its output."""
    for part in _PROMPT.split(text)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown


def _here(text: str) -> str:
    """With the resolver of this network in place of the reader's."""
    return re.sub(rf'(?<=--resolver ){re.escape(OURS)}|(?<="){re.escape(OURS)}(?=")', RESOLVER, text)
