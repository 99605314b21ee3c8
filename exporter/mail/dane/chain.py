"""Does a chain of certificates, as a server sent it, fit TLSA records (RFC 6698 section 2.1, RFC 7671 section 5)?

A record of usage DANE-EE is compared with the first certificate alone. One of usage DANE-TA names an issuer: it has
to be sent along, signatures have to lead from the first certificate to it, no certificate on the way may have expired,
and the first one must be for the base domain (RFC 7672 sections 3.1.2 and 3.2.2). What a sender whose TLS library is
OpenSSL would say is said here, and nothing worse.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING

from exporter.late import Late
from exporter.mail.certificate import CertificateSyntaxError, read, reading
from exporter.mail.dane import tlsa as dane
from exporter.mail.dns import TLSA

if TYPE_CHECKING:
    from cryptography import exceptions, x509
else:
    exceptions = Late("cryptography.exceptions")
    x509 = Late("cryptography.x509")

MOST_CERTIFICATES = 20  # of one chain looked at, since each may have to be tried as issuer of each

_DIGESTS: dict[int, Callable[[bytes], bytes]] = {
    dane.WHOLE: lambda octets: octets,
    dane.SHA_256: lambda octets: hashlib.sha256(octets).digest(),
    dane.SHA_512: lambda octets: hashlib.sha512(octets).digest(),
}
_BEFORE_THE_KEY = 5  # fields: serial number, algorithm, issuer, validity, subject (RFC 5280 section 4.1)
_VERSION, _SEQUENCE = 0xA0, 0x30


class Fit(StrEnum):
    HOLDS = "holds"
    FAILS = "fails"
    MISNAMED = "misnamed"  # holds, but for the name in the certificate
    UNTOLD = "untold"  # that cannot be told here


@dataclass(frozen=True, slots=True)
class Fitted:
    """One record beside what was shown. `how` says why it does not hold: "the record is ..."."""

    record: TLSA
    fit: Fit
    how: str = ""


def key(certificate: bytes) -> bytes:
    """The SubjectPublicKeyInfo of a certificate, octet by octet. Raise CertificateSyntaxError."""
    with reading():
        body, _ = _inside(certificate, 0)
        at, _ = _inside(certificate, body)
        if certificate[at] == _VERSION:
            _, at = _inside(certificate, at)
        for _ in range(_BEFORE_THE_KEY):
            _, at = _inside(certificate, at)
        if certificate[at] != _SEQUENCE:
            raise ValueError("no key where it is due")
        _, end = _inside(certificate, at)
        return certificate[at:end]


def _inside(der: bytes, at: int) -> tuple[int, int]:
    """Where the content of the value that begins there begins and ends. Raise ValueError, IndexError."""
    begins = at + 2
    length = der[at + 1]
    if length & 0x80:
        begins += length & 0x7F
        length = int.from_bytes(der[at + 2 : begins])
    if begins + length > len(der):
        raise ValueError("ends too early")
    return begins, begins + length


def advised(certificate: bytes, beside: Iterable[TLSA] = ()) -> str:
    """The record that is best published for it: DANE-EE, its key, SHA-256 (RFC 7672 section 3.1).

    SHA-512 `beside` records that have it, where SHA-256 would be ignored (RFC 7671 section 9).
    """
    try:
        selector, octets = dane.KEY, key(certificate)
    except CertificateSyntaxError:  # not to be read by us, and yet comparable as a whole
        selector, octets = dane.CERTIFICATE, certificate
    longer = any((it.usage, it.selector, it.matching) == (dane.DANE_EE, selector, dane.SHA_512) for it in beside)
    matching = dane.SHA_512 if longer else dane.SHA_256
    return str(TLSA(dane.DANE_EE, selector, matching, _DIGESTS[matching](octets)))


def fit(records: Iterable[TLSA], chain: Sequence[bytes], base: str, now: float) -> list[Fitted]:
    """Judge records that are `dane.usable` at a time (unix seconds); `chain` as it came, the server's own first."""
    issuers = cache(lambda: _Issuers(chain, base, now))
    fitted: list[Fitted] = []
    for record in records:
        try:
            fitted.append(_fit(record, chain, issuers))
        except CertificateSyntaxError as unreadable:
            fitted.append(Fitted(record, Fit.UNTOLD, f"beside {unreadable}"))
    return fitted


