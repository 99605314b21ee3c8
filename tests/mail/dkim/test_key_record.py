"""exporter/mail/dkim/key_record.py and keys.py against RFC 6376, RFC 8301, RFC 8463 and keys that others test with."""

from __future__ import annotations

import base64
import time
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.checks.dkim import dkim
from exporter.demo.nameserver import ZoneData
from exporter.engine.evaluate import evaluate
from exporter.facts import Verdict
from exporter.mail.dkim.key_record import DkimSyntaxError, KeyRecord, attempt, namespaces, parse
from exporter.mail.dkim.public_key import PublicKey
from exporter.mail.tag_list import LONGEST
from exporter.net import Net
from exporter.targets import Selector
from tests.support.clock import FakeClock
from tests.support.memory import MemoryResolver

VECTORS = Path(__file__).parents[3] / ".." / "shared" / "vectors" / "dkim"

RSA_KEY = rsa.generate_private_key(65537, 2048).public_key()
SPKI = RSA_KEY.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
PKCS1 = RSA_KEY.public_bytes(Encoding.DER, PublicFormat.PKCS1)
_SEED = bytes(32)  # not by chance: the key is in names of tests, which are the same in each process that runs some
RAW = ed25519.Ed25519PrivateKey.from_private_bytes(_SEED).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
CURVE = (
    ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
)


def b64(octets: bytes) -> bytes:
    return base64.b64encode(octets)


RSA_2048 = PublicKey("rsa", 2048, sha256(SPKI).hexdigest())
ED25519 = PublicKey("ed25519", 256, sha256(bytes.fromhex("302a300506032b6570032100") + RAW).hexdigest())  # RFC 8410
KEYS = [
    (b"p=" + b64(SPKI), RSA_2048),
    (b"v=DKIM1; k=rsa; p=" + b64(PKCS1), RSA_2048),
    (b"v=DKIM1; k=RSA; p=" + b64(SPKI)[:70] + b" \t\r\n " + b64(SPKI)[70:], RSA_2048),
    (b"v=DKIM1; k=ed25519; p=" + b64(RAW), ED25519),
    (b"v=DKIM1; k=Ed25519; p=" + b64(RAW), ED25519),
    (b"v=DKIM1; k=x; p=" + b64(RAW), None),
    (b"v=DKIM1; k=x; p=!", None),
    (b"v=DKIM1; p=", None),
]

BROKEN = [
    (b"", "there is no p= tag"),
    (b"v=DKIM1; k=rsa", "there is no p= tag"),
    (b"v=spf1 -all", "v='spf1 -all' at character 1 is not v=DKIM1"),
    (b"k=rsa; v=DKIM2; p=", "v='DKIM2' at character 8 is not v=DKIM1"),
    (b"v=DKIM1; p=; hello", "'hello' at character 14 is no tag=value"),
    (b"v=DKIM1; p=; p=", "the tag p= appears more than once"),
    (b"v=DKIM1; p=AA*A", "p= at character 10 is not base64"),
    (b"v=DKIM1; p=" + b64(SPKI)[:40] + b"*" + b64(SPKI)[40:], "p= at character 10 is not base64"),
    (b"v=DKIM1; p=AAA", "p= at character 10 is not base64"),
    (b"v=DKIM1; p=\xa0AAAA", "p= at character 10 is not base64"),
    (b"v=DKIM1; p=" + b64(SPKI[:-1]), "p= at character 10 is not a valid key: 293 bytes are not an RSA public key"),
    (b"v=DKIM1; p=" + b64(CURVE), "p= at character 10 is not a valid key: it is a key of another type"),
    (b"v=DKIM1; p=" + b64(RAW), "32 bytes are not an RSA public key"),
    (b"v=DKIM1; k=ed25519; p=" + b64(SPKI), "is not a valid key: 294 bytes, but an Ed25519 key has 32"),
    (b"p=" + b"A" * LONGEST, "65538 bytes are more than a key record can need"),
]


@pytest.mark.parametrize(("text", "key"), KEYS)
def test_a_key_is_decoded_by_its_type(text: bytes, key: PublicKey | None) -> None:
    assert parse(text).key == key


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_a_broken_record_is_refused_saying_where(text: bytes, message: str) -> None:
    with pytest.raises(DkimSyntaxError) as error:
        parse(text)
    assert message in str(error.value)
    assert isinstance(attempt(text), DkimSyntaxError)


@pytest.mark.parametrize(
    ("tags", "sha256", "email", "testing"),
    [
        (b"", True, True, False),
        (b"h=sha1;", False, True, False),
        (b"h=sha1:SHA256;", True, True, False),
        (b"h=;", False, True, False),
        (b"s=*;", True, True, False),
        (b"s=tlsrpt : email;", True, True, False),
        (b"s=tlsrpt;", True, False, False),
        (b"t=s;", True, True, False),
        (b"t=s:Y;", True, True, True),
        (b"H=sha1; S=tlsrpt; T=y; g=; n=x;", True, True, False),
    ],
)
def test_restrictions_and_flags(tags: bytes, sha256: bool, email: bool, testing: bool) -> None:
    record = parse(b"v=DKIM1; " + tags + b"p=" + b64(SPKI))
    assert (record.allows_sha256, record.for_email, record.testing) == (sha256, email, testing)


