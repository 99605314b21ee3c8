"""The meaning of codes by the standards."""

from __future__ import annotations

from exporter.explain.smtp_status import meaning, reply_meaning


def test_codes_mean_what_the_standards_say() -> None:
    assert "invalid argument" in meaning("5.5.4")
    assert "RFC 3463 section 3.6" in meaning("5.5.4")
    assert "will be retried" in meaning("4.7.25")
    assert "detail 606 is defined by the receiver" in meaning("5.7.606")
    assert "an unknown subject" in meaning("5.9.1")
    assert "parameters" in reply_meaning(501)
    assert "no code of the standard" in reply_meaning(599)
    assert "RFC 7504" in reply_meaning(521)
