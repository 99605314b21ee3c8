"""docs/alerting.md says what people are told in trouble of each kind: each row is a scene of the drill or a story."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.lab.alerting.scenes import SCENES
from tests.publish import stories, watching
from tests.support.markdown import cells

PAGE = Path(__file__).parents[2] / "docs" / "alerting.md"
(TABLE,) = (rows[1:] for rows in cells(PAGE.read_text()) if rows[0] == ("What happens", "Alert"))
ROWS = {row[0]: row[1] for row in TABLE}
OF_SCENES = {scene.happens: scene.told for scene in SCENES}
STORIES = {story.name: story for story in [*stories.stories(), *watching.stories()]}
EACH_FAULT = "each fault of the exporter and its eyes is told, and ends"
BY_STORIES = {
    "a blocklist does not answer": [EACH_FAULT],
    "no scrape for 4 minutes": ["no scrape for 1, 4, 8 and 30 minutes ends nothing"],
    "it runs for 3, 8 or 12 minutes and is down for 2 to 4, again and again": [
        "crash loops of 3/2, 8/4 and 12/2 minutes, with and without state, page in half an hour and end nothing"
    ],
    "one of several leaves service discovery": [
        "one of two with targets of their own leaves service discovery: told in 20 minutes, and nothing ends"
    ],
    "the only one leaves service discovery": [
        "the only exporter leaves service discovery: it pages in 20 minutes, and nothing ends"
    ],
    "more than 10% of the targets leave, and at least 5": [
        "of 100 targets 92 are left",
        "of 20 targets 16 are left",
        "of 100 targets 88 are left",
        "of 100 targets 45 are left",
    ],
    "a check is late": [EACH_FAULT],
}


def test_each_row_is_a_scene_or_a_story_and_each_scene_is_a_row() -> None:
    assert {row: ROWS[row] for row in ROWS if row not in BY_STORIES} == OF_SCENES
    assert BY_STORIES.keys() <= ROWS.keys()
    assert (len(ROWS), len(OF_SCENES)) == (len(TABLE), len(SCENES)), "no row stands there twice"


@pytest.mark.parametrize("row", BY_STORIES)
def test_what_a_row_says_fires_in_its_stories(row: str) -> None:
    severities = {"a warning": "warning", "a page": "critical"}
    names = [name.removeprefix("Deliverability") for name in re.findall(r"`([^`]+)`", ROWS[row])]
    said = {f"{name} {severity}" for name in names for words, severity in severities.items() if words in ROWS[row]}
    assert said <= {told for name in BY_STORIES[row] for told in STORIES[name].others}
    assert said or ROWS[row] == "nothing"
