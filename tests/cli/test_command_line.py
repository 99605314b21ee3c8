"""The command line: Prometheus-style flags, clear words for wrong ones, Nagios-style exits for `check`."""

from __future__ import annotations

import gc
import io
import json
import logging
from pathlib import Path
from weakref import ref

import pytest

from exporter import __main__ as command
from exporter.cli import check, logs
from exporter.cli.arguments import parser
from exporter.cli.garbage import THOROUGH, no_collections, short_collections
from exporter.config import load
from exporter.views.pages import Pages
from tests.support.clock import FakeClock
from tests.support.configuration import CATALOGUE
from tests.support.refusals import POSTFIX


def run(*arguments: str) -> int:
    try:
        return command.main(arguments)
    except SystemExit as end:
        return int(str(end.code))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "--config.file=FILE is needed"),
        (["--no-such-flag"], "unrecognized arguments: --no-such-flag"),
        (["--config.file=x.yaml", "--web.listen-address=nowhere"], "'nowhere' is not [HOST]:PORT"),
        (["check"], "name a domain or an address"),
        (["check", "no such"], "is neither an address nor a domain"),
        (["check", "example.com", "--resolver", "dns.example.com"], "is no nameserver"),
        (["check", "example.com", "--smtp.helo-name", "bad name"], "--smtp.helo-name"),
        (["check", "192.0.2.1", "--dkim-selector", "s1"], "--dkim-selector needs a domain; name one"),
        (["check", "--mail-from", "b.example", "mx.example.com:25"], "--mail-from needs a domain; name one"),
        (["check", "a.example", "b.example", "--mail-from", "c.example"], "--mail-from needs one domain alone"),
        (["check", "example.com", "--dkim-selector", "s 1"], "--dkim-selector: 's 1' is no name"),
        (["check", "example.com", "--dkim-selector", "s1._domainkey.example.com"], "give only the selector, s1"),
        (["check", "example.com", "--mail-from", "theirs"], "--mail-from: theirs is a word of the configuration"),
        (["check", "example.com", "--helo", "mail.example.com"], "--helo needs an address; name one"),
        (["check", "example.com", "--spf-include", "_spf..com"], "--spf-include: '_spf..com' is no name"),
        (["check", "example.com", "mx.example.com:0"], "its port is no number from 1 to 65535"),
        (["check", "example.com", "mx.example.com:smtp"], "its port is no number from 1 to 65535"),
        (["check", "example.com", "m x.example.com:25"], "'m x.example.com:25' is no HOST:PORT: its host has"),
        (["check", "192.0.2.1:25"], "HOST:PORT is wanted"),
        (["check", "mx.example.com:25"], "--smtp.helo-name NAME, the host name of this machine"),
        (["check", "--config.file=x.yaml", "--spf-include", "_spf.example"], "cannot stand beside --config.file"),
        (["check", "--config.file=x.yaml", "--helo", "a.example"], "--helo cannot stand beside --config.file"),
        (["check", "--recipients", "-", "--helo", "a.example"], "cannot be combined with --helo"),
        (["check", "--recipients", "-", "--smtp.helo-name", "a.example"], "combined with --smtp.helo-name"),
        (["check", "--recipients", "-", "--format", "sarif"], "--recipients prints text or json, not sarif"),
        (["check", "--recipients", "-", "--mail-from", "b.example"], "combined with --mail-from"),
        (["check", "example.com", "--no-such-flag", "x"], "unrecognized arguments: --no-such-flag x"),
        (["check", "--recipients", "/no/such/list"], "No such file or directory: '/no/such/list'"),
        (["check", "example.com", "--recipients", "-"], "--recipients FILE cannot be combined with"),
        (["explain", "ptr.mising"], "did you mean ptr.missing?"),
        (["explain"], "the following arguments are required"),
        (["explain", "5.5.4", "--config.file=/no/such/config.yaml"], "/no/such/config.yaml"),
    ],
)
def test_what_cannot_be_understood_is_said_with_exit_64(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 64
    said = capsys.readouterr().err
    assert told in said
    assert "Traceback" not in said


def test_targets_may_stand_before_and_behind_flags() -> None:
    named = ["example.com", "192.0.2.1"]
    flags = ["--dkim-selector", "s1", "--dkim-selector", "s2", "--mail-from", "bounce.example.com"]
    more = ["--spf-include", "_spf.google.com", "mx.example.com:25", "--format", "json", "mx2.example.com:25"]
    read = parser().parse_args(["check", *named, *flags, *more])
    assert read.targets == ["example.com", "192.0.2.1", "mx.example.com:25", "mx2.example.com:25"]
    assert (read.selectors, read.mail_from, read.spf_includes, read.format) == (
        ["s1", "s2"],
        ["bounce.example.com"],
        ["_spf.google.com"],
        "json",
    )
    assert parser().parse_args(["check", "--format", "json", "example.com"]).targets == ["example.com"]
    assert parser().parse_args(["check"]).targets == []


def test_config_check_names_every_problem_and_a_good_file_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("domains: [{name: example.com, checks: {smtp_tls: {enabled: false}}}]\nseverities: {x.y: loud}\n")
    assert run(f"--config.file={path}", "--config.check") == 64
    assert f"{path}:2 severities" in capsys.readouterr().err
    path.write_text("domains: [{name: example.com, checks: {smtp_tls: {enabled: false}}}]\n")
    assert run(f"--config.file={path}", "--config.check") == 0
    assert ": OK, " in capsys.readouterr().out


def test_explain_prints_the_runbook(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", "ptr.missing") == 0
    told = capsys.readouterr().out
    assert "ptr.missing (critical)" in told
    assert "Example: 192.0.2.10 has no PTR record" in told
    assert "Fix in this example: " in told
    assert "550 5.7.25" in told


@pytest.mark.parametrize(
    ("arguments", "given", "code", "told"),
    [
        (["501 5.5.4 Invalid domain name"], "", 0, "Findings: helo.trailing-dot"),
        (["501", "5.5.4", "Invalid", "domain", "name"], "", 0, "Findings: helo.trailing-dot"),
        (["5.5.4"], "", 0, "Findings: helo.trailing-dot"),
        (["-"], POSTFIX, 0, "Rejected by example-org.mail.protection.outlook.com (Office 365), at connect or EHLO"),
        (["-"], ">>> EHLO x.\n<<< 501 5.5.4 Invalid\n    domain name\n", 0, "Findings: helo.trailing-dot"),
        (["S3150"], "", 0, "blocked-outlook: "),
        (["helo"], "", 0, "Findings and rejections that contain these words:"),
        (["outlook.com"], "", 0, "5.7.515"),
        (["550 5.4.99 cheese"], "", 1, "No match."),
        (["-"], "", 1, "No match."),
        (["-"], "501 5.5.4 Invalid domain name \udcff", 0, "Findings: helo.trailing-dot"),
    ],
)
def test_explain_leads_from_a_refusal_to_its_causes(
    arguments: list[str],
    given: str,
    code: int,
    told: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given.encode(errors="surrogateescape"))))
    assert run("explain", *arguments) == code
    said = capsys.readouterr()
    assert told in said.out
    assert said.err == ""


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("deliverability-exporter ")


