"""Acknowledge, withdraw, check again: what they do, and all that must not get through."""

from __future__ import annotations

import html
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exporter.check_state import CheckState, FindingPolicy
from exporter.engine.acknowledged import Acknowledgements
from exporter.engine.acknowledgement import Acknowledgement
from exporter.engine.actions import BUDGET, DNS_APART, TARGET_APART, VISITS_APART, Actions
from exporter.engine.departures import KEPT, Departures
from exporter.engine.families import ACCEPTED_UNTIL, FINDING
from exporter.engine.schedule import Job, Schedule
from exporter.engine.state_copy import ACKNOWLEDGED
from exporter.engine.state_file import StateFile
from exporter.engine.store import Store
from exporter.model import Acceptance
from exporter.targets import MailHost
from exporter.views.public import PublicAddress
from exporter.views.security import WebSecurity
from tests.engine.test_state_file import CATALOGUE as SHIPPED
from tests.support.acting import CATALOGUE, NOW, Acting, visit
from tests.support.checks import BROKEN, EXAMPLE, LISTED, ODD, SAMPLE
from tests.support.clock import FakeClock
from tests.support.guarded import basic, hashed

DAY = 86400.0
KEY = (SAMPLE.id, EXAMPLE.key)


@pytest.fixture
async def site() -> AsyncIterator[Acting]:
    it = Acting()
    it.look(EXAMPLE, BROKEN(what="it"), ODD(what="it"))
    await it.web.start([("127.0.0.1", 0)])
    yield it
    await it.web.stop()


ACK = {"target": "domain=example.com", "finding": "sample.broken", "until": "2026-06-30", "reason": "TICKET-1"}


async def test_an_acknowledged_finding_counts_as_accepted_until_its_day_is_over(site: Acting) -> None:
    status, body, _ = await site.post("acknowledge", ACK)
    assert status == 200
    assert body == "sample.broken of domain=example.com is acknowledged until 2026-07-01 00:00 UTC\n"
    assert 'finding="sample.broken"' not in site.series(FINDING)
    assert 'finding="sample.odd"' in site.series(FINDING), "the other one still counts"
    assert site.series(ACCEPTED_UNTIL).endswith(" 1782864000\n")
    assert site.store[KEY].verdict(FindingPolicy(), site.clock.wall()) == "fail"
    site.clock.pass_(1_782_864_000 - site.clock.wall())
    await site.get("/metrics")
    assert 'finding="sample.broken"' in site.series(FINDING), "it counts again"
    assert site.actions.done == {"acknowledge": 1, "withdraw": 0, "recheck": 0}


async def test_a_browser_is_sent_back_to_the_page_which_says_what_was_done(site: Acting) -> None:
    headers = {"Accept": "text/html", "Origin": site.web.addresses[0], "Sec-Fetch-Site": "same-origin"}
    status, _, answer = await site.send("acknowledge", headers, ACK | {"reason": '<b>"it\'s" fine</b>'})
    assert (status, answer["Location"]) == (303, "/targets/domain=example.com")
    _, body, _ = await site.get("/targets/domain=example.com")
    assert "sample.broken is acknowledged." in body
    assert "&lt;b&gt;&#34;it&#39;s&#34; fine&lt;/b&gt;" in body
    assert "<b>" not in body
    status, _, _ = await site.send("withdraw", headers, {name: ACK[name] for name in ("target", "finding")})
    assert status == 303
    assert 'finding="sample.broken"' in site.series(FINDING)
    site.clock.pass_(200.0)
    _, body, _ = await site.get("/targets/domain=example.com")
    assert "acknowledged any more" not in body, "the notice has gone"


