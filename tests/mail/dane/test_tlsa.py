"""TLSA records are judged by the letter, matched octet by octet, and looked for where senders look for them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_address

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from exporter.mail.certificate import CertificateSyntaxError
from exporter.mail.dane import chain as dane_chain
from exporter.mail.dane.chain import Fit, advised, fit, key
from exporter.mail.dane.tlsa import TlsaLookup, look_up, malformed, place, usable
from exporter.mail.dns import TLSA, Question, Rdata, Reply, Status

HOST = "mx.example.com"
SHA_256, SHA_512 = bytes(32), bytes(64)


def der(pem: bytes) -> bytes:
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


AUTHORITY = trustme.CA()
BETWEEN = AUTHORITY.create_child_ca()
LEAF, MIDDLE = (der(it.bytes()) for it in BETWEEN.issue_cert(HOST).cert_chain_pems[:2])
ROOT = der(AUTHORITY.cert_pem.bytes())
STRANGER = der(trustme.CA().cert_pem.bytes())
CHAIN = (LEAF, MIDDLE, ROOT)
NOW = x509.load_der_x509_certificate(LEAF).not_valid_before_utc.timestamp() + 86400 * 365


def spki(certificate: bytes) -> bytes:
    public = x509.load_der_x509_certificate(certificate).public_key()
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


SELECTED: tuple[Callable[[bytes], bytes], ...] = (lambda it: it, spki)
DIGESTED: tuple[Callable[[bytes], bytes], ...] = (
    lambda it: it,
    lambda it: hashlib.sha256(it).digest(),
    lambda it: hashlib.sha512(it).digest(),
)
each_selector = pytest.mark.parametrize("selector", [0, 1])
each_matching = pytest.mark.parametrize("matching", [0, 1, 2])


def record(usage: int, selector: int, matching: int, certificate: bytes) -> TLSA:
    return TLSA(usage, selector, matching, DIGESTED[matching](SELECTED[selector](certificate)))


def fitted(it: TLSA, chain: tuple[bytes, ...] = CHAIN, base: str = HOST, now: float = NOW) -> Fit:
    return fit([it], chain, base, now)[0].fit


# --- records ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("it", "why"),
    [
        (TLSA(3, 1, 1, SHA_256), ""),
        (TLSA(3, 1, 2, SHA_512), ""),
        (TLSA(0, 0, 1, SHA_256), ""),
        (TLSA(4, 1, 1, SHA_256), "there is no usage 4"),
        (TLSA(255, 1, 1, SHA_256), "there is no usage 255"),
        (TLSA(3, 2, 1, SHA_256), "there is no selector 2"),
        (TLSA(3, 1, 3, SHA_256), "there is no matching type 3"),
        (TLSA(3, 1, 1, SHA_512), "a digest of 64 bytes, instead of 32"),
        (TLSA(3, 1, 2, SHA_256), "a digest of 32 bytes, instead of 64"),
        (TLSA(3, 1, 1, b""), "a digest of 0 bytes, instead of 32"),
        (TLSA(3, 1, 0, SHA_256), "no key but 32 other bytes"),
        # by name, since the length is by chance, and tests are called the same in each process that runs some
        pytest.param(TLSA(2, 0, 0, LEAF[:-1]), f"no certificate but {len(LEAF) - 1} other bytes", id="cut off"),
        (TLSA(2, 0, 0, LEAF), ""),
        (TLSA(2, 1, 0, spki(LEAF)), ""),
        (TLSA(2, 1, 0, b"\x30\x00"), ""),
        (TLSA(2, 1, 0, b"\x30"), "no key but 1 other bytes"),
    ],
)
def test_a_record_that_can_mean_nothing_says_why(it: TLSA, why: str) -> None:
    assert malformed(it) == why


def test_only_records_for_mail_are_usable_and_the_strongest_digest_of_each_thing() -> None:
    """RFC 7672 section 3.1.3; RFC 7671 section 9."""
    whole, weak, strong = record(3, 1, 0, LEAF), record(3, 1, 1, LEAF), record(3, 1, 2, LEAF)
    certificate, issuer = record(3, 0, 1, LEAF), record(2, 1, 1, ROOT)
    web = [TLSA(0, 1, 1, SHA_256), TLSA(1, 1, 1, SHA_256)]
    bad = [TLSA(3, 1, 1, b"x"), TLSA(3, 1, 2, SHA_256), TLSA(9, 1, 1, SHA_256)]
    assert usable([*web, *bad]) == ()
    assert usable([weak, *bad]) == (weak,), "a strong digest that is none does not outweigh"
    assert usable([*web, weak, strong, whole, certificate, issuer]) == (strong, whole, certificate, issuer)


# --- chains ----------------------------------------------------------------------------------------------------------


@each_selector
@each_matching
def test_the_servers_own_certificate_is_compared_as_the_numbers_say(selector: int, matching: int) -> None:
    assert fitted(record(3, selector, matching, LEAF)) is Fit.HOLDS
    assert fitted(record(3, selector, matching, MIDDLE)) is Fit.FAILS
    assert fitted(record(3, selector, matching, LEAF), base="elsewhere.example", now=0) is Fit.HOLDS


@each_selector
@each_matching
@pytest.mark.parametrize("issuer", [MIDDLE, ROOT], ids=["intermediate", "root"])
def test_an_issuer_holds_wherever_it_stands_in_what_was_sent(issuer: bytes, selector: int, matching: int) -> None:
    it = record(2, selector, matching, issuer)
    assert fitted(it) is Fit.HOLDS
    assert fitted(it, (LEAF, ROOT, STRANGER, MIDDLE)) is Fit.HOLDS, "the order is the server's matter"
    assert fitted(it, base="elsewhere.example") is Fit.MISNAMED
    assert fitted(it, now=0) is Fit.FAILS
    assert fitted(it, now=1e11) is Fit.FAILS
    assert fitted(record(2, selector, matching, LEAF)) is Fit.FAILS


def test_an_issuer_that_was_not_sent_fails_unless_it_stands_in_the_record() -> None:
    sent = (LEAF, MIDDLE)
    assert fitted(record(2, 1, 1, ROOT), sent) is Fit.FAILS
    assert fitted(record(2, 0, 2, ROOT), sent) is Fit.FAILS
    assert fitted(record(2, 1, 0, ROOT), sent) is Fit.UNTOLD
    assert fitted(record(2, 0, 0, ROOT), sent) is Fit.UNTOLD
    assert fitted(record(2, 1, 1, ROOT), (LEAF, ROOT)) is Fit.FAILS, "nothing leads there without the one between"


def test_a_certificate_that_was_sent_and_has_signed_nothing_fails() -> None:
    assert fitted(record(2, 1, 1, STRANGER), (*CHAIN, STRANGER)) is Fit.FAILS


def test_a_certificate_of_the_issuers_name_and_another_key_has_signed_nothing() -> None:
    impostor = der(trustme.CA().cert_pem.bytes())
    named = x509.load_der_x509_certificate(LEAF).issuer
    forged = made(named, named, ec.generate_private_key(ec.SECP256R1()), ca=True)
    assert fitted(record(2, 1, 1, forged), (LEAF, forged, impostor)) is Fit.FAILS


def test_a_certificate_that_may_not_sign_is_no_issuer() -> None:
    signer = ec.generate_private_key(ec.SECP256R1())
    issuer, subject = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("issuer", HOST))
    for ca, expected in ((True, Fit.HOLDS), (False, Fit.FAILS), (None, Fit.HOLDS)):
        parent = made(issuer, issuer, signer, ca=ca)
        chain = (made(subject, issuer, signer), parent)
        assert fitted(record(2, 1, 1, parent), chain) is expected, "the commonName counts: there is no subjectAltName"
    assert fitted(record(2, 1, 1, parent), chain, base="other.example") is Fit.MISNAMED


def made(subject: x509.Name, issuer: x509.Name, signer: ec.EllipticCurvePrivateKey, *, ca: bool | None = None) -> bytes:
    """With the signer's key in it, too: what it is of does not matter here."""
    begins = x509.load_der_x509_certificate(LEAF).not_valid_before_utc
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(signer.public_key())
        .serial_number(1)
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=9999))
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    return builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.DER)


