"""All parsers of exporter/mail that read what strangers write, in one form: octets in, one kind of error out."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address
from typing import NamedTuple

from exporter.explain import bounce, families, smtp_status
from exporter.mail import certificate, generic_rdns, helo, mailbox, mta_sts, names, rdap, smtp, tag_list, tls, tls_rpt
from exporter.mail.bimi import certificate as bimi_certificate
from exporter.mail.bimi import logo as bimi_logo
from exporter.mail.bimi import record as bimi
from exporter.mail.dane import chain as dane_chain
from exporter.mail.dkim import key_record as dkim
from exporter.mail.dmarc import record as dmarc
from exporter.mail.policy_txt import PolicyTxtSyntaxError
from exporter.mail.spf import macro as spf_macro
from exporter.mail.spf import record as spf_record

LONGEST = 64 * 1024  # octets given to any of them
_CLIENT = IPv4Address("192.0.2.1")
_ROOTS = certificate.Roots()


class Parser(NamedTuple):
    read: Callable[[bytes], object]
    error: type[ValueError] | None  # the only one that it may raise


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


def _smtp(octets: bytes) -> None:
    incoming = smtp.Incoming()
    for start in range(0, len(octets), 1000):
        incoming.feed(octets[start : start + 1000])
        while reply := incoming.take():
            smtp.size_limit(smtp.extensions(reply))
            assert str(reply)


def _helo(octets: bytes) -> None:
    said = helo.parse(_text(octets))
    assert said.well_formed or all(fault.where for fault in said.faults)
    assert said.repaired != ""


def _refusal(octets: bytes) -> None:
    for report in bounce.read(octets).reports:
        reply = report.attempt.reply
        assert reply.status is None or smtp_status.meaning(reply.status)
        assert reply.code is None or smtp_status.reply_meaning(reply.code)


def _macro(octets: bytes) -> None:
    found = spf_macro.macro_string(_text(octets), explanation=True)
    spf_macro.query_name(found.target(dict.fromkeys("slodiphcrtv", "a.b-c")))


def _bimi(octets: bytes) -> None:
    url = bimi.parse(octets).location or ""
    bimi.url_fault(url)
    bimi.picture_suffix(url)


PARSERS = {
    "bimi": Parser(_bimi, bimi.BimiSyntaxError),
    "bimi_certificate": Parser(bimi_certificate.parse, certificate.CertificateSyntaxError),
    "bimi_logo": Parser(lambda octets: bimi_logo.read(octets).sides, bimi_logo.LogoSyntaxError),
    "certificate": Parser(lambda octets: _ROOTS.examine((octets,), 0), certificate.CertificateSyntaxError),
    "dane_chain": Parser(dane_chain.key, certificate.CertificateSyntaxError),
    "dkim": Parser(dkim.parse, dkim.DkimSyntaxError),
    "dmarc": Parser(dmarc.parse, dmarc.DmarcSyntaxError),
    "generic": Parser(lambda octets: generic_rdns.signs(_text(octets)[: names.LONGEST_NAME], _CLIENT), None),
    "helo": Parser(_helo, None),
    "mailbox": Parser(lambda octets: mailbox.parse(_text(octets)), mailbox.MailboxSyntaxError),
    "mailbox slip": Parser(lambda octets: mailbox.meant(_text(octets)[: names.LONGEST_NAME]), None),
    "mta_sts": Parser(lambda octets: mta_sts.parse(octets).matching("mx.example.com"), PolicyTxtSyntaxError),
    "mta_sts record": Parser(mta_sts.policy_id, PolicyTxtSyntaxError),
    "names": Parser(lambda octets: names.canonical(_text(octets), underscores=True), ValueError),
    "names address": Parser(lambda octets: names.as_address(_text(octets)), None),
    "rdap": Parser(lambda octets: rdap.registration(octets, "example.com"), rdap.RdapSyntaxError),
    "rdap bootstrap": Parser(rdap.bootstrap, rdap.RdapSyntaxError),
    "refusal": Parser(_refusal, None),
    "refusal known": Parser(lambda octets: families.known(_text(octets)), families.RefusalSyntaxError),
    "smtp": Parser(_smtp, smtp.ReplySyntaxError),
    "spf_macro": Parser(_macro, spf_macro.SpfSyntaxError),
    "spf_macro domain": Parser(lambda octets: spf_macro.domain_spec(_text(octets)), spf_macro.SpfSyntaxError),
    "spf_macro name": Parser(lambda octets: spf_macro.query_name(_text(octets)), None),
    "spf_record": Parser(spf_record.parse, spf_macro.SpfSyntaxError),
    "tags": Parser(tag_list.read, None),
    "tls_rpt": Parser(tls_rpt.parse, PolicyTxtSyntaxError),
    "tls": Parser(lambda octets: tls.judge(tls.Version.TLS_1_2, octets), None),
}

_SVG = b'<svg xmlns="http://www.w3.org/2000/svg">'

# What a parser wants to see before it looks further, and the words that lead it into its corners.
HEADS: dict[str, tuple[bytes, ...]] = {
    "bimi": (b"v=BIMI1;", b"v=BIMI1;l=", b"v=BIMI1;l=https://a.b/", b"v=BIMI1;a="),
    "bimi_certificate": (b"-----BEGIN CERTIFICATE-----\n", b"-----BEGIN CERTIFICATE-----\nMIIC", b""),
    "bimi_logo": (_SVG, _SVG + b"<g a='", b"<!DOCTYPE svg [", b"\x1f\x8b\x08"),
    "dkim": (b"", b"p=;", b"v=DKIM1; p="),
    "dmarc": (b"v=DMARC1;", b"v=DMARC1;rua=", b"v=DMARC1;p=none;fo="),
    "mta_sts": (b"", b"version:STSv1\nmode:none\nmax_age:1\n", b"version:STSv1\nmode:enforce\nmax_age:1\nmx:"),
    "mta_sts record": (b"v=STSv1;", b"v=STSv1;id="),
    "rdap": (b"", b'{"objectClassName":"domain","ldhName":"example.com",'),
    "rdap bootstrap": (b"", b'{"services":['),
    "refusal known": (b"", b"Gmail: 550 5.7.1 "),
    "spf_record": (b"v=spf1 ", b"v=spf1 a:", b"v=spf1 x=", b"v=spf1 ip6:"),
    "tls_rpt": (b"v=TLSRPTv1;", b"v=TLSRPTv1;rua=", b"v=TLSRPTv1;rua=mailto:a@"),
    "tls": (b"", b"\x16\x03\x03\x00\x40\x02\x00\x00\x3c\x03\x03", b"\x15\x03"),
    "certificate": (b"\x30\x82", b""),
    "dane_chain": (b"\x30\x82", b"\x30\x20\x30\x1e\x02\x01\x01"),
}
_BLANK_BETWEEN = """
    a . - _ / : ; = , ! @ % { } [ ] " \\ < > 0 1 9 x é ß \u3002 \u200d \xa0 \u202e \U0001f600 \udc80 \0
    a: mx ptr include: exists: redirect= exp= ip4: ip6: all v=spf1 %{d} %{l1r-} %% %_ /24 //64 .com 1.2.3.4 ::1
    v=DKIM1; k=rsa; k=ed25519; p= h=sha256 t=y:s v=DMARC1; p=reject; rua=mailto: https:// !10m pct= fo=1:d AAAA
    250- 250 550 5.7.1 421 STARTTLS [IPv6: [192.0.2.1] xn-- a.b[1.2.3.4] gmail.con mailto: ip-10-0-0-1.
    v=STSv1; id=1 version:STSv1 mode:enforce mx:*.b.c max_age:604800 v=TLSRPTv1; rua=https://a.b/
    {} [] {"events":[ "eventAction":"expiration" "eventDate":"2026-01-01T00:00:00Z" null true 1e9
    <g> </g> <title> <a/> &amp; url( url(' </svg> <!ENTITY ]> -----END
    \x16\x03\x03 \x15\x03\x03\0\x02\x02\x46 \x02\0\0\x26 \x30\x82\x01\0 \x02\x01\x01
"""
WORDS = tuple(
    word.encode("utf-8", "surrogateescape")
    for word in (
        *filter(None, _BLANK_BETWEEN.replace("\n", " ").split(" ")),
        "\r\n",
        "\n",
        "\t",
        " said: ",
        "in reply to ",
        "550 ",
    )
)
