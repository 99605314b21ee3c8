"""One list, and a world that has only this."""

from __future__ import annotations

import pytest

from tests.support.lists import Scripted, World, scripted


@pytest.fixture
def one() -> Scripted:
    return scripted()


@pytest.fixture(params=[False, True], ids=["plain", "swept"])
def world(one: Scripted, request: pytest.FixtureRequest) -> World:
    """Whether many questions can be asked at once makes no difference."""
    return World([one], sweeps=request.param)
