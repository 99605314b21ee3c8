"""Public keys as mail publishes them, decoded by `cryptography`.

What stands in a DKIM record, once its base64 is undone, depends on the type of the key:

    rsa      a modulus and an exponent, packed in DER. RFC 6376 section 3.6.1 asks for the bare RSAPublicKey of PKCS#1
             (RFC 8017 appendix A.1.1); what most software writes, and the RFC's own example in appendix C has, is the
             SubjectPublicKeyInfo around it, which names the algorithm too (RFC 5280 section 4.1.2.7). Both are read.
    ed25519  the 32 octets of the key and nothing around them (RFC 8463 section 4, RFC 8032 section 5.1.5)

The strength of an RSA key is the length of its modulus in bits; an Ed25519 key has one length only. A key cut short
on its way into DNS is the commonest fault here: DER says at its beginning how long it is, so the cut shows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.late import Late

if TYPE_CHECKING:
    from cryptography import exceptions
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519 as eddsa
    from cryptography.hazmat.primitives.asymmetric import rsa as rsa_keys
else:
    exceptions = Late("cryptography.exceptions")
    serialization = Late("cryptography.hazmat.primitives.serialization")
    eddsa = Late("cryptography.hazmat.primitives.asymmetric.ed25519")
    rsa_keys = Late("cryptography.hazmat.primitives.asymmetric.rsa")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """`sha256` is the hexadecimal digest of the key as SubjectPublicKeyInfo: the same however it is published."""

    algorithm: str  # "rsa" or "ed25519"
    bits: int  # of the RSA modulus; 256 for Ed25519
    sha256: str

    @property
    def title(self) -> str:
        """The key for a person, on one line: another key never has the same."""
        return f"{self.algorithm}, {self.bits} bits, SHA-256 {self.sha256}"


def rsa(der: bytes) -> PublicKey:
    """Of any size, since judging it is not our business here. Raise ValueError for what is no RSA key."""
    try:
        key = serialization.load_der_public_key(der)
    except (ValueError, exceptions.UnsupportedAlgorithm):  # its own words speak of OpenSSL, not of the key
        raise ValueError(f"{len(der)} bytes are not an RSA public key (cut off?)") from None
    if not isinstance(key, rsa_keys.RSAPublicKey):
        raise ValueError("it is a key of another type")  # noqa: TRY004  (it is the octets that are wrong)
    return PublicKey("rsa", key.key_size, _digest(key))


def ed25519(raw: bytes) -> PublicKey:
    """Raise ValueError unless these are 32 octets."""
    try:
        key = eddsa.Ed25519PublicKey.from_public_bytes(raw)
    except ValueError:
        raise ValueError(f"{len(raw)} bytes, but an Ed25519 key has 32") from None
    return PublicKey("ed25519", 256, _digest(key))


def _digest(key: rsa_keys.RSAPublicKey | eddsa.Ed25519PublicKey) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(serialization.Encoding.DER, form)).hexdigest()
