"""The parts of one alerting rule, and the words that say which target it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from exporter.model import TARGET_LABELS
from exporter.publish.thresholds import Thresholds
from exporter.targets import OwnResolver

Way: TypeAlias = Sequence[str]  # the labels that a target has

PREFIX = "Deliverability"
# Where a target is scraped says nothing about the target. A pod that is replaced, and one of a pair, changes nothing.
SCRAPED = "instance, pod, container, endpoint"


@dataclass(frozen=True)
class Alert:
    """One alerting rule. `severity` is None where the series brings its own."""

    name: str
    expr: str
    summary: str
    description: str
    runbook: str
    severity: str | None = None
    scope: str = "exporter"
    for_: str = ""
    keep_firing_for: str = ""
    labels: dict[str, str] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        labels = {"severity": self.severity} if self.severity else {}
        rule: dict[str, Any] = {"alert": self.name, "expr": self.expr}
        if self.for_:
            rule["for"] = self.for_
        if self.keep_firing_for:
            rule["keep_firing_for"] = self.keep_firing_for
        rule["labels"] = labels | {"deliverability_scope": self.scope} | self.labels
        rule["annotations"] = {
            "summary": self.summary,
            "description": self.description,
            "runbook_url": self.runbook,
        }
        return rule


def record(name: str, expr: str) -> dict[str, Any]:
    return {"record": name, "expr": expr}


_PORT = '(and $labels.mail_port (print ":" $labels.mail_port))'


# Prometheus parses each template anew for each alert and evaluation: few words matter where thousands of alerts fire.
def who(*ways: Way) -> str:
    """`example.com, 192.0.2.10` of a target that has the labels of one of these ways."""
    labels = [label for label in TARGET_LABELS if label != "mail_port" and any(label in way for way in ways)]
    if len(ways) == 1:
        return ", ".join(f"{{{{ $labels.{label} }}}}{_port(label, ways[0])}" for label in labels)
    places = " ".join("%s%s" if label == "mail_host" else "%s" for label in labels)
    names = " ".join(f"$labels.{label} {_PORT}" if label == "mail_host" else f"$labels.{label}" for label in labels)
    return f'{{{{ printf "{places}" {names} | reReplaceAll "^ +| +$" "" | reReplaceAll " +" ", " }}}}'


def _port(label: str, way: Way) -> str:
    return ":{{ $labels.mail_port }}" if label == "mail_host" and "mail_port" in way else ""


# A page shows all targets that have the label. A finding can name an ip or a mail_host besides those of its target, and
# only a target's mail_host has a port.
_MARKS = (("domain", "domain"), ("mail_port", "mail_host"), ("ip", "ip"), ("blocklist", "blocklist"))


def page(*ways: Way) -> str:
    """The path of its page."""
    pages = [(mark, label) for mark, label in _MARKS if any(mark in way for way in ways)]
    if all(pages[0][0] in way for way in ways):
        return f"/targets/{pages[0][1]}={{{{ $labels.{pages[0][1]} }}}}"
    several = " ".join(f'(and $labels.{mark} (print "{label}=" $labels.{label}))' for mark, label in pages)
    return f'/targets/{{{{ or {several} "{OwnResolver().key}" }}}}'


ANY: tuple[Way, ...] = tuple((label,) for label in TARGET_LABELS)  # whatever target
WHO, ANY_PAGE = who(*ANY), page(*ANY)


def here(given: Thresholds) -> str:
    """What links begin with in an alert that has the label `instance`."""
    return given.exporter_url or "http://{{ $labels.instance }}"


def anywhere(given: Thresholds) -> str:
    """The same in an alert about a target: any exporter that can be scraped."""
    if given.exporter_url:
        return given.exporter_url
    first = f'{{{{ with query "up{{job=~\\"{given.job}\\"}} == 1" }}}}{{{{ (first .).Labels.instance }}}}'
    return f"http://{first}{{{{ else }}}}localhost:10554{{{{ end }}}}"
