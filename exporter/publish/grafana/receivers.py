"""The dashboard of receivers: what Microsoft, Gmail and Yahoo demand of each domain's mail, and what is not met."""

from __future__ import annotations

from exporter.engine.catalogue import Catalogue
from exporter.engine.families import CHECKS, FINDING, REASON
from exporter.publish.grafana.board import Board
from exporter.publish.grafana.links import TOLD, Links
from exporter.publish.grafana.panels import (
    ANY_IS_A_WARNING,
    ANY_IS_DOUBT,
    WARN,
    Column,
    Json,
    bars,
    series,
    stat,
    table,
)
from exporter.publish.grafana.parts import SHOWN, findings, unmet, untold
from exporter.publish.grafana.queries import ENDED, among, apart, both, of, once
from exporter.publish.promql import looking_at
from exporter.publish.thresholds import Thresholds
from exporter.targets import Delivery


def receivers(known: Catalogue, given: Thresholds) -> Board:
    links = Links(known, given)
    these = looking_at(known, Delivery)
    return Board(
        "receivers",
        "Deliverability / Receivers",
        "Will large receivers accept our mail, as far as it can be checked before sending?",
        variables=[],
        panels=[
            (4, _numbers(these)),
            (9, [(6, _by_receiver(known)), (9, _frequent(these)), (9, _trend(known))]),
            (10, [(12, _domains(known, links)), (12, untold(links, among(these)))]),
            (
                10,
                [
                    (
                        24,
                        findings(
                            "Failed requirements",
                            "A finding shows the requirement, and what to fix first.",
                            among(these),
                            links,
                        ),
                    )
                ],
            ),
        ],
        changes='domain!=""',
        since="now-7d",
    )


def _numbers(these: str) -> list[tuple[int, Json]]:
    def none(expr: str) -> str:
        """0 only while there are verdicts at all."""
        return f"{expr} or 0 * {once(CHECKS, these)}"

    numbers = [
        stat("Domains", "Domains with mail to receivers with known requirements.", once(CHECKS, these)),
        stat(
            "With failed requirements",
            "Domains.",
            none(f"count(count by (domain) ({of(FINDING, these)}))"),
            steps=ANY_IS_A_WARNING,
        ),
        stat(
            "Failed requirements",
            "Of all domains and receivers together.",
            none(f"count({apart(of(FINDING, these))})"),
            steps=ANY_IS_A_WARNING,
        ),
        stat(
            "Unknown",
            "Domains with a requirement whose result is unknown. They do not count as passed.",
            f"count({apart(of(REASON, both(these, ENDED)))}) or 0 * {once(CHECKS, these)}",
            steps=ANY_IS_DOUBT,
        ),
    ]
    return [(6, number) for number in numbers]


def _by_receiver(known: Catalogue) -> Json:
    labels = {"receiver": Column("Receiver")}
    return table(
        "By receiver",
        "Domains with failed requirements, and the number of those requirements.",
        labels,
        {
            "domains": (
                f"count by (receiver) (count by (receiver, domain) ({unmet(known)}))",
                Column("Domains", width=90, steps=((None, WARN),)),
            ),
            "demands": (f"count by (receiver) ({unmet(known)})", Column("Demands", width=90, steps=((None, WARN),))),
        },
        sort=[("Domains", True)],
    )


def _frequent(these: str) -> Json:
    return bars(
        "Requirements that most domains fail",
        "What to fix first.",
        f"sort_desc(topk(12, {once(FINDING, these, 'finding')}))",
        "{{finding}}",
        steps=((None, WARN),),
    )


def _trend(known: Catalogue) -> Json:
    return series(
        "Failed requirements",
        "By receiver. The marks are records that changed.",
        (f"count by (receiver) ({unmet(known)})", "{{receiver}}"),
        stacked=True,
        decimals=0,
    )


def _domains(known: Catalogue, links: Links) -> Json:
    labels = {
        "domain": Column("Domain", links=(links.receiver(), links.board("domain"))),
        "receiver": Column("Receiver", width=150),
        "instance": TOLD["instance"],
    }
    return table(
        "Domains with failed requirements",
        f"At most {SHOWN}, the worst first. Each links to all requirements of the receiver, with the evidence.",
        labels,
        {
            "unmet": (
                f"topk({SHOWN}, count by ({', '.join(labels)}) ({unmet(known)}))",
                Column("Not met", width=90, steps=((None, WARN),)),
            )
        },
        sort=[("Not met", True), ("Domain", False)],
    )
