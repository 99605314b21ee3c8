"""Nothing that can be written into a file makes more of it than an error, or takes long."""

from __future__ import annotations

import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter import strict_yaml
from exporter.config import ConfigError, load
from exporter.config.fields import kind
from tests.support.configuration import CATALOGUE, EXAMPLE, Read, refused


@pytest.mark.long
@pytest.mark.parametrize(
    ("text", "told"),
    {
        "a: &a [x, x]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\n" * 2000: "config.yaml:1 a: has the anchor &a",
        "a: " + "[" * 20_000: "config.yaml:1: is nested more than 20 levels deep; nothing here needs that",
        "a: " + "{a: " * 20_000: "config.yaml:1: is nested more than 20 levels deep; nothing here needs that",
        "".join("  " * n + "a:\n" for n in range(1000)): "config.yaml:20: is nested more than 20 levels deep",
        "# " + "x" * strict_yaml.LARGEST: "config.yaml:1: is larger than 5 MiB",
        "senders: [" + "1, " * 200_000 + "]": "config.yaml:1 senders[0]: expected a mapping, got the number 1",
        "".join(f"k{n}: 1\n" for n in range(50_000)): "config.yaml:1 k0: is an unknown key",
        f"limits: {{series: {'9' * 5000}}}": "config.yaml:1 limits.series: expected a whole number",
    }.items(),
    ids=["bomb", "lists", "mappings", "blocks", "large", "senders", "keys", "digits"],
)
def test_hostile_files_end_quickly(read: Read, text: str, told: str) -> None:
    before = time.process_time()
    shown = refused(read, text)
    assert time.process_time() - before < 5
    assert told in shown
    assert shown.count("\n") <= 100


def test_yaml_is_read_with_lines_and_without_surprises() -> None:
    read = strict_yaml.parse(b"a:\n  - b: 1\n    c: no\n  - true\nd: ~\n")
    assert read.root
    assert read.root.plain() == {"a": [{"b": 1, "c": "no"}, True], "d": None}
    node, walked = read.root.at(("a", 0, "c", "deeper"))
    assert (node.line, walked) == (3, ("a", 0, "c"))
    assert read.faults == ()


_MARKS = st.sampled_from("{}[]&*!|>'\"#?~-:,%\t\n\0\x07\u2028\ud800é ")
_WORDS = st.sampled_from(
    ["no", "null", "true", "0025", "1:20", "2027-01-31", "&a x", "*a", "!!int ", "- ", ": ", "\n---\n"]
)


@pytest.mark.long
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_mutation_of_the_example_raises_anything_but_config_errors(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = EXAMPLE.read_text()
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 40))
        text = text[:start] + data.draw(_MARKS | _WORDS | st.text(max_size=5)) + text[start + cut :]
    path = tmp_path_factory.getbasetemp() / "mutated.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        settled = load(path, CATALOGUE)
    except ConfigError as error:
        found = [str(problem) for problem in error.problems]
    else:
        found = [f"{type(target)} {target.key}" for target in settled.targets]
        assert len(found) == len(set(found))
    assert found
    assert not any("\n" in line for line in found)


def test_without_libyaml_the_example_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    content = EXAMPLE.read_bytes()
    fast = strict_yaml.parse(content)
    monkeypatch.setattr(strict_yaml, "_LOADER", yaml.SafeLoader)
    slow = strict_yaml.parse(content)
    assert fast.root
    assert slow.root
    assert fast.root.plain() == slow.root.plain()
    assert fast.faults == slow.faults == ()


def both_agree(content: bytes) -> None:
    """The quick way says what the exact way says, and finds a fault where that finds one."""
    exact = strict_yaml.parse(content)
    if exact.faults:
        with pytest.raises(strict_yaml.FaultyError):
            strict_yaml.plain(content)
    else:
        assert strict_yaml.plain(content) == (exact.root.plain() if exact.root else None)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "~",
            "no",
            "# nothing",
            "---",
            "--- a",
            "a\n---\nb",
            "a: 1\na: 2",
            "? [a]\n: b",
            "? {a: b}\n: c",
            "{a, b: }",
        ),
        *(
            "a: &x b",
            "&x a: b",
            "a: *x",
            "a: !!str b",
            "!!str a: b",
            "a: !x [b]",
            "- !!map {a: b}",
            "{a: b}: c",
            "- - - a",
        ),
        *(
            r'"\0"',
            r'a: "\ud800"',
            r'"\ud800": a',
            r"a: '\0'",
            "a: \0",
            "a: 'no'",
            "a: 0025",
            "a: -5",
            "1: 2",
            "null: ~",
        ),
        *("[" * depth + "]" * depth for depth in (strict_yaml.DEEPEST, strict_yaml.DEEPEST + 1)),
        *("".join(f"k{n}: 1\n" for n in range(keys)) for keys in (strict_yaml.MOST_KEYS, strict_yaml.MOST_KEYS + 1)),
        *("- 1\n" * items for items in (strict_yaml.MOST_ITEMS, strict_yaml.MOST_ITEMS + 1)),
        "#" * (strict_yaml.LARGEST + 1),
    ],
    ids=lambda text: text[:12],
)
def test_the_quick_way_reads_as_the_exact_one(text: str) -> None:
    both_agree(text.encode())


@settings(max_examples=200, deadline=None)
@given(pieces=st.lists(_MARKS | _WORDS | st.sampled_from(["a", "b: ", "\n", "\n  ", "- ", '"']), max_size=30))
def test_both_ways_agree_on_anything(pieces: list[str]) -> None:
    both_agree("".join(pieces).encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
@pytest.mark.parametrize(
    "text", [r'a: "\ud800"', r'a: "\UFFFFFFFF"', "%YAML 9" + "9" * 5000 + ".1\n--- a", "a: [1", "@"]
)
def test_what_is_no_yaml_is_one_fault(monkeypatch: pytest.MonkeyPatch, loader: str, text: str) -> None:
    monkeypatch.setattr(strict_yaml, "_LOADER", getattr(yaml, loader))
    read = strict_yaml.parse(text.encode())
    assert read.root is None
    assert len(read.faults) == 1


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_the_reader_of_yaml_never_raises(content: bytes) -> None:
    read = strict_yaml.parse(content)
    assert read.root is None or kind(read.root.plain())
    both_agree(content)
