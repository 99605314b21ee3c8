"""Each question about a certificate has its own answer, and a hostile one raises one error."""

from __future__ import annotations

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from exporter.demo.ca import Authority
from exporter.demo.certificates import CertificateKind, Signers
from exporter.mail.certificate import Certificate, CertificateSyntaxError, ChainFlaw, FlawKind, Roots, Shown

NOW = 1_780_000_000.0
DAY = 86400.0
AUTHORITY = Authority(NOW)


def loaded(pem: bytes) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(pem)


def der(pem: bytes) -> tuple[bytes, ...]:
    return tuple(certificate.public_bytes(Encoding.DER) for certificate in loaded(pem))


ROOTS = Roots([AUTHORITY.pem])


def shown(name: str = "mx.example.com", *, roots: Roots = ROOTS, now: float = NOW, **kind: bool) -> Shown:
    return roots.examine(der(AUTHORITY.issue(name, not_before=NOW - DAY, not_after=NOW + DAY, **kind).chain), now)


def test_the_facts_of_a_leaf_are_read() -> None:
    leaf = shown().leaf
    assert (leaf.not_before, leaf.not_after) == (NOW - DAY, NOW + DAY)
    assert leaf.names == ("mx.example.com",)
    assert (leaf.subject, leaf.issuer) == ("CN=mx.example.com", "CN=demo authority")
    assert (leaf.key, leaf.weak, leaf.self_signed) == ("EC 256", "", False)
    assert len(leaf.sha256) == 64


def test_a_chain_to_a_known_root_is_trusted() -> None:
    assert shown().trusted is True


def test_the_roots_of_others_do_not_count() -> None:
    assert shown(roots=Roots([Authority(NOW, "another").pem])).trusted is False


def test_without_any_root_trust_cannot_be_told() -> None:
    assert shown(roots=Roots([])).trusted is None


def test_a_leaf_that_has_expired_or_is_too_young_is_not_called_untrusted_as_well() -> None:
    assert shown(now=NOW + 400 * DAY).trusted is True
    assert shown(now=NOW - 30 * DAY).trusted is True


def test_a_self_signed_certificate_is_told_and_trusted_only_where_it_is_a_root_itself() -> None:
    issued = AUTHORITY.issue("mx.example.com", not_before=NOW - DAY, not_after=NOW + DAY, self_signed=True)
    assert ROOTS.examine(der(issued.chain), NOW).trusted is False
    assert ROOTS.examine(der(issued.chain), NOW).leaf.self_signed
    assert Roots([issued.chain]).examine(der(issued.chain), NOW).trusted is True


def test_a_weak_key_is_named_and_does_not_make_the_chain_untrusted() -> None:
    told = shown(weak=True)
    assert (told.leaf.key, told.leaf.weak) == ("RSA 1024", "a key of 1024 bits (RSA)")
    assert told.trusted is True


@pytest.mark.parametrize(
    ("names", "host", "matches"),
    [
        (("mx.example.com",), "mx.example.com", True),
        (("a.example.com", "mx.example.com"), "mx.example.com", True),
        (("*.example.com",), "mx.example.com", True),
        (("*.example.com",), "example.com", False),
        (("*.example.com",), "a.mx.example.com", False),
        (("m*.example.com",), "mx.example.com", False),
        (("mx.*.com",), "mx.example.com", False),
        (("*",), "localhost", False),
        (("*.",), "localhost", False),
        (("*.com",), "example.com", True),
        (("mx.example.com.evil.example",), "mx.example.com", False),
        ((), "mx.example.com", False),
    ],
)
def test_a_name_matches_as_rfc_9525_says(names: tuple[str, ...], host: str, matches: bool) -> None:
    leaf = Certificate(0, 0, names, "", "", self_signed=False, key="", weak="", sha256="")
    assert leaf.matches(host) is matches


def test_the_common_name_does_not_count_and_names_are_lower_case() -> None:
    leaf = Built(names=("MX.Example.com",)).leaf("other.example.com")
    assert leaf.names == ("mx.example.com",)
    assert not leaf.matches("other.example.com")
    assert Built(names=()).leaf("mx.example.com").names == ()


