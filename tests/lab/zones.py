"""Zones for the lab's name server, signed where a test wants DNSSEC, and signed wrongly where it wants trouble."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum

import dns.dnssec
import dns.dnssectypes
import dns.name
import dns.rdatatype
import dns.rdtypes.ANY.RRSIG
import dns.zone
from cryptography.hazmat.primitives.asymmetric import ec

APEX = "@ SOA ns hostmaster 1 3600 600 86400 30\n@ NS ns\nns A 127.0.0.1\n"


class Signing(Enum):
    NONE = "none"
    GOOD = "good"
    BOGUS = "bogus"  # signatures over the data are not the key's
    EXPIRED = "expired"  # five days ago: a validator forgives one


@dataclass(frozen=True)
class SignedZone:
    """A zone as it is served; `anchor` is its DS record, for a validator to trust."""

    origin: str
    text: str
    anchor: str | None


def zone(origin: str, records: str, signing: Signing = Signing.NONE, *, ttl: int = 60, apex: str = APEX) -> SignedZone:
    """The records below an apex of its own; names are relative to the origin."""
    name = dns.name.from_text(origin)
    parsed = dns.zone.from_text(f"$TTL {ttl}\n{apex}{records}", origin=name, relativize=False)
    anchor = None if signing is Signing.NONE else _sign(parsed, name, signing)
    return SignedZone(name.to_text(omit_final_dot=True), parsed.to_text(relativize=False), anchor)


def _sign(parsed: dns.zone.Zone, name: dns.name.Name, signing: Signing) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    dnskey = dns.dnssec.make_dnskey(key.public_key(), dns.dnssectypes.Algorithm.ECDSAP256SHA256, flags=257)
    now = datetime.now(UTC)
    with parsed.writer() as transaction:
        dns.dnssec.sign_zone(
            parsed,
            transaction,
            keys=[(key, dnskey)],
            add_dnskey=True,
            dnskey_ttl=60,
            inception=now - timedelta(days=30),
            expiration=now - timedelta(days=5) if signing is Signing.EXPIRED else now + timedelta(days=7),
        )
    if signing is Signing.BOGUS:
        _spoil(parsed)
    digest = dns.dnssec.make_ds(name, dnskey, dns.dnssectypes.DSDigest.SHA256)
    return f"{name.to_text()} IN DS {digest.to_text()}"


def _spoil(parsed: dns.zone.Zone) -> None:
    """Reverse every signature but the key's own, so that the fault is the data's."""
    for node in parsed.nodes.values():
        for rdataset in node.rdatasets:
            if rdataset.rdtype != dns.rdatatype.RRSIG or rdataset.covers == dns.rdatatype.DNSKEY:
                continue
            for rrsig in list(rdataset):
                assert isinstance(rrsig, dns.rdtypes.ANY.RRSIG.RRSIG)
                rdataset.discard(rrsig)
                rdataset.add(rrsig.replace(signature=rrsig.signature[::-1]))
