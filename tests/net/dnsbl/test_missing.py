"""Why it cannot be told that a subject is on no list."""

from __future__ import annotations

from dataclasses import replace

from exporter.facts import Doubt, Reason
from exporter.mail.dnsbl.blocklist import Blocklist
from exporter.net.dnsbl.verdict import ListVerdict, missing

ONE, TWO = (
    ListVerdict(Blocklist(name, f"{name}.example"), None, clean=False, quorum=True, doubt=None)
    for name in ("one", "two")
)
EGRESS = Doubt(Reason.EGRESS, "no way out")
TIMEOUT = Doubt(Reason.DNS_TIMEOUT, "no answer")


def test_a_list_that_was_not_asked_is_waited_for() -> None:
    assert list(missing([ONE, replace(TWO, clean=True)])) == [
        Doubt(Reason.PENDING, "1 of 2 lists gave no usable answer: one was not asked yet")
    ]
    assert list(missing([replace(ONE, clean=True), replace(TWO, clean=True)])) == []


def test_the_doubt_of_the_list_is_told() -> None:
    assert list(missing([replace(ONE, doubt=TIMEOUT), replace(TWO, doubt=TIMEOUT)])) == [
        Doubt(Reason.DNS_TIMEOUT, "2 of 2 lists gave no usable answer: no answer")
    ]


def test_without_any_list_that_can_be_believed_the_cause_is_told() -> None:
    lost = [replace(it, quorum=False) for it in (ONE, TWO)]
    assert list(missing([])) == [Doubt(Reason.BLOCKLIST_UNHEALTHY, "no list holds it")]
    assert list(missing(lost)) == [
        Doubt(
            Reason.BLOCKLIST_UNHEALTHY,
            "all blocklists failed the self-test; your resolver is probably blocked: one, two",
        )
    ]
    for doubt, reason in ((TIMEOUT, Reason.BLOCKLIST_UNHEALTHY), (EGRESS, Reason.EGRESS)):
        told = [replace(it, doubt=doubt) for it in lost]
        assert list(missing(told)) == [
            Doubt(
                reason,
                f"all blocklists failed the self-test; your resolver is probably blocked: one, two: {doubt.detail}",
            )
        ]