def test_a_chain_longer_than_what_is_looked_at_proves_no_absence() -> None:
    long = (LEAF, *[STRANGER] * dane_chain.MOST_CERTIFICATES, MIDDLE)
    assert fitted(record(2, 1, 1, MIDDLE), long) is Fit.UNTOLD
    assert fitted(record(3, 1, 1, LEAF), long) is Fit.HOLDS


def test_what_cannot_be_read_is_no_verdict_but_octets_can_be_compared() -> None:
    odd = b"no certificate"
    assert fitted(record(3, 0, 1, odd), (odd,)) is Fit.HOLDS
    assert fitted(record(3, 0, 1, LEAF), (odd,)) is Fit.FAILS
    assert fitted(record(3, 1, 1, LEAF), (odd,)) is Fit.UNTOLD
    assert fitted(record(2, 0, 1, ROOT), (odd, ROOT)) is Fit.UNTOLD
    assert fitted(record(2, 1, 1, ROOT), (LEAF, MIDDLE, ROOT, odd)) is Fit.UNTOLD
    assert fitted(record(3, 1, 1, LEAF), ()) is Fit.UNTOLD


def test_the_key_is_cut_out_as_it_stands_in_the_certificate() -> None:
    for certificate in (LEAF, MIDDLE, ROOT, STRANGER):
        assert key(certificate) == spki(certificate)


