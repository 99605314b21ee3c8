"""Faults of sending addresses: PTR, HELO, listings, and what receivers say to a HELO name."""

from __future__ import annotations

from typing import Any

from tests.worlds.sick.fault import Fault

V4, V6 = "88.99.40.10", "2a01:4f8:10a:40::2"
PTR4 = "10.40.99.88.in-addr.arpa. PTR"
AT = "acme-lab.com"

THE_NAME_DIFFERS = "the name in HELO is still the good one"
PTR_HAS_THE_NAME = {"helo.ptr-same-domain own": "the PTR record still has the good name"}
PTR_DIFFERS = {"helo.ptr-same-domain own": THE_NAME_DIFFERS}
NO_LIST = {f"blocklist {V4}": "no other list is asked; the test points of IPv6 are right"}


def helo(rule: str, name: str, *, called: str = "", **more: Any) -> Fault:
    """The sender says this in HELO."""
    return Fault(finds=f"helo.{rule} own", config={"helo: mail.acme-lab.com": f"helo: {name}"}, called=called, **more)


FAULTS = [
    helo("empty", '""'),
    helo("white-space", '"mail.acme-lab.com "'),
    helo("trailing-dot", "mail.acme-lab.com."),
    helo("empty-label", "mail..acme-lab.com"),
    helo("too-long", f"{'m' * 64}.acme-lab.com"),
    helo("underscore", "mail_out.acme-lab.com"),
    helo("bad-character", '"mail!.acme-lab.com"'),
    helo("non-ascii", "m\u00e4il.acme-lab.com"),
    helo("edge-hyphen", "mail-.acme-lab.com"),
    helo("bad-literal", '"[300.1.2.3]"'),
    helo("bare-address", V4),
    helo("local-name", "localhost.localdomain"),
    helo("private-literal", '"[10.0.0.1]"'),
    helo("peer", "gmail.com"),
    helo("no-address", "gone.acme-lab.com", follows=PTR_HAS_THE_NAME),
    helo("private-address", "inside.acme-lab.com", zone={"inside A": "10.0.0.5"}, follows=PTR_HAS_THE_NAME),
    helo("single-label", "mail"),
    helo("numeric-tld", "mail.acme-lab.25"),
    helo(
        "address-literal",
        f'"[{V4}]"',
        follows={"helo.wrong-literal own": "the same literal is said from the IPv6 address"},
    ),
    helo("wrong-literal", '"[88.99.40.99]"'),
    helo(
        "other-address",
        "mx2.acme-lab.com",
        follows=PTR_HAS_THE_NAME | {"helo.spf-missing own": "nobody has said that this host sends"},
    ),
    helo("alias", "alias.acme-lab.com", zone={"alias CNAME": "mail.acme-lab.com."}, follows=PTR_HAS_THE_NAME),
    helo(
        "ptr-differs",
        "out.other-name.net",
        zone={
            "out.other-name.net. A": V4,
            "out.other-name.net. AAAA": V6,
            "out.other-name.net. TXT": '"v=spf1 a -all"',
        },
    ),
    helo(
        "ptr-same-domain",
        "out.acme-lab.com",
        zone={"out A": V4, "out AAAA": V6, "out TXT": '"v=spf1 a -all"'},
    ),
    Fault(finds="helo.spf-not-authorised own", zone={"mail TXT": '"v=spf1 -all"'}),
    Fault(finds="helo.spf-missing own", zone={"mail TXT": ""}),
    Fault(finds="helo.spf-neutral own", zone={"mail TXT": '"v=spf1 ?all"'}),
    Fault(
        finds="ehlo_probe.refused own",
        config={"receivers: []": "receivers: []\nehlo_probe: {peers: [{host: mx.peer-mail.net, port: 25}]}"},
        smtp={"mx.peer-mail.net": "fault=rejects-name"},
    ),
    Fault(finds=f"ptr.missing {V4}", zone={PTR4: ""}),
    Fault(finds=f"ptr.local-name {V4}", zone={PTR4: "localhost."}, follows={"helo.ptr-differs own": THE_NAME_DIFFERS}),
    Fault(finds=f"ptr.unconfirmed {V4}", zone={PTR4: "mx2.acme-lab.com."}, follows=PTR_DIFFERS),
    Fault(finds=f"ptr.bad-name {V4}", zone={PTR4: "mail_out.acme-lab.com.", "mail_out A": V4}, follows=PTR_DIFFERS),
    Fault(
        finds=f"ptr.generic-name {V4}",
        zone={PTR4: "static.88-99-40-10.customers.acme-lab.com.", "static.88-99-40-10.customers A": V4},
        follows=PTR_DIFFERS,
    ),
    Fault(finds=f"ptr.partly-confirmed {V4}", zone={PTR4: "mail.acme-lab.com.\ngone.acme-lab.com."}),
    Fault(
        finds=f"ptr.too-many {V4}",
        zone={PTR4: "\n".join(["mail.acme-lab.com.", *(f"n{n}.acme-lab.com." for n in range(11))])}
        | {f"n{n} A": V4 for n in range(11)},
    ),
    Fault(finds=f"ptr.several {V4}", zone={PTR4: "mail.acme-lab.com.\nout.acme-lab.com.", "out A": V4}),
    Fault(
        finds="ptr.not-public 10.1.2.3",
        config={'addresses: [88.99.40.10, "2a01:4f8:10a:40::2"]': "addresses: [10.1.2.3]"},
        follows={f"spf_sender.not-authorised {AT}": "SPF does not name the address"},
    ),
    Fault(finds=f"blocklist.listed {V4}", zone={"10.40.99.88.zen.spamhaus.org. A": "127.0.0.2"}),
    Fault(finds="blocklist.listed acme-lab.com", zone={"acme-lab.com.dbl.spamhaus.org. A": "127.0.1.2"}),
    Fault(finds="helo.listed own", zone={"mail.acme-lab.com.dbl.spamhaus.org. A": "127.0.1.2"}),
    Fault(  # a list is tested for IPv6 when the first IPv6 address is looked up there, so the next look tells
        finds="blocklist_health.not-for-ipv6 spamhaus-zen",
        zone={
            f"2.0.0.0.0.0.f.7.f.f.f.f.{'0.' * 20}zen.spamhaus.org. TXT": '"no test point of IPv6"',
            "*.2.zen.spamhaus.org. A": "127.0.0.2",
        },
        sweeps=2,
        unknown={f"blocklist {V6}": "no other list is asked"},
    ),
    Fault(
        finds="blocklist_health.dead spamhaus-zen",
        zone={"2.0.0.127.zen.spamhaus.org. TXT": '"nothing is listed"'},
        unknown=NO_LIST,
    ),
    Fault(
        finds="blocklist_health.lists-the-world spamhaus-zen",
        zone={"1.0.0.127.zen.spamhaus.org. A": "127.0.0.2"},
        unknown=NO_LIST,
    ),
    Fault(
        finds="blocklist_health.refuses-resolver spamhaus-zen",
        zone={"2.0.0.127.zen.spamhaus.org. A": "127.255.255.254"},
        unknown=NO_LIST,
    ),
    Fault(
        finds="blocklist_health.too-many-questions spamhaus-zen",
        zone={"2.0.0.127.zen.spamhaus.org. A": "127.255.255.255"},
        unknown=NO_LIST,
    ),
    Fault(
        finds="blocklist_health.mistyped-zone spamhaus-zen",
        zone={"2.0.0.127.zen.spamhaus.org. A": "127.255.255.252"},
        unknown=NO_LIST,
    ),
    Fault(
        finds="blocklist_health.wrong-answers spamhaus-zen",
        zone={"2.0.0.127.zen.spamhaus.org. A": "203.0.113.7"},
        unknown=NO_LIST,
    ),
]
