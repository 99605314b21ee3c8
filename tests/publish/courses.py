"""Hours of trouble: what Prometheus scrapes, all that then fires, and what people are told of it. Written by hand.

Times are minutes. Defaults: a critical finding counts at 15 min and any other at 1 h, then comes a `for` of 10 min;
windows are 5 min, what has ended goes on for 10 min, doubt mutes for 6 h.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from exporter.engine import catalogue
from exporter.publish.findings import name
from exporter.publish.rules import groups
from exporter.publish.thresholds import Thresholds
from tests.publish.promtool import IDENTITY, during, series
from tests.publish.scraped import Scraped, gauge, steps

CATALOGUE = catalogue.load()
RULES = {rule["alert"]: rule for group in groups(CATALOGUE, Thresholds()) for rule in group["rules"] if "alert" in rule}
Labels: TypeAlias = Mapping[str, str]
TWIN = {"instance": "twin:10554"}


@dataclass(frozen=True)
class Alert:
    """One that fires, and its time."""

    labels: Labels
    begin: int
    end: int


@dataclass
class Course:
    """`looks` are the minutes at which it is looked at: what each brings, as `pager: +PtrMissing 192.0.2.10`."""

    name: str
    end: int
    scraped: Scraped = field(default_factory=dict)
    alerts: list[Alert] = field(default_factory=list)
    looks: dict[int, set[str]] = field(default_factory=dict)

    def fires(self, alert: str, begin: int, end: int, **labels: str) -> None:
        """An alert between these minutes; what a minute or two more or less matters is not looked at."""
        rule = RULES[f"Deliverability{alert}"]
        self.alerts.append(Alert({"alertname": rule["alert"], **IDENTITY, **rule["labels"], **labels}, begin, end))

    def found(self, rule: str, severity: str, begin: int, end: int, fires: int, until: int, **who: str) -> None:
        """A finding from minute to minute, and its alert."""
        labels = {"check": rule.partition(".")[0], "finding": rule, **who}
        self.scraped[series("deliverability_finding", **labels, severity=severity)] = during(1, max(begin, 0), end)
        since = series("deliverability_finding_since_timestamp_seconds", **labels)
        self.scraped[since] = during(begin * 60, max(begin, 0), end)
        if fires:
            self.fires(
                name(CATALOGUE.rules[rule]).removeprefix("Deliverability"), fires, until, severity=severity, **labels
            )

    def unknown(self, begin: int, end: int, **labels: str) -> None:
        """A check that cannot tell from minute to minute; before and after it can."""
        self.scraped |= gauge("check_unknown", (0, begin), (1, end - begin), (0, self.end - end), **labels)
        known = [minute if not begin <= minute < end else begin - 1 for minute in range(self.end)]
        told = series("deliverability_check_last_conclusive_timestamp_seconds", **labels)
        self.scraped[told] = [f"{minute * 60}" for minute in known]

    def up(self, *parts: tuple[float, int], **labels: str) -> None:
        self.scraped[series("up", **labels)] = steps(*(parts or ((1, self.end),)))

    def at(self, minute: int) -> list[Labels]:
        return [alert.labels for alert in self.alerts if alert.begin <= minute < alert.end]

    def at_step(self, number: int) -> list[Labels]:
        """At the look of that number; nothing before the first."""
        return self.at([0, *self.looks][number + 1])


def courses() -> Iterator[Course]:
    yield without_a_resolver()
    yield with_a_resolver_that_lies("rewrites")
    yield with_a_resolver_that_lies("denies")
    yield a_blocklist_in_doubt()
    yield a_domain_that_dies()
    yield a_dead_domain_of_no_weight()
    yield a_bogus_zone()
    yield one_exporter_of_two()
    yield no_exporter_at_all()


def without_a_resolver() -> Course:
    """8 hours. What stood is still there, what was found in the last minutes before is told of after 6 of them."""
    it = Course("without a resolver", 660)
    it.up()
    it.found("ptr.missing", "critical", -600, it.end, 10, it.end, ip="192.0.2.10")
    it.found("ptr.missing", "critical", 55, it.end, 80, it.end, ip="192.0.2.11")
    it.unknown(60, 540, check="resolver")
    for check, again in (("ptr", 541), ("spf", 550), ("zone", 599)):
        it.unknown(60, again, check=check, domain="example.com")
    it.unknown(100, 590, check="blocklist_health", blocklist="zen")
    it.fires("ResolverInDoubt", 60, 425)
    it.fires("BlocklistInDoubt", 100, 465, blocklist="zen")
    it.fires("ResolverUnhealthy", 70, 555, check="resolver")
    it.looks = {
        50: {"pager: +PtrMissing 192.0.2.10"},
        75: {"mail: +ResolverUnhealthy"},
        90: set(),
        410: set(),
        440: {"pager: +PtrMissing 192.0.2.11"},
        535: set(),
        570: {"mail: -ResolverUnhealthy"},
        650: set(),
    }
    return it


def with_a_resolver_that_lies(how: str) -> Course:
    """What is found meanwhile is told of after 6 hours, or a resolver that nobody mends would hide it for good."""
    it = Course(f"a resolver that {how}", 460)
    it.up()
    it.found(f"resolver.{how}", "warning", 60, it.end, 0, 0)
    it.found("ptr.missing", "critical", 62, it.end, 87, it.end, ip="192.0.2.12")
    it.fires("ResolverInDoubt", 60, 425)
    it.fires("ResolverUnhealthy", 70, it.end, check="resolver", finding=f"resolver.{how}")
    it.looks = {75: {"mail: +ResolverUnhealthy"}, 90: set(), 410: set(), 440: {"pager: +PtrMissing 192.0.2.12"}}
    return it


def a_blocklist_in_doubt() -> Course:
    """Its own listings wait, for 6 hours; those of others do not, nor those of a list that is merely slow."""
    it = Course("a blocklist in doubt", 460)
    it.up()
    for blocklist, rule in (("zen", "dead"), ("slow", "unreliable")):
        it.found(f"blocklist_health.{rule}", "warning", 60, it.end, 0, 0, blocklist=blocklist)
        it.scraped |= gauge("check_ok", (1, 60), (0, it.end - 60), check="blocklist_health", blocklist=blocklist)
        it.fires("BlocklistUnhealthy", 75, it.end, check="blocklist_health", blocklist=blocklist)
    for blocklist, begin in (("zen", 50), ("sbl", 70), ("slow", 70)):
        who = {"ip": "192.0.2.13", "blocklist": blocklist}
        it.found("blocklist.listed", "critical", begin, it.end, begin + 25, it.end, **who)
    it.fires("BlocklistInDoubt", 60, 425, blocklist="zen")
    it.looks = {
        85: {"mail: +BlocklistUnhealthy zen", "mail: +BlocklistUnhealthy slow"},
        100: {"pager: +BlocklistListed 192.0.2.13 sbl", "pager: +BlocklistListed 192.0.2.13 slow"},
        410: set(),
        440: {"pager: +BlocklistListed 192.0.2.13 zen"},
    }
    return it


def a_domain_that_dies() -> Course:
    """Its parts are seen to be missing before it is, and for a while after it is back."""
    it = Course("a domain that dies", 420)
    it.up()
    who = {"domain": "example.com"}
    it.found("dkim.missing", "critical", 61, 315, 86, 330, **who, selector="s1")
    it.found("spf.missing", "warning", 62, 314, 132, 329, **who)
    it.found("mx.no-such-domain", "critical", 74, 300, 99, 315, **who)
    it.found("registration.on-hold", "critical", 80, 330, 105, 345, **who)
    it.found("zone.no-such-domain", "warning", 100, 355, 170, 370, **who)
    it.found("spf.missing", "critical", 61, it.end, 86, it.end, domain="example.net")
    it.fires("DomainDead", 74, 395, **who)
    it.looks = {
        90: {"pager: +SpfMissing example.net"},
        102: {"pager: +MxNoSuchDomain example.com"},
        110: {"pager: +RegistrationOnHold example.com"},
        200: set(),
        320: {"pager: -MxNoSuchDomain example.com"},
        350: {"pager: -RegistrationOnHold example.com"},
        410: set(),
    }
    return it


def a_dead_domain_of_no_weight() -> Course:
    """Where the operator wants no page for it, its parts still page."""
    it = Course("a dead domain of no weight", 200)
    it.up()
    it.found("mx.no-such-domain", "warning", 60, it.end, 130, it.end, domain="example.com")
    it.found("dkim.missing", "critical", 60, it.end, 85, it.end, domain="example.com", selector="s1")
    it.looks = {90: {"pager: +DkimMissing example.com s1"}, 140: {"mail: +MxNoSuchDomain example.com"}}
    return it


def a_bogus_zone() -> Course:
    """That nothing can be told of it needs no telling; what is known to be wrong does."""
    it = Course("a bogus zone", 480)
    it.up()
    it.found("zone.bogus", "critical", 60, it.end, 85, it.end, domain="example.com")
    it.found("dkim.missing", "critical", 50, it.end, 75, it.end, domain="example.com", selector="s1")
    for domain in ("example.com", "example.net"):
        it.unknown(60, it.end, check="spf", domain=domain)
        it.fires("UnknownTooLong", 449, it.end, check="spf", domain=domain)
    it.looks = {
        90: {"pager: +ZoneBogus example.com", "pager: +DkimMissing example.com s1"},
        460: {"mail: +UnknownTooLong example.net"},
    }
    return it


def one_exporter_of_two() -> Course:
    """The other one goes on telling. What the lost one had told of is neither over nor told anew when it is back."""
    it = Course("one exporter of two", 200)
    it.up()
    it.up((1, 60), (0, 40), (1, 100), **TWIN)
    it.found("ptr.missing", "critical", -600, it.end, 10, it.end, ip="192.0.2.10")
    it.found("dkim.missing", "critical", 50, it.end, 75, it.end, domain="example.com", selector="s1")
    it.found("ptr.missing", "critical", -600, it.end, 10, 75, ip="192.0.2.10", **TWIN)
    for family in list(it.scraped):
        if TWIN["instance"] in family and not family.startswith("up"):
            values = it.scraped[family]
            it.scraped[family] = [*values[:60], "stale", *["_"] * 39, *values[100:]]
    it.alerts.append(Alert(it.alerts[-1].labels, 110, it.end))
    it.fires("ExporterDown", 65, 115, **TWIN)
    it.looks = {
        50: {"pager: +PtrMissing 192.0.2.10", "pager: +PtrMissing 192.0.2.10 of the twin"},
        70: {"pager: +ExporterDown of the twin"},
        90: {"pager: +DkimMissing example.com s1"},
        112: set(),
        120: {"pager: -ExporterDown of the twin"},
    }
    return it


def no_exporter_at_all() -> Course:
    """Nothing is scraped any more, and nothing is over because of that."""
    it = Course("no exporter at all", 200)
    it.up((1, 60))
    it.scraped[series("up")].append("stale")
    it.found("ptr.missing", "critical", -600, 60, 10, 75, ip="192.0.2.10")
    it.alerts.append(
        Alert(
            {
                **RULES["DeliverabilityExporterAbsent"]["labels"],
                "alertname": "DeliverabilityExporterAbsent",
                "job": IDENTITY["job"],
            },
            70,
            it.end,
        )
    )
    it.looks = {50: {"pager: +PtrMissing 192.0.2.10"}, 73: {"pager: +ExporterAbsent"}, 90: set()}
    return it
