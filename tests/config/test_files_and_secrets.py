"""Included files are part of the whole; secrets come from files or the environment, and are never shown."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from exporter.config import ConfigError, shipped_blocklists
from exporter.targets import (
    Authorisation,
)
from tests.support.configuration import HOST, SENDER, Read, only, refused

SECRET = "k3y0fthecustomer"


def test_included_files_add_entries_and_are_part_of_the_digest(read: Read) -> None:
    Path("targets.d").mkdir()
    Path("targets.d/b.yaml").write_text("senders: [{name: out, spf_include: a.example}]\n")
    Path("targets.d/a.yaml").write_text("domains: [{name: a.example, senders: [out]}]\n")
    text = "smtp: {helo_name: p.example.net}\ninclude: ['*.yaml', 'targets.d/*.yaml', targets.d/a.yaml]\n"
    settings = read(text)
    assert settings.files == ("config.yaml", "targets.d/a.yaml", "targets.d/b.yaml")
    assert only(settings, Authorisation) == [
        Authorisation(domain="a.example", sender="out", mail_from=("a.example",), spf_include="a.example")
    ]
    Path("targets.d/b.yaml").write_text("senders: [{name: out, spf_include: b.example}]\n")
    assert read(text).digest != settings.digest


def test_an_include_that_may_match_no_file_says_so(read: Read) -> None:
    settings = read("include: [{path: 'targets.d/*.yaml', optional: true}, {path: more.yaml, optional: true}]")
    assert len(settings.files) == 1
    assert not [warning for warning in settings.warnings if "include" in str(warning)]
    Path("more.yaml").write_text("domains: [{name: a.example, sends_mail: false}]")
    text = "smtp: {helo_name: p.example.net}\ninclude: [{path: more.yaml, optional: true}]"
    assert len(read(text).files) == 2


def test_faults_of_included_files_name_their_file_and_nothing_is_half_done(read: Read) -> None:
    Path("more.yaml").write_text("domains: [{name: a.example, senders: [nobody]}]\nresolver: {}\n")
    Path("twice.yaml").write_text("\n\nmail_hosts: [{host: mx.example.com}]\n")
    Path("broken.yaml").write_text("domains:\n- name: a.example\n   senders: []\n")
    text = f"smtp: {{helo_name: p.example.net}}\ninclude: [more.yaml, twice.yaml, broken.yaml]\n{HOST}"
    lines = refused(read, text).splitlines()
    assert lines[:3] == [
        "more.yaml:1 domains[0].senders[0]: no sender is called 'nobody'; there is none like it",
        "more.yaml:2 resolver: is an unknown key; known are domains, mail_hosts, senders",
        (
            "twice.yaml:3 mail_hosts[0]: the mail host mx.example.com:25 is configured twice: "
            "here and at config.yaml:3 mail_hosts[0]; keep one"
        ),
    ]
    assert len(lines) == 4
    assert lines[3].startswith("broken.yaml:3: is no valid YAML: ")


def test_a_zone_with_a_key_comes_from_a_file_or_the_environment_and_brings_the_shipped_codes(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("zen").write_text(f"{SECRET}.zen.dq.spamhaus.net\n")
    monkeypatch.setenv("DBL", f"{SECRET}.dbl.dq.spamhaus.net")
    text = "blocklists: [{name: spamhaus-zen, zone_file: zen}, {name: spamhaus-dbl, zone_env: DBL, queries_per_day: 5, "
    text += "queries_per_second: 7}]"
    zen, dbl = read(text).blocklists
    assert (zen.zone, dbl.zone) == (f"{SECRET}.zen.dq.spamhaus.net", f"{SECRET}.dbl.dq.spamhaus.net")
    shipped = shipped_blocklists().lists
    assert zen.codes == shipped["spamhaus-zen"].codes
    assert dbl.lists is shipped["spamhaus-dbl"].lists
    assert (dbl.queries_per_day, dbl.queries_per_second, zen.queries_per_second) == (5, 7, 50)


@pytest.mark.parametrize("rate", ["0", "-1", "0.5", "100001", "fast"])
def test_a_rate_is_a_whole_number_above_zero(read: Read, rate: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(f"blocklists: [{{name: psbl, queries_per_second: {rate}}}]")
    place = "config.yaml:1 blocklists[0].queries_per_second: expected a whole number from 1 to 100000"
    assert str(error.value).startswith(place)


LEAKS = [
    "blocklists: [{name: spamhaus-zen, zone_file: zen}]",
    "blocklists: [{name: spamhaus-zen, zone_env: ZEN}]",
    "blocklists: [{name: spamhaus-zen, zone_file: zen, severity: bad}]",
    "blocklists: [{name: spamhaus-zen, zone_file: zen}, {name: spamhaus-zen, zone_env: ZEN}]",
    "blocklists: [{name: ours, zone_file: broken}]",
    "blocklists: [{name: ours, zone_env: BROKEN}]",
    f"blocklists: [{SECRET}.zen.dq.spamhaus.net]",
    f"blocklists: ['{SECRET} x']",
    f"blocklists: [{{name: '{SECRET} x'}}]",
    f"blocklists: [{{name: spamhaus-zen, zone: {SECRET}.zen.dq.spamhaus.net}}]",
    f"blocklists: [{{name: spamhaus-zen, zone: '{SECRET} x'}}]",
    f"blocklists: [{{name: spamhaus-zen, zone: [{SECRET}]}}]",
    f"blocklists: [{{name: spamhaus-zen, zone_file: {SECRET}}}]",
    f"blocklists: [{{name: spamhaus-zen, zone_env: {SECRET}}}]",
    f"blocklists: [{{name: spamhaus-zen, zone: {SECRET}.example, zone: {SECRET}.example}}]",
    f"blocklists: [{{name: spamhaus-zen, zoen: {SECRET}.example}}]",
    f"blocklists: {SECRET}",
    f"blocklists: [{{name: ours, zone: {SECRET}.{'a' * 63}.{'b' * 63}.{'c' * 63}}}]",
    f"blocklists: [{{name: spamhaus-zen, zone: &{{{SECRET}}}]",
]


@pytest.mark.parametrize("text", LEAKS)
def test_a_secret_is_in_no_error_no_repr_and_no_log(
    read: Read, text: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    Path("zen").write_text(f"{SECRET}.zen.dq.spamhaus.net\n")
    Path("broken").write_text(f"{SECRET}..zen example\n")
    monkeypatch.setenv("ZEN", f"{SECRET}.zen.dq.spamhaus.net")
    monkeypatch.setenv("BROKEN", f"{SECRET}..zen example")
    try:
        shown = repr(read(f"{SENDER}{text}\n"))
    except ConfigError as error:
        shown = f"{error} {error!r} {error.problems}"
    assert shown
    assert SECRET not in shown + caplog.text
