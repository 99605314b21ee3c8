"""The good and bad certificates that servers of the demo and of tests show."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from enum import StrEnum

from exporter.demo.ca import Authority, Identity

DAY = 86400.0
_END = b"-----END CERTIFICATE-----\n"


class CertificateKind(StrEnum):
    GOOD = "good"
    EXPIRED = "expired"
    EXPIRING = "expiring"  # in two days
    EARLY = "early"  # not valid yet
    WRONG_NAME = "wrong-name"
    SELF_SIGNED = "self-signed"
    UNTRUSTED = "untrusted"  # by another authority
    WEAK = "weak"
    DUE = "due"  # in 25 days of 90: clients of Let's Encrypt have renewed it, or soon will
    FOR_CLIENTS = "for-clients"
    ISSUER_NOT_SENT = "issuer-not-sent"
    ISSUER_EXPIRED = "issuer-expired"
    ISSUER_WEAK = "issuer-weak"  # signed with SHA-1
    ISSUER_NO_AUTHORITY = "issuer-no-authority"
    ISSUER_CONSTRAINED = "issuer-constrained"  # to another domain


class Signers:
    """Who signs for a world that has these kinds of certificates. `pem` are the roots that this world trusts."""

    def __init__(self, now: float, kinds: Collection[CertificateKind]) -> None:
        self._authority, self._stranger = Authority(now), Authority(now, "unknown authority")
        # An RSA key takes its time, so nobody has one for nothing.
        self._old = Authority(now, "old authority", old=True) if CertificateKind.ISSUER_WEAK in kinds else None
        self.pem = self._authority.pem + (self._old.pem if self._old else b"")

    def identity(
        self, kind: CertificateKind, name: str, now: float, *, with_rsa: bool = False, with_root: bool = False
    ) -> Identity:
        begins, ends = now - 10 * DAY, now + 80 * DAY
        match kind:
            case CertificateKind.EXPIRED:
                begins, ends = now - 100 * DAY, now - 10 * DAY
            case CertificateKind.EXPIRING:
                begins, ends = now - 88 * DAY, now + 2 * DAY
            case CertificateKind.DUE:
                begins, ends = now - 65 * DAY, now + 25 * DAY
            case CertificateKind.EARLY:
                begins, ends = now + DAY, now + 90 * DAY
            case CertificateKind.WRONG_NAME:
                name = f"elsewhere.{name}"
        issued = self._signer(kind, now).issue(
            name,
            not_before=begins,
            not_after=ends,
            self_signed=kind is CertificateKind.SELF_SIGNED,
            weak=kind is CertificateKind.WEAK,
            with_rsa=with_rsa,
            for_clients=kind is CertificateKind.FOR_CLIENTS,
        )
        if kind is CertificateKind.ISSUER_NOT_SENT:
            return replace(issued, chain=issued.chain[: issued.chain.index(_END) + len(_END)])
        return replace(issued, chain=issued.chain + self._authority.pem) if with_root else issued

    def _signer(self, kind: CertificateKind, now: float) -> Authority:
        match kind:
            case CertificateKind.UNTRUSTED:
                return self._stranger
            case CertificateKind.ISSUER_NOT_SENT:
                return self._authority.issuer(now)
            case CertificateKind.ISSUER_EXPIRED:
                return self._authority.issuer(now, days=-30)
            case CertificateKind.ISSUER_NO_AUTHORITY:
                return self._authority.issuer(now, signs=False)
            case CertificateKind.ISSUER_CONSTRAINED:
                return self._authority.issuer(now, only_for="example.org")
            case CertificateKind.ISSUER_WEAK if self._old:
                return self._old.issuer(now)
        return self._authority
