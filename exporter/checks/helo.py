"""The name that a sender gives in HELO or EHLO. A wrong name ends the session there (RFC 5321 section 4.1.1.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from exporter.facts import IP, Doubt, Finding, Rule, Severity
from exporter.mail import names
from exporter.mail.dns import Status, doubts
from exporter.mail.helo import HeloFaultKind, HeloName, parse
from exporter.mail.spf.check_host import SpfEvaluation, check_host
from exporter.mail.spf.record import SpfResult
from exporter.model import Facts, Options, check, option
from exporter.net import Net
from exporter.net.interfaces import believe
from exporter.targets import Greeting


@dataclass(frozen=True, slots=True)
class HeloOptions(Options):
    strict: bool = option(default=False, says="true: a PTR name that is not the HELO name is critical")


@check(over=Greeting, options=HeloOptions)
async def helo(target: Greeting, net: Net) -> Facts:
    """Will receivers accept the name that the sender says in HELO/EHLO?"""
    said = parse(target.helo)
    plain = said.repaired or "the server's full host name, such as mail.example.com"
    yield _syntax(said, plain)
    if said.address:
        yield _literal(said, said.address, target.ip, plain)
    if said.faults or said.address:
        return  # nothing that DNS could know of
    name, ip = said.name, target.ip
    peer = next((peer for peer in PEERS if names.under(name, peer)), None)
    if peer:
        yield PEER(helo=name, peer=peer, plain=plain)
        return

    spf: SpfEvaluation | None = None
    rdtype, other = ("A", "AAAA") if ip.version == 4 else ("AAAA", "A")
    seen = names.not_public(ip) is None  # otherwise receivers see another address, and nothing can be compared with it
    mine = await net.query(name, rdtype)
    reverse = await net.query(names.pointer(ip), "PTR") if seen else None
    if mine.chain:
        yield ALIAS(helo=name, canonical=mine.chain[-1])
    # Without any PTR there is nothing to compare, and the check `ptr` says so. A PTR that is equal is confirmed by
    # the address lookup just made, or contradicted by it below.
    if reverse and reverse.names and name not in reverse.names:
        shown = ", ".join(sorted(reverse.names))
        strict = Severity.CRITICAL if target.option(HeloOptions).strict else None
        if any(names.registrable(pointed) == names.registrable(name) for pointed in reverse.names):
            yield PTR_SAME_DOMAIN(helo=name, ip=ip, names=shown, severity=strict)
        else:
            yield PTR_DIFFERS(helo=name, ip=ip, names=shown, rdtype=rdtype, severity=strict)
    believe(mine)
    addresses = mine.addresses
    if mine.status is not Status.NXDOMAIN and all(map(names.not_public, addresses)):
        addresses += (await net.resolve(name, other)).addresses
    shown = ", ".join(map(str, addresses))
    wanted = ip if seen else "with the address that receivers see"
    if not addresses:
        mail = mine if mine.status is Status.NXDOMAIN else await net.query(name, "MX")
        # An MX contents the receivers that refuse for this; the filters still count it.
        yield NO_ADDRESS(helo=name, rdtype=rdtype, ip=wanted, severity=None if mail.void else Severity.WARNING)
        yield doubts(mail)
    elif all(map(names.not_public, addresses)):
        yield PRIVATE_ADDRESS(helo=name, rdtype=rdtype, ip=wanted, addresses=shown)
    elif seen:
        if ip not in addresses:
            yield OTHER_ADDRESS(helo=name, rdtype=rdtype, ip=ip, addresses=shown)
        spf = await net.drive(check_host(ip, name, f"postmaster@{name}", name))
        yield _spf(spf, name, ip, rdtype)
    yield doubts(reverse)
    if spf and spf.reason is not None:
        yield Doubt(spf.reason, spf.why)


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
    says="the sender says no HELO name at all",
    why="EHLO without an argument is no command; receivers end the session.",
    fix=SET,
    ref="RFC 5321 section 4.1.1.1",
    refusals=("Gmail: 501 5.5.4 Empty HELO/EHLO argument not allowed, closing connection", EXIM),
)
WHITE_SPACE = Rule(
    "helo.white-space",
    Severity.CRITICAL,
    says='the HELO name "{helo}" has white space at {where}',
    why="Exchange Online refuses even a single space behind the name, before any address has been given.",
    fix=SET,
    ref="RFC 5321 sections 4.1.1.1 and 4.1.2",
    refusals=(OFFICE_365, GMAIL),
)
TRAILING_DOT = Rule(
    "helo.trailing-dot",
    Severity.CRITICAL,
    says='the HELO name "{helo}" ends with a dot, {where}',
    why="DNS writes absolute names with a dot at the end, SMTP does not; Exchange Online refuses it.",
    fix=SET,
    ref="RFC 5321 sections 2.3.5 and 4.1.2",
    refusals=(OFFICE_365,),
)
EMPTY_LABEL = Rule(
    "helo.empty-label",
    Severity.CRITICAL,
    says='the HELO name "{helo}" has an empty label at {where}: a dot too many',
    why="It is no domain name; receivers refuse the session.",
    fix=SET,
    ref="RFC 5321 section 4.1.2",
    refusals=(OFFICE_365, POSTFIX),
)
TOO_LONG = Rule(
    "helo.too-long",
    Severity.CRITICAL,
    says='the HELO name "{helo}" is too long: {detail}; character {position} is the first too many',
    why="It is no domain name and cannot exist in DNS; receivers refuse the session.",
    fix=SET,
    ref="RFC 5321 section 4.5.3.1.2; RFC 1035 section 2.3.4",
    refusals=(POSTFIX,),
)
UNDERSCORE = Rule(
    "helo.underscore",
    Severity.CRITICAL,
    says='the HELO name "{helo}" has an underscore at {where}',
    why="DNS allows it, host names do not; Exim and many others refuse the session.",
    fix=SET,
    ref="RFC 5321 section 4.1.2; RFC 1123 section 2.1",
    refusals=(EXIM,),
)
BAD_CHARACTER = Rule(
    "helo.bad-character",
    Severity.CRITICAL,
    says='the HELO name "{helo}" has a forbidden character at {where}',
    why="Only letters, digits, hyphens and dots are allowed; receivers refuse the session.",
    fix=SET,
    ref="RFC 5321 section 4.1.2",
    refusals=(OFFICE_365, GMAIL, POSTFIX, EXIM),
)
NON_ASCII = Rule(
    "helo.non-ascii",
    Severity.CRITICAL,
    says='the HELO name "{helo}" has a character outside ASCII at {where}',
    why="An internationalised name is said as its A-label (xn--...); receivers refuse anything else.",
    fix=SET,
    ref="RFC 6531 section 3.7.1; RFC 5890 section 2.3.2.1",
    refusals=(OFFICE_365, POSTFIX, EXIM),
)
EDGE_HYPHEN = Rule(
    "helo.edge-hyphen",
    Severity.CRITICAL,
    says='the HELO name "{helo}" has a hyphen at the edge of a label, at {where}',
    why="A label begins and ends with a letter or digit; receivers refuse the session.",
    fix=SET,
    ref="RFC 5321 section 4.1.2",
    refusals=(POSTFIX,),
)
BAD_LITERAL = Rule(
    "helo.bad-literal",
    Severity.CRITICAL,
    says='the HELO argument "{helo}" is no valid address literal, see {where}: {detail}',
    why="It is neither a name nor an address; receivers refuse the session.",
    fix=SET,
    ref="RFC 5321 section 4.1.3",
    refusals=("IIS: 501 5.5.4 Invalid Address", "Postfix: 501 5.5.2 Helo command rejected: invalid ip address"),
)
BARE_ADDRESS = Rule(
    "helo.bare-address",
    Severity.CRITICAL,
    says='the HELO name "{helo}" is an address, not a name',
    why="An address without brackets passes for a name that cannot exist; filters take it for malware.",
    fix=SET,
    ref="RFC 5321 sections 4.1.2 and 4.1.3",
    refusals=(NOT_QUALIFIED,),
)
LOCAL_NAME = Rule(
    "helo.local-name",
    Severity.CRITICAL,
    says='the HELO name "{helo}" lies under "{detail}", which means nothing outside',
    why="Receivers refuse it, and saying it gets addresses onto blocklists (localhost.localdomain: CBL).",
    fix=SET,
    ref="RFC 5321 section 2.3.5; RFC 6761",
    refusals=(NOT_FOUND,),
)
SINGLE_LABEL = Rule(
    "helo.single-label",
    Severity.WARNING,
    says='the HELO name "{helo}" is not fully qualified',
    why="A name without a domain cannot be looked up; many receivers refuse it or count it as a sign of spam.",
    fix=SET,
    ref="RFC 5321 section 2.3.5",
    refusals=(NOT_QUALIFIED,),
)
NUMERIC_TLD = Rule(
    "helo.numeric-tld",
    Severity.WARNING,
    says='the HELO name "{helo}" ends in a number, from {where} on',
    why="No top-level domain is a number, so the name cannot exist.",
    fix=SET,
    ref="RFC 5321 section 2.3.5; RFC 1123 section 2.1",
)
ADDRESS_LITERAL = Rule(
    "helo.address-literal",
    Severity.WARNING,
    says="the sender says the address literal {helo} instead of a name",
    why="It is meant for machines without a name; mail servers that use it are distrusted.",
    fix=SET,
    ref="RFC 5321 sections 2.3.5 and 4.1.3",
)
WRONG_LITERAL = Rule(
    "helo.wrong-literal",
    Severity.WARNING,
    says="the sender says the address literal {helo}, but sends from {ip}",
    why="The one thing that a literal states is false, and receivers see that at once.",
    fix=SET,
    ref="RFC 5321 section 4.1.3",
)
PRIVATE_LITERAL = Rule(
    "helo.private-literal",
    Severity.CRITICAL,
    says="the sender says the address literal {helo}, which is no public address ({block})",
    why="Libraries fall back to it when the machine has no full host name; receivers refuse the session.",
    fix=SET,
    ref="RFC 5321 section 4.1.3; RFC 6890",
)
PEER = Rule(
    "helo.peer",
    Severity.CRITICAL,
    says="the HELO name {helo} belongs to {peer}, a receiver",
    why="A server that introduces itself as the one it connects to is taken for a forger.",
    fix=SET,
    ref="Microsoft, non-delivery reports in Exchange Online",
    refusals=("Office 365: 550 5.7.506 Access denied, bad HELO",),
)
NO_ADDRESS = Rule(
    "helo.no-address",
    Severity.CRITICAL,
    says="the HELO name {helo} has no address",
    why="The name must resolve; receivers that look it up and find neither address nor MX refuse the mail.",
    fix="Publish the record {helo} {rdtype} {ip}.",
    ref="RFC 5321 section 2.3.5",
    refusals=(NOT_FOUND,),
)
PRIVATE_ADDRESS = Rule(
    "helo.private-address",
    Severity.CRITICAL,
    says="the HELO name {helo} resolves to addresses that are not public only: {addresses}",
    why="To a receiver the name leads nowhere, and filters take it for a forgotten machine.",
    fix="Publish the record {helo} {rdtype} {ip}; if the exporter's resolver shows an internal view of DNS, "
    "give it one that sees what the Internet sees.",
    ref="RFC 5321 section 2.3.5; RFC 6890",
)
OTHER_ADDRESS = Rule(
    "helo.other-address",
    Severity.WARNING,
    says="the HELO name {helo} resolves to {addresses}, not to {ip}",
    why="Receivers compare the two and count a difference as a sign of forgery.",
    fix="Publish the record {helo} {rdtype} {ip}, or say a name that already resolves to {ip}.",
    ref="RFC 5321 section 4.1.4",
)
ALIAS = Rule(
    "helo.alias",
    Severity.WARNING,
    says="the HELO name {helo} is an alias (CNAME) of {canonical}",
    why="The name must be the host's primary name; strict receivers do not follow the alias.",
    fix="Set the HELO name to {canonical}, or give {helo} address records in place of the CNAME.",
    ref="RFC 5321 section 2.3.5",
)
PTR_DIFFERS = Rule(
    "helo.ptr-differs",
    Severity.WARNING,
    says="the HELO name is {helo}, but the PTR of {ip} is {names}",
    why="Matching names are a mark of a cared-for server; Spamhaus asks for it before a CSS delisting.",
    fix="Make the PTR of {ip} (set by the owner of the address), the {rdtype} of {helo} and the HELO the same name.",
    ref="RFC 5321 section 4.1.4; Spamhaus, reputation checker",
)
PTR_SAME_DOMAIN = Rule(
    "helo.ptr-same-domain",
    Severity.INFO,
    says="the HELO name is {helo}, and the PTR of {ip} another name of the same domain: {names}",
    why="Most receivers are content; the strictest want one and the same name.",
    fix="Consider making the PTR of {ip} (set by the owner of the address) {helo}.",
    ref="RFC 5321 section 4.1.4",
)

SPF_MISSING = Rule(
    "helo.spf-missing",
    Severity.INFO,
    says="the HELO name {helo} has no SPF record",
    why="A bounce has no sender's address, so receivers judge its SPF by the HELO name; without a record there is no "
    "pass, and anybody may say the name.",
    fix='Publish at {helo} the TXT record "v=spf1 a -all".',
    ref="RFC 7208 sections 2.3, 2.4 and 10.1.3",
)
SPF_NOT_AUTHORISED = Rule(
    "helo.spf-not-authorised",
    Severity.WARNING,
    says="SPF of the HELO name {helo} says {result} about {ip}, because {why}",
    why="A bounce has no sender's address, so receivers judge its SPF by the HELO name, and refuse or junk it. Some "
    "look at the HELO name of all mail.",
    fix='Publish at {helo} the TXT record "v=spf1 a -all" instead of its SPF record, and let its {rdtype} be {ip}.',
    ref="RFC 7208 sections 2.3, 2.4 and 8",
)
SPF_NEUTRAL = Rule(
    "helo.spf-neutral",
    Severity.INFO,
    says="SPF of the HELO name {helo} says nothing about {ip}, because {why}",
    why="Neutral is to be treated as if there were no record.",
    fix='Publish at {helo} the TXT record "v=spf1 a -all" instead of its SPF record.',
    ref="RFC 7208 sections 2.4 and 8.2",
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
PEERS = (
    "gmail.com",
    "google.com",
    "googlemail.com",
    "hotmail.com",
    "live.com",
    "office365.com",
    "outlook.com",
    "yahoo.com",
    "yahoodns.net",
)


def _spf(result: SpfEvaluation, name: str, ip: IP, rdtype: str) -> Iterator[Finding]:
    """What a receiver's check_host says of a bounce (RFC 7208 section 2.4), where that is certain."""
    if result.reason is not None:
        return
    match result.word:
        case SpfResult.NONE:
            yield SPF_MISSING(helo=name)
        case SpfResult.NEUTRAL:
            yield SPF_NEUTRAL(helo=name, ip=ip, why=result.why)
        case SpfResult.FAIL | SpfResult.SOFTFAIL | SpfResult.PERMERROR:
            yield SPF_NOT_AUTHORISED(helo=name, ip=ip, rdtype=rdtype, result=result.word, why=result.why)


def _syntax(said: HeloName, plain: str) -> list[Finding]:
    found = []
    for fault in said.faults:
        rule = RULES[fault.kind]
        known: dict[str, Any] = {
            "helo": said.text,
            "plain": plain,
            "where": fault.where,
            "position": fault.position,
            "detail": fault.detail,
        }
        found.append(rule(**{field: known[field] for field in rule.fields}))
    return found


def _literal(said: HeloName, address: IP, ip: IP, plain: str) -> Finding:
    block = names.not_public(address)
    if block:
        return PRIVATE_LITERAL(helo=said.text, block=block, plain=plain)
    if address != ip and not names.not_public(ip):
        return WRONG_LITERAL(helo=said.text, ip=ip, plain=plain)
    return ADDRESS_LITERAL(helo=said.text, plain=plain)
