"""The example configuration explains every key, is right as it stands, and so is the schema for editors."""

from __future__ import annotations

import json
import re
from ipaddress import ip_network
from pathlib import Path

import pytest

from exporter.config import load, schema, validation
from exporter.targets import (
    Address,
    Authorisation,
    Delivery,
    Domain,
    EhloProbe,
    Greeting,
    KeyNamespace,
    ListHealth,
    MailHost,
    OwnResolver,
    Registration,
    Reputation,
    Selector,
    Zone,
)
from tests.support.configuration import CATALOGUE, EXAMPLE, Read

SCHEMA = EXAMPLE.parent / "exporter" / "data" / "config.schema.json"


def keys(model: type[schema.Keys]) -> set[str]:
    models = [model, *(inner for field in model.model_fields.values() for inner in validation.models(field.annotation))]
    return set(model.model_fields) | {key for inner in models[1:] for key in keys(inner)}  # type: ignore[arg-type]  # ours


def test_the_example_is_a_good_configuration_without_doubts() -> None:
    settings = load(EXAMPLE, CATALOGUE)
    assert [str(warning) for warning in settings.warnings] == []
    found = {type(target) for target in settings.targets}
    assert found == {
        Address,
        Authorisation,
        Delivery,
        Domain,
        EhloProbe,
        Greeting,
        KeyNamespace,
        ListHealth,
        MailHost,
        OwnResolver,
        Registration,
        Reputation,
        Selector,
        Zone,
    }


def test_the_example_explains_every_key() -> None:
    text = EXAMPLE.read_text()
    assert {key for key in keys(schema.Config) if not re.search(rf"\b{key}:", text)} == set()


def test_the_lines_that_the_example_begins_with_are_enough(read: Read) -> None:
    start = EXAMPLE.read_text().partition("are enough:\n#\n")[2].partition("#\n# Check it")[0]
    settings = read("".join(line.removeprefix("#   ") + "\n" for line in start.splitlines()))
    assert settings.warnings == ()
    assert len(start.splitlines()) <= 10


def test_what_is_commented_out_in_the_example_is_right_too(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = EXAMPLE.read_text().splitlines()
    optional = [line for line in lines if re.match(r"\s*# (- |include:|domain_defaults:)", line)]
    assert len(optional) == 4
    monkeypatch.setenv("DBL_ZONE", "dbl.example.net")
    text = "\n".join(line.replace("# ", "", 1) if line in optional else line for line in lines)
    text = (
        text.replace("/run/secrets/zen-zone", "zen").replace("  - spamhaus-zen ", "  #").replace("  - spamhaus-dbl", "")
    )
    Path("zen").write_text("zen.example.net")
    Path("targets.d").mkdir()
    Path("targets.d/more.yaml").write_text("domains: [{name: more.example}]")
    settings = read(text)
    assert {blocklist.zone for blocklist in settings.blocklists} >= {"zen.example.net", "dbl.example.net"}
    assert ("more.example", "pool") in {
        (it.domain, it.sender) for it in settings.targets if isinstance(it, Authorisation)
    }


def test_without_its_faults_the_example_is_still_good(read: Read) -> None:
    text, count = re.subn(r" *# >>> faults\n.*?# <<< faults\n", "", EXAMPLE.read_text(), flags=re.DOTALL)
    assert count == 4
    settings = read(text)
    assert settings.warnings == ()
    assert len(settings.targets) < len(load(EXAMPLE, CATALOGUE).targets) / 3


def test_the_example_uses_only_addresses_and_names_for_documentation() -> None:
    networks = [ip_network(n) for n in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")]
    settings = load(EXAMPLE, CATALOGUE)
    for target in settings.targets:
        if isinstance(target, Address):
            assert any(target.ip in network for network in networks)
        if isinstance(target, Domain):
            assert re.search(r"(^|\.)example(\.(com|net|org))?$", target.name)


def test_the_committed_schema_is_current() -> None:
    """`make docs` makes it anew."""
    assert SCHEMA.read_text() == json.dumps(schema.schema(), indent=2) + "\n"


def test_every_key_has_a_description_for_editors() -> None:
    whole = schema.schema()
    parts = [whole, *whole["$defs"].values()]
    assert [key for part in parts for key, value in part["properties"].items() if not value.get("description")] == []
    assert EXAMPLE.read_text().startswith("# yaml-language-server: $schema=exporter/data/config.schema.json\n")
