"""Stories in which no alert may fire for a target: written by hand, as those of stories.py."""

from __future__ import annotations

from collections.abc import Iterator

from tests.publish.promtool import Story, series
from tests.publish.scraped import Scraped, finding, gauge, up


def quiet() -> Iterator[Story]:
    """Faults that are nobody's page, or somebody else's."""
    outage: Scraped = {}
    for check in ("ptr", "spf", "dkim", "mx", "blocklist"):
        who = {"check": check, "domain": "example.com"}
        outage |= gauge("check_unknown", (0, 60), (1, 300), **who)
        outage |= gauge("check_ok", (1, 360), **who)
        outage |= {
            series("deliverability_check_last_conclusive_timestamp_seconds", **who): [
                str(min(minute, 59) * 60) for minute in range(360)
            ]
        }
    yield Story(
        "a resolver that is gone for five hours pages nobody for a target",
        up() | outage | gauge("check_unknown", (0, 60), (1, 300), check="resolver"),
        {69: {}, 71: {"DeliverabilityResolverUnhealthy": 1}, 359: {"DeliverabilityResolverUnhealthy": 1}},
    )
    one_bad_look = ((0, 30), (1, 1), (0, 30), (1, 4), (0, 60))
    yield Story(
        "doubt that lasts for less than the `for` is quiet",
        up()
        | gauge("check_unknown", *one_bad_look, check="resolver")
        | gauge("check_unknown", *one_bad_look, check="blocklist_health", blocklist="zen"),
        {minute: {} for minute in range(30, 100, 3)},
    )
    yield Story(
        "an accepted certificate is not told of, nor one that has more days than the threshold",
        up()
        | gauge("smtp_tls_certificate_not_after_timestamp_seconds", (86400, 60), mail_host="accepted", mail_port="25")
        | gauge("smtp_tls_certificate_not_after_timestamp_seconds", (20 * 86400, 60), mail_host="later", mail_port="25")
        | finding("smtp_tls.certificate-expiring", "warning", {"mail_host": "later", "mail_port": "25"}, 0, 60),
        {59: {}},
    )
    yield Story(
        "an exporter that keeps its state in memory, by choice, is no fault",
        up() | gauge("exporter_state_configured", (0, 60)) | gauge("exporter_series_dropped", (0, 60)),
        {59: {}},
    )
    yield Story(
        "a target that is overdue for some minutes is nobody's business",
        up() | gauge("exporter_overdue_targets", (0, 60), (1, 8), (0, 40), check="zone"),
        {minute: {} for minute in range(60, 108, 3)},
    )
    yield Story(
        "targets that get another label are none that are gone",
        up()
        | gauge("targets", (100, 30), (0, 270), kind="domain", team="crm")
        | gauge("targets", (0, 30), (100, 270), kind="domain", team="sales"),
        {minute: {} for minute in range(25, 300, 5)},
    )
    yield Story(
        "a target that knows nothing since yesterday, of which the latest run could tell, is no unknown",
        up()
        | gauge("check_unknown", (0, 600), check="spf", domain="example.com")
        | gauge("check_last_conclusive_timestamp_seconds", (0, 600), check="spf", domain="example.com"),
        {599: {}},
    )
