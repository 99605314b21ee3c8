"""What is shipped to run the exporter in production is right as far as can be told without an engine to run it."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import exporter
from exporter.config import load
from exporter.config.web_file import WebFile
from exporter.engine.schedule import STOPPED
from tests.lab.process import need
from tests.support.certificates import Pki
from tests.support.configuration import CATALOGUE

pytestmark = pytest.mark.long

HOME = Path(__file__).parents[1]
COMPOSE = HOME / "deploy" / "compose.yml"
UNIT = HOME / "deploy" / "deliverability-exporter.service"
SOCKET = HOME / "deploy" / "deliverability-exporter.socket"
WEB = HOME / "deploy" / "web.yml"
UNBOUND = HOME / "deploy" / "unbound" / "unbound.conf"
DOCKERFILES = (HOME / "Dockerfile", HOME / "deploy" / "unbound" / "Dockerfile")
COMMAND = "/opt/deliverability-exporter/bin/deliverability-exporter"
EXPOSURE = 1.5  # of 10, by systemd's own reckoning


def run(*command: str | Path, env: dict[str, str] | None = None, status: int = 0) -> str:
    """What it prints. Raise AssertionError with that when its exit status is another."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **(env or {})}
    )
    told = done.stdout + done.stderr
    assert done.returncode == status, told
    return told


def tool(name: str) -> Path:
    """A program that a package of the test environment has in it."""
    return Path(sys.executable).parent / name


@functools.cache
def services() -> dict[str, Any]:
    """The services of compose.yml as Docker Compose understands them."""
    told = run(
        tool("docker-compose"), "-f", COMPOSE, "config", "--format", "json", env={"GRAFANA_ADMIN_PASSWORD": "secret"}
    )
    found: dict[str, Any] = json.loads(told)["services"]
    return found


def mounts(service: str) -> dict[str, Path]:
    """What of this project a service sees, by the path that it sees it at."""
    volumes = services()[service].get("volumes", ())
    return {it["target"]: Path(it["source"]) for it in volumes if it["type"] == "bind"}


def laid_out(service: str, root: Path) -> Path:
    """The file system as a service sees it, below `root`; outer mounts first."""
    for target, source in sorted(mounts(service).items()):
        place = root / target.removeprefix("/")
        if source.is_dir():
            shutil.copytree(source, place, dirs_exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, place)
    return root


# ---- Images


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_hadolint_has_no_complaint(path: Path) -> None:
    run(tool("hadolint"), path)


def test_the_image_tells_the_version_that_is_in_it() -> None:
    (version,) = re.findall(r'image\.version="(.*?)"', DOCKERFILES[0].read_text())
    assert version == exporter.__version__
    assert services()["exporter"]["image"] == f"deliverability-exporter:{version}"


