"""A small mail world on real servers: who does it right, one fault of each kind, and what no one can tell.

Addresses are those of RFC 5737 and RFC 3849. Mail hosts that are checked stand on loopback; what would lead
anywhere else is switched off in the configuration, so that no packet leaves.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from exporter.engine import catalogue
from tests.lab import nameservers, postfix
from tests.lab.process import Endpoint, Lab
from tests.lab.zones import SignedZone, Signing, zone

TTL = 1  # seconds; what is asked every two seconds is asked anew


def zones() -> list[SignedZone]:
    good = f"""
@              MX    10 mx1
@              MX    20 mx2
@              TXT   "v=spf1 ip4:192.0.2.10 ip4:192.0.2.70 ip6:2001:db8::10 include:spf.provider.test -all"
_dmarc         TXT   "v=DMARC1; p=reject; rua=mailto:dmarc@example.net"
s1._domainkey  TXT   {dkim_key(2048)}
s2._domainkey  TXT   {dkim_key(1024)}
s3._domainkey  TXT   "v=DKIM1; p="
s5._domainkey  TXT   {dkim_key(1024)}
mx1            A     192.0.2.25
mx2            A     192.0.2.26
mail           A     192.0.2.10
mail           AAAA  2001:db8::10
relay          A     192.0.2.70
"""
    bad = """
@              MX    10 inside
@              TXT   "v=spf1 -all"
@              TXT   "v=spf1 ip4:192.0.2.20 -all"
_dmarc         TXT   "v=DMARC1; p=none; rua=mailto:dmarc@example.edu"
inside         A     127.0.25.1
"""
    signed = """
@              MX    10 mx1.example.net.
@              MX    20 mx2.example.net.
@              TXT   "v=spf1 ip4:192.0.2.10 ip6:2001:db8::10 ~all"
_dmarc         TXT   "v=DMARC1; p=reject"
"""
    parked = """
@              MX    0 .
@              TXT   "v=spf1 -all"
_dmarc         TXT   "v=DMARC1; p=reject"
"""
    reverse = """
10             PTR   mail.example.net.
70             CNAME 70.64/26
70.64/26       PTR   relay.example.net.
"""
    made = {
        "example.net": (good, Signing.NONE),
        "example.edu": (bad, Signing.NONE),
        "signed.example.org": (signed, Signing.GOOD),
        "bogus.example.org": (signed, Signing.BOGUS),
        "parked.example.org": (parked, Signing.NONE),
        "provider.test": ('spf TXT "v=spf1 ip4:198.51.100.0/24 -all"', Signing.NONE),
        "lab.test": ("mx A 127.0.0.1\nempty TXT nothing", Signing.NONE),
        "example.org": ('_dmarc TXT "v=DMARC1; p=reject"\nborrowed MX 10 mx1.example.net.', Signing.NONE),
        "com": ("", Signing.GOOD),
        "2.0.192.in-addr.arpa": (reverse, Signing.NONE),
        "8.b.d.0.1.0.0.2.ip6.arpa": (f"0.1.{'0.' * 21}0 PTR mail.example.net.", Signing.NONE),
    }
    return [zone(origin, records, signing, ttl=TTL) for origin, (records, signing) in made.items()]


def dkim_key(bits: int) -> str:
    public = rsa.generate_private_key(65537, bits).public_key()
    text = base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    return f'"v=DKIM1; k=rsa; p={text[:200]}" "{text[200:]}"'


LISTED = f"$SOA {TTL} ns.lab.test hostmaster.lab.test 1 1h 1h 1d {TTL}\n$TTL {TTL}\n:127.0.0.2:Listed, see http://bl.test/$\n"
BLOCKLIST = LISTED + "127.0.0.2\n192.0.2.20\n"
OF_THE_WORLD = LISTED + "0-255\n"
OF_NOBODY = LISTED + "203.0.113.1\n"  # rbldnsd does not serve a list that names nobody at all
LISTS: Mapping[str, Mapping[str, str]] = {
    "bl.test": {"ip4set": BLOCKLIST, "ip6trie": LISTED + "2001:db8:bad::/48\n"},
    "dbl.test": {"dnset": LISTED + ".example.edu\ntest\n"},
    "world.test": {"ip4set": OF_THE_WORLD},
    "dead.test": {"ip4set": OF_NOBODY},
    "turns-to-world.test": {"ip4set": BLOCKLIST},
    "turns-empty.test": {"ip4set": BLOCKLIST},
}
HOSTS: Mapping[str, postfix.Listener] = {
    "good": postfix.GOOD,
    "old-too": postfix.Listener(tls=">=TLSv1"),
    "old-only": postfix.only("1.0"),
    "expired": postfix.EXPIRED,
    "wrong-name": postfix.WRONG_NAME,
    "untrusted": postfix.UNTRUSTED,
    "in-clear": postfix.NO_STARTTLS,
    "small": postfix.size(10_240),
    "busy": postfix.BUSY,
}


# Who is looked at, and what is true of each; more mail_hosts follow.
WORLD = """
smtp: {helo_name: probe.lab.test}
blocklists:
  - {name: ips, zone: bl.test}
  - {name: domains, zone: dbl.test, lists: domain}
  - {name: world, zone: world.test}
  - {name: dead, zone: dead.test}