async def test_a_refusal_is_a_page_for_a_browser_and_one_line_for_a_program(site: Acting) -> None:
    """Whatever the refusal: the status and its headers are the same."""
    ours = {"Origin": site.web.addresses[0], "Sec-Fetch-Site": "same-origin"}
    recheck = {"target": ACK["target"]}
    cases: list[tuple[str, dict[str, str], dict[str, str], int]] = [
        ("acknowledge", {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, ACK, 403),
        ("acknowledge", ours, ACK | {"finding": "<script>"}, 404),
        ("acknowledge", ours, ACK | {"reason": " "}, 409),
        ("acknowledge", ours, ACK | {"until": "soon"}, 400),
        ("recheck", ours, recheck, 429),
    ]
    assert (await site.post("recheck", recheck))[0] == 200
    for action, headers, form, wanted in cases:
        status, body, plain = await site.send(action, headers, form)
        assert (status, plain.get("Content-Type")) == (wanted, "text/plain; charset=utf-8")
        assert len(body.splitlines()) == 1
        status, page, shown = await site.send(action, {**headers, "Accept": "text/html,*/*;q=0.8"}, form)
        assert (status, shown.get("Content-Type")) == (wanted, "text/html; charset=utf-8")
        assert '<nav aria-label="Main">' in page
        assert "<script" not in page
        assert ('<a href="/targets/domain=example.com">' in page) == (wanted != 403), "another origin names nothing"
        why = html.unescape(body.strip())
        assert f"{why[:1].upper()}{why[1:20]}" in html.unescape(page)
        assert ("Retry-After" in shown) == (wanted == 429) == ("Retry-After" in plain)


async def test_each_action_is_logged_and_its_line_is_one(site: Acting, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "exporter"):
        await site.post("acknowledge", ACK)
        await site.post("recheck", {"target": "example.com"})
        await site.post("withdraw", {"target": "example.com", "finding": "sample.broken"})
    told = [(it.getMessage(), it.__dict__["fields"]["target"]) for it in caplog.records if hasattr(it, "fields")]
    whole = ["finding acknowledged", "check again asked for", "acknowledgement withdrawn"]
    assert told == [(text, "domain=example.com") for text in whole]


@pytest.mark.parametrize("action", ["acknowledge", "withdraw", "recheck"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_only_post_acts(site: Acting, action: str, method: str) -> None:
    status, _, headers = await site.send(action, {}, b"", method)
    assert (status, headers["Allow"]) == (405, "POST")


async def test_without_the_flag_nobody_acts_and_no_page_offers_it() -> None:
    it = Acting(on=False)
    it.look(EXAMPLE, BROKEN(what="it"))
    await it.web.start([("127.0.0.1", 0)])
    try:
        for action in ("acknowledge", "withdraw", "recheck"):
            status, body, _ = await it.post(action, ACK)
            assert status == 403
            assert "--web.enable-actions" in body
        assert "<form class" not in (await it.get("/targets/domain=example.com"))[1]
        assert list(it.actions.acknowledged) == []
    finally:
        await it.web.stop()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://rebound.example:80", "Host": "rebound.example:80", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "file://"},
    ],
)
async def test_pages_of_others_cannot_act(site: Acting, headers: dict[str, str]) -> None:
    for action in ("acknowledge", "withdraw", "recheck"):
        status, _, _ = await site.send(action, dict(headers), ACK)
        assert status == 403
    assert list(site.actions.acknowledged) == []


async def test_the_external_url_may_act_and_links_keep_its_path() -> None:
    it = Acting(public=PublicAddress.of("https://monitoring.example.com/mail", ""))
    it.look(EXAMPLE, BROKEN(what="it"))
    await it.web.start([("127.0.0.1", 0)])
    try:
        ours = {"Origin": "https://monitoring.example.com", "Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
        status, _, headers = await it.send("acknowledge", ours, ACK)
        assert (status, headers["Location"]) == (303, "/mail/targets/domain=example.com")
        assert 'action="/mail/-/withdraw"' in (await it.get("/targets/domain=example.com"))[1]
    finally:
        await it.web.stop()


async def test_our_own_pages_let_a_browser_say_where_they_come_from(site: Acting) -> None:
    """With `no-referrer`, it would send `Origin: null` with the forms (Fetch standard, section 3.2.5)."""
    _, _, headers = await site.get("/targets/domain=example.com")
    assert headers["Referrer-Policy"] == "same-origin"
    assert "form-action 'self'" in headers["Content-Security-Policy"]


GOOD = b"target=example.com&finding=sample.broken&until=3d&reason=x"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"target=example.com", 400),
        (GOOD + b"&reason=y", 400),
        (GOOD + b"&admin=1", 400),
        (GOOD + b"&" + b"&".join(b"a%d=1" % n for n in range(50)), 400),
        (GOOD.replace(b"x", b"%FF"), 400),
        (GOOD.replace(b"=x", b"=\xff"), 400),
        (b'{"target": "example.com"}', 400),
        (GOOD.replace(b"=x", b"=" + b"x" * 5000), 413),
        (GOOD.replace(b"=x", b"=" + b"x" * 201), 409),
        (GOOD.replace(b"=x", b"=+++"), 409),
        (GOOD.replace(b"=x", b"="), 409),
        (GOOD.replace(b"=x", b"=a%00b"), 409),
        (GOOD.replace(b"=x", b"=a%0Amsg%3Dforged"), 409),
        (GOOD.replace(b"=x", b"=%E2%80%AEevil"), 409),
        (GOOD.replace(b"=x", b"=%ED%A0%80"), 400),
        (GOOD.replace(b"3d", b"2026-05-01"), 409),
        (GOOD.replace(b"3d", b"2099-01-01"), 409),
        (GOOD.replace(b"3d", b"9999-12-31"), 409),
        (GOOD.replace(b"3d", b"2026-02-31"), 400),
        (GOOD.replace(b"3d", b"NaN"), 400),
        (GOOD.replace(b"3d", b"inf"), 400),
        (GOOD.replace(b"3d", b"-3d"), 400),
        (GOOD.replace(b"3d", b"9999999d"), 400),
        (GOOD.replace(b"3d", b"1e9"), 400),
        (GOOD.replace(b"sample.broken", b"no.such"), 404),
        (GOOD.replace(b"sample.broken", b"sample.listed"), 404),
        (GOOD.replace(b"example.com", b"other.example"), 404),
        (GOOD.replace(b"example.com", b""), 404),
        (GOOD.replace(b"example.com", b"domain%3D"), 404),
        (GOOD.replace(b"example.com", b"a" * 700), 404),
        (GOOD.replace(b"example.com", b"..%2F..%2F%3Cscript%3E"), 404),
    ],
)  # fmt: skip
async def test_a_form_is_exactly_what_it_should_be(site: Acting, body: bytes, status: int) -> None:
    answered, text, headers = await site.post("acknowledge", body)
    assert (answered, headers["Content-Type"]) == (status, "text/plain; charset=utf-8")
    assert len(text) < 300
    assert text.count("\n") == 1
    assert list(site.actions.acknowledged) == []
    answered, _, _ = await site.post("acknowledge", GOOD)
    assert answered == 200


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=x", "application/json", ""])
async def test_another_kind_of_body_is_refused(site: Acting, kind: str) -> None:
    status, _, _ = await site.send("acknowledge", {"Content-Type": kind}, GOOD)
    assert status == 415


