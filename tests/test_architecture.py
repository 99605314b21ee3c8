"""The house keeps its own rules: imports go down only, each package comes in by its door, nothing is left half done."""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

# Lowest first. A module may import what stands above its own line here, and its own package; not its neighbours.
LAYERS = """
    text clock remedies late
    facts
    confirmation
    model
    past_run
    check_state
    strict_yaml stats files systemd
    mail
    receivers providers
    targets
    net
    checks
    engine
    config
    explain
    views
    publish
    clients
    runs
    app
    demo
    cli
    __main__
"""
RANK = {part: rank for rank, line in enumerate(LAYERS.split("\n")) for part in line.split()}

# Where each third-party package may be imported: replacing one is then a change of so many files.
DOORS = {
    "aiohappyeyeballs": "net/https_connection.py",
    "aiohttp": "views/web.py views/connection.py views/security.py views/actions.py "
    "net/https.py net/https_connection.py demo/*.py",
    "apscheduler": "engine/schedule.py",
    "bcrypt": "views/authentication.py",
    "cryptography": "mail/bimi/certificate.py mail/certificate.py mail/dane/chain.py mail/dkim/public_key.py demo/*.py",
    "dns": "net/dns/wire.py net/dns/plain.py net/dns/extended_errors.py net/planned/zone_file.py demo/nameserver.py "
    "demo/zoneserver.py",
    "email_validator": "mail/mailbox.py",
    "idna": "mail/names.py",
    "jinja2": "views/pages.py",
    "prometheus_client": "views/metrics.py views/own_metrics.py",
    "publicsuffixlist": "mail/names.py",
    "pydantic": "config/*.py",
    "pydantic_core": "config/*.py",
    "rich": "cli/progress.py views/terminal.py",
    "uvloop": "cli/run.py",
    "yaml": "strict_yaml.py publish/rules.py",
}

# mail/* is text in, facts out: no clock, no network, no waiting, no chance.
IMPURE = {"asyncio", "logging", "os", "random", "select", "socket", "ssl", "subprocess", "threading", "time"}

PRINTS = "cli/*.py"  # what a person started at a terminal

LONGEST = 400  # lines
LONGER: dict[str, str] = {}  # path: why it is one thought all the same

HOME = Path(__file__).parents[1]
FOLDERS = (
    "exporter",
    "tools",
    "tests",
    "grafana",
    "prometheus",
    "alertmanager",
    "deploy",
    "docs",
    "bench",
    ".ci",
    ".github",
)
PACKAGE = HOME / "exporter"
_UNFINISHED = re.compile(r"\b(?:T[O]DO|F[I]XME|X[X]X)\b|NotImplemented[E]rror(?!.*  # \w)|\.\.\.  # stub")
_MACHINE = re.compile(r"/(?:work|root|home|farm)/")
_SILENCE = re.compile(r"#\s*(?:noqa|type:\s*ignore|pragma)")
_REASONED = re.compile(
    r"""(?: \#\s*noqa:\s*[A-Z]+[0-9]+(?:,\s*[A-Z]+[0-9]+)* | \#\s*type:\s*ignore\[[a-z-]+(?:,\s*[a-z-]+)*\] )
        [\s\#(:-]+ .* \w{3}""",  # a word at least
    re.VERBOSE,
)

MODULES = {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}
TOOLS = {path.relative_to(HOME).as_posix(): ast.parse(path.read_text()) for path in (HOME / "tools").rglob("*.py")}


