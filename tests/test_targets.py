"""Each kind of target says once by which labels it is told, and everything that is published relies on that."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest

from exporter import targets
from exporter.config import load
from exporter.engine import catalogue
from exporter.model import TARGET_LABELS, Target

CATALOGUE = catalogue.load()
EXAMPLE = Path(__file__).parents[1] / "config.example.yaml"
KINDS = [it for it in vars(targets).values() if isinstance(it, type) and issubclass(it, Target) and it is not Target]

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


@each_kind
def test_a_kind_has_labels_in_the_order_of_all_but_for_the_one_resolver(kind: type[Target]) -> None:
    there = [TARGET_LABELS.index(label) for label in kind.LABELS]
    assert there == sorted(set(there))
    assert kind.LABELS or kind is targets.OwnResolver


@each_kind
def test_a_kind_says_in_words_which_targets_there_are(kind: type[Target]) -> None:
    """`It looks at ...`: part of a sentence."""
    assert kind.NOUN
    assert kind.NOUN.strip() == kind.NOUN
    assert not kind.NOUN.endswith(".")


def test_every_label_is_of_some_kind() -> None:
    assert set(chain.from_iterable(kind.LABELS for kind in KINDS)) == set(TARGET_LABELS)


def test_a_target_has_the_labels_of_its_kind() -> None:
    """Those of the example, where there is one of each but for the resolver of whoever runs this."""
    made = load(EXAMPLE, CATALOGUE).targets
    for target in made:
        assert tuple(label for label, _ in target.identity) in target.identities(), target
        assert all(value for _, value in target.identity), target
    assert {kind for check in CATALOGUE.checks.values() for kind in check.over} <= {*map(type, made)}


def test_what_lists_say_is_kept_of_addresses_domains_and_helo_names() -> None:
    """A listing counts only after a second look, so what is not kept would never count."""
    made = load(EXAMPLE, CATALOGUE).targets
    said = {it.helo for it in made if isinstance(it, targets.Greeting) and it.lists}
    judged = {it.subject for it in made if isinstance(it, targets.Reputation)}
    assert said
    assert judged
    assert set(targets.looked_up(made)) == said | judged
