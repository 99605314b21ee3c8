"""Reverse DNS of a sending address, which receivers look at first (RFC 8601 section 2.7.3).

If the PTR name is a CNAME into another zone (RFC 2317), we follow it. The transcript shows each step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exporter.facts import Doubt, Finding, Measured, Metric, Reason, Rule, Severity
from exporter.mail import generic_rdns, host_remedies, names
from exporter.mail.helo import parse
from exporter.model import Facts, Light, Options, check, option
from exporter.net import Net
from exporter.targets import Address


@dataclass(frozen=True, slots=True)
class PtrOptions(Options):
    allow_generic: tuple[str, ...] = option(default=(), says="domains below which PTR names may look generic")


@check(over=Address, light=Light.PTR, options=PtrOptions, questions=2)
async def ptr(target: Address, net: Net) -> Facts:
    """Does the address have forward-confirmed reverse DNS (FCrDNS)?"""
    ip, helo = target.ip, _advised(target) or FULL_NAME
    block = names.not_public(ip)
    if block:
        yield NOT_PUBLIC(ip=ip, block=block)
        return
    pointer = names.pointer(ip)
    found = await net.resolve(pointer, "PTR")
    yield Measured(NAMES), NAMES(len(found.names))
    if not found.names:
        yield MISSING(ip=ip, pointer=" -> ".join((pointer, *found.chain)), helo=helo)
        return

    listed = sorted(set(found.names))  # the order of an answer is chance, a verdict is not
    stays = helo if helo in listed else "the HELO name of the server"
    looked_at = listed[:MOST_NAMES]
    if len(listed) > MOST_NAMES:
        yield TOO_MANY(ip=ip, count=len(listed), limit=MOST_NAMES, helo=stays)
    local = [name for name in looked_at if _local(name)]
    for name in local:
        # Beside a name that can be looked up it is ugly, but the mail is not lost.
        yield LOCAL_NAME(ip=ip, name=name, helo=helo, severity=None if local == listed else Severity.WARNING)
    candidates = [name for name in looked_at if name not in local]
    for name in candidates:
        if not names.is_hostname(name):
            yield BAD_NAME(ip=ip, name=name, helo=helo)
        for finding in _generic(target, name):
            yield finding
    if not candidates:
        return

    rdtype = "A" if ip.version == 4 else "AAAA"
    forward = {name: await net.query(name, rdtype) for name in candidates}
    confirmed = [name for name, reply in forward.items() if ip in reply.addresses]
    strays = [name for name, reply in forward.items() if not reply.doubt and ip not in reply.addresses]
    unsure = [reply.doubt for reply in forward.values() if reply.doubt]
    # The loop of iprev (RFC 8601 section 2.7.3): one name that leads back is enough, whatever others would say.
    if confirmed:
        if strays:
            yield PARTLY_CONFIRMED(ip=ip, names=", ".join(strays), rdtype=rdtype)
        elif len(confirmed) == len(listed) > 1:
            yield SEVERAL(ip=ip, count=len(listed), helo=stays)
        elif net.active(target, PARTLY_CONFIRMED):  # one of the others was proven not to
            yield (doubt.over(PARTLY_CONFIRMED) for doubt in unsure)
    elif unsure:
        for doubt in unsure:
            narrowed = doubt.over(UNCONFIRMED).over(PARTLY_CONFIRMED)
            yield narrowed if strays else narrowed.over(SEVERAL)
    elif len(listed) > MOST_NAMES:  # a name that was not looked at might lead back
        if net.active(target, UNCONFIRMED):
            why = f"{ip} has {len(listed)} PTR names, and {MOST_NAMES} of them were checked"
            yield Doubt(Reason.MALFORMED, why).over(UNCONFIRMED)
    else:
        name = helo if helo in strays else next(filter(names.is_hostname, strays), helo)
        yield UNCONFIRMED(ip=ip, names=", ".join(strays), name=name, rdtype=rdtype)


GMAIL = (
    "Gmail: 550 5.7.25 The IP address sending this message does not have a PTR record",
    "Gmail: 550 5.7.25 This message was blocked because the sending IP address doesn't have a PTR record",
    "Gmail: 421 4.7.23 The sending IP address for this message doesn't have a PTR record",
)
POSTFIX = "Postfix: 450 4.7.25 Client host rejected: cannot find your hostname"

SET = "Ask the owner of {ip} (the hosting provider, not the domain's registrar) to set its PTR to {helo}."

NOT_PUBLIC = Rule(
    "ptr.not-public",
    Severity.WARNING,
    says="{ip} is not a public address ({block}), so no receiver ever sees it",
    why="Mail leaves from another address behind NAT, and that one is not checked.",
    fix="Configure the public address instead of {ip}. A Received header of delivered mail shows it.",
    ref="RFC 6890",
    cause=("ip",),
)
MISSING = Rule(
    "ptr.missing",
    Severity.CRITICAL,
    says="{ip} has no PTR record at {pointer}",
    why="Large receivers reject or junk mail from an address without reverse DNS.",
    fix=SET,
    ref="RFC 1035 section 3.5; RFC 8601 section 2.7.3",
    cause=("ip",),
    refusals=(
        *GMAIL,
        "Office 365: 550 5.7.25 ... must have a reverse DNS record",
        "Office 365: 450 4.7.25 ... must have reverse DNS record",
        POSTFIX,
        "Postfix: 450 4.7.1 Client host rejected: cannot find your reverse hostname",
    ),
    remedy=host_remedies.point,
)
LOCAL_NAME = Rule(
    "ptr.local-name",
    Severity.CRITICAL,
    says='the PTR of {ip} is "{name}", which is not a public host name',
    why="Such a name is a placeholder. Receivers treat the address as one without reverse DNS.",
    fix=SET,
    ref="RFC 8601 section 2.7.3; RFC 6761 section 6.3",
    cause=("ip",),
    refusals=(*GMAIL, POSTFIX),
    remedy=host_remedies.point,
)
BAD_NAME = Rule(
    "ptr.bad-name",
    Severity.WARNING,
    says='the PTR of {ip} is "{name}", which is not a valid host name',
    why="Host names have letters, digits and hyphens. Filters distrust anything else.",
    fix=SET,
    ref="RFC 1123 section 2.1",
    cause=("ip",),
    remedy=host_remedies.point,
)
GENERIC_NAME = Rule(
    "ptr.generic-name",
    Severity.WARNING,
    says="the PTR of {ip} is {name}, which looks like a generic ISP name: {signs}",
    why="Infected machines have such names, well-run mail servers do not, so filters count it. Yahoo requires names "
    "that are not generic.",
    fix="Ask the owner of {ip} (the hosting provider, not the domain's registrar) to set its PTR to {wanted}.",
    ref="RFC 1912 section 2.1; Yahoo, sender best practices",
    cause=("ip",),
    remedy=host_remedies.point,
)
UNCONFIRMED = Rule(
    "ptr.unconfirmed",
    Severity.CRITICAL,
    says="reverse DNS of {ip} is not forward-confirmed (FCrDNS): {names}",
    why="Receivers treat such an address as one without reverse DNS (iprev fails).",
    fix="Publish the record {name} {rdtype} {ip}, or ask the owner of {ip} to set its PTR to a name that has it.",
    ref="RFC 8601 section 2.7.3",
    cause=("ip",),
    refusals=(*GMAIL, "Gmail: 550 5.7.25 The sending IP does not match the IP address of the hostname", POSTFIX),
    remedy=host_remedies.confirm,
)
PARTLY_CONFIRMED = Rule(
    "ptr.partly-confirmed",
    Severity.WARNING,
    says="some PTR names of {ip} are not forward-confirmed (FCrDNS): {names}",
    why="Some servers check one name only, and the order of the names changes from lookup to lookup.",
    fix="Ask the owner of {ip} to remove the PTR records {names}, or publish {rdtype} {ip} at these names.",
    ref="RFC 8601 section 2.7.3",
    cause=("ip",),
)
TOO_MANY = Rule(
    "ptr.too-many",
    Severity.WARNING,
    says="{ip} has {count} PTR names, and receivers check at most {limit} of them",
    why="Which ones they check is random, and so is whether one is forward-confirmed.",
    fix="Ask the owner of {ip} to leave one PTR record: {helo}.",
    ref="RFC 8601 section 3; RFC 7208 section 4.6.4",
    cause=("ip",),
    remedy=host_remedies.leave_one,
)
SEVERAL = Rule(
    "ptr.several",
    Severity.INFO,
    says="{ip} has {count} PTR names, all of them forward-confirmed",
    why="One name is usual. Some servers check only the first one, which changes.",
    fix="Consider asking the owner of {ip} to leave one PTR record: {helo}.",
    ref="RFC 8601 section 2.7.3",
    cause=("ip",),
    remedy=host_remedies.leave_one,
)
NAMES = Metric("deliverability_ptr_names", "PTR names of the address.")

FULL_NAME = "the server's full host name, the same as in HELO"
MOST_NAMES = 10  # RFC 8601 section 3 asks for a limit; RFC 7208 section 4.6.4 uses this one


def _advised(target: Address) -> str | None:
    """The name for the PTR: one that is said in HELO, repaired if need be. A generic one is no remedy."""
    for text in target.helo:
        name = parse(text).repaired
        if name and generic_rdns.weigh(generic_rdns.signs(name, target.ip)) < generic_rdns.REMARKABLE:
            return name
    return None


def _generic(target: Address, name: str) -> Iterator[Finding]:
    signs = generic_rdns.signs(name, target.ip)
    weight = generic_rdns.weigh(signs)
    allowed = target.option(PtrOptions).allow_generic
    if weight < generic_rdns.REMARKABLE or any(names.under(name, domain) for domain in allowed):
        return
    yield GENERIC_NAME(
        ip=target.ip,
        name=name,
        signs=", ".join(sign.what for sign in signs),
        wanted=_advised(target) or "a name of your own, such as mail.example.com",
        severity=None if weight >= generic_rdns.GENERIC else Severity.INFO,
    )


def _local(name: str) -> bool:
    return name == "." or names.local_suffix(name) is not None