class Built:
    """A certificate with one thing odd about it, signed by a root with one thing odd about it."""

    def __init__(
        self,
        names: tuple[str, ...] = ("mx.example.com",),
        usage: x509.ObjectIdentifier | None = None,
        authority: bool | None = True,
        root_key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | None = None,
    ) -> None:
        key = root_key or ec.generate_private_key(ec.SECP256R1())
        self._key, self._usage, self._names = key, usage, names
        builder = self._builder("root", "root", key.public_key())
        if authority is not None:
            builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        self.root = builder.sign(key, self._hash)

    @property
    def _hash(self) -> hashes.SHA256 | None:
        return None if isinstance(self._key, ed25519.Ed25519PrivateKey) else hashes.SHA256()

    def _builder(self, subject: str, issuer: str, key: object) -> x509.CertificateBuilder:
        start = loaded(AUTHORITY.pem)[0].not_valid_before_utc
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key)  # type: ignore[arg-type]  # both kinds of key are fine
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start.replace(year=start.year + 20))
        )

    def chain(self, subject: str = "mx.example.com") -> tuple[bytes, ...]:
        builder = self._builder(subject, "root", ec.generate_private_key(ec.SECP256R1()).public_key())
        if self._names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.DNSName(n) for n in self._names]), critical=False
            )
        if self._usage:
            builder = builder.add_extension(x509.ExtendedKeyUsage([self._usage]), critical=False)
        return (builder.sign(self._key, self._hash).public_bytes(Encoding.DER),)

    def leaf(self, subject: str) -> Certificate:
        return ROOTS.examine(self.chain(subject), NOW).leaf

    @property
    def trusted(self) -> bool | None:
        return Roots([self.root.public_bytes(Encoding.PEM)]).examine(self.chain(), NOW).trusted


def test_a_plain_private_authority_is_trusted_without_the_web_s_extensions() -> None:
    assert Built().trusted is True
    assert Built(names=()).trusted is True


def test_a_root_that_may_not_sign_vouches_for_nobody() -> None:
    assert Built(authority=False).trusted is False
    assert Built(authority=None).trusted is False


def test_a_certificate_for_clients_does_not_serve() -> None:
    assert Built(usage=ExtendedKeyUsageOID.CLIENT_AUTH).trusted is False
    assert Built(usage=ExtendedKeyUsageOID.SERVER_AUTH).trusted is True
    assert Built(usage=ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE).trusted is True


def test_an_algorithm_that_cannot_be_verified_here_is_no_verdict() -> None:
    assert Built(root_key=ed25519.Ed25519PrivateKey.generate()).trusted is None


def test_an_intermediate_has_to_be_sent_along() -> None:
    root = trustme.CA()
    issued = root.create_child_ca().issue_cert("mx.example.com")
    chain = tuple(der(blob.bytes())[0] for blob in issued.cert_chain_pems)
    roots, now = (
        Roots([root.cert_pem.bytes()]),
        loaded(chain_pem(issued))[0].not_valid_before_utc.timestamp() + DAY,
    )
    assert roots.examine(chain, now).trusted is True
    assert roots.examine(chain[:1], now).trusted is False


def chain_pem(issued: trustme.LeafCert) -> bytes:
    return issued.cert_chain_pems[0].bytes()


FLAWS = {
    CertificateKind.ISSUER_EXPIRED: ChainFlaw(FlawKind.EXPIRED, "CN=demo issuer", "expired on 2026-04-28"),
    CertificateKind.ISSUER_WEAK: ChainFlaw(FlawKind.WEAK, "CN=demo issuer", "has a signature with sha1"),
    CertificateKind.ISSUER_NO_AUTHORITY: ChainFlaw(
        FlawKind.NO_AUTHORITY, "CN=demo issuer", "is no authority: it may not sign certificates"
    ),
    CertificateKind.ISSUER_CONSTRAINED: ChainFlaw(
        FlawKind.CONSTRAINED, "CN=demo issuer", "may not sign for mx.example.com (name constraints)"
    ),
    CertificateKind.FOR_CLIENTS: ChainFlaw(
        FlawKind.PURPOSE, "CN=mx.example.com", "is not for servers (extended key usage)"
    ),
    CertificateKind.ISSUER_NOT_SENT: None,
    CertificateKind.UNTRUSTED: None,
}


