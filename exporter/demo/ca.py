"""A certificate authority, made at the start, for the mail servers of the demo: good and bad certificates.

A key is derived from the name of its owner, so that a zone file can contain its digest (TLSA).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_TEN_YEARS = timedelta(days=3650)
_SIGNS = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True)
class Identity:
    """A private key and the certificates that go with it, the leaf first: what a server loads, in PEM."""

    key: bytes
    chain: bytes


class Authority:
    """`pem` is its root, for those who trust it. `now` is unix seconds."""

    def __init__(self, now: float, name: str = "demo authority") -> None:
        self._name = _name(name)
        self._key = _key(name)
        at = datetime.fromtimestamp(now, UTC)
        builder = _builder(self._name, self._name, self._key, at - _TEN_YEARS, at + _TEN_YEARS)
        root = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).add_extension(
            _SIGNS, critical=True
        )
        self.pem = root.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def issue(
        self, name: str, *, not_before: float, not_after: float, self_signed: bool = False, weak: bool = False
    ) -> Identity:
        """For a host name or a wildcard. A weak one has an RSA key of 1024 bits."""
        key: Key = rsa.generate_private_key(65537, 1024) if weak else _key(name)  # noqa: S505  (weak on demand)
        subject = _name(name)
        times = datetime.fromtimestamp(not_before, UTC), datetime.fromtimestamp(not_after, UTC)
        builder = (
            _builder(subject, subject if self_signed else self._name, key, *times)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        )
        leaf = builder.sign(key if self_signed else self._key, hashes.SHA256())
        return Identity(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), leaf.public_bytes(Encoding.PEM)
        )


def _key(owner: str) -> ec.EllipticCurvePrivateKey:
    digest = hashlib.sha256(f"no secret: {owner}".encode()).digest()
    return ec.derive_private_key(int.from_bytes(digest) >> 1, ec.SECP256R1())  # below the order of the curve


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Key, not_before: datetime, not_after: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )
