"""Each check: its question, its targets, its interval, its findings and its metrics."""

from __future__ import annotations

from datetime import timedelta

from exporter.config.settings import EVERY
from exporter.config.values import written
from exporter.engine.catalogue import Catalogue, CatalogueEntry
from exporter.explain import examples
from exporter.facts import Rule, Severity
from exporter.model import Check, Door
from exporter.publish.markdown import code, codes, joined, plain, table
from tools.reference.made import MADE

_HEAD = """\
A check asks one question about one kind of target, every so often. What it comes to is *pass*, *fail* or *unknown* with
a reason; [metrics.md](metrics.md) tells which series say so, and [findings](findings/README.md) what each finding
means. Only findings of severity critical or warning fail a check.

`schedule` in the configuration sets another interval. `checks: {NAME: {enabled: false}}` switches a check off, in
general or on one entry: [config.md](config.md)."""

_ORDER = tuple(Severity)


def page(known: Catalogue) -> str:
    rows = [
        (
            f"[{code(entry.check.id)}](#{entry.check.id})",
            plain(entry.check.question),
            written(every(entry.check)),
            str(len(entry.rules)),
        )
        for entry in known.entries
    ]
    return joined(
        "# Checks",
        MADE,
        _HEAD,
        table(("Check", "Question", "Every", "Findings"), rows),
        *(_check(entry) for entry in known.entries),
    )


def by_severity(rule: Rule) -> tuple[int, str]:
    """Worst first."""
    return _ORDER.index(rule.severity), rule.id


def every(check: Check) -> timedelta:
    """How often it asks, unless the configuration says otherwise."""
    return check.interval or EVERY


def _check(entry: CatalogueEntry) -> str:
    check = entry.check
    found = [
        (f"[{code(rule.id)}](findings/{entry.check.id}.md#{rule.id})", str(rule.severity), plain(examples.fact(rule)))
        for rule in sorted(entry.rules, key=by_severity)
    ]
    measured = [(code(m.name), codes(m.labels), plain(m.help)) for m in entry.metrics]
    return joined(
        f"## {check.id}",
        f"**{plain(check.question)}**",
        "\n".join(_about(check)),
        table(("Finding", "Severity", "What it says"), found),
        table(("Metric", "Own labels", "Meaning"), measured) if measured else "",
    )


def _about(check: Check) -> list[str]:
    kinds = [f"{it.NOUN} (labels: {codes(it.LABELS)})" if it.LABELS else it.NOUN for it in check.over]
    pace = code("schedule.default") if check.interval is None else code(f"schedule.{check.id}")
    least = (
        f", and never sooner than {written(check.min_interval)}" if check.min_interval > timedelta(seconds=1) else ""
    )
    lines = [
        *(f"- Target: {kind}." for kind in kinds),
        f"- Every {written(every(check))}, unless {pace} says otherwise{least}.",
        f"- A run that has not ended after {written(check.timeout)} is unknown, reason `deadline`.",
    ]
    if Door.SMTP in check.doors:
        lines.append("- It speaks SMTP, and so does not run before `smtp.helo_name` is set.")
    return lines
