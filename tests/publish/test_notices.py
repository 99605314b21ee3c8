"""What people are told while trouble lasts for hours, and what they are not.

Hours cannot be waited for, so each course is proved in two halves that share one list. promtool runs the shipped rules
over what is scraped and says that exactly these alerts, with exactly these labels, fire at each minute. Then a real
Alertmanager with the shipped routes and inhibition gets the very same alerts, minute by minute, and a sink takes down
who is told. All courses are played at once, each as a job of its own. tests/lab/alerting/test_alertmanager.py has the
same with real servers, in seconds.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.lab.alerting.alertmanager import SHIPPED, WATCHDOG, Notice, alertmanager, for_people, sink
from tests.lab.process import Lab, need
from tests.publish.courses import ALERTS, TWIN, Course, Labels, courses
from tests.publish.promtool import told

pytestmark = pytest.mark.long

COURSES = list(courses())
SILENT = {rule["alert"] for rule in ALERTS if rule["labels"].get("severity") == "none"}
RULES = Path(__file__).parents[2] / "prometheus" / "alerts.yml"
by_name = pytest.mark.parametrize("course", COURSES, ids=lambda course: course.name.replace(" ", "-"))


@by_name
def test_these_alerts_fire_and_no_other(course: Course, tmp_path: Path) -> None:
    firing = {
        minute: [{"__name__": "ALERTS", "alertstate": "firing", **labels} for labels in course.at(minute)]
        for minute in course.looks
    }
    test: dict[str, object] = {
        "interval": "1m",
        "input_series": [{"series": name, "values": " ".join(values)} for name, values in course.scraped.items()],
        "promql_expr_test": [
            {
                "expr": f'ALERTS{{alertstate="firing",alertname!="{WATCHDOG}"}}',
                "eval_time": f"{minute}m",
                "exp_samples": [{"labels": _braced(labels), "value": 1} for labels in alerts],
            }
            for minute, alerts in firing.items()
        ],
    }
    assert told(RULES, tmp_path, [test]) == ""


def _braced(labels: Labels) -> str:
    return "{" + ", ".join(f"{name}={json.dumps(value)}" for name, value in labels.items()) + "}"


@pytest.fixture(scope="module")
def notices(lab: Lab) -> dict[str, list[set[str]]]:
    """What each course brings at each of its looks, as it was told."""
    came: dict[str, list[set[str]]] = {course.name: [] for course in COURSES}
    with sink() as to:
        server = alertmanager(lab, to)
        server.post([{"alertname": WATCHDOG, "severity": "none"}])
        for step in range(max(len(course.looks) for course in COURSES)):
            mark = len(to.notices)
            going_on = [course for course in COURSES if step < len(course.looks)]
            for course in going_on:
                before, now = course.at_step(step - 1), course.at_step(step)
                for late in (False, True):  # what mutes has been there for minutes by then
                    some = [it for it in now if (it["severity"] == "warning") is late]
                    server.post(_as_posted(course, it) for it in some)
                server.post((_as_posted(course, it) for it in before if it not in now), over=True)
            news = to.learns(mark, sum(len(course.looks[[*course.looks][step]]) for course in going_on))
            for course in going_on:
                came[course.name].append(_words(course, for_people(news)))
        lab.stop("alertmanager")
    assert {it.receiver for it in to.notices if it.alert == WATCHDOG} == {"watchdog"}
    assert {it.alert for it in to.notices if it.receiver == "nobody"} == SILENT - {WATCHDOG}
    return came


def _as_posted(course: Course, labels: Labels) -> Mapping[str, str]:
    """As the job of this course."""
    return {**labels, "job": course.name}


def _words(course: Course, notices: set[Notice]) -> set[str]:
    """In the words of the courses."""
    return {
        f"{it.receiver}: {'+' if it.status == 'firing' else '-'}{it.alert.removeprefix('Deliverability')}"
        f"{' ' if it.who else ''}{it.who}{' of the twin' if TWIN in it.instance else ''}"
        for it in notices
        if it.job == course.name
    }


@by_name
def test_people_are_told_exactly_this(course: Course, notices: dict[str, list[set[str]]]) -> None:
    assert dict(zip(course.looks, notices[course.name], strict=True)) == course.looks


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ({"alertname": "DeliverabilityCritical", "severity": "critical"}, "pager"),
        ({"alertname": "DeliverabilityExporterDown", "severity": "critical"}, "pager"),
        ({"alertname": "DeliverabilityPtrMissing", "severity": "warning"}, "mail"),
        ({"alertname": "DeliverabilityResolverUnhealthy", "severity": "warning"}, "mail"),
        ({"alertname": "DeliverabilityRecordChanged", "severity": "info"}, "nobody"),
        ({"alertname": "DeliverabilityDomainDead", "severity": "none"}, "nobody"),
        ({"alertname": "DeliverabilityWatchdog", "severity": "none"}, "watchdog"),
        ({"alertname": "SomebodyElses", "severity": "critical"}, "mail"),
    ],
)
def test_amtool_sends_each_severity_where_it_belongs(labels: dict[str, str], receiver: str) -> None:
    need("amtool")
    given = [f"{name}={value}" for name, value in labels.items()]
    command = ["amtool", "config", "routes", "test", f"--config.file={SHIPPED}", f"--verify.receivers={receiver}"]
    done = subprocess.run([*command, *given], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()[:1]) == (0, [receiver]), done.stdout + done.stderr


def test_amtool_has_no_complaint() -> None:
    need("amtool")
    done = subprocess.run(["amtool", "check-config", str(SHIPPED)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_whatever_is_muted_by_a_silent_alert_is_muted_by_one_that_is_shipped() -> None:
    """Alertmanager does not tell when a rule names an alert that there is not."""
    shipped = SHIPPED.read_text()
    for alert in SILENT - {WATCHDOG}:
        assert f'source_matchers: [alertname="{alert}"]' in shipped
    named = {it for it in shipped.replace('"', " ").split() if it.startswith("Deliverability") and it.isalpha()}
    assert named <= {rule["alert"] for rule in ALERTS}