def test_only_a_version_behind_other_tags_is_misplaced() -> None:
    assert parse(b"p=").version_first
    assert parse(b"; v=DKIM1; p=").version_first
    assert not parse(b"p=; v=DKIM1").version_first


def test_revoked_and_unknown_are_different_things() -> None:
    assert parse(b"p= \t").revoked
    assert not parse(b"k=x; p=AAAA").revoked


@pytest.mark.parametrize(
    ("domain", "places"),
    [
        ("example.com", ["example.com"]),
        ("a.shop.example.co.uk", ["a.shop.example.co.uk", "shop.example.co.uk", "example.co.uk"]),
        ("com", ["com"]),
        ("com.pl", ["com.pl"]),
    ],
)
def test_keys_are_looked_for_up_to_what_is_registered(domain: str, places: list[str]) -> None:
    assert namespaces(domain) == tuple(f"_domainkey.{place}" for place in places)


def test_a_key_is_called_the_same_however_it_is_packed() -> None:
    titles = {record.key and record.key.title for record in map(parse, (b"p=" + b64(SPKI), b"t=y; p=" + b64(PKCS1)))}
    assert titles == {f"rsa, 2048 bits, SHA-256 {sha256(SPKI).hexdigest()}"}


# Examples of RFC 8463 appendix A.2; the RSA key is that of test.txt below.
def test_the_key_records_of_rfc_8463_are_read() -> None:
    key = parse(b"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=").key
    assert key
    assert (key.algorithm, key.bits) == ("ed25519", 256)


TEXTS = st.one_of(
    st.binary(max_size=400),
    st.text("vkphst=;: \tDKIM1rsaed25519AB+/", max_size=200).map(lambda text: text.encode()),
    st.binary(max_size=300).map(lambda octets: b"p=" + b64(octets)),
    st.binary(max_size=40).map(lambda octets: b"k=ed25519;p=" + b64(octets)),
    # Keys with a few octets changed reach deep into the decoder.
    st.tuples(st.sampled_from([SPKI, PKCS1, CURVE]), st.integers(0, 60), st.binary(min_size=1, max_size=4)).map(
        lambda change: b"p=" + b64(change[0][: change[1]] + change[2] + change[0][change[1] + len(change[2]) :])
    ),
)


@given(TEXTS)
@example(b"p=" + b64(SPKI))
def test_the_parser_raises_nothing_but_its_own_syntax_error(text: bytes) -> None:
    assert isinstance(attempt(text), KeyRecord | DkimSyntaxError)


@pytest.mark.parametrize(
    "text",
    [b";" * LONGEST, b"a=1;" * (LONGEST // 4), b"p=" + b"A" * (LONGEST - 2), b"=" * LONGEST, b"p=" + b" " * 65000],
)
def test_the_longest_texts_cost_no_more_than_a_moment(text: bytes) -> None:
    began = time.process_time()
    attempt(text)
    assert time.process_time() - began < 0.5


# The keys of other implementations' test suites, and what must come of each.
VERDICTS = {
    "test.txt": ["dkim.weak"],
    "test_bad.txt": ["dkim.syntax"],
    "test_tlsrpt.txt": ["dkim.not-for-email", "dkim.weak"],
    "badk.txt": ["dkim.unknown-key-type"],
    "badversion.txt": ["dkim.syntax"],
    "1024_testkey_wo_markers.pub.txt": ["dkim.weak"],
    "1024_testkey_wo_markers.pub.rsa.txt": ["dkim.weak"],
    "2048_testkey_wo_markers.pub.txt": [],
    "2048_testkey_wo_markers.pub.rsa.txt": [],
    "2048_testkey_PKCS8.key.pub.txt": [],
    "ed25519test.dns": ["dkim.ed25519"],
    "eximtest.dns": ["dkim.ed25519"],
}


@pytest.mark.skipif(not VECTORS.is_dir(), reason="the shared DKIM vectors are not beside this checkout")
@pytest.mark.parametrize("name", VERDICTS)
async def test_keys_that_others_test_with_get_the_right_verdict(name: str) -> None:
    text = (VECTORS / name).read_text().strip()
    strings = " ".join(f'"{text[i : i + 255]}"' for i in range(0, len(text), 255))
    net = Net(MemoryResolver(ZoneData(f"s._domainkey.example.com. TXT {strings}\n")), FakeClock())
    target = Selector(domain="example.com", selector="s", signer="example.com")
    outcome = await evaluate(dkim, target, lambda: net, FakeClock())
    assert sorted(finding.id for finding in outcome.findings) == VERDICTS[name]
    fails = any(finding.severity.fails for finding in outcome.findings)
    assert outcome.verdict is (Verdict.FAIL if fails else Verdict.PASS)


@pytest.mark.skipif(not VECTORS.is_dir(), reason="the shared DKIM vectors are not beside this checkout")
def test_no_vector_is_left_out() -> None:
    assert {path.name for path in VECTORS.glob("*.txt")} | {path.name for path in VECTORS.glob("*.dns")} == set(
        VERDICTS
    )