def _fit(record: TLSA, chain: Sequence[bytes], issuers: Callable[[], _Issuers]) -> Fitted:
    if not chain:
        raise CertificateSyntaxError("no certificate at all")
    if record.usage == dane.DANE_TA:
        same = [place for place, certificate in enumerate(chain[:MOST_CERTIFICATES]) if _is(record, certificate)]
        return Fitted(record, *issuers().judge(record, same))
    if _is(record, chain[0]):
        return Fitted(record, Fit.HOLDS)
    return Fitted(record, Fit.FAILS, f"of another {'key' if record.selector == dane.KEY else 'certificate'}")


def _is(record: TLSA, certificate: bytes) -> bool:
    octets = key(certificate) if record.selector == dane.KEY else certificate
    return _DIGESTS[record.matching](octets) == record.data


class _Issuers:
    """Who signed the first certificate, who signed that, and so on, as far as the server sends it."""

    def __init__(self, chain: Sequence[bytes], base: str, now: float) -> None:
        with reading():
            self._chain = [x509.load_der_x509_certificate(der) for der in chain[:MOST_CERTIFICATES]]
            self._whole = len(chain) == len(self._chain)
            self._leaf = read(self._chain[0], chain[0])
            self._unsure = False
            self._all = self._ancestors(lambda _: True)
            self._valid = self._ancestors(lambda it: _begins(it) <= now <= it.not_valid_after_utc.timestamp())
            self._names = self._leaf.names or self._common_names()
            self._misnamed = not self._leaf.matches(base) and base not in self._names

    def judge(self, record: TLSA, same: Sequence[int]) -> tuple[Fit, str]:
        """`same` are the places in the chain of what the record names."""
        if self._valid.intersection(same):
            if not self._misnamed:
                return Fit.HOLDS, ""
            names = ", ".join(self._names) or "no name at all"
            return Fit.MISNAMED, f"of an issuer of the certificate, which is for {names}"
        if self._all.intersection(same):
            return Fit.FAILS, "of an issuer that only an expired certificate, or one not valid yet, leads to"
        if 0 in same:
            return Fit.FAILS, "the server's own certificate, where usage 2 wants an issuer of it"
        if self._unsure:
            return Fit.UNTOLD, "of an issuer whose signatures may be of a kind that cannot be verified here"
        if same:
            return Fit.FAILS, "a certificate that is sent along, but has not signed this one"
        if record.matching == dane.WHOLE:
            return (
                Fit.UNTOLD,
                "an issuer that was not sent, but the record has all of it, and it may have signed the last one",
            )
        if not self._whole:
            return Fit.UNTOLD, f"of an issuer that is not among the first {len(self._chain)} certificates sent"
        return Fit.FAILS, f"of an issuer that is not among the certificates sent, {len(self._chain)} in all"

    def _ancestors(self, good: Callable[[x509.Certificate], bool]) -> set[int]:
        """Places of those that signatures lead to from the first one, over good ones only."""
        found: set[int] = set()
        if not good(self._chain[0]):
            return found
        todo = [0]
        while todo:
            child = todo.pop()
            for parent, issuer in enumerate(self._chain):
                if parent and parent not in found and good(issuer) and self._signed(self._chain[child], issuer):
                    found.add(parent)
                    todo.append(parent)
        return found

    def _signed(self, child: x509.Certificate, issuer: x509.Certificate) -> bool:
        if child.issuer != issuer.subject or not _may_sign(issuer):
            return False
        try:
            child.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, exceptions.InvalidSignature):
            return False
        except exceptions.UnsupportedAlgorithm:
            self._unsure = True
            return False
        return True

    def _common_names(self) -> tuple[str, ...]:
        """They count where there is no name in subjectAltName (RFC 7672 section 3.2.3)."""
        found = self._chain[0].subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return tuple(str(name.value).lower() for name in found)


def _begins(certificate: x509.Certificate) -> float:
    return certificate.not_valid_before_utc.timestamp()


def _may_sign(issuer: x509.Certificate) -> bool:
    try:
        return issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return True  # of old roots; who would refuse them is not known
