"""The dashboard of one domain: its findings, what it publishes, and which servers take and send its mail."""

from __future__ import annotations

from exporter.engine.catalogue import Catalogue
from exporter.publish.grafana.board import TOLD, Board, Links, choice, of, row
from exporter.publish.grafana.panels import BAD, GOOD, NOTICE, WARN, WHEN, Column, Json, Steps, series, stat, table
from exporter.publish.grafana.parts import (
    FINDING,
    UNKNOWN,
    WORST,
    changes,
    days_left,
    findings,
    numbers,
    unmet,
    verdicts,
    worst,
)
from exporter.publish.promql import checks, looking_at
from exporter.publish.thresholds import Thresholds
from exporter.targets import Delivery, MailHost

THIS = 'domain="$domain"'
MAIL_HOSTS = "deliverability_domain_mail_host_info"
SENDERS = "deliverability_domain_sender_info"
LOOKUPS: Steps = ((None, GOOD), (8, NOTICE), (11, BAD))  # RFC 7208 section 4.6.4: the eleventh is an error
VOIDS: Steps = ((None, GOOD), (2, NOTICE), (3, BAD))


def domain(known: Catalogue, given: Thresholds) -> Board:
    links = Links(known, given)
    return Board(
        "domain",
        "Deliverability / Domain",
        "Whether mail of this domain is taken, and mail to it arrives.",
        variables=[choice("domain", "Domain", f'label_values({UNKNOWN}{{job=~"$job",instance=~"$instance"}}, domain)')],
        panels=[
            (4, [*numbers(THIS), *_published(given)]),
            (8, [(24, findings("Wrong now", "A finding leads to its meaning and fix.", THIS, links))]),
            (12, [(14, verdicts(THIS, links)), (10, _trend())]),
            row("What it publishes"),
            (8, [(8, _spf()), (8, _keys(links)), (8, _ends())]),
            row("Who takes its mail, and who sends it"),
            (7, [(12, _mail_hosts(known, given, links)), (12, _senders(links))]),
            (7, [(12, _receivers(known, links)), (12, changes(links, THIS))]),
        ],
        changes=THIS,
        since="now-7d",
    )


def _published(given: Thresholds) -> list[tuple[int, Json]]:
    policy = of("deliverability_dmarc_policy_info", THIS)
    mode = of("deliverability_mta_sts_policy_info", THIS)
    expiry = of("deliverability_registration_expiry_timestamp_seconds", THIS)
    return [
        (
            4,
            stat(
                "DMARC policy",
                "In force for the domain itself; where the record says testing, receivers apply one level less.",
                f"max by (policy) ({policy})",
                legend="{{policy}}",
            ),
        ),
        (
            4,
            stat(
                "MTA-STS mode",
                "Of the policy that the domain publishes for mail to it; no data where it publishes none.",
                f"max by (mode) ({mode})",
                legend="{{mode}}",
            ),
        ),
        (
            4,
            stat(
                "Registration, days left",
                "As the registry has it. Of the registered domain; no data for the domains below one.",
                f"(min({expiry}) - time()) / 86400",
                unit="none",
                decimals=0,
                steps=days_left(given.registration_days),
            ),
        ),
    ]


def _trend() -> Json:
    return series(
        "Findings",
        "Which stood when. The marks are records that changed.",
        (f"sum by (finding) ({of(FINDING, THIS)})", "{{finding}}"),
        stacked=True,
        shades=WARN,
        decimals=0,
    )


def _spf() -> Json:
    each = (
        ("lookups, every term", "deliverability_spf_dns_lookups"),
        ("lookups, costliest sender", "deliverability_spf_sender_dns_lookups"),
    )
    return series(
        "SPF lookups",
        "Of at most 10. The whole policy, and what receivers really ask before they know the costliest sender.",
        *((f"max({of(metric, THIS)})", legend) for legend, metric in each),
        decimals=0,
        steps=((None, "transparent"), (11, BAD)),
        roomy=12,
    )


