"""A domain's registration: when does it expire, and has the registry taken the domain out of DNS?

We ask the registry through RDAP (exporter/net/rdap.py), at most once a day.

Some registries have no RDAP server, or give no expiry date, or do not know the name. Then the verdict stays unknown,
because a pass would say that somebody has looked and all is well. An info finding says what is missing, and how to
switch the check off for the domain. The reason is `network` if there is no server to ask, and `malformed` if the answer
lacks what we asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from exporter.facts import Doubt, Expiry, Metric, Reason, Rule, Severity
from exporter.mail.dns import Status
from exporter.mail.rdap import RdapRegistration
from exporter.model import Door, Fact, Facts, check
from exporter.net import Net
from exporter.targets import Registration
from exporter.text import day


@check(over=Registration, interval=timedelta(hours=1), timeout=timedelta(seconds=60), needs={Door.RDAP})
async def registration(target: Registration, net: Net) -> Facts:
    """Is the registration of the domain in force, and for how much longer?"""
    domain, now = target.domain, net.clock.wall()
    found = await net.registration(domain)
    if not found.server:
        yield NO_RDAP(domain=domain)
        yield Doubt(Reason.NETWORK, f"the list of RDAP servers has none for {domain}")
        return
    registered = found.registration
    if registered is None:
        # What answers 404 may not be the registry of this name, so DNS has the last word.
        if (await net.resolve(domain, "NS")).status is Status.NXDOMAIN:
            yield NOT_REGISTERED(domain=domain, server=found.server)
            return
        yield NOT_LISTED(domain=domain, server=found.server)
        yield Doubt(Reason.MALFORMED, f"{found.server} knows no {domain}, which exists in DNS")
        return
    registrar = registered.registrar or "its name is not published"
    yield _status(domain, registered, registrar)
    if registered.registered is not None and 0 <= now - registered.registered < NEW * DAY:
        yield YOUNG(domain=domain, days=int((now - registered.registered) // DAY), date=day(registered.registered))
    if registered.expires is None:
        yield NO_EXPIRY(domain=domain, server=found.server)
        yield Doubt(Reason.MALFORMED, f"{found.server} does not say when {domain} expires")
        return
    yield EXPIRY(registered.expires)
    left = registered.expires - now
    if left <= 0:
        yield EXPIRED(domain=domain, date=day(registered.expires), registrar=registrar)
    elif left <= SOON * DAY:
        severity = Severity.CRITICAL if left <= VERY_SOON * DAY else None
        yield EXPIRING(
            domain=domain, days=int(left // DAY), date=day(registered.expires), registrar=registrar, severity=severity
        )


EXPIRY = Metric("deliverability_registration_expiry_timestamp_seconds", "When the registration of the domain expires.")
NOT_REGISTERED = Rule(
    "registration.not-registered",
    Severity.CRITICAL,
    says="{domain} is not registered: {server} knows no such domain, and it does not exist in DNS",
    why="No mail from or to the domain can be delivered, and whoever registers it next receives its mail.",
    fix="Register {domain} again at once, or take it out of the configuration if it was given up on purpose.",
    ref="RFC 7480 section 5.3",
)
EXPIRED = Rule(
    "registration.expired",
    Severity.CRITICAL,
    says="the registration of {domain} expired on {date}",
    why="The registry takes an expired domain out of DNS, at any moment from now on; then no mail from or to it can be "
    "delivered, and in the end somebody else can register it.",
    fix="Renew {domain} with its registrar ({registrar}) today.",
    ref="RFC 9083 section 4.5",
)
EXPIRING = Rule(
    "registration.expiring",
    Severity.WARNING,
    says="the registration of {domain} expires in {days} days, on {date}",
    why="By now automatic renewal should have happened. When a registration ends the domain leaves DNS, and no mail "
    "from or to it can be delivered.",
    fix="Renew {domain} with its registrar ({registrar}) before {date}.",
    ref="RFC 9083 section 4.5",
    expiry=Expiry("registration", EXPIRY),
)
ON_HOLD = Rule(
    "registration.on-hold",
    Severity.CRITICAL,
    says='the registration of {domain} has the status "{status}", which takes the domain out of DNS',
    why="Receivers look the domain up, find nothing and refuse its mail; nobody can answer either. The registrar does "
    "this for an unpaid bill or an unconfirmed contact address, the registry in a dispute or on abuse.",
    fix="Ask the registrar of {domain} ({registrar}) why it is on hold, and settle that.",
    ref="RFC 5731 section 2.3; RFC 8056 section 2",
)
INACTIVE = Rule(
    "registration.inactive",
    Severity.CRITICAL,
    says='the registration of {domain} has the status "inactive": it names no name servers',
    why="Without name servers at the registry the domain does not exist in DNS, and its mail is refused.",
    fix="Enter the name servers of {domain} with its registrar ({registrar}).",
    ref="RFC 5731 section 2.3; RFC 8056 section 2",
)
REDEMPTION = Rule(
    "registration.redemption",
    Severity.CRITICAL,
    says='the registration of {domain} has been deleted; the registry keeps it in the status "{status}"',
    why="The domain is out of DNS. For some weeks its former holder can have it restored; then anybody can get it.",
    fix="Have {domain} restored by its registrar ({registrar}) today; it costs more than a renewal.",
    ref="RFC 3915 sections 2, 3.1; RFC 8056 section 2",
)
PENDING_DELETE = Rule(
    "registration.pending-delete",
    Severity.CRITICAL,
    says='the registration of {domain} is about to be purged: its status is "pending delete"',
    why="The domain is out of DNS, it cannot be restored any more, and in a few days anybody can register it, and "
    "receive its mail.",
    fix="Order {domain} from a registrar that catches names as they are released, and move mail to another domain.",
    ref="RFC 3915 sections 2, 3.1; RFC 8056 section 2",
)
YOUNG = Rule(
    "registration.young",
    Severity.INFO,
    says="{domain} was registered {days} days ago, on {date}",
    why="Filters distrust new domains for some weeks, since most of those that send mail at once are made for abuse.",
    fix="Begin with little mail from {domain}, to people who expect it.",
    ref="Spamhaus: Zero Reputation Domain list",
)
NO_RDAP = Rule(
    "registration.no-rdap",
    Severity.INFO,
    says="the registry of {domain} offers no RDAP over HTTPS, so when the registration expires cannot be told",
    why="The check stays without a verdict: an expiry would come unseen.",
    fix="Keep an eye on the date of {domain} at its registrar, and switch this check off: where the domain is "
    "configured, set `registration` under `checks` to `enabled: false`.",
    ref="RFC 9224 sections 4, 7",
)
NO_EXPIRY = Rule(
    "registration.no-expiry",
    Severity.INFO,
    says="{server} does not say when the registration of {domain} expires",
    why="The check stays without a verdict: an expiry would come unseen. Some registries keep the date to themselves, "
    "or renew until they are told not to.",
    fix="Keep an eye on the date of {domain} at its registrar, and switch this check off: where the domain is "
    "configured, set `registration` under `checks` to `enabled: false`.",
    ref="RFC 9083 section 4.5",
)
NOT_LISTED = Rule(
    "registration.not-listed",
    Severity.INFO,
    says="{server} knows no {domain}, which exists in DNS all the same",
    why="Somebody else than the registry of the top-level domain holds the name, such as a registry below it. The "
    "check stays without a verdict: an expiry would come unseen.",
    fix="Keep an eye on the date of {domain} where it was registered, and switch this check off: where the domain is "
    "configured, set `registration` under `checks` to `enabled: false`.",
    ref="RFC 7480 section 5.3",
)

DAY = 86400.0
SOON, VERY_SOON = 30, 7  # days to expiry
NEW = 30  # days of age

_HOLDS = ("client hold", "server hold")
_DELETED = ("redemption period", "pending restore")  # restorable; "pending delete" stands beside them, too


# Hourly: the client asks a registry once a day anyway, and after a failure a day would be a long wait.


def _status(domain: str, found: RdapRegistration, registrar: str) -> Iterator[Fact]:
    """What the statuses say, each only where no other says it better."""
    for status in _HOLDS:
        if status in found.statuses:
            yield ON_HOLD(domain=domain, status=status, registrar=registrar)
    if "inactive" in found.statuses:
        yield INACTIVE(domain=domain, registrar=registrar)
    deleted = [status for status in _DELETED if status in found.statuses]
    if deleted:
        yield REDEMPTION(domain=domain, status=deleted[0], registrar=registrar)
    elif "pending delete" in found.statuses:
        yield PENDING_DELETE(domain=domain)
