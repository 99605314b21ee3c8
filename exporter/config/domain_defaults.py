"""The key `domain_defaults`: what a domain has that does not say it itself.

The problem: a platform has thousands of domains that send through the same machines with the same selectors. Written
out, the same three lines stand there thousands of times.

The rules:

- A key that a domain writes, even an empty list, outweighs the default.
- `labels` and `checks` are added to the default ones; of two with one name, the domain's counts.
- A domain that sends no mail has no senders, so the keys about sending do not reach it.
"""

from __future__ import annotations

from collections.abc import Collection

from exporter.config.schema import DomainDefaults, DomainEntry

NAME = "domain_defaults"
_OF_SENDING = frozenset({"senders", "mail_from", "dkim_selectors"})
_ADDED = ("labels", "checks")


def completed(domain: DomainEntry, defaults: DomainDefaults, failed: Collection[str]) -> DomainEntry:
    """The domain with its defaults. `failed` are keys that it writes, but that could not be understood."""
    given = defaults.model_fields_set
    if not given:
        return domain
    own = domain.model_fields_set | set(failed)
    sends = domain.sends_mail if "sends_mail" in own else defaults.sends_mail
    missing = given - own - (frozenset() if sends else _OF_SENDING)
    values = {name: getattr(defaults, name) for name in missing}
    for name in _ADDED:
        if name in given and name in domain.model_fields_set:
            values[name] = getattr(defaults, name) | getattr(domain, name)
    return domain.model_copy(update=values)


def as_domain(defaults: DomainDefaults) -> DomainEntry:
    """A domain that says nothing else, to judge the defaults once."""
    values = {name: getattr(defaults, name) for name in defaults.model_fields_set}
    return DomainEntry.model_construct(name=NAME, **values)