@pytest.mark.parametrize("kind", FLAWS)
def test_the_certificate_that_is_to_blame_is_named(kind: CertificateKind) -> None:
    signers = Signers(NOW, {kind})
    chain = der(signers.identity(kind, "mx.example.com", NOW).chain)
    told = Roots([signers.pem]).examine(chain, NOW)
    assert (told.trusted, told.flaw) == (False, FLAWS[kind])


def test_an_expired_issuer_beside_a_good_one_of_the_same_name_does_no_harm() -> None:
    """As with the two certificates of ISRG Root X1, of which one leads to a root that has expired."""
    good, bad = AUTHORITY.issuer(NOW), AUTHORITY.issuer(NOW, days=-30)
    for chain in (
        der(bad.issue("mx.example.com", not_before=NOW - DAY, not_after=NOW + DAY).chain + good._own),
        der(good.issue("mx.example.com", not_before=NOW - DAY, not_after=NOW + DAY).chain + bad._own),
    ):
        told = ROOTS.examine(chain, NOW)
        assert (told.trusted, told.flaw) == (True, None)


def test_a_name_within_the_constraints_is_no_flaw() -> None:
    issued = AUTHORITY.issuer(NOW, only_for="example.com").issue(
        "mx.example.com", not_before=NOW - DAY, not_after=NOW + DAY
    )
    assert ROOTS.examine(der(issued.chain), NOW).trusted is True


def test_a_tangle_of_issuers_is_left_in_time() -> None:
    """Thirty issuers of one name, each of which may have signed each."""
    chain = der(AUTHORITY.issuer(NOW).issue("mx.example.com", not_before=NOW - DAY, not_after=NOW + DAY).chain)
    stranger = Authority(NOW, "stranger")
    told = Roots([stranger.pem]).examine((chain[0], *(chain[1] for _ in range(30))), NOW)
    assert (told.trusted, told.flaw) == (False, None)


def test_a_dot_at_the_end_of_a_name_does_not_match() -> None:
    """OpenSSL compares letter by letter; RFC 5280 section 4.2.1.6 knows no such name."""
    leaf = Built(names=("mx.example.com.",)).leaf("mx.example.com")
    assert leaf.names == ("mx.example.com.",)
    assert not leaf.matches("mx.example.com")


BROKEN = b"-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("text", [b"", b"no PEM at all", BROKEN])
def test_authorities_that_cannot_be_read_are_an_error_or_left_out(text: bytes) -> None:
    with pytest.raises(CertificateSyntaxError):
        Roots([AUTHORITY.pem, text])
    assert shown(roots=Roots(found=[text, AUTHORITY.pem])).trusted is True
    assert shown(roots=Roots(found=[text])).trusted is None


@pytest.mark.parametrize("chain", [(), (b"",), (b"\x30\x03\x02\x01\x05",), (b"x" * 100_000,)])
def test_what_is_no_certificate_is_an_error(chain: tuple[bytes, ...]) -> None:
    with pytest.raises(CertificateSyntaxError):
        ROOTS.examine(chain, NOW)


GOOD = bytearray(der(AUTHORITY.issue("mx.example.com", not_before=NOW - DAY, not_after=NOW + DAY).chain)[0])


@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_mutated_certificate_raises_nothing_else_and_is_never_trusted(changes: list[tuple[int, int]]) -> None:
    mutated = bytearray(GOOD)
    for place, octet in changes:
        mutated[place] = octet
    try:
        told = ROOTS.examine((bytes(mutated),), NOW)
    except CertificateSyntaxError:
        return
    assert mutated == GOOD or not told.trusted
