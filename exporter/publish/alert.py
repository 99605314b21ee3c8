"""The parts of one alerting rule, and the words that say which target it is about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from exporter.model import TARGET_LABELS, Check
from exporter.targets import OwnResolver

PREFIX = "Deliverability"


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


# Of a series of whatever check.
ANYBODY = "".join(f"{{{{ with $labels.{label} }}}} {{{{ . }}}}{{{{ end }}}}" for label in TARGET_LABELS)
ANY_PAGE = (  # of the domain, the address or the mail host: a page shows all targets that have the label
    "{{ with $labels.domain }}domain={{ . }}{{ else }}{{ with $labels.ip }}ip={{ . }}{{ else }}"
    "mail_host={{ $labels.mail_host }}{{ end }}{{ end }}"
)


def _identities(check: Check) -> list[tuple[str, ...]]:
    """The identity labels of one target that the check looks at, in each way that there is."""
    return list(dict.fromkeys(labels for kind in check.over for labels in kind.identities()))


def who(check: Check) -> str:
    """`example.com: ` once Prometheus has filled it in."""
    identities = _identities(check)
    first = list(dict.fromkeys(labels[0] for labels in identities if labels))
    if not first:
        return ""
    text = f"{{{{ $labels.{first[-1]} }}}}"
    for label in reversed(first[:-1]):
        text = f"{{{{ with $labels.{label} }}}}{{{{ . }}}}{{{{ else }}}}{text}{{{{ end }}}}"
    for label in dict.fromkeys(label for labels in identities for label in labels[1:]):
        everybody = all(label in labels for labels in identities)
        text += (
            f" {{{{ $labels.{label} }}}}" if everybody else f"{{{{ with $labels.{label} }}}} {{{{ . }}}}{{{{ end }}}}"
        )
    return f"{text}: "


def page(check: Check) -> str:
    """The path of the target's page below /targets/; where there are several identities, the first labels suffice."""
    identities = _identities(check)
    if len(identities) == 1:
        return ",".join(f"{label}={{{{ $labels.{label} }}}}" for label in identities[0]) or OwnResolver().key
    first = dict.fromkeys(labels[0] for labels in identities)
    return "".join(f"{{{{ with $labels.{label} }}}}{label}={{{{ . }}}}{{{{ end }}}}" for label in first)
