"""Makes one alert for each finding. It fires when the finding has been active for some time.

The problem: `for` alone starts again after a restart of Prometheus, and after each failed scrape. A fault could stay
for days without an alert.

The idea: the exporter exposes since when a finding is active, and the alert compares this age with a threshold.

The rules:

- The expressions read gauges through a window (`max_over_time`), so a failed scrape does not reset `for`.
- The window is shorter than `for`, so one bad sample cannot cause an alert.
- The severity is a label of the series. If the operator changes it in the exporter's configuration, or accepts a
  finding, these rules need no change.
- The labels `deliverability_scope` (target, blocklist, exporter or mute) and `deliverability_dead` are for inhibition
  in data/alertmanager.yml.
- All expressions are valid for Prometheus 2.42.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from exporter.engine.catalogue import CatalogueEntry
from exporter.facts import Rule
from exporter.model import Check
from exporter.publish.alert import PREFIX, Alert, page, who
from exporter.publish.links import runbook
from exporter.publish.thresholds import Thresholds, seconds
from exporter.targets import ListHealth, OwnResolver

AGE = "deliverability:finding_age:seconds"
_WORDS = {
    "domain": "the domain",
    "helo": "the HELO name",
    "host": "the mail host",
    "hosts": "the mail hosts",
    "ip": "the address",
    "name": "the name",
    "plain": "the right name",
    "record": "the record",
    "registrar": "the registrar",
    "sender": "the sender",
    "server": "the name server",
    "servers": "the name servers",
    "subject": "the subject",
    "zone": "the zone",
}


def name(rule: Rule) -> str:
    """`spf.too-many-lookups` as DeliverabilitySpfTooManyLookups."""
    return PREFIX + "".join(word.capitalize() for word in re.split(r"[._-]", rule.id))


def age(given: Thresholds) -> dict[str, Any]:
    """The severity is on one series, the beginning on another. The window covers failed scrapes."""
    window = given.gap
    return {
        "record": AGE,
        "expr": (
            f"max_over_time(deliverability_finding[{window}])\n"
            "  * ignoring (severity) group_left ()\n"
            f"(time() - min_over_time(deliverability_finding_since_timestamp_seconds[{window}]))"
        ),
    }


def alerts(entry: CatalogueEntry, given: Thresholds) -> Iterator[Alert]:
    if entry.check.concludes:
        return  # it repeats what other findings cause, and they have alerts of their own
    for rule in sorted(entry.rules, key=lambda rule: rule.id):
        if _apart(entry.check, rule):
            continue
        yield Alert(
            name(rule),
            expr=(
                f'{AGE}{{finding="{rule.id}",severity="critical"}} >= {seconds(given.critical_after)}\n'
                "or\n"
                f'{AGE}{{finding="{rule.id}",severity!="critical"}} >= {seconds(given.warning_after)}'
            ),
            summary=f"{who(entry.check)}{rule.id.replace('.', ': ', 1).replace('-', ' ')}{_subject(rule)}",
            description=(
                f"{_sentence(_general(rule, rule.says))} It has stood for {{{{ $value | humanizeDuration }}}}. "
                f"{rule.why} What to do: {_sentence(_general(rule, rule.fix))} Evidence, and the fix in full: "
                f"{given.exporter_url}/targets/{page(entry.check)}"
            ),
            runbook=runbook(given, rule.id, given.exporter_url),
            scope="exporter" if OwnResolver in entry.check.over else "target",
            for_=given.confirm,
            keep_firing_for=given.keep_firing,
            labels={"deliverability_dead": str(rule.implies)} if rule.implies else {},
        )


def _apart(check: Check, rule: Rule) -> bool:
    """The rule has its alert in exporter_alerts.py: one with a threshold, or one that it shares with other rules."""
    return bool(rule.expiry) or rule.doubts or (ListHealth in check.over and not rule.own_alert)


def _subject(rule: Rule) -> str:
    """The subject, such as ` (zen)`: findings of one rule on one target differ in it."""
    named = " ".join(f"{{{{ $labels.{label} }}}}" for label in rule.subjects)
    return f" ({named})" if named else ""


def _general(rule: Rule, sentence: str) -> str:
    """The sentence with labels in it. Evidence that is in no label is a common word, or left out: the page has it."""
    shown = {
        name: f"{{{{ $labels.{name} }}}}" if name in rule.subjects else _WORDS.get(name, "…") for name in rule.fields
    }
    return sentence.format_map(shown)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
