"""Makes each page as HTML. Work over all verdicts goes in slices, so that the event loop can do other work too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from exporter.check_state import FindingPolicy
from exporter.clock import Clock
from exporter.engine.catalogue import Catalogue
from exporter.engine.problems import Problem, ProblemGroup, groups
from exporter.engine.store import Store
from exporter.explain import diagnosis
from exporter.explain.bounce import LONGEST
from exporter.explain.refusals import Refusals
from exporter.model import Light
from exporter.views.fleet import health, rows
from exporter.views.fleet.lights import OF_ADDRESSES, LightBoard, shown
from exporter.views.fleet.room import Room
from exporter.views.fleet.rows import KindRow, ProblemRow
from exporter.views.fleet.search import ADDRESS_ORDERS, DOMAIN_ORDERS, PROBLEM_ORDERS, Search, severities
from exporter.views.fleet.selection import Paged, Selection
from exporter.views.fleet.summary import Fleet, Level, Summary
from exporter.views.pages import Pages
from exporter.views.receiver_pages import ReceiverPages
from exporter.views.target_pages import PageNotFoundError, TargetPages

PROBLEMS = 25  # rows of one page
DOMAINS = 50
ADDRESSES = 50
FIRST = 12  # problems on the overview, and on the page of an owner
UNKNOWNS = 8
MATCHING = 8  # domains that a search on the overview names
RECORDS = 60_000  # characters to paste, on the page of one problem
BREATH = 1000  # states looked at before the loop may do other work


class OtherPage(Exception):  # noqa: N818 (no error: the page that is wanted has a URL of its own)
    """What was searched for has a page of its own; this is its path."""


class Site:
    """The pages of one daemon. `policy` and `notices` return the current ones. `root` is what links begin with."""

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        clock: Clock,
        policy: Callable[[], FindingPolicy],
        notices: Callable[[], list[str]],
        alive: Callable[[], bool] = lambda: True,
        root: str = "",
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._clock = clock
        self._notices, self._alive = notices, alive
        self._root = root
        self._pages = Pages(root)
        self._refusals = Refusals(catalogue)
        self._summary = Summary(store, clock, policy)
        self.targets = TargetPages(store, self._summary, clock, policy, self._page)
        self.receivers = ReceiverPages(store, self._summary, self._page)

    @property
    def rendering(self) -> int:
        """How many pages are being made."""
        return self._pages.rendering

    async def overview(self, selection: Selection) -> str:
        """What is wrong and what is unknown. Raise OtherPage if the words are the name of a target."""
        self._go_straight(selection)
        fleet = await self._summary.with_fixes()
        search = Search(fleet, selection)
        narrow = selection.narrow
        problems = await search.problems() if narrow else fleet.problems
        unknowns = await search.unknowns() if narrow else fleet.unknowns
        domains = await search.domains() if narrow else fleet.domains
        return await self._page(
            "overview.html",
            selection=selection,
            fleet=fleet,
            health=health.parts(self._store, fleet, alive=self._alive()),
            notices=self._notices(),
            counts=_counts(problems),
            marks=severities(domains),
            found=problems,
            problems=await self._kinds(groups(problems)[:FIRST]),
            unknowns=unknowns[:UNKNOWNS],
            unknown_checks=sum(len(it.states) for it in unknowns),
            more_unknowns=len(unknowns[UNKNOWNS:]),
            matching=domains[:MATCHING] if narrow else [],
            domains=domains,
            hurt=sum(it.problems > 0 for it in fleet.domains),
        )

    async def problems(self, selection: Selection) -> str:
        """All problems that the selection finds; those of severity unknown are checks without a result."""
        fleet = await self._summary.with_fixes()
        search = Search(fleet, selection)
        if selection.severity == Level.UNKNOWN:
            unknowns = Paged.of(await search.unknowns(), selection.page, PROBLEMS)
            return await self._page(
                "problems.html", selection=selection, paged=unknowns, problems=[], unknowns=unknowns.rows,
                orders=PROBLEM_ORDERS, checks=self._catalogue.checks,
            )  # fmt: skip
        paged = Paged.of(await search.problems(), selection.page, PROBLEMS)
        return await self._page(
            "problems.html",
            selection=selection,
            paged=paged,
            problems=await self._rows(paged.rows, alone=bool(selection.problem)),
            unknowns=[],
            orders=PROBLEM_ORDERS,
            checks=self._catalogue.checks,
        )

    async def domains(self, selection: Selection) -> str:
        fleet = await self._summary.current()
        found = await Search(fleet, selection).domains()
        paged = Paged.of(found, selection.page, DOMAINS)
        return await self._page(
            "domains.html",
            selection=selection,
            paged=paged,
            marks=severities(found),
            lights=await self._lights(fleet, [it.name for it in paged.rows]),
            findings=self._findings_of(fleet, [it.name for it in paged.rows]),
            kinds=list(Light),
            orders=DOMAIN_ORDERS,
            checks=self._catalogue.checks,
        )

    async def senders(self, selection: Selection) -> str:
        """Each sending address."""
        fleet = await self._summary.current()
        paged = Paged.of(await Search(fleet, selection).addresses(), selection.page, ADDRESSES)
        board = LightBoard(self._store, fleet)
        return await self._page(
            "senders.html",
            selection=selection,
            paged=paged,
            lights={it.ip: shown(board.of_address(it.ip), OF_ADDRESSES) for it in paged.rows},
            kinds=OF_ADDRESSES,
            orders=ADDRESS_ORDERS,
        )

    async def label(self, name: str, value: str, selection: Selection) -> str:
        """All that one team or owner has: its problems, and its domains."""
        fleet = await self._summary.with_fixes()
        if not await self._has_label((name, value)):
            raise PageNotFoundError(f"no target has the label {name[:100]}={value[:100]}")
        mine = selection.with_label(f"{name}={value}")
        search = Search(fleet, mine.but(page=selection.page))
        problems, domains = await search.problems(), await search.domains()
        paged = Paged.of(domains, selection.page, DOMAINS)
        return await self._page(
            "label.html",
            name=name,
            value=value,
            selection=selection,
            mine=mine,
            paged=paged,
            found=problems,
            counts=_counts(problems),
            marks=severities(domains),
            problems=await self._kinds(groups(problems)[:FIRST]),
            lights=await self._lights(fleet, [it.name for it in paged.rows]),
            findings=self._findings_of(fleet, [it.name for it in paged.rows]),
            kinds=list(Light),
            addresses=len(await search.addresses()),
            orders=DOMAIN_ORDERS,
        )

    async def findings(self, query: str) -> str:
        """All findings there are, or the causes of the refusal in the query."""
        asked = query.strip()[:LONGEST]
        answer = diagnosis.explain(self._refusals.find(asked)) if asked else None
        return await self._page("findings.html", entries=self._catalogue.entries, asked=asked, answer=answer)

    async def finding(self, id_: str) -> str:
        """The runbook of a finding, and where it is active."""
        declared = self._catalogue.rules.get(id_)
        if declared is None:
            raise PageNotFoundError(f"no such finding; {self._root}/findings lists them all")
        fleet = await self._summary.with_fixes()
        selection = Selection(finding=id_)
        problems = await Search(fleet, selection).problems()
        return await self._page(
            "finding.html",
            rule=declared,
            problems=await self._rows(problems[:FIRST]),
            found=problems,
            selection=selection,
        )

    def offer(self, **functions: object) -> None:
        """Let templates call these."""
        self._pages.offer(**functions)

    async def page(self, template: str, **context: object) -> str:
        """A page that another part of the views has filled."""
        return await self._page(template, **context)

    async def style(self) -> str:
        return await self._page("style.css")

    async def nothing(self, why: str, search: str = "") -> str:
        """The page for a URL at which there is none."""
        return await self._page("nothing.html", why=why, selection=Selection(q=search))

    def _go_straight(self, selection: Selection) -> None:
        """To the page of the target whose name was searched for, or is part of a URL or a mail address."""
        if len(selection.words) != 1 or selection != Selection(q=selection.q):
            return
        word = selection.words[0].rpartition("@")[2]
        word = word.partition("://")[2].partition("/")[0] if "://" in word else word
        for label in ("domain", "ip", "mail_host"):
            if self._store.pairs_of(label, word.rstrip(".")):
                raise OtherPage(self._pages.target_page(f"{label}={word.rstrip('.')}"))

    async def _has_label(self, pair: tuple[str, str]) -> bool:
        for count, state in enumerate(list(self._store), 1):
            if pair in state.target.labels:
                return True
            if count % BREATH == 0:
                await asyncio.sleep(0)
        return False

    async def _rows(self, problems: Iterable[Problem], *, alone: bool = False) -> list[ProblemRow]:
        made = []
        for it in problems:
            made.append(rows.row(it, self._store.get, Room(RECORDS) if alone else None, alone=alone))
            await asyncio.sleep(0)
        return made

    async def _kinds(self, kinds: Iterable[ProblemGroup]) -> list[ProblemRow | KindRow]:
        """One row for each; that of a single problem is its own."""
        made: list[ProblemRow | KindRow] = []
        for it in kinds:
            made.append(rows.kind(it, self._store.get) if len(it.problems) > 1 else rows.row(it.first, self._store.get))
            await asyncio.sleep(0)
        return made

    async def _lights(self, fleet: Fleet, domains: Sequence[str]) -> dict[str, list[tuple[Light, Level | None]]]:
        board, made = LightBoard(self._store, fleet), {}
        for name in domains:
            made[name] = shown(board.of_domain(name))
            await asyncio.sleep(0)
        return made

    def _findings_of(self, fleet: Fleet, domains: Sequence[str]) -> dict[str, list[str]]:
        """The ids of the findings that hurt each domain, the worst first."""
        made: dict[str, dict[str, None]] = {name: {} for name in domains}
        wanted = made.keys()
        for problem in fleet.problems:
            hit = problem.domains if len(problem.domains) == 1 else [it for it in wanted if it in problem.domains]
            for name in hit:
                if name in made:
                    made[name][problem.rule.id] = None
        return {name: list(ids) for name, ids in made.items()}

    async def _page(self, template: str, /, **context: object) -> str:
        return await self._pages.render(template, self._clock.wall(), **context)


def _counts(problems: Iterable[Problem]) -> dict[str, int]:
    counts = dict.fromkeys(map(str, Level), 0)
    for it in problems:
        counts[it.severity] += 1
    return counts
