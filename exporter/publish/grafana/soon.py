"""Panels of what needs somebody later: certificates, registrations, and findings that were accepted for a while."""

from __future__ import annotations

from exporter.engine.families import ACCEPTED_UNTIL
from exporter.publish.grafana.links import TOLD, Links
from exporter.publish.grafana.panels import PLAIN, WHEN, Column, Json, table
from exporter.publish.grafana.parts import FEW, SHOWN, days_left
from exporter.publish.grafana.queries import led, of, worded
from exporter.publish.thresholds import Thresholds


def certificates(given: Thresholds, links: Links) -> Json:
    labels = {
        "mail_host": Column(
            "Mail host", links=(links.board("mail_host"), links.page("mail_host=${__data.fields.mail_host}"))
        ),
        "mail_port": Column("Port", width=70),
    }
    ends = "deliverability_smtp_tls_certificate_not_after_timestamp_seconds"
    return _ending("Certificates", "mail hosts", labels, ends, given.certificate_days)


def registrations(given: Thresholds, links: Links) -> Json:
    labels = {"domain": Column("Domain", links=(links.board("domain"), links.page("domain=${__data.fields.domain}")))}
    ends = "deliverability_registration_expiry_timestamp_seconds"
    return _ending("Registrations", "domains", labels, ends, given.registration_days)


def _ending(what: str, whose: str, labels: dict[str, Column], metric: str, days: int) -> Json:
    labels = {**labels, "instance": TOLD["instance"]}
    first = led(f"bottomk({2 * FEW}, {of(metric)})")
    left = f"(min by ({', '.join(labels)}) ({first}) - time()) / 86400"
    return table(
        f"{what} that end next",
        f"Of {whose}, those that end first.",
        labels,
        {"left": (left, Column("Days left", width=90, decimals=0, steps=days_left(days)))},
        sort=[("Days left", False)],
    )


def accepted(links: Links) -> Json:
    labels = {
        "title": Column("What is wrong", width=250, links=(links.runbook(),)),
        "target": Column("Where", links=links.target()),
        "finding": Column("finding", hidden=True),
        **TOLD,
    }
    until = led(of(ACCEPTED_UNTIL))
    until = f"({until} < +Inf or 0 * ({until} == bool +Inf))"  # 0: no end
    accepted = worded(links.labelled(f"bottomk({SHOWN}, {until}) * 1000"))
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
