"""The drill: trouble of many kinds, and exactly the notices that it is to bring. `make drill` plays all of it.

The scenes are in scenes.py, and what they are played with is in drill.py. Some belong to every run of the tests. Each
waits most of the time, so several are played at once.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import pytest

from tests.lab.alerting.alertmanager import sink
from tests.lab.alerting.drill import Drill
from tests.lab.alerting.scenes import SCENES, Scene
from tests.lab.process import Lab

AT_ONCE = 4


class Played(NamedTuple):
    told: list[str]
    seconds: float


def played(scene: Scene) -> Played:
    began = time.monotonic()
    with Lab() as lab, sink() as to:
        drill = Drill(lab, to, scene.thresholds, scene.minute)
        try:
            scene.prepare(drill)
            drill.begin()
            scene.play(drill)
            drill.end()
        except AssertionError as error:
            raise AssertionError(f"{error}\nbefore: {drill.told}\n{lab.logs()}") from error
    return Played(drill.told, time.monotonic() - began)


@pytest.fixture(scope="module")
def playing(request: pytest.FixtureRequest) -> Iterator[Mapping[str, Future[Played]]]:
    """All scenes that this run has chosen."""
    of_this = [it.name for it in request.session.items if it.path == request.path]
    chosen = [scene for scene in SCENES if any(f"[{scene.name}]" in name for name in of_this)]
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        yield {scene.name: pool.submit(played, scene) for scene in chosen}
    finally:
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize(
    "scene",
    [
        pytest.param(it, id=it.name, marks=[pytest.mark.lab] if it.in_every_run else [pytest.mark.drill])
        for it in SCENES
    ],
)
def test_people_are_told_exactly_this(
    scene: Scene, playing: Mapping[str, Future[Played]], record_property: Callable[[str, object], None]
) -> None:
    told, seconds = playing[scene.name].result()
    record_property("scene", f"| {scene.happens} | {', '.join(told) or 'nothing'} | {seconds:.0f} s |")
    began = {it.partition("+")[2].partition(" ")[0] for it in told if "+" in it}
    said = {it.removeprefix("Deliverability") for it in re.findall(r"`([^`]+)`", scene.told)}
    assert began == said, "what the row says is what has happened"
