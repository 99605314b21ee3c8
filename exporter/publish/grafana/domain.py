"""The dashboard of one domain: a traffic light for each check, what is wrong in words, and who sends and takes mail."""

from __future__ import annotations

from exporter.engine.catalogue import Catalogue
from exporter.engine.families import DOMAIN_SENDER, FINDING, OK, SENDER, UNKNOWN
from exporter.publish.grafana.board import Board, choice, row
from exporter.publish.grafana.links import TOLD, Links
from exporter.publish.grafana.panels import (
    ANY_IS_A_WARNING,
    BAD,
    GOOD,
    NOTICE,
    WARN,
    WHEN,
    Column,
    Json,
    Steps,
    lights,
    series,
    stat,
    table,
)
from exporter.publish.grafana.parts import FEW, STATE, changes, days_left, findings, numbers, unmet, untold
from exporter.publish.grafana.queries import (
    EXPORTER,
    HERE,
    MAIL_HOST,
    Making,
    Selecting,
    apart,
    around,
    both,
    causes,
    led,
    led_among,
    of,
    state,
)
from exporter.publish.promql import checks, looking_at, partly
from exporter.publish.thresholds import Thresholds
from exporter.targets import Address, Delivery, Domain, EhloProbe, Greeting, MailHost, Reputation

THIS = 'domain="$domain"'
LOOKUPS: Steps = ((None, GOOD), (8, NOTICE), (11, BAD))  # RFC 7208 section 4.6.4: the eleventh is an error


def domain(known: Catalogue, given: Thresholds) -> Board:
    links, around_it = Links(known, given), around(known, THIS)
    one = checks(known, Domain)[0]  # of those that look at every domain: fewer series to search
    return Board(
        "domain",
        "Deliverability / Domain",
        "Whether mail of this domain is taken, and mail to it arrives. Its senders and mail hosts count with it.",
        variables=[choice("domain", "Domain", f'label_values({UNKNOWN}{{{HERE},check="{one}"}}, domain)')],
        panels=[
            (4, [(24, _lights(around_it))]),
            (4, [*numbers(around_it, THIS, causes(known)), *_facts(known)]),
            (
                9,
                [
                    (
                        24,
                        findings(
                            "Wrong now",
                            "With its senders and mail hosts. A title leads to the meaning, a target to the evidence.",
                            around_it,
                            links,
                            matchers=causes(known),
                        ),
                    )
                ],
            ),
            (6, [(12, _senders(known, links)), (12, _mail_hosts(known, given, links))]),
            (6, [(7, _keys(links)), (4, _receivers(known, links)), (5, _ends()), (8, untold(links, around_it, FEW))]),
            row("History"),
            (8, [(14, _trend(known)), (10, changes(links, THIS))]),
        ],
        changes=THIS,
        since="now-7d",
    )


def _lights(around_it: Selecting) -> Json:
    return lights(
        "Checks",
        "A light for each check of this domain, its senders and its mail hosts, the worst first. Red is critical, "
        "yellow a warning, blue unknown, grey not checked yet.",
        f"sort_desc({state('check', around_it)})",
        "{{check}}",
    )


def _facts(known: Catalogue) -> list[tuple[int, Json]]:
    these = looking_at(known, Delivery)
    return [
        (
            4,
            stat(
                "DMARC policy",
                "In force for the domain itself; where the record says testing, receivers apply one level less. "
                "No data: there is none, or it is unknown.",
                f"max by (policy) ({of('deliverability_dmarc_policy_info', THIS)})",
                legend="{{policy}}",
            ),
        ),
        (
            4,
            stat(
                "SPF lookups",
                "Of at most 10, for the costliest sender: what receivers really ask before they know it.",
                f"max({of('deliverability_spf_sender_dns_lookups', THIS)})",
                steps=LOOKUPS,
            ),
        ),
        (
            4,
            stat(
                "Failed requirements",
                "Of Microsoft, Gmail and Yahoo together, as far as they can be seen before mail is sent.",
                f"count({unmet(known, THIS)}) or 0 * count({of(OK, both(THIS, these))})",
                steps=ANY_IS_A_WARNING,
            ),
        ),
    ]


