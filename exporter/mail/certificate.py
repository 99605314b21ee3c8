"""The certificate a mail server shows, and whom it convinces (RFC 5280, RFC 9525).

A certificate binds a key to names for a time, and somebody signs it. Four questions follow. Is it valid now
(RFC 5280 section 4.1.2.5)? Is the host's name among its subjectAltName entries? The commonName does not count (RFC 9525
section 2), and a `*` stands for exactly one label, the leftmost, and for all of it (section 6.3; RFC 6125 section
6.4.3 before it). Is the key strong enough? And does a chain of signatures lead from it, by way of the
intermediate certificates that the server has to send along (RFC 8446 section 4.4.2), to a root that is
trusted here (RFC 5280 section 6)?

The questions are answered apart, so that one fault is not reported as another: a chain is judged as of a moment at
which its leaf was valid, and without regard to names. What this machine cannot judge (an algorithm that the library
does not verify, no root certificates at all) is None, neither good nor bad.

Mail servers deliver to each other without looking at any of this, unless MTA-STS or DANE says otherwise (RFC 7435,
RFC 8461, RFC 7672). Programs that submit mail do look (RFC 8314 section 3).
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

LEAST_RSA_BITS = 2048  # RFC 9325 section 4.5
LEAST_EC_BITS = 224  # the same: about as strong

_BROKEN_HASHES = frozenset({"md5", "sha1"})
_FOR_SERVERS = frozenset({ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})


class CertificateSyntaxError(ValueError):
    """These octets cannot be read as a certificate."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """The leaf. Times are unix seconds; `weak` says what is too weak, or is empty."""

    not_before: float
    not_after: float
    names: tuple[str, ...]  # the DNS names of subjectAltName, lower case
    subject: str
    issuer: str
    self_signed: bool
    key: str  # "RSA 2048", "EC 256", or what it is
    weak: str
    sha256: str  # of its DER, in hexadecimal

    def matches(self, host: str) -> bool:
        """RFC 9525 section 6.3, for a host name in lower case without trailing dot."""
        _, _, parent = host.partition(".")
        return host in self.names or (bool(parent) and f"*.{parent}" in self.names)


@dataclass(frozen=True, slots=True)
class Shown:
    """What a server showed: the leaf, how many certificates came along, and whether the roots trust it."""

    leaf: Certificate
    length: int
    trusted: bool | None


class Roots:
    """Root certificates that are believed, from PEM texts.

    Raise CertificateSyntaxError for one of `own` that cannot be read; of `found`, such are left out.
    """

    def __init__(self, own: Iterable[bytes] = (), found: Iterable[bytes] = ()) -> None:
        texts = [*map(_pem, own), *map(_pem_or_nothing, found)]
        unique = {root.public_bytes(Encoding.DER): root for roots in texts for root in roots}
        self._store = verification.Store(list(unique.values())) if unique else None

    def examine(self, chain: tuple[bytes, ...], now: float) -> Shown:
        """Read and judge what a server sent, the leaf first, at a time. Raise CertificateSyntaxError."""
        if not chain:
            raise CertificateSyntaxError("no certificate at all")
        with reading():
            certificates = [x509.load_der_x509_certificate(der) for der in chain]
            leaf = read(certificates[0], chain[0])
            at = min(max(now, leaf.not_before), leaf.not_after)
            return Shown(leaf, len(chain), self._trusts(certificates, at))

    def _trusts(self, chain: list[x509.Certificate], at: float) -> bool | None:
        if self._store is None:
            return None
        builder = verification.PolicyBuilder().store(self._store).time(datetime.fromtimestamp(at, UTC))
        # The verifier for clients is the one that has no opinion on names; the policies below make it one of servers.
        verifier = builder.extension_policies(ca_policy=_AUTHORITY, ee_policy=_SERVER).build_client_verifier()
        try:
            verifier.verify(chain[0], chain[1:])
        except verification.VerificationError as refused:
            return None if "Forbidden" in str(refused) else False  # an algorithm it will not judge
        return True


def _must_be_authority(_: verification.Policy, __: x509.Certificate, found: x509.BasicConstraints) -> None:
    if not found.ca:
        raise ValueError("may not sign certificates")


def _must_sign(_: verification.Policy, __: x509.Certificate, found: x509.KeyUsage | None) -> None:
    if found is not None and not found.key_cert_sign:
        raise ValueError("may not sign certificates")


def _must_serve(_: verification.Policy, __: x509.Certificate, found: x509.ExtendedKeyUsage | None) -> None:
    if found is not None and not _FOR_SERVERS & set(found):
        raise ValueError("is not for servers")


# What OpenSSL asks of a chain, and no more: the web's rules, which are the library's own, would call the private CA
# of many a mail server untrusted for an extension that no mail program misses.
_EITHER = verification.Criticality.AGNOSTIC
_AUTHORITY = (
    verification.ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, _EITHER, _must_be_authority)
    .may_be_present(x509.KeyUsage, _EITHER, _must_sign)
)
_SERVER = verification.ExtensionPolicy.permit_all().may_be_present(x509.ExtendedKeyUsage, _EITHER, _must_serve)


@contextmanager
def reading() -> Iterator[None]:
    """Raise CertificateSyntaxError in place of all that the library raises, which reads lazily and documents little."""
    with warnings.catch_warnings():  # about serial numbers and the like, which is not what is judged here
        warnings.simplefilter("ignore")
        try:
            yield
        except Exception as error:  # noqa: BLE001  (see above)
            raise CertificateSyntaxError(f"a certificate that cannot be read: {error}") from None


def _pem(text: bytes) -> list[x509.Certificate]:
    with reading():
        return x509.load_pem_x509_certificates(text)


def _pem_or_nothing(text: bytes) -> list[x509.Certificate]:
    try:
        return _pem(text)
    except CertificateSyntaxError:
        return []


def read(certificate: x509.Certificate, der: bytes) -> Certificate:
    """Its facts. Only `reading`."""
    key, weak = _key(certificate)
    return Certificate(
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
        names=_names(certificate),
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        self_signed=_self_signed(certificate),
        key=key,
        weak=weak,
        sha256=hashlib.sha256(der).hexdigest(),
    )


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(name.lower().removesuffix(".") for name in extension.value.get_values_for_type(x509.DNSName))


def _key(certificate: x509.Certificate) -> tuple[str, str]:
    """What key it is, and what is too weak about it or about the signature."""
    signed_with = certificate.signature_hash_algorithm
    weak = [f"a signature with {signed_with.name}"] if signed_with and signed_with.name in _BROKEN_HASHES else []
    key = certificate.public_key()
    if isinstance(key, RSAPublicKey | EllipticCurvePublicKey):
        kind, least = ("RSA", LEAST_RSA_BITS) if isinstance(key, RSAPublicKey) else ("EC", LEAST_EC_BITS)
        name = f"{kind} {key.key_size}"
        weak += [f"a key of {key.key_size} bits ({kind})"] if key.key_size < least else []
    else:
        name = type(key).__name__.strip("_").removesuffix("PublicKey")
    return name, " and ".join(weak)


def _self_signed(certificate: x509.Certificate) -> bool:
    if certificate.issuer != certificate.subject:
        return False
    try:
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
