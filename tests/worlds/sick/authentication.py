"""Faults of what authenticates mail: SPF, DKIM, DMARC."""

from __future__ import annotations

import re
from typing import Any

from tests.support.scenario import HOME
from tests.worlds.sick.fault import ZONE, Fault

AT = "acme-lab.com"
PARKED = "acme-parked.net"
KEY = "s1._domainkey TXT"
(GOOD_KEY,) = (line.split("TXT", 1)[1].strip() for line in ZONE.splitlines() if line.startswith("s1._domainkey."))
BITS_1024 = (
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCgaUD/xyO5T0bDcYEwbkcS1O0XDEPvT4OET4WHn5Dr"
    "vES+THfGVa0pps0X+wb/CN8T1bM659c7BSvT4s4CntJZUTbrz7GyrQkArgj2llKkCbijZxqrSp8SqtVF"
    "IsbENtSlAcFhy1+nZyL8bm5cGJm27yGIwPlrsqEeAHwqyOvtbwIDAQAB"
)
BITS_512 = (
    "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAOz4lJb8z2y5x4vYI7PqJpZzAeJ2kBVlcmxGjTTj3a2bW2Jt"
    "2nLzB4Ftm2L8cYq8yLZl5mG8TQpZ3eYyWl0xCj8CAwEAAQ=="
)

BITS_8192 = " ".join(re.findall(r'"[^"]+"', (HOME / "dkim" / "very-long.zone").read_text()))  # takes long to make
ED25519 = '"v=DKIM1; k=ed25519; p=FYp4tnRdwbG+Lp7G8brlkNJe4n0ZNcfcouo3PHYH1Ag="'


def spf(rule: str, record: str, called: str = "", **more: Any) -> Fault:
    zone = {"@ TXT": record, **more.pop("zone", {})}
    return Fault(finds=f"spf.{rule} {AT}", zone=zone, called=called, **more)


def key(rule: str, old: str, new: str, called: str = "", **more: Any) -> Fault:
    assert old in GOOD_KEY
    return Fault(finds=f"dkim.{rule} {AT}", zone={KEY: GOOD_KEY.replace(old, new)}, called=called, **more)


def dmarc(rule: str, record: str, called: str = "", **more: Any) -> Fault:
    zone = {"_dmarc TXT": record, **more.pop("zone", {})}
    return Fault(finds=f"dmarc.{rule} {AT}", zone=zone, called=called, **more)


INCLUDE = "include:spf.provider-mail.net"
SENDERS = "senders: [own, provider]"
SELECTORS = "dkim_selectors: [s1, {selector: s0, retired: true}]"
THEIR_KEY = {"s1._domainkey.provider-mail.net. TXT": GOOD_KEY}
BOUNCES = {
    "bounce TXT": f'"v=spf1 ip4:88.99.40.10 ip6:2a01:4f8:10a:40::2 {INCLUDE} -all"',
    "bounce MX": "10 mx2.acme-lab.com.",
}
RUA = "rua=mailto:dmarc@acme-lab.com"
PASSES_NOBODY = {
    f"spf_sender.not-authorised {AT}": "without a policy nobody passes",
    f"spf_sender.include-missing {AT}": "without a policy nothing is included",
}
OPEN = {f"spf.open-ended {AT}": "?all refuses nobody"}
NO_LOGO = {f"bimi.dmarc-too-weak {AT}": "a logo needs a policy that is enforced"}
NO_POLICY = NO_LOGO | {f"dmarc.missing {AT}": "no record is left that counts"}

