"""The recording rule for a goal over weeks: which share of the domains has no critical finding?

The problem: to look back over 30 days, a dashboard would have to read every finding of those days.

The idea: one series for each job, recorded while it is true. A line of 30 days then costs milliseconds.

The rules:

- A domain is hurt by its own critical findings, by those of a sender or an address that it sends from, and by those of
  its mail hosts. A listed address hurts every domain that sends from it.
- Only confirmed findings count, as in alerts: what an exporter in trouble told last stands.
- While no exporter of the job tells its targets, there is no value. A gap is neither good nor bad.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from exporter.engine.catalogue import Catalogue
from exporter.engine.families import CONFIG, DOMAIN_SENDER, SENDER, TARGETS
from exporter.publish.alert import record
from exporter.publish.promql import none_of, partly
from exporter.publish.records import AGE
from exporter.publish.thresholds import Thresholds
from exporter.targets import Address, Domain, EhloProbe, Greeting, MailHost, Reputation

RATIO = "deliverability:domains_without_critical:ratio"
_MAIL_HOST = "deliverability_domain_mail_host_info"


def records(known: Catalogue, given: Thresholds) -> Iterator[dict[str, Any]]:
    by_job, by_exporter = given.by_job, given.by_exporter
    causes = none_of("check", [entry.check.id for entry in known.entries if entry.check.concludes])

    def critical(*matchers: str) -> str:
        return f'{AGE}{{severity="critical",{",".join(matchers)}}}'

    domain = 'domain!=""'
    of_sender, of_address = partly(known, Greeting, EhloProbe), partly(known, Address, Reputation)

    domains = (
        f"sum by ({by_job}) (\n"
        f"  max by ({by_job}, hash) (\n"
        f'    sum by ({by_exporter}) ({TARGETS}{{kind="{Domain.KIND}"}})\n'
        f"    * on ({by_exporter}) group_left (hash) max by ({by_exporter}, hash) ({CONFIG})\n"
        "  )\n"
        ")"
    )
    yield record(
        RATIO,
        "1 - (\n"
        f"count by ({by_job}) (count by ({by_job}, domain) (\n"
        f"  {critical(causes, domain)}\n"
        "  or\n"
        f"  {DOMAIN_SENDER} and on (sender, {by_exporter})\n"
        f"    ({critical(of_sender)} or {SENDER} and on (ip, {by_exporter}) {critical(of_address)})\n"
        "  or\n"
        f"  {_MAIL_HOST} and on (mail_host, mail_port, {by_exporter})\n"
        f"    {critical(partly(known, MailHost))}\n"
        "))\n"
        "or\n"
        f"0 * {domains}\n"
        f") / {domains}",
    )
