"""The names of all families on /metrics, so that a configuration can leave some out (`metrics.deny`)."""

from __future__ import annotations

from exporter.engine.catalogue import Catalogue

OK = "deliverability_check_ok"
UNKNOWN = "deliverability_check_unknown"
REASON = "deliverability_check_unknown_reason"
FINDING = "deliverability_finding"
SINCE = "deliverability_finding_since_timestamp_seconds"
FLAPPING = "deliverability_finding_flapping"
INFO = "deliverability_finding_info"
ACCEPTED_UNTIL = "deliverability_finding_accepted_until_timestamp_seconds"
LAST_CONCLUSIVE = "deliverability_check_last_conclusive_timestamp_seconds"
RECORD_CHANGED = "deliverability_record_changed_timestamp_seconds"
INTERVAL = "deliverability_check_interval_seconds"
DOMAIN_SENDER = "deliverability_domain_sender_info"
SENDER = "deliverability_sender_info"
TARGETS = "deliverability_targets"
CHECKS = "deliverability_checks"
PROBLEMS = "deliverability_problems"

HELP = {  # of the families that are no measures of a check
    OK: "1 or 0: the last conclusive result, from a background run; absent until the first one.",
    UNKNOWN: "1 while the result of the latest run is unknown, or no run has ended yet.",
    REASON: "1 while the result of the latest run is unknown, by reason.",
    FINDING: "1 while the finding is active.",
    SINCE: "When the finding was first seen, once further looks have confirmed it.",
    FLAPPING: "1 while the finding flaps.",
    INFO: "Texts of the finding for notifications: title, impact on mail, and fix.",
    ACCEPTED_UNTIL: "Until when the active finding is acknowledged; +Inf is without end.",
    LAST_CONCLUSIVE: "While the result of the latest run is unknown: when the last conclusive one ended; 0 is never.",
    RECORD_CHANGED: "When a record of the check last changed; absent 30 days later.",
    INTERVAL: "Configured seconds between two runs of the check on one target.",
    DOMAIN_SENDER: "This sender sends mail of the domain.",
    SENDER: "The sender greets with this HELO name from this address.",
    TARGETS: "Checked targets, by kind and by the labels of metrics.totals_by.",
    PROBLEMS: "Problems by finding, confirmed or not. All findings that one change fixes are one problem.",
    CHECKS: "Checks of targets by status, the first that applies of fail, pending, unknown and pass.",
}
OWN_PREFIX = "deliverability_exporter_"
BUILD = OWN_PREFIX + "build_info"
CONFIG = OWN_PREFIX + "config_hash_info"
OVERDUE = OWN_PREFIX + "overdue_targets"
OWN = tuple(  # of the exporter itself: views/own_metrics.py makes them
    OWN_PREFIX + name
    for name in (
        "actions_total",
        "blocklist_budget_remaining_ratio",
        "build_info",
        "check_duration_seconds",
        "config_hash_info",
        "config_last_reload_success_timestamp_seconds",
        "config_last_reload_successful",
        "dns_cache_hits_total",
        "dns_ignored_total",
        "dns_queries_total",
        "dns_query_duration_seconds",
        "dns_responses_total",
        "http_connections",
        "http_connections_limit",
        "http_connections_rejected_total",
        "http_requests_total",
        "loop_lag_seconds",
        "oldest_run_timestamp_seconds",
        "overdue_targets",
        "queue_length",
        "runs_skipped_total",
        "runs_total",
        "runs_unchanged_total",
        "runs_unknown_total",
        "series",
        "series_dropped",
        "series_limit",
        "state_configured",
        "state_saved_timestamp_seconds",
        "state_size_bytes",
        "state_writable",
        "time_seconds",
        "web_config_last_reload_successful",
        "web_password_checks_total",
        "web_requests_refused_total",
    )
)


def names(catalogue: Catalogue) -> frozenset[str]:
    """The names of all families but those about the process itself."""
    return frozenset((*HELP, *OWN, *(metric.name for metric in catalogue.metrics)))
