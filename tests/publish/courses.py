"""Hours of trouble: what Prometheus scrapes, all that then fires, and what people are told of it. Written by hand.

Times are minutes. Defaults: a critical finding counts at 4 min and any other at 1 h; windows are 5 min, and what has
ended goes on for 20 min.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from exporter.engine import catalogue
from exporter.publish.rules import groups
from exporter.publish.thresholds import Thresholds
from tests.publish.promtool import IDENTITY, series
from tests.publish.scraped import Exporter, Scraped, gauge, inside

CATALOGUE = catalogue.load()
ALERTS = [rule for group in groups(CATALOGUE, Thresholds()) for rule in group["rules"] if "alert" in rule]
Labels: TypeAlias = Mapping[str, str]
TWIN = "twin:10554"


@dataclass(frozen=True)
class Alert:
    """One that fires, and its time."""

    labels: Labels
    begin: int
    end: int


@dataclass
class Course:
    """`looks` are the minutes at which it is looked at: what each brings, as `pager: +ptr.missing 192.0.2.10`."""

    name: str
    end: int
    scraped: Scraped = field(default_factory=dict)
    alerts: list[Alert] = field(default_factory=list)
    looks: dict[int, set[str]] = field(default_factory=dict)

    def fires(self, alert: str, begin: int, end: int, severity: str = "", **labels: str) -> None:
        """An alert between these minutes; what a minute or two more or less matters is not looked at."""
        (fixed,) = [
            rule["labels"]
            for rule in ALERTS
            if rule["alert"] == f"Deliverability{alert}"
            and rule["labels"].get("severity", severity) in (severity, "none")
        ]
        told = {"alertname": f"Deliverability{alert}", "job": IDENTITY["job"], "severity": severity}
        self.alerts.append(Alert({**told, **fixed, **labels}, begin, end))

    def found(
        self, by: Exporter, rule: str, severity: str, stands: tuple[int, int], fires: tuple[int, int] | None, **who: str
    ) -> None:
        """A finding from minute to minute, and its alert."""
        begin, end = stands
        self.scraped |= by.finding(rule, severity, (max(begin, 0), end), since=lambda _: begin, who=who)
        if fires:
            labels = {"check": rule.partition(".")[0], "finding": rule, **who}
            self.fires(severity.capitalize(), fires[0], fires[1], severity, **labels)

    def unknown(self, begin: int, **labels: str) -> None:
        """A check that cannot tell, for long before, from this minute on."""
        meanwhile = inside([(begin, self.end)])
        for name, more, value in (
            ("unknown_reason", {"reason": "bogus"}, "1"),
            ("last_conclusive_timestamp_seconds", {}, f"{begin * 60}"),
        ):
            told = series(f"deliverability_check_{name}", **labels, **more)
            self.scraped[told] = [value if meanwhile(minute) else "stale" for minute in range(self.end)]

    def at(self, minute: int) -> list[Labels]:
        return [alert.labels for alert in self.alerts if alert.begin <= minute < alert.end]

    def at_step(self, number: int) -> list[Labels]:
        """At the look of that number; nothing before the first."""
        return self.at([0, *self.looks][number + 1])


def courses() -> Iterator[Course]:
    yield without_a_resolver()
    yield a_domain_that_dies()
    yield a_dead_domain_of_no_weight()
    yield a_bogus_zone()
    yield what_becomes_worse()
    yield one_exporter_of_a_pair()
    yield one_exporter_leaves()
    yield no_exporter_at_all()


def begun(name: str, end: int) -> tuple[Course, Exporter]:
    it, exporter = Course(name, end), Exporter(end=end)
    it.scraped |= exporter.scraped()
    return it, exporter


def without_a_resolver() -> Course:
    """What stood is still there; the exporter confirms nothing meanwhile."""
    it, exporter = begun("without a resolver", 220)
    it.found(exporter, "ptr.missing", "critical", (-600, 220), (0, 220), ip="192.0.2.10")
    it.scraped |= gauge("check_unknown", (0, 60), (1, 60), (0, 100), check="resolver")
    it.fires("ResolverUnhealthy", 70, 145, severity="warning", instance=IDENTITY["instance"])
    it.looks = {
        50: {"pager: +ptr.missing 192.0.2.10"},
        75: {"mail: +ResolverUnhealthy"},
        120: set(),
        150: {"mail: -ResolverUnhealthy"},
    }
    return it


def a_domain_that_dies() -> Course:
    """Its parts are seen to be missing before or after it is, and for a while after it is back."""
    it, exporter = begun("a domain that dies", 220)
    who = {"domain": "example.com"}
    it.found(exporter, "mx.no-such-domain", "critical", (24, 100), (28, 125), **who)
    it.found(exporter, "dkim.missing", "critical", (25, 115), (29, 140), **who, selector="s1")
    it.found(exporter, "spf.missing", "warning", (26, 114), (86, 139), **who)
    it.found(exporter, "registration.on-hold", "critical", (30, 130), (34, 155), **who)
    it.found(exporter, "spf.missing", "critical", (11, 220), (15, 220), domain="example.net")
    it.fires("DomainDead", 24, 199, **who)
    it.looks = {
        20: {"pager: +spf.missing example.net"},
        32: {"pager: +mx.no-such-domain example.com"},
        40: {"pager: +registration.on-hold example.com"},
        95: set(),
        128: {"pager: -mx.no-such-domain example.com"},
        160: {"pager: -registration.on-hold example.com"},
        210: set(),
    }
    return it


def a_dead_domain_of_no_weight() -> Course:
    """Where the operator wants no page for it, its parts still page."""
    it, exporter = begun("a dead domain of no weight", 150)
    it.found(exporter, "mx.no-such-domain", "warning", (60, 150), (120, 150), domain="example.com")
    it.found(exporter, "dkim.missing", "critical", (60, 150), (64, 150), domain="example.com", selector="s1")
    it.looks = {70: {"pager: +dkim.missing example.com s1"}, 130: {"mail: +mx.no-such-domain example.com"}}
    return it


def a_bogus_zone() -> Course:
    """That nothing can be told of it needs no telling; what is known to be wrong does."""
    it, exporter = begun("a bogus zone", 130)
    it.found(exporter, "zone.bogus", "critical", (60, 130), (64, 130), domain="example.com")
    it.found(exporter, "dkim.missing", "critical", (50, 130), (54, 130), domain="example.com", selector="s1")
    for domain in ("example.com", "example.net"):
        it.unknown(-300, check="spf", domain=domain)
        it.fires("UnknownTooLong", 91, 130, severity="warning", check="spf", domain=domain)
    it.looks = {
        70: {"pager: +zone.bogus example.com", "pager: +dkim.missing example.com s1"},
        100: {"mail: +UnknownTooLong example.net"},
    }
    return it


def what_becomes_worse() -> Course:
    """The page takes the mail's place: the mail is not told that it is over."""
    it, exporter = begun("what becomes worse", 150)
    who = {"ip": "192.0.2.10"}
    it.found(exporter, "blocklist.listed", "warning", (-600, 60), (0, 85), **who, blocklist="zen")
    since = {name: values[:60] for name, values in it.scraped.items() if "since" in name}
    it.found(exporter, "blocklist.listed", "critical", (60, 150), (64, 150), **who, blocklist="zen")
    for name, values in since.items():
        it.scraped[name] = values + it.scraped[name][60:]
    it.looks = {
        50: {"mail: +blocklist.listed 192.0.2.10 zen"},
        70: {"pager: +blocklist.listed 192.0.2.10 zen"},
        100: set(),
    }
    return it


