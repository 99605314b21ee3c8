"""Every finding: what it says, what it does to mail, how to fix it, and what receivers answer."""

from __future__ import annotations

from exporter.engine.catalogue import Catalogue, CatalogueEntry
from exporter.facts import Rule, Severity
from exporter.publish.findings import alerts, name
from exporter.publish.thresholds import Thresholds
from tools.reference.markdown import MADE, code, codes, joined, plain, sentence, table

_HEAD = """\
A finding is a fact about a target that matters to its mail. Words in braces stand for what was found; the page of the
target shows it, with the questions that were asked and their answers. The running exporter has the same texts at
`/findings/ID`, and `deliverability-exporter explain ID` prints them. With a refusal in hand, begin with
`deliverability-exporter explain "THE REPLY"`.

| Severity | Means |
| --- | --- |
| critical | mail is being refused now |
| warning | it will be, or is distrusted; the check fails as well |
| info | worth knowing: it is shown on pages alone, no check fails because of it, and it is no series |

`severities` in the configuration judges one otherwise, and `accept` on an entry lives with it for a while:
[config.md](config.md). Those of severity critical and warning are `deliverability_finding{finding="ID"}`, and have an
alert in [prometheus/alerts.yml](../../prometheus/alerts.yml)."""


def page(known: Catalogue) -> str:
    rows = [
        (
            f"[{code(entry.check.id)}](#{entry.check.id})",
            plain(entry.check.question),
            *(str(sum(rule.severity is severity for rule in entry.rules)) for severity in Severity),
        )
        for entry in known.entries
    ]
    return joined(
        "# Findings",
        MADE,
        _HEAD,
        table(("Check", "Question", *map(str, Severity)), rows),
        *(_check(entry) for entry in known.entries),
    )


def _check(entry: CatalogueEntry) -> str:
    alerting = {alert.name for alert in alerts(entry, Thresholds())}
    return joined(
        f"## {entry.check.id}",
        f"{plain(entry.check.question)} ([the check](checks.md#{entry.check.id}))",
        *(_finding(rule, alerting) for rule in sorted(entry.rules, key=lambda rule: rule.id)),
    )


def _finding(rule: Rule, alerting: set[str]) -> str:
    """The id is the anchor, too: links need not know how a heading becomes one."""
    lines = [f"- To do: {plain(rule.fix)}"]
    lines += [f"- Receivers: {code(refusal)}" for refusal in rule.refusals]
    lines += [f"- One for each: {codes(rule.subjects)}"] if rule.subjects else []
    lines += [f"- Alert: {code(name(rule))}"] if name(rule) in alerting else []
    lines += [f"- Source: {plain(rule.ref)}"]
    return joined(
        f'<a id="{rule.id}"></a>',
        f"### {rule.id}",
        f"**{rule.severity}**: {plain(sentence(rule.says))}",
        plain(rule.why),
        "\n".join(lines),
    )
