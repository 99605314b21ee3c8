"""Stories that are played on each loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import pytest

Story: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


@pytest.fixture(params=["asyncio", "uvloop"])
def on_each_loop(request: pytest.FixtureRequest) -> Callable[[Story], None]:
    """Run a story under that loop."""
    uvloop = pytest.importorskip("uvloop", reason="an optional extra") if request.param == "uvloop" else None

    def run(story: Story) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop if uvloop else None) as runner:
            runner.run(story())

    return run
