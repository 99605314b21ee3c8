"""What receivers answer, where one answer has several causes; the form is that of `exporter.explain.families.known`.

Failed authentication is refused in the same words whatever made it fail: the SPF record (RFC 7208), the address that is
not in it, the DKIM key (RFC 6376), the lack of a DMARC policy or of alignment (RFC 9989). Each check quotes what its
findings cause.
"""

from __future__ import annotations

GMAIL_SPF_OR_DKIM = "Gmail: 550 5.7.26 Gmail requires all senders to authenticate with either SPF or DKIM"
GMAIL_SPF_OR_DKIM_LATER = "Gmail: 421 4.7.26 Gmail requires all senders to authenticate with either SPF or DKIM"
GMAIL_SPF = "Gmail: 550 5.7.27 Gmail requires ... senders to authenticate ... with SPF"
GMAIL_SPF_LATER = (
    "Gmail: 421 4.7.27 Your email has been rate limited because SPF authentication didn't pass for this message"
)
GMAIL_HARD_FAIL = "Gmail: 550 5.7.26 The MAIL FROM domain ... has an SPF record with a hard fail policy"
GMAIL_DKIM = "Gmail: 550 5.7.30 Gmail requires ... senders to authenticate ... with DKIM"
GMAIL_DKIM_LATER = (
    "Gmail: 421 4.7.30 Your email has been rate limited because DKIM authentication didn't pass for this message"
)
GMAIL_DMARC_POLICY = "Gmail: 550 5.7.26 Unauthenticated email from ... is not accepted due to domain's DMARC policy"
GMAIL_DMARC_RECORD = (
    "Gmail: 550 5.7.40 ... domain doesn't have a DMARC record, or the DMARC record doesn't specify a DMARC policy"
)
GMAIL_DMARC_RECORD_LATER = (
    "Gmail: 421 4.7.40 ... domain doesn't have a DMARC record, or the DMARC record doesn't specify a DMARC policy"
)
GMAIL_ALIGNMENT_LATER = (
    "Gmail: 421 4.7.32 ... the From header (RFC5322) in this message isn't aligned with either the authenticated SPF "
    "or DKIM organizational domain"
)
YAHOO_SPF_OR_DKIM = "Yahoo: 550 5.7.9 ... Yahoo requires all senders to authenticate with either SPF or DKIM"
OFFICE_365_SPF = "Office 365: 550 5.7.23 The message was rejected because of Sender Policy Framework violation"
OFFICE_365_DMARC = "Office 365: 550 5.7.509 Access denied, sending domain ... does not pass DMARC verification"
OFFICE_365_IPV6 = "Office 365: 450 4.7.26 ... must pass either SPF or DKIM validation, this message is not signed"
OUTLOOK_LEVEL = (
    "Outlook.com: 550 5.7.515 Access denied, sending domain ... does not meet the required authentication level"
)

SPF_FAILS = (
    GMAIL_SPF_OR_DKIM,
    GMAIL_SPF_OR_DKIM_LATER,
    YAHOO_SPF_OR_DKIM,
    GMAIL_SPF,
    GMAIL_SPF_LATER,
    GMAIL_ALIGNMENT_LATER,
    GMAIL_DMARC_POLICY,
    OFFICE_365_SPF,
    OFFICE_365_DMARC,
    OFFICE_365_IPV6,
    OUTLOOK_LEVEL,
)
# Without a pass, but without a fail either.
SPF_DOES_NOT_PASS = tuple(text for text in SPF_FAILS if text != OFFICE_365_SPF)
DKIM_FAILS = (
    GMAIL_SPF_OR_DKIM,
    GMAIL_SPF_OR_DKIM_LATER,
    YAHOO_SPF_OR_DKIM,
    GMAIL_DKIM,
    GMAIL_DKIM_LATER,
    GMAIL_ALIGNMENT_LATER,
    GMAIL_DMARC_POLICY,
    OFFICE_365_DMARC,
    OFFICE_365_IPV6,
    OUTLOOK_LEVEL,
)
NOT_ALIGNED = (GMAIL_ALIGNMENT_LATER, GMAIL_DMARC_POLICY, OFFICE_365_DMARC, OUTLOOK_LEVEL)
NO_DMARC_POLICY = (GMAIL_DMARC_RECORD, GMAIL_DMARC_RECORD_LATER, OUTLOOK_LEVEL)
