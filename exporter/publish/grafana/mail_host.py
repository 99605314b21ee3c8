"""The dashboard of mail hosts: does each answer, with usable TLS and a good certificate, and how fast?"""

from __future__ import annotations

from exporter.engine.catalogue import Catalogue
from exporter.engine.families import UNKNOWN
from exporter.publish.grafana.board import Board, every, row
from exporter.publish.grafana.links import TOLD, Links
from exporter.publish.grafana.panels import BAD, GOOD, WARN, Column, Json, bars, series, stat, table
from exporter.publish.grafana.parts import STATE, days_left, findings, numbers
from exporter.publish.grafana.queries import HERE, MAIL_HOST, among, apart, led, led_among, of, state
from exporter.publish.promql import looking_at, one_of
from exporter.publish.thresholds import Thresholds
from exporter.targets import Domain, MailHost

THESE = 'mail_host=~"$mail_host",mail_port!=""'
MOST = 200  # rows
LATEST = f'{THESE},version="1.3"'
FEW = 12
BY = "mail_host, mail_port, instance"

ENDS = "deliverability_smtp_tls_certificate_not_after_timestamp_seconds"
VERSION = "deliverability_smtp_tls_version_supported"
PHASE = "deliverability_smtp_phase_duration_seconds"
WANTED = {"1": ("yes", GOOD), "0": ("no", WARN)}
OBSOLETE = {"1": ("yes", WARN), "0": ("no", GOOD)}


def mail_host(known: Catalogue, given: Thresholds) -> Board:
    links = Links(known, given)
    check = looking_at(known, MailHost)
    judged = f"{check},{THESE}"
    hosts = f"label_values({UNKNOWN}{{{HERE},{check}}}, mail_host)"
    return Board(
        "mail_host",
        "Deliverability / Mail hosts",
        "Whether mail hosts answer, with TLS that senders can use.",
        variables=[every("mail_host", "Mail host", hosts, allValue=".+")],
        panels=[
            (4, [*numbers(among(judged), judged), *_facts(given, judged)]),
            (11, [(24, _hosts(given, links, judged))]),
            (9, [(24, findings("Wrong now", "A title leads to the meaning and fix.", among(judged), links))]),
            row("How fast, and for whom"),
            (9, [(12, _phases()), (12, _slowest())]),
            (9, [(12, _domains(links)), (12, _smallest())]),
        ],
        changes=one_of("check", _of_mail_hosts(known)),
    )


def _of_mail_hosts(known: Catalogue) -> list[str]:
    """The checks of what a domain publishes about its mail hosts, which they name or look at as well."""
    label = MailHost.LABELS[0]
    return [
        entry.check.id
        for entry in known.entries
        if Domain in entry.check.over
        and (MailHost in entry.check.over or any(label in rule.subjects for rule in entry.rules))
    ]


def _facts(given: Thresholds, judged: str) -> list[tuple[int, Json]]:
    ends = apart(of(ENDS, THESE))
    soon = f"({ends} - time()) / 86400 < {given.certificate_days}"
    return [
        (4, stat("Hosts", "Each port of each.", f"count({apart(of(UNKNOWN, judged))})")),
        (
            4,
            stat(
                "Certificates to renew",
                f"Expired, or good for less than {given.certificate_days} days.",
                f"count({soon}) or 0 * count({ends})",
                steps=((None, "text"), (1, WARN)),
            ),
        ),
        (
            4,
            stat(
                "Offer TLS 1.3",
                "Part of the mail hosts of which it is known.",
                f"avg({of(VERSION, LATEST)})",
                unit="percentunit",
                decimals=0,
            ),
        ),
    ]


def _hosts(given: Thresholds, links: Links, judged: str) -> Json:
    labels = {
        "mail_host": Column(
            "Mail host", links=(links.page("mail_host=${__data.fields.mail_host}"), links.board("mail_host"))
        ),
        "mail_port": Column("Port", width=70),
        "instance": TOLD["instance"],
    }
    worst = f"topk({MOST}, {state(BY, led_among(judged))})"
    shown = f"and on ({BY}) {worst}"

    def one(expr: str) -> str:
        return f"max by ({BY}) ({expr}) {shown}"

    versions = {
        f"tls{version}": (
            one(of(VERSION, f'{THESE},version="{version}"')),
            Column(f"TLS {version}", width=85, texts=OBSOLETE if version < "1.2" else WANTED),
        )
        for version in ("1.0", "1.1", "1.2", "1.3")
    }
    return table(
        "Mail hosts",
        f"At most {MOST}, the worst first. An empty cell is what is unknown. Old TLS is offered if any address "
        "of the host does, new TLS only if all do.",
        labels,
        {
            "state": (worst, STATE),
            **versions,
            "left": (
                one(f"({of(ENDS, THESE)} - time()) / 86400"),
                Column(
                    "Certificate, days", width=140, unit="none", decimals=0, steps=days_left(given.certificate_days)
                ),
            ),
            "size": (
                one(of("deliverability_smtp_size_limit_bytes", THESE)),
                Column("Largest mail", width=120, unit="bytes"),
            ),
        },
        sort=[("State", True), ("Certificate, days", False)],
    )


def _phases() -> Json:
    return series(
        "Slowest answer, by phase",
        "Of the chosen mail hosts. By the book senders wait five minutes for a greeting, in practice less. Marks are "
        "changes of MX, DANE and MTA-STS.",
        (f"max by (phase) ({of(PHASE, THESE)})", "{{phase}}"),
        unit="s",
    )


def _slowest() -> Json:
    return bars(
        "Slowest mail hosts",
        f"All phases together; the {FEW} slowest.",
        f"sort_desc(topk({FEW}, sum by (mail_host, mail_port) ({apart(of(PHASE, THESE))})))",
        "{{mail_host}}:{{mail_port}}",
        unit="s",
        steps=((None, "blue"), (10, WARN), (60, BAD)),
    )


def _domains(links: Links) -> Json:
    labels = {
        "domain": Column("Domain", links=(links.board("domain"), links.page("domain=${__data.fields.domain}"))),
        "mail_host": Column("Mail host"),
        "instance": TOLD["instance"],
    }
    info = led(of(MAIL_HOST, THESE))
    return table(
        "Domains that they accept mail for",
        f"At most {MOST}.",
        labels,
        {"takes": (f"topk({MOST}, max by ({', '.join(labels)}) ({info}))", Column("takes", hidden=True))},
        sort=[("Domain", False)],
    )


def _smallest() -> Json:
    return bars(
        "Largest accepted mail",
        f"What they announce (SIZE); the {FEW} smallest. 0 is no fixed limit.",
        f"sort(bottomk({FEW}, min by (mail_host, mail_port) ({of('deliverability_smtp_size_limit_bytes', THESE)})))",
        "{{mail_host}}:{{mail_port}}",
        unit="bytes",
        steps=((None, "blue"),),
    )
