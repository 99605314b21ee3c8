"""Passwords hold: what is known to break such servers is tried on a real socket."""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.views.authentication import MOST_OF_ONE, MOST_WAITING, Credentials, Login, Passwords
from tests.support import torture
from tests.support.guarded import LOOPS, Clients, basic, guarded, hashed, played, process

ALICE, BOB = hashed("alice123"), hashed("bob123")
USERS = f"basic_auth_users: {{alice: {ALICE}, bob: {BOB}}}\n"
PATHS = ("/", "/metrics", "/targets/resolver", "/findings", "/style.css", "/-/healthy", "/-/ready", "/-/reload", "/no")
RATE = 500  # wrong logins a second


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "web.yml"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "DELETE"])
async def test_no_path_and_no_method_is_without_a_password(file: Path, method: str) -> None:
    async with guarded(file, USERS) as it:
        for path in (*PATHS, "//-/ready", "http://localhost/-/ready", "/-/ready/", "/%2d/ready", "*"):
            answer = await it.get(path, method)
            assert answer.status == 401 or (answer.status == 400 and path in ("*", "http://localhost/-/ready")), path
        assert (await it.log_in("alice", "alice123")).status == 200
        assert it.security.passwords.checks == 1


async def test_who_is_refused_is_told_how_to_ask_and_gets_the_safe_headers(file: Path) -> None:
    async with guarded(file, USERS) as it:
        answer = await it.get("/")
        assert answer.status == 401
        assert answer.headers["www-authenticate"].startswith("Basic realm=")
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert +it.security.refused == {"password": 1}


async def test_probes_may_be_free_of_passwords_and_nothing_else_is(file: Path) -> None:
    async with guarded(file, USERS, health_without_auth=True) as it:
        free = {path for path in PATHS if (await it.get(path)).status == 200}
        assert free == {"/-/healthy", "/-/ready"}
        for path in ("/-/ready/", "/-/ready/../../", "//-/ready", "/-/readyz", "/-/healthy;/metrics", "/-/reload"):
            assert (await it.get(path)).status == 401, path
        assert (await it.get("/-/ready?x=/metrics")).status == 200
        assert it.security.passwords.checks == 0


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic ",
        "Basic :",
        "Basic ====",
        "Basic YWxpY2U6YWxpY2UxMjM",  # without its padding
        "Basic YWxpY2U=",  # without a colon
        "Basic YWxpY2U6YWxpY2UxMjM= x",
        "Basic \u00e4\u00f6",
        "Basic YWxpY2U6\u2028",
        "Bearer YWxpY2U6YWxpY2UxMjM=",
        "BasicYWxpY2U6YWxpY2UxMjM=",
        "Digest username=alice",
        "Basic " + "A" * 4000,
        basic("alice\0", "alice123")["Authorization"],
        basic("alice", "alice123\0")["Authorization"],
        basic("alice", "alice123\n")["Authorization"],
        basic("Alice", "alice123")["Authorization"],
        basic("", "")["Authorization"],
        basic("alice", "")["Authorization"],
        basic("alice", ALICE)["Authorization"],
        basic("bob", "alice123")["Authorization"],
    ],
)
async def test_what_is_no_login_is_refused_and_breaks_nothing(file: Path, header: str) -> None:
    async with guarded(file, USERS) as it:
        assert (await it.get(Authorization=header)).status == 401
        for scheme in ("basic", "BASIC"):
            good = basic("alice", "alice123")["Authorization"].replace("Basic", scheme)
            assert (await it.get(Authorization=good)).status == 200


async def test_a_name_or_password_of_any_letters_may_log_in(file: Path) -> None:
    async with guarded(file, f"basic_auth_users: {{'jürgen @x': {hashed('pässwörd: ☃')}}}\n") as it:
        assert (await it.log_in("jürgen @x", "pässwörd: ☃")).status == 200
        assert (await it.log_in("jürgen @x", "pässwörd")).status == 401


async def test_the_cache_cannot_be_poisoned(file: Path) -> None:
    """CVE-2022-46146: name, hash and password in one text, so that another name and password make the same."""
    async with guarded(file, USERS) as it:
        decoy = it.security.passwords._decoy({"alice": ALICE}, b"")
        for name, password in (
            (f"alice{ALICE}", "fakepassword"),
            (f"alice{decoy}", "fakepassword"),
            ("alice" + ALICE.replace("$", "%24"), "fakepassword"),
        ):
            assert (await it.log_in(name, password)).status == 401
        for password in (f"{ALICE}fakepassword", f"{decoy}fakepassword", "fakepassword", ALICE, decoy):
            for _ in "again":
                assert (await it.log_in("alice", password)).status == 401
        for first, second in (("a", "lice"), ("alice:", ""), ("alice", ":alice123")):
            assert (await it.log_in(first, second + "alice123")).status == 401