def test_the_record_to_publish_holds() -> None:
    digest = hashlib.sha256(spki(LEAF)).hexdigest()
    assert advised(LEAF) == f"3 1 1 {digest}"
    assert fitted(TLSA(3, 1, 1, bytes.fromhex(digest))) is Fit.HOLDS
    assert advised(b"odd") == f"3 0 1 {hashlib.sha256(b'odd').hexdigest()}"


def test_the_record_to_publish_is_not_ignored_beside_those_that_are_there() -> None:
    """RFC 7671 section 9."""
    stale = TLSA(3, 1, 2, SHA_512)
    usage, selector, matching, data = advised(LEAF, [stale]).split()
    new = TLSA(int(usage), int(selector), int(matching), bytes.fromhex(data))
    assert new in usable([stale, new])
    assert fitted(new) is Fit.HOLDS
    assert advised(LEAF, [TLSA(3, 0, 2, SHA_512), TLSA(2, 1, 2, SHA_512)]) == advised(LEAF)


@given(st.lists(st.tuples(st.integers(0, len(LEAF) - 1), st.integers(0, 255)), max_size=4), st.integers(0, len(LEAF)))
def test_a_mutated_certificate_raises_one_error_and_never_holds_with_another_key(
    changes: list[tuple[int, int]], length: int
) -> None:
    octets = bytearray(LEAF)
    for place_of_change, value in changes:
        octets[place_of_change] = value
    mutated = bytes(octets[:length])
    try:
        read = key(mutated)
    except CertificateSyntaxError:
        read = None
    for it in fit([record(3, 1, 1, LEAF), record(2, 1, 1, MIDDLE)], (mutated, MIDDLE), HOST, NOW):
        same = it.record.usage == 3 and read == spki(LEAF)
        assert it.fit is not Fit.HOLDS or same or mutated == LEAF


# --- where records are looked for ----------------------------------------------------------------------------------


def looked_up(*answers: str, port: int = 25) -> tuple[TlsaLookup, list[str]]:
    """Answers are written `name TYPE: data`, with `AD`, `-> alias`, or a status in capitals; others are NODATA."""
    given = {}
    for answer in answers:
        asked, _, said = answer.partition(": ")
        name, rdtype = asked.split()
        given[name, rdtype] = said.split()
    asked_for: list[str] = []
    evaluation = look_up(HOST, port)
    try:
        question = next(evaluation)
        while True:
            asked_for.append(str(question).replace(f"_{port}._tcp.", "_"))
            question = evaluation.send(_reply(question, given.get((question.name, question.rdtype), ["NODATA"])))
    except StopIteration as end:
        return end.value, asked_for


def _reply(question: Question, said: list[str]) -> Reply:
    secure = "AD" in said
    words = [word for word in said if word != "AD"]
    chain = (words.pop(words.index("->") + 1),) if "->" in words else ()
    words = [word for word in words if word != "->"]
    if words and re.fullmatch("[A-Z]+", words[0]):
        return Reply(question, Status[words[0]], authenticated=secure)
    data: tuple[Rdata, ...]
    if question.rdtype == "TLSA":
        data = tuple(TLSA(3, 1, 1, word.encode()) for word in words)
    else:
        data = tuple(map(ip_address, words)) if question.rdtype != "CNAME" else tuple(words)
    return Reply(question, Status.ANSWER, data, chain, authenticated=secure)


OWN = f"{place(HOST, 25)} TLSA"
REAL = "_25._tcp.real.example TLSA"


