"""The share of domains without a critical finding: whose faults count against which domain, and when it is unknown."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.engine import catalogue
from exporter.publish.rules import dump, groups
from exporter.publish.slo import RATIO
from exporter.publish.thresholds import Thresholds
from tests.publish.promtool import told
from tests.publish.scraped import Exporter, Scraped, gauge, together

CATALOGUE = catalogue.load()
END = 200
ADDRESS, MX = {"ip": "192.0.2.1"}, {"mail_host": "mx.example.net", "mail_port": "25"}


def relations(instance: str) -> Scraped:
    """Three domains send from one address, and two of them have their mail taken by one host."""
    senders = [
        gauge("domain_sender_info", (1, END), domain=f"{name}.example", sender="out", instance=instance)
        for name in "abc"
    ]
    hosts = [
        gauge("domain_mail_host_info", (1, END), domain=f"{name}.example", **MX, instance=instance) for name in "ab"
    ]
    greeting = gauge("sender_info", (1, END), sender="out", helo="out.example", **ADDRESS, instance=instance)
    return together(*senders, *hosts, greeting)


def faults(of: Exporter) -> Scraped:
    """One after the other, with half an hour between them."""
    return together(
        of.finding("spf.missing", "critical", (10, 40), unsure=[(10, 14)], who={"domain": "a.example"}),
        of.finding("dkim.missing", "critical", (20, 40), who={"domain": "a.example", "selector": "s1"}),
        of.finding("tls_rpt.missing", "warning", (10, 40), who={"domain": "b.example"}),
        of.finding("receiver.gmail-ptr", "critical", (10, 40), who={"domain": "c.example"}),
        of.finding("ptr.missing", "critical", (60, 80), who=ADDRESS),
        of.finding("helo.localhost", "critical", (60, 80), who={"sender": "out", **ADDRESS}),
        of.finding("smtp_tls.refused", "critical", (100, 120), who=MX),
    )


GOOD = {8: 0, 12: 0, 25: 1, 50: 0, 70: 3, 90: 0, 110: 2, 130: 0}  # domains that are hurt, by minute


@pytest.mark.lab
@pytest.mark.parametrize("pair", [False, True])
def test_a_domain_is_hurt_by_its_machines_too(tmp_path: Path, pair: bool) -> None:
    rules = tmp_path / "alerts.yml"
    records = [it for it in groups(CATALOGUE, Thresholds()) if "record" in it["rules"][0]]
    rules.write_text(dump({"groups": records}))
    exporters = [Exporter(end=END, down=[(150, 190)], instance=f"e{number}:1") for number in range(1 + pair)]
    scraped = together(*(together(it.scraped(), faults(it), relations(it.instance)) for it in exporters))
    looks: list[dict[str, object]] = [
        {
            "expr": RATIO,
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": f'{RATIO}{{job="deliverability-exporter"}}', "value": 1 - hurt / 100}],
        }
        for minute, hurt in GOOD.items()
    ]
    looks.append({"expr": RATIO, "eval_time": "170m", "exp_samples": []})
    story: dict[str, object] = {
        "name": "share",
        "interval": "1m",
        "input_series": [{"series": name, "values": " ".join(values)} for name, values in scraped.items()],
        "promql_expr_test": looks,
    }
    assert told(rules, tmp_path, [story]) == ""


def test_clusters_are_told_apart() -> None:
    rules = [rule for group in groups(CATALOGUE, Thresholds(cluster_label="region")) for rule in group["rules"]]
    (share,) = (rule["expr"] for rule in rules if rule.get("record") == RATIO)
    assert "job)" not in share
    assert "job, region" in share