def record(message: str) -> logging.LogRecord:
    return logging.LogRecord("exporter.x", logging.WARNING, "x.py", 1, message, (), None)


def test_log_lines_are_one_line_whatever_a_peer_said() -> None:
    hostile = 'forged\nts=now level=error msg="gone" \x1b[31m'
    line = logs.Logfmt().format(record(hostile))
    assert "\n" not in line
    assert "\x1b" not in line
    assert line.startswith("ts=")
    assert json.loads(logs.Json().format(record(hostile)))["level"] == "warning"


def test_no_collection_of_all_that_a_fleet_holds_stops_the_loop() -> None:
    """It would take a second. So it walks only what has come since the last one."""
    walked: list[int] = []

    def note(phase: str, told: dict[str, int]) -> None:
        if (phase, told["generation"]) == ("start", 2):
            walked.append(sum(len(gc.get_objects(generation)) for generation in range(3)))

    with no_collections():
        pass  # as after the start
    with short_collections():
        gc.callbacks.insert(0, note)
        try:
            held = [[number] for number in range(700_000)]
        finally:
            gc.callbacks.remove(note)
    assert len(held) == 700_000
    assert len(walked) >= 3
    assert max(walked) < 60_000
    assert not any(it.__name__ == "set_aside" for it in gc.callbacks), "the end puts all back"


class Circle:
    def __init__(self) -> None:
        self.me = self


@pytest.mark.parametrize(("busy", "found"), [(1, True), (0, False)])
def test_a_circle_in_use_is_not_set_aside_so_it_is_found_later(busy: int, found: bool) -> None:
    with short_collections(lambda: busy):
        used = Circle()
        gc.collect()
        lost, used = ref(used), Circle()
        gc.collect()
        assert (lost() is None) == found
        del used
        new = ref(Circle())
        gc.collect()
        assert new() is None, "what came since then is found in any case"


def test_a_circle_that_was_set_aside_is_found_after_some_hours() -> None:
    clock = FakeClock()
    with short_collections(monotonic=clock.monotonic):
        used = Circle()
        gc.collect()
        lost, used = ref(used), Circle()
        clock.pass_(THOROUGH - 1)
        gc.collect()
        assert lost() is not None
        clock.pass_(1)
        gc.collect()
        assert lost() is None
    del used


async def test_pages_tell_how_many_are_being_made_since_templates_make_circles() -> None:
    pages, seen = Pages(), list[int]()

    class Why(str):
        __slots__ = ()

        def __getitem__(self, _: object) -> str:
            seen.append(pages.rendering)
            return "because"

    assert "ecause" in await pages.render("refused.html", 5000, why=Why(), target=None)
    assert set(seen) == {1}
    assert pages.rendering == 0


CONFIG = """
smtp: {helo_name: probe.example.net}
blocklists: []
senders:
  - {name: a, addresses: [192.0.2.1], helo: a.example}
  - {name: b, addresses: [192.0.2.2], helo: b.example}
domains:
  - {name: example.com, senders: [a]}
  - {name: example.net, senders: [b]}
"""


def test_a_domain_is_checked_together_with_the_senders_of_its_mail(tmp_path: Path) -> None:
    """Receivers judge both. An address is checked alone, and another domain's senders are left out."""
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    settings = load(path, CATALOGUE)

    def chosen(word: str) -> set[str]:
        return {target.key for target in check._chosen(settings, [word])}

    own = {"domain=example.com", "domain=example.com,sender=a", "ip=192.0.2.1", "sender=a,ip=192.0.2.1"}
    assert chosen("Example.COM.") == own
    assert chosen("192.0.2.2") == {"ip=192.0.2.2", "sender=b,ip=192.0.2.2"}
    with pytest.raises(ValueError, match=r"not in the configuration: example\.org"):
        chosen("example.org")
