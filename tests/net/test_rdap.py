"""The RDAP client: one question a day, a rate limit for each server, and a list of servers that outlives failures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from exporter.demo.registry import Name, Registry, RegistryFault, domain
from exporter.facts import CannotTell, Reason
from exporter.mail import rdap as language
from exporter.net.rdap import DAY, KEPT, RETRY, RdapClient, RdapLookup, retry_after
from tests.support.clock import FakeClock
from tests.support.rdap import registry
from tests.support.web import NAME, OTHER, answering, leading_to, sites

EXAMPLE = "example.com"
LIST = {"version": "1.0", "services": [[["com"], [f"https://{NAME}/rdap"]]]}


async def ask(rdap: RdapClient, name: str = EXAMPLE) -> tuple[RdapLookup | Reason, list[str]]:
    """What came of it, and what was said on the way."""
    lines: list[str] = []
    try:
        return await rdap.look_up(name, lines.append), lines
    except CannotTell as could_not:
        return could_not.reason, lines


@asynccontextmanager
async def listed(
    folder: Path, here: Any, there: Any = None, bootstrap: object = LIST, zone: str = ""
) -> AsyncIterator[tuple[RdapClient, FakeClock, list[float]]]:
    """A Rdap that has its list from a file, and what it waited for."""
    (folder / "dns.json").write_text(json.dumps(bootstrap))
    clock, waits = FakeClock(), list[float]()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock.pass_(seconds)

    async with sites(here, there, zone) as https:
        yield RdapClient(https, clock, folder / "dns.json", sleep=sleep), clock, waits


def telling(name: str = EXAMPLE, **fields: Any) -> Any:
    body = json.dumps(domain(name, Name(**fields), FakeClock().wall())).encode()
    return answering(body=body, content_type="application/rdap+json")


async def test_the_server_is_found_in_the_list_of_iana_and_asked() -> None:
    clock = FakeClock()
    async with registry({EXAMPLE: Name(registrar="Example Registrar")}, clock) as (rdap, _):
        lookup, lines = await ask(rdap)
    assert isinstance(lookup, RdapLookup)
    assert (lookup.domain, lookup.server) == (EXAMPLE, "rdap.registry.example")
    assert lookup.registration is not None
    assert lookup.registration.expires == clock.wall() + 400 * DAY
    assert lines[0::2][:2] == [
        "GET https://data.iana.org/rdap/dns.json",
        "GET https://rdap.registry.example/domain/example.com",
    ]
    assert lines[-4:] == [
        "expires: 2027-07-02T20:26:40+00:00",
        "registered: 2018-03-11T20:26:40+00:00",
        "status: active",
        "registrar: Example Registrar",
    ]


async def test_one_question_a_day_whoever_asks() -> None:
    clock = FakeClock()
    async with registry({EXAMPLE: Name()}, clock) as (rdap, it):
        answers = await asyncio.gather(*(ask(rdap) for _ in range(5)))
        clock.pass_(KEPT - 60)
        later, lines = await ask(rdap)
        assert it.asked == [EXAMPLE]
        assert {answer for answer, _ in answers} == {later}
        assert lines[0] == "-- asked 1379 minutes ago, which is enough for a day"
        clock.pass_(60)
        await ask(rdap)
        assert it.asked == [EXAMPLE, EXAMPLE]


async def test_a_daily_run_never_finds_the_answer_of_the_day_before() -> None:
    assert KEPT < DAY - 600


async def test_a_no_is_an_answer_and_kept_as_well() -> None:
    async with registry({}, FakeClock()) as (rdap, it):
        for _ in range(2):
            lookup, _ = await ask(rdap)
            assert lookup == RdapLookup(EXAMPLE, "rdap.registry.example", None)
        assert it.asked == [EXAMPLE]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (RegistryFault.BUSY, Reason.TEMPFAIL),
        (RegistryFault.GARBAGE, Reason.MALFORMED),
        (RegistryFault.OTHER_NAME, Reason.MALFORMED),
    ],
)
async def test_a_failure_is_not_kept(fault: RegistryFault, reason: Reason) -> None:
    async with registry({EXAMPLE: Name(fault=fault)}, FakeClock()) as (rdap, it):
        assert [(await ask(rdap))[0] for _ in range(2)] == [reason, reason]
        assert len(it.asked) == 2


async def test_a_server_gets_one_question_a_second() -> None:
    clock = FakeClock()
    names = [f"{n}.com" for n in range(5)]
    async with registry({name: Name() for name in names}, clock) as (rdap, it):
        began = clock.monotonic()
        for name in names:
            await ask(rdap, name)
        assert it.asked == names
        assert clock.monotonic() - began == pytest.approx(4)


async def test_who_would_wait_too_long_is_told_so_at_once(tmp_path: Path) -> None:
    stuck = asyncio.Event()

    async def here(request: web.BaseRequest) -> web.Response:
        return web.Response(status=404)

    async with listed(tmp_path, here) as (rdap, _, _):

        async def sleep(seconds: float) -> None:  # time stands still, so that all places are taken
            await stuck.wait()

        rdap._sleep = sleep
        asks = [asyncio.create_task(ask(rdap, f"{n}.com")) for n in range(50)]
        async with asyncio.timeout(5):
            while sum(task.done() for task in asks) < 10:
                await asyncio.sleep(0)
        done = [task.result()[0] for task in asks if task.done()]
        stuck.set()
        await asyncio.gather(*asks)
    assert done == [RdapLookup("0.com", NAME, None), *[Reason.RATE_LIMITED] * 9]


async def test_a_server_that_says_later_is_left_alone_that_long() -> None:
    clock = FakeClock()
    async with registry({EXAMPLE: Name(fault=RegistryFault.LATER), "b.com": Name()}, clock) as (rdap, it):
        assert (await ask(rdap))[0] is Reason.RATE_LIMITED
        clock.pass_(3500)
        assert (await ask(rdap, "b.com"))[0] is Reason.RATE_LIMITED
        assert it.asked == [EXAMPLE]
        clock.pass_(100)
        assert isinstance((await ask(rdap, "b.com"))[0], RdapLookup)


async def test_a_short_later_is_waited_for(tmp_path: Path) -> None:
    asked = 0

    async def here(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return await (answering(429, retry_after="5") if asked == 1 else telling())(request)

    async with listed(tmp_path, here) as (rdap, _, waits):
        lookup, _ = await ask(rdap)
    assert isinstance(lookup, RdapLookup)
    assert lookup.registration is not None
    assert waits == [5.0]


async def test_later_again_and_again_comes_to_an_end(tmp_path: Path) -> None:
    async with listed(tmp_path, answering(429, retry_after="0")) as (rdap, _, waits):
        assert (await ask(rdap))[0] is Reason.RATE_LIMITED
    assert len(waits) == 2


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 60),
        ("120", 120),
        ("0", 1),
        ("99999999999999999999", DAY),
        ("-5", 60),
        ("Thu, 28 May 2026 20:27:40 GMT", 60),
        ("Thu, 28 May 2026 20:25:40 GMT", 1),
        ("Fri, 31 Dec 9999 23:59:59 GMT", DAY),
        ("soon", 60),
    ],
)
def test_later_is_seconds_or_a_date(text: str, seconds: float) -> None:
    assert retry_after(text, FakeClock().wall()) == seconds


@given(st.text(max_size=60) | st.text("0123456789:+-, GMTthujan", max_size=60))
def test_any_later_is_from_a_second_to_a_day(text: str) -> None:
    assert 1 <= retry_after(text, FakeClock().wall()) <= DAY


async def test_a_redirect_of_the_server_is_followed(tmp_path: Path) -> None:
    async with listed(tmp_path, leading_to(f"https://{OTHER}/domain/{EXAMPLE}"), telling()) as (rdap, _, _):
        lookup, lines = await ask(rdap)
    assert isinstance(lookup, RdapLookup)
    assert lookup.registration is not None
    assert f"GET https://{OTHER}/domain/{EXAMPLE}" in lines


async def test_a_redirect_to_a_private_address_is_not(tmp_path: Path) -> None:
    async with listed(tmp_path, leading_to("https://private.example.com/")) as (rdap, _, _):
        assert (await ask(rdap))[0] is Reason.NETWORK


@pytest.mark.parametrize("status", [200, 204, 400, 410])
async def test_what_is_neither_an_answer_nor_a_no_is_malformed(tmp_path: Path, status: int) -> None:
    async with listed(tmp_path, answering(status)) as (rdap, _, _):
        assert (await ask(rdap))[0] is Reason.MALFORMED


@pytest.mark.parametrize("status", [401, 403, 451])
async def test_a_server_that_refuses_us_has_said_nothing_of_the_name(tmp_path: Path, status: int) -> None:
    async with listed(tmp_path, answering(status)) as (rdap, _, _):
        with pytest.raises(CannotTell) as refused:
            await rdap.look_up(EXAMPLE, lambda _: None)
    assert refused.value.reason is Reason.EGRESS  # one notice about the cause, not one for each name
    assert refused.value.detail == f"{NAME} refuses to answer us here: HTTP status {status}"


async def test_an_answer_over_a_megabyte_is_malformed(tmp_path: Path) -> None:
    async with listed(tmp_path, answering(body=b" " * (language.LARGEST + 1))) as (rdap, _, _):
        assert (await ask(rdap))[0] is Reason.MALFORMED


async def test_the_path_is_that_of_rfc_9082(tmp_path: Path) -> None:
    paths: list[str] = []

    async def here(request: web.BaseRequest) -> web.Response:
        paths.append(request.path)
        return web.Response(status=404)

    async with listed(tmp_path, here) as (rdap, _, _):
        await ask(rdap)
    assert paths == ["/rdap/domain/example.com"]


@pytest.mark.parametrize("urls", [[], [f"http://{NAME}/"]])
async def test_without_a_server_that_speaks_https_there_is_nobody_to_ask(tmp_path: Path, urls: list[str]) -> None:
    bootstrap = {"services": [[["com"], urls]]}
    async with listed(tmp_path, answering(), bootstrap=bootstrap) as (rdap, _, _):
        assert (await ask(rdap))[0] == RdapLookup(EXAMPLE, "", None)
        assert (await ask(rdap, "example.de"))[0] == RdapLookup("example.de", "", None)


async def test_of_several_urls_the_secure_one_is_asked(tmp_path: Path) -> None:
    bootstrap = {"services": [[["com"], [f"http://{OTHER}/", f"https://{NAME}/"]]]}
    async with listed(tmp_path, telling(), bootstrap=bootstrap) as (rdap, _, _):
        lookup, _ = await ask(rdap)
    assert isinstance(lookup, RdapLookup)
    assert lookup.server == NAME


async def test_the_file_is_read_once_a_day(tmp_path: Path) -> None:
    async with listed(tmp_path, telling()) as (rdap, clock, _):
        await ask(rdap)
        (tmp_path / "dns.json").write_text('{"services": []}')
        assert (await ask(rdap, "b.com"))[0] is Reason.MALFORMED  # which is asked, and answered for example.com
        clock.pass_(DAY)
        assert (await ask(rdap, "b.com"))[0] == RdapLookup("b.com", "", None)


@pytest.mark.parametrize("broken", [None, "no json", '{"services": 5}'])
async def test_a_list_that_cannot_be_read_any_more_leaves_the_old_one(tmp_path: Path, broken: str | None) -> None:
    async with listed(tmp_path, telling()) as (rdap, clock, _):
        first, _ = await ask(rdap)
        if broken is None:
            (tmp_path / "dns.json").unlink()
        else:
            (tmp_path / "dns.json").write_text(broken)
        clock.pass_(DAY)
        assert (await ask(rdap))[0] == first


async def test_without_any_list_nothing_is_known_and_it_is_not_asked_for_at_once_again(tmp_path: Path) -> None:
    async with listed(tmp_path, telling(), bootstrap=[]) as (rdap, clock, _):
        assert (await ask(rdap))[0] is Reason.MALFORMED
        (tmp_path / "dns.json").write_text(json.dumps(LIST))
        clock.pass_(RETRY - 1)
        assert (await ask(rdap))[0] is Reason.MALFORMED
        clock.pass_(1)
        assert isinstance((await ask(rdap))[0], RdapLookup)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (answering(404), Reason.MALFORMED),
        (answering(503), Reason.TEMPFAIL),
        (answering(body=b"<html>"), Reason.MALFORMED),
        (leading_to("https://private.example.com/"), Reason.NETWORK),
    ],
)
async def test_trouble_with_the_list_is_told_for_what_it_is(answer: Any, reason: Reason) -> None:
    clock = FakeClock()
    async with sites(answer) as https:
        rdap = RdapClient(https, clock, f"https://{NAME}/dns.json")
        assert (await ask(rdap))[0] is reason


async def test_runs_that_begin_together_read_the_list_once() -> None:
    clock = FakeClock()
    it = Registry({f"{n}.com": Name() for n in range(8)}, clock.wall())
    reads = 0
    real = it._list

    async def counted(request: web.BaseRequest) -> web.Response:
        nonlocal reads
        reads += 1
        return await real(request)

    async with sites(counted, it._domain) as https:
        rdap = RdapClient(https, clock, f"https://{NAME}/dns.json")
        await asyncio.gather(*(ask(rdap, f"{n}.de") for n in range(8)))
    assert reads == 1


def asks(rdap: Registry) -> tuple[int, int]:
    return len(rdap.asked), len(rdap.asked_registrar)


async def test_the_registrar_is_asked_only_where_its_date_may_matter() -> None:
    names = {
        "far.com": Name(expires=300, at_registrar=900),
        "near.com": Name(expires=30, at_registrar=395),
        "undated.com": Name(expires=None, at_registrar=395),
        "renewed.com": Name(expires=360, at_registrar=-5, status=("auto renew period",)),
        "alone.com": Name(expires=30),
    }
    clock = FakeClock()
    async with registry(names, clock) as (rdap, it):
        found = {name: (await ask(rdap, name))[0] for name in names}
        assert it.asked_registrar == ["near.com", "undated.com", "renewed.com"]
    days = {name: (told.expires or 0) - clock.wall() for name, told in found.items() if isinstance(told, RdapLookup)}
    assert {name: round(left / 86400) for name, left in days.items()} == {
        "far.com": 300,
        "near.com": 395,
        "undated.com": 395,
        "renewed.com": 360,
        "alone.com": 30,
    }


@pytest.mark.parametrize("fault", [*RegistryFault])
async def test_a_registrar_that_fails_takes_nothing_from_the_answer_of_the_registry(fault: RegistryFault) -> None:
    clock = FakeClock()
    names = {EXAMPLE: Name(expires=20, at_registrar=400, registrar_fault=fault)}
    async with registry(names, clock) as (rdap, it):
        found, _ = await ask(rdap)
        assert isinstance(found, RdapLookup)
        assert (found.at_registrar, asks(it)) == (None, (1, 1))
        assert round(((found.expires or 0) - clock.wall()) / 86400) == 20


async def test_the_last_date_of_a_registrar_counts_while_it_fails() -> None:
    clock = FakeClock()
    names = {EXAMPLE: Name(expires=20, at_registrar=400)}
    async with registry(names, clock) as (rdap, it):
        first, _ = await ask(rdap)
        names[EXAMPLE] = Name(expires=20, at_registrar=400, registrar_fault=RegistryFault.BUSY)
        clock.pass_(86400)
        second, _ = await ask(rdap)
        assert asks(it) == (2, 2)
    assert isinstance(first, RdapLookup)
    assert isinstance(second, RdapLookup)
    assert first.at_registrar == second.at_registrar is not None


async def test_the_registrar_is_asked_once_a_day_too() -> None:
    clock = FakeClock()
    async with registry({EXAMPLE: Name(expires=20, at_registrar=400)}, clock) as (rdap, it):
        for _ in range(3):
            await ask(rdap)
        assert asks(it) == (1, 1)


async def test_that_a_registry_gives_dates_is_learnt_for_each_of_its_domains() -> None:
    names = {"a.com": Name(expires=None), "b.com": Name(), "c.com": Name(expires=None), "d.org": Name(expires=None)}
    async with registry(names, FakeClock()) as (rdap, _):
        found = [(await ask(rdap, name))[0] for name in names]
    assert [it.dated for it in found if isinstance(it, RdapLookup)] == [False, True, True, False]
