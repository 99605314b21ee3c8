"""The mark certificate of BIMI: who says that a logo may be used (draft-fetch-validation-vmc-wchuang).

Anybody can publish a logo; that it is one's own, an authority has to certify. A Verified Mark Certificate (VMC) is for
a registered trade mark, a Common Mark Certificate (CMC) for a logo that has been in use for a while. Both are X.509
certificates (RFC 5280) with peculiarities (section 4):

    extended key usage   1.3.6.1.5.5.7.3.31: this is a mark certificate, and for nothing else
    logotype             1.3.6.1.5.5.7.1.12 (RFC 9399): the logo itself, as a data: URI of a compressed SVG
    subjectAltName       the domains for which it counts: example.com, for any selector, or default._bimi.example.com.
                         The domain of the mail or its organisational domain has to be there

It is published as PEM at the URL of the BIMI record's a= tag: the mark certificate first, then whoever issued it, and
so on; the root may be left out (section 3.3). The logo at l= ought to be the one in the certificate, since receivers
may compare them (section 5.3).

Which authorities are believed is not looked at here, nor whether one has revoked what it signed: receivers have lists
of their own for marks, and no system brings them along.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from exporter.late import Late
from exporter.mail import names
from exporter.mail.bimi import logo as bimi_logo
from exporter.mail.bimi.logo import LogoSyntaxError, uncompressed
from exporter.mail.bimi.record import SELECTOR
from exporter.mail.certificate import Certificate, CertificateSyntaxError, read, reading

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
else:
    x509 = Late("cryptography.x509")
    serialization = Late("cryptography.hazmat.primitives.serialization")

LARGEST = 64 * 1024  # octets of PEM that we are willing to read

_FOR_MARKS = "1.3.6.1.5.5.7.3.31"
_LOGOTYPE = "1.3.6.1.5.5.7.1.12"
_CONSTRUCTED, _IA5_STRING = 0x20, 0x16  # tags of DER
_MOST_LOGOS = 4  # of one certificate, which has one
_BEGINNING = b"-----BEGIN CERTIFICATE-----"
_DATA_URI = b"data:image/svg+xml"


@dataclass(frozen=True, slots=True)
class MarkCertificate:
    """A mark certificate and what came with it. `logo` is the SVG inside, None where it cannot be got at."""

    leaf: Certificate
    for_marks: bool
    has_logo: bool
    logo: bytes | None
    first: bool  # no other certificate stands before it
    issuer_sent: bool

    def covers(self, domain: str) -> bool:
        """May a BIMI record of the domain, at the default selector, lead to it?"""
        organisational = names.registrable(domain)
        wanted = (domain, organisational)
        return any(name in self.leaf.names for it in wanted for name in (it, f"{SELECTOR}._bimi.{it}"))

    def shows(self, logo: bytes) -> bool | None:
        """Is this the logo that it certifies? Line ends mean nothing. None: it is none, or that cannot be told."""
        if self.logo is None or isinstance(bimi_logo.examine(logo), LogoSyntaxError):
            return None
        return _plain(uncompressed(logo)) == _plain(self.logo)


class NoCertificateError(CertificateSyntaxError):
    """There is none in PEM, beyond any doubt; what else cannot be read here, others may be able to."""


def parse(text: bytes) -> MarkCertificate:
    """Raise CertificateSyntaxError, and nothing else, for what cannot be read."""
    if len(text) > LARGEST:
        raise CertificateSyntaxError(f"{len(text)} bytes are more than a chain of certificates can need")
    if _BEGINNING not in text:
        raise NoCertificateError("it contains no certificate in PEM")
    with reading():
        chain = x509.load_pem_x509_certificates(text)
        place = next((place for place, it in enumerate(chain) if not _is_authority(it)), 0)
        mark = chain[place]
        logotype = _extension(mark, x509.ObjectIdentifier(_LOGOTYPE))
        return MarkCertificate(
            leaf=read(mark, mark.public_bytes(serialization.Encoding.DER)),
            for_marks=_is_for_marks(mark),
            has_logo=logotype is not None,
            logo=next(iter(logos(logotype)), None) if logotype else None,
            first=place == 0,
            issuer_sent=any(it.subject == mark.issuer for it in chain if it is not mark),
        )


def examine(text: bytes) -> MarkCertificate | CertificateSyntaxError:
    """The same, with the error as a value."""
    try:
        return parse(text)
    except CertificateSyntaxError as error:
        return error


def _extension(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> bytes | None:
    try:
        found = certificate.extensions.get_extension_for_oid(oid).value
    except x509.ExtensionNotFound:
        return None
    return found.public_bytes()


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _is_for_marks(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return x509.ObjectIdentifier(_FOR_MARKS) in usage


def logos(logotype: bytes) -> list[bytes]:
    """The SVGs of an extension, uncompressed; what is none is passed over."""
    found = []
    for uri in islice((it for it in _strings(logotype) if it.startswith(_DATA_URI)), _MOST_LOGOS):
        kind, _, data = uri.partition(b",")
        try:
            found.append(uncompressed(base64.b64decode(data) if kind.endswith(b";base64") else b""))
        except (binascii.Error, LogoSyntaxError):
            continue
    return found


def _strings(der: bytes) -> Iterator[bytes]:
    """All strings of type IA5String, wherever they stand in what is nested there."""
    at = 0
    while at + 2 <= len(der):
        tag, length = der[at], der[at + 1]
        at += 2
        if length & 0x80:
            more = length & 0x7F
            length = int.from_bytes(der[at : at + more])
            at += more
        if tag == _IA5_STRING:
            yield der[at : at + length]
        if not tag & _CONSTRUCTED:  # else go on inside
            at += length


def _plain(svg: bytes) -> bytes:
    return svg.replace(b"\r\n", b"\n").strip()
