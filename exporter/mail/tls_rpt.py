"""TLS-RPT (RFC 8460): where senders report how TLS with a domain's mail hosts went.

A domain that demands TLS, by MTA-STS (RFC 8461) or DANE (RFC 7672), loses mail when its certificates or records are
wrong, and learns of it last: the mail waits at the senders. So it may ask them, in a TXT record at
`_smtp._tls.<domain>` (section 3), for a report a day:

    v=TLSRPTv1; rua=mailto:tls@example.com,https://reports.example.com/tls

`rua` is a list of URIs, mailto: or https:, and may stand there more than once. "," and "!" inside of a URI have to be
written as %2C and %21. A sender may be content with one of them, so each should work. Whoever is named there need not
agree, unlike with DMARC: reports are signed by their senders instead, and few.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from exporter.mail import names
from exporter.mail.policy_txt import WHITE_SPACE, PolicyTxtKind, PolicyTxtSyntaxError, fields

RECORD = PolicyTxtKind("_smtp._tls", "TLSRPTv1")
MOST_DESTINATIONS = 5  # of a text that is none: it is for a person to read

_ANY_URI = re.compile(r"(?:mailto:|https://)[^\s;,]+", re.ASCII | re.IGNORECASE)
_MAILTO = re.compile(r"mailto:[^@?\s]+@([^@?\s]+)(?:\?\S*)?", re.ASCII | re.IGNORECASE)
_HTTPS = re.compile(r"https://([^/?#:@\s]+)(?::[0-9]{1,5})?(?:[/?#]\S*)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reporting:
    """Where reports go, and what stands among that and is nothing a report could go to."""

    destinations: tuple[str, ...]
    bad: tuple[str, ...]


def parse(text: bytes) -> Reporting:
    """The text of a record. Raise AnnouncementSyntaxError, and nothing else."""
    lists = [value for name, value in fields(text, RECORD, ("rua",)) if name == "rua"]
    if not lists:
        raise PolicyTxtSyntaxError("it has no rua=")
    uris = dict.fromkeys(uri.strip(WHITE_SPACE) for value in lists for uri in value.split(","))
    good = {uri for uri in uris if _is_destination(uri)}
    return Reporting(tuple(uri for uri in uris if uri in good), tuple(uri for uri in uris if uri not in good))


def destinations(text: bytes) -> tuple[str, ...]:
    """Where somebody wants reports sent, whatever else is wrong with the text: what would stand in a good one."""
    found = (match.rstrip("\"'") for match in _ANY_URI.findall(text.decode("latin-1")))
    return tuple(uri for uri in dict.fromkeys(found) if _is_destination(uri))[:MOST_DESTINATIONS]


def _is_destination(uri: str) -> bool:
    if "!" in uri or not (uri.isascii() and uri.isprintable()):
        return False
    found = _MAILTO.fullmatch(uri) or _HTTPS.fullmatch(uri)
    return found is not None and names.is_hostname(found[1])
