"""The parts of one alerting rule, and the words that say which target it is about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from exporter.model import TARGET_LABELS
from exporter.publish.thresholds import Thresholds
from exporter.targets import OwnResolver

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


# Prometheus parses each template anew for each alert and evaluation: few words matter where thousands of alerts fire.
_TOLD = [label for label in TARGET_LABELS if label != "mail_port"]  # which is told beside the host
_PORT = '(and $labels.mail_port (print ":" $labels.mail_port))'
_NAMES = [f"$labels.{label} {_PORT}" if label == "mail_host" else f"$labels.{label}" for label in _TOLD]
_PLACES = " ".join("%s%s" if label == "mail_host" else "%s" for label in _TOLD)
# `example.com, 192.0.2.10` of whatever target.
WHO = f'{{{{ printf "{_PLACES}" {" ".join(_NAMES)} | reReplaceAll "^ +| +$" "" | reReplaceAll " +" ", " }}}}'
_MARKS = (("domain", "domain"), ("mail_port", "mail_host"), ("ip", "ip"), ("blocklist", "blocklist"))
# The path of the target's page: a page shows all targets that have the label. A finding can name an ip or a mail_host
# besides those of its target, and only a target's mail_host has a port.
ANY_PAGE = (
    "/targets/{{ or "
    + " ".join(f'(and $labels.{mark} (print "{label}=" $labels.{label}))' for mark, label in _MARKS)
    + f' "{OwnResolver().key}" }}}}'
)


def here(given: Thresholds) -> str:
    """What links begin with in an alert that has the label `instance`."""
    return given.exporter_url or "http://{{ $labels.instance }}"


def anywhere(given: Thresholds) -> str:
    """The same in an alert about a target: any exporter that can be scraped."""
    if given.exporter_url:
        return given.exporter_url
    first = f'{{{{ with query "up{{job=~\\"{given.job}\\"}} == 1" }}}}{{{{ . | first | label "instance" }}}}'
    return f"http://{first}{{{{ else }}}}localhost:10554{{{{ end }}}}"
