"""Public keys as mail publishes them, decoded by `cryptography`; nothing else in exporter/mail imports it.

An RSA key stands in DER, either as SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7) or as the bare RSAPublicKey of
PKCS#1 (RFC 8017 appendix A.1.1); an Ed25519 key is its 32 raw octets (RFC 8032 section 5.1.5).
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key


@dataclass(frozen=True, slots=True)
class PublicKey:
    algorithm: str  # "rsa" or "ed25519"
    bits: int  # of the RSA modulus; 256 for Ed25519


def rsa(der: bytes) -> PublicKey:
    """Of any size, since judging it is not our business here. Raise ValueError for what is no RSA key."""
    try:
        key = load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm):  # its own words speak of OpenSSL, not of the key
        raise ValueError(f"{len(der)} octets that are no RSA key, or a part of one") from None
    if not isinstance(key, RSAPublicKey):
        raise ValueError("a key, but not an RSA key")  # noqa: TRY004  (it is the octets that are wrong)
    return PublicKey("rsa", key.key_size)


def ed25519(raw: bytes) -> PublicKey:
    """Raise ValueError unless these are 32 octets."""
    try:
        Ed25519PublicKey.from_public_bytes(raw)
    except ValueError:
        raise ValueError(f"{len(raw)} octets, where an Ed25519 key has 32") from None
    return PublicKey("ed25519", 256)
