"""`check --recipients`: a list of any length, each domain asked once, in its order, with the exit codes of `check`."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import os
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cli import recipients
from exporter.cli.exit_codes import Exit
from exporter.cli.recipients import Judgement, Lines, Recipient, examine, lines_of, tell
from exporter.demo.nameserver import ZoneData
from exporter.engine import catalogue
from exporter.engine.plan import pairs
from exporter.mail.dns import Question, Reply, Status
from exporter.net import Net
from exporter.targets import OwnResolver
from tests.support.clock import FakeClock
from tests.support.memory import MemoryResolver

ZONE = """
$TTL 300
; servfail: broken.example MX
good.example.       MX  10 mx.good.example.
gmail.com.          MX  10 mx.good.example.
gmial.com.          MX  0 .
null.example.       MX  0 .
web.example.        A   192.0.2.80
inner.example.      A   10.0.0.1
text.example.       TXT "nothing else"
xn--mnchen-3ya.example. MX 10 mx.good.example.
docomo.ne.jp.       MX  10 mx.good.example.
; servfail: ezweb.ne.jp MX
"""


async def given_lines(lines: Iterable[str]) -> AsyncIterator[str]:
    for line in lines:
        yield line


async def judged(*lines: str, dns: MemoryResolver | None = None) -> list[Recipient]:
    resolver, clock = dns or MemoryResolver(ZoneData(ZONE)), FakeClock()
    return [recipient async for recipient in examine(given_lines(lines), lambda: Net(resolver, clock))]


@pytest.mark.parametrize(
    ("address", "judgement", "says"),
    [
        ("anna@good.example", Judgement.GOOD, ""),
        ("anna@web.example", Judgement.GOOD, ""),  # the implicit MX
        ("anna@[192.0.2.1]", Judgement.GOOD, ""),
        ("anna@null.example", Judgement.REFUSED, "accepts no mail (null MX)"),
        ("anna@gone.example", Judgement.REFUSED, "does not exist in DNS"),
        ("anna@text.example", Judgement.REFUSED, "neither an MX nor an address record"),
        ("anna@inner.example", Judgement.REFUSED, "no public address"),
        ("anna@gmial.com", Judgement.REFUSED, "looks like a slip of gmail.com"),
        ("anna@good.example.", Judgement.REFUSED, "ends with a dot"),
        ("anna\u00a0@good.example", Judgement.REFUSED, "U+00A0 NO-BREAK SPACE at position 5"),
        ("jörg@good.example", Judgement.DOUBTFUL, "SMTPUTF8"),
        ("a..b@docomo.ne.jp", Judgement.DOUBTFUL, "old addresses of docomo.ne.jp have them"),
        ("ab.@ezweb.ne.jp", Judgement.UNKNOWN, "old addresses of ezweb.ne.jp have them"),
        ("a..b@good.example", Judgement.REFUSED, "a dot too many at position 3"),
        (f"reply+{'a' * 60}@good.example", Judgement.DOUBTFUL, "66 bytes before the @"),
        ("anna@münchen.example", Judgement.DOUBTFUL, "outside ASCII in its domain"),
        ("anna@broken.example", Judgement.UNKNOWN, "DNS says nothing now"),
        ("jörg@broken.example", Judgement.UNKNOWN, "SMTPUTF8"),
        ("jörg@gone.example", Judgement.REFUSED, "SMTPUTF8"),
    ],
)
async def test_an_address_is_judged_by_its_worst(address: str, judgement: Judgement, says: str) -> None:
    (recipient,) = await judged(address)
    assert recipient.judgement is judgement
    assert says in " ".join(remark.says for remark in recipient.remarks)


async def test_a_slip_is_only_a_warning_where_the_domain_takes_mail() -> None:
    dns = MemoryResolver(ZoneData("gnail.com. MX 10 mx.gnail.com."))
    (recipient,) = await judged("anna@gnail.com", dns=dns)
    assert recipient.judgement is Judgement.DOUBTFUL
    assert recipient.remarks[0].fix == "Write anna@gmail.com if that is meant."


@pytest.mark.parametrize("address", ["a..b@docomo.ne.jp", "ab.@ezweb.ne.jp", ".ab@docomo.ne.jp"])
async def test_nobody_is_told_to_remove_a_dot_that_belongs_to_an_old_address(address: str) -> None:
    (recipient,) = await judged(address)
    local, _, domain = address.partition("@")
    told = " ".join(remark.fix for remark in recipient.remarks)
    assert "emove" not in told
    assert f'"{local}"@{domain}' in told


@pytest.mark.parametrize(
    ("zone", "why"),
    [
        ("", "the resolver says that com has no name servers (NXDOMAIN)"),
        ("com. NS a.com.\n*.com. A 192.0.2.1", "the resolver returns addresses for names that do not exist"),
        ("; servfail: com NS\nelse.example. A 192.0.2.1", "its own test: com NS"),
        ("com. NS a.com.", ""),
    ],
)
async def test_a_resolver_that_fails_its_own_test_is_not_believed(zone: str, why: str) -> None:
    dns, clock = MemoryResolver(ZoneData(zone)), FakeClock()
    known = catalogue.load()
    tests = pairs(known, [OwnResolver()], lambda _: True)
    doubted = await recipients.doubted(tests, lambda: Net(dns, clock), clock)
    assert why in doubted
    assert bool(why) is bool(doubted)
    dns.asked.clear()
    lines = given_lines(["anna@good.example", "anna@gone.example", "x y@gone.example", "anna@[192.0.2.1]"])
    found = [it.judgement async for it in examine(lines, lambda: Net(dns, clock), doubted)]
    of_domains = [Judgement.UNKNOWN] if why else [Judgement.REFUSED]
    assert found == [*(of_domains * 2), Judgement.REFUSED, Judgement.GOOD]
    assert bool(dns.asked) is not bool(why)


async def test_each_domain_is_asked_once_and_the_order_of_the_list_is_kept() -> None:
    dns = MemoryResolver(ZoneData(ZONE))
    lines = ["", *(f"u{n}@{domain}.example" for n in range(50) for domain in ("good", "GOOD", "gone", "null")), " \t"]
    found = await judged(*lines, dns=dns)
    assert [recipient.line for recipient in found] == list(range(2, 202))
    assert Counter(dns.asked) == {Question(f"{d}.example", "MX"): 1 for d in ("good", "gone", "null")}


class Slow:
    """A resolver that answers only when told to."""

    def __init__(self) -> None:
        self.waiting = 0
        self.most = 0
        self.go = asyncio.Event()

    async def ask(self, question: Question, *, fresh: bool = False, tcp: bool = False) -> Reply:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        await self.go.wait()
        self.waiting -= 1
        return Reply(question, Status.NXDOMAIN)


async def test_the_list_is_read_no_further_than_a_window_ahead_and_few_domains_are_asked_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recipients, "WINDOW", 100)
    dns, clock, read = Slow(), FakeClock(), 0

    async def lines() -> AsyncIterator[str]:
        nonlocal read
        for number in range(1000):
            read += 1
            yield f"u@d{number}.example"

    found = examine(lines(), lambda: Net(dns, clock))
    first = asyncio.ensure_future(anext(found))
    for _ in range(300):
        await asyncio.sleep(0)
    assert read == 101
    assert dns.most == recipients.AT_ONCE
    dns.go.set()
    assert (await first).line == 1
    assert [recipient.line async for recipient in found] == list(range(2, 1001))
    assert dns.most == recipients.AT_ONCE


@pytest.mark.long
async def test_memory_does_not_grow_with_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipients, "KEPT", 500)
    monkeypatch.setattr(recipients, "WINDOW", 200)
    clock, dns = FakeClock(), MemoryResolver(ZoneData(ZONE))

    async def peak(count: int) -> int:
        gc.collect()
        tracemalloc.start()
        lines = given_lines(f"a{n}@d{n}.good.example" for n in range(count))
        async for recipient in examine(lines, lambda: Net(dns, clock)):
            dns.asked.clear()
            assert recipient.judgement is Judgement.REFUSED
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    await peak(100)  # what is made once
    assert await peak(6000) < 1.5 * await peak(1500)


@pytest.mark.parametrize(
    ("addresses", "code"),
    [
        ((), Exit.OK),
        (("anna@good.example",), Exit.OK),
        (("anna@good.example", "jörg@good.example"), Exit.WARNING),
        (("jörg@good.example", "anna@broken.example"), Exit.UNKNOWN),
        (("anna@broken.example", "anna@null.example", "jörg@good.example"), Exit.CRITICAL),
    ],
)
async def test_exit_codes_are_those_of_check(addresses: tuple[str, ...], code: Exit) -> None:
    assert (await told(*addresses))[0] is code


async def told(*addresses: str, as_json: bool = False) -> tuple[Exit, str]:
    out, clock, dns = io.StringIO(), FakeClock(), MemoryResolver(ZoneData(ZONE))
    found = examine(given_lines(addresses), lambda: Net(dns, clock))
    code = await tell(found, "list.txt", out.write, as_json=as_json)
    return code, out.getvalue()


async def test_text_is_a_line_for_each_bad_address_with_place_reason_and_fix() -> None:
    _, text = await told("anna@good.example", "x y@good.example", "jörg@good.example", "anna@broken.example")
    bad, doubtful, unknown, totals = text.splitlines()
    assert bad.startswith('list.txt:2: refused: "x y@good.example" has a space at position 2')
    assert ". Fix: Remove that character" in bad
    assert doubtful.startswith('list.txt:3: doubtful: "jörg@good.example" has characters outside ASCII')
    assert unknown.startswith('list.txt:4: unknown: "anna@broken.example" is in broken.example')
    assert totals == "4 addresses: 1 refused, 1 unknown, 1 doubtful, 1 good"


async def test_json_is_one_document_with_all_that_is_not_good() -> None:
    code, text = await told("anna@good.example", "x y@good.example", "jörg@gone.example", as_json=True)
    document = json.loads(text)
    assert document["exit"] == code == Exit.CRITICAL
    assert document["summary"] == {"refused": 2, "unknown": 0, "doubtful": 0, "good": 1}
    assert [row["line"] for row in document["recipients"]] == [2, 3]
    assert document["recipients"][1]["address"] == "jörg@gone.example"
    first, second = document["recipients"][1]["remarks"]
    assert first["says"].startswith("is in gone.example")
    assert "SMTPUTF8" in second["fix"]
    assert json.loads((await told(as_json=True))[1])["recipients"] == []


@given(st.lists(st.text(st.characters(), max_size=60), max_size=5))
def test_nothing_raw_is_ever_shown(lines: list[str]) -> None:
    for as_json in (False, True):
        _, text = asyncio.run(told(*lines, as_json=as_json))
        assert all(char.isprintable() or char == "\n" for char in text)
        if not as_json:
            assert text.count("\n") <= len(lines) + 1


@given(st.lists(st.binary(max_size=40)))
def test_lines_are_the_same_however_they_arrive(chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    lines = Lines()
    came = [line for chunk in chunks for line in lines.feed(chunk)]
    came += lines.end()
    expected = whole.split(b"\n")
    expected = expected if expected[-1] else expected[:-1]
    assert [line.encode("utf-8", "surrogateescape") for line in came] == [e.removesuffix(b"\r") for e in expected]


def test_a_line_without_end_is_cut_and_told_once() -> None:
    lines = Lines()
    came = [line for _ in range(100) for line in lines.feed(b"a" * 65536)]
    assert came == []
    came = [*lines.feed(b"\nuser@example.com\n"), *lines.end()]
    assert [len(came[0]), came[1:]] == [recipients.LONGEST_LINE, ["user@example.com"]]


async def test_files_and_pipes_are_read_as_they_come(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_bytes(b"\n".join(b"u%d@good.example" % n for n in range(20_000)))
    with path.open("rb", buffering=0) as file:
        assert len([line async for line in lines_of(file.fileno())]) == 20_000
    out, into = os.pipe()
    try:
        lines = lines_of(out)
        os.write(into, b"first@good.example\nsec")
        assert await anext(lines) == "first@good.example"
        following = asyncio.ensure_future(anext(lines))
        await asyncio.sleep(0)
        assert not following.done(), "nothing has come yet, and nothing else is held up"
        os.write(into, b"ond@good.example\nlast")
        assert await following == "second@good.example"
        os.close(into)
        assert [line async for line in lines] == ["last"]
    finally:
        os.close(out)
