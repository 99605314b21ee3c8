"""The openspf test suite for RFC 7208: each test is a zone, a client and the results that are right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.mail.dns import MX, TXT, Question, Rdata, Reply, Status
from exporter.mail.spf.check_host import SpfEvaluation, check_host
from exporter.mail.spf.limits import MOST_QUESTIONS

SUITE = Path(__file__).parents[3] / ".." / "shared" / "vectors" / "spf" / "rfc7208-tests.yml"
TIMESTAMP = 1_780_000_000
LONGEST_CHAIN = 8

pytestmark = pytest.mark.skipif(not SUITE.exists(), reason="the openspf vectors do not lie beside this checkout")


@dataclass(frozen=True)
class Case:
    name: str
    given: dict[str, Any]
    zone: dict[str, list[Any]]


class Suite(yaml.SafeLoader):
    """The zones write IPv6 addresses bare, which YAML 1.1 would read as numbers in base 60."""


Suite.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if not tag.endswith((":int", ":float", ":timestamp"))]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def cases() -> Iterator[Case]:
    if not SUITE.exists():
        return
    for section in yaml.load_all(SUITE.read_text(), Suite):
        if section:
            zone = {owner.lower().rstrip("."): rows for owner, rows in section["zonedata"].items()}
            for name, given in section["tests"].items():
                yield Case(name, given, zone)


CASES = list(cases())


def answer(zone: dict[str, list[Any]], question: Question) -> Reply:
    """TIMEOUT in a zone holds for what the name does not have; SPF is doubled as TXT where no TXT stands."""
    name = re.sub(r"\\(\d{3})", lambda m: chr(int(m[1])), question.name)
    name = re.sub(r"\\(.)", r"\1", name)
    for _ in range(LONGEST_CHAIN):
        rows = zone.get(name)
        if rows is None:
            return Reply(question, Status.NXDOMAIN)
        records = [row for row in rows if isinstance(row, dict)]
        alias = [row["CNAME"] for row in records if "CNAME" in row]
        if not alias:
            break
        name = alias[0].lower().rstrip(".")
    else:
        return Reply(question, Status.SERVFAIL, detail="CNAME loop")
    found = [row[question.rdtype] for row in records if question.rdtype in row]
    if question.rdtype == "TXT" and not found:
        found = [row["SPF"] for row in records if "SPF" in row]
    found = [value for value in found if value != "NONE"]
    if found:
        return Reply(question, Status.ANSWER, tuple(record(question.rdtype, value) for value in found))
    return Reply(question, Status.TIMEOUT if "TIMEOUT" in rows else Status.NODATA)


def record(rdtype: str, value: Any) -> Rdata:
    match rdtype:
        case "A" | "AAAA":
            return ip_address(value)
        case "MX":
            return MX(int(value[0]), value[1].lower().rstrip(".") or ".")
        case "TXT":
            parts = value if isinstance(value, list) else [value]
            return TXT(tuple(part.encode("latin-1") for part in parts))
        case _:
            return str(value).lower().rstrip(".")


def play(case: Case) -> SpfEvaluation:
    sender = case.given["mailfrom"]
    helo = case.given["helo"]
    domain = sender.rpartition("@")[2] if sender else helo
    evaluation = check_host(
        ip_address(case.given["host"]), domain, sender or f"postmaster@{helo}", helo, explain=True, timestamp=TIMESTAMP
    )
    asked = 0
    try:
        question = next(evaluation)
        while True:
            asked += 1
            question = evaluation.send(answer(case.zone, question))
    except StopIteration as end:
        assert asked <= MOST_QUESTIONS
        result: SpfEvaluation = end.value
        return result


def test_the_suite_is_whole() -> None:
    assert len(CASES) == 203


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_result_and_explanation_are_those_of_the_suite(case: Case) -> None:
    result = play(case)
    right = case.given["result"] if isinstance(case.given["result"], list) else [case.given["result"]]
    assert result.word in right, result
    wanted = case.given.get("explanation")
    if wanted is not None:
        assert result.explanation == ("" if wanted == "DEFAULT" else wanted), result