senders:
  - {name: out, addresses: [192.0.2.10, "2001:db8::10"], helo: mail.example.net}
  - {name: classless, addresses: [192.0.2.70], helo: relay.example.net}
  - {name: neglected, addresses: [192.0.2.20], helo: oldbox}
  - {name: hidden, addresses: [198.51.100.20], helo: mail.example.info}
  - {name: provider, spf_include: spf.provider.test}
domains:
  - name: example.net
    senders: [out, classless, provider]
    dkim_selectors: [s1, s2, s3, s4, {selector: s5, retired: true}, {selector: s6, retired: true}]
    checks: {smtp_tls: {enabled: false}}
  - name: signed.example.org
    senders: [out, neglected]
    checks: {smtp_tls: {enabled: false}}
  - {name: example.edu, senders: [neglected], dkim_selectors: [s1]}
  - {name: bogus.example.org, senders: [out], dkim_selectors: [s1]}
  - {name: example.info, senders: [out, provider]}
  - {name: nowhere.example.org, senders: [out]}
  - name: borrowed.example.org
    senders: [out]
    mail_from: [example.net]
    dkim_selectors: [{selector: s1, domain: example.net}]
    checks: {smtp_tls: {enabled: false}}
  - {name: parked.example.org, sends_mail: false, receives_mail: false}
mail_hosts:
  - {host: empty.lab.test}
  - {host: mx.example.info}