async def test_the_configuration_wins_and_what_it_drops_comes_back(site: Acting) -> None:
    await site.post("acknowledge", ACK)
    configured = Acceptance(finding="sample.broken", until=NOW - 1, reason="it was accepted till yesterday")
    site.store.hold(SAMPLE, site.actions.applied(replace(EXAMPLE, accept=(configured,))))  # as a reload does
    site.exposition.put(site.store[KEY])
    assert site.store[KEY].target.accept == (configured,)
    assert 'finding="sample.broken"' in site.series(FINDING), "an expired entry wins as well"
    status, body, _ = await site.post("acknowledge", ACK)
    assert status == 409
    assert "the configuration has an accept entry" in body
    site.store.hold(SAMPLE, site.actions.applied(EXAMPLE))
    assert [it.reason for it in site.store[KEY].target.accept] == ["TICKET-1"]


async def test_without_the_flag_what_was_acknowledged_before_does_not_count() -> None:
    it = Actions(Store(), Schedule(Acting()._run, clock := FakeClock()), CATALOGUE, clock, print, enabled=False)
    it.acknowledged.give(EXAMPLE.key, BROKEN.id, clock.wall() + DAY, "x", "")
    assert it.applied(EXAMPLE) is EXAMPLE


async def test_a_mail_host_is_named_as_everywhere(site: Acting) -> None:
    host = MailHost(host="mx.example.com", port=25)
    site.store.hold(SAMPLE, host)
    site.schedule.add(Job(SAMPLE, host, 900.0))
    for named, expected in {
        "MX.example.com:25": 200,
        "mx.example.com:26": 404,
        "2001:db8::25": 404,
        "a,b:1": 404,
    }.items():
        assert (await site.post("recheck", {"target": named}))[0] == expected, named


async def test_a_target_has_many_names_and_all_that_fit_are_meant(site: Acting) -> None:
    for number in range(3):
        site.look(replace(EXAMPLE, name=f"n{number}.example"), LISTED(blocklist="a"))
    for named, expected in {
        "EXAMPLE.com": 200,
        "domain=example.com": 200,
        "domain=n1.example": 404,
        "example": 404,
    }.items():
        assert (await site.post("acknowledge", ACK | {"target": named}))[0] == expected, named


def test_their_number_has_a_bound_and_the_expired_make_room() -> None:
    clock = FakeClock()
    it = Acknowledgements(clock, most=3)
    for number in range(3):
        assert not it.full
        it.give(f"domain=n{number}", BROKEN.id, clock.wall() + 10 * (number + 1), "x", "me\x00" + "x" * 99)
    full = it.full
    assert full
    assert {ack.by[:8] for ack in it} == {"me\\u{0}x"}
    assert {len(ack.by) for ack in it} == {64}
    clock.pass_(15)
    assert not it.full
    assert [ack.target for ack in it] == ["domain=n1", "domain=n2"]


async def test_a_flood_is_told_to_come_again(site: Acting) -> None:
    for _ in range(BUDGET):
        site.actions._pay(1)
    for action in ("acknowledge", "recheck"):
        status, _, headers = await site.post(action, ACK if action == "acknowledge" else {"target": "example.com"})
        assert (status, headers["Retry-After"]) == (429, "1")
    site.clock.pass_(1.0)
    assert (await site.post("acknowledge", ACK))[0] == 200


