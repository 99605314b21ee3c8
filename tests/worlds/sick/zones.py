"""Faults of the domain itself: its registration, its zone and name servers, the resolver; and of its logo (BIMI)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.worlds.sick.fault import Fault

AT = "acme-lab.com"
TOMORROW = f"{datetime.now(UTC) + timedelta(days=1):%Y%m%d%H%M%S}"  # as the end of a signature
SOON = {"receivers: []": "receivers: []\nresolver: {timeout: 1s}"}  # it has to wait for an answer that never comes
V4_A, V4_B = "185.77.53.53", "194.77.53.53"
V6_A, V6_B = "2a02:77:53::53", "2a03:77:53::53"
NS1, NS2 = "ns1.dns-host.test.", "ns2.dns-host.test."
RECORD = "default._bimi TXT"
LOGO, MARK = "l=https://brand.acme-lab.com/logo.svg", "a=https://brand.acme-lab.com/mark.pem"


def joined(*lines: str) -> str:
    return "\n".join(lines)


def registered(rule: str, words: str, called: str = "", **more: Any) -> Fault:
    return Fault(finds=f"registration.{rule} {AT}", lines=f"; rdap: {AT} {words}", called=called, **more)


def bimi(rule: str, record: str, called: str = "", **more: Any) -> Fault:
    return Fault(finds=f"bimi.{rule} {AT}", zone={RECORD: record}, called=called, **more)


def page(rule: str, old: str, new: str, called: str = "", **more: Any) -> Fault:
    return Fault(finds=f"bimi.{rule} {AT}", text={old: new}, called=called, **more)


def third(
    rule: str, name: str, ip: str, *more: str, manner: str = "", config: Mapping[str, str] | None = None
) -> Fault:
    """A third name server, beside the two good ones."""
    return Fault(
        finds=f"zone.{rule} {AT}",
        lines=joined(
            f"acme-lab.com. NS {name}.",
            f"{name}. A {ip}",
            f"; server: {name} {ip} acme-lab.com {manner}".rstrip(),
            *more,
        ),
        config=config or {},
    )


def served(rule: str, *addresses: tuple[str, ...], **more: Any) -> Fault:
    """By other servers: these are the addresses of each."""
    servers = {f"ns{n}.other-dns.test": ips for n, ips in enumerate(addresses, 1)}
    return Fault(
        finds=f"zone.{rule} {AT}",
        text={"; hosted: acme-lab.com": "; hosted:"},
        lines=joined(
            "; rdap: acme-lab.com expires=400d",
            "; soa: acme-lab.com. 2026050101",
            *(f"acme-lab.com. NS {name}." for name in servers),
            *(f"{name}. {'AAAA' if ':' in ip else 'A'} {ip}" for name, ips in servers.items() for ip in ips),
            *(
                f"; server: {name} {ip} acme-lab.com"
                for ip, name in {ip: name for name, ips in servers.items() for ip in ips}.items()
            ),
        ),
        **more,
    )


OTHER_LOGO = {f"bimi.certificate-logo {AT}": "the certificate holds the logo as it was"}
PICTURE = "https://brand.acme-lab.com/logo.svg"
MARKED = "mark.pem name=acme-lab.com"
GONE = ("dmarc.missing", "mx.no-such-domain", "spf.parked-without-record", "zone.no-such-domain")
FAULTS = [
    registered("expired", "expires=-3d"),
    registered("on-hold", "status=client\\x20hold"),
    registered("inactive", "status=inactive"),
    registered("redemption", "status=redemption\\x20period"),
    registered("pending-delete", "status=pending\\x20delete"),
    registered("expiring", "expires=20d"),
    registered("expiring", "expires=3d", "critical"),
    registered("young", "registered=5d"),
    registered("no-expiry", "expires=none"),
    registered("auto-renewed", "expires=-3d status=auto\\x20renew\\x20period"),
    registered(
        "not-listed",
        "fault=not-found",
        unknown={f"registration {AT}": "what the registry knows cannot be told"},
    ),
    Fault(
        finds="registration.not-registered gone-acme.com",
        config={"domains:\n": "domains:\n  - {name: gone-acme.com, sends_mail: false, receives_mail: false}\n"},
        follows={rule + " gone-acme.com": "nothing is at or below a name that does not exist" for rule in GONE},
    ),
    Fault(
        finds=f"zone.none-authoritative {AT}",
        text={"; hosted: acme-lab.com": "; hosted:"},
        follows={f"zone.lame {AT}": "each server is told"},
        lines=joined(
            "; rdap: acme-lab.com expires=400d",
            "; soa: acme-lab.com. 2026050101",
            "acme-lab.com. NS ns1.dns-host.test.",
            "acme-lab.com. NS ns2.dns-host.test.",
        ),
    ),
    Fault(
        finds=f"zone.bogus {AT}",
        lines="; bogus: acme-lab.com. MX",
        unknown={f"{check} {AT}": "it needs the MX records" for check in ("dane", "dmarc", "mta_sts", "mx", "zone")},
    ),
    Fault(
        finds=f"zone.ds-without-key {AT}",
        zone={"@ DS": "4711 13 2 0000000000000000000000000000000000000000000000000000000000000000"},
    ),
    Fault(finds=f"zone.signature-expiring {AT}", text={"20991231000000": TOMORROW}),
    Fault(finds=f"zone.unsigned {AT}", zone={"@ DS": "", "@ DNSKEY": "", "@ RRSIG": ""}),
    Fault(
        finds=f"zone.lame {AT}",
        zone={"ns3.dns-host.test. A": "185.77.53.53", "ns3.dns-host.test. AAAA": "2a04:77:53::53"},
        lines=joined(
            "acme-lab.com. NS ns3.dns-host.test.",
            "; server: ns3.dns-host.test 185.77.53.53 acme-lab.com lame",
            "; server: ns3.dns-host.test 2a04:77:53::53 acme-lab.com lame",
        ),
    ),
    Fault(finds=f"zone.no-address {AT}", lines="acme-lab.com. NS ns3.dns-host.test."),
    Fault(
        finds=f"zone.alias {AT}",
        lines=joined(
            "acme-lab.com. NS ns3.acme-lab.com.",
            "ns3.acme-lab.com. CNAME ns4.dns-host.test.",
            "ns4.dns-host.test. A 185.77.53.53",
            "; server: ns4.dns-host.test 185.77.53.53 acme-lab.com",
        ),
    ),
    Fault(
        finds=f"zone.not-public {AT}",
        lines=joined(
            "acme-lab.com. NS ns3.dns-host.test.",
            "ns3.dns-host.test. A 10.9.9.9",
        ),
    ),
    Fault(
        finds=f"zone.delegation-differs {AT}",
        lines=joined(
            "; at a.nic.test: acme-lab.com. NS ns1.dns-host.test.",
            "; at a.nic.test: acme-lab.com. NS ns9.dns-host.test.",
            "ns9.dns-host.test. A 185.77.53.53",
            "; server: ns9.dns-host.test 185.77.53.53 acme-lab.com",
        ),
    ),
    Fault(finds=f"zone.data-differ {AT}", lines="; at ns2.dns-host.test: acme-lab.com. MX 10 old.acme-lab.com."),
    Fault(
        finds=f"zone.serials-differ {AT}",
        lines="; at ns2.dns-host.test: acme-lab.com. SOA ns.invalid. hostmaster.invalid. 2026050100 3600 600 86400 300",
    ),
    third(
        "stale-glue",
        "ns3.acme-lab.com",
        "185.77.53.53",
        "; at a.nic.test: ns3.acme-lab.com. A 185.77.99.99",
    ),
    third("not-authoritative", "ns3.dns-host.test", "185.77.53.53", manner="hearsay-txt"),
    third("server-silent", "ns3.dns-host.test", "185.77.53.53", manner="silent", config=SOON),
    third("no-tcp", "ns3.dns-host.test", "185.77.53.53", manner="no-tcp", config=SOON),
    Fault(
        finds=f"zone.documentation-address {AT}",
        lines=joined("acme-lab.com. NS ns3.acme-lab.com.", "ns3.acme-lab.com. A 203.0.113.53"),
    ),
    served("no-ipv4", (V6_A,), (V6_B,)),
    served("no-ipv6", (V4_A,), (V4_B,)),
    served("same-network", (V4_A, V6_A), ("185.77.53.54", V6_B)),
    served("same-address", (V4_A, V6_A), (V4_A, V6_A)),
    served("single", (V4_A, V6_A)),
    served("too-many", *((f"185.77.{n}.53", f"2a02:{n}::53") for n in range(14))),
    Fault(
        finds="zone.no-such-domain gone-acme.com",
        config={"domains:\n": "domains:\n  - {name: gone-acme.com, sends_mail: false, receives_mail: false}\n"},
        lines="; rdap: gone-acme.com",
        follows={
            rule + " gone-acme.com": "it is registered, but the registry delegates it to nobody"
            for rule in GONE
            if rule != "zone.no-such-domain"
        },
    ),
    Fault(
        finds="registration.no-rdap acme-lab.de",
        config={"domains:\n": "domains:\n  - {name: acme-lab.de, sends_mail: false, receives_mail: false}\n"},
        text={"; hosted: acme-lab.com": "; hosted: acme-lab.de acme-lab.com"},
        zone={
            "acme-lab.de. MX": "0 .",
            "acme-lab.de. TXT": '"v=spf1 -all"',
            "_dmarc.acme-lab.de. TXT": '"v=DMARC1; p=reject"',
        },
        follows={"zone.unsigned acme-lab.de": "as that of acme-parked.net"},
    ),
    Fault(finds="resolver.rewrites exporter", zone={"*.com. A": "185.99.99.99"}),
    Fault(
        finds="resolver.no-tcp exporter",
        lines="; no-tcp: com. NS",
        config=SOON,
        follows={"resolver.not-validating exporter": "this order stands in the place of `; signed:`"},
    ),
    Fault(finds=f"bimi.dangling-cname {AT}", zone={RECORD: "", "default._bimi CNAME": "bimi.gone.net."}),
    bimi("multiple-records", f'"v=BIMI1; {LOGO}; {MARK}"\n"v=BIMI1; l=; a="'),
    bimi("bad-version", f'"v=BIMI2; {LOGO}; {MARK}"'),
    bimi("syntax", f'"v=BIMI1; nonsense; {LOGO}; {MARK}"'),
    bimi("repeated-tag", f'"v=BIMI1; {LOGO}; {LOGO}; {MARK}"'),
    bimi("no-location", f'"v=BIMI1; {MARK}"'),
    bimi("bad-url", f'"v=BIMI1; l=http://brand.acme-lab.com/logo.svg; {MARK}"'),
    bimi("unavailable", f'"v=BIMI1; l=https://brand.acme-lab.com/gone.svg; {MARK}"'),
    bimi("declined", '"v=BIMI1; l=; a="'),
    Fault(
        finds=f"bimi.inherited news.{AT}",
        config={
            "domains:\n": "domains:\n  - {name: news.acme-lab.com, senders: [provider], dkim_selectors: "
            "[{selector: s1, domain: acme-lab.com}]}\n"
        },
        zone={
            "news MX": "10 mail.acme-lab.com.\n20 mx2.acme-lab.com.",
            "news TXT": '"v=spf1 include:spf.provider-mail.net -all"',
        },
        follows={f"tls_rpt.missing news.{AT}": "it has no such record of its own"},
    ),
    bimi("no-certificate", f'"v=BIMI1; {LOGO}"'),
    bimi("ignored-value", f'"v=BIMI1; {LOGO}; {MARK}; avp=x"'),
    page("certificate-expired", MARKED, f"{MARKED} expires=-1"),
    page("certificate-expiring", MARKED, f"{MARKED} expires=5"),
    page("certificate-name", MARKED, "mark.pem name=elsewhere.net"),
    page("certificate-not-yet-valid", MARKED, f"{MARKED} begins=2"),
    page("certificate-purpose", MARKED, f"{MARKED} for_marks=no logotype=no"),
    page("certificate-chain", MARKED, f"{MARKED} chain=no"),
    page(
        "certificate-unreadable",
        f"; mark: https://brand.acme-lab.com/{MARKED}",
        "; web: https://brand.acme-lab.com/mark.pem type=text/html body=<!doctype\\x20html>",
    ),
    page("logo-content", "</svg>", "<script>x</script></svg>", follows=OTHER_LOGO),
    page("logo-external", '"#205080"', '"url(https://cdn.acme-parked.net/a.svg#b)"', follows=OTHER_LOGO),
    page("logo-shape", "0\\x200\\x2096\\x2096", "0\\x200\\x2096\\x2048", follows=OTHER_LOGO),
    page("logo-size", "</title>", f"</title><desc>{33_000 * 'x'}</desc>", follows=OTHER_LOGO),
    page("logo-doctype", "body=<svg", "body=<!DOCTYPE\\x20svg><svg", follows=OTHER_LOGO),
    page(
        "redirected",
        f"; web: {PICTURE}",
        f"; web: {PICTURE} status=301 location=/new.svg\n; web: https://brand.acme-lab.com/new.svg",
    ),
    Fault(
        finds=f"bimi.dmarc-too-weak {AT}",
        zone={"_dmarc TXT": '"v=DMARC1; p=quarantine; pct=50; rua=mailto:dmarc@acme-lab.com"'},
        follows={f"dmarc.partial {AT}": "that is why"},
    ),
    page("certificate-logo", "<title>Example</title>", "<title>Another</title>"),
    page(
        "logo-profile",
        'baseProfile="tiny-ps"\\x20',
        "",
        follows=OTHER_LOGO,
    ),
    page("logo-unreadable", "</svg>", ""),
    page("logo-type", "type=image/svg+xml", "type=text/plain"),
]
