"""Makes the published files from the catalogue: alert rules, dashboards, the Alertmanager configuration, finding pages.

Each part is a function from the catalogue to its files. `publish DIR` writes all of them. The same files are committed
in the project, and a test compares them with the code. tools/ makes the project's own documents.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from string import Template

from exporter.engine.catalogue import Catalogue
from exporter.facts import Dead
from exporter.publish import alert_page, finding_pages, rules
from exporter.publish.grafana import dashboards
from exporter.publish.promql import checks, none_of, pattern
from exporter.publish.rules import Format, Style
from exporter.publish.thresholds import Thresholds
from exporter.targets import Registration, Reputation

ALERTMANAGER = Path(__file__).parents[1] / "data" / "alertmanager.yml"


def files(
    known: Catalogue, given: Thresholds, style: Style = Style.GENERIC, format_: Format = Format.PROMETHEUS
) -> Iterator[tuple[str, str]]:
    """Path below the directory, and content, of everything."""
    for name, text in rules.files(known, given, style, format_):
        yield f"prometheus/{name}", text
    yield "prometheus/thresholds.yml", given.text()
    yield "alertmanager/alertmanager.yml", routes(known, given)
    yield from dashboards(known, given)
    yield from finding_pages.pages(known)
    yield from alert_page.pages(known, given)


def routes(known: Catalogue, given: Thresholds) -> str:
    """What a domain's registration and listings say does not follow from its death: it may be why it died."""
    dead = {kind: pattern(rule for rule in known.rules.values() if rule.implies is kind) for kind in Dead}
    return Template(ALERTMANAGER.read_text("utf-8")).substitute(
        not_causes=none_of("check", checks(known, Registration, Reputation)),
        dead_domain=dead[Dead.DOMAIN],
        dead_zone=dead[Dead.ZONE],
        by_job=given.by_job,
        by_exporter=given.by_exporter,
    )


def write(
    directory: Path,
    known: Catalogue,
    given: Thresholds,
    style: Style = Style.GENERIC,
    format_: Format = Format.PROMETHEUS,
) -> Iterator[Path]:
    """Write everything below the directory; yield what has been written. Raise OSError where that cannot be."""
    for name, text in files(known, given, style, format_):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        yield path
