"""Faults of what takes mail: MX records, mail hosts and their TLS, DANE, MTA-STS, TLS reports."""

from __future__ import annotations

from typing import Any

from tests.worlds.sick.fault import Fault

AT = "acme-lab.com"
HOST, OTHER = "mail.acme-lab.com", "mx2.acme-lab.com"
TLSA = "_25._tcp.mail TLSA"
THIS_KEY = "3 1 1 62131d7e11a651973c00151fdfef1c10cfd0e7d3fddf5c8584f7a31aceefb77c"
ISSUER = "2 1 1 9838d802ff570c9106aa9b8317314581a0d096716abc95ee5b41cc05271ad28a"
STRANGE = "3 1 1 00000000000000000000000000000000000000000000000000000000000000ff"
POLICY = "mta-sts.acme-lab.com/.well-known/mta-sts.txt"
SIGNED = (
    "acme-lab.com. MX",
    "mail.acme-lab.com. *",
    "mx2.acme-lab.com. *",
    "_25._tcp.mail.acme-lab.com. *",
)
BOTH = "10 mail.acme-lab.com.\n20 mx2.acme-lab.com."

NOT_OURS = {f"spf_sender.not-authorised {AT}": "no policy is there to authorise it"}
NOT_THEIRS = {f"spf_sender.include-missing {AT}": "no policy is there to include it"}
NO_REPORTS = {f"dmarc.rua-undeliverable {AT}": "reports go to the domain itself"}
NOT_LISTED = {f"mta_sts.mx-not-listed {AT}": "the policy names hosts of the domain alone"}
PROMISED = {f"mta_sts.certificate {AT}": "the policy promises what fails here"}
GONE = (
    "dkim.missing",
    "dmarc.missing",
    "registration.not-registered",
    "spf.missing",
    "spf_sender.not-authorised",
    "tls_rpt.missing",
    "zone.no-such-domain",
)


def mx(rule: str, records: str, called: str = "", **more: Any) -> Fault:
    zone = {"@ MX": records, **more.pop("zone", {})}
    return Fault(finds=f"mx.{rule} {AT}", zone=zone, called=called, **more)


def tls(rule: str, words: str, called: str = "", **more: Any) -> Fault:
    """At the second mail host, which has no TLSA records."""
    return Fault(finds=f"smtp_tls.{rule} {OTHER}", smtp={OTHER: words}, called=called, **more)


def policy(rule: str, old: str, new: str, **more: Any) -> Fault:
    return Fault(finds=f"mta_sts.{rule} {AT}", text={old: new}, **more)