"""
TRUTH = """
ptr ip=192.0.2.10                                      pass
ptr ip=2001:db8::10                                    pass
ptr ip=192.0.2.70                                      pass
ptr ip=192.0.2.20                                      fail, critical ptr.missing
ptr ip=198.51.100.20                                   unknown dns_servfail
helo ip=192.0.2.10 sender=out                          pass
helo ip=2001:db8::10 sender=out                        pass
helo ip=192.0.2.70 sender=classless                    pass
helo ip=192.0.2.20 sender=neglected                    fail, critical helo.single-label
helo ip=198.51.100.20 sender=hidden                    unknown dns_servfail
mx domain=example.net                                  pass
mx domain=signed.example.org                           pass
mx domain=example.edu                                  fail, warning mx.not-public[mail_host=inside.example.edu]
mx domain=bogus.example.org                            unknown bogus
mx domain=example.info                                 unknown dns_servfail
mx domain=nowhere.example.org                          fail, critical mx.no-such-domain
mx domain=borrowed.example.org                         pass
mx domain=parked.example.org                           pass
spf domain=example.net                                 pass
spf domain=signed.example.org                          pass
spf domain=example.edu                                 fail, critical spf.multiple-records
spf domain=bogus.example.org                           unknown bogus
spf domain=example.info                                unknown dns_servfail
spf domain=nowhere.example.org                         fail, warning spf.missing
spf domain=borrowed.example.org                        pass
spf domain=parked.example.org                          pass
spf_sender domain=example.net sender=out               pass
spf_sender domain=example.net sender=classless         pass
spf_sender domain=example.net sender=provider          pass
spf_sender domain=signed.example.org sender=out        pass
spf_sender domain=signed.example.org sender=neglected  fail, warning spf_sender.softfail[ip=192.0.2.20]
spf_sender domain=example.edu sender=neglected         fail, critical spf_sender.not-authorised[ip=192.0.2.20]
spf_sender domain=bogus.example.org sender=out         unknown bogus
spf_sender domain=example.info sender=out              unknown dns_servfail
spf_sender domain=example.info sender=provider         unknown dns_servfail
spf_sender domain=nowhere.example.org sender=out       fail, critical spf_sender.not-authorised[ip=192.0.2.10], \
critical spf_sender.not-authorised[ip=2001:db8::10]
spf_sender domain=borrowed.example.org sender=out      pass
dkim domain=borrowed.example.org selector=s1           pass
dkim domain=example.net selector=s1                    pass
dkim domain=example.net selector=s2                    fail, warning dkim.weak
dkim domain=example.net selector=s3                    fail, critical dkim.revoked
dkim domain=example.net selector=s4                    fail, critical dkim.missing
dkim domain=example.net selector=s5                    fail, warning dkim.retired-still-published
dkim domain=example.net selector=s6                    pass
dkim domain=example.edu selector=s1                    fail, critical dkim.missing
dkim domain=bogus.example.org selector=s1              unknown bogus
dkim domain=signed.example.org                         fail, warning dkim.no-keys
dkim domain=example.info                               unknown dns_servfail
dkim domain=nowhere.example.org                        fail, warning dkim.no-keys
dmarc domain=example.net                               pass
dmarc domain=signed.example.org                        pass
dmarc domain=example.edu                               pass
dmarc domain=bogus.example.org                         unknown bogus
dmarc domain=example.info                              unknown dns_servfail
dmarc domain=nowhere.example.org                       pass
dmarc domain=borrowed.example.org                      fail, critical dmarc.cannot-align
dmarc domain=parked.example.org                        pass
zone domain=example.net                                fail, warning zone.not-public, warning zone.single, \
unknown network
zone domain=signed.example.org                         fail, warning zone.not-public, warning zone.single, \
unknown network
zone domain=example.edu                                fail, warning zone.not-public, warning zone.single, \
unknown network
zone domain=bogus.example.org                          fail, critical zone.bogus, warning zone.not-public, \
warning zone.single, unknown bogus
zone domain=example.info                               unknown dns_servfail
zone domain=nowhere.example.org                        fail, warning zone.not-public, warning zone.single, \
unknown network
zone domain=borrowed.example.org                       fail, warning zone.not-public, warning zone.single, \
unknown network
zone domain=parked.example.org                         fail, warning zone.not-public, warning zone.single, \
unknown network
receiver domain=example.net                            pass
receiver domain=signed.example.org                     fail, warning receiver.gmail-ptr, warning receiver.yahoo-ptr
receiver domain=example.edu                            fail, warning receiver.gmail-authenticated, \
warning receiver.gmail-ptr, warning receiver.yahoo-authenticated, warning receiver.yahoo-ptr
receiver domain=bogus.example.org                      unknown bogus
receiver domain=example.info                           unknown dns_servfail
receiver domain=borrowed.example.org                   fail, warning receiver.microsoft-dmarc
receiver domain=nowhere.example.org                    fail, warning receiver.yahoo-sender-domain
blocklist ip=192.0.2.10                                pass
blocklist ip=2001:db8::10                              pass
blocklist ip=192.0.2.70                                pass
blocklist ip=192.0.2.20                                fail, warning blocklist.listed[blocklist=ips]
blocklist ip=198.51.100.20                             pass
blocklist domain=example.net                           pass
blocklist domain=example.edu                           fail, warning blocklist.listed[blocklist=domains]
blocklist domain=signed.example.org                    pass
blocklist domain=bogus.example.org                     pass
blocklist domain=example.info                          pass
blocklist domain=nowhere.example.org                   pass
blocklist domain=borrowed.example.org                  pass
blocklist domain=parked.example.org                    pass
blocklist_health blocklist=ips                         pass
blocklist_health blocklist=domains                     pass
blocklist_health blocklist=world                       fail, warning blocklist_health.lists-the-world
blocklist_health blocklist=dead                        fail, warning blocklist_health.dead
smtp_tls mail_host=mx.lab.test mail_port=good          pass
smtp_tls mail_host=mx.lab.test mail_port=small         pass
smtp_tls mail_host=mx.lab.test mail_port=old-too       pass
smtp_tls mail_host=mx.lab.test mail_port=old-only      fail, warning smtp_tls.obsolete-only[ip=127.0.0.1]
smtp_tls mail_host=mx.lab.test mail_port=expired       fail, warning smtp_tls.certificate-expired[ip=127.0.0.1]
smtp_tls mail_host=mx.lab.test mail_port=wrong-name    fail, warning smtp_tls.certificate-name[ip=127.0.0.1]
smtp_tls mail_host=mx.lab.test mail_port=untrusted     fail, warning smtp_tls.certificate-untrusted[ip=127.0.0.1]
smtp_tls mail_host=mx.lab.test mail_port=in-clear      fail, warning smtp_tls.no-starttls[ip=127.0.0.1]
smtp_tls mail_host=mx.lab.test mail_port=busy          unknown tempfail
smtp_tls mail_host=mx.lab.test mail_port=shut          fail, critical smtp_tls.refused[ip=127.0.0.1]
smtp_tls mail_host=empty.lab.test mail_port=25         fail, warning smtp_tls.no-address
smtp_tls mail_host=mx.example.info mail_port=25        unknown dns_servfail
dane domain=example.net                                pass
dane domain=signed.example.org                         pass
dane domain=example.edu                                pass
dane domain=bogus.example.org                          unknown bogus
dane domain=example.info                               unknown dns_servfail
dane domain=nowhere.example.org                        pass
dane domain=borrowed.example.org                       pass
dane domain=parked.example.org                         pass
dane mail_host=mx1.example.net mail_port=25            pass
dane mail_host=mx2.example.net mail_port=25            pass
dane mail_host=mx.lab.test mail_port=good              pass
dane mail_host=mx.lab.test mail_port=small             pass
dane mail_host=mx.lab.test mail_port=old-too           pass
dane mail_host=mx.lab.test mail_port=old-only          pass
dane mail_host=mx.lab.test mail_port=expired           pass
dane mail_host=mx.lab.test mail_port=wrong-name        pass
dane mail_host=mx.lab.test mail_port=untrusted         pass
dane mail_host=mx.lab.test mail_port=in-clear          pass
dane mail_host=mx.lab.test mail_port=busy              pass
dane mail_host=mx.lab.test mail_port=shut              pass
dane mail_host=empty.lab.test mail_port=25             pass
dane mail_host=mx.example.info mail_port=25            unknown dns_servfail
mta_sts domain=example.net                             pass
mta_sts domain=signed.example.org                      pass
mta_sts domain=example.edu                             pass
mta_sts domain=bogus.example.org                       unknown bogus
mta_sts domain=example.info                            unknown dns_servfail
mta_sts domain=nowhere.example.org                     pass
mta_sts domain=borrowed.example.org                    pass
mta_sts domain=parked.example.org                      pass
tls_rpt domain=example.net                             pass
tls_rpt domain=signed.example.org                      pass
tls_rpt domain=example.edu                             pass
tls_rpt domain=bogus.example.org                       unknown bogus
tls_rpt domain=example.info                            unknown dns_servfail
tls_rpt domain=nowhere.example.org                     pass
tls_rpt domain=borrowed.example.org                    pass
tls_rpt domain=parked.example.org                      pass
bimi domain=example.net                                pass
bimi domain=signed.example.org                         pass
bimi domain=example.edu                                pass
bimi domain=bogus.example.org                          unknown bogus
bimi domain=example.info                               unknown dns_servfail
bimi domain=nowhere.example.org                        pass
bimi domain=borrowed.example.org                       pass
bimi domain=parked.example.org                         pass
resolver                                               pass
"""
TLS = """
good        1.2 1.3
small       1.2 1.3
expired     1.2 1.3
wrong-name  1.2 1.3
untrusted   1.2 1.3
old-too     1.0 1.1 1.2 1.3
old-only    1.0
"""


@dataclass(frozen=True)
class World:
    """Where it all is. `at` are the ports of mx.lab.test, by what is the matter there."""

    lab: Lab
    zones: list[SignedZone]
    stubs: Mapping[str, Endpoint]
    resolver: Endpoint
    at: Mapping[str, Endpoint]
    trust: Mapping[str, str]  # the environment of whoever is to trust the world's authority

    def another_resolver(self, name: str, at: Endpoint | None = None) -> Endpoint:
        """One that may be harmed."""
        return nameservers.unbound(self.lab, self.stubs, self.zones, name, at=at)


def world(lab: Lab, shut: Endpoint) -> World:
    """All of it; nobody listens on the port that is `shut`."""
    served = zones()
    authority = nameservers.nsd(lab, served)
    lists = nameservers.rbldnsd(lab, LISTS)
    lame = {"example.info": authority, "100.51.198.in-addr.arpa": authority}  # it refuses what it does not know
    stubs = {it.origin: authority for it in served} | lame | dict.fromkeys(LISTS, lists)
    mail = postfix.postfix(lab, HOSTS)
    roots = lab.home / "roots.pem"
    mail.authority.cert_pem.write_to_path(roots)
    return World(
        lab,
        served,
        stubs,
        nameservers.unbound(lab, stubs, served),
        {**mail.at, "shut": shut},
        {"SSL_CERT_FILE": str(roots), "SSL_CERT_DIR": str(lab.folder("no-roots"))},
    )


def config(resolver: Endpoint, body: str, *checks: str, every: float = 2, timeout: int = 1) -> str:
    """A configuration that is in a hurry, with these checks, or all that the lab has servers for."""
    known = catalogue.load().checks
    wanted = checks or known.keys() - {"registration"}  # a registry is in tests/net/test_rdap.py
    hurried = (check for check in known if known[check].min_interval <= timedelta(seconds=every))
    pace = ", ".join(f"{check}: {every:.0f}s" for check in hurried)
    off = ", ".join(f"{check}: {{enabled: false}}" for check in known if check not in wanted)
    return f"""resolver: {{nameservers: ["{resolver}"], timeout: {timeout}s}}
schedule: {{{pace}}}
checks: {{{off}}}
{body}"""
