"""Names for people: of checks and of metrics, made from the names that programs use."""

from __future__ import annotations

import re
from functools import cache

from exporter.facts import Reason, Rule, Sample
from exporter.receivers import DemandState
from exporter.text import minute

_ACRONYM = re.compile(
    "bimi|dane|dkim|dmarc|dns|dnssec|ehlo|helo|http|ip|mta|mx|ptr|rdap|rpt|smtp|soa|spf|sts|tls|tlsa|ttl|txt|vmc"
)
_WRITTEN = {"nameservers": "name servers", "nonexistent": "non-existent"}
_BETTER = {
    "MTA STS": "MTA-STS",
    "TLS RPT": "TLS-RPT",
    "not after": "valid until",
    "blocklist checked": "blocklists checked",
    "receiver unmet": "failed requirements",
}
_UNITS = {"timestamp_seconds": "", "duration_seconds": "", "seconds": "s", "bytes": "bytes", "info": "", "ratio": ""}
_ANSWERS = {
    DemandState.MET: "passed",
    DemandState.UNMET: "failed",
    DemandState.CANNOT_TELL: "unknown",
    DemandState.NOT_OBSERVABLE: "not checkable",
}
_REASONS = {
    Reason.BUG: "a fault of the exporter",
    Reason.PENDING: "not checked yet",
    Reason.LOCAL_RESOURCES: "out of files or memory here",
    Reason.DEADLINE: "no end in time",
    Reason.BLOCKLIST_UNHEALTHY: "blocklist failed its self-test",
    Reason.EGRESS: "no outbound connection",
    Reason.BOGUS: "DNSSEC bogus",
    Reason.TEMPFAIL: "temporary failure",
}
_SHOUTED = ("dns", "servfail", "refused")  # as the field writes response codes
_PREFIX = "deliverability_"
_KEY_SIZE = "key size"  # which people know in bits


@cache
def check_title(check: str) -> str:
    """`SPF sender` for the id of a check."""
    return _title(check.split("_"))


@cache
def metric_title(metric: str) -> str:
    """`SPF DNS lookups` for a name of Prometheus; the unit stands behind the value."""
    name, _ = _apart(metric)
    return _title(name.split("_"))


def reading(sample: Sample) -> str:
    """A measured value as a person reads it: moments as dates, durations in milliseconds, sizes with their unit."""
    name, value = sample.metric.name, sample.value
    if name.endswith("_timestamp_seconds"):
        return minute(value)
    if name.endswith("_duration_seconds"):
        return f"{value * 1000:.1f} ms"
    if name.endswith("_info"):
        return ", ".join(f"{label.replace('_', ' ')} {told}" for label, told in sample.labels) or "yes"
    short, unit = _apart(name)
    if short.endswith(_KEY_SIZE.replace(" ", "_")) and unit == "bytes":
        return f"{value * 8:.0f} bits"
    if name.endswith("_supported"):
        return "yes" if value else "no"
    number = f"{value:,.0f}" if value == int(value) else f"{value:.4g}"
    return f"{number} {unit}".rstrip()


def seconds(duration: float) -> str:
    """`1.2 s`, or `4 ms`."""
    return f"{duration:.1f} s" if duration >= 1 else f"{duration * 1000:.0f} ms"


def reason_title(reason: Reason) -> str:
    """`DNS SERVFAIL`, or `no outbound connection`."""
    if reason in _REASONS:
        return _REASONS[reason]
    words = reason.split("_")
    return " ".join(word.upper() if word in _SHOUTED else word for word in words)


def as_sentence(text: str, rule: Rule) -> str:
    """What a rule says, with a capital letter in front if it begins with a word of ours: names stay as they are."""
    first = rule.says[:1]
    return f"{first.upper()}{text[1:]}" if first.islower() and text.startswith(first) else text


def answer(state: DemandState) -> str:
    """What people call the state of a requirement."""
    return _ANSWERS[state]


def _apart(metric: str) -> tuple[str, str]:
    """The name without what all have, and the unit."""
    name = metric.removeprefix(_PREFIX)
    for suffix, unit in _UNITS.items():
        if name.endswith(f"_{suffix}"):
            return name.removesuffix(f"_{suffix}"), unit
    return name, ""


def _title(words: list[str]) -> str:
    told = " ".join(word.upper() if _ACRONYM.fullmatch(word) else _WRITTEN.get(word, word) for word in words)
    for short, whole in _BETTER.items():
        told = told.replace(short, whole)
    return told[:1].upper() + told[1:]
