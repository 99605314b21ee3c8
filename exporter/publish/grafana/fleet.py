"""The first dashboard to look at: what is wrong now, whose targets these are, the trend, and what will fail soon."""

from __future__ import annotations

from exporter.engine.catalogue import Catalogue
from exporter.model import TARGET_LABELS
from exporter.publish.grafana.board import TOLD, Board, Links, choice, of, owned, row
from exporter.publish.grafana.panels import (
    ANY_IS_A_WARNING,
    ANY_IS_BAD,
    ANY_IS_DOUBT,
    BAD,
    DOUBT,
    PLAIN,
    SEVERITIES,
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
    FINDING,
    OK,
    REASON,
    SHOWN,
    UNKNOWN,
    changes,
    days_left,
    findings,
    listings,
    total,
    untold,
)
from exporter.publish.thresholds import Thresholds

# Labels that are not an operator's own, and so are no owner; `check` stays, for those who have declared none.
_NOT_OWNERS = "|".join(("__name__", "job", "instance", *TARGET_LABELS))


def fleet(known: Catalogue, given: Thresholds) -> Board:
    links = Links(known, given)
    return Board(
        "fleet",
        "Deliverability / Fleet",
        "What is wrong now, whose it is, and whether it gets better. From here to each domain, address and mail host.",
        variables=[
            choice(
                "owner",
                "By",
                f"label_names({UNKNOWN})",
                regex=f"/^(?!(?:{_NOT_OWNERS})$).+/",
                current={"text": "team", "value": "team"},
                description="One of your own label_names, or check",
            ),
            {
                "type": "adhoc",
                "name": "filters",
                "label": "Only where",
                "datasource": {"type": "prometheus", "uid": "${datasource}"},
                "description": "Narrows every panel: team = crm",
            },
        ],
        panels=[
            (4, _numbers()),
            (14, [(24, _wrong(links))]),
            (9, [(8, _owners()), (8, _frequent()), (8, _reasons())]),
            (9, [(12, _trend()), (12, _doubts())]),
            row("Soon, and lately"),
            (9, [(12, _certificates(given, links)), (12, _registrations(given, links))]),
            (8, [(12, listings(known, links)), (12, changes(links))]),
            row("Not counted above"),
            (9, [(12, untold(links)), (12, _accepted(links))]),
        ],
        changes='check!=""',
    )


def _numbers() -> list[tuple[int, Json]]:
    numbers = [
        stat(
            "Critical",
            "Findings because of which mail is being refused or lost. Each is in the table below.",
            total(FINDING, 'severity="critical"'),
            steps=ANY_IS_BAD,
        ),
        stat(
            "Warnings",
            "Findings because of which mail is distrusted, or will be refused if nothing is done.",
            total(FINDING, 'severity="warning"'),
            steps=ANY_IS_A_WARNING,
        ),
        stat(
            "Cannot tell",
            "Checks of a target whose latest run could not tell, or has not ended yet. Not counted as good.",
            f"sum({of(UNKNOWN)})",
            steps=ANY_IS_DOUBT,
        ),
        stat(
            "Overdue",
            "Targets that a check has not looked at for two intervals. What is shown of them is old.",
            f"sum({of('deliverability_exporter_overdue_targets')})",
            steps=ANY_IS_DOUBT,
        ),
        stat(
            "Oldest look",
            "Of those that have had one. That of a check of a day's interval may be a day old.",
            f"max({of('deliverability_exporter_time_seconds')} - on (job, instance) group_right () "
            f"{of('deliverability_exporter_oldest_run_timestamp_seconds')})",
            unit="s",
            decimals=0,
        ),
        stat(
            "Passing",
            "Part of the checks with a verdict that pass. What has always been unknown is not in it.",
            f"avg({of(OK)})",
            unit="percentunit",
            decimals=1,
        ),
        stat(
            "Checks",
            "Verdicts that are kept up to date: each check of each domain, address, key, mail host and list.",
            f"count({of(UNKNOWN)})",
        ),
        stat(
            "Exporters down",
            "That Prometheus cannot scrape. What they knew is missing from everything here.",
            f"count({of('up')} == 0) or 0 * count({of('up')})",
            steps=ANY_IS_BAD,
        ),
    ]
    return [(3, number) for number in numbers]


def _wrong(links: Links) -> Json:
    return findings(
        "Wrong now",
        f"What stands, the critical first, then the latest; at most {SHOWN} of each severity. A finding leads to its "
        "meaning and fix, a target to its dashboard and evidence. Empty is good news only if the numbers above are "
        "0 and not absent.",
        "",
        links,
        owner=True,
    )