async def test_the_time_of_an_answer_does_not_tell_who_exists(file: Path) -> None:
    """One run of bcrypt for each, with the same cost; nothing is kept of one that is not kept of the other."""
    users = f"basic_auth_users: {{alice: {hashed('x', 6)}, bob: {hashed('y', 6)}}}\n"
    async with guarded(file, users) as it:
        passwords = it.security.passwords
        for count, name in enumerate(("alice", "nobody", "bob", "somebody"), 1):
            for _ in "twice":
                assert (await it.log_in(name, "wrong")).status == 401
            assert passwords.checks == count
        assert passwords._decoy(it.security.current.users, b"nobody").startswith("$2b$06$")


@pytest.mark.torture
async def test_known_and_unknown_names_cannot_be_told_apart_by_the_clock(
    record_property: Callable[[str, object], None],
) -> None:
    """Welch's t of the logarithms of both times, for new passwords and for such that are known to be wrong."""
    each = torture.size(50, 5000)
    passwords, users = Passwords(), {"alice": ALICE, "bob": BOB}

    async def took(name: bytes, number: int) -> float:
        began = time.perf_counter()
        assert await passwords.check(users, Credentials(name, b"wrong%d" % number), "") is Login.WRONG
        return math.log(time.perf_counter() - began)

    for kind in ("new", "known to be wrong"):
        times: dict[bytes, list[float]] = {b"alice": [], b"nobody": []}
        for number in range(each):
            for name in sorted(times, reverse=number % 2 == 0):
                times[name].append(await took(name, number if kind == "new" else each - 1))
        one, other = times.values()
        spread = math.sqrt((statistics.variance(one) + statistics.variance(other)) / each)
        t = (statistics.fmean(one) - statistics.fmean(other)) / spread
        assert abs(t) < 4.5, "by chance once in a hundred thousand times"
        record_property(f"t of known and unknown names, {kind} passwords", f"{t:+.2f} ({each} logins each)")
    passwords.close()


def test_where_costs_differ_an_unknown_name_has_one_of_them() -> None:
    passwords = Passwords()
    users = {f"u{cost}": f"$2b${cost:02}${'.' * 53}" for cost in (4, 10, 12)}
    chosen = {name: passwords._decoy(users, name) for name in (b"n%d" % n for n in range(100))}
    assert {it[4:6] for it in chosen.values()} == {"04", "10", "12"}
    assert chosen == {name: passwords._decoy(users, name) for name in chosen}, "asked again, it takes as long"
    passwords.close()


async def test_a_known_password_of_nobody_lets_nobody_in(file: Path) -> None:
    async with guarded(file, USERS) as it:
        for _ in "cold", "kept":
            assert (await it.log_in("nobody", "alice123")).status == 401
            assert (await it.log_in("fakeuser", "fakepassword")).status == 401


async def test_a_password_longer_than_bcrypt_reads_is_never_right(file: Path) -> None:
    """bcrypt stops at 72 bytes, so any longer one with the right beginning would do. The library raises at 73."""
    longest = "ä" * 36
    async with guarded(file, f"basic_auth_users: {{alice: {hashed(longest)}}}\n") as it:
        assert (await it.log_in("alice", longest)).status == 200
        before = it.security.passwords.checks
        for more in ("x", "ä", "x" * 2000):
            for name in ("alice", "nobody"):
                assert (await it.log_in(name, longest + more)).status == 401
        assert it.security.passwords.checks == before


@pytest.mark.torture
@pytest.mark.parametrize("loop", LOOPS)
def test_good_and_bad_logins_at_once_get_each_its_own_answer(file: Path, loop: str) -> None:
    """As the toolkit's own test does, but with nothing kept before."""
    each = torture.size(30, 150)

    async def play() -> None:
        async with guarded(file, USERS) as it:
            good = [it.log_in("alice", "alice123") for _ in range(each)]
            bad = [it.log_in("alice", "alice1234") for _ in range(each)]
            answers = await asyncio.gather(*(login for both in zip(good, bad, strict=True) for login in both))
            assert [answer.status for answer in answers] == [200, 401] * each
            assert it.security.passwords.checks == 2

    played(loop, play())


