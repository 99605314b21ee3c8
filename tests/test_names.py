"""The check declares, the house obeys: nobody outside exporter/checks names a check or a rule. One name, one thing."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.engine import catalogue

HOME = Path(__file__).parents[1]
CATALOGUE = catalogue.load()
CODE = {
    path.relative_to(HOME).as_posix(): ast.parse(path.read_text())
    for folder in ("exporter", "tools")
    for path in sorted((HOME / folder).rglob("*.py"))
}
OUTSIDE = sorted(path for path in CODE if not path.startswith("exporter/checks/"))

_RULE = re.compile(rf"(?<![\w.])({'|'.join(map(re.escape, CATALOGUE.rules))})(?![\w-])")
_MATCHER = re.compile(rf'\bcheck(?:=~|!=|!~|=)\\?"[^"]*\b({"|".join(CATALOGUE.checks)})\b')
# Words that stand for a check and nothing else; the others are names of labels, keys, record types and protocols too.
_ONLY_CHECKS = re.compile(rf"(?<![\w.])({'|'.join(name for name in CATALOGUE.checks if '_' in name)})(?![\w.])")
# Where a word that can mean other things surely means a check.
_OF_CHECKS = {"checks", "intervals", "enabled", "running", "off", "schedule"}

MOST_FILES = 20  # in one folder; a larger one says why in the first lines of its __init__.py
_A_REASON = re.compile(r"\b(?:files|folder)\b.*\bbecause\b", re.DOTALL)


def strings(tree: ast.Module) -> Iterator[tuple[ast.Constant, ast.AST]]:
    """Each text with what it is part of, but for docstrings and for places in a configuration (`where / "key"`)."""
    for parent in ast.walk(tree):
        for node in ast.iter_child_nodes(parent):
            place = isinstance(parent, ast.Expr) or (isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Div))
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and not place:
                yield node, parent


def means_a_check(word: str, parent: ast.AST) -> bool:
    """Is a word that is the id of a check used as one?"""
    if word not in CATALOGUE.checks:
        return False
    attributes = {node.attr for node in ast.walk(parent) if isinstance(node, ast.Attribute)}
    match parent:
        case ast.Compare():
            return bool(attributes & {*_OF_CHECKS, "check", "id"})
        case ast.Subscript(value=ast.Attribute(attr=name)) | ast.Subscript(value=ast.Name(id=name)):
            return name in _OF_CHECKS
        case ast.Call(func=ast.Attribute(attr="get" | "state", value=value)):
            return ast.unparse(value).rpartition(".")[2] in {*_OF_CHECKS, "net", "store", "_store"}
        case _:
            return False


@pytest.mark.parametrize("path", OUTSIDE)
def test_nobody_else_names_a_check_or_a_rule(path: str) -> None:
    named = [
        f"{node.lineno}: imports {node.module}"
        for node in ast.walk(CODE[path])
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("exporter.checks")
    ]
    for node, parent in strings(CODE[path]):
        text = str(node.value)
        if _RULE.search(text) or _MATCHER.search(text) or _ONLY_CHECKS.search(text) or means_a_check(text, parent):
            named.append(f"{node.lineno}: {text[:80]}")
    assert named == []


@pytest.mark.parametrize(
    "code",
    [
        "from exporter.checks.mx import mx",
        'RULES = {"mx.no-such-domain"}',
        "alert = f\"up{{check='x'}} {finding}: smtp_tls\"",
        "expr = 'deliverability_check_ok{check=\"mx\"}'",
        'interval = settings.intervals["mx"]',
        'if check.id == "mx": pass',
        'state = store.get("mx", key)',
    ],
)
def test_the_guard_sees_it(code: str) -> None:
    CODE["sample"] = ast.parse(code)
    try:
        with pytest.raises(AssertionError):
            test_nobody_else_names_a_check_or_a_rule("sample")
    finally:
        del CODE["sample"]


def test_no_public_class_name_stands_twice() -> None:
    names = Counter(
        node.name
        for tree in CODE.values()
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_dns_knows_nothing_of_smtp() -> None:
    used = {
        f"{path}: {node.module}"
        for path, tree in CODE.items()
        if path.startswith("exporter/net/dns/")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and "smtp" in str(node.module)
    }
    assert used == set()


def test_folders_are_small_or_say_why_not() -> None:
    folders = Counter(
        path.parent
        for root in ("exporter", "tools", "tests")
        for path in (HOME / root).rglob("*.py")
        if path.name != "__init__.py"
    )
    large = [folder for folder, count in folders.items() if count > MOST_FILES]
    silent = [folder for folder in large if not _A_REASON.search(ast.get_docstring(_init(folder)) or "")]
    assert [folder.relative_to(HOME).as_posix() for folder in silent] == []


def _init(folder: Path) -> ast.Module:
    return ast.parse((folder / "__init__.py").read_text())
