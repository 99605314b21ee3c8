"""The first dashboard to look at: what is wrong now, in words and by finding, whose it is, and whether it gets better.

It is refreshed for everybody who looks at it. So its queries read totals, and series that exist only while something is
wrong; bench/dashboards.py measures them.
"""

from __future__ import annotations

from exporter.engine.catalogue import Catalogue
from exporter.engine.families import CHECKS, FINDING, OVERDUE, PROBLEMS, REASON
from exporter.model import TARGET_LABELS
from exporter.publish.alert import PREFIX
from exporter.publish.grafana.board import Board, choice, every, row
from exporter.publish.grafana.links import TOLD, Links, alerts
from exporter.publish.grafana.panels import (
    ANY_IS_A_WARNING,
    ANY_IS_BAD,
    ANY_IS_DOUBT,
    BAD,
    DOUBT,
    UNCONFIRMED,
    WAITING,
    WARN,
    WHEN,
    Column,
    Json,
    bars,
    series,
    stat,
    table,
)
from exporter.publish.grafana.parts import (
    FEW,
    SEVERITY,
    SHOWN,
    changes,
    findings,
    listings,
    untold,
)
from exporter.publish.grafana.queries import (
    CRITICAL,
    ENDED,
    HERE,
    JOB,
    WARNING,
    WORDS,
    among,
    both,
    causes,
    grouped,
    of,
    once,
    owned,
    total,
)
from exporter.publish.grafana.soon import accepted, certificates, registrations
from exporter.publish.records import EXPORTERS
from exporter.publish.slo import RATIO
from exporter.publish.thresholds import Thresholds

# Labels that are not an operator's own, and so are no owner; `check` stays, for those who have declared none.
_NOT_OWNERS = "|".join(("__name__", "job", "instance", "finding", "severity", *WORDS, *TARGET_LABELS))
_MINE = '$owner=~"$only"'
_FINDINGS = "deliverability_(finding|check_interval_seconds)"  # small, and one of them is always there
DAYS = 30


def fleet(known: Catalogue, given: Thresholds) -> Board:
    links = Links(known, given)
    mine = both(causes(known), _MINE)
    return Board(
        "fleet",
        "Deliverability / Fleet",
        "What is wrong now, whose it is, and whether it gets better. From here to each domain, address and mail host.",
        variables=[
            choice(
                "owner",
                "By",
                f"label_names({_FINDINGS})",
                regex=f"/^(?!(?:{_NOT_OWNERS})$).+/",
                current={"text": "team", "value": "team"},
                description="One of your own label_names, or check",
            ),
            every(
                "only",
                "Only",
                f"label_values({FINDING}{{{HERE}}}, $owner)",
                allValue=".*",
                description="Whose findings the tables of findings show; the numbers above them are those of all",
            ),
        ],
        panels=[
            (4, _numbers()),
            (16, [(24, _wrong(mine, links))]),
            (9, [(7, _owners(mine)), (17, _latest(mine, links))]),
            (8, [(10, _trend()), (4, _goal()), (10, _goal_line())]),
            row("Unknown, or not checked"),
            (8, [(5, _unknown()), (9, _doubts()), (10, untold(links, among(_MINE), FEW))]),
            row("Soon, and lately"),
            (8, [(8, certificates(given, links)), (8, registrations(given, links)), (8, changes(links))]),
            (8, [(12, listings(known, links)), (12, accepted(links))]),
        ],
        changes='check!=""',
    )


def _status(status: str) -> str:
    return f'status="{status}"'


def _numbers() -> list[tuple[int, Json]]:
    real = f'{JOB},alertname=~"{PREFIX}.*",alertstate="firing",severity!="none",deliverability_scope!="mute"'
    firing = f"count(ALERTS{{{real}}})"
    numbers = [
        stat(
            "Critical",
            "Problems because of which mail is being refused or lost. What one change repairs is one problem, as on "
            "the exporter's own pages.",
            total(PROBLEMS, CRITICAL),
            steps=ANY_IS_BAD,
            links=(alerts(f"{PREFIX}Critical"),),
        ),
        stat(
            "Warnings",
            "Problems because of which mail is distrusted, or will be refused if nothing is done.",
            total(PROBLEMS, WARNING),
            steps=ANY_IS_A_WARNING,
            links=(alerts(f"{PREFIX}Warning"),),
        ),
        stat(
            "Unknown",
            "Checks of targets whose latest run got no usable answer. Not counted as good. What is late or pending is "
            "not counted here for that.",
            total(CHECKS, _status("unknown")),
            steps=ANY_IS_DOUBT,
        ),
        stat(
            "Pending",
            "Checks of targets whose first run has not ended. A few minutes after a start this is 0.",
            total(CHECKS, _status("pending")),
        ),
        stat(
            "Late",
            "Checks of targets that had no run for two intervals. What is shown of them is old. They are not unknown "
            "for that.",
            once(OVERDUE),
            steps=ANY_IS_A_WARNING,
        ),
        stat(
            "Passing",
            "Part of all checks of targets. What is unknown or pending does not pass.",
            f"({total(CHECKS, _status('pass'))}) / {once(CHECKS)}",
            unit="percentunit",
            decimals=1,
        ),
        stat(
            "Alerts firing",
            "In Prometheus, of the rules that the exporter publishes. No data: these rules are not loaded.",
            f"{firing} or 0 * sum({EXPORTERS}{{{JOB}}})",
            steps=ANY_IS_BAD,
            links=(alerts(),),
        ),
        stat(
            "Exporters down",
            "That Prometheus cannot scrape. What they knew is missing from everything here.",
            f"count({of('up')} == 0) or 0 * count({of('up')})",
            steps=ANY_IS_BAD,
        ),
    ]
    return [(3, number) for number in numbers]