FAULTS = [
    Fault(
        finds="mx.no-such-domain gone-acme.com",
        config={"domains:\n": "domains:\n  - {name: gone-acme.com, senders: [own], dkim_selectors: [s1]}\n"},
        follows={rule + " gone-acme.com": "nothing is at or below a name that does not exist" for rule in GONE},
    ),
    Fault(
        finds=f"mx.no-such-sender {AT}",
        config={"    senders: [own, provider]": "    senders: [own, provider]\n    mail_from: [bounce.acme-lab.com]"},
        follows={f"spf.missing {AT}": "nothing is there"} | NOT_OURS | NOT_THEIRS,
    ),
    mx("nowhere", "", follows=NO_REPORTS),
    mx("null", "0 .", follows=NO_REPORTS | {f"mx.null-sender {AT}": "it is the envelope domain as well"}),
    Fault(
        finds=f"mx.null-sender {AT}",
        config={"    senders: [own, provider]": "    senders: [own, provider]\n    mail_from: [bounce.acme-lab.com]"},
        zone={
            "bounce MX": "0 .",
            "bounce TXT": '"v=spf1 ip4:88.99.40.10 ip6:2a01:4f8:10a:40::2 include:spf.provider-mail.net -all"',
        },
    ),
    mx(
        "implicit",
        "",
        zone={"@ A": "88.99.40.10", "@ AAAA": "2a01:4f8:10a:40::2"},
        follows={
            f"mta_sts.mx-not-listed {AT}": "the policy names hosts below it",
            f"mta_sts.pattern-unused {AT}": "the policy names hosts below it",
            f"smtp_tls.certificate-name {AT}": "the certificate is for mail.acme-lab.com",
        },
    ),
    mx("null-beside-others", f"{BOTH}\n0 ."),
    Fault(finds="mx.unwanted acme-parked.net", zone={"acme-parked.net. MX": "10 mx2.acme-lab.com."}),
    mx("is-address", f"{BOTH}\n30 88.99.40.10.", follows=NOT_LISTED),
    mx("bad-name", f"{BOTH}\n30 mail_in.acme-lab.com.", zone={"mail_in A": "88.99.40.10"}),
    mx("dangling", f"{BOTH}\n30 gone.acme-lab.com."),
    mx("verification-leftover", f"{BOTH}\n30 ms12345678.msv1.invalid."),
    mx("no-address", f"{BOTH}\n30 text.acme-lab.com.", zone={"text TXT": '"no address"'}),
    mx("not-public", f"{BOTH}\n30 inside.acme-lab.com.", zone={"inside A": "10.0.0.9"}),
    mx(
        "alias",
        f"{BOTH}\n30 alias.acme-lab.com.",
        zone={"alias CNAME": "mx2.acme-lab.com."},
        follows=PROMISED | {"smtp_tls.certificate-name alias.acme-lab.com": "the certificate is for mx2"},
    ),
    Fault(finds="mx.null-preference acme-parked.net", zone={"acme-parked.net. MX": "10 ."}),
    mx("duplicate", f"{BOTH}\n30 mx2.acme-lab.com."),
    mx("single", "10 mail.acme-lab.com."),
    mx(
        "same-address",
        BOTH,
        zone={"mx2 A": "88.99.40.10", "mx2 AAAA": "2a01:4f8:10a:40::2"},
        follows=PROMISED | {f"smtp_tls.certificate-name {OTHER}": "the certificate is for mail.acme-lab.com"},
    ),
    mx(
        "no-ipv6",
        "10 mx2.acme-lab.com.\n20 mx3.acme-lab.com.",
        zone={"mx3 A": "185.12.41.12", "@ TXT": '"v=spf1 a:mail.acme-lab.com include:spf.provider-mail.net -all"'},
        lines="; smtp: 185.12.41.12:25 name=mx3.acme-lab.com",
    ),
    mx(
        "documentation-address",
        f"{BOTH}\n30 copied.acme-lab.com.",
        zone={"copied A": "203.0.113.25"},
    ),
    mx(
        "documentation-address",
        f"{BOTH}\n30 copied.acme-lab.com.",
        "beside-a-real-one",
        zone={"copied A": "203.0.113.25\n185.12.41.12"},
        lines="; smtp: 185.12.41.12:25 name=copied.acme-lab.com",
    ),
    mx(
        "too-many",
        "\n".join([BOTH, *(f"30 m{n}.acme-lab.com." for n in range(29))]),
        follows={f"mx.dangling {AT}": "a probe of thirty hosts would take long, so the others do not exist"},
    ),
    tls("refused", "fault=refused", follows={f"mx.host-unreachable {AT}": "the domain is told of its host"}),
    tls("rejected", "fault=rejects"),
    tls("no-smtp", "fault=no-smtp"),
    tls("no-starttls", "starttls=no", follows=PROMISED),
    tls("tls-fails", "fault=tls-alert", follows=PROMISED),
    tls("starttls-injection", "fault=injected"),
    tls("obsolete-only", "tls=1.0-1.1", follows=PROMISED),
    tls("obsolete-version", "tls=1.0-1.3"),
    tls("certificate-expired", "certificate=expired", follows=PROMISED),
    tls("certificate-not-yet-valid", "certificate=early", follows=PROMISED),
    tls("certificate-expiring", "certificate=expiring"),
    tls("certificate-name", "certificate=wrong-name", follows=PROMISED),
    tls("certificate-self-signed", "certificate=self-signed", follows=PROMISED),
    tls("certificate-untrusted", "certificate=untrusted", follows=PROMISED),
    tls("certificate-weak", "certificate=weak"),
    tls("certificate-issuer-expired", "certificate=issuer-expired", follows=PROMISED),
    tls("certificate-issuer-weak", "certificate=issuer-weak", follows=PROMISED),
    tls("certificate-issuer-no-authority", "certificate=issuer-no-authority", follows=PROMISED),
    tls("certificate-issuer-constrained", "certificate=issuer-constrained", follows=PROMISED),
    tls("certificate-purpose", "certificate=for-clients", follows=PROMISED),
    tls(
        "inspected",
        "fault=inspected",
        follows=PROMISED | {f"smtp_tls.no-starttls {OTHER}": "the firewall has crossed the offer out"},
    ),
    tls("outdated-ciphers", "fault=old-exchange"),
    tls(
        "starttls-command-injection",
        "fault=obeys-clear-text",
        config={"domains:\n": "mail_hosts:\n  - {host: mx2.acme-lab.com}\ndomains:\n"},
    ),
    tls("no-size", "size=none"),
    Fault(
        finds="smtp_tls.no-address submit.acme-lab.com",
        config={"domains:\n": "mail_hosts:\n  - {host: submit.acme-lab.com, port: 587}\ndomains:\n"},
    ),
    Fault(finds=f"dane.mismatch {HOST}", zone={TLSA: STRANGE}),
    Fault(
        finds=f"dane.no-starttls {HOST}",
        smtp={HOST: "starttls=no"},
        follows=PROMISED | {f"smtp_tls.no-starttls {HOST}": "that is how it looks without TLSA"},
    ),
    Fault(
        finds=f"dane.tls-fails {HOST}",
        smtp={HOST: "fault=tls-alert"},
        follows=PROMISED | {f"smtp_tls.tls-fails {HOST}": "that is how it looks without TLSA"},
    ),
    Fault(
        finds=f"dane.wrong-name {HOST}",
        zone={TLSA: ISSUER},
        smtp={HOST: "certificate_name=elsewhere.acme-lab.com"},
        follows=PROMISED | {f"smtp_tls.certificate-name {HOST}": "that is how it looks without TLSA"},
    ),
    Fault(
        finds=f"dane.unusable {HOST}",
        zone={TLSA: "1 1 1 62131d7e11a651973c00151fdfef1c10cfd0e7d3fddf5c8584f7a31aceefb77c"},
    ),
    Fault(
        finds=f"dane.bad-record {HOST}",
        zone={TLSA: f"{THIS_KEY}\n{ISSUER}\n9 1 1 00000000000000000000000000000000000000000000000000000000000000ff"},
    ),
    Fault(finds=f"dane.stale-record {HOST}", zone={TLSA: f"{THIS_KEY}\n{ISSUER}\n{STRANGE}"}),
    Fault(finds=f"dane.no-rollover {HOST}", zone={TLSA: THIS_KEY}),
    Fault(
        finds=f"dane.mx-not-signed {AT}",
        text={"; signed: acme-lab.com. MX\n": ""},
        zone={"@ DS": "", "@ DNSKEY": "", "@ RRSIG": ""},
        follows={f"zone.unsigned {AT}": "that is why"},
    ),
    Fault(
        finds=f"dane.not-signed {HOST}",
        text={f"; signed: {it}\n": "" for it in SIGNED},
        zone={"@ DS": "", "@ DNSKEY": "", "@ RRSIG": ""},
        follows={f"zone.unsigned {AT}": "that is why"},
    ),
    Fault(finds=f"dane.unproven {HOST}", text={"; signed: _25._tcp.mail.acme-lab.com. *\n": ""}),
    policy("mx-not-listed", "mx:\\x20*.acme-lab.com", "mx:\\x20mail.acme-lab.com"),
    Fault(
        finds=f"mta_sts.certificate {AT}",
        smtp={OTHER: "certificate=self-signed"},
        follows={f"smtp_tls.certificate-self-signed {OTHER}": "it is the same fault, seen at the host"},
    ),
    Fault(finds=f"mta_sts.multiple-records {AT}", zone={"_mta-sts TXT": '"v=STSv1; id=1"\n"v=STSv1; id=2"'}),
    Fault(finds=f"mta_sts.syntax {AT}", zone={"_mta-sts TXT": '"v=STSv1; id=not-a-word"'}),
    Fault(
        finds=f"mta_sts.at-apex {AT}",
        zone={"_mta-sts TXT": "", "@ TXT": '"v=spf1 mx include:spf.provider-mail.net -all"\n"v=STSv1; id=1"'},
    ),
    Fault(finds=f"mta_sts.dangling-cname {AT}", zone={"_mta-sts TXT": "", "_mta-sts CNAME": "sts.gone.net."}),
    policy(
        "policy-unreachable",
        f"; web: https://{POLICY}",
        "; web: https://brand.acme-lab.com/nothing",
        zone={"mta-sts A": ""},
    ),
    policy("policy-certificate", f"{POLICY} body", f"{POLICY} certificate=wrong-name body"),
    policy("policy-redirected", f"{POLICY} body", f"{POLICY} status=301 location=https://brand.acme-lab.com/p body"),
    policy("policy-missing", f"{POLICY} body", f"{POLICY} status=404 body"),
    policy("policy-too-large", "max_age:\\x20604800", "max_age:\\x20604800\\x0anote:\\x20" + 70_000 * "x"),
    policy("policy-type", f"{POLICY} body", f"{POLICY} type=text/html body"),
    policy("policy-syntax", "version:\\x20STSv1", "version:\\x20STSv2"),
    policy("policy-testing", "mode:\\x20enforce", "mode:\\x20testing"),
    policy("short-max-age", "max_age:\\x20604800", "max_age:\\x203600"),
    policy("policy-none", "mode:\\x20enforce", "mode:\\x20none"),
    policy("pattern-unused", "max_age", "mx:\\x20old.acme-lab.com\\x0amax_age"),
    Fault(
        finds=f"tls_rpt.at-apex {AT}",
        zone={
            "_smtp._tls TXT": "",
            "@ TXT": '"v=spf1 mx include:spf.provider-mail.net -all"\n"v=TLSRPTv1; rua=mailto:tls@acme-lab.com"',
        },
    ),
    Fault(finds=f"tls_rpt.dangling-cname {AT}", zone={"_smtp._tls TXT": "", "_smtp._tls CNAME": "tls.gone.net."}),
    Fault(
        finds=f"tls_rpt.multiple-records {AT}",
        zone={"_smtp._tls TXT": '"v=TLSRPTv1; rua=mailto:a@acme-lab.com"\n"v=TLSRPTv1; rua=mailto:b@acme-lab.com"'},
    ),
    Fault(finds=f"tls_rpt.syntax {AT}", zone={"_smtp._tls TXT": '"v=TLSRPTv1; nonsense"'}),
    Fault(finds=f"tls_rpt.bad-uri {AT}", zone={"_smtp._tls TXT": '"v=TLSRPTv1; rua=ftp://acme-lab.com/"'}),
    Fault(finds=f"tls_rpt.missing {AT}", zone={"_smtp._tls TXT": ""}),
]
