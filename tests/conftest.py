"""What every test stands on: the guard around the network, and a lab for those that want real servers."""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator
from typing import TypeAlias

import pytest

from tests.lab.process import Lab
from tests.support import torture
from tests.support.loopback import keep_to_loopback

keep_to_loopback()
gc.disable()  # all that is made before the first test stays: looking through it over and over took seconds

Reported: TypeAlias = Generator[None, pytest.TestReport, pytest.TestReport]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Real servers for one module of tests: started by the functions of tests/lab, stopped at its end."""
    with Lab() as it:
        yield it


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes run the tests (`make test`), tell which tests belong together, and which begin.

    A file stays whole, since its tests share what its fixtures have started. All that starts real servers is one group:
    its tests have bounds of time, and two such worlds at once would leave the cores no time for either. It takes
    longest, so it begins. Scenarios share nothing: they come last, one by one, and fill whatever is left.
    """
    if not hasattr(config, "workerinput"):
        return
    served = {item.path for item in items if {"lab", "playing"} & set(getattr(item, "fixturenames", ()))}
    places = {item: 0 if item.path in served else 2 if item.path.name == "test_scenarios.py" else 1 for item in items}
    items.sort(key=places.__getitem__)
    for item, place in places.items():
        if place < 2:
            item.add_marker(pytest.mark.xdist_group("lab" if item.path in served else item.nodeid.partition("::")[0]))


def pytest_collection_finish() -> None:
    """From here on there is rubbish to collect, and a collection takes no time for what stays."""
    gc.enable()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Reported:
    """Show the servers' logs beside a failure."""
    report = yield
    it = getattr(item, "funcargs", {}).get("lab")
    if report.failed and isinstance(it, Lab):
        report.sections.append(("lab", it.logs()))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """After `make drill`: what people were told in each scene.

    After `make torture`: what each attack measured, as rows of the table in docs/reliability.md.
    """
    passed = terminalreporter.getreports("passed")
    scenes = [row for report in passed for name, row in report.user_properties if name == "scene"]
    if any("drill" in report.keywords for report in passed):
        terminalreporter.section("what people were told")
        for row in scenes:
            terminalreporter.write_line(str(row))
    if not torture.FULL:
        return
    terminalreporter.section("figures")
    for report in terminalreporter.getreports("passed"):
        if report.user_properties:
            figures = ", ".join(f"{name} {value}" for name, value in report.user_properties)
            attack = report.nodeid.rpartition("::")[2]
            terminalreporter.write_line(f"| {attack} | {figures} | {report.duration:.0f} s |")
