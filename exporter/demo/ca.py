"""A certificate authority, made at the start, for the mail servers of the demo: good and bad certificates.

A key is derived from the name of its owner, so that a zone file can contain its digest (TLSA).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_RSA_SHA_256, _RSA_SHA_1 = (
    bytes.fromhex("2a864886f70d01010b"),
    bytes.fromhex("2a864886f70d010105"),
)  # RFC 4055 section 5
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
    """`pem` is its root, for those who trust it. `now` is unix seconds.

    An old one has an RSA key, and can sign with SHA-1 therefore: see `issuer`.
    """

    def __init__(self, now: float, name: str = "demo authority", *, old: bool = False) -> None:
        self._name = _name(name)
        self._key: Key = rsa.generate_private_key(65537, 2048) if old else _key(name)
        self._old = old
        at = datetime.fromtimestamp(now, UTC)
        builder = _builder(self._name, self._name, self._key, at - _TEN_YEARS, at + _TEN_YEARS)
        root = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).add_extension(
            _SIGNS, critical=True
        )
        self.pem = root.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def issue(
        self,
        name: str,
        *,
        not_before: float,
        not_after: float,
        self_signed: bool = False,
        weak: bool = False,
        with_rsa: bool = False,
        for_clients: bool = False,
    ) -> Identity:
        """For a host name or a wildcard. A weak one has an RSA key of 1024 bits."""
        key: Key = _key(name)
        if weak or with_rsa:
            key = rsa.generate_private_key(65537, 1024 if weak else 2048)
        purpose = ExtendedKeyUsageOID.CLIENT_AUTH if for_clients else ExtendedKeyUsageOID.SERVER_AUTH
        subject = _name(name)
        times = datetime.fromtimestamp(not_before, UTC), datetime.fromtimestamp(not_after, UTC)
        builder = (
            _builder(subject, subject if self_signed else self._name, key, *times)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        )
        leaf = builder.sign(key if self_signed else self._key, hashes.SHA256())
        return Identity(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), leaf.public_bytes(Encoding.PEM)
        )

    def issuer(
        self, now: float, name: str = "demo issuer", *, days: float = 1000, signs: bool = True, only_for: str = ""
    ) -> Issuer:
        """One that it has signed, good for so many days. `only_for`: the domain that its name constraints permit."""
        key, at = _key(name), datetime.fromtimestamp(now, UTC)
        builder = _builder(_name(name), self._name, key, at - _TEN_YEARS, at + timedelta(days=days))
        builder = builder.add_extension(x509.BasicConstraints(ca=signs, path_length=None), critical=True)
        if only_for:
            constraints = x509.NameConstraints([x509.DNSName(only_for)], None)
            builder = builder.add_extension(constraints, critical=True)
        made = builder.sign(self._key, hashes.SHA256())
        if self._old and isinstance(self._key, rsa.RSAPrivateKey):
            made = _signed_with_sha1(made, self._key)
        return Issuer(now, name, made.public_bytes(Encoding.PEM))


class Issuer(Authority):
    """Signed by an authority; its certificate is sent along."""

    def __init__(self, now: float, name: str, own: bytes) -> None:
        super().__init__(now, name)
        self._own = own

    def issue(self, name: str, **given: Any) -> Identity:
        issued = super().issue(name, **given)
        return Identity(issued.key, issued.chain + self._own)


def _signed_with_sha1(certificate: x509.Certificate, key: rsa.RSAPrivateKey) -> x509.Certificate:
    """The library signs no certificate with SHA-1 any more, so the name of the algorithm is changed in its octets."""
    body = certificate.tbs_certificate_bytes.replace(_RSA_SHA_256, _RSA_SHA_1)
    der = certificate.public_bytes(Encoding.DER)
    signature = key.sign(body, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303  (weak on demand)
    der = der.replace(certificate.tbs_certificate_bytes, body).replace(certificate.signature, signature)
    return x509.load_der_x509_certificate(der.replace(_RSA_SHA_256, _RSA_SHA_1))


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
