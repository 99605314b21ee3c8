"""The name that a sender gives in HELO or EHLO. A wrong name ends the session there (RFC 5321 section 4.1.1.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from exporter.checks.helo import syntax
from exporter.checks.helo.syntax import NOT_FOUND, SET
from exporter.facts import IP, Doubt, Finding, LookAgain, Reason, Rule, Severity
from exporter.mail import generic_rdns, host_remedies, names
from exporter.mail.dns import Reply, Status
from exporter.mail.helo import parse, receiver
from exporter.mail.spf.check_host import SpfEvaluation, check_host
from exporter.mail.spf.record import SpfResult, is_spf
from exporter.model import Door, Fact, Facts, Light, Options, check, option
from exporter.net import Net
from exporter.net.dnsbl.verdict import ListVerdict
from exporter.targets import Greeting
from exporter.text import EVIDENCE_LIMIT


@dataclass(frozen=True, slots=True)
class HeloOptions(Options):
    strict: bool = option(default=False, says="true: a PTR name that is not the HELO name is critical")


LOOK_UP_EVERY = 55 * 60.0  # seconds: lists are asked once an hour for each name, however many senders say it


@check(
    over=Greeting,
    light=Light.HELO,
    options=HeloOptions,
    timeout=timedelta(minutes=2),
    may_need={Door.BLOCKLISTS},
    questions=5,
    lists_every=timedelta(seconds=LOOK_UP_EVERY),
)
async def helo(target: Greeting, net: Net) -> Facts:
    """Will receivers accept the HELO/EHLO name of the sender?"""
    parsed = parse(target.helo)
    name, ip = parsed.host, target.ip
    plain = parsed.repaired or (None if name else await _pointed(ip, net)) or FULL_NAME
    yield syntax.judge(parsed, ip, plain)
    if name is None:
        return  # there is no name to look up in DNS
    peer = receiver(name)
    if peer:
        yield PEER(helo=name, peer=peer, plain=await _pointed(ip, net) or plain)
        return

    seen = names.not_public(ip) is None  # otherwise receivers see another address, and nothing can be compared with it
    rdtype, other = ("A", "AAAA") if ip.version == 4 else ("AAAA", "A")
    mine = await net.query(name, rdtype)
    if seen:
        yield _compare(target, name, await net.query(names.pointer(ip), "PTR"), rdtype)
    wanted = ip if seen else "with the address that receivers see"
    if mine.chain:
        yield ALIAS(helo=name, canonical=mine.chain[-1], rdtype=rdtype, ip=wanted)
    addresses, unsure = mine.addresses, mine.doubt
    if unsure:
        yield unsure.over(ALIAS).over(NO_ADDRESS).over(PRIVATE_ADDRESS).over(OTHER_ADDRESS)
    elif mine.status is not Status.NXDOMAIN and all(map(names.not_public, addresses)):
        further = await net.query(name, other)
        addresses, unsure = addresses + further.addresses, further.doubt
        if unsure:
            doubt = unsure.over(PRIVATE_ADDRESS).over(OTHER_ADDRESS)
            yield doubt if addresses else doubt.over(NO_ADDRESS)
    reachable = not all(map(names.not_public, addresses))
    shown = ", ".join(map(str, addresses))
    if unsure:
        pass
    elif not addresses:
        mail = mine if mine.status is Status.NXDOMAIN else await net.query(name, "MX")
        if mail.doubt:
            yield mail.doubt.over(NO_ADDRESS)
        if not (mail.doubt and net.active(target, NO_ADDRESS)):  # an active finding keeps its severity
            # An MX contents the receivers that refuse for this; the filters still count it.
            yield NO_ADDRESS(helo=name, rdtype=rdtype, ip=wanted, severity=None if mail.void else Severity.WARNING)
    elif not reachable:
        yield PRIVATE_ADDRESS(helo=name, rdtype=rdtype, ip=wanted, addresses=shown)
    elif seen and ip not in addresses:
        yield OTHER_ADDRESS(helo=name, rdtype=rdtype, ip=ip, addresses=shown)
    if seen and (reachable or unsure):
        spf = await net.drive(check_host(ip, name, f"postmaster@{name}", name))
        published = await net.query(name, "TXT")
        found = list(_spf(spf, published, name, ip, addresses))
        if spf.reason is not None:
            yield _spf_doubt(Doubt(spf.reason, spf.why), published)
        elif unsure:  # SPF of a name that may have no address is not reported; but it may end an earlier finding
            yield (unsure.over(finding.rule) for finding in found)
        else:
            yield found
    verdicts = await net.listed(name, target.lists, within=LOOK_UP_EVERY) if target.lists else []
    for verdict in verdicts:
        yield _listed(target, net, name, verdict, alone=verdict.alone(verdicts))
    yield [LookAgain(verdict.again) for verdict in verdicts if verdict.again is not None]


PEER = Rule(
    "helo.peer",
    Severity.CRITICAL,
    says="the HELO name {helo} belongs to {peer}, a receiver",
    why="Receivers treat a server that uses their own name as a forger.",
    fix=SET,
    ref="Microsoft, non-delivery reports in Exchange Online",
    refusals=("Office 365: 550 5.7.506 Access denied, bad HELO",),
    merged=host_remedies.greet_words,
    remedy=host_remedies.greet,
)
NO_ADDRESS = Rule(
    "helo.no-address",
    Severity.CRITICAL,
    says="the HELO name {helo} has no address record",
    why="Receivers that look the name up and find neither an address nor an MX reject the mail.",
    fix="Publish the record {helo} {rdtype} {ip}.",
    ref="RFC 5321 section 2.3.5",
    refusals=(NOT_FOUND,),
    merged=host_remedies.give_address_words,
    remedy=host_remedies.give_address,
)
PRIVATE_ADDRESS = Rule(
    "helo.private-address",
    Severity.CRITICAL,
    says="the HELO name {helo} resolves only to addresses that are not public: {addresses}",
    why="Receivers cannot use the name, and filters treat it as misconfigured.",
    fix="Publish the record {helo} {rdtype} {ip}. If the exporter's resolver shows internal DNS, configure one that "
    "sees public DNS.",
    ref="RFC 5321 section 2.3.5; RFC 6890",
    merged=host_remedies.give_address_words,
    remedy=host_remedies.give_address,
)
OTHER_ADDRESS = Rule(
    "helo.other-address",
    Severity.WARNING,
    says="the HELO name {helo} resolves to {addresses}, not to {ip}",
    why="Receivers compare the two, and count a difference as a sign of forgery.",
    fix="Publish the record {helo} {rdtype} {ip}, or use a name that already resolves to {ip}.",
    ref="RFC 5321 section 4.1.4",
    merged=host_remedies.give_address_words,
    remedy=host_remedies.give_address,
)
ALIAS = Rule(
    "helo.alias",
    Severity.WARNING,
    says="the HELO name {helo} is an alias (CNAME) of {canonical}",
    why="The name must be the host's primary name. Strict receivers do not follow the alias.",
    fix="Replace the CNAME with the record {helo} {rdtype} {ip}.",
    ref="RFC 5321 section 2.3.5",
)
PTR_DIFFERS = Rule(
    "helo.ptr-differs",
    Severity.WARNING,
    says="the HELO name is {helo}, but the PTR of {ip} is {names}",
    why="Well-run servers have matching names. Spamhaus requires it before a CSS delisting.",
    fix="Use one name for the PTR record of {ip} (set by the owner of the address), the {rdtype} record of {helo} and "
    "the HELO name.",
    ref="RFC 5321 section 4.1.4; Spamhaus, reputation checker",
)
PTR_SAME_DOMAIN = Rule(
    "helo.ptr-same-domain",
    Severity.INFO,
    says="the HELO name is {helo}, and the PTR of {ip} is another name of the same domain: {names}",
    why="Most receivers accept that. The strictest require the same name.",
    fix="Consider setting the PTR of {ip} to {helo}. The owner of the address sets it.",
    ref="RFC 5321 section 4.1.4",
)

LISTED = Rule(
    "helo.listed",
    Severity.WARNING,  # the list and its return code decide
    says="the HELO name {helo} is listed on {blocklist}: {meaning} ({codes}); the list says: {text}",
    why="Receivers look up the HELO name, not only the address and the sender's domain. They reject all mail from a "
    "listed name.",
    fix="Fix the cause ({remedy}), then request delisting of {helo}: {delist}",
    ref="RFC 5782 section 2.2; Postfix, reject_rhsbl_helo; Spamhaus, Domain Blocklist",
    certain=True,
    refusals=(
        "Office 365: 550 5.7.1 Service unavailable, Helo domain is listed in Spamhaus",
        "Postfix: 554 5.7.1 Service unavailable; Helo command ... blocked using",
    ),
    subjects=("blocklist",),
)

SPF_MISSING = Rule(
    "helo.spf-missing",
    Severity.INFO,
    says="the HELO name {helo} has no SPF record",
    why="A bounce has no sender address, so receivers use the HELO name for SPF. Without a record there is no pass, "
    "and anybody may use the name.",
    fix='Publish at {helo} the TXT record "{record}".',
    ref="RFC 7208 sections 2.3, 2.4 and 10.1.3",
    remedy=host_remedies.helo_spf,
)
SPF_NOT_AUTHORISED = Rule(
    "helo.spf-not-authorised",
    Severity.WARNING,
    says="SPF {result} for {ip} at the HELO name {helo}: {why}",
    why="A bounce has no sender address, so receivers use the HELO name for SPF, and reject or junk it. Some check "
    "the HELO name of all mail.",
    fix='Replace the SPF record of {helo} with the TXT record "{record}", and set its {rdtype} to {ip}.',
    ref="RFC 7208 sections 2.3, 2.4 and 8",
    remedy=host_remedies.helo_spf,
)
SPF_NEUTRAL = Rule(
    "helo.spf-neutral",
    Severity.INFO,
    says="SPF of the HELO name {helo} is neutral about {ip}: {why}",
    why="Receivers treat neutral like no record.",
    fix='Replace the SPF record of {helo} with the TXT record "{record}".',
    ref="RFC 7208 sections 2.4 and 8.2",
    remedy=host_remedies.helo_spf,
)

FULL_NAME = "the server's full host name, such as mail.example.com"
MOST_NAMES = 10  # of a PTR (RFC 8601 section 3 asks for a limit)


async def _pointed(ip: IP, net: Net) -> str | None:
    """A PTR name that leads back to the address: the name to say in HELO, unless it looks made up."""
    if names.not_public(ip):
        return None
    reverse = await net.query(names.pointer(ip), "PTR")
    for name in sorted(set(reverse.names))[:MOST_NAMES]:
        usual = generic_rdns.weigh(generic_rdns.signs(name, ip)) < generic_rdns.REMARKABLE
        if usual and parse(name).host and not receiver(name):
            forward = await net.query(name, "A" if ip.version == 4 else "AAAA")
            if ip in forward.addresses:
                return name
    return None


def _compare(target: Greeting, name: str, reverse: Reply, rdtype: str) -> Iterator[Fact]:
    """Compare the PTR with the HELO name.

    Without any PTR there is nothing to compare, and the check `ptr` says so. A PTR that is equal is confirmed by the
    lookup of the name's address, or contradicted by it.
    """
    if reverse.doubt:
        yield reverse.doubt.over(PTR_DIFFERS).over(PTR_SAME_DOMAIN)
    if not reverse.names or name in reverse.names:
        return
    shown = ", ".join(sorted(reverse.names))
    strict = Severity.CRITICAL if target.option(HeloOptions).strict else None
    if any(names.registrable(pointed) == names.registrable(name) for pointed in reverse.names):
        yield PTR_SAME_DOMAIN(helo=name, ip=target.ip, names=shown, severity=strict)
    else:
        yield PTR_DIFFERS(helo=name, ip=target.ip, names=shown, rdtype=rdtype, severity=strict)


def _spf(spf: SpfEvaluation, published: Reply, name: str, ip: IP, addresses: Sequence[IP]) -> Iterator[Finding]:
    """The result of a receiver's check_host for a bounce (RFC 7208 section 2.4), if it is certain."""
    if spf.reason is not None:
        return
    record = _passing(spf, published, ip, addresses)
    match spf.word:
        case SpfResult.NONE:
            yield SPF_MISSING(helo=name, record=record)
        case SpfResult.NEUTRAL:
            yield SPF_NEUTRAL(helo=name, ip=ip, why=spf.why, record=record)
        case SpfResult.FAIL | SpfResult.SOFTFAIL | SpfResult.PERMERROR:
            rdtype = "A" if ip.version == 4 else "AAAA"
            yield SPF_NOT_AUTHORISED(helo=name, ip=ip, rdtype=rdtype, result=spf.word, why=spf.why, record=record)


def _passing(spf: SpfEvaluation, published: Reply, ip: IP, addresses: Sequence[IP]) -> str:
    """A whole record that passes the address: the published one with one more term, if it is valid."""
    term = f"ip{ip.version}:{ip}"
    texts = [txt.text for txt in published.texts if is_spf(txt.text)]
    if texts and spf.word is not SpfResult.PERMERROR:
        longer = f"v=spf1 {term}{texts[0][len('v=spf1') :].decode('ascii', 'replace')}"
        if len(longer) <= EVIDENCE_LIMIT:
            return longer
    return f"v=spf1 {'a' if ip in addresses else term} -all"


def _spf_doubt(doubt: Doubt, published: Reply) -> Doubt:
    """What a missing result leaves open. It may still be known that there is a record."""
    doubt = doubt.over(SPF_NOT_AUTHORISED).over(SPF_NEUTRAL)
    return doubt if any(is_spf(txt.text) for txt in published.texts) else doubt.over(SPF_MISSING)


def _listed(target: Greeting, net: Net, name: str, verdict: ListVerdict, *, alone: bool) -> Iterator[Fact]:
    """What one list says. A list that nobody believes has a finding of its own, and only keeps what it said before.

    `alone`: it lists very many at once, and no other list agrees. Then it is neither proven nor refuted.
    """
    of, listing = verdict.blocklist, verdict.listing
    if listing:
        yield LISTED(
            severity=Severity.INFO if alone else listing.severity,
            helo=name,
            blocklist=of.name,
            meaning=listing.meaning,
            codes=", ".join(listing.codes),
            text=listing.text or "nothing",
            remedy=listing.remedy,
            delist=of.delist or f"ask the operator of {of.name}",
        )
        if alone and listing.severity.fails:
            many = f"{of.name} lists very many at once, and no other list agrees"
            yield Doubt(Reason.BLOCKLIST_UNHEALTHY, many).over(LISTED, blocklist=of.name)
    elif not verdict.clean and (verdict.quorum or net.active(target, LISTED, blocklist=of.name)):
        doubt = verdict.doubt or Doubt(Reason.PENDING, f"{of.name} has not been queried yet")
        yield doubt.over(LISTED, blocklist=of.name)
