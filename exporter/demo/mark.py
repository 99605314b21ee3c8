"""Good and bad mark certificates, to which BIMI records lead, from certificate authorities made on the spot."""

from __future__ import annotations

import base64
import gzip
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from exporter.demo.website import Page

LOGO = (
    '<svg xmlns="http://www.w3.org/2000/svg" version="1.2" baseProfile="tiny-ps" viewBox="0 0 96 96">'
    '<title>Example</title><rect width="96" height="96" fill="#205080"/></svg>'
)
PEM = "application/pem-certificate-chain"

_FOR_MARKS = x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.3.6.1.5.5.7.3.31")])
_FOR_SERVERS = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH])
_LOGOTYPE = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.12")
_SHA_256 = bytes.fromhex("0609608648016503040201")  # the object identifier in DER
_SEQUENCE, _OCTETS, _IA5_STRING, _DIRECT, _SUBJECT = 0x30, 0x04, 0x16, 0xA0, 0xA2


@dataclass(frozen=True)
class Mark:
    """What is to be had at one https URL. Days are counted from now."""

    url: str
    name: str  # in subjectAltName
    begins: float = -100.0  # days
    expires: float = 300.0  # days
    logo: str = LOGO
    for_marks: bool = True  # in its extended key usage
    logotype: bool = True
    chain: bool = True  # with the certificate of its issuer
    last: bool = False  # that one stands first


def page(mark: Mark, now: float) -> Page:
    """`now` is unix seconds."""
    at = datetime.fromtimestamp(now, UTC)
    root_key, issuer_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    root, issuer, subject = map(_name, ("demo mark root", "demo mark authority", mark.name))
    issued = (
        _builder(subject, issuer, key, at + timedelta(days=mark.begins), at + timedelta(days=mark.expires))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(mark.name)]), critical=False)
        .add_extension(_FOR_MARKS if mark.for_marks else _FOR_SERVERS, critical=False)
    )
    if mark.logotype:
        extension = x509.UnrecognizedExtension(_LOGOTYPE, _logotype(mark.logo.encode()))
        issued = issued.add_extension(extension, critical=False)
    year = timedelta(days=3650)
    authority = _builder(issuer, root, issuer_key, at - year, at + year)
    authority = authority.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    chain = [
        issued.sign(issuer_key, hashes.SHA256()),
        *([authority.add_extension(_FOR_MARKS, critical=False).sign(root_key, hashes.SHA256())] if mark.chain else []),
    ]
    if mark.last:
        chain.reverse()
    return Page(mark.url, type=PEM, body="".join(it.public_bytes(Encoding.PEM).decode() for it in chain))


def _logotype(svg: bytes) -> bytes:
    """The extension of RFC 9399 section 4.1 with the logo of its subject, in DER."""
    packed = gzip.compress(svg, mtime=0)
    uri = b"data:image/svg+xml;base64," + base64.b64encode(packed)
    digest = _der(_SEQUENCE, _der(_SEQUENCE, _SHA_256), _der(_OCTETS, hashlib.sha256(packed).digest()))
    details = _der(
        _SEQUENCE,
        _der(_IA5_STRING, b"image/svg+xml+gzip"),
        _der(_SEQUENCE, digest),
        _der(_SEQUENCE, _der(_IA5_STRING, uri)),
    )
    images = _der(_SEQUENCE, _der(_SEQUENCE, details))
    return _der(_SEQUENCE, _der(_SUBJECT, _der(_DIRECT, images)))


def _der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(octets))) + octets + content


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )
