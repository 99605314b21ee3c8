"""A domain's registration: when does it expire, and has the registry taken the domain out of DNS?

We ask the registry through RDAP (exporter/net/rdap.py), at most once a day. If its date is near or missing, we ask the
registrar too, and the later date counts.

- Some registries have no RDAP server, or give no date to any name (.de, .ch). Nobody can be asked there when a name
  expires. So the check passes, and an info finding says what is not checked.
- A name without a date is in doubt (reason `malformed`) if the registry gives dates to other names.
- A name that DNS has, but the registry does not know, is in doubt too.
- A registry may renew a name by itself when its term ends. For some weeks, the registrar can give the name back ("auto
  renew period"). Meanwhile the name is in force, even if its date has passed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from exporter.facts import Doubt, Metric, Reason, Rule, Severity
from exporter.mail.dns import Status
from exporter.mail.rdap import AUTO_RENEWED as AUTO_RENEWED_STATUS
from exporter.mail.rdap import RdapRegistration
from exporter.model import Door, Fact, Facts, check
from exporter.net import Net
from exporter.net.rdap import RdapLookup
from exporter.targets import Registration
from exporter.text import day


@check(over=Registration, interval=timedelta(hours=1), timeout=timedelta(seconds=90), needs={Door.RDAP})
async def registration(target: Registration, net: Net) -> Facts:
    """Is the registration of the domain in force, and for how long?"""
    domain, now = target.domain, net.clock.wall()
    found = await net.registration(domain)
    if not found.server:
        yield NO_RDAP(domain=domain)
        return
    registered = found.registration
    if registered is None:
        # What answers 404 may not be the registry of this name, so DNS has the last word.
        if (await net.resolve(domain, "NS")).status is Status.NXDOMAIN:
            yield NOT_REGISTERED(domain=domain, server=found.server)
            return
        yield NOT_LISTED(domain=domain, server=found.server)
        yield Doubt(Reason.MALFORMED, f"{found.server} does not know {domain}, which exists in DNS").over(*OF_AN_ANSWER)
        return
    yield _status(domain, registered, _registrar(registered))
    if registered.registered is not None and 0 <= now - registered.registered < NEW * DAY:
        yield YOUNG(domain=domain, days=int((now - registered.registered) // DAY), date=day(registered.registered))
    if found.expires is None:
        yield NO_EXPIRY(domain=domain, server=found.server)
        if found.dated:
            missing = f"{found.server} gives no expiry of {domain}, but gives that of other names"
            yield Doubt(Reason.MALFORMED, missing).over(EXPIRED, EXPIRING)
        return
    yield EXPIRY(found.expires)
    yield _ending(found, found.expires, now)


EXPIRY = Metric("deliverability_registration_expiry_timestamp_seconds", "When the registration of the domain expires.")
NOT_REGISTERED = Rule(
    "registration.not-registered",
    Severity.CRITICAL,
    says="{domain} is not registered: {server} does not know it, and it does not exist in DNS",
    why="No mail from or to the domain can be delivered. Anyone who registers it next receives its mail.",
    fix="Register {domain} again at once, or remove it from the configuration if you gave it up.",
    ref="RFC 7480 section 5.3",
)
EXPIRED = Rule(
    "registration.expired",
    Severity.CRITICAL,
    says="the registration of {domain} expired on {date}",
    why="The registry can remove an expired domain from DNS at any moment. Then no mail from or to it can be "
    "delivered, and later others can register it.",
    fix="Renew {domain} with its registrar ({registrar}) today.",
    ref="RFC 9083 section 4.5",
)
EXPIRING = Rule(
    "registration.expiring",
    Severity.WARNING,
    says="the registration of {domain} expires in {days} days, on {date}",
    why="Automatic renewal should have happened by now. When a registration ends, the domain leaves DNS, and its mail "
    "cannot be delivered.",
    fix="Renew {domain} with its registrar ({registrar}) before {date}.",
    ref="RFC 9083 section 4.5",
)
AUTO_RENEWED = Rule(
    "registration.auto-renewed",
    Severity.INFO,
    says="the registry has renewed {domain} automatically, and its registrar can still cancel that",
    why="The domain works. If its registrar is not paid within the grace period, the registrar may delete it.",
    fix="Make sure that the renewal of {domain} is paid at its registrar ({registrar}).",
    ref="RFC 3915 section 3.1; ICANN: EPP status code autoRenewPeriod",
)
ON_HOLD = Rule(
    "registration.on-hold",
    Severity.CRITICAL,
    says='the registration of {domain} has the status "{status}", which removes the domain from DNS',
    why="Receivers do not find the domain and reject its mail. Nobody can answer either. Causes are an unpaid bill, "
    "an unconfirmed contact address, a dispute or abuse.",
    fix="Ask the registrar of {domain} ({registrar}) why it is on hold, and resolve that.",
    ref="RFC 5731 section 2.3; RFC 8056 section 2",
)
INACTIVE = Rule(
    "registration.inactive",
    Severity.CRITICAL,
    says='the registration of {domain} has the status "inactive": it has no name servers',
    why="Without name servers at the registry, the domain does not exist in DNS. Receivers reject its mail.",
    fix="Enter the name servers of {domain} with its registrar ({registrar}).",
    ref="RFC 5731 section 2.3; RFC 8056 section 2",
)
REDEMPTION = Rule(
    "registration.redemption",
    Severity.CRITICAL,
    says='the registration of {domain} was deleted; the registry keeps it in the status "{status}"',
    why="The domain is no longer in DNS. For some weeks you can have it restored, then anybody can get it.",
    fix="Ask the registrar of {domain} ({registrar}) to restore it today. That costs more than a renewal.",
    ref="RFC 3915 sections 2, 3.1; RFC 8056 section 2",
)
PENDING_DELETE = Rule(
    "registration.pending-delete",
    Severity.CRITICAL,
    says='the registration of {domain} will be deleted soon: its status is "pending delete"',
    why="The domain is no longer in DNS and cannot be restored. In a few days anybody can register it, and receive "
    "its mail.",
    fix="Order {domain} from a registrar that catches released names, and move mail to another domain.",
    ref="RFC 3915 sections 2, 3.1; RFC 8056 section 2",
)
YOUNG = Rule(
    "registration.young",
    Severity.INFO,
    says="{domain} was registered {days} days ago, on {date}",
    why="Filters distrust new domains for some weeks, because most of those that send mail at once are for abuse.",
    fix="Begin with little mail from {domain}, to people who expect it.",
    ref="Spamhaus: Zero Reputation Domain list",
)
NO_RDAP = Rule(
    "registration.no-rdap",
    Severity.INFO,
    says="the registry of {domain} has no RDAP over HTTPS, so its registration is not checked",
    why="An expiry would go unnoticed.",
    fix="Check the registration of {domain} at its registrar.",
    ref="RFC 9224 sections 4, 7",
)
NO_EXPIRY = Rule(
    "registration.no-expiry",
    Severity.INFO,
    says="{server} does not say when the registration of {domain} expires",
    why="An expiry would go unnoticed. Some registries do not publish the date, or renew automatically.",
    fix="Check the registration of {domain} at its registrar.",
    ref="RFC 9083 section 4.5",
)
NOT_LISTED = Rule(
    "registration.not-listed",
    Severity.INFO,
    says="{server} does not know {domain}, although it exists in DNS",
    why="Another registry than that of the top-level domain has the name, such as one below it. The result stays "
    "unknown: an expiry would go unnoticed.",
    fix="Check the date of {domain} where it was registered, and switch this check off. In its configuration, set "
    "`registration` under `checks` to `enabled: false`.",
    ref="RFC 7480 section 5.3",
)

OF_AN_ANSWER = (EXPIRED, EXPIRING, AUTO_RENEWED, ON_HOLD, INACTIVE, REDEMPTION, PENDING_DELETE, YOUNG)
DAY = 86400.0
SOON, VERY_SOON = 30, 7  # days to expiry
NEW = 30  # days of age

_HOLDS = ("client hold", "server hold")
_DELETED = ("redemption period", "pending restore")  # restorable; "pending delete" stands beside them, too


# Hourly: the client asks a registry once a day anyway, and after a failure a day would be a long wait.


def _ending(found: RdapLookup, expires: float, now: float) -> Iterator[Fact]:
    """When it ends. A name that the registry has renewed by itself is in force, even if a date has passed."""
    registered, domain = found.registration, found.domain
    registrar = _registrar(registered)
    left, date = expires - now, day(expires)
    renewed = registered is not None and AUTO_RENEWED_STATUS in registered.statuses
    if renewed and min(expires, found.at_registrar or expires) <= now:
        yield AUTO_RENEWED(domain=domain, registrar=registrar)
    elif left <= 0:
        yield EXPIRED(domain=domain, date=date, registrar=registrar)
    elif left <= SOON * DAY:
        severity = Severity.CRITICAL if left <= VERY_SOON * DAY else None
        yield EXPIRING(domain=domain, days=int(left // DAY), date=date, registrar=registrar, severity=severity)


def _registrar(found: RdapRegistration | None) -> str:
    return (found and found.registrar) or "its name is not published"


def _status(domain: str, found: RdapRegistration, registrar: str) -> Iterator[Fact]:
    """Findings about the statuses. Of several that mean the same, only the clearest is reported."""
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