def test_nothing_but_the_product_goes_into_the_image() -> None:
    """A context that lets everything in takes the .git folder and whatever secrets lie about along."""
    lines = [line for line in (HOME / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    copied = re.findall(r"^COPY (?!--)(\S+)", DOCKERFILES[0].read_text(), re.MULTILINE)
    assert sorted(line.removeprefix("!") for line in lines if line.startswith("!")) == sorted(copied)


# ---- Compose


def test_compose_is_valid_and_wants_a_password() -> None:
    assert set(services()) == {"exporter", "unbound", "prometheus", "alertmanager", "grafana"}
    assert "GRAFANA_ADMIN_PASSWORD" in run(
        tool("docker-compose"), "-f", COMPOSE, "config", "-q", env={"GRAFANA_ADMIN_PASSWORD": ""}, status=1
    )


@pytest.mark.parametrize("name", ["exporter", "unbound", "prometheus", "alertmanager", "grafana"])
def test_a_service_has_no_rights_and_a_version(name: str) -> None:
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), service["image"]
    assert [port["host_ip"] for port in service.get("ports", ())] in ([], ["127.0.0.1"])
    for target, source in mounts(name).items():
        assert source.exists(), f"{target} would be an empty folder that root owns"


def test_each_service_is_told_of_files_that_it_sees(tmp_path: Path) -> None:
    for name, service in services().items():
        root = laid_out(name, tmp_path / name)
        for argument in service.get("command") or ():
            if argument.startswith("--config.file="):
                assert (root / argument.removeprefix("--config.file=/")).is_file()


def test_the_exporter_asks_the_resolver_beside_it() -> None:
    settings = load(mounts("exporter")["/etc/deliverability-exporter"] / "config.yaml", CATALOGUE)
    assert [str(warning) for warning in settings.warnings] == []
    (server,) = settings.nameservers
    assert f"interface: {server.host}@{server.port} " in UNBOUND.read_text()
    assert services()["exporter"]["network_mode"] == "service:unbound"


def test_unbound_takes_its_configuration(tmp_path: Path) -> None:
    need("unbound-checkconf")
    anchor = tmp_path / "root.key"
    anchor.write_text(". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n")
    text = UNBOUND.read_text()
    assert text.count("/usr/share/dns/root.key") == 1
    copy = tmp_path / "unbound.conf"
    copy.write_text(text.replace("/usr/share/dns/root.key", str(anchor)))
    checked = next(filter(None, (shutil.which("unbound-checkconf", path=p) for p in (None, "/usr/sbin"))))
    assert "no errors" in run(checked, copy)


def test_prometheus_takes_its_configuration_and_rules(tmp_path: Path) -> None:
    need("promtool")
    root = laid_out("prometheus", tmp_path)
    told = run("promtool", "check", "config", root / "etc/prometheus/prometheus.yml")
    rules = [path for path in (HOME / "prometheus").glob("*.yml") if path.read_text().count("\ngroups:")]
    assert f"{len(rules)} rule files found" in told, "rules that nobody loads"


def test_prometheus_scrapes_the_exporter_as_its_alerts_expect() -> None:
    config = yaml.safe_load((HOME / "deploy" / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    ours = jobs["deliverability-exporter"]
    assert ours["honor_labels"] is True
    (port,) = services()["unbound"]["ports"]
    (there,) = ours["static_configs"]
    assert there["targets"] == [f"exporter:{port['target']}"]
    assert services()["unbound"]["networks"]["default"]["aliases"] == ["exporter"]
    assert there["labels"] == {"instance": f"localhost:{port['published']}"}
    alerts = (HOME / "prometheus" / "alerts.yml").read_text()
    assert set(re.findall(r'\bjob=~"([^"{]+)"', alerts)) <= jobs.keys()


def test_alertmanager_takes_its_configuration(tmp_path: Path) -> None:
    need("amtool")
    run("amtool", "check-config", laid_out("alertmanager", tmp_path) / "etc/alertmanager/alertmanager.yml")


def test_grafana_finds_its_data_source_and_dashboards() -> None:
    seen = mounts("grafana")
    provisioning = seen["/etc/grafana/provisioning"]
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert source["isDefault"] is True
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "deliverability.yml").read_text())["providers"]
    dashboards = list(seen[provider["options"]["path"]].glob("*.json"))
    assert len(dashboards) == 6
    for path in dashboards:
        sources = re.findall(r'"datasource":\s*\{[^}]*"uid":\s*"([^"]*)"', path.read_text())
        assert {uid for uid in sources if not uid.startswith("$")} <= {source["uid"], "-- Grafana --"}, path


# ---- systemd


def analyze(*arguments: str | Path, unit: Path) -> str:
    """What systemd-analyze says of the unit, with a program in it that is installed here."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd here, so nobody to ask")
    text = UNIT.read_text()
    assert text.count(COMMAND) == 2
    (unit.parent / UNIT.name).write_text(text.replace(COMMAND, "/bin/true"))
    if unit.name == SOCKET.name:  # it starts the service of its name, which has to be there
        shutil.copy(SOCKET, unit)
    return run("systemd-analyze", *arguments, unit)


def test_systemd_understands_every_line_of_the_unit(tmp_path: Path) -> None:
    """It exits with 0 although it has ignored a line, but says so."""
    assert analyze("verify", unit=tmp_path / UNIT.name) == ""


def test_systemd_understands_every_line_of_the_socket(tmp_path: Path) -> None:
    assert analyze("verify", unit=tmp_path / SOCKET.name) == ""
    assert "--web.systemd-socket" in SOCKET.read_text()


def test_the_example_of_a_web_configuration_is_good_and_has_no_password(tmp_path: Path) -> None:
    Pki(tmp_path).serve()
    shutil.copy(tmp_path / "ca.crt", tmp_path / "clients.crt")
    for text in (WEB.read_text(), re.sub(r"^  #(client_)", r"  \1", WEB.read_text(), flags=re.MULTILINE)):
        (tmp_path / "web.yml").write_text(text)
        settings = WebFile(tmp_path / "web.yml").read()
        assert settings.warnings == ()
        assert settings.users.keys() == {"prometheus"}
    assert settings.allowed_sans == {"prometheus.example.com"}


def test_the_unit_leaves_little_to_attack(tmp_path: Path) -> None:
    told = analyze("security", "--offline=true", unit=tmp_path / UNIT.name)
    (exposure,) = re.findall(r"Overall exposure level for \S+: (\d+\.\d+)", told)
    assert float(exposure) <= EXPOSURE


def test_the_unit_and_compose_have_the_same_limits() -> None:
    limits = dict(re.findall(r"^(MemoryMax|TasksMax|LimitNOFILE)=(\w+)$", UNIT.read_text(), re.MULTILINE))
    service = services()["exporter"]
    assert limits == {
        "MemoryMax": f"{int(service['mem_limit']) >> 30}G",
        "TasksMax": str(service["pids_limit"]),
        "LimitNOFILE": str(service["ulimits"]["nofile"]),
    }


def test_the_unit_waits_for_what_the_process_tells() -> None:
    unit = UNIT.read_text()
    (seconds,) = re.findall(r"^WatchdogSec=(\d+)$", unit, re.MULTILINE)
    assert "\nType=notify\n" in unit
    assert int(seconds) >= 2 * STOPPED, "an unhealthy daemon has time to be well again"


def test_the_unit_starts_what_the_command_line_knows() -> None:
    config = HOME / "deploy" / "config" / "config.yaml"
    (line,) = re.findall(rf"^ExecStartPre={COMMAND} (.*)$", UNIT.read_text(), re.MULTILINE)
    command = line.replace("/etc/deliverability-exporter/config.yaml", str(config)).split()
    assert "OK, " in run(sys.executable, "-m", "exporter", *command)


# ---- What is told of it


@pytest.mark.parametrize("path", sorted((HOME / "docs").glob("*.md")), ids=lambda path: path.name)
def test_the_documents_lead_to_what_is_there(path: Path) -> None:
    text = path.read_text()
    headings = {
        "#" + re.sub(r"[^a-z0-9 -]", "", line.lower()).replace(" ", "-")
        for line in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        assert "://" in link or link in headings or (path.parent / link.partition("#")[0]).is_file(), link


def test_the_commands_told_are_about_files_and_flags_that_exist() -> None:
    text = (HOME / "docs" / "deployment.md").read_text()
    for name in re.findall(r"\b(?:deploy|prometheus|alertmanager|grafana)/[\w./-]*\w", text):
        assert (HOME / name).exists(), name
    known = run(sys.executable, "-m", "exporter", "--help") + run(sys.executable, "-m", "exporter", "check", "--help")
    ours = re.findall(r"--(?:config|storage|web|log|smtp)\.[a-z.-]+|--resolver", text)
    assert ours
    assert {flag for flag in ours if flag not in known} == set()
