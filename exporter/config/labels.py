"""Checks the names of labels that the operator declares, and those by which totals are counted."""

from __future__ import annotations

from collections.abc import Callable, Collection

from exporter.config import schema
from exporter.config.problems import Problems, Where, did_you_mean
from exporter.engine.catalogue import Catalogue
from exporter.model import IDENTITY_LABELS

OWN_LABELS = ("finding", "severity", "reason", "version", "phase", "policy", "helo", "kind", "status")
PROMETHEUS_LABELS = ("job", "instance", "le", "quantile", "alertname")
TAKEN_PREFIXES = ("exported_", "__")


def judge(
    config: schema.Config,
    failed: Collection[str],
    catalogue: Catalogue,
    top: Where,
    problems: Problems,
    claim: Callable[[tuple[str, str], Where, str], object],
) -> None:
    """Report all problems. `claim` reports a name that another place has already."""
    taken = {*IDENTITY_LABELS, *OWN_LABELS, *PROMETHEUS_LABELS} | {
        label for measure in catalogue.metrics for label in measure.labels
    }
    for number, name in enumerate(config.label_names):
        where = top / "label_names" / number
        claim(("label", name), where, f"the label {name}")
        if name in taken or name.startswith(TAKEN_PREFIXES):
            problems.report(where, f"{name} is used by the exporter or by Prometheus; choose another name")
    if "label_names" in failed:
        return
    for number, name in enumerate(config.metrics.totals_by):
        where = top / "metrics" / "totals_by" / number
        claim(("totals", name), where, f"the label {name}")
        if name not in config.label_names:
            hint = did_you_mean(name, config.label_names) if config.label_names else "none are"
            problems.report(where, f"{name} is not declared in label_names; {hint}")
