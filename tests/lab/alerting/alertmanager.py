"""A real Alertmanager with the routes and inhibition that are shipped, and a sink that takes down who is told what."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from exporter.model import TARGET_LABELS
from tests.lab.process import Endpoint, Lab, free, http, is_ready, need, until

SHIPPED = Path(__file__).parents[3] / "alertmanager" / "alertmanager.yml"
WATCHDOG = "DeliverabilityWatchdog"
_FOR_ANY_FINDING = {"DeliverabilityCritical", "DeliverabilityWarning"}
_SOON = "100ms"
_NEVER = "10h"
_OFTEN = "10ms"


class Notice(NamedTuple):
    """One alert in a notice: the finding, or the name of another alert. `who` are the values of its identity labels."""

    receiver: str
    status: str
    job: str
    instance: str
    alert: str
    who: str

    @property
    def about(self) -> tuple[str, ...]:
        return self.receiver, self.job, self.instance, self.alert, self.who


@dataclass
class Sink:
    """Takes every notice of every receiver."""

    at: Endpoint
    notices: list[Notice] = field(default_factory=list)
    messages: list[tuple[str, set[Notice]]] = field(default_factory=list)  # each with the key of its group

    def news(self, mark: int = 0, end: int | None = None) -> set[Notice]:
        """What people learn from all but the first `mark` notices, up to `end`: one repeats whatever is of its group.

        Left out are those that say that alerts arrive at all.
        """
        known = {it.about: it.status for it in self.notices[:mark]}
        return {it for it in self.notices[mark:end] if it.alert != WATCHDOG and known.get(it.about) != it.status}

    def learns(self, mark: int, count: int, within: float = 5) -> set[Notice]:
        """Wait for so many news that are for anybody, then for some rounds more; return what came after all."""
        with suppress(AssertionError):  # who compares says what is missing
            until(lambda: len(for_people(self.news(mark))) >= count, f"{count} news", within)
        self.rounds(3)
        return self.news(mark)

    def take(self, receiver: str, body: Mapping[str, Any]) -> None:
        assert body["receiver"] == receiver
        taken = [
            Notice(
                receiver,
                alert["status"],
                alert["labels"].get("job", ""),
                alert["labels"].get("instance", ""),
                named(alert["labels"]),
                who(alert["labels"]),
            )
            for alert in body["alerts"]
        ]
        self.messages.append((body["groupKey"], {*taken}))
        self.notices += taken

    def rounds(self, count: int) -> None:
        """Wait until every group must have been looked at so often: the watchdog's notice comes once a round."""
        enough = self._watchdogs() + count
        until(lambda: self._watchdogs() >= enough, "notices of the watchdog")

    def _watchdogs(self) -> int:
        return sum(it.alert == WATCHDOG for it in list(self.notices))


def for_people(notices: Iterable[Notice]) -> set[Notice]:
    return {it for it in notices if it.receiver != "nobody"}


def named(labels: Mapping[str, str]) -> str:
    """The finding that an alert is about, or its own name."""
    return labels["finding"] if labels["alertname"] in _FOR_ANY_FINDING else labels["alertname"]


def who(labels: Mapping[str, str]) -> str:
    return " ".join(labels[name] for name in TARGET_LABELS if name in labels)


@contextmanager
def sink() -> Iterator[Sink]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            taken.take(self.path.strip("/"), body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Alertmanager's log tells of failures."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        taken = Sink(Endpoint("127.0.0.1", server.server_port))
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield taken
        finally:
            server.shutdown()
            thread.join()


def in_a_hurry(shipped: str, told: Endpoint, group_interval: str = _SOON) -> str:
    """The configuration with other receivers and waits; routes, groups and inhibition stay as they are."""
    waits = {"group_wait": _SOON, "group_interval": group_interval}
    config = yaml.safe_load(shipped)
    routes = [config["route"]]
    while routes:
        route = routes.pop()
        route |= {name: wait for name, wait in waits.items() if name in route and route[name] != "0s"}
        if "repeat_interval" in route:
            route["repeat_interval"] = _NEVER
        if route["receiver"] == "watchdog":
            route |= {"group_interval": _SOON, "repeat_interval": _OFTEN}
        routes += route.get("routes", [])
    config["receivers"] = [
        {"name": it["name"], "webhook_configs": [{"url": f"http://{told}/{it['name']}", "send_resolved": True}]}
        for it in config["receivers"]
    ]
    text: str = yaml.safe_dump(config)
    return text


@dataclass(frozen=True)
class Alertmanager:
    at: Endpoint

    def post(self, alerts: Iterable[Mapping[str, str]], *, over: bool = False) -> None:
        """Label sets that fire from now on, or have ended."""
        now = datetime.now(UTC)  # had they begun before, a new group would not wait
        times = {"endsAt": now.isoformat()} if over else {"endsAt": (now + timedelta(hours=1)).isoformat()}
        body = [{"labels": it, "startsAt": now.isoformat(), **times} for it in alerts]
        request = urllib.request.Request(
            f"http://{self.at}/api/v2/alerts", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with http.open(request, timeout=5) as response:
            assert response.status == 200

    def muted(self) -> set[tuple[str, str, str]]:
        """Instance, alert and who of every alert that fires and is inhibited."""
        with http.open(f"http://{self.at}/api/v2/alerts?active=false&inhibited=true", timeout=5) as response:
            alerts = json.load(response)
        return {
            (it["labels"].get("instance", ""), named(it["labels"]), who(it["labels"]))
            for it in alerts
            if it["status"]["inhibitedBy"]
        }


def alertmanager(lab: Lab, told: Sink, group_interval: str = _SOON) -> Alertmanager:
    """The shipped configuration, in a hurry. It talks to no other Alertmanager."""
    name = "alertmanager"
    need("prometheus-alertmanager")
    endpoint = free()
    command = [
        "prometheus-alertmanager",
        f"--config.file={lab.write(f'{name}.yml', in_a_hurry(SHIPPED.read_text(), told.at, group_interval))}",
        f"--storage.path={lab.folder(name)}",
        f"--web.listen-address={endpoint}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]

    lab.start(name, command, lambda: is_ready(endpoint))
    return Alertmanager(endpoint)
