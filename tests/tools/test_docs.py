"""The project's documents are what the code says now, and nothing beside their tables is touched."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

from exporter.engine import catalogue
from exporter.facts import Severity
from tests.support.markdown import cells
from tools import docs, tables
from tools.tables import marks

CATALOGUE = catalogue.load()
PAGE = "reference/checks.md"


def test_users_do_not_install_the_tools() -> None:
    built = tomllib.loads((docs.HOME / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    assert built["wheel"]["packages"] == ["exporter"]


def test_documents_are_those_of_now() -> None:
    """`make docs` makes them anew."""
    assert [name for name, text in docs.documents(CATALOGUE) if (docs.HOME / name).read_text() != text] == []


def test_the_table_leads_from_each_cause_to_what_can_be_alerted_on() -> None:
    for given in tables.shipped_causes():
        assert {"cause", "answer", "fix"} <= given.keys() <= {"cause", "answer", "this", "findings", "fix"}
        assert not re.search(r"[{}]", given["fix"]), "people see this without a target"
        for finding in given.get("findings", ()):
            assert CATALOGUE.rules[finding].severity is not Severity.INFO, f"{finding} is no series"


def test_only_the_helo_name_causes_the_error_it_all_began_with() -> None:
    (cause,) = [given for given in tables.shipped_causes() if given.get("this")]
    assert cause["answer"] == "`501 5.5.4`"
    assert all(finding.startswith(("helo.", "ehlo_probe.")) for finding in cause["findings"])


def test_every_check_is_listed_with_a_link_to_all_of_it() -> None:
    ((_, *rows),) = cells(tables.checks(CATALOGUE))
    told = [re.fullmatch(r"\[`(\w+)`\]\((.+)#(\w+)\)", row[0]) for row in rows]
    assert [found.groups() for found in told if found] == [(it, PAGE, it) for it in CATALOGUE.checks]
    for row, check in zip(rows, CATALOGUE.checks.values(), strict=True):
        assert row[1] == check.question
        assert all(kind.NOUN in row[2] for kind in check.over)


@pytest.mark.parametrize("document", tables.DOCUMENTS)
def test_a_table_is_one(document: str) -> None:
    name, made = tables.DOCUMENTS[document]
    (rows,) = cells(made(CATALOGUE))
    assert {len(row) for row in rows} == {len(rows[0])}
    lengths = {
        "checks": len(CATALOGUE.checks),
        "causes": len(tables.shipped_causes()),
        "costs": len(json.loads(tables.MEASURED.read_text())),
    }
    assert len(rows) == 1 + lengths[name]


@pytest.mark.parametrize("document", tables.DOCUMENTS)
def test_only_what_is_between_the_marks_is_made_again(document: str) -> None:
    begin, end = marks(tables.DOCUMENTS[document][0])
    text = f"before\n{begin}stale words\n{end}after\n"
    new = tables.renewed(text, document, CATALOGUE)
    assert new.startswith(f"before\n{begin}")
    assert new.endswith(f"{end}after\n")
    assert "stale words" not in new
    assert tables.renewed(new, document, CATALOGUE) == new
    with pytest.raises(ValueError, match="wants the lines"):
        tables.renewed(text.replace(end, ""), document, CATALOGUE)
