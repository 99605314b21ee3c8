"""Reads a configuration that a test has written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from exporter.config import ConfigError, Settings
from exporter.engine import catalogue
from exporter.model import Target

T = TypeVar("T", bound=Target)
Read = Callable[[str], Settings]

CATALOGUE = catalogue.load()
EXAMPLE = Path(__file__).parents[2] / "config.example.yaml"
SENDER = "senders: [{name: out, addresses: [192.0.2.1], helo: out.example.com}]\n"
HOST = "mail_hosts: [{host: mx.example.com}]\n"


def refused(read: Read, text: str) -> str:
    """What is said about the text, which must not be accepted."""
    with pytest.raises(ConfigError) as caught:
        read(text)
    return str(caught.value)


def only(settings: Settings, kind: type[T]) -> list[T]:
    return [target for target in settings.targets if isinstance(target, kind)]
