"""Finds DKIM keys of a domain under the selectors that signing programs and providers commonly use.

DNS cannot list the selectors of a domain (RFC 6376 section 3.1). But most come from the manual of a program or a
provider. A key under such a name is likely in use, also one that nobody can read. A revoked one, or one that a
wildcard invents, is not.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from exporter import receivers
from exporter.mail.dkim import key_record
from exporter.mail.dkim.key_record import KeyRecord
from exporter.mail.dns import Question
from exporter.model import Target
from exporter.net.interfaces import DnsClient
from exporter.targets import Delivery, Domain, KeyNamespace, Selector, Zone, deliveries

COMMON = (
    *("default", "dkim", "mail", "email", "smtp", "key1", "s1", "s2", "k1", "k2", "k3"),  # programs, panels, SendGrid
    *("google", "selector1", "selector2", "sig1"),  # Google Workspace, Microsoft 365, iCloud
    *("fm1", "fm2", "fm3", "protonmail", "protonmail2", "protonmail3", "zmail"),  # Fastmail, Proton, Zoho
    *("mandrill", "mte1", "mte2", "mailjet", "pic", "cm", "brevo1", "brevo2", "hs1", "hs2"),  # of campaigns
    *("mlsend", "ctct1", "ctct2", "kl", "kl2", "zendesk1", "zendesk2"),
)


async def find(domain: str, dns: DnsClient) -> dict[str, tuple[str, ...]]:
    """The selectors under which there are keys, each with the names that it is an alias of."""
    if await _there(secrets.token_hex(8), domain, dns) is not None:
        return {}  # a wildcard answers for every name
    there = await asyncio.gather(*(_there(selector, domain, dns) for selector in COMMON))
    return {selector: chain for selector, chain in zip(COMMON, there, strict=True) if chain is not None}


async def _there(selector: str, domain: str, dns: DnsClient) -> tuple[str, ...] | None:
    reply = await dns.ask(Question(f"{selector}._domainkey.{domain}", "TXT"))
    return reply.chain if any(_meant_as_key(text.text) for text in reply.texts) else None


def with_selectors(targets: Iterable[Target], found: Mapping[str, tuple[str, ...]]) -> list[Target]:
    """The targets, with the keys that were found for domains that nobody told a selector of."""
    targets = list(targets)
    unknown = {it.domain for it in targets if isinstance(it, KeyNamespace)}
    found = {name: selectors for name, selectors in found.items() if selectors and name in unknown}
    made = [one for it in targets if not isinstance(it, Delivery) for one in _made(it, found)]
    return [*made, *deliveries(made, lambda _: receivers.DEFAULT)]


def _meant_as_key(text: bytes) -> bool:
    record = key_record.attempt(text)
    return not record.revoked if isinstance(record, KeyRecord) else text.startswith(b"v=DKIM1")


def _made(target: Target, found: Mapping[str, tuple[str, ...]]) -> Iterator[Target]:
    match target:
        case KeyNamespace(domain=name) if name in found:
            for selector in found[name]:
                others = tuple(it for it in found[name] if it != selector)
                yield Selector(domain=name, selector=selector, signer=name, siblings=others)
        case Domain(name=name) if name in found:
            yield replace(target, signers=(name,))
        case Zone(name=name) if name in found:
            yield replace(target, keys=tuple(f"{it}._domainkey.{name}" for it in found[name]))
        case _:
            yield target
