"""The DKIM selectors of a domain, as targets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from exporter import targets
from exporter.config import schema


def in_use(domain: schema.DomainEntry) -> list[schema.SelectorEntry]:
    """The selectors that sign mail now."""
    return [key for key in domain.dkim_selectors if not key.retired]


def signer(domain: schema.DomainEntry, key: schema.SelectorEntry) -> str:
    """The domain that signs: `d=` (RFC 6376 section 3.5)."""
    return key.domain or domain.name


def selectors(
    domain: schema.DomainEntry, common: Mapping[str, Any]
) -> Iterator[targets.Selector | targets.KeyNamespace]:
    """One target for each selector. A domain that sends, but has none in use, gets a KeyNamespace."""
    used = in_use(domain)
    for key in domain.dkim_selectors:
        by = signer(domain, key)
        others = (it.selector for it in used if signer(domain, it) == by and it.selector != key.selector)
        yield targets.Selector(
            domain=domain.name,
            selector=key.selector,
            signer=by,
            retired=key.retired,
            siblings=() if key.retired else tuple(others),
            **common,
        )
    if domain.sends_mail and not used:
        yield targets.KeyNamespace(domain=domain.name, **common)