def _owners() -> Json:
    critical, warning = (of(FINDING, f'severity="{severity}"') for severity in SEVERITIES)

    def by(expr: str) -> str:
        return f"sum by (owner) ({owned(expr)})"

    return table(
        "By $owner",
        "Findings and doubts by the label that is chosen above. Set `label_names` and `labels` in the configuration.",
        {"owner": Column("Owner")},
        {
            "critical": (
                f"{by(critical)} or 0 * {by(of(UNKNOWN))}",
                Column("Critical", width=85, steps=ANY_IS_BAD),
            ),
            "warning": (
                f"{by(warning)} or 0 * {by(of(UNKNOWN))}",
                Column("Warning", width=85, steps=ANY_IS_A_WARNING),
            ),
            "unknown": (by(of(UNKNOWN)), Column("Cannot tell", width=100, steps=ANY_IS_DOUBT)),
        },
        sort=[("Critical", True), ("Warning", True)],
    )


def _frequent() -> Json:
    return bars(
        "Most frequent findings",
        "What to mend first, where it is the same everywhere.",
        f"sort_desc(topk(12, sum by (finding) ({of(FINDING)})))",
        "{{finding}}",
        steps=((None, WARN),),
    )


def _reasons() -> Json:
    return bars(
        "Cannot tell, by reason",
        "Why the latest runs could not tell: dns_* and network are about the way there, blocklist_unhealthy about a "
        "list that cannot be believed, pending is a first run that has not ended.",
        f"sort_desc(sum by (reason) ({of(REASON)}))",
        "{{reason}}",
        steps=((None, DOUBT),),
    )


def _trend() -> Json:
    return series(
        "Findings",
        "How many stand, by severity. The marks are records that changed.",
        (f"sum by (severity) ({of(FINDING)})", "{{severity}}"),
        stacked=True,
        decimals=0,
        colors={"critical": BAD, "warning": WARN},
    )


def _doubts() -> Json:
    return series(
        "Cannot tell",
        "How many latest runs could not tell, by reason. A step in all of them at once is our resolver or our network.",
        (f"sum by (reason) ({of(REASON)})", "{{reason}}"),
        stacked=True,
        shades=DOUBT,
        decimals=0,
    )


def _certificates(given: Thresholds, links: Links) -> Json:
    ends = of("deliverability_smtp_tls_certificate_not_after_timestamp_seconds")
    labels = {
        "mail_host": Column(
            "Mail host", links=(links.board("mail_host"), links.page("mail_host=${__data.fields.mail_host}"))
        ),
        "mail_port": Column("Port", width=70),
        "instance": TOLD["instance"],
    }
    left = f"bottomk({FEW}, min by ({', '.join(labels)}) ({ends}) - time()) / 86400"
    return table(
        "Certificates that end next",
        f"Of mail hosts, the {FEW} that end first.",
        labels,
        {"left": (left, Column("Days left", width=120, decimals=0, steps=days_left(given.certificate_days)))},
        sort=[("Days left", False)],
    )


def _registrations(given: Thresholds, links: Links) -> Json:
    labels = {
        "domain": Column("Domain", links=(links.board("domain"), links.page("domain=${__data.fields.domain}"))),
        "instance": TOLD["instance"],
    }
    ends = of("deliverability_registration_expiry_timestamp_seconds")
    left = f"bottomk({FEW}, min by ({', '.join(labels)}) ({ends}) - time()) / 86400"
    return table(
        "Registrations that end next",
        f"Of domains, the {FEW} that end first.",
        labels,
        {
            "left": (
                left,
                Column("Days left", width=120, decimals=0, steps=days_left(given.registration_days)),
            )
        },
        sort=[("Days left", False)],
    )


def _accepted(links: Links) -> Json:
    labels = {
        "finding": Column("Finding", width=220, links=(links.runbook(),)),
        "target": Column("Target", links=links.target()),
        **TOLD,
    }
    until = of("deliverability_finding_accepted_until_timestamp_seconds")
    until = f"({until} < +Inf or 0 * ({until} == bool +Inf))"  # 0: no end
    accepted = links.labelled(f"bottomk({SHOWN}, {until}) * 1000")
    return table(
        "Accepted findings",
        "They stand, but were accepted in the configuration: no check fails because of them until that day.",
        labels,
        {
            "until": (
                f"max by ({', '.join(labels)}) ({accepted})",
                Column("Until", width=140, unit=WHEN, texts={"0": ("no end", PLAIN)}),
            )
        },
        sort=[("Until", False)],
    )