def imports(tree: ast.Module) -> Iterator[str]:
    """Dotted names, of the module or of what is taken from it; relative ones are not in the style of the house."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part(path: str) -> str:
    return path.split("/", maxsplit=1)[0].removesuffix(".py")


@pytest.mark.parametrize("path", sorted(MODULES))
def test_imports_go_down_only(path: str) -> None:
    own = part(path)
    used = {name.split(".")[1] for name in imports(MODULES[path]) if name.startswith("exporter.")} - {"__version__"}
    if own == "__init__":
        assert not used, "the package itself knows nobody"
        return
    assert own in RANK, f"exporter/{path} has no place in LAYERS yet"
    assert {name for name in used if name != own and not RANK[name] < RANK[own]} == set()


@pytest.mark.parametrize("path", sorted(MODULES))
def test_each_package_comes_in_by_its_door(path: str) -> None:
    used = {name.split(".")[0] for name in imports(MODULES[path])} - sys.stdlib_module_names - {"exporter"}
    strangers = {name for name in used if not any(fnmatch(path, door) for door in DOORS.get(name, "").split())}
    assert strangers == set()


@pytest.mark.parametrize("path", sorted(TOOLS))
def test_tools_stand_on_the_exporter_alone(path: str) -> None:
    """The exporter does not know them: to the test above they are strangers."""
    assert {name.split(".")[0] for name in imports(TOOLS[path])} - sys.stdlib_module_names <= {"exporter", "tools"}


@pytest.mark.parametrize("path", sorted(path for path in MODULES if part(path) == "mail"))
def test_mail_is_pure(path: str) -> None:
    assert {name.split(".")[0] for name in imports(MODULES[path])} & IMPURE == set()
    assert not [node.lineno for node in ast.walk(MODULES[path]) if isinstance(node, ast.AsyncFunctionDef | ast.Await)]


@pytest.mark.parametrize("path", sorted(path for path in MODULES if part(path) == "checks"))
def test_no_check_catches_anything(path: str) -> None:
    """Doubt travels up by itself: a check that catches it can turn it into a verdict."""
    assert not [node.lineno for node in ast.walk(MODULES[path]) if isinstance(node, ast.Try | ast.TryStar)]


@pytest.mark.parametrize("path", sorted(path for path in MODULES | TOOLS if not fnmatch(path, PRINTS)))
def test_only_commands_print(path: str) -> None:
    calls = (node for node in ast.walk((MODULES | TOOLS)[path]) if isinstance(node, ast.Call))
    assert not [node.lineno for node in calls if isinstance(node.func, ast.Name) and node.func.id == "print"]


def texts() -> Iterator[tuple[str, str]]:
    """What is kept in the project, by path; not what tools leave in it, such as the .git of a second work tree."""
    paths = [path for path in HOME.iterdir() if path.is_file() and path.suffix not in {".sqlite", ".lock"}]
    paths = [path for path in paths if path.name != ".git"]
    for folder in FOLDERS:
        paths += [path for path in (HOME / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    for path in sorted(paths):
        if path.suffix not in {".png", ".ico", ".gz"}:
            yield path.relative_to(HOME).as_posix(), path.read_text(errors="replace")


TEXTS = dict(texts())


def places(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path}:{number}: {line.strip()}"
        for path, text in TEXTS.items()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_nothing_is_left_half_done() -> None:
    assert places(_UNFINISHED) == []


def test_no_path_of_a_machine() -> None:
    assert places(_MACHINE) == []


def test_pinned_packages_name_no_index() -> None:
    """Who installs brings an index of their own; the hashes say whether it told the truth."""
    pins = [text for path, text in TEXTS.items() if fnmatch(path, "requirements*.txt")]
    assert len(pins) == 2
    for text in pins:
        assert "://" not in text
        assert not re.search(r"^\s*--(?!hash=sha256:)", text, re.MULTILINE)
        pinned = re.findall(r"^([a-z0-9.-]+)==", text, re.MULTILINE)
        assert text.count("\n    --hash=sha256:") >= len(pinned) > 0


@pytest.mark.parametrize("path", sorted(path for path in TEXTS if path.endswith(".py")))
def test_every_silenced_tool_is_given_a_reason(path: str) -> None:
    tokens = tokenize.generate_tokens(io.StringIO(TEXTS[path]).readline)
    silences = [token for token in tokens if token.type == tokenize.COMMENT and _SILENCE.match(token.string)]
    assert [f"{it.start[0]}: {it.string}" for it in silences if not _REASONED.match(it.string)] == []


def test_files_are_short_or_say_why_not() -> None:
    long = {path for path, text in TEXTS.items() if path.endswith(".py") and text.count("\n") > LONGEST}
    assert long == LONGER.keys()


def test_the_introduction_to_the_rfcs_leads_to_every_file() -> None:
    """exporter/mail is a book, too: each chapter is in the table of contents, and begins with what it is about."""
    chapters = {path.removeprefix("mail/"): tree for path, tree in MODULES.items() if part(path) == "mail"}
    contents = ast.get_docstring(chapters["__init__.py"]) or ""
    chapters = {path: tree for path, tree in chapters.items() if not path.endswith("__init__.py")}
    assert set(re.findall(r"[a-z_/]+\.py", contents)) == chapters.keys()
    short = {name for name, tree in chapters.items() if len((ast.get_docstring(tree) or "").split()) < 40}
    assert short == set()
