"""The certificate a mail server shows, and whom it convinces (RFC 5280, RFC 9525).

A certificate binds a key to names for a time, and somebody signs it. Four questions follow. Is it valid now
(RFC 5280 section 4.1.2.5)? Is the host's name among its subjectAltName entries? The commonName does not count (RFC 9525
section 2), and a `*` stands for exactly one label, the leftmost, and for all of it (section 6.3; RFC 6125 section
6.4.3 before it). Is the key strong enough? And does a chain of signatures lead from it, by way of the
intermediate certificates that the server has to send along (RFC 8446 section 4.4.2), to a root that is
trusted here (RFC 5280 section 6)?

A verifier says no to a chain, and little more. Who has to mend it needs to know which certificate is to blame, so the
ways to the roots are walked once more, by names and signatures alone. Has an issuer expired? Is it too weak, or no
authority (sections 4.2.1.3, 4.2.1.9)? May it not sign for this name (section 4.2.1.10)? Does the leaf not serve
(section 4.2.1.12)? If there are several ways, the one with the fewest flaws is reported. If no way leads to a root,
there is no flaw to report: an issuer was not sent, or it is not trusted here.

The questions are answered apart, so that one fault is not reported as another: a chain is judged as of a moment at
which its leaf was valid, and without regard to names. What this machine cannot judge (an algorithm that the library
does not verify, no root certificates at all) is None, neither good nor bad.

Mail servers deliver to each other without looking at any of this, unless MTA-STS or DANE says otherwise (RFC 7435,
RFC 8461, RFC 7672). Programs that submit mail do look (RFC 8314 section 3).
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from exporter.late import Late

if TYPE_CHECKING:
    from cryptography import exceptions, x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.x509 import verification
else:
    exceptions = Late("cryptography.exceptions")
    x509 = Late("cryptography.x509")
    serialization = Late("cryptography.hazmat.primitives.serialization")
    ec = Late("cryptography.hazmat.primitives.asymmetric.ec")
    rsa = Late("cryptography.hazmat.primitives.asymmetric.rsa")
    verification = Late("cryptography.x509.verification")

E = TypeVar("E", bound="x509.ExtensionType")

LEAST_RSA_BITS = 2048  # RFC 9325 section 4.5
LEAST_EC_BITS = 224  # the same: about as strong
LONGEST_WAY = 8  # certificates
MOST_STEPS = 200  # of the walk; a chain that needs more gets no explanation

_BROKEN_HASHES = frozenset({"md5", "sha1"})


class FlawKind(StrEnum):
    EXPIRED = "expired"
    WEAK = "weak"
    NO_AUTHORITY = "no-authority"
    CONSTRAINED = "constrained"
    PURPOSE = "purpose"


@dataclass(frozen=True, slots=True)
class ChainFlaw:
    """What is wrong with one certificate of the way. `how` is a clause about it."""

    kind: FlawKind
    subject: str
    how: str


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
    """What a server showed: the leaf, how many certificates came along, and whether the roots trust it.

    `flaw` is why they do not, where that is more than that no signatures lead to any of them.
    """

    leaf: Certificate
    length: int
    trusted: bool | None
    flaw: ChainFlaw | None = None


class Roots:
    """Root certificates that are believed, from PEM texts.

    Raise CertificateSyntaxError for one of `own` that cannot be read; of `found`, such are left out.
    """

    def __init__(self, own: Iterable[bytes] = (), found: Iterable[bytes] = ()) -> None:
        texts = [*map(_pem, own), *map(_pem_or_nothing, found)]
        unique = {root.public_bytes(serialization.Encoding.DER): root for roots in texts for root in roots}
        self._roots = list(unique.values())
        self._store = verification.Store(self._roots) if unique else None

    def examine(self, chain: tuple[bytes, ...], now: float) -> Shown:
        """Read and judge what a server sent, the leaf first, at a time. Raise CertificateSyntaxError."""
        if not chain:
            raise CertificateSyntaxError("no certificate at all")
        with reading():
            certificates = [x509.load_der_x509_certificate(der) for der in chain]
            leaf = read(certificates[0], chain[0])
            at = min(max(now, leaf.not_before), leaf.not_after)
            trusted = self._trusts(certificates, at)
            flaw = None if trusted or self._store is None else find_flaw(certificates, self._roots, at)
            # An issuer too weak to be believed is a fact, though the library judges no such signature.
            weak = flaw is not None and flaw.kind is FlawKind.WEAK
            return Shown(leaf, len(chain), False if weak else trusted, flaw)

    def _trusts(self, chain: list[x509.Certificate], at: float) -> bool | None:
        if self._store is None:
            return None
        builder = verification.PolicyBuilder().store(self._store).time(datetime.fromtimestamp(at, UTC))
        # The verifier for clients is the one that has no opinion on names; the policies below make it one of servers.
        verifier = builder.extension_policies(ca_policy=_authority(), ee_policy=_server()).build_client_verifier()
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
    if found is not None and not _for_servers(found):
        raise ValueError("is not for servers")


# What OpenSSL asks of a chain, and no more: the web's rules, which are the library's own, would call the private CA
# of many a mail server untrusted for an extension that no mail program misses.
@cache
def _authority() -> verification.ExtensionPolicy:
    either = verification.Criticality.AGNOSTIC
    policy = verification.ExtensionPolicy.permit_all()
    policy = policy.require_present(x509.BasicConstraints, either, _must_be_authority)
    return policy.may_be_present(x509.KeyUsage, either, _must_sign)


@cache
def _server() -> verification.ExtensionPolicy:
    policy = verification.ExtensionPolicy.permit_all()
    return policy.may_be_present(x509.ExtendedKeyUsage, verification.Criticality.AGNOSTIC, _must_serve)


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
    # A name with a dot at its end is no name of the kind that is due (RFC 5280 section 4.2.1.6), and matches nothing.
    return tuple(name.lower() for name in extension.value.get_values_for_type(x509.DNSName))


def _key(certificate: x509.Certificate) -> tuple[str, str]:
    """What key it is, and what is too weak about it or about the signature."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        name = f"{'RSA' if isinstance(key, rsa.RSAPublicKey) else 'EC'} {key.key_size}"
    else:
        name = type(key).__name__.strip("_").removesuffix("PublicKey")
    return name, weakness(certificate)


