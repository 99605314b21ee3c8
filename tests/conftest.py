"""What every test stands on: the guard around the network, and a lab for those that want real servers."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TypeAlias

import pytest

from tests.lab.process import Lab
from tests.support.loopback import keep_to_loopback

keep_to_loopback()

Reported: TypeAlias = Generator[None, pytest.TestReport, pytest.TestReport]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Real servers for one module of tests: started by the functions of tests/lab, stopped at its end."""
    with Lab() as it:
        yield it


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Reported:
    """Show the servers' logs beside a failure."""
    report = yield
    it = getattr(item, "funcargs", {}).get("lab")
    if report.failed and isinstance(it, Lab):
        report.sections.append(("lab", it.logs()))
    return report
