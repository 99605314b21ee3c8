"""What flags say of whom we ask, and what we are called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from exporter.config import Nameserver, Settings
from exporter.config.values import nameserver
from exporter.mail import names

RESOLVER = "Fix: name one that answers with --resolver ADDRESS, best one of your own on this host."


def asking(settings: Settings, resolvers: Sequence[str] | None) -> Settings:
    """The settings with the name servers of --resolver. Raise ValueError for what is none."""
    return replace(settings, nameservers=tuple(map(_nameserver, resolvers))) if resolvers else settings


def _nameserver(text: str) -> Nameserver:
    try:
        return nameserver(text)
    except ValueError:
        raise ValueError(f"--resolver: {text!r} is no nameserver: an address is wanted, or address:port") from None


def own_name(text: str) -> str:
    """What --smtp.helo-name says. Raise ValueError for what is no name."""
    try:
        return names.canonical(text)
    except ValueError as error:
        raise ValueError(f"--smtp.helo-name: {text!r} {error}") from None
