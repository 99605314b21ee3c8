"""PromQL of the dashboards: the series of the chosen exporters, each counted once, with words.

The problem: a fleet of 10,000 domains has 360,000 series. A panel that adds them up costs seconds, for each viewer and
each refresh. And two exporters with one configuration have each series twice.

The idea: the exporter counts what is a total, and a finding has series only while it stands. So the fleet dashboard
reads nothing of what is well, but for the dates of what ends next.

The rules:

- Totals are those of one exporter for each configuration: the larger of a pair (`once`).
- Findings are counted without the labels that say where they were scraped (`apart`).
- Rows with links need an address, so they are those of one exporter for each configuration (`led`).
- Critical is what the exporter's own pages count: problems, that is, findings of one rule that one change repairs.
- Every selector has the variables of HERE or JOB. `clustered` adds the label of clusters where there is one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from exporter.engine.catalogue import Catalogue
from exporter.engine.families import (
    CHECKS,
    CONFIG,
    DOMAIN_SENDER,
    FINDING,
    INFO,
    OWN_PREFIX,
    PROBLEMS,
    REASON,
    SENDER,
    SINCE,
    UNKNOWN,
)
from exporter.model import TARGET_LABELS
from exporter.publish.alert import SCRAPED
from exporter.publish.promql import none_of, partly
from exporter.targets import Address, EhloProbe, Greeting, MailHost, Reputation

Making: TypeAlias = Callable[[str], str]  # an expression of the series with these matchers
Selecting: TypeAlias = Callable[[Making], str]  # the same of the series that it selects

JOB = 'job=~"$job"'
HERE = f'{JOB},instance=~"$instance"'
EXPORTER = "job, instance"  # what tells exporters apart
MAIL_HOST = "deliverability_domain_mail_host_info"
ENDED = 'reason!="pending"'  # the latest run has ended
CRITICAL, WARNING = 'severity="critical"', 'severity="warning"'
WORDS = ("title", "impact", "fix")

_CLAUSE = re.compile(r"\bjob\b(?=[,)])")  # in by (...) and on (...)


def clustered(expr: str, label: str) -> str:
    """The query with the cluster in each selector and each clause that names the job; no query can forget it."""
    if not label:
        return expr
    return _CLAUSE.sub(f"job, {label}", expr.replace(JOB, f'{JOB},{label}=~"$cluster"'))


def of(metric: str, matchers: str = "") -> str:
    """The series of the chosen exporters."""
    return f"{metric}{{{HERE}{',' if matchers else ''}{matchers}}}"


def both(*matchers: str) -> str:
    return ",".join(filter(None, matchers))


def causes(known: Catalogue) -> str:
    """A matcher for all checks but those that repeat the findings of others."""
    return none_of("check", [entry.check.id for entry in known.entries if entry.check.concludes])


def once(metric: str, matchers: str = "", by: str = "") -> str:
    """The sum of a total, with each configuration counted once."""
    more = f"{by}, " if by else ""
    configured = f"topk by ({EXPORTER}) (1, {of(CONFIG)})"  # one, even at the moment when another takes its place
    return (
        f"sum by ({by}) (max by ({more}hash, job) (sum by ({more}{EXPORTER}) ({of(metric, matchers)})"
        f" * on ({EXPORTER}) group_left (hash) {configured}))"
    )


def total(metric: str, matchers: str = "") -> str:
    """The same, 0 if there are checks; without their totals there is no data."""
    return f"{once(metric, matchers)} or 0 * {once(CHECKS)}"


def apart(expr: str) -> str:
    """Series of one target each, whichever exporter tells of it."""
    return f"max without ({SCRAPED}) ({expr})"


def led(expr: str) -> str:
    """The series of one exporter for each configuration: that whose configuration is in force for longest."""
    loaded = f"max by ({EXPORTER}) ({of(OWN_PREFIX + 'config_last_reload_success_timestamp_seconds')})"
    configured = f"max by ({EXPORTER}, hash) ({of(CONFIG)})"
    return (
        f"({expr} and on ({EXPORTER})"
        f" bottomk by (hash, job) (1, {configured} * on ({EXPORTER}) group_left () {loaded}))"
    )


def any_exporter(expr: str) -> str:
    """With the label `instance` of any exporter: the texts of findings are the same on all."""
    return f"{expr} * on () group_left (instance) topk(1, max by (instance) ({of(CONFIG)}))"


def worded(expr: str) -> str:
    """With the words for people: what is wrong, what it does to mail, and the fix. Without them the title is the id."""
    texts = f"topk by (finding) (1, max by (finding, {', '.join(WORDS)}) ({of(INFO)}))"
    others = f'label_replace(group by (finding) ({of(FINDING)}), "title", "$1", "finding", "(.*)")'
    return f"{expr} * on (finding) group_left ({', '.join(WORDS)}) ({texts} or on (finding) {others})"


def owned(expr: str) -> str:
    """With the label `owner`: the value of the label that the variable names."""
    named = f'label_replace({expr}, "owner", "$1", "$owner", "(.*)")'
    return f'label_replace({named}, "owner", "(none)", "owner", "")'


def asking(metric: str, *more: str) -> Making:
    """The series of the metric that have these matchers, too."""
    return lambda matchers: of(metric, both(matchers, *more))


def _value(matchers: str) -> str:
    """Of what is bad or unknown, and of each check of a target: 1 while it is unknown for whatever reason, else 0."""
    bad = f"4 * {of(FINDING, both(matchers, CRITICAL))} or 3 * {of(FINDING, both(matchers, WARNING))}"
    return f"({bad} or 2 * {of(REASON, both(matchers, ENDED))} or {of(UNKNOWN, matchers)})"


def state(by: str, select: Selecting) -> str:
    """The worst state of each, as in panels.STATES. It is pass only if everything has been answered."""
    return f"max by ({by}) ({select(_value)})"


def among(matchers: str) -> Selecting:
    """The series with these matchers."""
    return lambda make: make(matchers)


def led_among(matchers: str) -> Selecting:
    """The same, of one exporter for each configuration."""
    return lambda make: led(make(matchers))


def around(known: Catalogue, domain: str) -> Selecting:
    """The series of a domain (a matcher), of the senders and addresses that it sends from, and of its mail hosts."""
    senders, hosts = of(DOMAIN_SENDER, domain), of(MAIL_HOST, domain)
    of_sender, of_address = partly(known, Greeting, EhloProbe), partly(known, Address, Reputation)
    of_host = partly(known, MailHost)
    return lambda make: (
        f"({make(domain)}"
        f" or {make(of_sender)} and on (sender, {EXPORTER}) {senders}"
        f" or {make(of_address)} and on (ip, {EXPORTER}) ({of(SENDER)} and on (sender, {EXPORTER}) {senders})"
        f" or {make(of_host)} and on (mail_host, mail_port, {EXPORTER}) {hosts})"
    )


def active(select: Selecting, most: int, more: str = "") -> str:
    """The latest findings of each severity. Value: since when, in milliseconds; 0 while one is not confirmed yet."""

    def sure(matchers: str) -> str:
        confirmed = of(SINCE, both(matchers, more))
        return f"({of(FINDING, both(matchers, more))} * ignoring (severity) group_left () {confirmed})"

    def unsure(matchers: str) -> str:
        return f"({of(FINDING, both(matchers, more))} unless ignoring (severity) {of(SINCE, both(matchers, more))})"

    latest = f"topk by (severity) ({most}, {led(select(sure))}) * 1000"
    return f"({latest} or 0 * topk by (severity) ({most}, {led(select(unsure))}))"


def grouped(matchers: str) -> dict[str, str]:
    """What is wrong by finding and severity: how many problems, at how many targets, and since when."""
    by = "finding, severity"
    found = of(FINDING, matchers)
    oldest = f"min by ({by}) ({found} * ignoring (severity) group_left () {of(SINCE, matchers)})"
    shown = {
        "problems": f"({once(PROBLEMS, '', by)} and on ({by}) {found})",
        "targets": once(FINDING, matchers, by),
        "since": f"({oldest} * 1000 or 0 * group by ({by}) ({found}))",
    }
    return {name: any_exporter(worded(expr)) for name, expr in shown.items()}


def joined_labels(expr: str, name: str, separator: str, labels: Sequence[str] = TARGET_LABELS) -> str:
    quoted = ", ".join(f'"{label}"' for label in labels)
    return f'label_join({expr}, "{name}", "{separator}", {quoted})'
