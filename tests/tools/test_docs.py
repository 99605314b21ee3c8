"""The project's documents are what the code says now, and nothing else of the README is touched."""

from __future__ import annotations

import re
import tomllib

import pytest

from exporter.engine import catalogue
from exporter.facts import Severity
from tests.support.markdown import cells
from tools import docs, readme
from tools.readme import marks

CATALOGUE = catalogue.load()
PAGE = "docs/reference/checks.md"


def test_users_do_not_install_the_tools() -> None:
    built = tomllib.loads((docs.HOME / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    assert built["wheel"]["packages"] == ["exporter"]


def test_documents_are_those_of_now() -> None:
    """`make docs` makes them anew."""
    assert [name for name, text in docs.documents(CATALOGUE) if (docs.HOME / name).read_text() != text] == []


def test_the_table_leads_from_each_cause_to_what_can_be_alerted_on() -> None:
    metrics = {metric.name for metric in CATALOGUE.metrics}
    for given in readme._shipped():
        assert given.keys() <= {"cause", "answer", "this", "findings", "metrics", "instead"}
        assert given.get("findings") or given.get("instead"), given["cause"]
        assert set(given.get("metrics", ())) <= metrics
        for finding in given.get("findings", ()):
            assert CATALOGUE.rules[finding].severity is not Severity.INFO, f"{finding} is no series"


def test_only_the_helo_name_causes_the_error_it_all_began_with() -> None:
    (cause,) = [given for given in readme._shipped() if given.get("this")]
    assert cause["answer"] == "`501 5.5.4`"
    assert all(finding.startswith(("helo.", "ehlo_probe.")) for finding in cause["findings"])


def test_the_readme_has_every_check_with_a_link_to_all_of_it() -> None:
    ((_, *rows),) = cells(readme.checks(CATALOGUE))
    told = [re.fullmatch(r"\[`(\w+)`\]\((.+)#(\w+)\)", row[0]) for row in rows]
    assert [found.groups() for found in told if found] == [(it, PAGE, it) for it in CATALOGUE.checks]
    for row, check in zip(rows, CATALOGUE.checks.values(), strict=True):
        assert row[1] == check.question
        assert all(kind.NOUN in row[2] for kind in check.over)


@pytest.mark.parametrize("name", readme.TABLES)
def test_a_table_is_one(name: str) -> None:
    (rows,) = cells(readme.TABLES[name](CATALOGUE))
    assert {len(row) for row in rows} == {len(rows[0])}
    assert len(rows) == 1 + {"checks": len(CATALOGUE.checks), "causes": len(readme._shipped())}[name]


def test_only_what_is_between_the_marks_is_made_anew() -> None:
    text = "before\n" + "between\n".join(f"{begin}stale words\n{end}" for begin, end in map(marks, readme.TABLES))
    new = readme.renewed(f"{text}after\n", CATALOGUE)
    assert new.startswith(f"before\n{marks('checks')[0]}")
    assert f"{marks('checks')[1]}between\n{marks('causes')[0]}" in new
    assert new.endswith(f"{marks('causes')[1]}after\n")
    assert "stale words" not in new
    assert readme.renewed(new, CATALOGUE) == new
    with pytest.raises(ValueError, match="wants the lines"):
        readme.renewed(text.replace(marks("causes")[1], ""), CATALOGUE)