def one_exporter_of_a_pair() -> Course:
    """The other one goes on telling, and tells what is over. What both tell is told once."""
    end = 200
    it, exporter = begun("one exporter of a pair", end)
    twin = Exporter(end=end, instance=TWIN, down=[(60, 105)])
    it.scraped |= twin.scraped()
    it.found(exporter, "ptr.missing", "critical", (-600, end), (0, end), ip="192.0.2.10")
    it.found(twin, "ptr.missing", "critical", (-600, end), None, ip="192.0.2.10")
    it.found(exporter, "spf.missing", "critical", (-600, 70), (0, 95), domain="example.net")
    it.found(twin, "spf.missing", "critical", (-600, 60), None, domain="example.net")
    it.found(exporter, "dkim.missing", "critical", (70, end), (74, end), domain="example.com", selector="s1")
    for severity, begin in (("warning", 65), ("critical", 90)):
        it.fires("ExporterDown", begin, 125, severity=severity, instance=TWIN)
    it.looks = {
        50: {"pager: +ptr.missing 192.0.2.10", "pager: +spf.missing example.net"},
        68: {"mail: +ExporterDown of the twin"},
        80: {"pager: +dkim.missing example.com s1"},
        94: {"pager: +ExporterDown of the twin"},
        102: {"pager: -spf.missing example.net"},
        130: {"pager: -ExporterDown of the twin", "mail: -ExporterDown of the twin"},
    }
    return it


def one_exporter_leaves() -> Course:
    """One cause, one notice; what it told last is not over."""
    it, _ = begun("one exporter leaves", 150)
    twin = Exporter(end=150, instance=TWIN, hash_="two", gone=60)
    it.scraped |= twin.scraped()
    it.found(twin, "ptr.missing", "critical", (-600, 60), (0, 150), ip="192.0.2.10")
    it.fires("ExporterGone", 71, 150, severity="warning")
    it.fires("TargetsDropped", 71, 150, severity="warning")
    it.looks = {50: {"pager: +ptr.missing 192.0.2.10"}, 80: {"mail: +ExporterGone"}, 140: set()}
    return it


def no_exporter_at_all() -> Course:
    """Nothing is scraped any more, and nothing is over because of that."""
    it = Course("no exporter at all", 150)
    exporter = Exporter(end=150, gone=60)
    it.scraped |= exporter.scraped()
    it.found(exporter, "ptr.missing", "critical", (-600, 60), (0, 150), ip="192.0.2.10")
    it.fires("ExporterAbsent", 71, 150, severity="critical")
    it.looks = {50: {"pager: +ptr.missing 192.0.2.10"}, 80: {"pager: +ExporterAbsent"}, 140: set()}
    return it
