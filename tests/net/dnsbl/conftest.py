"""One list, and a world that has only this."""

from __future__ import annotations

import pytest

from tests.support.lists import Scripted, World, scripted


@pytest.fixture
def one() -> Scripted:
    return scripted()


@pytest.fixture
def world(one: Scripted) -> World:
    return World([one])
