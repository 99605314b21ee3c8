"""Panels that several dashboards share: findings, verdicts, doubts, listings and record changes."""

from __future__ import annotations

from exporter import receivers
from exporter.engine.catalogue import Catalogue
from exporter.publish.grafana.board import TOLD, Links, of, owned
from exporter.publish.grafana.panels import (
    ANY_IS_A_WARNING,
    ANY_IS_BAD,
    ANY_IS_DOUBT,
    BAD,
    DOUBT,
    GOOD,
    NOTICE,
    PLAIN,
    SEVERITIES,
    VERDICTS,
    WARN,
    WHEN,
    Column,
    Json,
    stat,
    table,
)
from exporter.publish.promql import checks, looking_at, one_of
from exporter.targets import Delivery, ListHealth

SHOWN = 100  # rows of each severity: a table stays one whatever the fleet
FEW = 20

FINDING = "deliverability_finding"
SINCE = "deliverability_finding_since_timestamp_seconds"
UNKNOWN = "deliverability_check_unknown"
JUDGED = "deliverability_check_last_conclusive_timestamp_seconds"

OK = "deliverability_check_ok"
REASON = "deliverability_check_unknown_reason"
CHANGED = "deliverability_record_changed_timestamp_seconds"

WORST = {"3": ("critical", BAD), "2": ("warning", WARN), "1": ("cannot tell", DOUBT), "0": ("pass", GOOD)}


def total(metric: str, matchers: str = "", targets: str = "") -> str:
    """The total. It is 0 only if there are targets; without their series there is no data."""
    return f"sum({of(metric, matchers)}) or 0 * sum({of(UNKNOWN, targets)})"


def worst(by: str, matchers: str) -> str:
    """The worst state of each, as in WORST. It is pass only if the check has a conclusive result and no finding."""
    unknown = of(UNKNOWN, matchers)
    critical, warning = (of(FINDING, f'{matchers},severity="{severity}"') for severity in SEVERITIES)
    return (
        f"3 * max by ({by}) ({critical}) or 2 * max by ({by}) ({warning})"
        f" or max by ({by}) ({unknown} == 1) or 0 * max by ({by}) ({unknown})"
    )


def numbers(matchers: str) -> list[tuple[int, Json]]:
    """The state in four numbers, 12 columns wide."""
    critical, warning = (total(FINDING, f'{matchers},severity="{severity}"', matchers) for severity in SEVERITIES)
    return [
        (3, stat("State", "The worst that is known.", worst("", matchers), texts=WORST)),
        (3, stat("Critical", "Findings because of which mail is being refused or lost.", critical, steps=ANY_IS_BAD)),
        (
            3,
            stat("Warnings", "Findings because of which it is or will be distrusted.", warning, steps=ANY_IS_A_WARNING),
        ),
        (
            3,
            stat(
                "Cannot tell",
                "Checks whose latest run could not tell, or has not ended yet. Not counted as good.",
                f"sum({of(UNKNOWN, matchers)})",
                steps=ANY_IS_DOUBT,
            ),
        ),
    ]


def unmet(known: Catalogue, matchers: str = "") -> str:
    """Demands that are not met, with the receiver's name as a label, also those of a run in doubt."""
    found = of(FINDING, ",".join(filter(None, (looking_at(known, Delivery), matchers))))
    named = "|".join(checks(known, Delivery))
    for name in sorted(receivers.shipped(), key=len):  # gmail before gmail_bulk, whose findings begin alike
        start = f"{named}[.]{name.replace('_', '-')}-.+"
        found = f'label_replace({found}, "receiver", "{name}", "finding", "{start}")'
    return found


def active(matchers: str, most: int = SHOWN) -> str:
    """The latest findings of each severity. Value: since when, in milliseconds."""
    since = f"{of(FINDING, matchers)} * ignoring (severity) group_left () {of(SINCE, matchers)}"
    return f"topk by (severity) ({most}, {since}) * 1000"


