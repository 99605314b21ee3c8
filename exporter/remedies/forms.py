r"""Changes of DNS as people paste them: lines of a zone file, a change batch of Route 53, a batch of Cloudflare's API.

A TXT record is a row of strings of at most 255 octets each. In a zone file each stands in quotes; in it `\"` is a
quote, `\\` a backslash and `\DDD` any other octet, in decimal digits (RFC 1035 sections 3.3.14 and 5.1). Route 53 has
octal digits in their place (Amazon Route 53 Developer Guide, "Supported DNS record types", TXT). Cloudflare takes the
strings in quotes, too (Cloudflare DNS documentation, "DNS record types", TXT; "Batch record changes").

Route 53 knows only all records of one name and type. So what stays has to be named beside what comes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from exporter.remedies import KEY, KEY_REST, OTHERS, RECORD_ID, RECORD_TTL, SPOKEN, DnsChange, blanks_in

LONGEST_STRING = 255  # octets (RFC 1035 section 3.3)
_ROOMY = re.compile(f"({KEY}|{KEY_REST})")  # blanks that need a string for themselves, as much comes into them


@dataclass(frozen=True, slots=True)
class RecordForm:
    """The same changes as one kind of DNS host takes them. `key` is for programs, `hint` says where it goes."""

    key: str
    name: str
    hint: str
    text: str

    @property
    def blanks(self) -> dict[str, str]:
        """What a person has to fill in, and what it means."""
        return blanks_in(self.text)


def forms(changes: Sequence[DnsChange]) -> tuple[RecordForm, ...]:
    """Nothing for no change."""
    if not changes:
        return ()
    return (
        RecordForm("zone_file", "Zone file", "BIND, NSD, Knot, PowerDNS", zone_file(changes)),
        RecordForm("route_53", "Route 53", "aws route53 change-resource-record-sets --change-batch", route_53(changes)),
        RecordForm("cloudflare", "Cloudflare", "POST /zones/ZONE_ID/dns_records/batch", cloudflare(changes)),
    )


def zone_file(changes: Iterable[DnsChange]) -> str:
    """Lines to add. What has to go stands before it as a comment."""
    return "\n".join(line for change in changes for line in zone_lines(change))


def zone_lines(change: DnsChange) -> list[str]:
    gone = [f"; remove: {_line(change, value)}" for value in change.remove]
    return [*gone, *(_line(change, value) for value in change.add)]


def _line(change: DnsChange, value: str) -> str:
    return f"{change.name}. {change.ttl} IN {change.type} {data(change.type, value)}"


def data(rdtype: str, value: str, *, octal: bool = False) -> str:
    """The value as a zone file has it."""
    if rdtype not in SPOKEN:
        return value
    strings = [string for part in _ROOMY.split(value) if part or not value for string in _strings(part)]
    return " ".join(f'"{"".join(_escaped(octet, octal=octal) for octet in string)}"' for string in strings)


def _strings(text: str) -> list[bytes]:
    octets = text.encode("utf-8", "surrogateescape")
    return [octets[start : start + LONGEST_STRING] for start in range(0, max(1, len(octets)), LONGEST_STRING)]


def _escaped(octet: int, *, octal: bool) -> str:
    char = chr(octet)
    if char in '"\\':
        return f"\\{char}"
    if 0x20 <= octet < 0x7F:
        return char
    return f"\\{octet:03o}" if octal else f"\\{octet:03d}"


def route_53(changes: Iterable[DnsChange]) -> str:
    """A change batch. A set that goes as a whole is deleted, for which its TTL must be right: a blank."""
    made = sorted(map(_resource_record_set, changes), key=lambda it: it["Action"] != "DELETE")  # before what it bars
    return json.dumps({"Changes": made}, indent=2)


def _resource_record_set(change: DnsChange) -> dict[str, object]:
    kept = [OTHERS] if change.keep is None else change.keep
    values = (*change.add, *kept) or change.remove
    return {
        "Action": "UPSERT" if (change.add or kept) else "DELETE",
        "ResourceRecordSet": {
            "Name": f"{change.name}.",
            "Type": change.type,
            "TTL": change.ttl if change.add or kept else RECORD_TTL,
            "ResourceRecords": [{"Value": data(change.type, value, octal=True)} for value in values],
        },
    }


def cloudflare(changes: Iterable[DnsChange]) -> str:
    """A batch. What has to go is known to Cloudflare by an id of its own: a blank that says of which record."""
    changes = list(changes)
    gone = [(change, value) for change in changes for value in change.remove]
    body: dict[str, object] = {}
    if gone:
        body["deletes"] = [{"id": f"{RECORD_ID} {it.name} {it.type} {data(it.type, value)}"} for it, value in gone]
    if posts := [_posted(change, value) for change in changes for value in change.add]:
        body["posts"] = posts
    return json.dumps(body, indent=2)


def _posted(change: DnsChange, value: str) -> dict[str, object]:
    row: dict[str, object] = {"type": change.type, "name": change.name, "ttl": change.ttl}
    match change.type:
        case "MX":
            preference, host = value.split(" ")
            return row | {"priority": int(preference), "content": host.removesuffix(".")}
        case "PTR" | "CNAME":
            return row | {"content": value.removesuffix(".")}
    return row | {"content": data(change.type, value)}
