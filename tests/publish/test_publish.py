"""What is made from the catalogue and kept in files is what the catalogue says now."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter import publish
from exporter.engine import catalogue
from exporter.model import Severity
from exporter.publish import readme
from exporter.publish.readme import BEGIN, END
from exporter.publish.thresholds import Thresholds

CATALOGUE = catalogue.load()
HOME = Path(__file__).parents[2]
README = HOME / "README.md"


def test_what_is_kept_in_the_project_is_what_this_version_publishes() -> None:
    """`make docs` makes it anew."""
    stale = [name for name, text in publish.files(CATALOGUE, Thresholds()) if (HOME / name).read_text() != text]
    assert stale == []


def test_the_readme_has_the_table_of_now() -> None:
    """`make docs` makes it anew."""
    text = README.read_text()
    assert readme.renewed(text, CATALOGUE) == text


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


def test_the_table_is_one() -> None:
    rows = readme.causes(CATALOGUE).splitlines()
    assert len({row.replace("\\|", "").count("|") for row in rows}) == 1
    assert len(rows) == len(readme._shipped()) + 2


def test_only_what_is_between_the_marks_is_made_anew() -> None:
    text = f"before\n{BEGIN}\nstale words\n{END}\nafter\n"
    new = readme.renewed(text, CATALOGUE)
    assert new.startswith(f"before\n{BEGIN}\n")
    assert new.endswith(f"{END}\nafter\n")
    assert "stale words" not in new
    assert readme.renewed(new, CATALOGUE) == new
    with pytest.raises(ValueError, match="wants the lines"):
        readme.renewed("no marks", CATALOGUE)