def findings(title: str, says: str, matchers: str, links: Links, *, owner: bool = False) -> Json:
    """`owner`: with the label that the variable of this name names."""
    labels = {
        "severity": Column("Severity", width=90, texts=SEVERITIES),
        "finding": Column("Finding", width=270, links=(links.runbook(),)),
        "target": Column("Target", links=links.target()),
        **TOLD,
    }
    found = links.labelled(active(matchers))
    if owner:
        labels["owner"] = Column("Owner", width=130)
        found = owned(found)
    expr = f"max by ({', '.join(labels)}) ({found})"
    return table(
        title,
        says,
        labels,
        {"since": (expr, Column("Since", width=140, unit=WHEN))},
        sort=[("Severity", False), ("Since", True)],
    )


def verdicts(matchers: str, links: Links) -> Json:
    labels = {
        "check": Column("Check", width=130),
        "target": Column("Target", links=links.target()),
        "reason": Column("Reason", width=130),
        **TOLD,
    }
    ok = of(OK, matchers)
    verdict = f"{ok} == 0 or ignoring (reason) 2 * {of(REASON, matchers)} or ignoring (reason) {ok}"
    known = ", ".join(label for label in labels if label != "reason")
    return table(
        "Verdicts",
        "Of each check. Proven bad stays fail while the latest run cannot tell; what was good and cannot be told any "
        "more is shown as that, with the reason.",
        labels,
        {
            "verdict": (
                f"max by ({known}, reason) ({links.labelled(f'({verdict})')})",
                Column("Verdict", width=100, texts=VERDICTS),
            ),
            "judged": (
                f"max by ({known}) ({links.labelled(f'{of(JUDGED, matchers)} * 1000')})",
                Column("Not known since", width=140, unit=WHEN, texts={"0": ("never known", PLAIN)}),
            ),
        },
        sort=[("Verdict", False), ("Check", False)],
    )


def listed(known: Catalogue) -> str:
    """The findings that say that something is on a blocklist, and on which one."""
    return one_of("finding", [rule.id for rule in known.rules.values() if ListHealth.LABELS[0] in rule.subjects])


def listings(known: Catalogue, links: Links) -> Json:
    labels = {
        "blocklist": Column("Blocklist", width=180),
        "target": Column("Listed", links=links.target()),
        **TOLD,
    }
    since = of(SINCE, listed(known))
    found = links.labelled(f"topk({SHOWN}, {since}) * 1000")
    return table(
        "Listed",
        f"Addresses and domains on blocklists, the latest first; at most {SHOWN}.",
        labels,
        {"since": (f"min by ({', '.join(labels)}) ({found})", Column("Since", width=140, unit=WHEN))},
        sort=[("Since", True)],
    )


def changes(links: Links, matchers: str = "") -> Json:
    labels = {
        "check": Column("Record of", width=130),
        "target": Column("Target", links=links.target()),
        **TOLD,
    }
    changed = links.labelled(f"topk({FEW}, {of(CHANGED, matchers)}) * 1000")
    return table(
        "Records changed last",
        f"What the {FEW} latest changes were is on the target's page. Empty: none has changed for 30 days.",
        labels,
        {"when": (f"max by ({', '.join(labels)}) ({changed})", Column("Changed", width=140, unit=WHEN))},
        sort=[("Changed", True)],
    )


def untold(links: Links, matchers: str = "") -> Json:
    labels = {
        "check": Column("Check", width=130),
        "target": Column("Target", links=links.target()),
        "reason": Column("Reason", width=160),
        **TOLD,
    }
    untold = f"{of(REASON, matchers)} * ignoring (reason) group_left () {of(JUDGED, matchers)}"
    return table(
        "Cannot tell now",
        f"Those without an answer for longest first; at most {SHOWN}. 1970 is never.",
        labels,
        {
            "judged": (
                f"max by ({', '.join(labels)}) ({links.labelled(f'bottomk({SHOWN}, {untold}) * 1000')})",
                Column("Last result", width=140, unit=WHEN, texts={"0": ("never", PLAIN)}),
            )
        },
        sort=[("Last result", False)],
    )


def days_left(days: int) -> tuple[tuple[float | None, str], ...]:
    return ((None, BAD), (0, WARN), (days, NOTICE), (2 * days, GOOD))