async def test_what_is_acknowledged_outlives_a_restart_and_its_target_for_a_week(tmp_path: Path) -> None:
    clock = FakeClock()
    before = Acknowledgements(clock)
    before.open(file := await StateFile.open(tmp_path / "state", SHIPPED))
    given = before.give(EXAMPLE.key, BROKEN.id, clock.wall() + 300 * DAY, "why", "me")
    before.give(EXAMPLE.key, ODD.id, clock.wall() + 300 * DAY, "why", "")
    before.withdraw(EXAMPLE.key, ODD.id)
    await file.close()
    after = Acknowledgements(clock)
    after.open(file := await StateFile.open(tmp_path / "state", SHIPPED))
    assert list(after) == [given]
    departures = Departures(clock, noted=lambda key: after.knows(key[1]))

    def settle(*present: str) -> list[Acknowledgement]:
        departures.settle(set())
        after.settle({target for _, target in departures}.union(present))
        return list(after)

    departures.leave(state := CheckState(SAMPLE, EXAMPLE))
    assert settle() == [given]
    clock.pass_(KEPT + 1)
    assert settle(EXAMPLE.key) == [given], "it came back"
    departures.leave(state)
    clock.pass_(KEPT - 1)
    assert settle() == [given]
    clock.pass_(2)
    assert settle() == []
    await file.close()
    file = await StateFile.open(tmp_path / "state", SHIPPED)
    assert file.entries(ACKNOWLEDGED) == {}
    await file.close()


@pytest.mark.parametrize("change", [{"until": 1e11}, {"reason": "x" * 201}, {"by": "x" * 99}, {"target": "another"}])
async def test_a_row_that_nobody_can_have_written_is_lost_alone(tmp_path: Path, change: dict[str, Any]) -> None:
    good = Acknowledgement(EXAMPLE.key, BROKEN.id, NOW + DAY, "why", "me", NOW)
    file = await StateFile.open(tmp_path / "state", SHIPPED)
    file.note(ACKNOWLEDGED, good.name, good)
    file.note(ACKNOWLEDGED, "sample.odd domain=example.com", replace(good, finding="sample.odd", **change))
    file.save_blocklists({"at": 1.0})
    await file.close()
    file = await StateFile.open(tmp_path / "state", SHIPPED)
    assert file.entries(ACKNOWLEDGED) == {good.name: good}
    assert file.recall_blocklists() == {"at": 1.0}
    await file.close()


async def test_check_again_keeps_manners_and_says_when(site: Acting) -> None:
    site.look(EXAMPLE, runs=visit)
    site.clock.pass_(60.0)
    status, body, _ = await site.post("recheck", {"target": "example.com"})
    assert status == 200
    assert body.splitlines() == [
        "sample of domain=example.com runs in 1 s",
        f"visit of domain=example.com runs in {VISITS_APART - 60 + 1:.0f} s",
    ]
    assert site.actions.wants_fresh(KEY), "that run looks past our own cache"
    _, page, _ = await site.get("/targets/domain=example.com")
    assert "It is checked again: sample in 1 s, visit in 241 s." in page


async def test_check_again_never_adds_a_run(site: Acting) -> None:
    assert (await site.post("recheck", {"target": "example.com", "check": "sample"}))[0] == 200
    status, _, headers = await site.post("recheck", {"target": "example.com"})
    assert (status, headers["Retry-After"]) == (429, f"{TARGET_APART:.0f}")
    site.clock.pass_(TARGET_APART)
    assert (await site.post("recheck", {"target": "example.com"}))[0] == 200
    assert site.ran == []
    site.clock.pass_(DNS_APART)
    for _ in range(3):
        site.schedule.tick("sample")
        await site.get("/-/ready")
    assert site.ran == [KEY]
    for what in (
        {"target": "example.com", "check": "no"},
        {"target": "example.com", "check": "visit"},
        {"target": "x"},
    ):
        assert (await site.post("recheck", what))[0] == 404


async def test_who_did_it_is_the_login(tmp_path: Path) -> None:
    """Somebody without one does nothing."""
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{alice: {hashed('alice123')}}}\n")
    site = Acting(security=WebSecurity(FakeClock(), tmp_path / "web.yml"))
    site.look(EXAMPLE, BROKEN(what="it"))
    await site.web.start([("127.0.0.1", 0)])
    try:
        assert (await site.send("acknowledge", {}, GOOD))[0] == 401
        assert (await site.send("acknowledge", basic("alice", "wrong"), GOOD))[0] == 401
        assert list(site.actions.acknowledged) == []
        assert (await site.send("acknowledge", basic("alice", "alice123"), GOOD))[0] == 200
        assert [ack.by for ack in site.actions.acknowledged] == ["alice"]
        assert "(alice, " in (await site.get("/targets/domain=example.com", **basic("alice", "alice123")))[1]
    finally:
        await site.web.stop()
