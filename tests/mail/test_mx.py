"""exporter/mail/mx.py: the way of mail, question by question."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from exporter.mail.dns import MX, Evaluation, Question, Rdata, Reply, Status, T
from exporter.mail.mx import Host, HostState, Way, look_up, route

V4, V6 = ip_address("192.0.2.1"), ip_address("2001:db8::1")
PRIVATE = ip_address("10.0.0.1")


def play(evaluation: Evaluation[T], *replies: Status | Rdata | tuple[Rdata, ...]) -> tuple[T, list[str]]:
    """Its result, and the questions it asked; every reply must be used."""
    asked: list[str] = []
    waiting = list(replies)
    try:
        question = next(evaluation)
        while True:
            asked.append(str(question))
            question = evaluation.send(_reply(question, waiting.pop(0)))
    except StopIteration as end:
        assert waiting == []
        return end.value, asked


def _reply(question: Question, what: Status | Rdata | tuple[Rdata, ...]) -> Reply:
    if isinstance(what, Status):
        return Reply(question, what)
    records = what if isinstance(what, tuple) and not isinstance(what, MX) else (what,)
    return Reply(question, Status.ANSWER, records)  # type: ignore[arg-type]  # an MX is a tuple too


def test_hosts_come_once_in_order_of_preference_without_the_null() -> None:
    published = (MX(20, "b.example"), MX(10, "c.example"), MX(10, "a.example"), MX(30, "a.example"), MX(5, "."))
    found, asked = play(route("example.com"), published)
    assert found.way is Way.HOSTS
    assert found.hosts == ("a.example", "c.example", "b.example")
    assert found.nulls == (MX(5, "."),)
    assert asked == ["example.com MX"]


def test_a_null_mx_alone_is_no_host() -> None:
    found, _ = play(route("example.com"), MX(0, "."))
    assert (found.way, found.hosts) == (Way.NULL, ())


def test_nothing_more_is_asked_of_a_domain_that_does_not_exist() -> None:
    found, asked = play(route("example.com"), Status.NXDOMAIN)
    assert found.way is Way.NO_SUCH_DOMAIN
    assert asked == ["example.com MX"]


@pytest.mark.parametrize("status", [status for status in Status if not status.conclusive])
def test_no_answer_is_no_absence(status: Status) -> None:
    found, asked = play(route("example.com"), status)
    assert (found.way, asked) == (Way.UNKNOWN, ["example.com MX"])
    assert found.doubt is not None
    host, _ = play(look_up("mx.example.com"), Status.NODATA, status)
    assert host.state is HostState.UNKNOWN
    assert host.doubt is not None


@pytest.mark.parametrize(
    ("a", "aaaa", "way"),
    [
        (V4, Status.NODATA, Way.IMPLICIT),
        (Status.NODATA, V6, Way.IMPLICIT),
        (PRIVATE, Status.SERVFAIL, Way.IMPLICIT),
        (Status.NODATA, Status.NODATA, Way.NOWHERE),
        (Status.SERVFAIL, Status.NODATA, Way.UNKNOWN),
    ],
)
def test_the_domains_own_address_stands_in_for_a_missing_mx(a: Rdata, aaaa: Rdata, way: Way) -> None:
    found, asked = play(route("example.com"), Status.NODATA, a, aaaa)
    assert found.way is way
    assert asked == ["example.com MX", "example.com A", "example.com AAAA"]


@pytest.mark.parametrize(
    ("a", "aaaa", "state"),
    [
        (V4, V6, HostState.USABLE),
        (V4, Status.TIMEOUT, HostState.USABLE),
        (Status.TIMEOUT, V6, HostState.USABLE),
        (PRIVATE, V6, HostState.USABLE),
        (PRIVATE, Status.NODATA, HostState.NOT_PUBLIC),
        (PRIVATE, Status.NXDOMAIN, HostState.NOT_PUBLIC),
        (PRIVATE, Status.TIMEOUT, HostState.UNKNOWN),
        (Status.TIMEOUT, Status.NXDOMAIN, HostState.NO_SUCH_NAME),
        (Status.NODATA, Status.NODATA, HostState.NO_ADDRESS),
    ],
)
def test_a_host_is_what_its_addresses_prove(a: Rdata, aaaa: Rdata, state: HostState) -> None:
    host, _ = play(look_up("mx.example.com"), a, aaaa)
    assert host.state is state
    assert host.state.broken == (state in (HostState.NO_ADDRESS, HostState.NO_SUCH_NAME))


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("192.0.2.1", HostState.IS_ADDRESS),
        ("[192.0.2.1]", HostState.IS_ADDRESS),
        ("mx_1.example.com", HostState.BAD_NAME),
        (r"a\.b.example.com", HostState.BAD_NAME),
        ("a" * 64, HostState.BAD_NAME),
    ],
)
def test_what_is_no_host_name_is_not_asked_for(name: str, state: HostState) -> None:
    assert play(look_up(name)) == (Host(name, state), [])


def test_ipv4_only_is_said_only_when_it_is_proven() -> None:
    assert play(look_up("mx.example.com"), V4, Status.NODATA)[0].without_ipv6
    assert not play(look_up("mx.example.com"), V4, Status.SERVFAIL)[0].without_ipv6
    assert not play(look_up("mx.example.com"), V4, V6)[0].without_ipv6
    assert not play(look_up("mx.example.com"), Status.NXDOMAIN)[0].without_ipv6
