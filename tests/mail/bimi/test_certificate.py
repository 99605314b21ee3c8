"""exporter/mail/bimi/certificate.py against draft-fetch-validation-vmc-wchuang sections 4 and 5."""

from __future__ import annotations

import gzip

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from exporter.demo import mark
from exporter.demo.mark import LOGO
from exporter.mail.bimi import certificate as bimi_certificate
from exporter.mail.bimi.certificate import LARGEST, MarkCertificate, NoCertificateError
from exporter.mail.certificate import CertificateSyntaxError

NOW = 1_780_000_000.0
DAY = 86400.0


def pem(name: str = "example.com", **kind: bool | float | str) -> bytes:
    return mark.page(mark.Mark("https://example.com/m.pem", name, **kind), NOW).body.encode()  # type: ignore[arg-type]  # fields of several types


def read(name: str = "example.com", **kind: bool | float | str) -> MarkCertificate:
    return bimi_certificate.parse(pem(name, **kind))


def test_the_facts_of_a_mark_certificate_are_read() -> None:
    found = read(begins=-1, expires=2)
    assert (found.leaf.not_before, found.leaf.not_after) == (NOW - DAY, NOW + 2 * DAY)
    assert found.leaf.issuer == "CN=demo mark authority"
    assert (found.for_marks, found.has_logo, found.first, found.issuer_sent) == (True, True, True, True)
    assert found.logo == LOGO.encode()


def test_what_is_amiss_is_told_one_by_one() -> None:
    assert not read(for_marks=False).for_marks
    assert not read(logotype=False).has_logo
    assert not read(chain=False).issuer_sent
    assert not read(last=True).first
    assert read(last=True).for_marks


@pytest.mark.parametrize(
    ("name", "domain", "covered"),
    [
        ("example.com", "example.com", True),
        ("example.com", "shop.example.com", True),
        ("shop.example.com", "shop.example.com", True),
        ("shop.example.com", "example.com", False),
        ("default._bimi.example.com", "example.com", True),
        ("default._bimi.example.com", "shop.example.com", True),
        ("sale._bimi.example.com", "example.com", False),
        ("com", "example.com", False),
        ("notexample.com", "example.com", False),
    ],
)
def test_it_is_for_the_domain_or_its_organisational_domain(name: str, domain: str, covered: bool) -> None:
    assert read(name).covers(domain) == covered


def test_the_logo_inside_is_compared_but_for_its_line_ends() -> None:
    text = LOGO.replace("><", ">\n<")
    certified = read(logo=text)
    assert certified.shows(text.encode()) is True
    assert certified.shows(text.replace("\n", "\r\n").encode() + b"\r\n") is True
    assert certified.shows(gzip.compress(text.encode())) is True
    assert certified.shows(text.replace("Example", "Other").encode()) is False


def test_what_cannot_be_compared_is_not_called_different() -> None:
    assert read().shows(b"<html/>") is None
    assert read(logotype=False).shows(LOGO.encode()) is None


def logotype(value: bytes) -> bytes:
    """A certificate whose extension has this value."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    at = x509.load_pem_x509_certificate(pem()).not_valid_before_utc
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, at, at)
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.12"), value)
    return builder.add_extension(extension, critical=False).sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x30",
        b"\x30\x80",
        b"\x16\x84\xff\xff\xff\xff",
        b"\x16\x20data:image/svg+xml;base64,AAAAAA",
        b"\x16\x1fdata:image/svg+xml;base64,H4sIAA==",
        b"\x16\x19data:image/svg+xml;base64",
        b"\x16\x18data:image/svg+xml,<svg/>",
        b"\x16\x1bhttps://b.example/logo.svg.gz",
    ],
)
def test_a_strange_logotype_is_there_all_the_same(value: bytes) -> None:
    found = bimi_certificate.parse(logotype(value))
    assert found.has_logo
    assert found.logo is None or LOGO.encode() != found.logo


@pytest.mark.parametrize("text", [b"", b"<!doctype html>", b"\x30\x82\x01\x00"])
def test_a_file_without_a_certificate_is_certainly_none(text: bytes) -> None:
    assert isinstance(bimi_certificate.examine(text), NoCertificateError)


@pytest.mark.parametrize(
    "text",
    [
        b"-----BEGIN CERTIFICATE-----",
        b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        pem(chain=False)[:-40],
        pem() + b"x" * LARGEST,
    ],
)
def test_one_that_cannot_be_read_here_is_another_matter(text: bytes) -> None:
    found = bimi_certificate.examine(text)
    assert isinstance(found, CertificateSyntaxError)
    assert not isinstance(found, NoCertificateError)
