"""Every metric on /metrics: its type, labels and meaning, and questions that the main ones answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from exporter.check_state import CheckState
from exporter.clock import SystemClock
from exporter.engine import families
from exporter.engine.catalogue import Catalogue, CatalogueEntry
from exporter.engine.families import HELP
from exporter.explain.notices import NoticeText
from exporter.facts import Reason
from exporter.mail.dns import Status
from exporter.model import IDENTITY_LABELS
from exporter.net.dns.resolver import ResolverStats
from exporter.net.dns.upstream import UpstreamStats
from exporter.publish.markdown import code, codes, joined, plain, table
from exporter.stats import Histogram
from exporter.targets import Authorisation, Domain, Greeting
from exporter.views.http_stats import Disconnection, HttpStats
from exporter.views.metrics import Exposition
from exporter.views.own_metrics import OwnHealth, health
from tools.reference.made import MADE

_OF_A_CHECK = "who"  # stands for `check`, the target's identity labels, and labels of the user's

# The labels that a family has besides, or that it has at all where there is no _OF_A_CHECK.
LABELS: dict[str, tuple[str, ...]] = {
    families.OK: (_OF_A_CHECK,),
    families.UNKNOWN: (_OF_A_CHECK,),
    families.REASON: (_OF_A_CHECK, "reason"),
    families.FINDING: (_OF_A_CHECK, "finding", "severity"),
    families.SINCE: (_OF_A_CHECK, "finding"),
    families.FLAPPING: (_OF_A_CHECK, "finding"),
    families.INFO: ("finding", *NoticeText._fields),
    families.ACCEPTED_UNTIL: (_OF_A_CHECK, "finding"),
    families.LAST_CONCLUSIVE: (_OF_A_CHECK,),
    families.RECORD_CHANGED: (_OF_A_CHECK,),
    families.INTERVAL: ("check",),
    families.DOMAIN_SENDER: Authorisation.LABELS,
    families.SENDER: (*Greeting.LABELS, "helo"),
    families.TARGETS: ("kind",),
    families.CHECKS: ("check", "status"),
    families.PROBLEMS: ("check", "finding", "severity"),
}

REASONS: dict[Reason, str] = {
    Reason.BUG: "a fault of the exporter itself; its log has the trace",
    Reason.PENDING: "no run has ended yet",
    Reason.DEADLINE: "the run was not over in time",
    Reason.LOCAL_RESOURCES: "the exporter has no file descriptor, memory or local port left: raise `LimitNOFILE`",
    Reason.RATE_LIMITED: "a query waited too long: our own rate limit, or a server that allows fewer",
    Reason.BLOCKLIST_UNHEALTHY: "all blocklists for the target fail their self-test now",
    Reason.EGRESS: "outbound traffic may be blocked here, for example port 25",
    Reason.BOGUS: "the resolver rejects the answer on DNSSEC grounds",
    Reason.MALFORMED: "something answered, but not by the rules of the protocol",
    Reason.TRUNCATED: "an answer too long for UDP, and TCP brought nothing better",
    Reason.DNS_SERVFAIL: "the resolver answers SERVFAIL",
    Reason.DNS_REFUSED: "the resolver answers REFUSED",
    Reason.DNS_TIMEOUT: "the resolver does not answer in time",
    Reason.NETWORK: "a connection that was not made, broke off or stayed silent",
    Reason.TEMPFAIL: "a server says: not now (4xx, HTTP 5xx)",
}

# What one asks of the main families.
QUERIES: tuple[tuple[str, str], ...] = (
    ("What is being refused now?", 'deliverability_finding{severity="critical"}'),
    ("How much is wrong, by team (a label of your own)?", "sum by (team, severity) (deliverability_finding)"),
    (
        "For how many days has each finding been active?",
        "(time() - deliverability_finding_since_timestamp_seconds) / 86400",
    ),
    (
        "What part of the targets passes each check?",
        ('sum by (check) (deliverability_checks{status="pass"})\n  / sum by (check) (deliverability_checks)'),
    ),
    ("What is unknown, and why?", "count by (check, reason) (deliverability_check_unknown_reason)"),
    (
        "What has had no answer for six hours (0 is never)?",
        "time() - deliverability_check_last_conclusive_timestamp_seconds > 6 * 3600",
    ),
    (
        "Which records have changed within a day?",
        "time() - deliverability_record_changed_timestamp_seconds < 86400",
    ),
    (
        "Which domains suffer from a mail host with something critical?",
        (
            "deliverability_domain_mail_host_info * on (mail_host, mail_port) group_left ()\n"
            '  max by (mail_host, mail_port) (deliverability_finding{severity="critical"})'
        ),
    ),
    ("Which SPF policies are near the limit of 10 lookups?", "deliverability_spf_dns_lookups >= 8"),
    ("How many domains have which DMARC policy?", "count by (policy) (deliverability_dmarc_policy_info)"),
    (
        "Which certificates end within 14 days?",
        "deliverability_smtp_tls_certificate_not_after_timestamp_seconds - time() < 14 * 86400",
    ),
    (
        "Which registrations end first?",
        "bottomk(10, deliverability_registration_expiry_timestamp_seconds - time())",
    ),
    ("How many requirements of each receiver fail?", "sum by (receiver) (deliverability_receiver_unmet)"),
    (
        "What part of the runs has the result unknown?",
        (
            "sum by (check) (rate(deliverability_exporter_runs_unknown_total[1h]))\n"
            "  / sum by (check) (rate(deliverability_exporter_runs_total[1h]))"
        ),
    ),
    (
        "How long does the resolver take?",
        (
            "histogram_quantile(0.99,\n"
            "  sum by (le, nameserver) (rate(deliverability_exporter_dns_query_duration_seconds_bucket[10m])))"
        ),
    ),
)

_HEAD = """\
`/metrics` serves the latest results from memory, in milliseconds, as text or OpenMetrics and gzip. `?name[]=FAMILY`
restricts it. Values come from background runs, each check at its own interval. Ages have their own series.

