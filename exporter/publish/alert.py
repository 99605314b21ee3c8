"""What an alerting rule of ours is made of, and how it says whom it is about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from exporter.model import Check, Target
from exporter.targets import (
    Address,
    Authorisation,
    Delivery,
    Domain,
    EhloProbe,
    Greeting,
    KeyNamespace,
    ListHealth,
    MailHost,
    OwnResolver,
    Registration,
    Reputation,
    Selector,
    Zone,
)

PREFIX = "Deliverability"

# The identity labels of each kind of target, by which an alert says who. One that has `domain` or `ip` has both here.
WHO: dict[type[Target], tuple[str, ...]] = {
    Address: ("ip",),
    Greeting: ("sender", "ip"),
    EhloProbe: ("sender", "ip"),
    Domain: ("domain",),
    Zone: ("domain",),
    Authorisation: ("domain", "sender"),
    Selector: ("domain", "selector"),
    KeyNamespace: ("domain",),
    MailHost: ("mail_host", "mail_port"),
    Registration: ("domain",),
    Reputation: ("domain", "ip"),
    ListHealth: ("blocklist",),
    Delivery: ("domain",),
    OwnResolver: (),
}


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
    hold: str = ""  # `for`
    keep: str = ""  # `keep_firing_for`
    labels: dict[str, str] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        labels = {"severity": self.severity} if self.severity else {}
        rule: dict[str, Any] = {"alert": self.name, "expr": self.expr}
        if self.hold:
            rule["for"] = self.hold
        if self.keep:
            rule["keep_firing_for"] = self.keep
        rule["labels"] = labels | {"deliverability_scope": self.scope} | self.labels
        rule["annotations"] = {
            "summary": self.summary,
            "description": self.description,
            "runbook_url": self.runbook,
        }
        return rule


NAMES = ("domain", "sender", "ip", "selector", "mail_host", "mail_port", "blocklist")
# Of a series of whatever check.
ANYBODY = "".join(f"{{{{ with $labels.{label} }}}} {{{{ . }}}}{{{{ end }}}}" for label in NAMES)
ANY_PAGE = (  # of the domain, the address or the mail host: a page shows all targets that have the label
    "{{ with $labels.domain }}domain={{ . }}{{ else }}{{ with $labels.ip }}ip={{ . }}{{ else }}"
    "mail_host={{ $labels.mail_host }}{{ end }}{{ end }}"
)


def _kinds(check: Check) -> list[tuple[str, ...]]:
    """The identity labels of each kind of target that the check is over."""
    found = dict.fromkeys(WHO[kind] for kind in check.over)
    return [(label,) for label in WHO[Reputation]] if Reputation in check.over else list(found)


def who(check: Check) -> str:
    """`example.com: ` once Prometheus has filled it in."""
    kinds = _kinds(check)
    first = list(dict.fromkeys(kind[0] for kind in kinds if kind))
    if not first:
        return ""
    text = f"{{{{ $labels.{first[-1]} }}}}"
    for label in reversed(first[:-1]):
        text = f"{{{{ with $labels.{label} }}}}{{{{ . }}}}{{{{ else }}}}{text}{{{{ end }}}}"
    for label in dict.fromkeys(label for kind in kinds for label in kind[1:]):
        everybody = all(label in kind for kind in kinds)
        text += (
            f" {{{{ $labels.{label} }}}}" if everybody else f"{{{{ with $labels.{label} }}}} {{{{ . }}}}{{{{ end }}}}"
        )
    return f"{text}: "


def page(check: Check) -> str:
    """The path of the target's page below /targets/; where kinds are mixed, their first labels suffice."""
    kinds = _kinds(check)
    if len(kinds) == 1:
        return ",".join(f"{label}={{{{ $labels.{label} }}}}" for label in kinds[0]) or "resolver"
    first = dict.fromkeys(kind[0] for kind in kinds)
    return "".join(f"{{{{ with $labels.{label} }}}}{label}={{{{ . }}}}{{{{ end }}}}" for label in first)
