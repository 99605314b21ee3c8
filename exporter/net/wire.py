"""Between DNS wire format and our own words (exporter/mail/dns.py), by dnspython's parser."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import dns.name
import dns.rdatatype

from exporter.mail.dns import MX, SOA, TXT, Record


def name_text(name: dns.name.Name) -> str:
    """Presentation format, lower case, without the trailing dot; the root is "."."""
    return name.to_text(omit_final_dot=True).lower()


def record(rdata: Any) -> Record:
    """One rdata of dnspython's (whose attributes depend on its type) as one of our records."""
    match rdata.rdtype:
        case dns.rdatatype.A | dns.rdatatype.AAAA:
            return ip_address(rdata.address)
        case dns.rdatatype.MX:
            return MX(rdata.preference, name_text(rdata.exchange))
        case dns.rdatatype.TXT:
            return TXT(tuple(rdata.strings))
        case dns.rdatatype.SOA:
            return SOA(name_text(rdata.mname), name_text(rdata.rname), rdata.serial)
        case dns.rdatatype.PTR | dns.rdatatype.NS | dns.rdatatype.CNAME:
            return name_text(rdata.target)
        case _:
            return str(rdata.to_text())
