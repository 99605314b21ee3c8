"""Stories about the exporter, its eyes and its targets: each fault is told, under its name alone, and ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.publish.promtool import Story, during, series
from tests.publish.scraped import Exporter, Scraped, gauge, inside, together
from tests.publish.stories import alone, always

BEGIN, END, LAST = 40, 100, 170  # minutes: when the faults are there
OWN = {
    "EvaluationStale warning": 1,
    "ConfigReloadFailed warning": 1,
    "WebConfigReloadFailed warning": 1,
    "SeriesDropped warning": 1,
    "SeriesBudget warning": 1,
    "StateNotWritable warning": 1,
    "StateInMemory warning": 1,
    "ExporterBug warning": 1,
    "LoopLag warning": 1,
    "BlocklistBudget warning": 1,
    "BlocklistUnhealthy warning": 1,
    "ResolverUnfit warning": 1,
    "UnknownTooLong warning": 1,
    "UnknownFromHere warning": 1,
}


def fault(tail: str, good: float, bad: float, **labels: str) -> Scraped:
    return gauge(tail, (good, BEGIN), (bad, END - BEGIN), (good, LAST - END), **labels)


def unknown(reason: str, when: tuple[int, int] = (BEGIN, END), **who: str) -> Scraped:
    """For hours, as far as the exporter knows."""
    meanwhile = inside([when])
    told = {
        "deliverability_check_unknown_reason": ({"reason": reason}, "1"),
        "deliverability_check_last_conclusive_timestamp_seconds": ({}, "-30000"),
    }
    return {
        series(name, **who, **more): [value if meanwhile(minute) else "stale" for minute in range(LAST)]
        for name, (more, value) in told.items()
    } | fault("check_unknown", 0, 1, **who)


def faults() -> Iterator[Story]:
    it, other = Exporter(end=LAST), alone("memory", end=LAST)
    spf = {"check": "spf", "domain": "example.com"}
    yield Story(
        "each fault of the exporter and its eyes is told, and ends",
        together(
            it.scraped(),
            other.scraped(),
            fault("exporter_overdue_targets", 0, 7, check="spf"),
            gauge("exporter_overdue_targets", (0, LAST), check="registration"),
            fault("exporter_config_last_reload_successful", 1, 0),
            fault("exporter_web_config_last_reload_successful", 1, 0),
            fault("exporter_series_dropped", 0, 7),
            fault("exporter_series", 800, 950),
            gauge("exporter_series_limit", (1000, LAST)),
            fault("exporter_state_writable", 1, 0),
            gauge("exporter_state_configured", (1, LAST)),
            fault("exporter_state_configured", 1, 0, instance="memory"),
            {series("deliverability_exporter_runs_unknown_total", check="spf", reason="bug"): during(1, BEGIN, LAST)},
            fault("exporter_loop_lag_seconds", 0.01, 2.5),
            fault("exporter_blocklist_budget_remaining_ratio", 0.5, 0.05, blocklist="zen"),
            fault("check_unknown", 0, 1, check="blocklist_health", blocklist="zen"),
            it.finding("resolver.no-tcp", "warning", (BEGIN, END), since=lambda _: -100),
            unknown("dns_timeout", check="spf", domain="example.com"),
            unknown("egress", check="smtp_tls", mail_host="mx.test", mail_port="25"),
            unknown("no_traffic", (0, LAST), check="delivery", sender="out"),
            unknown("pending", (0, LAST), check="mx", domain="new.test"),
        ),
        {BEGIN - 1: {}, END - 1: OWN, LAST - 1: {}},
    )
    yield Story(
        "a state that could never be written is told from the start on",
        together(Exporter(end=30).scraped(), gauge("exporter_state_writable", (0, 30)))
        | gauge("exporter_state_configured", (1, 30)),
        {9: {}, 11: {"StateNotWritable warning": 1}},
    )
    yield Story(
        "a fault of the exporter is told for an hour, whatever scrapes fail later",
        together(Exporter(end=LAST).scraped())
        | {
            series("deliverability_exporter_runs_unknown_total", check="spf", reason="bug"): [
                "stale" if minute in {80, 81, 95} else "3" for minute in range(LAST)
            ]
        },
        {20: {"ExporterBug warning": 1}, 59: {"ExporterBug warning": 1}, **always({}, 85, 141, 142, 156)},
    )
    yield Story(
        "what never had a result is told after half an hour",
        together(Exporter(end=60).scraped())
        | {
            series(f"deliverability_check_{name}", check="spf", domain="new.test", **more): [value] * 60
            for name, more, value in (
                ("unknown_reason", {"reason": "dns_timeout"}, "1"),
                ("last_conclusive_timestamp_seconds", {}, "-1800000000"),  # 1970, to a clock that begins now
            )
        },
        {29: {}, 31: {"UnknownTooLong warning": 1}},
    )
    yield Story(
        "a record that has changed is a line for an hour",
        together(Exporter(end=130).scraped())
        | gauge("record_changed_timestamp_seconds", (0, 40), (2400, 90), **spf)
        | gauge("record_changed_timestamp_seconds", (0, 130), check="spf", domain="other.test"),
        {39: {}, 42: {"RecordChanged info": 1}, 98: {"RecordChanged info": 1}, 107: {}},
    )


def eyes() -> Iterator[Story]:
    it, liar = Exporter(end=LAST), alone("liar", end=LAST)
    yield Story(
        "a resolver that does not answer, or lies, is told once, and what is unknown or stands because of it is not",
        together(
            it.scraped(),
            liar.scraped(),
            fault("check_unknown", 0, 1, check="resolver"),
            fault("check_unknown", 0, 1, check="blocklist_health", blocklist="zen"),
            unknown("dns_timeout", check="spf", domain="example.com"),
            liar.finding("resolver.denies", "warning", (BEGIN, END)),
            it.finding("ptr.missing", "critical", (0, LAST), who={"ip": "192.0.2.10"}),
        ),
        {
            BEGIN + 9: {"ptr.missing critical": 1},
            **always({"ptr.missing critical": 1, "ResolverUnhealthy warning": 2}, BEGIN + 12, END - 1),
            LAST - 1: {"ptr.missing critical": 1},
        },
    )
    lasting = {"UnknownTooLong warning": 1, "UnknownFromHere warning": 1}
    short = ((0, 30), (1, 1), (0, 10), (1, 4), (0, 30))
    yield Story(
        "doubt that is soon over is quiet",
        together(
            Exporter(end=75).scraped(),
            gauge("check_unknown", *short, check="resolver"),
            gauge("check_unknown", *short, check="blocklist_health", blocklist="zen"),
        ),
        always({}, 31, 40, 46, 50, 70),
    )
    yield Story(
        "a resolver that falters for a minute each hour excuses nothing that lasts",
        together(
            Exporter(end=LAST).scraped(),
            gauge("check_unknown", *[(0, 59), (1, 1)] * 2, (0, LAST - 120), check="resolver"),
            gauge("check_unknown", (0, 30), (1, LAST - 30), check="blocklist_health", blocklist="dead"),
            gauge("check_unknown", (0, 60), (1, 59), (0, LAST - 119), check="blocklist_health", blocklist="asked-then"),
            unknown("dns_timeout", (0, LAST), check="spf", domain="example.com"),
            unknown("egress", (0, LAST), check="smtp_tls", mail_host="mx.test", mail_port="25"),
        ),
        {
            50: lasting | {"BlocklistUnhealthy warning": 1},
            **always(lasting, 96),
            **always(lasting | {"BlocklistUnhealthy warning": 1}, 118, 160),
        },
    )
    sender, other = {"sender": "out", "ip": "192.0.2.10"}, {"sender": "out", "ip": "192.0.2.11"}
    hosts = ("mx.example.com", "mx.example.net")
    yield Story(
        "a silent zone: hosts and HELO names directly in it raise no alert of their own, others do",
        together(
            it.scraped(),
            it.finding("zone.silent", "critical", (0, LAST), who={"domain": "example.com"}),
            *(unknown("dns_timeout", (0, LAST), check="smtp_tls", mail_host=host, mail_port="25") for host in hosts),
            *(unknown("dns_timeout", (0, LAST), check="helo", **who) for who in (sender, other)),
            gauge("sender_info", (1, LAST), **sender, helo="mail.example.com"),
            gauge("sender_info", (1, LAST), **other, helo="mail.example.net"),
        ),
        {60: {"zone.silent critical": 1, "UnknownTooLong warning": 2}},
    )


def dropped() -> Iterator[Story]:
    warned = {"TargetsDropped warning": 1}

    def targets(before: int, after: int) -> Callable[[int], float]:
        return lambda minute: before if minute < 40 else after

    for before, after, fires in (
        (100, 92, {}),
        (20, 16, {}),
        (100, 88, warned),
        (100, 45, warned | {"TargetsDropped critical": 1}),
    ):
        it = Exporter(end=90, targets=targets(before, after))
        yield Story(f"of {before} targets {after} are left", it.scraped(), {39: {}, 48: {}, 60: fires, 85: fires})
    it = Exporter(end=90, targets=targets(100, 80), down=[(minute, minute + 1) for minute in range(3, 90, 4)])
    yield Story("targets leave, and a scrape in four fails", it.scraped(), {39: {}, 65: warned, 85: warned})


def stories() -> Iterator[Story]:
    yield from faults()
    yield from eyes()
    yield from dropped()
