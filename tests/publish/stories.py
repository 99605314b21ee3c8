"""What Prometheus may see of findings, and the alerts that must fire for them, minute by minute: written by hand.

Defaults: a critical finding counts once it is confirmed and 4 min old, any other at 1 h; windows are 5 min, and what
has ended goes on for 20 min. The exporter confirms after 3 min.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.publish.promtool import Story, series
from tests.publish.scraped import Exporter, together

ADDRESS = {"ip": "192.0.2.10"}
KEY = {"domain": "example.com", "selector": "s1"}
HOST = {"mail_host": "mx.test", "mail_port": "25"}
PTR = {"ptr.missing critical": 1}
FLAPS = series("deliverability_finding_flapping", check="ptr", finding="ptr.missing", **ADDRESS)
WARNED = {"ptr.missing warning": 1}


def always(fires: Mapping[str, int], *minutes: int) -> dict[int, Mapping[str, int]]:
    return dict.fromkeys(minutes, fires)


def life() -> Iterator[Story]:
    it = Exporter()
    yield Story(
        "a critical finding pages five minutes after it was seen, and ends 25 minutes after it is over",
        together(it.scraped(), it.finding("ptr.missing", "critical", (30, 120), unsure=[(30, 33)], who=ADDRESS)),
        {33: {}, **always(PTR, 35, 119, 143), 147: {}},
    )
    yield Story(
        "a warning waits for an hour",
        together(it.scraped(), it.finding("ptr.missing", "warning", (30, 160), unsure=[(30, 33)], who=ADDRESS)),
        {89: {}, **always(WARNED, 91, 159, 183), 187: {}},
    )
    yield Story(
        "what is not confirmed pages nobody, however long it is seen",
        together(
            it.scraped(),
            it.finding("smtp_tls.refused", "critical", (30, 200), unsure=[(0, 999)], who=HOST),
        ),
        always({}, 31, 60, 150),
    )
    yield Story(
        "a finding that stood before Prometheus started pages at once",
        together(it.scraped(), it.finding("ptr.missing", "critical", (0, 60), since=lambda _: -600, who=ADDRESS)),
        always(PTR, 1, 59),
    )
    yield Story(
        "a warning that becomes critical pages at once",
        together(
            it.scraped(),
            it.finding("ptr.missing", "warning", (0, 120), who=ADDRESS),
            it.finding("ptr.missing", "critical", (120, 200), since=lambda _: 0, who=ADDRESS),
            {
                series(
                    "deliverability_finding_since_timestamp_seconds", check="ptr", finding="ptr.missing", **ADDRESS
                ): ["0"] * 200
            },
        ),
        {59: {}, 61: WARNED, 121: WARNED | PTR, 140: WARNED | PTR, 147: PTR},
    )
    yield Story(
        "a label that changes makes an alert for whom it names now, and ends the other",
        together(
            it.scraped(),
            it.finding("ptr.missing", "critical", (0, 60), who={"team": "crm", **ADDRESS}),
            it.finding("ptr.missing", "critical", (60, 200), since=lambda _: 0, who={"team": "web", **ADDRESS}),
        ),
        {59: PTR, 61: {"ptr.missing critical": 2}, 83: {"ptr.missing critical": 2}, 90: PTR},
    )
    for bad, good in ((15, 15), (30, 15)):
        again = 30 + bad + good
        yield Story(
            f"{bad} minutes bad and {good} good: one alert that stays, and one warning that it flaps",
            together(
                it.scraped(),
                it.finding(
                    "ptr.missing",
                    "critical",
                    (30, 30 + bad + 3),  # over after three good looks; after its return only once it lasts
                    (again, 320),
                    since=lambda _: 30,
                    unsure=[(30, 33), (again, again + 3)],
                    who=ADDRESS,
                ),
                {
                    series("deliverability_finding_flapping", check="ptr", finding="ptr.missing", **ADDRESS): ["_"]
                    * 150
                    + ["1"] * 170
                },
            ),
            {
                33: {},
                **always(PTR, 35, again - 1, again + 2, again + 4, 149),
                **always(PTR | {"FindingFlapping warning": 1}, 151, 200),
            },
        )


def troubles() -> Iterator[Story]:
    """Of scrapes and exporters: nothing ends because of them, and nothing begins."""
    gaps = [alone(f"gap{minutes}", down=[(60, 60 + minutes)]) for minutes in (1, 4, 8, 30)]
    four = {"ptr.missing critical": 4}
    yield Story(
        "no scrape for 1, 4, 8 and 30 minutes ends nothing",
        together(
            *(it.scraped() for it in gaps),
            *(it.finding("ptr.missing", "critical", (0, 320), who={"ip": it.hash_}) for it in gaps),
        ),
        always(four, 59, 64, 125, 160)
        | {67: four | {"ExporterDown warning": 2}, 89: four | {"ExporterDown warning": 1}},
    )
    it = Exporter(down=[(60, 180)])
    down = {"ExporterDown warning": 1, "ExporterDown critical": 1}
    yield Story(
        "no scrape for two hours ends nothing, warns and then pages",
        together(
            it.scraped(),
            it.finding("ptr.missing", "critical", (0, 320), who=ADDRESS),
            it.finding("dkim.missing", "critical", (58, 320), who=KEY),
        ),
        {64: PTR, 67: PTR | {"ExporterDown warning": 1}, 89: PTR | {"ExporterDown warning": 1}}
        | always(PTR | down, 92, 120, 179)
        | {182: PTR | down | {"dkim.missing critical": 1}, 203: PTR | {"dkim.missing critical": 1}},
    )
    for failing in (3, 1):
        it = Exporter(down=[(minute, minute + failing) for minute in range(32, 300, 4)])
        yield Story(
            f"{failing} of four scrapes fail: that hides nothing, and what is over ends",
            together(it.scraped(), it.finding("ptr.missing", "critical", (31, 100), who=ADDRESS)),
            {31: {}, **always(PTR, 40, 80, 119), 135: {}, 180: {}},
        )
    it = Exporter(down=[(60, 61)], restarts=[61])
    yield Story(
        "a restart without state: what stood is looked at anew, and goes on",
        together(
            it.scraped(),
            it.finding(
                "ptr.missing",
                "critical",
                (0, 60),
                (63, 320),
                since=lambda minute: 0 if minute < 63 else 63,
                unsure=[(63, 66)],
                who=ADDRESS,
            ),
            it.finding(  # at the pace that is owed to mail hosts
                "smtp_tls.refused",
                "critical",
                (0, 60),
                (70, 320),
                since=lambda minute: 0 if minute < 70 else 70,
                unsure=[(70, 160)],
                who=HOST,
            ),
            it.finding("dkim.missing", "critical", (0, 60), who=KEY),  # mended meanwhile
        ),
        always(PTR | {"smtp_tls.refused critical": 1}, 110, 159, 170)
        | always(PTR | {"smtp_tls.refused critical": 1, "dkim.missing critical": 1}, 59, 62, 64, 75),
    )
    yield from crash_loops()
    yield from several()


def crash_loops() -> Iterator[Story]:
    """With and without a state file. Without one, what is looked at anew is confirmed after four minutes at best."""
    scraped = []
    for up, down in ((3, 2), (8, 4), (12, 2)):
        begins = [60 + number * (up + down) for number in range(120 // (up + down))]
        downs = [(begin + up, begin + up + down) for begin in begins]
        starts = [end for _, end in downs]
        for kept in (True, False):
            it = alone(f"{up}/{down} {kept}", down=downs, restarts=starts)
            lost = [] if kept else [(start, start + 1) for start in starts]
            stands = zip([0, *(end for _, end in lost)], [*(begin for begin, _ in lost), 320], strict=True)
            unsure = [] if kept else [(start, start + 4) for start in starts]
            who = {"ip": it.instance}
            found = it.finding("ptr.missing", "critical", *stands, since=lambda _: 0, unsure=unsure, who=who)
            scraped += [it.scraped(), found]
    six, loops = {"ptr.missing critical": 6}, {"ExporterCrashLoop critical": 6}
    yield Story(
        "crash loops of 3/2, 8/4 and 12/2 minutes, with and without state, page in half an hour and end nothing",
        together(*scraped),
        {**always(six, 59, 62), **always(six | loops, 60 + 30, 110, 150, 175), 240: six},
    )


def alone(name: str, **more: Any) -> Exporter:
    """One whose targets no other one looks at."""
    return Exporter(instance=name, hash_=name, **more)


def several() -> Iterator[Story]:
    """Two exporters: a pair, or each with targets of its own; and one that replaces another."""
    twin = "twin:10554"
    one, other = Exporter(down=[(60, 100)]), Exporter(instance=twin)
    yield Story(
        "of a pair one is down, and the other one says when a finding is over",
        together(
            one.scraped(),
            other.scraped(),
            *(it.finding("ptr.missing", "critical", (0, 75), who=ADDRESS) for it in (one, other)),
            *(it.finding("dkim.missing", "critical", (0, 320), who=KEY) for it in (one, other)),
        ),
        {
            59: PTR | {"dkim.missing critical": 1},
            70: PTR | {"dkim.missing critical": 1, "ExporterDown warning": 1},
            103: {"dkim.missing critical": 1, "ExporterDown warning": 1, "ExporterDown critical": 1},
            130: {"dkim.missing critical": 1},
        },
    )
    one, other = Exporter(down=[(60, 100)], hash_="two"), Exporter(instance=twin)
    yield Story(
        "of two with targets of their own one is down: what it told stands, the other one's ends",
        together(
            one.scraped(),
            other.scraped(),
            one.finding("ptr.missing", "critical", (0, 75), who=ADDRESS),
            other.finding("dkim.missing", "critical", (0, 75), who=KEY),
        ),
        {
            59: PTR | {"dkim.missing critical": 1},
            98: PTR | {"dkim.missing critical": 1, "ExporterDown warning": 1, "ExporterDown critical": 1},
            102: PTR | {"ExporterDown warning": 1, "ExporterDown critical": 1},
            150: {},
        },
    )
    one, other = Exporter(gone=60, hash_="two"), Exporter(instance=twin)
    fires = PTR | {"ExporterGone warning": 1, "TargetsDropped warning": 1}
    yield Story(
        "one of two with targets of their own leaves service discovery: told in 20 minutes, and nothing ends",
        together(one.scraped(), other.scraped(), one.finding("ptr.missing", "critical", (0, 60), who=ADDRESS)),
        {59: PTR, 66: PTR, **always(fires, 80, 130, 190)},
    )
    one = Exporter(gone=60)
    yield Story(
        "the only exporter leaves service discovery: it pages in 20 minutes, and nothing ends",
        together(one.scraped(), one.finding("ptr.missing", "critical", (0, 60), who=ADDRESS)),
        {59: PTR, 66: PTR, **always(PTR | {"ExporterAbsent critical": 1}, 80, 130, 190)},
    )
    old = Exporter(gone=60, more={"pod": "a", "container": "c", "endpoint": "http"})
    new = Exporter(
        there=61,
        restarts=[61],
        instance="10.0.0.2:10554",
        hash_="two",
        more={"pod": "b", "container": "c", "endpoint": "http"},
    )
    yield Story(
        "a pod that is replaced, with another configuration and without state, changes nothing",
        together(
            old.scraped(),
            new.scraped(),
            old.finding("ptr.missing", "critical", (0, 60), who=ADDRESS),
            new.finding("ptr.missing", "critical", (64, 320), unsure=[(64, 75)], who=ADDRESS),
        ),
        always(PTR, 59, 62, 68, 74, 77, 90, 130),
    )
    old, new = Exporter(gone=62), Exporter(there=58, restarts=[58], instance="10.0.0.2:10554")
    yield Story(
        "a pod that is replaced while the old one is still there changes nothing, and what ends does end",
        together(
            old.scraped(),
            new.scraped(),
            old.finding("ptr.missing", "critical", (0, 62), who=ADDRESS),
            new.finding("ptr.missing", "critical", (58, 90), since=lambda _: 0, who=ADDRESS),
        ),
        always(PTR, 57, 61, 66, 89, 113) | {120: {}},
    )


def clocks() -> Iterator[Story]:
    def wrong(hours: int) -> Callable[[int], float]:
        return lambda minute: hours * 3600 if 60 <= minute < 100 else 0

    four = [alone(f"{hours} h", skew=wrong(hours)) for hours in (1, -1, 2, -2)]
    critical, warned = {"dkim.missing critical": 4}, {"ptr.missing warning": 4}
    yield Story(
        "clocks that are wrong by an hour or two, for 40 minutes, make nothing older or younger",
        together(
            *(it.scraped() for it in four),
            *(it.finding("ptr.missing", "warning", (50, 300), who={"ip": it.instance}) for it in four),
            *(it.finding("dkim.missing", "critical", (30, 300), who={"domain": it.instance}) for it in four),
        ),
        {
            **always(critical, 59, 63),
            **always(critical | {"ClockSkew warning": 4}, 67, 99, 105),
            **always(critical | warned, 125, 160),
        },
    )


def stories() -> Iterator[Story]:
    yield from life()
    yield from troubles()
    yield from clocks()
