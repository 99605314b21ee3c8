"""Keys that nobody named are found under common selectors, and nothing is invented."""

from __future__ import annotations

from exporter.cli.named import DomainFlags, left_out, named
from exporter.cli.selectors import COMMON, MOST_DOMAINS, with_selectors
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


async def found(*words: str, flags: DomainFlags | None = None) -> list[Target]:
    return await with_selectors(named(words, None, (), flags or DomainFlags()), MemoryResolver(ZoneData(ZONE)))


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


async def test_a_long_command_line_asks_no_thousands_of_questions() -> None:
    asked = 0

    class Counting(MemoryResolver):
        async def ask(self, *args: object, **flags: object) -> object:  # type: ignore[override]  # as it comes
            nonlocal asked
            asked += 1
            return await super().ask(*args, **flags)  # type: ignore[arg-type]  # as it comes

    targets = named([f"d{n}.example" for n in range(100)], None, ())
    await with_selectors(targets, Counting(ZoneData(ZONE)))  # type: ignore[arg-type]  # as it comes
    assert asked == MOST_DOMAINS * (len(COMMON) + 1)


def test_what_was_found_is_said() -> None:
    targets = named(["example.com", "192.0.2.1"], "mail.example.com", ())
    assert [*left_out(targets, ["s2", "s1"])] == [
        "DKIM keys but those of common selectors: s1, s2. Name others with --dkim-selector NAME."
    ]
    (said,) = left_out(targets)
    assert said.startswith("DKIM keys: none was found under a common selector.")
