"""What the numbers of a reply mean by the standards, whatever a receiver uses them for (RFC 3463, RFC 5321)."""

from __future__ import annotations

_CLASSES = {"4": "temporary failure, will be retried", "5": "permanent failure, do not retry"}
_SUBJECTS = {
    "0": "no details given",
    "1": "an address",
    "2": "the recipient's mailbox",
    "3": "the receiving mail system",
    "4": "network and routing",
    "5": "the mail protocol",
    "6": "the message's content",
    "7": "security or policy",
}
# RFC 3463 section 3; RFC 4954 section 6, RFC 5248, RFC 7372, RFC 7505 and RFC 6710 for what came later.
_DETAILS = {
    "1.1": "the mailbox does not exist",
    "1.2": "the recipient's domain does not exist or accepts no mail",
    "1.3": "the recipient's address has a syntax error",
    "1.4": "the recipient's address is ambiguous",
    "1.6": "the mailbox has moved, without a forwarding address",
    "1.7": "the sender's address has a syntax error",
    "1.8": "the sender's domain does not exist or accepts no mail",
    "1.10": "the recipient's domain has a null MX",
    "2.0": "the mailbox, no details given",
    "2.1": "the mailbox is disabled",
    "2.2": "the mailbox is full",
    "2.3": "the message is too long for the mailbox",
    "2.4": "expanding a mailing list failed",
    "3.1": "the receiving system has no space left",
    "3.2": "the receiving system accepts no messages now",
    "3.3": "the receiving system cannot do what was asked",
    "3.4": "the message is too big for the receiving system",
    "3.5": "the receiving system is misconfigured",
    "4.1": "the next host does not answer",
    "4.2": "the connection was lost",
    "4.3": "a directory or DNS server failed",
    "4.4": "no route: DNS has no host for the domain",
    "4.5": "the receiving system is congested",
    "4.6": "a loop in the routing",
    "4.7": "it took too long to deliver",
    "5.0": "the protocol, no details given",
    "5.1": "a command that is invalid, or invalid now",
    "5.2": "a syntax error in a command",
    "5.3": "too many recipients",
    "5.4": "a command has an invalid argument",
    "5.5": "the wrong version of the protocol",
    "6.0": "the content, no details given",
    "6.1": "a medium that is not supported",
    "6.7": "an internationalised address that the server does not support",
    "7.0": "security, no details given",
    "7.1": "delivery is not authorised; the text says why",
    "7.2": "not allowed to write to this mailing list",
    "7.8": "wrong credentials",
    "7.20": "no DKIM signature passes",
    "7.21": "no acceptable DKIM signature",
    "7.22": "no DKIM signature of the author's domain",
    "7.23": "SPF says fail",
    "7.24": "SPF could not be evaluated",
    "7.25": "reverse DNS of the address is missing or not forward-confirmed",
    "7.26": "several authentication checks failed",
    "7.27": "the sender's domain has a null MX",
    "7.28": "a flood of mail was detected",
    "7.29": "ARC validation failed",
    "7.30": "the server does not support REQUIRETLS",
}
_SECTIONS = {"1": "3.2", "2": "3.3", "3": "3.4", "4": "3.5", "5": "3.6", "6": "3.7", "7": "3.8"}
_REPLIES = {
    421: "the service is not available, and the connection is closed",
    450: "the mailbox is not available now",
    451: "a local error, try again",
    452: "not enough space now",
    454: "not possible for a temporary reason",
    455: "the server cannot accommodate the parameters now",
    500: "the command is not known",
    501: "a syntax error in the parameters of a command",
    502: "the command is not implemented",
    503: "a bad sequence of commands",
    504: "a parameter of a command is not implemented",
    521: "the host accepts no mail",
    530: "authentication or TLS is needed first",
    535: "the credentials are wrong",
    550: "the mailbox is not available, or policy forbids it",
    551: "the user is not local",
    552: "more space than is allocated, or a message that is too big",
    553: "the name of the mailbox is not allowed",
    554: "the transaction failed, or no SMTP service here",
    555: "parameters of MAIL FROM or RCPT TO are not known",
    556: "the recipient's domain accepts no mail",
}


def meaning(status: str) -> str:
    """What an enhanced status code says by the standard, whatever the receiver uses it for."""
    kind, subject, detail = status.split(".")
    about = _DETAILS.get(f"{subject}.{detail}")
    what = about or f"{_SUBJECTS.get(subject, 'an unknown subject')}; detail {detail} is defined by the receiver"
    section = f" section {_SECTIONS[subject]}" if subject in _SECTIONS else ""
    return f"{what} ({_CLASSES[kind]}; RFC 3463{section})"


def reply_meaning(code: int) -> str:
    """What a basic reply code says by RFC 5321 section 4.2, and RFC 7504 for those of hosts without mail."""
    source = "RFC 7504" if code in (521, 556) else "RFC 5321 section 4.2"
    return f"{_REPLIES.get(code, 'no code of the standard')} ({_CLASSES[str(code)[0]]}; {source})"
