"""The image: built from the Dockerfile, run without rights, network or a disk to write to, ended in time."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

import exporter
from tests.lab.process import until
from tests.slow.containers import HOME, STRICT, Engine

pytestmark = pytest.mark.slow

IMAGE = "deliverability-exporter:test"
NOBODY = 65532
MEGABYTES = 100  # that the image adds to its base
VERDICTS_WITHIN = 15.0  # seconds
ENDED_WITHIN = 5.0

CONFIG = """
resolver: {nameservers: ["127.0.0.1:9"], timeout: 1s}
smtp: {helo_name: probe.example.net}
senders: [{name: mail-out-1, addresses: [192.0.2.10], helo: MacBook..}]
domains: [{name: example.com, senders: [mail-out-1]}]
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as it:
        it.build(HOME, IMAGE)
        yield it


def test_the_demonstration_runs_in_it_without_any_right(engine: Engine) -> None:
    demo = engine.start("demo", IMAGE, "demo")
    demo.healthy()
    status = demo.status()
    assert status["Uid"].split() == status["Gid"].split() == [str(NOBODY)] * 4
    assert {int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert status["NoNewPrivs"] == "1"
    until(lambda: 'reason="pending"' not in demo.get("/metrics"), "verdicts", VERDICTS_WITHIN, every=0.2)
    assert re.search(r'^deliverability_finding\{.*finding="helo.empty-label".* 1', demo.get("/metrics"), re.MULTILINE)
    code, seconds = demo.stop()
    assert code == 0
    assert seconds < ENDED_WITHIN
    assert demo.changed() == []
    assert "Traceback" not in demo.log()


def test_a_configuration_and_a_volume_are_all_it_needs(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("config")
    folder.chmod(0o755)  # who reads it has no rights
    config = folder / "config.yaml"
    config.write_text(CONFIG)
    mounts = (f"{folder}:/etc/deliverability-exporter:ro", "state:/var/lib/deliverability-exporter")
    began = []
    for name in ("first", "second"):
        started = engine.start(name, IMAGE, mount=mounts)
        started.healthy()
        finding = r'^deliverability_finding_since_timestamp_seconds\{.*finding="helo.empty-label".* (\S+)$'
        until(lambda: re.search(finding, started.get("/metrics"), re.MULTILINE) is not None, "a finding")  # noqa: B023  (asked at once)
        began += re.findall(finding, started.get("/metrics"), re.MULTILINE)
        started.signal("HUP")
        until(lambda: "configuration reloaded" in started.log(), "reloaded")  # noqa: B023  (asked at once)
        code, seconds = started.stop()
        assert code == 0
        assert seconds < ENDED_WITHIN
        assert "Traceback" not in started.log()
    assert len(began) == 2
    assert began[0] == began[1], "the second has forgotten what the first one saw"


def test_the_other_commands_are_there_too(engine: Engine) -> None:
    once = ["run", "--rm", *STRICT, IMAGE]
    assert engine.podman(*once, "--version") == f"deliverability-exporter {exporter.__version__}"
    assert "helo.empty-label" in engine.podman(*once, "explain", "501 5.5.4 Invalid domain name")
    engine.podman(*once, status=64)  # no configuration: said at once, not tried for ever


def test_it_is_small_and_says_what_it_is(engine: Engine) -> None:
    sizes = [int(engine.podman("inspect", "--format", "{{.Size}}", it)) for it in (IMAGE, "python:3.11-slim-bookworm")]
    assert sizes[0] - sizes[1] < MEGABYTES * 1_000_000
    label = '{{index .Labels "org.opencontainers.image.version"}}'
    assert engine.podman("inspect", "--format", label, IMAGE) == exporter.__version__
    assert engine.podman("inspect", "--format", "{{.User}}", IMAGE) == f"{NOBODY}:{NOBODY}"


def test_it_belongs_to_somebody_else_than_runs_it(engine: Engine) -> None:
    """But for the place of its state; a disk that may be written to changes nothing about that."""
    state = "/var/lib/deliverability-exporter"
    listed = ["run", "--rm", "--network=none", "--cap-drop=all", "--entrypoint", "find", IMAGE, "/opt", "/usr", state]
    assert engine.podman(*listed, "-writable", "!", "-type", "l") == state