def test_the_plain_case() -> None:
    found, asked = looked_up(f"{HOST} A: 192.0.2.1 AD", f"{HOST} AAAA: 2001:db8::1 AD", f"{OWN}: one two AD")
    assert found.addresses == (ip_address("192.0.2.1"), ip_address("2001:db8::1"))
    assert (found.base, [it.data for it in found.found]) == (HOST, [b"one", b"two"])
    assert (found.unproven, found.doubt) == (None, None)
    assert asked == [f"{HOST} A", f"{HOST} AAAA", f"_{HOST} TLSA"]


def test_another_port_has_records_of_its_own() -> None:
    found, _ = looked_up(f"{HOST} A: 192.0.2.1 AD", f"_465._tcp.{HOST} TLSA: one AD", f"{OWN}: two AD", port=465)
    assert [it.data for it in found.found] == [b"one"]


def test_one_unproven_address_makes_records_useless() -> None:
    found, _ = looked_up(f"{HOST} A: 192.0.2.1 AD", f"{HOST} AAAA: 2001:db8::1", f"{OWN}: one AD")
    assert not found.found
    assert found.unproven is not None


def test_an_unproven_record_is_none_for_senders() -> None:
    found, _ = looked_up(f"{HOST} A: 192.0.2.1 AD", f"{OWN}: one")
    assert not found.found
    assert found.unproven is not None
    assert found.unproven.exists


@pytest.mark.parametrize("status", ["SERVFAIL", "BOGUS", "TIMEOUT", "REFUSED", "MALFORMED", "TRUNCATED"])
def test_no_answer_about_records_matters_only_where_senders_ask(status: str) -> None:
    found, _ = looked_up(f"{HOST} A: 192.0.2.1 AD", f"{OWN}: {status}")
    assert found.doubt is not None
    assert found.unproven is None
    found, _ = looked_up(f"{HOST} A: 192.0.2.1", f"{OWN}: {status}")
    assert found.doubt is None
    assert found.unproven is not None


@pytest.mark.parametrize(
    ("answers", "base", "asked_last"),
    [
        ((f"{REAL}: one AD", f"{OWN}: two AD"), "real.example", "_real.example TLSA"),
        ((f"{OWN}: two AD",), HOST, f"_{HOST} TLSA"),
        ((f"{REAL}: one", f"{OWN}: two AD"), HOST, f"_{HOST} TLSA"),
        ((f"{REAL}: SERVFAIL", f"{OWN}: two AD"), "", "_real.example TLSA"),
        ((f"{REAL}: NXDOMAIN AD", f"{OWN}: NXDOMAIN"), "", f"_{HOST} TLSA"),
    ],
    ids=["first", "second", "unproven", "not answered", "none"],
)
def test_the_end_of_an_alias_comes_before_the_alias(answers: tuple[str, ...], base: str, asked_last: str) -> None:
    """RFC 7672 section 2.2.3; a failure is no reason to go on (section 2.1.2)."""
    found, asked = looked_up(f"{HOST} A: -> real.example 192.0.2.1 AD", *answers)
    assert (found.base, asked[-1]) == (base, asked_last)
    assert (found.doubt is not None) == ("SERVFAIL" in answers[0])


@pytest.mark.parametrize("proven", [True, False])
def test_records_of_an_alias_to_an_unproven_name_count_if_the_alias_is_proven(proven: bool) -> None:
    found, asked = looked_up(
        f"{HOST} A: -> real.example 192.0.2.1",
        f"{HOST} CNAME: real.example {'AD' if proven else ''}",
        f"{REAL}: one AD",
        f"{OWN}: two AD",
    )
    assert f"{HOST} CNAME" in asked
    assert found.base == (HOST if proven else "")


def test_half_of_the_addresses_leave_a_doubt_and_no_address_leaves_nothing_to_ask() -> None:
    found, _ = looked_up(f"{HOST} A: 192.0.2.1 AD", f"{HOST} AAAA: SERVFAIL", f"{OWN}: one AD")
    assert found.found
    assert found.doubt is not None
    found, asked = looked_up(f"{HOST} A: NXDOMAIN", f"{HOST} AAAA: NXDOMAIN", f"{OWN}: one AD")
    assert (found, asked) == (TlsaLookup(), [f"{HOST} A", f"{HOST} AAAA"])


def test_a_record_reads_as_it_is_written_in_a_zone() -> None:
    assert str(TLSA(3, 1, 1, b"\xab\x00")) == "3 1 1 ab00"
