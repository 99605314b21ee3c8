"""Demands of receivers that are not met: each rests on a fault of another check, which stands beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.worlds.sick import authentication, hosts, names
from tests.worlds.sick.fault import Fault

AT = "acme-lab.com"
GONE = "mx.no-such-domain-gone-acme.com"
ALL = {"receivers: []": "receivers: [apple, gmail, gmail_bulk, gmx, ionos, microsoft, microsoft_bulk, orange, yahoo]"}
PTR6 = "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.4.0.0.a.0.1.0.8.f.4.0.1.0.a.2.ip6.arpa. PTR"

BASES = {fault.name: fault for fault in [*names.FAULTS, *authentication.FAULTS, *hosts.FAULTS]} | {
    "ptr.missing-ipv6": Fault(finds=f"ptr.missing {names.V6}", zone={PTR6: ""}),
    "helo.peer-microsoft": names.helo("peer", "mail.outlook.com"),
}
UNMET = {  # by a fault of another check
    "helo.empty-own": ["gmail-helo", "gmx-helo", "ionos-helo", "orange-helo", "yahoo-helo"],
    "helo.trailing-dot-own": ["gmx-helo", "ionos-helo", "microsoft-helo", "orange-helo", "yahoo-helo"],
    "helo.peer-microsoft": ["microsoft-helo-own-name"],
    "ptr.missing-88.99.40.10": ["apple-ptr", "gmail-ptr", "gmx-ptr", "ionos-ptr", "orange-ptr", "yahoo-ptr"],
    "ptr.missing-ipv6": [
        "apple-ptr",
        "gmail-ptr",
        "gmx-ptr",
        "ionos-ptr",
        "microsoft-ptr-ipv6",
        "orange-ptr",
        "yahoo-ptr",
    ],
    "blocklist.listed-88.99.40.10": ["gmx-blocklists", "microsoft-reputation", "yahoo-spamhaus"],
    f"spf_sender.not-authorised-{AT}": [
        "apple-spf",
        "gmail-bulk-spf",
        "gmail-spf-fail",
        "microsoft-bulk-spf",
        "microsoft-spf",
        "orange-spf",
    ],
    f"dkim.missing-{AT}": [
        "apple-dkim-key",
        "gmail-bulk-dkim-key",
        "gmx-dkim-key",
        "microsoft-bulk-dkim-key",
        "orange-dkim-key",
    ],
    f"dmarc.cannot-align-{AT}": ["gmail-bulk-alignment", "microsoft-bulk-alignment", "microsoft-dmarc"],
    f"dmarc.missing-{AT}": ["gmail-bulk-dmarc", "microsoft-bulk-dmarc", "orange-dmarc"],
    GONE: [
        "apple-dkim-key",
        "apple-spf",
        "gmail-authenticated",
        "gmail-bulk-dkim-key",
        "gmail-bulk-dmarc",
        "gmail-bulk-spf",
        "gmx-dkim-key",
        "gmx-sender-domain",
        "microsoft-authenticated-ipv6",
        "microsoft-bulk-dkim-key",
        "microsoft-bulk-dmarc",
        "microsoft-bulk-spf",
        "orange-dkim-key",
        "orange-dmarc",
        "orange-sender-domain",
        "orange-spf",
        "yahoo-authenticated",
        "yahoo-sender-domain",
    ],
}


def _unmet() -> Iterator[Fault]:
    for name, demands in UNMET.items():
        base, at = BASES[name], "gone-acme.com" if name == GONE else AT
        first, *others = (f"receiver.{demand} {at}" for demand in demands)
        yield replace(
            base,
            finds=first,
            config={**base.config, **ALL},
            follows={
                **base.follows,
                base.finds: "the demand rests on it",
                **dict.fromkeys(others, "another demand that rests on the same"),
            },
            called=name,
        )


FAULTS = [*_unmet()]
