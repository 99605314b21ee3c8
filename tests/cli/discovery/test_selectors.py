"""Keys that nobody named are found under common selectors, and nothing is invented."""

from __future__ import annotations

from exporter.cli.discovery import selectors
from exporter.cli.named import DomainFlags, named
from exporter.demo.nameserver import ZoneData
from exporter.model import Target
from exporter.targets import Delivery, Domain, KeyNamespace, Selector, Zone
from tests.support.memory import MemoryResolver

KEY = "v=DKIM1; k=ed25519; p=FYp4tnRdwbG+Lp7G8brlkNJe4n0ZNcfcouo3PHYH1Ag="
ZONE = f"""
s1._domainkey.example.com.       TXT    "{KEY}"
google._domainkey.example.com.   CNAME  key.provider.example.
key.provider.example.            TXT    "{KEY}"
mail._domainkey.example.com.     TXT    "v=DKIM1; p="
dkim._domainkey.example.com.     TXT    "google-site-verification=x"
default._domainkey.cut.example.  TXT    "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEB"
*._domainkey.wild.example.       TXT    "{KEY}"
"""


async def found(name: str, flags: DomainFlags | None = None) -> list[Target]:
    keys = await selectors.find(name, MemoryResolver(ZoneData(ZONE)))
    return selectors.with_selectors(named([name], None, (), flags or DomainFlags()), {name: tuple(keys)})


async def test_keys_under_common_names_are_found_and_judged_like_configured_ones() -> None:
    made = await found("example.com")
    keys = [it for it in made if isinstance(it, Selector)]
    assert [(it.selector, it.signer, it.siblings) for it in keys] == [
        ("s1", "example.com", ("google",)),
        ("google", "example.com", ("s1",)),
    ], "neither a revoked key nor another record"
    assert not any(isinstance(it, KeyNamespace) for it in made)
    assert [it.signers for it in made if isinstance(it, Domain)] == [("example.com",)]
    assert [it.keys for it in made if isinstance(it, Zone)] == [
        ("s1._domainkey.example.com", "google._domainkey.example.com")
    ]
    (delivery,) = (it for it in made if isinstance(it, Delivery))
    assert {it.key for it in keys} <= {it.key for it in delivery.rests_on}


async def test_a_wildcard_is_no_key_and_what_is_not_there_stays_unknown() -> None:
    for name in ("wild.example", "none.example"):
        made = await found(name)
        assert [type(it) for it in made if isinstance(it, Selector | KeyNamespace)] == [KeyNamespace]


async def test_a_key_that_is_cut_off_is_found_and_judged() -> None:
    (key,) = (it for it in await found("cut.example") if isinstance(it, Selector))
    assert (key.domain, key.selector) == ("cut.example", "default")


async def test_nobody_is_second_guessed() -> None:
    made = await found("example.com", flags=DomainFlags(selectors=("s9",)))
    assert [it.selector for it in made if isinstance(it, Selector)] == ["s9"]


async def test_an_alias_is_told_with_its_key() -> None:
    keys = await selectors.find("example.com", MemoryResolver(ZoneData(ZONE)))
    assert keys == {"s1": (), "google": ("key.provider.example",)}
