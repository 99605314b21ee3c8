"""The dashboard of one sending address: its names, its HELO, its listings, and the health of the blocklists."""

from __future__ import annotations

from exporter.engine.catalogue import Catalogue
from exporter.engine.families import DOMAIN_SENDER, FINDING, OWN_PREFIX, REASON, SENDER
from exporter.publish.grafana.board import Board, choice, row
from exporter.publish.grafana.links import TOLD, Links
from exporter.publish.grafana.panels import (
    ANY_IS_BAD,
    BAD,
    GOOD,
    NOTICE,
    PLAIN,
    STATES,
    Column,
    Json,
    lights,
    series,
    stat,
    table,
)
from exporter.publish.grafana.parts import FEW, STATE, findings, listed, listings, numbers, untold
from exporter.publish.grafana.queries import CRITICAL, ENDED, EXPORTER, HERE, WARNING, among, led, led_among, of, state
from exporter.publish.promql import looking_at
from exporter.publish.thresholds import Thresholds
from exporter.targets import ListHealth

# Findings of other targets can name an address too: those of a domain's SPF, and of a mail host.
THIS = 'ip="$ip",domain="",mail_port=""'
ADDRESS = 'ip="$ip"'
OF_IT = among(THIS)
BUDGET = OWN_PREFIX + "blocklist_budget_remaining_ratio"


def ip(known: Catalogue, given: Thresholds) -> Board:
    links = Links(known, given)
    return Board(
        "ip",
        "Deliverability / Sender address",
        "Whether receivers trust this address, and whether the blocklists are healthy.",
        variables=[choice("ip", "Address", f"label_values({SENDER}{{{HERE}}}, ip)")],
        panels=[
            (4, [(12, _lights()), *_facts()]),
            (4, [*numbers(OF_IT, THIS), (12, _trend())]),
            (7, [(24, findings("Wrong now", "A title leads to the meaning and fix.", OF_IT, links))]),
            (8, [(8, _greetings(links)), (8, _domains(links)), (8, untold(links, OF_IT, FEW))]),
            row("Blocklists, for every address and domain"),
            (10, [(12, _lists(known, links)), (12, listings(known, links))]),
            (7, [(24, _budgets())]),
        ],
        since="now-7d",
    )


def _lights() -> Json:
    return lights(
        "Checks",
        "A light for each check of this address and of what is said from it. The worst first.",
        f"sort_desc({state('check', OF_IT)})",
        "{{check}}",
    )


def _facts() -> list[tuple[int, Json]]:
    return [
        (
            4,
            stat(
                "Listed on",
                "Blocklists that list it, not counting those of severity info.",
                f"max({of('deliverability_blocklist_listings', THIS)})",
                steps=ANY_IS_BAD,
            ),
        ),
        (
            4,
            stat(
                "Lists checked",
                "Lists that the result uses. Lists that do not answer or fail their self-test are not included.",
                f"min({of('deliverability_blocklist_checked', THIS)})",
                steps=((None, NOTICE), (1, "text")),
            ),
        ),
        (
            4,
            stat(
                "PTR names",
                "One is right: receivers look at the first, and which that is changes.",
                f"max({of('deliverability_ptr_names', THIS)})",
                steps=((None, BAD), (1, GOOD), (2, NOTICE)),
            ),
        ),
    ]


def _greetings(links: Links) -> Json:
    labels = {
        "sender": Column("Sender"),
        "helo": Column("HELO name", links=(links.page("ip=$ip"),)),
        "instance": TOLD["instance"],
    }
    here = led(of(SENDER, ADDRESS))
    said = state(f"sender, {EXPORTER}", among('ip="$ip",sender!="",domain=""'))
    return table(
        "What it says in HELO",
        "The state is that of the name, and of the answers of probed receivers.",
        labels,
        {"state": (f"max by ({', '.join(labels)}) ({here} * on (sender, {EXPORTER}) group_left () ({said}))", STATE)},
        sort=[("State", True)],
    )


def _trend() -> Json:
    return series(
        "Listings",
        "Number of lists with a listing, of all healthy lists that answer.",
        (f"max({of('deliverability_blocklist_checked', THIS)})", "lists checked"),
        (f"max({of('deliverability_blocklist_listings', THIS)})", "listed on"),
        decimals=0,
        colors={"listed on": BAD, "lists checked": GOOD},
    )


def _domains(links: Links) -> Json:
    labels = {
        "domain": Column("Domain", links=(links.board("domain"), links.page("domain=${__data.fields.domain}"))),
        "sender": Column("Sender", width=160),
        "instance": TOLD["instance"],
    }
    hurt = led(f"({of(DOMAIN_SENDER)} and on (sender, {EXPORTER}) {of(SENDER, ADDRESS)})")

    by = f"domain, {EXPORTER}"

    def worst(value: int, metric: str, matchers: str) -> str:
        return f"{value} * max by ({by}) ({of(metric, matchers)} and on ({by}) {hurt})"

    bad = f"{worst(4, FINDING, CRITICAL)} or {worst(3, FINDING, WARNING)}"
    states = f"{bad} or {worst(2, REASON, ENDED)} or 0 * group by ({by}) ({hurt})"
    return table(
        "Domains whose mail it sends",
        "They are hurt when it is refused. The state is that of the domain itself.",
        labels,
        {
            "state": (
                f"max by ({', '.join(labels)}) ({hurt} * on ({by}) group_left () ({states}))",
                Column("State", width=120, texts=STATES | {"0": ("nothing known", PLAIN)}),
            )
        },
        sort=[("State", True)],
    )


def _lists(known: Catalogue, links: Links) -> Json:
    labels = {
        "blocklist": Column("Blocklist", links=(links.page("blocklist=${__data.fields.blocklist}"),)),
        "instance": TOLD["instance"],
    }
    by = ", ".join(labels)
    health = state(by, led_among(looking_at(known, ListHealth)))
    found = f"count by ({by}) ({led(of(FINDING, listed(known)))})"
    left = led(of(BUDGET))
    return table(
        "Blocklists",
        "A list that fails its self-test changes no result: neither its yes nor its no counts.",
        labels,
        {
            "health": (health, Column("Health", width=100, texts=STATES, filled=True)),
            "listed": (f"{found} or 0 * ({health})", Column("Listed", width=80, steps=ANY_IS_BAD)),
            "left": (
                f"min by ({by}) ({left})",
                Column(
                    "Questions left today",
                    width=160,
                    unit="percentunit",
                    decimals=1,
                    steps=((None, BAD), (0.1, NOTICE), (0.3, "text")),
                ),
            ),
        },
        sort=[("Health", True), ("Blocklist", False)],
    )


def _budgets() -> Json:
    return series(
        "Questions left today",
        "Part of the day's questions to each list; at 0 it is asked no more before midnight UTC.",
        (
            f"min by (blocklist) ({of(BUDGET)})",
            "{{blocklist}}",
        ),
        unit="percentunit",
        most=1,
    )