async def test_more_logins_than_may_wait_are_told_to_come_again(file: Path) -> None:
    """One address has a part of the room: it cannot shut the others out."""
    async with guarded(file, f"basic_auth_users: {{alice: {hashed('alice123', 7)}}}\n") as it:
        answers = await asyncio.gather(*(it.log_in("alice", f"wrong{n}") for n in range(40)))
        assert {answer.status for answer in answers} == {401, 429}
        assert sum(answer.status == 401 for answer in answers) >= MOST_OF_ONE
        assert {answer.headers["retry-after"] for answer in answers if answer.status == 429} == {"1"}
        assert (await it.log_in("alice", "alice123")).status == 200


async def test_the_room_for_logins_is_bounded_for_all_addresses_together() -> None:
    passwords = Passwords()
    users = {"alice": ALICE}

    async def attempt(number: int) -> Login:
        return await passwords.check(users, Credentials(b"alice", b"wrong%d" % number), f"192.0.2.{number}")

    results = await asyncio.gather(*map(attempt, range(40)))
    assert results.count(Login.WRONG) == MOST_WAITING
    assert results.count(Login.BUSY) == 40 - MOST_WAITING
    assert not passwords._of
    passwords.close()


async def test_wrong_passwords_do_not_drive_right_ones_out(file: Path) -> None:
    async with guarded(file, USERS) as it:
        await it.log_in("alice", "alice123")
        for number in range(0, 120, MOST_OF_ONE):
            await asyncio.gather(*(it.log_in("alice", f"wrong{n}") for n in range(number, number + MOST_OF_ONE)))
        before = it.security.passwords.checks
        assert before > 110
        assert (await it.log_in("alice", "alice123")).status == 200
        assert it.security.passwords.checks == before
        assert len(it.security.passwords._wrong) <= 100


async def test_no_password_is_kept(file: Path) -> None:
    async with guarded(file, USERS) as it:
        await it.log_in("alice", "alice123")
        await it.log_in("alice", "alice1234")
        assert b"alice123" not in repr(vars(it.security.passwords)).encode()


@pytest.mark.torture
@pytest.mark.parametrize("loop", LOOPS)
def test_a_flood_of_logins_does_not_hold_up_a_scrape(
    file: Path, loop: str, record_property: Callable[[str, object], None]
) -> None:
    """500 wrong logins a second, each another one, while a scraper comes whose password has been checked before."""
    tenths, cost = torture.size(3, 600), torture.size(4, 10)
    statuses: Counter[int | str] = Counter()
    took: list[float] = []

    async def play(url: str) -> None:
        clients = Clients(url)
        good = basic("alice", "alice123")
        assert (await clients.get("/metrics", good)).status == 200
        attack = asyncio.create_task(_flood(clients, statuses, tenths))
        while not attack.done():
            began = time.perf_counter()
            assert (await clients.get("/metrics", good)).status == 200
            took.append(time.perf_counter() - began)
            await asyncio.sleep(0.02)
        await attack
        clients.close()

    with process(file, f"basic_auth_users: {{alice: {hashed('alice123', cost)}}}\n", loop) as url:
        played("asyncio", play(url))
    p99 = sorted(took)[int((len(took) - 1) * 0.99)]
    assert p99 < 1
    assert set(statuses) <= {401, 429, 503, "no connection"}
    assert statuses.total() == RATE // 10 * tenths
    assert statuses[401] > 0
    record_property("login flood", f"{RATE}/s for {tenths / 10:.0f} s at cost {cost} on {loop}: {dict(statuses)}")
    record_property("scrape beside a login flood, p99", f"{p99 * 1000:.0f} ms ({len(took)} scrapes, {loop})")


async def _flood(clients: Clients, statuses: Counter[int | str], tenths: int) -> None:
    """Ten times a second a tenth of the rate, whether the last ones have been answered or not."""

    async def attempt(number: int) -> None:
        try:
            statuses[(await clients.get("/-/ready", basic("alice", f"wrong{number}"))).status] += 1
        except (OSError, asyncio.IncompleteReadError):
            statuses["no connection"] += 1

    async with asyncio.TaskGroup() as attempts:
        for tenth in range(tenths):
            for one in range(RATE // 10):
                attempts.create_task(attempt(tenth * RATE + one))
            await asyncio.sleep(0.1)