def _wrong(mine: str, links: Links) -> Json:
    labels = {
        "severity": SEVERITY,
        "title": Column("What is wrong", width=300, links=(links.runbook(), alerts()), wrapped=True),
        "impact": Column("What it does to mail", width=280, wrapped=True),
        "fix": Column("What to do", wrapped=True),
        "finding": Column("finding", hidden=True),
        "instance": TOLD["instance"],
    }
    shown = grouped(mine)
    by = ", ".join(labels)
    return table(
        "Wrong now",
        "Each kind of finding once: how many problems it makes, at how many targets, and since when. Empty is good "
        "news only if the numbers above are 0 and not absent.",
        labels,
        {
            "problems": (f"max by ({by}) ({shown['problems']})", Column("Problems", width=85)),
            "targets": (f"max by ({by}) ({shown['targets']})", Column("Targets", width=80)),
            "since": (
                f"max by ({by}) ({shown['since']})",
                Column("First seen", width=140, unit=WHEN, texts=UNCONFIRMED),
            ),
        },
        sort=[("Severity", False), ("Targets", True)],
    )


def _latest(mine: str, links: Links) -> Json:
    return findings(
        "Newest",
        "The latest findings of each severity, and those that further looks have not confirmed yet: alerts wait "
        "for that. A title leads to the fix, a target to its dashboard and evidence.",
        among(""),
        links,
        matchers=mine,
        most=FEW,
        owner=True,
    )


def _owners(mine: str) -> Json:
    def by(metric: str, *matchers: str) -> str:
        counted = once(metric, both(*matchers), "$owner")
        return f"topk({SHOWN}, sum by (owner) ({owned(counted)}))"

    return table(
        "Findings by $owner",
        "Findings and unknown checks by the label that is chosen above. Set `label_names` and `labels` in the "
        "configuration. Who is not here has none.",
        {"owner": Column("Owner")},
        {
            "critical": (by(FINDING, mine, CRITICAL), Column("Critical", width=78, steps=ANY_IS_BAD)),
            "warning": (by(FINDING, mine, WARNING), Column("Warning", width=78, steps=ANY_IS_A_WARNING)),
            "unknown": (by(REASON, _MINE, ENDED), Column("Unknown", width=80, steps=ANY_IS_DOUBT)),
        },
        sort=[("Critical", True), ("Warning", True)],
    )


def _trend() -> Json:
    return series(
        "Problems",
        "How many there were. The marks are records that changed.",
        (once(PROBLEMS, by="severity"), "{{severity}}"),
        stacked=True,
        decimals=0,
        colors={"critical": BAD, "warning": WARN},
    )


def _goal() -> Json:
    return stat(
        f"Without critical, {DAYS} d",
        f"Share of domains without a critical finding, the mean of {DAYS} days. A listed address, and a mail host that "
        "is down, count against each domain that needs it. No data: the recording rules are not loaded.",
        f"avg(avg_over_time({RATIO}{{{JOB}}}[{DAYS}d]))",
        unit="percentunit",
        decimals=2,
    )


def _goal_line() -> Json:
    return series(
        "Share of domains without a critical finding",
        "By job. A gap is a time without an exporter; it counts for neither.",
        (f"max by (job) ({RATIO}{{{JOB}}})", "{{job}}"),
        unit="percentunit",
        least=None,
        most=1,
        lasts=f"{DAYS}d",
    )


def _unknown() -> Json:
    return bars(
        "Unknown, by check",
        "Its latest run got no usable answer. Many checks at once: look at the resolver and the network first.",
        f"sort_desc(topk(12, {once(CHECKS, _status('unknown'), 'check')}))",
        "{{check}}",
        steps=((None, DOUBT),),
    )


def _doubts() -> Json:
    return series(
        "Unknown, pending and late",
        "Checks of targets. A step in unknown at once is our resolver or our network; a step in late is an exporter "
        "that does not keep up.",
        (once(CHECKS, 'status=~"unknown|pending"', "status"), "{{status}}"),
        (once(OVERDUE), "late"),
        decimals=0,
        colors={"unknown": DOUBT, "pending": WAITING, "late": WARN},
    )
