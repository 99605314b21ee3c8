"""Links of dashboards: to each other, to the exporter's pages, and to Grafana's list of alerts."""

from __future__ import annotations

from exporter.engine.catalogue import Catalogue
from exporter.publish.alert import PREFIX
from exporter.publish.grafana.panels import Column, Link
from exporter.publish.grafana.queries import joined_labels
from exporter.publish.promql import checks
from exporter.publish.thresholds import Thresholds
from exporter.targets import Greeting, ListHealth, MailHost, OwnResolver, Selector

# Whose a series is, as people read it: the address behind the mail host, since a finding can name one besides.
_TOLD = tuple(label for kind in (Selector, MailHost, Greeting, ListHealth) for label in kind.LABELS)
# The page on the exporter that shows most of a series: the first pattern that matches these labels, joined by ";".
# A finding can name an ip or a mail_host besides those of its target, and only a target's mail_host has a port.
_PAGED = ("check", "domain", "mail_port", "mail_host", "ip", "blocklist")
_PAGES = (
    ("domain=$1", "[^;]*;([^;]+);.*"),
    ("mail_host=$1", "[^;]*;;[^;]+;([^;]+);.*"),
    ("ip=$1", "[^;]*;;;[^;]*;([^;]+);.*"),
    ("blocklist=$1", ".*;([^;]+)"),
)
_KINDS = "domain|ip|mail_host"  # that have a dashboard of their own, called deliverability-KIND

TOLD = {name: Column(name, hidden=True) for name in ("page", "kind", "name", "instance")}


def alerts(rule: str = PREFIX) -> Link:
    """Grafana's list of alerts has those of Prometheus too, if its data source allows it, as it does unless told."""
    return Link("Alerts firing", f"/alerting/list?search=state:firing%20rule:{rule}")


class Links:
    """Links from the cells of a table. The row must have the labels of `labelled`, or the one that is named."""

    def __init__(self, known: Catalogue, given: Thresholds) -> None:
        own = "|".join(checks(known, OwnResolver))
        self._pages = ((OwnResolver().key, f"({own});.*"), *_PAGES)
        self._exporter = given.exporter_url.rstrip("/") or "http://${__data.fields.instance}"
        cluster = "&${cluster:queryparam}" if given.cluster_label else ""
        self._keep = (
            f"${{datasource:queryparam}}{cluster}&${{job:queryparam}}&${{instance:queryparam}}&${{__url_time_range}}"
        )

    def labelled(self, expr: str) -> str:
        """With labels for people: `target`, its `page` on the exporter, and `kind` and `name` of its dashboard."""
        labelled = joined_labels(joined_labels(expr, "target", " ", _TOLD), "page", ";", _PAGED)
        for page, pattern in self._pages:
            labelled = f'label_replace({labelled}, "page", "{page}", "page", "{pattern}")'
        labelled = f'label_replace({labelled}, "kind", "fleet", "check", ".*")'
        labelled = f'label_replace({labelled}, "kind", "$1", "page", "({_KINDS})=.+")'
        return f'label_replace({labelled}, "name", "$2", "page", "({_KINDS})=(.+)")'

    def target(self) -> tuple[Link, ...]:
        """The dashboard of the row's target, and its page with the evidence."""
        url = "/d/deliverability-${__data.fields.kind}?var-${__data.fields.kind}=${__data.fields.name}&" + self._keep
        return Link("Dashboard", url), self.page("${__data.fields.page}")

    def page(self, key: str) -> Link:
        return Link("Evidence and fix, on the exporter", f"{self._exporter}/targets/{key}", new_tab=True)

    def runbook(self) -> Link:
        url = f"{self._exporter}/findings/${{__data.fields.finding}}"
        return Link("What it means, and the fix", url, new_tab=True)

    def receiver(self) -> Link:
        url = f"{self._exporter}/receivers/${{__data.fields.receiver}}/${{__data.fields.domain}}"
        return Link("Each requirement, on the exporter", url, new_tab=True)

    def exporter(self) -> Link:
        return Link("The exporter's pages", self._exporter, new_tab=True)

    def board(self, kind: str) -> Link:
        """The dashboard of the domain, ip or mail_host in the row."""
        return Link("Dashboard", f"/d/deliverability-{kind}?var-{kind}=${{__data.fields.{kind}}}&{self._keep}")