def _keys(links: Links) -> Json:
    labels = {"selector": Column("Selector"), "instance": TOLD["instance"]}
    by = ", ".join(labels)
    matchers = f'{THIS},selector!=""'
    seen = of("deliverability_dkim_key_first_seen_timestamp_seconds", THIS)
    return table(
        "DKIM keys",
        "Of the configured selectors. An Ed25519 key has 256 bits, and that is enough.",
        {**labels, "selector": Column("Selector", links=(links.page("domain=$domain"),))},
        {
            "state": (f"{worst(by, matchers)}", Column("State", width=100, texts=WORST)),
            "bits": (
                f"8 * max by ({by}) ({of('deliverability_dkim_key_size_bytes', THIS)})",
                Column("Bits", width=65, unit="none"),
            ),
            "seen": (f"max by ({by}) ({seen}) * 1000", Column("First seen", width=120, unit=WHEN)),
        },
        sort=[("State", True)],
    )


def _ends() -> Json:
    each = (
        ("registration", "deliverability_registration_expiry_timestamp_seconds"),
        ("DNSSEC signature, the earliest", "deliverability_zone_signature_not_after_timestamp_seconds"),
        ("mark certificate (BIMI)", "deliverability_bimi_certificate_not_after_timestamp_seconds"),
    )
    named = (f'label_replace(min({of(metric, THIS)}), "what", "{what}", "domain", "")' for what, metric in each)
    return table(
        "What ends",
        "A signature is made anew before its end all the time: a few days are usual. The rest needs somebody.",
        {"what": Column("What")},
        {
            "left": (
                f"(({' or '.join(named)}) - time()) / 86400",
                Column("Days left", width=100, unit="none", decimals=0, steps=days_left(1)),
            )
        },
        sort=[("Days left", False)],
    )


def _mail_hosts(known: Catalogue, given: Thresholds, links: Links) -> Json:
    labels = {
        "mail_host": Column(
            "Mail host", links=(links.board("mail_host"), links.page("mail_host=${__data.fields.mail_host}"))
        ),
        "mail_port": Column("Port", width=65),
        "instance": TOLD["instance"],
    }
    by = ", ".join(labels)
    here = f"and on ({by}) {of(MAIL_HOSTS, THIS)}"
    ends = of("deliverability_smtp_tls_certificate_not_after_timestamp_seconds")
    limit = of("deliverability_smtp_size_limit_bytes")
    return table(
        "Mail hosts",
        "That its MX records name. Their state is that of TLS and certificate.",
        labels,
        {
            "state": (f"({worst(by, looking_at(known, MailHost))}) {here}", Column("State", width=100, texts=WORST)),
            "left": (
                f"(min by ({by}) ({ends} {here}) - time()) / 86400",
                Column(
                    "Certificate, days", width=135, unit="none", decimals=0, steps=days_left(given.certificate_days)
                ),
            ),
            "size": (f"min by ({by}) ({limit} {here})", Column("Largest mail", width=110, unit="bytes")),
        },
        sort=[("State", True)],
    )


def _senders(links: Links) -> Json:
    labels = {
        "sender": Column("Sender"),
        "ip": Column("Address", links=(links.board("ip"), links.page("ip=${__data.fields.ip}"))),
        "helo": Column("HELO name"),
        "instance": TOLD["instance"],
    }
    by = ", ".join(labels)
    sending = f"{of('deliverability_sender_info')} and on (sender, instance) {of(SENDERS, THIS)}"
    state = worst("ip, instance", 'ip!="",domain="",mail_port=""')
    return table(
        "Senders",
        "The addresses that its mail is sent from. Their state is that of PTR, HELO name and listings; whether SPF "
        "authorises them is above. A provider's machines are not ours to judge, and are not here.",
        labels,
        {
            "state": (
                f"max by ({by}) (({sending}) * on (ip, instance) group_left () ({state}))",
                Column("State", width=100, texts=WORST),
            )
        },
        sort=[("State", True)],
    )


def _receivers(known: Catalogue, links: Links) -> Json:
    concluded = ", ".join(f"`{check}`" for check in checks(known, Delivery))
    labels = {
        "receiver": Column("Receiver", links=(links.receiver(),)),
        "domain": Column("domain", hidden=True),
        "instance": TOLD["instance"],
    }
    return table(
        "Demands of receivers, not met",
        "Of Microsoft, Gmail and Yahoo. Empty where all that can be seen is met; "
        f"{concluded} among the verdicts tells.",
        labels,
        {
            "unmet": (
                f"count by ({', '.join(labels)}) ({unmet(known, THIS)})",
                Column("Not met", width=100, steps=((None, WARN),)),
            )
        },
        sort=[("Not met", True)],
    )
