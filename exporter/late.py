"""Modules that few runs need, each loaded when something of it is first used.

The problem: to load them takes longer than to check a domain. The web client alone takes 0.1 s.

    if TYPE_CHECKING:
        import aiohttp
    else:
        aiohttp = Late("aiohttp")

`aiohttp.ClientSession` then loads it, once. The daemon calls `load_all`, because its loop must not wait for that later.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


class Late:
    """Stands for a module. What is asked of it is asked of the module, which is then loaded."""

    def __init__(self, name: str) -> None:
        self.__name__ = name
        _MADE.append(self)

    def __getattr__(self, name: str) -> Any:
        value = getattr(import_module(self.__name__), name)
        setattr(self, name, value)  # the next time costs nothing
        return value


_MADE: list[Late] = []


def load_all() -> None:
    """Load each module that something here stands for."""
    for module in _MADE:  # which grows meanwhile: those that are loaded may name more
        import_module(module.__name__)
