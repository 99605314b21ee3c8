"""Evaluates SPF in a small world of names and their records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import TypeVar

from exporter.mail.dns import TXT, Evaluation, Question, Rdata, Reply, Status
from exporter.mail.spf.check_host import SpfEvaluation, check_host
from exporter.mail.spf.worst_case import Cost, worst_case

T = TypeVar("T")
Zone = Mapping[str, "tuple[Rdata, ...] | str | Status"]


def play(evaluation: Evaluation[T], answer: Callable[[Question], Reply]) -> tuple[T, list[Question]]:
    asked: list[Question] = []
    try:
        question = next(evaluation)
        while True:
            asked.append(question)
            question = evaluation.send(answer(question))
    except StopIteration as end:
        return end.value, asked


def world(zone: Zone) -> Callable[[Question], Reply]:
    """`{"example.com TXT": "v=spf1 -all", "example.com A": (ip,), "example.com MX": Status.TIMEOUT}`; else NXDOMAIN."""

    def answer(question: Question) -> Reply:
        found = zone.get(str(question), Status.NXDOMAIN)
        if isinstance(found, Status):
            return Reply(question, found)
        records = (TXT((found.encode(),)),) if isinstance(found, str) else found
        return Reply(question, Status.ANSWER, records)

    return answer


def evaluate(
    zone: Zone, ip: str = "192.0.2.1", sender: str = "user@example.com", *, explain: bool = False
) -> SpfEvaluation:
    domain = sender.rpartition("@")[2]
    return play(check_host(ip_address(ip), domain, sender, "mail.example.org", explain=explain), world(zone))[0]


def cost(zone: Zone) -> Cost:
    return play(worst_case("example.com"), world(zone))[0]


A = (ip_address("203.0.113.1"),)
