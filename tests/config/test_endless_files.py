"""Files that a configuration names and that never end: every one is refused with its place, and soon."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter import strict_yaml
from exporter.config import ConfigError, load
from exporter.config.reading import MOST_FILES
from tests.support.configuration import CATALOGUE, SENDER, Read, refused
from tests.support.daemon import ROOT

MANY = 300_000


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10 << 30)


@pytest.fixture(params=["pipe", "zeros", "kernel", "folder", "loop", "sparse"])
def endless(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A name that stands for no regular file of a sensible size."""
    path = tmp_path / "endless"
    kinds: dict[str, Callable[[], object]] = {
        "pipe": lambda: os.mkfifo(path),
        "zeros": lambda: path.symlink_to("/dev/zero"),
        "kernel": lambda: path.symlink_to("/proc/self/pagemap"),
        "folder": path.mkdir,
        "loop": lambda: path.symlink_to(path),
        "sparse": lambda: sparse(path),
    }
    kinds[request.param]()
    return path


USES = {
    "include": "include: [endless]",
    "zone_file": "blocklists: [{name: ours, zone_file: endless}]",
    "bootstrap": "rdap: {bootstrap: endless}",
}


@pytest.mark.parametrize("use", USES)
def test_a_file_without_end_is_refused_wherever_it_is_named(read: Read, endless: Path, use: str) -> None:
    told = refused(read, f"{SENDER}{USES[use]}\n")
    assert {"include": endless.name, "zone_file": "zone_file", "bootstrap": "bootstrap"}[use] in told
    assert "\n" not in told


def test_the_main_file_may_be_none(endless: Path) -> None:
    with pytest.raises(ConfigError, match="endless"):
        load(endless, CATALOGUE)


@pytest.mark.long
@pytest.mark.parametrize("endless", ["pipe"], indirect=True)
def test_the_command_comes_back_and_says_the_same(endless: Path) -> None:
    command = [sys.executable, "-m", "exporter", f"--config.file={endless}", "--config.check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, cwd=ROOT)
    assert done.returncode == 64
    assert done.stderr == f"{endless}: cannot be read: it is a pipe, and a regular file is wanted\n"


def test_a_pattern_that_names_everything_is_refused_before_anything_is_read(read: Read, tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for number in range(MOST_FILES + 1):
        (tmp_path / "many" / f"{number}.yaml").touch()
    told = "config.yaml:1 include[0]: names more than 1000 files; name those that are meant"
    assert refused(read, "include: ['many/*']") == told
    assert refused(read, "include: ['/**/*/*/*']").startswith(told)
    both = refused(read, "include: ['many/[0-4]*', 'many/[5-9]*']")
    assert both == "config.yaml:1 include[1]: brings the files to more than 1000; put some together"


def test_many_files_together_are_bounded(read: Read) -> None:
    filler = "#" * (strict_yaml.LARGEST - 1)
    for number in range(5):
        Path(f"{number}.yaml").write_text(filler)
    assert refused(read, "include: ['[0-9].yaml']") == "3.yaml: brings the files to more than 20 MiB; divide the fleet"


def test_a_name_that_a_pattern_finds_is_shown_safely(read: Read) -> None:
    Path(os.fsdecode(b"a\xff\n.yaml")).write_text("nonsense: 1\n")
    assert refused(read, "include: ['a*']").startswith("a\\u{dcff}\\u{a}.yaml:1 nonsense: is an unknown key")


FAULTS = {
    "unknown keys": ("".join(f"k{n}: 1\n" for n in range(MANY)), "1 k0: is an unknown key"),
    "unknown keys of an entry": (
        "domains:\n- name: a.example\n" + "".join(f"  k{n}: 1\n" for n in range(MANY)),
        "3 domains[0].k0: is an unknown key",
    ),
    "equal keys": ("k: 1\n" * MANY, "2 k: is written twice"),
    "aliases": ("a: [" + "*a, " * MANY + "]", "1 a[0]: uses the alias *a"),
    "wrong values": ("domains: [" + "1," * MANY + "]", "1 domains[0]: expected a mapping"),
    "domains with a fault": ("domains:\n" + "- {nme: d}\n" * MANY, "2 domains[0].name: is missing"),
    "equal domains": ("domains:\n" + "- {name: a.eu}\n" * MANY, "50002 domains: has more than 50,000 items"),
    "labels": (
        "domains:\n- name: a.example\n  labels:\n" + "".join(f"   k{n}: x\n" for n in range(MANY)),
        "1004 domains[0].labels: has more than 1000 keys",
    ),
    "accepted": (
        "domains:\n- name: a.example\n  accept:\n" + "   - {finding: x.y}\n" * (MANY // 2),
        "3 domains[0].accept: expected at most 1,000 accepted findings",
    ),
    "paces": ("schedule:\n" + "".join(f"  k{n}: 1m\n" for n in range(MANY)), "2 schedule.k0: is no check"),
    "selectors": (
        "domains:\n- name: a.example\n  dkim_selectors:\n" + "   - ..\n" * MANY,
        "3 domains[0].dkim_selectors: expected at most 1,000 names",
    ),
    "senders of a domain": (
        "domains:\n- name: a.example\n  senders:\n" + "   - nobody\n" * MANY,
        "3 domains[0].senders: expected at most 1,000 names of senders",
    ),
}


@pytest.mark.long
@pytest.mark.torture
@pytest.mark.parametrize("kind", FAULTS)
def test_very_many_faults_are_refused_within_two_seconds(
    read: Read, kind: str, record_property: Callable[[str, object], None]
) -> None:
    text, told = FAULTS[kind]
    assert len(text) < strict_yaml.LARGEST
    before = time.process_time()
    shown = refused(read, text)
    took = time.process_time() - before
    record_property(f"seconds to refuse 300,000 {kind}", round(took, 2))
    assert f"config.yaml:{told}" in shown
    assert shown.count("\n") <= 100
    assert took < 2


def test_what_is_not_told_is_counted_as_far_as_it_is_known(read: Read) -> None:
    assert refused(read, "".join(f"k{n}: 1\n" for n in range(300))).endswith("\n… and 200 more problems")
    assert refused(read, FAULTS["unknown keys"][0]).endswith("\n… and at least 901 more problems")
