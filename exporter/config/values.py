"""Values in a configuration file: each function turns text into a value, or raises ValueError with a sentence.

If the error has no text, the caller writes the sentence, because it knows what was expected.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NamedTuple, TypeAlias

from exporter import receivers
from exporter.config.problems import did_you_mean, quoted
from exporter.facts import IP, Severity
from exporter.mail import names
from exporter.mail.dnsbl.blocklist import Lists
from exporter.text import printable

LONGEST_HELO = 512  # characters; longer than any legal one, since wrong ones must be loadable to be judged
LONGEST_LABEL = 128  # characters of a user's label value
LONGEST_REASON = 300
SYSTEM = "system"
DNS_PORT = 53
CONFIGURED = "configured"
THEIRS = "theirs"  # as the envelope domain of a sender: one of the provider's own

A_NAME = "a name of up to 63 letters, digits, `.`, `_` and `-`"
A_LIST_NAME = "a name of up to 63 lower-case letters, digits, `.` and `-`"
A_LABEL_VALUE = f"1 to {LONGEST_LABEL} printable characters"
A_REASON = f"a reason of 1 to {LONGEST_REASON} characters"

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
LIST_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?", re.ASCII)
_LABEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}", re.ASCII)
_DURATION = re.compile(r"([1-9][0-9]{0,6})([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_PERCENT = re.compile(r"(100|[1-9]?[0-9])%", re.ASCII)
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)

Network: TypeAlias = IPv4Network | IPv6Network


class Nameserver(NamedTuple):
    """A nameserver that we ask. The host `system` means those of the machine; its port is not used."""

    host: str
    port: int

    @property
    def text(self) -> str:
        """As people write it, without the port that is usual."""
        if self.port == DNS_PORT:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def domain(text: str, *, underscores: bool = False) -> str:
    if _is_ip(text):
        raise ValueError(f"{quoted(text)} is an address; a domain name is wanted here")
    try:
        return names.canonical(text, underscores=underscores)
    except ValueError as error:
        raise ValueError(f"{quoted(text)} {printable(error, 120)}") from None


def record_domain(text: str) -> str:
    """The name of a record, not of a host. It may have underscores, like _spf.google.com."""
    return domain(text, underscores=True)


def selector(text: str) -> str:
    """A selector alone. The name of its key, as in s1._domainkey.example.com, also contains the domain: refused."""
    try:
        name = names.canonical(text, underscores=True)
    except ValueError as error:
        raise ValueError(f"{quoted(text)} {printable(error, 120)}") from None
    alone, marker, domain_of_key = f".{name}.".partition("._domainkey.")
    if marker:
        meant = [f"selector: {alone[1:] or 'SELECTOR'}", *([f"domain: {domain_of_key[:-1]}"] if domain_of_key else [])]
        raise ValueError(f"{quoted(text)} is the name of a key; write {', '.join(meant)}")
    return name


def _is_ip(text: str) -> bool:
    if ":" not in text and not text[-1:].isdigit():  # most are domains, and an exception for each takes long
        return False
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def ip(text: str) -> IP:
    if "/" in text:
        raise ValueError(f"expected one IP address, got the network {quoted(text)}; list its addresses")
    if "%" in text:
        raise ValueError
    try:
        found = ip_address(text)
    except ValueError:
        raise ValueError from None
    if found.version == 6 and found.ipv4_mapped:
        raise ValueError(f"{quoted(text)} is an IPv4 address written as IPv6; write {found.ipv4_mapped}")
    return found


def nameserver(text: str) -> Nameserver:
    if text == SYSTEM:
        return Nameserver(SYSTEM, DNS_PORT)
    host, port = text, str(DNS_PORT)
    if bracketed := re.fullmatch(r"\[([^\]]*)\](?::([0-9]{1,5}))?", text, re.ASCII):
        host, port = bracketed[1], bracketed[2] or port
    elif plain := re.fullmatch(r"([^:]*):([0-9]{1,5})", text, re.ASCII):
        host, port = plain[1], plain[2]
    if not _is_ip(host) or not 0 < int(port) < 65536:
        raise ValueError
    return Nameserver(str(ip_address(host)), int(port))


def duration(low: timedelta, high: timedelta) -> Callable[[str], timedelta]:
    def parse(text: str) -> timedelta:
        if not (found := _DURATION.fullmatch(text)):
            raise ValueError
        length = timedelta(**{_UNITS[found[2]]: int(found[1])})
        if not low <= length <= high:
            raise ValueError(f"expected a duration from {written(low)} to {written(high)}, got {quoted(text)}")
        return length

    return parse


def written(length: timedelta) -> str:
    seconds = int(length.total_seconds())
    unit, size = next((u, s) for u, s in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)) if seconds % s == 0)
    return f"{seconds // size}{unit}"


def percent(text: str) -> int:
    """`20%` as 20."""
    if not (found := _PERCENT.fullmatch(text)):
        raise ValueError
    return int(found[1])


def name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError
    return text


def list_name(text: str) -> str:
    if not LIST_NAME.fullmatch(text):
        raise ValueError
    return text


def helo(text: str) -> str:
    if len(text) > LONGEST_HELO:
        raise ValueError(f"is longer than {LONGEST_HELO} characters; no machine uses that")
    return text


def own_helo(text: str) -> str:
    """The exporter's own name. It must be valid, because the exporter must not have the faults that it reports."""
    own = text.lower()
    if not names.is_hostname(own) or "." not in own or own.rpartition(".")[2].isdigit():
        raise ValueError(
            f"{quoted(text)} is not a fully qualified host name. Set a name with an address record of the exporter's "
            "machine, such as probe.example.net, without a trailing dot"
        )
    return own


def label_value(text: str) -> str:
    if not text.strip() or len(text) > LONGEST_LABEL or not text.isprintable():
        raise ValueError
    return text


def label_name(text: str) -> str:
    if not _LABEL_NAME.fullmatch(text):
        raise ValueError
    return text


def reason(text: str) -> str:
    if not text.strip() or len(text) > LONGEST_REASON:
        raise ValueError
    return text.strip()


def until(text: str) -> float:
    if not DATE.fullmatch(text):
        raise ValueError
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"there is no day {text}") from None
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() + timedelta(days=1).total_seconds()


def severity(text: str) -> Severity:
    try:
        return Severity(text)
    except ValueError:
        raise ValueError from None


def lists(text: str) -> Lists:
    try:
        return Lists(text)
    except ValueError:
        raise ValueError from None


def zone(text: str) -> str:
    try:
        return names.canonical(text, underscores=True)
    except ValueError:  # its words would show the zone
        raise ValueError from None


def allowed(text: str) -> Network | str:
    if "/" in text or _is_ip(text):
        try:
            return ip_network(text)
        except ValueError as error:
            raise ValueError(printable(error, 120)) from None
    return text if text == CONFIGURED else domain_with_names(text)


def domain_with_names(text: str) -> str:
    """A domain with all names below it. It may also be written as *.example.com."""
    return domain(text.removeprefix("*.").removeprefix("."))


def file_or_url(text: str) -> str:
    if "://" in text and not text.lower().startswith("https://"):
        raise ValueError(f"{quoted(text)} is neither a file nor an https URL; anything else could be forged")
    return path(text)


def receiver(text: str) -> str:
    if text not in receivers.shipped():
        hint = did_you_mean(text, receivers.shipped())
        raise ValueError(f"{quoted(text)} is not a receiver with known requirements; {hint}")
    return text


def path(text: str) -> str:
    if not text.strip():
        raise ValueError
    return text