A series about a target has the identity labels of that target, some of
"""

_IDENTITY = """.
It also has your own ([`labels`](config.md#senders) of an entry). The families of all checks have the label `check`.
Scrape with `honor_labels: true`, so that these labels are kept. Values are canonical: lower case, without a trailing
dot. Remote text is never a label.

A check that is switched off has no series. An unknown result changes nothing: `deliverability_check_ok` keeps the last
conclusive one, and is absent until there is one."""

_MISSING = """\
The series of a target end only when it leaves the configuration. A finding has a series while it is active.
Acknowledged findings and those of severity info have none. If a target can have one finding several times
([findings](findings/README.md) say so), one more label distinguishes them: """


def page(known: Catalogue) -> str:
    measured = [entry for entry in known.entries if entry.metrics]
    return joined(
        "# Metrics",
        MADE,
        _HEAD + codes(IDENTITY_LABELS) + _IDENTITY,
        "## About every check",
        table(("Family", "Type", "Labels", "Meaning"), map(_shared, LABELS)),
        f"{_MISSING}{codes(sorted({label for rule in known.rules.values() for label in rule.subjects}))}.",
        "### Reasons",
        "Of `deliverability_check_unknown_reason{reason}`: one at a time, the first that applies.",
        table(("Reason", "Means"), ((code(reason), plain(REASONS[reason])) for reason in Reason)),
        "## Metrics of single checks",
        "What is worth a graph. They have no label `check`, and of the others those that the target has.",
        table(("Family", "Type", "Labels", "Meaning"), (row for entry in measured for row in _measures(entry))),
        "## The exporter itself",
        table(("Family", "Type", "Labels", "Meaning"), own(known)),
        "Beside these there are the usual `process_*` and `python_*`.",
        "## Questions",
        *(f"{question}\n\n```promql\n{expression}\n```" for question, expression in QUERIES),
    )


def _shared(family: str) -> tuple[str, ...]:
    labels = [name for name in LABELS[family] if name != _OF_A_CHECK]
    those = "those of check and target" if _OF_A_CHECK in LABELS[family] else ""
    own = codes(labels) if labels else ""
    return code(family), "gauge", " and ".join(filter(None, (those, own))), plain(HELP[family])


def _measures(entry: CatalogueEntry) -> Iterator[tuple[str, ...]]:
    identity = [label for kind in entry.check.over for label in kind.LABELS]
    for metric in entry.metrics:
        labels = codes(dict.fromkeys((*identity, *metric.labels)))
        yield code(metric.name), "gauge", labels, plain(metric.help)


def own(known: Catalogue) -> Iterator[tuple[str, ...]]:
    """Rows about the exporter itself; made with one of each, since a family tells its labels by its samples."""
    stats = ResolverStats({"": UpstreamStats(queries=1)})
    stats.nameservers[""].responses.update([Status.ANSWER])
    sample = OwnHealth(
        state_configured=True,
        state_size=1,
        state_saved=1.0,
        checks=frozenset({""}),
        runs=Counter([""]),
        unchanged=Counter([""]),
        unknown=Counter([("", "")]),
        durations={"": Histogram((1.0,))},
        budgets={"": 1.0},
        dns=stats,
        http=HttpStats(rejected=Counter(Disconnection), requests=Counter([200])),
        web_file_ok=True,
        web_refused={"": 1},
        actions={"": 1},
    )
    shown = Exposition(known, SystemClock(), 0, OwnHealth)
    (check, *_) = (it for it in known.checks.values() if Domain in it.over)
    shown.put(replace(CheckState(check, Domain(name="", mail_from=())), last_run=1.0))
    for family in health(sample, shown, SystemClock()):
        labels = dict.fromkeys(name for _, told, _ in family.samples for name, _ in told if name != "le")
        yield code(family.shown_name), family.type, codes(labels), plain(family.help)