def _self_signed(certificate: x509.Certificate) -> bool:
    if certificate.issuer != certificate.subject:
        return False
    try:
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, exceptions.InvalidSignature, exceptions.UnsupportedAlgorithm):
        return False
    return True


def find_flaw(chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], at: float) -> ChainFlaw | None:
    """The first flaw on the best way to a root; None where there is no way, or none of these flaws."""
    found = [list(_flaws(way, at)) for way in _ways(chain, roots)]
    best = min(found, key=len, default=[])
    return best[0] if best else None


def weakness(certificate: x509.Certificate, *, signature: bool = True) -> str:
    """What is too weak about its key or its signature, or the empty text."""
    signed_with = certificate.signature_hash_algorithm
    weak = [f"a signature with {signed_with.name}"] if signature and signed_with and _is_broken(certificate) else []
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        kind, least = ("RSA", LEAST_RSA_BITS) if isinstance(key, rsa.RSAPublicKey) else ("EC", LEAST_EC_BITS)
        weak += [f"a key of {key.key_size} bits ({kind})"] if key.key_size < least else []
    return " and ".join(weak)


def _ways(
    chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate]
) -> Iterator[tuple[x509.Certificate, ...]]:
    """Each way from the first certificate to a root: itself first, the root last."""
    trusted = set(roots)
    todo: list[tuple[x509.Certificate, ...]] = [(chain[0],)]
    for _ in range(MOST_STEPS):
        if not todo:
            return
        way = todo.pop(0)
        child = way[-1]
        for issuer in dict.fromkeys((*chain[1:], *roots)):
            if issuer in way or issuer.subject != child.issuer or not _may_have_signed(child, issuer):
                continue
            if issuer in trusted:
                yield (*way, issuer)
            elif len(way) < LONGEST_WAY:
                todo.append((*way, issuer))


