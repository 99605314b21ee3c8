"""What targets say of each other, for joins: which sender greets from where, and whose mail it sends."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.engine.families import DOMAIN_SENDER, SENDER
from exporter.facts import Labels
from exporter.model import Target
from exporter.targets import Authorisation, Domain, Greeting


def relations(target: Target) -> Iterator[tuple[str, Target, Labels]]:
    """The info series that come from a target alone: family, the target whose labels it has, and further labels."""
    match target:
        case Greeting():
            yield SENDER, target, (("helo", target.helo),)
        case Authorisation():
            yield DOMAIN_SENDER, target, ()
        case Domain(name=name, labels=labels):  # with senders that no target tells of
            for it in target.theirs:
                yield DOMAIN_SENDER, Authorisation(domain=name, sender=it, mail_from=(), labels=labels), ()