FAULTS = [
    spf("multiple-records", f'"v=spf1 mx {INCLUDE} -all"\n"v=spf1 a -all"', follows=PASSES_NOBODY),
    spf("syntax-error", f'"v=spf1 mx {INCLUDE} ipv4:192.0.2.1 -all"', follows=PASSES_NOBODY),
    Fault(finds=f"spf_sender.not-authorised {AT}", zone={"@ TXT": f'"v=spf1 {INCLUDE} -all"'}),
    Fault(finds=f"spf_sender.softfail {AT}", zone={"@ TXT": f'"v=spf1 {INCLUDE} ~all"'}),
    Fault(finds=f"spf_sender.neutral {AT}", zone={"@ TXT": f'"v=spf1 {INCLUDE} ?all"'}, follows=OPEN),
    Fault(finds=f"spf_sender.include-missing {AT}", zone={"@ TXT": '"v=spf1 mx -all"'}),
    spf("missing", '"site-verification=1"', follows=PASSES_NOBODY),
    spf(
        "lookalike",
        f'" v=spf1 mx {INCLUDE} -all"',
        follows=PASSES_NOBODY | {f"spf.missing {AT}": "it is none"},
    ),
    spf(
        "too-many-lookups",
        '"v=spf1 mx include:spf.provider-mail.net " "' + " ".join(f"a:i{n}.acme-lab.com" for n in range(10)) + ' -all"',
        zone={f"i{n} A": "185.12.51.1" for n in range(10)},
    ),
    spf(
        "near-lookup-limit",
        '"v=spf1 mx include:spf.provider-mail.net '
        + " ".join(f"include:i{n}.acme-lab.com" for n in range(7))
        + ' -all"',
        zone={f"i{n} TXT": '"v=spf1 ip4:185.12.51.1 -all"' for n in range(7)},
    ),
    spf("too-many-void-lookups", f'"v=spf1 mx {INCLUDE} a:g1.acme-lab.com a:g2.acme-lab.com a:g3.acme-lab.com -all"'),
    spf(
        "too-many-mx",
        f'"v=spf1 mx {INCLUDE} mx:many.acme-lab.com -all"',
        zone={"many MX": "\n".join(f"{n} m{n}.acme-lab.com." for n in range(11))}
        | {f"m{n} A": f"185.12.52.{n}" for n in range(11)},
    ),
    spf("include-without-record", f'"v=spf1 mx {INCLUDE} include:gone.acme-lab.com -all"'),
    spf(
        "include-broken",
        f'"v=spf1 mx {INCLUDE} include:broken.acme-lab.com -all"',
        zone={"broken TXT": '"v=spf1 ipv4:1 -all"'},
    ),
    spf(
        "loop",
        f'"v=spf1 mx {INCLUDE} include:loop.acme-lab.com -all"',
        zone={"loop TXT": '"v=spf1 include:loop.acme-lab.com -all"'},
    ),
    spf("impossible-name", f'"v=spf1 mx {INCLUDE} a:{"x" * 64}.acme-lab.com -all"'),
    spf("allows-everyone", f'"v=spf1 mx {INCLUDE} +all"'),
    spf("open-ended", f'"v=spf1 mx {INCLUDE}"'),
    spf("ptr", f'"v=spf1 mx {INCLUDE} ptr -all"'),
    spf("terms-after-all", f'"v=spf1 mx {INCLUDE} -all a"'),
    spf("redirect-ignored", f'"v=spf1 mx {INCLUDE} -all redirect=spf.provider-mail.net"'),
    spf("mistaken-modifier", f'"v=spf1 mx {INCLUDE} include=spf.provider-mail.net -all"'),
    spf(
        "too-long",
        " ".join(
            f'"{part}"'
            for part in (
                "v=spf1 mx include:spf.provider-mail.net ",
                *(f"ip4:185.12.53.{n} " for n in range(30)),
                "-all",
            )
        ),
    ),
    Fault(finds=f"spf.obsolete-type {AT}", zone={"@ SPF": f'"v=spf1 mx {INCLUDE} -all"'}),
    spf("unknown-modifier", f'"v=spf1 mx {INCLUDE} note=x -all"'),
    spf("explanation-missing", f'"v=spf1 mx {INCLUDE} -all exp=why.acme-lab.com"'),
    spf("sender-id", f'"v=spf1 mx {INCLUDE} -all"\n"spf2.0/pra mx -all"'),
    Fault(finds=f"spf.parked-without-record {PARKED}", zone={"acme-parked.net. TXT": ""}),
    Fault(finds=f"spf.parked-not-closed {PARKED}", zone={"acme-parked.net. TXT": '"v=spf1 mx ~all"'}),
    Fault(finds=f"dkim.missing {AT}", zone={KEY: ""}),
    Fault(finds=f"dkim.dangling-cname {AT}", zone={KEY: "", "s1._domainkey CNAME": "s1.gone.net."}),
    key("syntax", "p=MII", "p=!MII"),
    key("unknown-key-type", "k=rsa", "k=dsa"),
    Fault(finds=f"dkim.revoked {AT}", zone={KEY: '"v=DKIM1; k=rsa; p="'}),
    key("no-sha256", "k=rsa;", "k=rsa; h=sha1;"),
    key("not-for-email", "k=rsa;", "k=rsa; s=tlsrpt;"),
    Fault(finds=f"dkim.too-short {AT}", zone={KEY: f'"v=DKIM1; k=rsa; p={BITS_512}"'}),
    Fault(finds=f"dkim.weak {AT}", zone={KEY: f'"v=DKIM1; k=rsa; p={BITS_1024}"'}),
    Fault(finds=f"dkim.several-records {AT}", zone={KEY: f'{GOOD_KEY}\n"v=DKIM1; k=rsa; p="'}),
    key("version-not-first", "v=DKIM1; k=rsa;", "k=rsa; v=DKIM1;"),
    Fault(finds=f"dkim.retired-still-published {AT}", zone={"s0._domainkey TXT": GOOD_KEY}),
    key("testing", "k=rsa;", "k=rsa; t=y;"),
    Fault(
        finds=f"dkim.no-keys {AT}",
        zone={KEY: ""},
        config={"    dkim_selectors: [s1, {selector: s0, retired: true}]\n": ""},
    ),
    Fault(
        finds=f"dkim.selectors-unknown {AT}",
        config={"    dkim_selectors: [s1, {selector: s0, retired: true}]\n": ""},
    ),
    Fault(
        finds=f"dmarc.cannot-align {AT}",
        config={
            "dkim_selectors: [s1, {selector: s0, retired: true}]": (
                "dkim_selectors: [{selector: s1, domain: provider-mail.net}]\n    mail_from: [bounce.provider-mail.net]"
            )
        },
        zone={"s1._domainkey.provider-mail.net. TXT": GOOD_KEY}
        | {"bounce.provider-mail.net. TXT": f'"v=spf1 ip4:88.99.40.10 ip6:2a01:4f8:10a:40::2 {INCLUDE} -all"'}
        | {"bounce.provider-mail.net. MX": "10 mx2.acme-lab.com."},
    ),
    dmarc("missing", "", follows=NO_LOGO),
    dmarc("at-apex", "", zone={"@ TXT": f'"v=spf1 mx {INCLUDE} -all"\n"v=DMARC1; p=reject; {RUA}"'}, follows=NO_POLICY),
    dmarc("dangling-cname", "", zone={"_dmarc CNAME": "dmarc.gone.net."}, follows=NO_POLICY),
    dmarc("multiple-records", f'"v=DMARC1; p=reject; {RUA}"\n"v=DMARC1; p=none"', follows=NO_POLICY),
    dmarc("bad-version", f'"v=dmarc1; p=reject; {RUA}"', follows=NO_POLICY),
    dmarc("spf-text", '"v=spf1 -all"', follows=NO_POLICY),
    dmarc("no-policy", f'"v=DMARC1; {RUA}"', follows=NO_LOGO),
    dmarc("bad-policy", f'"v=DMARC1; p=rejct; {RUA}"', follows=NO_LOGO),
    dmarc("syntax", f'"v=DMARC1; p=reject; nonsense; {RUA}"'),
    dmarc("repeated-tag", f'"v=DMARC1; p=reject; p=none; {RUA}"'),
    dmarc("not-a-suffix", f'"v=DMARC1; p=reject; psd=y; {RUA}"'),
    dmarc("partial", f'"v=DMARC1; p=reject; pct=50; {RUA}"'),
    dmarc("policy-none", f'"v=DMARC1; p=none; {RUA}"', follows=NO_LOGO),
    dmarc("testing", f'"v=DMARC1; p=reject; t=y; {RUA}"'),
    dmarc("weaker-subdomains", f'"v=DMARC1; p=reject; sp=none; {RUA}"', follows=NO_LOGO),
    dmarc("rua-unauthorised", '"v=DMARC1; p=reject; rua=mailto:d@provider-mail.net"'),
    dmarc("rua-undeliverable", '"v=DMARC1; p=reject; rua=mailto:d@gone.acme-lab.com"'),
    dmarc("no-rua", '"v=DMARC1; p=reject"'),
    dmarc("ignored-value", f'"v=DMARC1; p=reject; adkim=x; {RUA}"'),
    dmarc("removed-tag", f'"v=DMARC1; p=reject; ri=3600; {RUA}"'),
    dmarc("rua-not-mail", f'"v=DMARC1; p=reject; {RUA},https://acme-lab.com/dmarc"'),
    dmarc("rua-size", '"v=DMARC1; p=reject; rua=mailto:dmarc@acme-lab.com!10m"'),
    dmarc("many-rua", f'"v=DMARC1; p=reject; {RUA},mailto:e@acme-lab.com,mailto:f@acme-lab.com"'),
    Fault(finds=f"dmarc.parked {PARKED}", zone={"_dmarc.acme-parked.net. TXT": '"v=DMARC1; p=none"'}),
    Fault(finds=f"dmarc.missing {PARKED}", zone={"_dmarc.acme-parked.net. TXT": ""}, called="parked"),
    spf("void-lookups", f'"v=spf1 mx {INCLUDE} a:gone.acme-lab.com -all"'),
    spf(
        "answer-too-long",
        "\n".join([f'"v=spf1 mx {INCLUDE} -all"', *(f'"service-{n}-verification={str(n) * 64}"' for n in range(6))]),
    ),
    Fault(
        finds=f"spf_sender.include-too-late {AT}",
        zone={"@ TXT": '"v=spf1 mx " "' + " ".join(f"a:i{n}.acme-lab.com" for n in range(9)) + f' {INCLUDE} -all"'}
        | {f"i{n} A": "185.12.51.1" for n in range(9)},
        follows={f"spf.too-many-lookups {AT}": "that is what is too late for it"},
    ),
    Fault(
        finds=f"spf_sender.include-partial {AT}",
        zone={
            "@ TXT": '"v=spf1 mx include:one.provider-mail.net -all"',
            "spf.provider-mail.net. TXT": '"v=spf1 include:one.provider-mail.net include:two.provider-mail.net -all"',
            "one.provider-mail.net. TXT": '"v=spf1 ip4:185.12.50.0/25 -all"',
            "two.provider-mail.net. TXT": '"v=spf1 ip4:185.12.50.128/25 -all"',
        },
    ),
    Fault(
        finds=f"spf_sender.include-hidden {AT}",
        zone={"@ TXT": '"v=spf1 mx include:%{i}._ip.%{h}._ehlo.%{d}._spf.macro-mail.net -all"'},
        follows={f"spf.uncountable {AT}": "what the macros lead to depends on the message"},
    ),
    Fault(
        finds=f"spf_sender.depends-on-mailbox {AT}",
        zone={"@ TXT": f'"v=spf1 exists:%{{l}}._u.%{{d}} {INCLUDE} -all"', "postmaster._u A": "127.0.0.2"},
        follows={f"spf.uncountable {AT}": "what the macros lead to depends on the message"},
    ),
    Fault(finds=f"dkim.very-long {AT}", zone={KEY: BITS_8192}),
    Fault(finds=f"dkim.ed25519 {AT}", zone={KEY: ED25519}),
    key("empty-tag", "v=DKIM1;", "v=DKIM1;;"),
    Fault(
        finds=f"dkim.key-to-come {AT}",
        config={"dkim_selectors: [s1, ": "dkim_selectors: [s1, fm1, fm2, "},
        zone={
            "fm1._domainkey CNAME": "fm1.acme-lab.com.dkim.fmhosted.com.",
            "fm2._domainkey CNAME": "fm2.acme-lab.com.dkim.fmhosted.com.",
            "fm1.acme-lab.com.dkim.fmhosted.com. TXT": GOOD_KEY,
        },
    ),
    dmarc("unknown-tag", f'"v=DMARC1; p=reject; rau=mailto:d@acme-lab.com; {RUA}"'),
    dmarc("empty-tag", f'"v=DMARC1;; p=reject; {RUA}"'),
    dmarc("policy-not-first", f'"v=DMARC1; sp=reject; p=reject; {RUA}"'),
    Fault(finds=f"dmarc.discovery-differs {AT}", zone={"_dmarc.com. TXT": '"v=DMARC1; p=reject"'}),
    dmarc(
        "rua-authorisation-differs",
        '"v=DMARC1; p=reject; rua=mailto:d@reports.acme-lab.com"',
        zone={
            "_dmarc.reports TXT": '"v=DMARC1; p=reject; psd=n"',
            "reports MX": "10 mx2.acme-lab.com.",
        },
    ),
    dmarc(
        "rua-redirected",
        '"v=DMARC1; p=reject; rua=mailto:d@provider-mail.net"',
        zone={"acme-lab.com._report._dmarc.provider-mail.net. TXT": '"v=DMARC1; rua=mailto:d@peer-mail.net"'},
    ),
    Fault(
        finds=f"dmarc.nothing-aligned {AT}",
        config={
            SENDERS: "senders: [{name: provider, mail_from: theirs}]",
            SELECTORS: "dkim_selectors: [{selector: s1, domain: provider-mail.net}]",
        },
        zone=THEIR_KEY,
    ),
    Fault(
        finds=f"dmarc.provider-not-aligned {AT}",
        config={
            SENDERS: "senders: [own, {name: provider, mail_from: theirs}]",
            SELECTORS: "dkim_selectors: [{selector: s1, domain: provider-mail.net}]",
        },
        zone=THEIR_KEY,
    ),
    Fault(
        finds=f"dmarc.alignment-unseen {AT}",
        config={SENDERS: "senders: [own, {name: provider, mail_from: theirs}]", f"    {SELECTORS}\n": ""},
        follows={f"dkim.selectors-unknown {AT}": "that is why"},
    ),
    Fault(
        finds=f"dmarc.alignment-differs {AT}",
        config={
            SENDERS: f"{SENDERS}\n    mail_from: [bounce.acme-lab.com]",
            SELECTORS: "dkim_selectors: [{selector: s1, domain: provider-mail.net}]",
        },
        zone={"_dmarc.bounce TXT": '"v=DMARC1; p=none; psd=n"', **BOUNCES, **THEIR_KEY},
        follows={f"dmarc.dkim-cannot-align {AT}": "the key is the provider's"},
    ),
    Fault(
        finds=f"dmarc.dkim-cannot-align {AT}",
        config={SELECTORS: "dkim_selectors: [s1, {selector: s2, domain: provider-mail.net}]"},
        zone={"s2._domainkey.provider-mail.net. TXT": GOOD_KEY},
    ),
    Fault(
        finds=f"dmarc.spf-cannot-align {AT}",
        config={SELECTORS: f"{SELECTORS}\n    mail_from: [bounce.provider-mail.net]"},
        zone={
            "bounce.provider-mail.net. TXT": BOUNCES["bounce TXT"],
            "bounce.provider-mail.net. MX": BOUNCES["bounce MX"],
        },
    ),
]
