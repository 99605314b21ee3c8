"""What HTTP serves: metrics from memory, honest pages, and nothing that a remote text could abuse."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from exporter.check_state import FindingPolicy
from exporter.engine.catalogue import Catalogue, CatalogueEntry
from exporter.engine.history import History
from exporter.engine.store import Store
from exporter.facts import Reason, Severity
from exporter.targets import Authorisation, OwnResolver
from exporter.views.connection import Limits
from exporter.views.fleet.summary import BREATH
from exporter.views.metrics import Exposition
from exporter.views.own_metrics import OwnHealth
from exporter.views.pages import Pages
from exporter.views.public import PublicAddress
from exporter.views.site import DOMAINS, PROBLEMS
from exporter.views.target_pages import CARDS
from exporter.views.web import USUAL, Reload, Web, WebContext
from tests.support.checks import BROKEN, EXAMPLE, LISTED, NOTE, ODD, SAMPLE, SIZE, outcome
from tests.support.clock import FakeClock

LARGEST = 150_000  # octets of a page
CATALOGUE = Catalogue((CatalogueEntry(SAMPLE, (BROKEN, ODD, NOTE, LISTED), (SIZE,)),))


class Site:
    """A served store; `reload` is what POST /-/reload calls."""

    def __init__(
        self,
        reload: Reload | None = None,
        catalogue: Catalogue = CATALOGUE,
        limits: Limits = USUAL,
        public: PublicAddress | None = None,
    ) -> None:
        self.clock = FakeClock(wall=10_000)
        self.store = Store()
        self.exposition = Exposition(catalogue, self.clock, 1000, OwnHealth)
        self.history = History(self.clock)
        self.alive = True
        self.notices: list[str] = []
        views = WebContext(
            store=self.store,
            exposition=self.exposition,
            catalogue=catalogue,
            clock=self.clock,
            alive=lambda: self.alive,
            notices=lambda: self.notices,
            reload=reload,
            public=public or PublicAddress(),
            history=self.history,
        )
        self.web = Web(views, limits)

    def put(self, *names: str) -> None:
        for name in names:
            self.store.hold(SAMPLE, replace(EXAMPLE, name=name))

    async def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str, Any]:
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(method, self.web.addresses[0] + path, headers=headers, allow_redirects=False) as answer,
        ):
            body = await answer.read()
            if answer.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            return answer.status, body.decode(), answer.headers


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async for it in served(Site()):
        yield it


async def served(it: Site) -> AsyncIterator[Site]:
    await it.web.start([("127.0.0.1", 0)])
    yield it
    await it.web.stop()


async def test_metrics_come_from_memory_compressed_if_wanted(site: Site) -> None:
    site.put("example.com")
    for held in site.store:
        site.exposition.put(held)
    status, body, headers = await site.get("/metrics", **{"Accept-Encoding": "gzip"})
    assert (status, headers["Content-Encoding"]) == (200, "gzip")
    assert 'deliverability_check_unknown{check="sample",domain="example.com"} 1' in body
    _, plain, headers = await site.get("/metrics", **{"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in headers
    assert "deliverability_check_unknown{" in plain


async def test_who_hangs_up_in_a_scrape_leaves_no_trace_in_the_log(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """Prometheus does at every scrape timeout."""
    site.exposition.limit = 10**6
    for n in range(10_000):  # more than the sockets' buffers hold
        site.exposition.relate(
            "deliverability_sender_info", replace(EXAMPLE, name=f"n{n}.example"), ("helo", "x" * 1000)
        )
    address = urlsplit(site.web.addresses[0])
    for octets in (0, 1000) * 10:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readexactly(octets)
        writer.transport.abort()
    status, body, _ = await site.get("/metrics")
    assert (status, body.count("deliverability_sender_info{")) == (200, 10_000)
    await site.web.stop()  # which waits for what is being answered
    assert caplog.records == []


async def test_openmetrics_is_served_to_who_asks_for_it(site: Site) -> None:
    _, body, headers = await site.get("/metrics", Accept="application/openmetrics-text;version=1.0.0")
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert body.endswith("# EOF\n")


async def test_the_overview_tells_what_is_wrong_what_is_unknown_and_what_passes(site: Site) -> None:
    site.put("bad.example", "doubt.example", "good.example")
    site.store.record(outcome(BROKEN(what="the thing"), at=9000, target=replace(EXAMPLE, name="bad.example")))
    doubtful = replace(EXAMPLE, name="doubt.example")
    site.store.record(outcome(doubt=Reason.DNS_TIMEOUT, at=9000, target=doubtful))
    site.store.record(outcome(at=9000, target=replace(EXAMPLE, name="good.example")))
    status, body, _ = await site.get("/")
    assert status == 200
    wrong, _, unknown = body.partition("<h2>Unknown</h2>")
    assert "the thing is broken" in wrong
    assert "Mend the thing." in wrong
    assert "doubt.example" in unknown
    assert "DNS timeout" in unknown
    assert "<b>1</b> critical problem<" in body
    assert "<b>1</b> unknown check<" in body
    assert "<b>1</b> of 3 domains pass<" in body


async def test_a_failure_that_the_latest_run_could_not_confirm_says_so(site: Site) -> None:
    site.put("example.com")
    site.store.record(outcome(BROKEN(what="x"), at=9000))
    site.store.record(outcome(doubt=Reason.DNS_SERVFAIL, at=9500))
    _, body, _ = await site.get("/")
    assert "last run inconclusive (DNS SERVFAIL)" in body


async def test_search_finds_targets_by_part_of_their_name(site: Site) -> None:
    site.put("one.example", "two.example")
    for page in ("/", "/domains"):
        _, body, _ = await site.get(f"{page}?q=TWO")
        assert "two.example" in body
        assert "one.example" not in body


async def test_the_page_of_a_fleet_stays_a_page(site: Site) -> None:
    names = [f"d{i:04}.example" for i in range(DOMAINS * 3)]
    site.put(*names)
    for name in names:
        site.store.record(outcome(BROKEN(what=name), at=9000, target=replace(EXAMPLE, name=name)))
    _, body, _ = await site.get("/")
    assert body.count('<li class="problem ') == 1, "they are of one kind"
    assert f'<a href="/problems">All {DOMAINS * 3} problems</a>' in body
    _, body, _ = await site.get("/problems?page=2")
    assert body.count('<li class="problem ') == PROBLEMS
    assert f"{PROBLEMS + 1}–{PROBLEMS * 2} of {DOMAINS * 3} problems" in body
    _, body, _ = await site.get("/domains?page=99&sort=name")
    assert re.findall(r'<th scope="row"><a href="/targets/domain=([^"]*)"', body) == names[-DOMAINS:]


async def test_what_many_targets_share_is_still_a_page_and_the_worst_of_it(site: Site) -> None:
    """A sender may send for ten thousand domains, and has a page by its name alone."""
    names = [f"d{i}.example" for i in range(CARDS + 5)]
    domains = [Authorisation(domain=name, sender="mail-out", mail_from=(name,)) for name in names]
    for domain in domains:
        site.store.hold(SAMPLE, domain)
        site.store.record(outcome(at=9000, target=domain))
    site.store.record(outcome(BROKEN(what="the last"), at=9500, target=domains[-1]))
    status, body, _ = await site.get("/targets/sender=mail-out")
    assert status == 200
    assert body.count('class="card ') == CARDS
    assert "the last is broken" in body
    assert f"1–{CARDS} of {CARDS + 5} checks" in body
    assert (await site.get("/targets/sender=mail-out?page=2"))[1].count('class="card ') == 5


async def test_a_page_of_a_fleet_leaves_the_loop_to_others(site: Site) -> None:
    """Scrapes and answers go on: nothing is done for all verdicts in one go."""
    for number in range(BREATH * 4):
        site.put(f"d{number}.example")
        site.store.record(outcome(BROKEN(what="it"), at=9000, target=replace(EXAMPLE, name=f"d{number}.example")))
    most = seen = 0

    class Counted(dict[str, Severity]):
        """What the policy says of a finding. It is asked about each."""

        def get(self, *about: Any) -> Any:
            nonlocal seen
            seen += 1
            return super().get(*about)

    async def beside() -> None:
        nonlocal most, seen
        while True:
            most, seen = max(most, seen), 0
            await asyncio.sleep(0)

    site.exposition.policy = FindingPolicy(Counted())
    watch = asyncio.create_task(beside())
    for page in ("/", "/problems", "/domains", "/targets/domain=d1.example", "/findings/sample.broken"):
        await site.get(page)
    watch.cancel()
    assert 0 < most <= BREATH * 2 + 50, "each is asked about twice"


async def test_a_long_page_is_written_in_slices() -> None:
    turns = 0

    async def beside() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    watch = asyncio.create_task(beside())
    entries = CATALOGUE.entries * 1000
    page = await Pages().render("findings.html", 10_000, entries=entries, asked="", answer=None)
    watch.cancel()
    assert page.count("sample.broken</a>") == 1000
    assert turns > 10


async def test_one_target_with_very_many_findings_makes_no_long_table(site: Site) -> None:
    """A sender may have ten thousand addresses that a domain does not authorise."""
    site.put("example.com")
    many = [LISTED(blocklist=f"it{number}") for number in range(5000)]
    site.store.record(outcome(*many, at=9000))
    for page in ("/", "/problems", "/targets/domain=example.com", "/findings/sample.listed"):
        _, body, _ = await site.get(page)
        assert len(body) < LARGEST
    assert "On it0, it1, it2, it3, it4 and 4995 more" in body


async def test_a_target_page_shows_findings_fix_and_evidence(site: Site) -> None:
    site.put("example.com")
    site.store.record(outcome(BROKEN(what="it"), SIZE(3), doubt=None, at=9000))
    status, body, _ = await site.get("/targets/domain=example.com")
    assert status == 200
    for told in ("it is broken", "Mend it.", "Sample size", "Is it so?"):
        assert told in body
    assert (await site.get("/targets/domain=other.example"))[0] == 404


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("domain=a.example", 2),
        ("domain=a.example,sender=out", 1),
        ("sender=out,domain=a.example", 1),
        ("sender=out,sender=out", 1),
        ("resolver", 1),
        ("domain", 0),
        ("domain=", 0),
        ("a.example", 0),
        ("domain=a.example,", 0),
        ("domain=a.example,sender=other", 0),
        (",", 0),
        ("=", 0),
    ],
)
async def test_a_path_names_labels_and_shows_every_target_that_has_them_all(site: Site, path: str, shown: int) -> None:
    domain = Authorisation(domain="a.example", sender="out", mail_from=("a.example",))
    for target in (replace(EXAMPLE, name="a.example"), domain, OwnResolver()):
        site.store.hold(SAMPLE, target)
    status, body, _ = await site.get(f"/targets/{path}")
    assert status == (200 if shown else 404)
    assert body.count('class="card ') == shown


async def test_every_finding_has_a_runbook(site: Site) -> None:
    for rule in CATALOGUE.rules.values():
        status, body, _ = await site.get(f"/findings/{rule.id}")
        assert status == 200
        assert rule.ref in body
    assert (await site.get("/findings/no.such"))[0] == 404
    assert "sample.broken" in (await site.get("/findings"))[1]


async def test_findings_are_searched_by_what_receivers_say(site: Site) -> None:
    status, body, _ = await site.get("/findings?q=550 5.7.606 Access denied, banned sending IP")
    assert status == 200
    assert "Office 365: 550 5.7.606 Access denied, banned sending IP" in body
    assert "https://sender.office.com/" in body
    assert "RFC 3463" in body
    _, body, _ = await site.get("/findings?q=<script>zzz")
    assert "No match." in body
    assert "<script" not in body
    assert ">&lt;script&gt;zzz</textarea>" in body
    assert "sample.broken" in (await site.get("/findings?q=+"))[1], "an empty search shows everything"
    assert (await site.get(f"/findings?q={'550 5.7.1 ' * 700}"))[0] == 200


async def test_remote_text_is_shown_and_never_obeyed(site: Site) -> None:
    site.put("example.com")
    site.store.record(outcome(BROKEN(what="<script>alert(1)</script>"), at=9000))
    for path in ("/", "/targets/domain=example.com", "/findings/sample.broken"):
        _, body, headers = await site.get(path)
        assert "<script" not in body
        assert "&lt;script&gt;" in body
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
    _, body, _ = await site.get("/?q=<script>")
    assert "<script" not in body


async def test_healthy_fails_only_when_the_schedule_has_stopped_and_ready_means_serving(site: Site) -> None:
    assert (await site.get("/-/healthy"))[0] == 200
    assert (await site.get("/-/ready"))[0] == 200
    assert (await site.get("/-/healthy", method="HEAD"))[0] == 200
    site.alive = False
    assert (await site.get("/-/healthy"))[0] == 503
    assert (await site.get("/-/ready"))[0] == 200


async def test_reload_over_http_is_off_unless_enabled(site: Site) -> None:
    assert (await site.get("/-/reload", method="POST"))[0] == 403


@pytest.mark.parametrize(("method", "status"), [("POST", 200), ("PUT", 200), ("GET", 405), ("DELETE", 405)])
async def test_reload_takes_post_and_put_only(method: str, status: int) -> None:
    calls: list[int] = []

    async def reload(*, force: bool = False) -> list[str]:
        calls.append(1)
        return []

    async for site in served(Site(reload)):
        assert (await site.get("/-/reload", method=method))[0] == status
    assert len(calls) == (status == 200)


async def test_a_refused_reload_says_why() -> None:
    async def reload(*, force: bool = False) -> list[str]:
        return ["config.yaml:3 domains[0]: no name"]

    async for site in served(Site(reload)):
        status, body, _ = await site.get("/-/reload", method="POST")
    assert status == 500
    assert "config.yaml:3" in body
    assert "the old configuration stays" in body
