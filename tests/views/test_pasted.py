"""A rejection is pasted as it is: many lines, by POST, bounded; it is in no URL and in no log."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import pytest

from exporter.views.connection import BODY
from exporter.views.pasted import pasted
from tests.support.guarded import basic, guarded, hashed
from tests.views.test_web import Site, served

FORM = "application/x-www-form-urlencoded"
BOUNCE = """\
Final-Recipient: rfc822; anna@recipient.example
Diagnostic-Code: smtp; 550 5.7.606 Access denied,
    banned sending IP [192.0.2.10] <tag> & "more"
"""


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async for it in served(Site()):
        yield it


async def post(
    site: Site, body: str | bytes | AsyncIterator[bytes], kind: str = FORM
) -> tuple[int, str, dict[str, str]]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{site.web.addresses[0]}/findings", data=body, headers={"Content-Type": kind}) as answer,
    ):
        assert str(answer.url).endswith("/findings")
        return answer.status, await answer.text(), dict(answer.headers)


async def test_a_bounce_of_several_lines_is_explained_and_leaves_no_trace(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    status, page, headers = await post(site, urlencode({"q": BOUNCE}))
    assert status == 200
    assert "https://sender.office.com/" in page
    assert headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "rfc822; anna@recipient.example\nDiagnostic-Code" in page.partition("</textarea>")[0], "with its lines"
    assert "&lt;tag&gt; &amp; &#34;more&#34;" in page
    assert "anna@recipient.example" not in page.partition("</textarea>")[2], "only what was pasted shows it"
    assert "recipient.example" not in " ".join(record.getMessage() for record in caplog.records)


async def test_the_form_of_the_page_makes_no_url(site: Site) -> None:
    _, page, _ = await site.get("/findings")
    form = re.search(r'<form class="paste"[^>]*>.*?</form>', page, re.DOTALL)
    assert form
    assert 'method="post"' in form[0]
    assert 'action="/findings"' in form[0]
    assert re.search(r'<textarea id="rejection" name="q"', form[0])


async def test_a_link_with_a_code_still_works(site: Site) -> None:
    assert "https://sender.office.com/" in (await site.get("/findings?q=550+5.7.606+Access+denied"))[1]


async def test_plain_text_is_explained_too(site: Site) -> None:
    status, page, _ = await post(site, BOUNCE.encode(), "text/plain; charset=utf-8")
    assert (status, "https://sender.office.com/" in page) == (200, True)


async def test_nothing_pasted_shows_all_findings(site: Site) -> None:
    assert "sample.broken" in (await post(site, "q="))[1]
    assert "sample.broken" in (await post(site, ""))[1]


async def pieces() -> AsyncIterator[bytes]:
    for _ in range(BODY // 1000 + 2):
        yield b"a" * 1000


async def test_more_than_64_kib_is_refused_clearly(site: Site) -> None:
    """Whether its length is announced or not."""
    for body in (b"q=" + b"a" * BODY, pieces()):
        status, told, _ = await post(site, body)
        assert (status, told) == (413, "the text is longer than 64 KiB; paste only the part with the rejection\n")
    assert (await post(site, b"q=" + b"a" * (BODY - 2)))[0] == 200


@pytest.mark.parametrize(
    ("kind", "body", "told"),
    [
        (
            "application/json",
            b'{"q": "550"}',
            "send the rejection as application/x-www-form-urlencoded or as text/plain",
        ),
        (FORM, b"q=1" + b"&a=1" * 1000, "send one field: q=TEXT"),
    ],
)
async def test_another_body_is_refused_with_what_to_send(site: Site, kind: str, body: bytes, told: str) -> None:
    assert (await post(site, body, kind))[:2] == (400, f"{told}\n")


def test_letters_that_are_none_are_replaced() -> None:
    assert pasted(b"q=\xff%ff", FORM) == "\ufffd\ufffd"


async def test_the_form_is_behind_the_password_as_well(tmp_path: Path) -> None:
    async with guarded(tmp_path / "web.yml", f"basic_auth_users: {{alice: {hashed('alice123')}}}\n") as it:
        assert (await it.get("/findings", "POST")).status == 401
        assert (await it.get("/findings", "POST", None, **basic("alice", "alice123"))).status == 400