def _trend(known: Catalogue) -> Json:
    return series(
        "Findings of the domain itself",
        "Active findings over time. The marks are changed records.",
        (f"count by (finding) ({apart(of(FINDING, both(THIS, causes(known))))})", "{{finding}}"),
        stacked=True,
        shades=BAD,
        decimals=0,
    )


def _keys(links: Links) -> Json:
    labels = {"selector": Column("Selector", links=(links.page("domain=$domain"),)), "instance": TOLD["instance"]}
    by = ", ".join(labels)
    seen = of("deliverability_dkim_key_first_seen_timestamp_seconds", THIS)
    bits = of("deliverability_dkim_key_size_bytes", THIS)
    return table(
        "DKIM keys",
        "Of the configured selectors. An Ed25519 key has 256 bits, and that is enough.",
        labels,
        {
            "state": (state(by, led_among(f'{THIS},selector!=""')), STATE),
            "bits": (f"8 * max by ({by}) ({led(bits)})", Column("Bits", width=55, unit="none")),
            "seen": (f"max by ({by}) ({led(seen)}) * 1000", Column("First seen", width=110, unit=WHEN)),
        },
        sort=[("State", True)],
    )


def _ends() -> Json:
    each = (
        ("registration", "deliverability_registration_expiry_timestamp_seconds"),
        ("DNSSEC signature", "deliverability_zone_signature_not_after_timestamp_seconds"),
        ("mark certificate (BIMI)", "deliverability_bimi_certificate_not_after_timestamp_seconds"),
    )
    named = (f'label_replace(min({of(metric, THIS)}), "what", "{what}", "domain", "")' for what, metric in each)
    return table(
        "Ends next",
        "Signatures are renewed shortly before their end: a few days are usual. The others need action.",
        {"what": Column("What")},
        {
            "left": (
                f"(({' or '.join(named)}) - time()) / 86400",
                Column("Days left", width=85, unit="none", decimals=0, steps=days_left(1)),
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
    here = f"and on (mail_host, mail_port, {EXPORTER}) {led(of(MAIL_HOST, THIS))}"
    judged = looking_at(known, MailHost)

    def select(make: Making) -> str:
        return f"({make(judged)} {here})"

    ends = of("deliverability_smtp_tls_certificate_not_after_timestamp_seconds")
    limit = of("deliverability_smtp_size_limit_bytes")
    return table(
        "Mail hosts",
        "That its MX records name. Their state is that of TLS and certificate.",
        labels,
        {
            "state": (state(by, select), STATE),
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


def _senders(known: Catalogue, links: Links) -> Json:
    labels = {
        "sender": Column("Sender"),
        "ip": Column("Address", links=(links.board("ip"), links.page("ip=${__data.fields.ip}"))),
        "helo": Column("HELO name"),
        "instance": TOLD["instance"],
    }
    sending = led(f"({of(SENDER)} and on (sender, {EXPORTER}) {of(DOMAIN_SENDER, THIS)})")

    addresses = partly(known, Address, Greeting, EhloProbe, Reputation)

    def select(make: Making) -> str:
        return f"({make(addresses)} and on (ip, {EXPORTER}) {sending})"

    states = state(f"ip, {EXPORTER}", select)
    return table(
        "Senders",
        "The addresses that send its mail. Their state is that of PTR, HELO name and listings; the light of SPF shows "
        "whether it authorises them. A provider's machines are not checked, and are not here.",
        labels,
        {
            "state": (
                f"max by ({', '.join(labels)}) ({sending} * on (ip, {EXPORTER}) group_left () ({states}))",
                STATE,
            )
        },
        sort=[("State", True)],
    )


def _receivers(known: Catalogue, links: Links) -> Json:
    labels = {
        "receiver": Column("Receiver", links=(links.receiver(),)),
        "domain": Column("domain", hidden=True),
        "instance": TOLD["instance"],
    }
    return table(
        "By receiver",
        "Failed requirements of Microsoft, Gmail and Yahoo. Empty if all checkable ones pass; the light "
        f"{' and '.join(checks(known, Delivery))} tells.",
        labels,
        {
            "unmet": (
                f"count by ({', '.join(labels)}) ({unmet(known, THIS)})",
                Column("Not met", width=75, steps=((None, WARN),)),
            )
        },
        sort=[("Not met", True)],
    )