def _may_have_signed(child: x509.Certificate, issuer: x509.Certificate) -> bool:
    """By the signature, or by the names alone where the library verifies no such signature any more."""
    if _is_broken(child):
        return True
    try:
        child.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, exceptions.InvalidSignature):
        return False
    except exceptions.UnsupportedAlgorithm:
        return True
    return True


def _is_broken(certificate: x509.Certificate) -> bool:
    signed_with = certificate.signature_hash_algorithm
    return signed_with is not None and signed_with.name in _BROKEN_HASHES


def _flaws(way: Sequence[x509.Certificate], at: float) -> Iterator[ChainFlaw]:
    leaf, *issuers = way
    usage = _extension(leaf, x509.ExtendedKeyUsage)
    if usage is not None and not _for_servers(usage):
        yield ChainFlaw(FlawKind.PURPOSE, _name(leaf), "is not for servers (extended key usage)")
    for issuer in issuers:
        name = _name(issuer)
        if issuer.not_valid_after_utc.timestamp() < at:
            yield ChainFlaw(FlawKind.EXPIRED, name, f"expired on {issuer.not_valid_after_utc:%Y-%m-%d}")
        if issuer.not_valid_before_utc.timestamp() > at:
            yield ChainFlaw(FlawKind.EXPIRED, name, f"is not valid before {issuer.not_valid_before_utc:%Y-%m-%d}")
        if not _may_sign(issuer):
            yield ChainFlaw(FlawKind.NO_AUTHORITY, name, "is no authority: it may not sign certificates")
        if weak := weakness(issuer, signature=issuer is not issuers[-1]):  # nobody verifies the signature of a root
            yield ChainFlaw(FlawKind.WEAK, name, f"has {weak}")
        if refused := _refused(issuer, leaf):
            yield ChainFlaw(FlawKind.CONSTRAINED, name, f"may not sign for {', '.join(refused)} (name constraints)")


def _for_servers(usage: x509.ExtendedKeyUsage) -> bool:
    either = {x509.oid.ExtendedKeyUsageOID.SERVER_AUTH, x509.oid.ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    return not either.isdisjoint(usage)


def _name(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()


def _extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _may_sign(issuer: x509.Certificate) -> bool:
    basic, usage = _extension(issuer, x509.BasicConstraints), _extension(issuer, x509.KeyUsage)
    return basic is not None and basic.ca and (usage is None or usage.key_cert_sign)


def _refused(issuer: x509.Certificate, leaf: x509.Certificate) -> list[str]:
    """The DNS names of the leaf that the issuer must not vouch for."""
    constraints, alternative = _extension(issuer, x509.NameConstraints), _extension(leaf, x509.SubjectAlternativeName)
    if constraints is None or alternative is None:
        return []
    permitted, excluded = (
        [base.value.lower() for base in bases or () if isinstance(base, x509.DNSName)]
        for bases in (constraints.permitted_subtrees, constraints.excluded_subtrees)
    )
    refused = []
    for name in alternative.get_values_for_type(x509.DNSName):
        allowed = not permitted or any(_within(name.lower(), base) for base in permitted)
        if not allowed or any(_within(name.lower(), base) for base in excluded):
            refused.append(name)
    return refused


def _within(name: str, base: str) -> bool:
    """RFC 5280 section 4.2.1.10: any name made by adding labels on the left."""
    suffix = base.removeprefix(".")
    return not suffix or name == suffix or name.endswith(f".{suffix}")
