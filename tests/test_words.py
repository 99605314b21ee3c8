"""What a person reads: sentences of at most 25 words, and no private words (tests/support/words.py has both)."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from exporter import strict_yaml
from exporter.cli.arguments import parser
from exporter.engine import catalogue
from exporter.explain.notices import written
from tests.support.markdown import prose
from tests.support.words import faults, sentences
from tests.test_architecture import MODULES

HOME = Path(__file__).parents[1]
CATALOGUE = catalogue.load()

# Places whose text is being written again. Each entry, a path with *, leaves this list with its new text.
LATER: tuple[str, ...] = ()

# Not words of ours: code, links, options, file names, replies of receivers.
_CODE = re.compile(
    r"`[^`\n]*`|\"[245][0-9]{2} [^\"]*\"|\$labels\.\w+|https?://\S+|--[a-z][\w.-]*"
    r"|[\w/.-]+\.(?:yaml|yml|md|json|sqlite|damaged)\b"
)
_IDS = "|".join(map(re.escape, CATALOGUE.rules))
_PROSE = re.compile(r"[a-z]{2,} [a-z]+ [a-z]+", re.IGNORECASE)
_NO_PROSE = re.compile(r"\bCREATE TABLE\b|\bcount by \(|\band on \(|\A\n[a-z\s]+\Z")  # SQL, PromQL, lists of words
_PLACEHOLDER = re.compile(r"\{\{.*?\}\}|\{\w*\}", re.DOTALL)
_INLINE = re.compile(r"</?(?:a|b|br|code|em|i|kbd|small|span|strong|time)\b[^>]*>", re.DOTALL)
_OF_A_RULE = re.compile(r" *(?:\*\*\w+\*\*: |- )?(?:Example|Fix(?: in this example)?|Source): ")  # see in_rules
_OF_OTHERS = ("refusals", "says", "words", "weak", "pairs", "signs")
_QUOTES = {*_OF_OTHERS, "document", "url", "source", "sources"}  # what others say

Said = Iterator[tuple[str, str]]  # a text, and where it is


def in_code() -> Said:
    """Everything in quotation marks; what is filled in is one word."""
    for path, tree in MODULES.items():
        for line, text in _literals(tree):
            if _PROSE.search(text) and not _NO_PROSE.search(text):
                yield f"exporter/{path}:{line}", text


def _literals(tree: ast.AST) -> Iterator[tuple[int, str]]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    firsts = [node.body[0] for node in ast.walk(tree) if isinstance(node, kinds) and node.body]
    apart = {id(it.value) for it in firsts if isinstance(it, ast.Expr)}  # docstrings
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "ref":  # titles of documents
            apart.add(id(node.value))
        if isinstance(node, ast.Attribute) and node.attr == "split":  # a list of words
            apart.add(id(node.value))
        if isinstance(node, ast.JoinedStr):
            apart |= {id(part) for part in ast.walk(node)} - {id(node)}
            if id(node) not in apart:
                values = (it.value if isinstance(it, ast.Constant) else "X" for it in node.values)
                yield node.lineno, "".join(map(str, values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in apart:
            yield node.lineno, node.value


def in_rules() -> Said:
    """As they are put together."""
    for entry in CATALOGUE.entries:
        yield f"rule {entry.check.id}", entry.check.question
        for rule in entry.rules:
            yield f"rule {rule.id}", f"{rule.says}.\n\n{rule.why}\n\n{rule.fix}"


def in_notices() -> Said:
    for finding, text in written().items():
        yield f"notice {finding}", "\n\n".join(text)


def in_data() -> Said:
    for path in sorted((HOME / "exporter" / "data").rglob("*.yaml")):
        root = strict_yaml.parse(path.read_bytes()).root
        for text in _values(root.plain() if root else {}, _QUOTES):
            yield path.relative_to(HOME).as_posix(), text


def _values(node: Any, apart: set[str]) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key not in apart:
                yield from _values(value, apart)
    elif isinstance(node, list):
        for value in node:
            yield from _values(value, apart)
    elif isinstance(node, str) and _PROSE.search(node):
        yield node


def in_templates() -> Said:
    for path in sorted((HOME / "exporter" / "views" / "templates").glob("*.html")):
        text = re.sub(r"\{#.*?#\}", "", path.read_text(), flags=re.DOTALL)
        text = _PLACEHOLDER.sub("X", re.sub(r"\{%.*?%\}", "", text, flags=re.DOTALL))
        said = re.findall(r'(?:title|aria-label|placeholder|content|alt)="([^"]*)"', text)
        said += re.split(r"<[^>]+>", _INLINE.sub(" ", text))
        for part in said:
            yield path.relative_to(HOME).as_posix(), part


def in_the_example() -> Said:
    """Its comments: one behind a value is of its own, and goes on in the lines below it that have no value."""
    parts: list[str] = []
    inside = False
    for line in (HOME / "config.example.yaml").read_text().splitlines():
        value, found, comment = line.partition("#") if line.lstrip().startswith("#") else line.partition(" # ")
        if not found or re.match(r" *(?:[-\w]+: |- )", comment):
            inside = False
        elif inside and not value.strip():
            parts[-1] += f"\n{comment}"
        else:
            parts.append(comment)
            inside = True
    yield from (("config.example.yaml", part) for part in parts)


def in_the_schema() -> Said:
    schema = json.loads((HOME / "exporter" / "data" / "config.schema.json").read_text())
    for text in _described(schema):
        yield "exporter/data/config.schema.json", text


def _described(node: Any) -> Iterator[str]:
    values = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for key, value in node.items() if isinstance(node, dict) else ():
        if key in ("description", "content") and isinstance(value, str):
            yield value
    for value in values:
        yield from _described(value)


def in_help() -> Said:
    pending = [parser()]
    while pending:
        it = pending.pop()
        yield f"help of {it.prog}", it.description or ""
        for action in it._actions:
            yield f"help of {it.prog}", action.help or ""
            if isinstance(action.choices, dict):
                pending += action.choices.values()


def in_alerts() -> Said:
    for path in sorted((HOME / "prometheus").glob("*.yml")):
        text = path.read_text()
        for said in re.findall(r"^ +(?:summary|description): (.*(?:\n {10,}\S.*)*)", text, re.MULTILINE):
            yield path.relative_to(HOME).as_posix(), _PLACEHOLDER.sub("X", said)


def in_dashboards() -> Said:
    for path in sorted((HOME / "grafana").rglob("*.json")):
        for text in _described(json.loads(path.read_text())):
            yield path.relative_to(HOME).as_posix(), text


def in_documents() -> Said:
    pages = [HOME / "README.md", HOME / "CONTRIBUTING.md", HOME / "SECURITY.md", *(HOME / "docs").rglob("*.md")]
    for path in sorted(pages):
        text = re.sub(r"\]\([^)]*\)", "]", prose(path.read_text()))
        text = re.sub(r"<[^>]+>", "", text.replace("<br>", "\n\n"))
        for part in re.split(r"\n\s*\n|(?<!\\)\||\n(?= *(?:[-*>] |\d+\. |#))", text):
            if not _OF_A_RULE.match(part):
                yield path.relative_to(HOME).as_posix(), part


PLACES = (
    in_code,
    in_rules,
    in_notices,
    in_data,
    in_templates,
    in_the_example,
    in_the_schema,
    in_help,
    in_alerts,
    in_dashboards,
    in_documents,
)


def plain(text: str) -> str:
    """Without what is no word of ours."""
    return _PLACEHOLDER.sub("X", re.sub(_IDS, "X", _CODE.sub("X", text)))


def wrong(said: Iterable[tuple[str, str]], later: Iterable[str]) -> list[str]:
    """Each fault with its place, but for those whose text is still to come."""
    found = [f"{where}: {fault}" for where, text in said for fault in faults(plain(text))]
    return [it for it in dict.fromkeys(found) if not any(fnmatch(it, f"{path}:*") for path in later)]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_what_people_read_is_short_and_in_the_words_of_the_field(place: Any) -> None:
    said = list(place())
    assert len(" ".join(text for _, text in said).split()) > 100
    assert wrong(said, LATER) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Nobody told the exporter its selectors.", '"told"'),
        ("No name of {ip} leads back to it.", '"leads back"'),
        ("Whoever reads this may mend it.", '"mend"'),
        ("mail goes in clear", '"in clear"'),
        ("The record is 512 octets long.", '"octets"'),
        (f"This sentence {'really ' * 24}is too long.", "29 words"),
        (f"A short one. Then {'a very ' * 13}long one.", "29 words"),
    ],
)
def test_a_private_word_and_a_long_sentence_are_found(text: str, fault: str) -> None:
    assert any(it.startswith(fault) for it in faults(plain(text)))


@pytest.mark.parametrize(
    "text",
    [
        "Fix the SPF record. Then ask for delisting.",
        "`deliverability_scope` is `mute` for these.",
        "Use `mute_time_intervals` in Alertmanager.",
        f"One sentence {'has ' * 20}an end. Another {'has ' * 20}one, too.",
    ],
)
def test_public_names_and_two_short_sentences_are_no_fault(text: str) -> None:
    assert faults(plain(text)) == []


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_a_planted_sentence_makes_the_test_fail(place: Any) -> None:
    """Whatever is written beside it."""
    where, text = next(iter(place()))
    assert any('"told"' in it for it in wrong([(where, f"{text}\n\nNobody is told.")], ()))


def test_a_planted_sentence_is_read_in_each_form() -> None:
    code = ast.parse('"""Told in a docstring."""\nRule(says="{ip} is told to " f"{who} by whoever asks")\n')
    assert [text for _, text in _literals(code)] == ["{ip} is told to X by whoever asks"]
    assert list(_values({"says": "as they are told", "means": "as you are told"}, _QUOTES)) == ["as you are told"]
    assert list(_described({"panels": [{"description": "as you are told"}]})) == ["as you are told"]


def test_sentences_end_at_a_full_stop_or_an_empty_line() -> None:
    assert sentences("One. Two, e.g. three? Four\n\nfive 1.5 s") == ["One.", "Two, e.g. three?", "Four", "five 1.5 s"]
