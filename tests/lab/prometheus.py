"""A real Prometheus, and promtool: the ones to say whether our exposition is right."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

from tests.lab.process import Endpoint, Lab, free, http, is_ready, need


@dataclass(frozen=True)
class Prometheus:
    endpoint: Endpoint

    def query(self, expression: str, at: float | None = None) -> dict[tuple[tuple[str, str], ...], float]:
        """An instant vector, of now or then: value by sorted labels. Raise AssertionError for a refused expression."""
        then = {} if at is None else {"time": f"{at:.3f}"}
        result = self._get("query", query=expression, **then)["result"]
        return {tuple(sorted(sample["metric"].items())): float(sample["value"][1]) for sample in result}

    def history(self, selector: str) -> dict[tuple[tuple[str, str], ...], list[tuple[float, float]]]:
        """A range vector: (unix seconds, value) of every scrape, by sorted labels."""
        result = self._get("query", query=selector)["result"]
        return {
            tuple(sorted(series["metric"].items())): [(at, float(value)) for at, value in series["values"]]
            for series in result
        }

    def targets(self) -> list[dict[str, Any]]:
        """The scraped targets, as the API describes them (`health`, `lastError`, `labels`)."""
        active: list[dict[str, Any]] = self._get("targets", state="active")["activeTargets"]
        return active

    def reload(self) -> None:
        """Read the configuration and the rules anew. It wants --web.enable-lifecycle."""
        request = urllib.request.Request(f"http://{self.endpoint}/-/reload", method="POST")
        with http.open(request, timeout=5) as response:
            assert response.status == 200

    def _get(self, what: str, **parameters: str) -> Any:
        url = f"http://{self.endpoint}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        try:
            with http.open(url, timeout=5) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{what} {parameters}: {error.read().decode()}") from None


def prometheus(lab: Lab, config: str, *arguments: str, name: str = "prometheus") -> Prometheus:
    """Ready in a tenth of a second, but the first scrape comes only five seconds later: start it before the rest."""
    need("prometheus")
    endpoint = free()
    command = [
        "prometheus",
        f"--config.file={lab.write(f'{name}.yml', config)}",
        f"--storage.tsdb.path={lab.folder(name)}",
        f"--web.listen-address={endpoint}",
        "--log.level=warn",
        *arguments,
    ]

    lab.start(name, command, lambda: is_ready(endpoint))
    return Prometheus(endpoint)


def check_metrics(exposition: str) -> None:
    """Raise AssertionError with promtool's complaints about syntax, names, types and help texts."""
    need("promtool")
    command = ["promtool", "check", "metrics"]
    done = subprocess.run(command, input=exposition, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done.stdout + done.stderr
