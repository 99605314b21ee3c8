"""What Prometheus may have scraped of an exporter, in short: for stories and courses."""

from __future__ import annotations

from exporter.engine import catalogue
from exporter.publish import findings
from tests.publish.promtool import during, series

CATALOGUE = catalogue.load()
APART = {"registration.expiring", "resolver.denies", "resolver.rewrites", "smtp_tls.certificate-expiring"}
OF_FINDINGS = {
    findings.name(rule): rule
    for rule in CATALOGUE.rules.values()
    if rule.id not in APART and not rule.id.startswith(("blocklist_health.", "receiver."))
}
VALUES = {
    "domain": "example.com",
    "sender": "out",
    "ip": "192.0.2.10",
    "selector": "s1",
    "mail_host": "mx.example.com",
    "mail_port": "25",
    "blocklist": "zen",
}
EVERY_FINDING = dict.fromkeys(OF_FINDINGS, 1)
FEW = {rule.id.partition(".")[0]: name for name, rule in OF_FINDINGS.items()} | {"ptr": "DeliverabilityPtrMissing"}
EACH_CHECK = dict.fromkeys(FEW.values(), 1)
Scraped = dict[str, list[str]]


def labels(rule_id: str) -> dict[str, str]:
    """Identity of a target that the rule's check looks at."""
    check = CATALOGUE.checks[rule_id.partition(".")[0]]
    return {label: VALUES[label] for label in check.over[0].LABELS}


def standing(
    severity: str, begin: int, end: int, *, scraped: str = "", since: int | None = None, of_all: bool = False
) -> Scraped:
    """One finding of each check, or every one, from minute to minute, on one target each."""
    made: Scraped = {}
    for name in OF_FINDINGS if of_all else FEW.values():
        rule = OF_FINDINGS[name]
        who = {"check": rule.id.partition(".")[0], **labels(rule.id), "finding": rule.id, "team": "crm"}
        made[series("deliverability_finding", **who, severity=severity)] = during(1, begin, end, scraped=scraped)
        age = during((begin if since is None else since) * 60, begin, end, scraped=scraped)
        made[series("deliverability_finding_since_timestamp_seconds", **who)] = age
    return made


def up(minutes: int = 700) -> Scraped:
    return {series("up"): during(1, 0, minutes)}


def steps(*parts: tuple[float, int]) -> list[str]:
    """(value, minutes) one after the other."""
    return [f"{value:g}" for value, minutes in parts for _ in range(minutes)]


def gauge(tail: str, *parts: tuple[float, int], **more: str) -> Scraped:
    return {series(f"deliverability_{tail}", **more): steps(*parts)}


def finding(rule: str, severity: str, who: dict[str, str], begin: int, end: int) -> Scraped:
    named = {"check": rule.partition(".")[0], **who, "finding": rule}
    return {
        series("deliverability_finding", **named, severity=severity): during(1, begin, end),
        series("deliverability_finding_since_timestamp_seconds", **named): during(begin * 60, begin, end),
    }
