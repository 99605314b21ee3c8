"""What Prometheus may see of an exporter, and the alerts that must fire for it, minute by minute: written by hand.

Defaults: a finding counts at 15 min (critical) or 1 h, then comes a `for` of 10 min; windows are 5 min, and what has
ended goes on for 10 min.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.publish.promtool import Story, during, series
from tests.publish.quiet import quiet
from tests.publish.scraped import EACH_CHECK, EVERY_FINDING, Scraped, finding, gauge, standing, steps, up


def a_silent_zone() -> Story:
    """That its hosts and HELO names cannot be looked up follows from it."""
    zone = {"check": "zone", "domain": "example.com", "finding": "zone.silent"}
    at = {"mail_port": "25", "check": "smtp_tls"}
    scraped = gauge("finding", (1, 460), **zone, severity="critical") | {
        series("deliverability_finding_since_timestamp_seconds", **zone): during(0, 0, 460)
    }
    sender = {"sender": "out", "ip": "192.0.2.10"}
    other = {"sender": "out", "ip": "192.0.2.11"}
    for who, helo in ((sender, "mail.example.com"), (other, "mail.example.net")):
        scraped |= gauge("sender_info", (1, 500), **who, helo=helo)
    follows = [{**at, "mail_host": "mx.example.com"}, {"check": "helo", **sender}]
    others = [{**at, "mail_host": "mx.example.net"}, {"check": "helo", **other}]
    for who in (*follows, *others):
        scraped |= gauge("check_unknown", (1, 500), **who)
        scraped |= gauge("check_last_conclusive_timestamp_seconds", (0, 500), **who)
    return Story(
        "a silent zone: hosts and HELO names in it raise no alert of their own, others do",
        up() | scraped,
        {
            380: {},
            **{minute: {"DeliverabilityUnknownTooLong": some} for minute, some in ((400, 2), (459, 2), (499, 4))},
        },
    )


def stories() -> Iterator[Story]:
    """Defaults: a finding counts at 15 min (critical) or 1 h, then `for` 10 min; window 5 min, kept 10 min."""
    yield Story(
        "critical findings fire 25 minutes after they began, and end a quarter of an hour after them",
        up() | standing("critical", 30, 120, of_all=True),
        {29: {}, 54: {}, 56: EVERY_FINDING, 121: EVERY_FINDING, 133: EVERY_FINDING, 138: {}},
        of_all=True,
    )
    yield Story(
        "warnings wait for an hour and ten minutes",
        up() | standing("warning", 30, 160),
        {99: {}, 101: EACH_CHECK, 159: EACH_CHECK, 178: {}},
    )
    yield Story(
        "a scrape that fails every fourth minute changes nothing",
        up() | standing("critical", 30, 120, scraped="111_"),
        {54: {}, 56: EACH_CHECK, 121: EACH_CHECK, 138: {}},
    )
    yield Story(
        "three failed scrapes out of four change nothing",
        up() | standing("critical", 30, 120, scraped="1___"),
        {54: {}, 58: EACH_CHECK, 119: EACH_CHECK, 138: {}},
    )
    yield Story(
        "what one run found and the next one did not, a quarter of an hour later, pages nobody",
        up() | standing("critical", 30, 45),
        {minute: {} for minute in range(30, 90, 3)},
    )
    yield Story(
        "a finding that stood before Prometheus started does not wait anew for its age",
        up() | standing("critical", 0, 60, since=-600),
        {9: {}, 11: EACH_CHECK},
    )
    yield Story(
        "the exporter restarts: nothing ends in between",
        up()
        | {
            name: values[:60] + ["stale"] + ["_"] * 5 + values[66:]
            for name, values in standing("critical", 0, 120, since=-600).items()
        },
        {59: EACH_CHECK, 63: EACH_CHECK, 67: EACH_CHECK, 119: EACH_CHECK},
    )
    missing = {"check": "ptr", "ip": "192.0.2.10", "finding": "ptr.missing"}
    yield Story(
        "a finding that becomes critical is one anew, at once old enough",
        up()
        | {series("deliverability_finding", **missing, severity="warning"): during(1, 0, 120)}
        | {series("deliverability_finding", **missing, severity="critical"): during(1, 120, 200)}
        | {series("deliverability_finding_since_timestamp_seconds", **missing): during(0, 0, 200)},
        {
            69: {},
            71: {"DeliverabilityPtrMissing": 1},
            131: {"DeliverabilityPtrMissing": 2},
            140: {"DeliverabilityPtrMissing": 1},
        },
    )
    yield from watching()
    yield from quiet()


def watching() -> Iterator[Story]:
    """One for each alert about the exporter and its eyes: it fires, and it ends."""

    def story(alert: str, scraped: Scraped, *, not_yet: int, fires: int, over: int | None) -> Story:
        expected: dict[int, Mapping[str, int]] = {not_yet: {}, fires: {alert: 1}}
        if over is not None:
            expected[over] = {}
        return Story(f"{alert} fires and ends", up() | scraped, expected)

    unknown, ok = "check_unknown", "check_ok"
    yield story(
        "DeliverabilityResolverUnhealthy",
        gauge(unknown, (0, 10), (1, 50), (0, 60), check="resolver"),
        not_yet=19,
        fires=21,
        over=78,
    )
    for lie in ("resolver.rewrites", "resolver.denies"):
        yield story(
            "DeliverabilityResolverUnhealthy",
            finding(lie, "warning", {}, 10, 60),
            not_yet=19,
            fires=21,
            over=78,
        )
    of_list = {"check": "blocklist_health", "blocklist": "zen"}
    yield story(
        "DeliverabilityBlocklistUnhealthy",
        gauge(unknown, (0, 10), (1, 50), (0, 60), **of_list),
        not_yet=24,
        fires=26,
        over=78,
    )
    yield story(
        "DeliverabilityBlocklistUnhealthy",
        gauge(ok, (1, 10), (0, 50), (1, 60), **of_list),
        not_yet=24,
        fires=26,
        over=78,
    )
    suspect = {**of_list, "finding": "blocklist_health.suspect"}
    yield story(  # alone: nothing else is told of a list that is only suspect
        "DeliverabilityBlocklistHealthSuspect",
        gauge(ok, (1, 10), (0, 150), (1, 60), **of_list)
        | gauge("finding", (0, 10), (1, 150), **suspect, severity="warning")
        | {series("deliverability_finding_since_timestamp_seconds", **suspect): during(600, 10, 160)},
        not_yet=79,
        fires=81,
        over=178,
    )
    spf = {"check": "spf", "domain": "example.com"}
    yield story(
        "DeliverabilityUnknownTooLong",
        gauge(unknown, (0, 10), (1, 440), (0, 60), **spf)
        | gauge("check_last_conclusive_timestamp_seconds", (600, 450), (27000, 60), **spf),
        not_yet=395,
        fires=405,
        over=465,
    )
    yield a_silent_zone()
    tls = {"check": "smtp_tls", "mail_host": "mx.example.com", "mail_port": "25"}
    yield story(
        "DeliverabilityUnknownFromHere",
        {series("deliverability_check_unknown_reason", **tls, reason="egress"): during(1, 0, 400)}
        | gauge(unknown, (1, 400), (0, 60), **tls)
        | gauge("check_last_conclusive_timestamp_seconds", (0, 400), (24000, 60), **tls),
        not_yet=389,
        fires=395,
        over=416,
    )
    yield story(
        "DeliverabilityEvaluationStale",
        gauge("exporter_overdue_targets", (0, 60), (7, 60), (0, 60), check="spf"),
        not_yet=74,
        fires=76,
        over=136,
    )
    down = Story("a down exporter is told of", {series("up"): steps((1, 10), (0, 20), (1, 60))})
    down.fires = {14: {}, 16: {"DeliverabilityExporterDown": 1}, 44: {"DeliverabilityExporterDown": 1}, 46: {}}
    yield down
    absent = Story("an exporter that nobody scrapes is told of", {series("up"): during(1, 0, 20)})
    absent.fires = {25: {}, 36: {"DeliverabilityExporterAbsent": 1}}
    yield absent
    yield story(
        "DeliverabilityConfigReloadFailed",
        gauge("exporter_config_last_reload_successful", (1, 10), (0, 50), (1, 60)),
        not_yet=24,
        fires=27,
        over=75,
    )
    yield story(
        "DeliverabilityWebConfigReloadFailed",
        gauge("exporter_web_config_last_reload_successful", (1, 10), (0, 50), (1, 60)),
        not_yet=24,
        fires=27,
        over=75,
    )
    yield story(
        "DeliverabilityTargetsDropped",
        gauge("targets", (100, 30), (40, 60), (100, 60), kind="domain"),
        not_yet=39,
        fires=42,
        over=110,
    )
    yield story(
        "DeliverabilitySeriesDropped",
        gauge("exporter_series_dropped", (0, 10), (7, 50), (0, 60)),
        not_yet=24,
        fires=27,
        over=75,
    )
    yield story(
        "DeliverabilitySeriesBudget",
        gauge("exporter_series", (800, 10), (950, 50), (800, 60)) | gauge("exporter_series_limit", (1000, 120)),
        not_yet=19,
        fires=21,
        over=78,
    )
    yield story(
        "DeliverabilityStateNotWritable",
        gauge("exporter_state_writable", (1, 10), (0, 50), (1, 60)),
        not_yet=24,
        fires=27,
        over=75,
    )
    bug = {"check": "spf", "reason": "bug"}
    first = {series("deliverability_exporter_runs_unknown_total", **bug): ["_"] * 10 + steps((1, 200))}
    yield story("DeliverabilityExporterBug", first, not_yet=9, fires=11, over=90)
    more = gauge("exporter_runs_unknown_total", (1, 100), (2, 200), **bug)
    yield story("DeliverabilityExporterBug", more, not_yet=99, fires=103, over=190)
    yield story(
        "DeliverabilityLoopLag",
        gauge("exporter_loop_lag_seconds", (0.01, 10), (2.5, 50), (0.01, 60)),
        not_yet=24,
        fires=27,
        over=75,
    )
    yield story(
        "DeliverabilityBlocklistBudget",
        gauge("exporter_blocklist_budget_remaining_ratio", (0.5, 10), (0.05, 50), (1, 60), blocklist="zen"),
        not_yet=24,
        fires=27,
        over=75,
    )
    tls = {"mail_host": "mx.example.com", "mail_port": "25"}
    yield story(
        "DeliverabilityCertificateExpiring",
        finding("smtp_tls.certificate-expiring", "warning", tls, 10, 6 * 60)
        | gauge("smtp_tls_certificate_not_after_timestamp_seconds", (14 * 86400 + 3600, 400), **tls),
        not_yet=69,
        fires=73,
        over=6 * 60 + 20,
    )
    domain = {"domain": "example.com"}
    yield story(
        "DeliverabilityRegistrationExpiring",
        finding("registration.expiring", "critical", domain, 10, 6 * 60)
        | gauge("registration_expiry_timestamp_seconds", (30 * 86400 + 3600, 400), **domain),
        not_yet=69,
        fires=73,
        over=6 * 60 + 20,
    )
    yield story(
        "DeliverabilityRecordChanged",
        {series("deliverability_record_changed_timestamp_seconds", **spf): during(6000, 100, 300)},
        not_yet=99,
        fires=101,
        over=170,
    )
