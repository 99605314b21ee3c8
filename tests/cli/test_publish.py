"""`publish` writes what its flags ask for, and refuses what would break a rule."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from exporter.__main__ import main
from exporter.cli.exit_codes import Exit


def test_style_format_links_and_cluster_label(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--style=each", "--format=prometheusrule", "--cluster-label=cluster"]
    links = ["--external-url=https://mail.example.net/x", "--runbook-url=https://wiki.example.net"]
    assert main(["publish", *flags, *links, str(tmp_path)]) == Exit.OK
    written = [Path(line) for line in capsys.readouterr().out.split()]
    objects = [yaml.load(path.read_text(), yaml.CSafeLoader) for path in written if path.name.startswith("alerts")]
    assert len(objects) == 2
    assert {it["kind"] for it in objects} == {"PrometheusRule"}
    (rule,) = [
        rule
        for it in objects
        for group in it["spec"]["groups"]
        for rule in group["rules"]
        if rule.get("alert") == "DeliverabilityPtrMissing"
    ]
    assert "https://mail.example.net/x/targets/" in rule["annotations"]["description"]
    assert rule["annotations"]["runbook_url"] == "https://wiki.example.net/ptr.md#ptrmissing"
    routes = yaml.safe_load((tmp_path / "alertmanager" / "alertmanager.yml").read_text())
    assert "cluster" in routes["route"]["group_by"]


@pytest.mark.parametrize("flag", ["--cluster-label=1a", "--style=some", "--format=xml", '--external-url=http://"'])
def test_what_would_break_a_rule_is_refused(flag: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["publish", flag, str(tmp_path)])
    assert ended.value.code == Exit.USAGE
    assert list(tmp_path.iterdir()) == []
