"""The syntax of the HELO/EHLO argument: a rule for each form that RFC 5321 forbids or receivers refuse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from exporter.facts import IP, Finding, Rule, Severity
from exporter.mail import host_remedies, names
from exporter.mail.helo import HeloFaultKind, HeloName


def judge(parsed: HeloName, ip: IP, plain: str) -> Iterator[Finding]:
    """Findings about the name that is said from this address. `plain` says in words which name to use instead."""
    for fault in parsed.faults:
        rule = RULES[fault.kind]
        known: dict[str, Any] = {
            "helo": parsed.text,
            "plain": plain,
            "where": fault.where,
            "position": fault.position,
            "detail": fault.detail,
        }
        yield rule(**{field: known[field] for field in rule.fields})
    if parsed.address:
        yield _literal(parsed, parsed.address, ip, plain)


OFFICE_365 = "Office 365: 501 5.5.4 Invalid domain name"
GMAIL = "Gmail: 501 5.5.4 HELO/EHLO argument ... invalid, closing connection"
EXIM = "Exim: 501 Syntactically invalid ... argument(s)"
POSTFIX = "Postfix: 501 5.5.2 Helo command rejected: Invalid name"
NOT_QUALIFIED = "Postfix: 504 5.5.2 Helo command rejected: need fully-qualified hostname"
NOT_FOUND = "Postfix: 450 4.7.1 Helo command rejected: Host not found"
SET = (
    "Set the HELO name to {plain} (Postfix: smtp_helo_name; Exim: helo_data; "
    "Exchange: the Send connector's FQDN; Python smtplib: local_hostname)."
)

EMPTY = Rule(
    "helo.empty",
    Severity.CRITICAL,
    says="the sender gives no HELO name",
    why="EHLO without a name is not a valid command. Receivers end the session.",
    fix=SET,
    ref="RFC 5321 section 4.1.1.1",
    refusals=("Gmail: 501 5.5.4 Empty HELO/EHLO argument not allowed, closing connection", EXIM),
    merged=host_remedies.greet_words,
    remedy=host_remedies.greet,
)
WHITE_SPACE = Rule(
    "helo.white-space",
    Severity.CRITICAL,
    says='the HELO name "{helo}" has white space at {where}',
    why="Exchange Online rejects EHLO if the name has a trailing space.",
    fix=SET,
    ref="RFC 5321 sections 4.1.1.1 and 4.1.2",
    refusals=(OFFICE_365, GMAIL),
    merged=host_remedies.greet_words,
    remedy=host_remedies.greet,
)
TRAILING_DOT = Rule(
    "helo.trailing-dot",
    Severity.CRITICAL,
    says='the HELO name "{helo}" ends with a dot, {where}',
    why="DNS writes absolute names with a trailing dot, SMTP does not. Exchange Online rejects it.",
    fix=SET,
    ref="RFC 5321 sections 2.3.5 and 4.1.2",
    refusals=(OFFICE_365,),
    merged=host_remedies.greet_words,
    remedy=host_remedies.greet,
)
EMPTY_LABEL = Rule(
    "helo.empty-label",
    Severity.CRITICAL,
    says='the HELO name "{helo}" has an empty label at {where}: two dots in a row or a leading dot',
    why="It is not a domain name. Receivers reject the session.",
    fix=SET,
    ref="RFC 5321 section 4.1.2",
    refusals=(OFFICE_365, POSTFIX),
    merged=host_remedies.greet_words,
    remedy=host_remedies.greet,
)
TOO_LONG = Rule(
    "helo.too-long",
    Severity.CRITICAL,
    says='the HELO name "{helo}" is too long from character {position} on: {detail}',
    why="It is not a valid domain name and cannot exist in DNS. Receivers reject the session.",
    fix=SET,
    ref="RFC 5321 section 4.5.3.1.2; RFC 1035 section 2.3.4",
    refusals=(POSTFIX,),
    merged=host_remedies.greet_words,
    remedy=host_remedies.greet,
)
UNDERSCORE = Rule(
    "helo.underscore",
    Severity.CRITICAL,
    says='the HELO name "{helo}" has an underscore at {where}',
    why="DNS allows it, host names do not. Exim and many others reject the session.",
    fix=SET,
    ref="RFC 5321 section 4.1.2; RFC 1123 section 2.1",
    refusals=(EXIM,),
    merged=host_remedies.greet_words,
    remedy=host_remedies.greet,
)
BAD_CHARACTER = Rule(
    "helo.bad-character",
    Severity.CRITICAL,
    says='the HELO name "{helo}" has a forbidden character at {where}',
    why="Only letters, digits, hyphens and dots are allowed. Receivers reject the session.",
    fix=SET,
    ref="RFC 5321 section 4.1.2",
    refusals=(OFFICE_365, GMAIL, POSTFIX, EXIM),
    merged=host_remedies.greet_words,
    remedy=host_remedies.greet,
)
NON_ASCII = Rule(
    "helo.non-ascii",
    Severity.CRITICAL,
    says='the HELO name "{helo}" has a character outside ASCII at {where}',
    why="An internationalised name must be sent as its A-label (xn--...). Receivers reject anything else.",
    fix=SET,
    ref="RFC 6531 section 3.7.1; RFC 5890 section 2.3.2.1",
    refusals=(OFFICE_365, POSTFIX, EXIM),
    merged=host_remedies.greet_words,
    remedy=host_remedies.greet,
)
EDGE_HYPHEN = Rule(
    "helo.edge-hyphen",
    Severity.CRITICAL,
    says='the HELO name "{helo}" has a hyphen at the beginning or end of a label, at {where}',
    why="A label begins and ends with a letter or digit. Receivers reject the session.",
    fix=SET,
    ref="RFC 5321 section 4.1.2",
    refusals=(POSTFIX,),
    merged=host_remedies.greet_words,
    remedy=host_remedies.greet,
)
BAD_LITERAL = Rule(
    "helo.bad-literal",
    Severity.CRITICAL,
    says='the HELO name "{helo}" is not a valid address literal, at {where}: {detail}',
    why="It is neither a name nor an address. Receivers reject the session.",
    fix=SET,
    ref="RFC 5321 section 4.1.3",
    refusals=("IIS: 501 5.5.4 Invalid Address", "Postfix: 501 5.5.2 Helo command rejected: invalid ip address"),
    merged=host_remedies.greet_words,
    remedy=host_remedies.greet,
)
BARE_ADDRESS = Rule(
    "helo.bare-address",
    Severity.CRITICAL,
    says='the HELO name "{helo}" is an address, not a name',
    why="An address without brackets counts as a name that cannot exist. Filters treat it as malware.",
    fix=SET,
    ref="RFC 5321 sections 4.1.2 and 4.1.3",
    refusals=(NOT_QUALIFIED,),
    merged=host_remedies.greet_words,
    remedy=host_remedies.greet,
)
LOCAL_NAME = Rule(
    "helo.local-name",
    Severity.CRITICAL,
    says='the HELO name "{helo}" is not a public host name (it ends in "{detail}")',
    why="Receivers reject it, and some blocklists list addresses that use it (localhost.localdomain: CBL).",
    fix=SET,
    ref="RFC 5321 section 2.3.5; RFC 6761",
    refusals=(NOT_FOUND,),
    merged=host_remedies.greet_words,
    remedy=host_remedies.greet,
)
SINGLE_LABEL = Rule(
    "helo.single-label",
    Severity.CRITICAL,
    says='the HELO name "{helo}" is not fully qualified',
    why="A name without a domain cannot be looked up. Postfix, Haraka and cPanel servers reject it permanently. "
    "Gmail's relay defers the mail again and again.",
    fix=SET,
    ref="RFC 5321 section 2.3.5; Postfix, reject_non_fqdn_helo_hostname",
    refusals=(NOT_QUALIFIED,),
    merged=host_remedies.greet_words,
    remedy=host_remedies.greet,
)
NUMERIC_TLD = Rule(
    "helo.numeric-tld",
    Severity.WARNING,
    says='the HELO name "{helo}" ends in a number, from {where} on',
    why="No top-level domain is a number, so the name cannot exist.",
    fix=SET,
    ref="RFC 5321 section 2.3.5; RFC 1123 section 2.1",
    merged=host_remedies.greet_words,
    remedy=host_remedies.greet,
)
ADDRESS_LITERAL = Rule(
    "helo.address-literal",
    Severity.WARNING,
    says="the sender uses the address literal {helo} instead of a name",
    why="It is meant for machines without a name. Receivers distrust mail servers that use it.",
    fix=SET,
    ref="RFC 5321 sections 2.3.5 and 4.1.3",
    merged=host_remedies.greet_words,
    remedy=host_remedies.greet,
)
WRONG_LITERAL = Rule(
    "helo.wrong-literal",
    Severity.WARNING,
    says="the sender uses the address literal {helo}, but sends from {ip}",
    why="The literal is false, and receivers see that at once.",
    fix=SET,
    ref="RFC 5321 section 4.1.3",
    merged=host_remedies.greet_words,
    remedy=host_remedies.greet,
)
PRIVATE_LITERAL = Rule(
    "helo.private-literal",
    Severity.CRITICAL,
    says="the sender uses the address literal {helo}, which is not a public address ({block})",
    why="Libraries use it when the machine has no full host name. Receivers reject the session.",
    fix=SET,
    ref="RFC 5321 section 4.1.3; RFC 6890",
    merged=host_remedies.greet_words,
    remedy=host_remedies.greet,
)

RULES = {
    HeloFaultKind.EMPTY: EMPTY,
    HeloFaultKind.WHITE_SPACE: WHITE_SPACE,
    HeloFaultKind.TRAILING_DOT: TRAILING_DOT,
    HeloFaultKind.EMPTY_LABEL: EMPTY_LABEL,
    HeloFaultKind.TOO_LONG: TOO_LONG,
    HeloFaultKind.UNDERSCORE: UNDERSCORE,
    HeloFaultKind.BAD_CHARACTER: BAD_CHARACTER,
    HeloFaultKind.NON_ASCII: NON_ASCII,
    HeloFaultKind.EDGE_HYPHEN: EDGE_HYPHEN,
    HeloFaultKind.BAD_LITERAL: BAD_LITERAL,
    HeloFaultKind.MAPPED_LITERAL: BAD_LITERAL,
    HeloFaultKind.BARE_ADDRESS: BARE_ADDRESS,
    HeloFaultKind.LOCAL_NAME: LOCAL_NAME,
    HeloFaultKind.SINGLE_LABEL: SINGLE_LABEL,
    HeloFaultKind.NUMERIC_TLD: NUMERIC_TLD,
}


def _literal(parsed: HeloName, address: IP, ip: IP, plain: str) -> Finding:
    block = names.not_public(address)
    if block:
        return PRIVATE_LITERAL(helo=parsed.text, block=block, plain=plain)
    if address != ip and not names.not_public(ip):
        return WRONG_LITERAL(helo=parsed.text, ip=ip, plain=plain)
    return ADDRESS_LITERAL(helo=parsed.text, plain=plain)
