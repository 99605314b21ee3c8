"""One alert for each finding, once it has stood for a while.

Its own age counts, so that neither a restart of Prometheus nor a failed scrape begins the wait anew. Gauges are read
through a window (`max_over_time`), since a failed scrape would reset the `for` of a plain one, and the window is
shorter than the `for`, so that a blip cannot page. Severity comes with the series: what the operator decides in the
exporter's configuration needs no change here, and an accepted finding has no series.

The labels `deliverability_scope` (target, blocklist, exporter or mute) and `deliverability_dead` exist for
Alertmanager's inhibition: data/alertmanager.yml. Everything is written in the language of Prometheus 2.42.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from exporter.engine.catalogue import CatalogueEntry
from exporter.model import Rule
from exporter.publish.alert import PREFIX, Alert, page, who
from exporter.publish.thresholds import Thresholds, seconds

AGE = "deliverability:finding_age:seconds"

# `domain`: it does not exist, and what else is wrong with it follows from that. `zone`: its data cannot be had, or not
# by everybody, so that not knowing follows; what is found wrong all the same is wrong. A registration is none of them:
# it may have expired and still be served, and an operator wants to hear of it in any case.
DEAD = {
    "domain": ("mx.no-such-domain",),
    "zone": ("zone.bogus", "zone.ds-without-key", "zone.none-authoritative"),
}
_DEAD_BY_ID = {rule: what for what, rules in DEAD.items() for rule in rules}

# These have an alert of their own in watch.py: it has a threshold, or mutes others.
APART = ("registration.expiring", "resolver.denies", "resolver.rewrites", "smtp_tls.certificate-expiring")
CHECKS_APART = ("blocklist_health",)


def name(rule: Rule) -> str:
    """`spf.too-many-lookups` as DeliverabilitySpfTooManyLookups."""
    return PREFIX + "".join(word.capitalize() for word in re.split(r"[._-]", rule.id))


def age(given: Thresholds) -> dict[str, Any]:
    """The severity stands on one series and the beginning on another; the window bridges failed scrapes."""
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
    if entry.check.id in CHECKS_APART:
        return
    for rule in sorted(entry.rules, key=lambda rule: rule.id):
        if rule.id in APART:
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
            runbook=f"{given.exporter_url}/findings/{rule.id}",
            scope="exporter" if entry.check.id == "resolver" else "target",
            hold=given.confirm,
            keep=given.keep_firing,
            labels={"deliverability_dead": _DEAD_BY_ID[rule.id]} if rule.id in _DEAD_BY_ID else {},
        )


def _subject(rule: Rule) -> str:
    """` (zen)`: what tells two findings of one rule on one target apart."""
    named = " ".join(f"{{{{ $labels.{label} }}}}" for label in rule.subjects)
    return f" ({named})" if named else ""


def _general(rule: Rule, sentence: str) -> str:
    """The sentence with the labels that are its own evidence, and <name> in place of what no label holds."""
    shown = {
        name: f"{{{{ $labels.{name} }}}}" if name in rule.subjects else f"<{name.replace('_', ' ')}>"
        for name in rule.fields
    }
    return sentence.format_map(shown)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
