"""Which envelope domains (MAIL FROM) the mail of a domain uses.

They are those of the domain, those of a single sender, or those of a provider (`theirs`). An entry with the word
`theirs` is an empty list here: it has no envelope domain of the operator.
"""

from __future__ import annotations

from collections.abc import Iterable

from exporter.config import schema


def common(domain: schema.DomainEntry) -> tuple[str, ...]:
    """The envelope domains of all senders that name none."""
    return tuple(domain.mail_from or (domain.name,))


def all_of(domain: schema.DomainEntry) -> tuple[str, ...]:
    """All envelope domains at which SPF is judged. The common ones count unless every sender names its own."""
    own = [name for use in domain.senders for name in use.mail_from or ()]
    shared = domain.mail_from or not domain.senders or any(use.mail_from is None for use in domain.senders)
    return tuple(dict.fromkeys((*(common(domain) if shared else ()), *own)))


def theirs(domain: schema.DomainEntry) -> tuple[str, ...]:
    """The senders that use an envelope domain of a provider for its mail."""
    return tuple(use.name for use in domain.senders if use.mail_from == [])


def only_theirs(domains: Iterable[schema.DomainEntry]) -> frozenset[str]:
    """The senders that are `theirs` in every domain that names them. SPF is never asked for them."""
    uses = [use for domain in domains for use in domain.senders]
    return frozenset(use.name for use in uses if use.mail_from == []) - {
        use.name for use in uses if use.mail_from != []
    }
