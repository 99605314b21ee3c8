"""What is remembered of lists, and for how long."""

from __future__ import annotations

from exporter.facts import Doubt, Reason, Severity
from exporter.mail.dnsbl.blocklist import Blocklist
from exporter.net.dnsbl.answers import Listing
from exporter.net.dnsbl.recent_verdicts import LONGEST, RecentVerdicts
from exporter.net.dnsbl.verdict import ListVerdict

LIST = Blocklist("ours", "bl.example.net")
SILENT = Doubt(Reason.DNS_SERVFAIL, "no answer")
CLEAN = ListVerdict(LIST, None, clean=True, quorum=True, doubt=None)
LISTED = ListVerdict(
    LIST, Listing(("127.0.0.2",), "spam", Severity.WARNING, "", 0.0), clean=False, quorum=True, doubt=None
)
UNSURE = ListVerdict(LIST, None, clean=True, quorum=True, doubt=SILENT)
UNBELIEVED = ListVerdict(LIST, None, clean=False, quorum=False, doubt=SILENT)
KEY = "mail.example.com", "ours"


def test_a_clean_name_is_remembered_until_it_is_too_old() -> None:
    recent = RecentVerdicts()
    recent.put(KEY, 100.0, 1, [CLEAN])
    assert recent.get(KEY, 100.0, 2) == [CLEAN]
    assert recent.get(KEY, 100.1, 2) is None
    assert recent.get(("other.example.com", "ours"), 0.0, 1) is None


def test_a_listing_is_remembered_only_while_nothing_has_changed() -> None:
    recent = RecentVerdicts()
    recent.put(KEY, 100.0, 1, [LISTED])
    assert recent.get(KEY, 0.0, 1) == [LISTED]
    assert recent.get(KEY, 0.0, 2) is None


def test_a_doubt_is_not_remembered_and_takes_what_was_remembered_with_it() -> None:
    recent = RecentVerdicts()
    recent.put(KEY, 100.0, 1, [CLEAN])
    recent.put(KEY, 200.0, 1, [CLEAN, UNSURE])
    assert recent.get(KEY, 0.0, 1) is None


def test_a_list_that_nobody_believes_makes_nobody_ask_the_others_again() -> None:
    recent = RecentVerdicts()
    recent.put(KEY, 100.0, 1, [CLEAN, UNBELIEVED])
    assert recent.get(KEY, 0.0, 1) == [CLEAN, UNBELIEVED]


def test_what_no_list_can_tell_is_not_remembered() -> None:
    recent = RecentVerdicts()
    recent.put(KEY, 100.0, 1, [UNBELIEVED])
    assert recent.get(KEY, 0.0, 1) is None


def test_what_is_too_old_for_anybody_is_forgotten() -> None:
    recent = RecentVerdicts()
    recent.put(KEY, 100.0, 1, [CLEAN])
    recent.put(("other.example.com", "ours"), 101.0 + LONGEST, 1, [CLEAN])
    assert recent.get(KEY, float("-inf"), 1) is None
