"""Makes the alerts about findings: two for all of them, or one for each.

The problem: `for` alone starts again after a restart of Prometheus, and after each failed scrape. A fault could stay
for days without an alert.

The idea: the exporter says since when a confirmed finding stands, and the alert compares this age with a threshold.
So no `for` is needed: one bad look is not confirmed, and pages nobody.

The rules:

- The severity is a label of the series. If the operator changes it in the exporter's configuration, or accepts a
  finding, these rules need no change.
- The texts come from the series `deliverability_finding_info`, so a new check changes no rule.
- The label `deliverability_scope` (target, exporter or mute) is for inhibition in data/alertmanager.yml.
- Findings about the resolver have an alert in eyes.py. Those of a check that `concludes` have none: they repeat others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from exporter.engine.catalogue import Catalogue, CatalogueEntry
from exporter.engine.families import FLAPPING, INFO
from exporter.explain.notices import NoticeText, notice
from exporter.facts import Rule
from exporter.publish import links
from exporter.publish.alert import ANY, ANY_PAGE, PREFIX, SCRAPED, WHO, Alert, Way, anywhere, page, who
from exporter.publish.promql import none_of, pattern
from exporter.publish.records import AGE
from exporter.publish.thresholds import Thresholds, seconds
from exporter.targets import OwnResolver

SEVERITIES = ("critical", "warning")


def name(rule: Rule) -> str:
    """`spf.too-many-lookups` as DeliverabilitySpfTooManyLookups."""
    return PREFIX + "".join(word.capitalize() for word in re.split(r"[._-]", rule.id))


def generic(known: Catalogue, given: Thresholds) -> Iterator[Alert]:
    """Two alerts for all findings, told apart by their labels `finding` and `check`."""
    yield from _of_all(given, none_of("check", [it.check.id for it in known.entries if not _alerts(it)]))


def _of_all(given: Thresholds, others: str) -> Iterator[Alert]:
    for severity in SEVERITIES:
        yield _alert(
            given,
            f"{PREFIX}{severity.capitalize()}",
            _old_enough(given, {"severity": severity}, others),
            NoticeText("{{ $labels.finding }}", "", ""),
            "{{ $labels.finding }}",
        )


def each(known: Catalogue, given: Thresholds) -> Iterator[Alert]:
    """One alert for each finding that is critical or a warning, by check. The two generic ones have the rest.

    The rest are findings that are only worth knowing, unless the operator's `severities` say otherwise.
    """
    for entry in known.entries:
        for rule in sorted(alerting(entry), key=lambda rule: rule.id):
            expr = "\nor\n".join(
                _old_enough(given, {"finding": rule.id, "check": entry.check.id, "severity": severity})
                for severity in SEVERITIES
            )
            ways = [way for kind in entry.check.over for way in kind.identities()]
            yield _alert(given, name(rule), expr, notice(rule), rule.id, ways, rule.subjects)
    rest = [rule for entry in known.entries if _alerts(entry) for rule in entry.rules if not rule.severity.fails]
    yield from _of_all(given, f'finding=~"{pattern(rest)}"')


def flapping(given: Thresholds) -> Alert:
    return Alert(
        f"{PREFIX}FindingFlapping",
        expr=f"max without ({SCRAPED}) (max_over_time({FLAPPING}[{given.gap}])) == 1",
        summary=f"{{{{ $labels.finding }}}} comes and goes: {WHO}",
        description=(
            "Its results change from run to run. What to do: compare the servers that answer; one of them may have "
            f"old data. {anywhere(given)}{ANY_PAGE}"
        ),
        runbook=links.runbook(given, links.FINDING, anywhere(given)),
        severity="warning",
        scope="target",
        keep_firing_for="1h",
    )


def alerting(entry: CatalogueEntry) -> list[Rule]:
    """What has an alert of its own in the style of each."""
    return [rule for rule in entry.rules if rule.severity.fails] if _alerts(entry) else []


def _alerts(entry: CatalogueEntry) -> bool:
    return not entry.check.concludes and entry.check.over != (OwnResolver,)


def _alert(
    given: Thresholds,
    title: str,
    expr: str,
    text: NoticeText,
    finding: str,
    ways: Sequence[Way] = ANY,
    subjects: Way = (),
) -> Alert:
    """Without a text it is looked up in the series with the texts; so is the exporter that links lead to.

    `ways` are those in which its target can have labels. All findings of it have the `subjects`, too.
    """
    at = given.exporter_url or f"http://{_LOOKED_UP.format('instance')}"
    runbook = links.runbook(given, finding, at)
    said, todo = text.title, f"{text.impact} {text.fix} "
    if not text.fix:
        said = f"{{{{ with {_QUERY} }}}}{_LOOKED_UP.format('title')}{{{{ else }}}}{finding}{{{{ end }}}}"
        todo = f"{_LOOKED_UP.format('impact')} {_LOOKED_UP.format('fix')} "
    return Alert(
        title,
        expr=f"max without ({SCRAPED}) (\n{expr}\n)",
        summary=f"{said}: {who(*((*way, *subjects) for way in ways))}",
        description=_with_series(f"{todo}{at}{page(*ways)}", "The page of the target says what to do."),
        runbook=_with_series(runbook, _SOMEWHERE),
        scope="target",
        keep_firing_for=given.keep_firing,
    )


# Of the same job, since another one may look at other targets.
_QUERY = f'query (printf "{INFO}{{finding=%q,job=%q}}" $labels.finding $labels.job)'
_LOOKED_UP = "{{{{ (first .).Labels.{} }}}}"
_SOMEWHERE = "https://prometheus.io/docs/practices/alerting/"


def _with_series(text: str, otherwise: str) -> str:
    """The text, if it looks something up in the series with the texts, and something else if that is not there."""
    return f"{{{{ with {_QUERY} }}}}{text}{{{{ else }}}}{otherwise}{{{{ end }}}}" if "(first .)" in text else text


def _old_enough(given: Thresholds, own: dict[str, str], *matchers: str) -> str:
    """The ages that count, each held to the first threshold that fits it. `own` are labels that all of them have."""
    inside = ",".join([*(f'{label}="{value}"' for label, value in own.items()), *matchers])
    default = getattr(given, f"{own['severity']}_after")
    before: list[str] = []
    bands: list[str] = []
    for other in given.findings:
        if any(own.get(label, value) != value for label, value in other.labels):
            continue
        more = ",".join(f'{label}="{value}"' for label, value in other.labels if label not in own)
        these = f"{AGE}{{{','.join(filter(None, (inside, more)))}}}"
        if other.after:
            bands.append(f"{_unless(these, before)} >= {seconds(other.after)}")
        before.append(these)
    bands.append(f"{_unless(f'{AGE}{{{inside}}}', before)} >= {seconds(default)}")
    return "\nor\n".join(bands)


def _unless(these: str, before: list[str]) -> str:
    return f"({' unless '.join((these, *before))})" if before else these
