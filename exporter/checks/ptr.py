"""Reverse DNS of a sending address, the first thing a receiver looks at (RFC 8601 section 2.7.3)."""

from __future__ import annotations

from datetime import timedelta

from exporter.mail import names
from exporter.model import Facts, Measure, Rule, Severity, any_of, check
from exporter.net import Net
from exporter.targets import Address

MISSING = Rule(
    "ptr.missing",
    Severity.CRITICAL,
    says="{ip} has no PTR record at {pointer}",
    why="Large receivers refuse or junk mail from an address without reverse DNS.",
    fix="Ask the owner of {ip} (the hosting provider, not the domain's registrar) to set its PTR to {helo}.",
    ref="RFC 1035 section 3.5; RFC 8601 section 2.7.3",
    refusals=("Gmail: 550-5.7.25", "Office 365: 550 5.7.25"),
)
UNCONFIRMED = Rule(
    "ptr.unconfirmed",
    Severity.CRITICAL,
    says="no PTR name of {ip} leads back to it: {names}",
    why="A PTR that is not confirmed by a forward lookup counts as no reverse DNS (iprev fails).",
    fix="Add an address record for {ip} to one of these names, or change the PTR to a name that has it.",
    ref="RFC 8601 section 2.7.3",
    refusals=("Gmail: 550-5.7.25",),
)
NAMES = Measure("deliverability_ptr_names", "PTR names of the address.")

MOST_NAMES = 10  # RFC 8601 section 3 asks for a limit; RFC 7208 section 4.6.4 uses this one


@check(over=Address, every=timedelta(minutes=15))
async def ptr(target: Address, net: Net) -> Facts:
    """Does the address have a name that leads back to it?"""
    pointer = names.pointer(target.ip)
    found = await net.ask(pointer, "PTR")
    yield NAMES(len(found.names))
    if not found.names:
        yield MISSING(ip=target.ip, pointer=pointer, helo=target.helo[0])
        return

    async def leads_back(name: str) -> bool:
        forward = await net.ask(name, "A" if target.ip.version == 4 else "AAAA")
        return target.ip in forward.addresses

    if not await any_of(leads_back(name) for name in found.names[:MOST_NAMES]):
        yield UNCONFIRMED(ip=target.ip, names=", ".join(found.names))
