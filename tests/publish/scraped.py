"""What Prometheus may have scraped of an exporter, in short: for stories and courses.

An exporter that is well is scraped once a minute. `Exporter` says when it is down, and what it tells while it is up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from tests.publish.promtool import IDENTITY, series

Scraped = dict[str, list[str]]
Spans = Iterable[tuple[int, int]]
NOBODY: Mapping[str, str] = {}
_DAY = 1440


def steps(*parts: tuple[float, int]) -> list[str]:
    """(value, minutes) one after the other."""
    return [f"{value:g}" for value, minutes in parts for _ in range(minutes)]


def gauge(tail: str, *parts: tuple[float, int], **more: str) -> Scraped:
    return {series(f"deliverability_{tail}", **more): steps(*parts)}


def inside(spans: Spans) -> Callable[[int], bool]:
    known = list(spans)
    return lambda minute: any(begin <= minute < end for begin, end in known)


@dataclass
class Exporter:
    """One from minute 0 to `end`. `down` are spans in which no scrape succeeds. `restarts` are when processes begin.

    It leaves service discovery at `gone`, and comes into it at `there`.
    """

    end: int = 320
    down: Spans = ()
    restarts: Iterable[int] = ()
    there: int = 0
    gone: int = 0
    instance: str = IDENTITY["instance"]
    hash_: str = "one"
    targets: Callable[[int], float] = lambda _: 100
    skew: Callable[[int], float] = lambda _: 0.0
    more: dict[str, str] = field(default_factory=dict)

    def scraped(self) -> Scraped:
        """Of the exporter itself."""
        started = sorted(self.restarts)
        made = {
            "deliverability_exporter_time_seconds": self._while_up(lambda minute: minute * 60 + self.skew(minute)),
            "process_start_time_seconds": self._while_up(
                lambda minute: max((it for it in started if it <= minute), default=-_DAY) * 60
            ),
        }
        return {
            self._series("up"): self._told(lambda minute: f"{int(not inside(self.down)(minute))}"),
            **{self._series(name): values for name, values in made.items()},
            self._series("deliverability_exporter_config_hash_info", hash=self.hash_): self._while_up(lambda _: 1),
            self._series("deliverability_targets", kind="domain"): self._while_up(self.targets),
        }

    def finding(
        self,
        rule: str,
        severity: str,
        *stands: tuple[int, int],
        since: Callable[[int], int] | None = None,
        unsure: Spans = (),
        who: Mapping[str, str] = NOBODY,
    ) -> Scraped:
        """It stands in these spans, and is confirmed but for those that are `unsure`."""
        labels = {"check": rule.partition(".")[0], "finding": rule, **who}
        first = since or (lambda _: min(begin for begin, _ in stands))
        standing, not_sure = inside(stands), inside(unsure)
        return {
            self._series("deliverability_finding", **labels, severity=severity): self._while_up(lambda _: 1, standing),
            self._series("deliverability_finding_since_timestamp_seconds", **labels): self._while_up(
                lambda minute: first(minute) * 60 + self.skew(minute),
                lambda minute: standing(minute) and not not_sure(minute),
            ),
        }

    def _series(self, name: str, **labels: str) -> str:
        return series(name, **{"instance": self.instance, **self.more, **labels})

    def _while_up(self, value: Callable[[int], float], when: Callable[[int], bool] = lambda _: True) -> list[str]:
        down = inside(self.down)
        return self._told(lambda minute: f"{value(minute):g}" if when(minute) and not down(minute) else "stale")

    def _told(self, value: Callable[[int], str]) -> list[str]:
        """Ends with `stale` once it has left service discovery."""
        last = self.gone or self.end
        return ["_"] * self.there + [value(minute) for minute in range(self.there, last)] + ["stale"] * bool(self.gone)


def together(*scraped: Scraped) -> Scraped:
    return {name: values for one in scraped for name, values in one.items()}
