"""Panels that several dashboards share: findings, traffic lights, unknown checks, listings and record changes."""

from __future__ import annotations

from exporter import receivers
from exporter.engine.catalogue import Catalogue
from exporter.engine.families import FINDING, LAST_CONCLUSIVE, REASON, RECORD_CHANGED, SINCE, UNKNOWN
from exporter.publish.grafana.links import TOLD, Links
from exporter.publish.grafana.panels import (
    ANY_IS_A_WARNING,
    ANY_IS_BAD,
    ANY_IS_DOUBT,
    BAD,
    GOOD,
    NOTICE,
    PLAIN,
    SEVERITIES,
    STATES,
    UNCONFIRMED,
    WARN,
    WHEN,
    Column,
    Json,
    stat,
    table,
)
from exporter.publish.grafana.queries import (
    CRITICAL,
    ENDED,
    WARNING,
    Selecting,
    active,
    apart,
    asking,
    both,
    led,
    of,
    owned,
    worded,
)
from exporter.publish.promql import checks, looking_at, one_of
from exporter.targets import Delivery, ListHealth

SHOWN = 100  # rows of each severity: a table stays one whatever the fleet
FEW = 20

SEVERITY = Column("Severity", width=90, texts=SEVERITIES, filled=True)
STATE = Column("State", width=90, texts=STATES, filled=True)


def numbers(select: Selecting, targets: str, matchers: str = "") -> list[tuple[int, Json]]:
    """The state in three numbers, 12 columns wide. `matchers` of the findings that are counted.

    `targets` matches checks of the same: the numbers are 0 only if there are some, and else there is no data.
    """

    def counted(expr: str) -> str:
        return f"count({apart(expr)}) or 0 * count({of(UNKNOWN, targets)})"

    return [
        (
            4,
            stat(
                "Critical findings",
                "Findings because of which mail is being refused or lost, confirmed or not.",
                counted(select(asking(FINDING, matchers, CRITICAL))),
                steps=ANY_IS_BAD,
            ),
        ),
        (
            4,
            stat(
                "Warning findings",
                "Findings because of which it is or will be distrusted, confirmed or not.",
                counted(select(asking(FINDING, matchers, WARNING))),
                steps=ANY_IS_A_WARNING,
            ),
        ),
        (
            4,
            stat(
                "Unknown",
                "Checks whose latest run got no usable answer. Not counted as good. First runs are pending, not here.",
                counted(select(asking(REASON, ENDED))),
                steps=ANY_IS_DOUBT,
            ),
        ),
    ]


def findings(
    title: str,
    says: str,
    select: Selecting,
    links: Links,
    *,
    matchers: str = "",
    most: int = SHOWN,
    owner: bool = False,
) -> Json:
    """The latest ones, with words. `owner`: with the label that the variable of this name names."""
    labels = {
        "severity": SEVERITY,
        "title": Column("What is wrong", width=290, links=(links.runbook(),), wrapped=not owner),
        "target": Column("Where", width=0 if owner else 300, links=links.target()),
        **(
            {"owner": Column("Owner", width=130)}
            if owner
            else {"impact": Column("What it does to mail", width=280, wrapped=True)}
        ),
        **({} if owner else {"fix": Column("What to do", wrapped=True)}),
        "finding": Column("finding", hidden=True),
        **TOLD,
    }
    found = worded(links.labelled(active(select, most, matchers)))
    expr = f"max by ({', '.join(labels)}) ({owned(found) if owner else found})"
    return table(
        title,
        says,
        labels,
        {"since": (expr, Column("Since", width=140, unit=WHEN, texts=UNCONFIRMED))},
        sort=[("Severity", False), ("Since", True)],
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
    found = links.labelled(f"topk({SHOWN}, {led(of(SINCE, listed(known)))}) * 1000")
    return table(
        "Listed",
        f"Addresses and domains on blocklists, once confirmed, the latest first; at most {SHOWN}.",
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
    changed = links.labelled(f"topk({FEW}, {led(of(RECORD_CHANGED, matchers))}) * 1000")
    return table(
        "Records changed last",
        f"What the {FEW} latest changes were is on the target's page. Empty: none has changed for 30 days.",
        labels,
        {"when": (f"max by ({', '.join(labels)}) ({changed})", Column("Changed", width=140, unit=WHEN))},
        sort=[("Changed", True)],
    )


def untold(links: Links, select: Selecting, most: int = SHOWN) -> Json:
    labels = {
        "check": Column("Check", width=90),
        "target": Column("Target", links=links.target()),
        "reason": Column("Reason", width=110),
        **TOLD,
    }

    def asked(matchers: str) -> str:
        reasons, conclusive = of(REASON, both(matchers, ENDED)), of(LAST_CONCLUSIVE, matchers)
        return f"({reasons} * ignoring (reason) group_left () {conclusive})"

    asked_last = f"bottomk({most}, {led(select(asked))}) * 1000"
    return table(
        "Unknown now",
        f"Checks whose latest run got no usable answer, those without one for longest first; at most {most}.",
        labels,
        {
            "judged": (
                f"max by ({', '.join(labels)}) ({links.labelled(asked_last)})",
                Column("Last result", width=110, unit=WHEN, texts={"0": ("never", PLAIN)}),
            )
        },
        sort=[("Last result", False)],
    )


def unmet(known: Catalogue, matchers: str = "") -> str:
    """Demands that are not met, with the receiver's name as a label, also those of a run in doubt."""
    found = led(of(FINDING, both(looking_at(known, Delivery), matchers)))
    named = "|".join(checks(known, Delivery))
    for name in sorted(receivers.shipped(), key=len):  # gmail before gmail_bulk, whose findings begin alike
        start = f"{named}[.]{name.replace('_', '-')}-.+"
        found = f'label_replace({found}, "receiver", "{name}", "finding", "{start}")'
    return found


def days_left(days: int) -> tuple[tuple[float | None, str], ...]:
    return ((None, BAD), (0, WARN), (days, NOTICE), (2 * days, GOOD))
