"""Which envelope domains (MAIL FROM) the mail of a domain uses: its common ones, those of single senders, or theirs.

In an entry, an empty list stands for the word `theirs`: no envelope domain of ours.
"""

from __future__ import annotations

from collections.abc import Iterable

from exporter.config import schema


def common(domain: schema.DomainEntry) -> tuple[str, ...]:
    """Those of every sender that names none of its own."""
    return tuple(domain.mail_from or (domain.name,))


def all_of(domain: schema.DomainEntry) -> tuple[str, ...]:
    """Where SPF is judged: at the common ones, unless each sender has its own, and at what single senders have."""
    own = [name for use in domain.senders for name in use.mail_from or ()]
    shared = domain.mail_from or not domain.senders or any(use.mail_from is None for use in domain.senders)
    return tuple(dict.fromkeys((*(common(domain) if shared else ()), *own)))


def foreign(domain: schema.DomainEntry) -> bool:
    """Does some of its mail use an envelope domain of the provider's?"""
    return any(use.mail_from == [] for use in domain.senders)


def only_theirs(domains: Iterable[schema.DomainEntry]) -> frozenset[str]:
    """The senders of which every domain that names them says `theirs`: their SPF is never asked for."""
    uses = [use for domain in domains for use in domain.senders]
    return frozenset(use.name for use in uses if use.mail_from == []) - {
        use.name for use in uses if use.mail_from != []
    }
