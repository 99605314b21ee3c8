"""Which series there are: few of a domain where all is well, those that the operator wants, and counters from 0 on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from exporter.check_state import CheckState
from exporter.config import Settings, defaults
from exporter.confirmation import ActiveFinding
from exporter.engine import catalogue, families
from exporter.facts import Reason, Record
from exporter.net.dns.resolver import ResolverStats
from exporter.views.http_stats import HttpStats
from exporter.views.metrics import CHANGES_SHOWN, EXPIRIES, Exposition
from exporter.views.own_metrics import OwnFamily, OwnHealth, health, own_lines
from tests.lab.prometheus import check_metrics
from tests.support.checks import BROKEN, EXAMPLE, SAMPLE, outcome
from tests.support.clock import FakeClock
from tests.support.household import Household
from tests.support.simulation import simulate
from tests.worlds.world import HOME, World

CATALOGUE = catalogue.load()
BEFORE = {"domain": 70, "registered name": 5, "address": 16, "mail host": 21, "blocklist": 4}  # this was so
GROWS = {"domain": "domain", "ip": "address", "mail_host": "mail host", "blocklist": "blocklist"}  # by a label
NOW = FakeClock().wall()


def exposed(shown: Exposition) -> str:
    return b"".join(shown.render("")[0]).decode()


def names(text: str) -> Counter[str]:
    return Counter(re.findall(r"^(\w+)(?:\{.*\})? \S+$", text, re.MULTILINE))


def by_what(text: str) -> dict[str, list[str]]:
    """The lines about targets, by what they grow with."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', line))
        ours = families.OWN_PREFIX in line or line.startswith(families.INFO)
        if line.startswith("#") or ours or "kind" in labels or "status" in labels:
            continue
        if "registration" in line and families.INTERVAL not in line:
            found.setdefault("registered name", []).append(line)
        elif what := next((name for label, name in GROWS.items() if label in labels), None):
            found.setdefault(what, []).append(line)
    return found


@pytest.fixture(scope="module")
def of_one_domain() -> str:
    """What is exposed of one domain with one sender, one selector and one MX host, once all has run."""
    world, clock = World("postfix-vps", (HOME / "postfix-vps.zone").read_text()), FakeClock()

    async def story() -> str:
        async with Household(world, clock, "series") as house:
            await house.live(1800)
            assert house.unknown() == set()
            assert house.daemon
            return exposed(house.daemon.exposition)

    return simulate(clock, story())


def test_a_domain_where_all_is_well_has_few_series(
    of_one_domain: str, record_property: Callable[[str, object], None]
) -> None:
    of_what = {what: names("\n".join(told)) for what, told in by_what(of_one_domain).items()}
    (lists,) = Counter(re.findall(r'^deliverability_check_ok\{.*,blocklist="', of_one_domain, re.MULTILINE)).values()
    counted = {what: told.total() // (lists if what == "blocklist" else 1) for what, told in of_what.items()}
    record_property("series", counted)
    record_property("before", BEFORE)
    assert counted == {"domain": 36, "registered name": 3, "address": 10, "mail host": 16, "blocklist": 2}
    told = of_what["domain"]
    assert (told[families.OK], told[families.UNKNOWN]) == (12, 12), "two of each check"
    assert len(told) == 2 + 12, "and one of each measure and relation"


@pytest.mark.lab
def test_promtool_has_no_complaint(of_one_domain: str) -> None:
    check_metrics(of_one_domain)


def shown(settings: Settings, *states: CheckState, clock: FakeClock | None = None) -> Exposition:
    made = Exposition(CATALOGUE, clock or FakeClock(), 1000, OwnHealth)
    made.configure(settings)
    for state in states:
        made.put(state)
    made.totals.release()
    return made


DEFAULTS = defaults(CATALOGUE)
LOOKED = CheckState(CATALOGUE.checks["mx"], EXAMPLE).after(outcome(at=NOW))


def test_the_names_that_can_be_denied_are_those_that_there_are() -> None:
    own = OwnHealth(
        state_configured=True, state_size=0, state_saved=1.0, web_file_ok=True, dns=ResolverStats(), http=HttpStats(),
        actions={"recheck": 0},
    )  # fmt: skip
    text = exposed(Exposition(CATALOGUE, FakeClock(), 1, lambda: own))
    made = re.findall(r"^# TYPE (deliverability_exporter_\w+) ", text, re.MULTILINE)
    assert sorted(made) == sorted(families.OWN)


def test_denied_families_are_left_out_of_both_kinds_and_come_back() -> None:
    denied = frozenset({families.OK, families.CHECKS, families.INTERVAL, "deliverability_exporter_runs_total"})
    less = shown(replace(DEFAULTS, denied_families=denied), LOOKED)
    assert denied & names(exposed(less)).keys() == set()
    assert less.configure(DEFAULTS), "all has to be written anew"
    less.put(LOOKED)
    less.totals.release()
    assert {families.OK, families.CHECKS, families.INTERVAL} <= names(exposed(less)).keys()


def test_totals_are_also_by_the_labels_that_the_operator_names() -> None:
    of_crm = replace(LOOKED, target=replace(EXAMPLE, labels=(("team", "crm"), ("env", "prod"))))
    text = exposed(shown(replace(DEFAULTS, totals_by=("team",)), of_crm))
    assert 'deliverability_targets{kind="domain",team="crm"} 1' in text
    assert 'deliverability_checks{check="mx",status="pass",team="crm"} 1' in text


def test_a_change_of_a_record_is_told_for_thirty_days() -> None:
    clock, name = FakeClock(), "example.com MX"
    was, now = (outcome(Record.of(name, [text]), at=NOW + n) for n, text in enumerate("ab"))
    clock.pass_(1)
    told = shown(DEFAULTS, CheckState(SAMPLE, EXAMPLE).after(was).after(now).confirmed(float("inf")), clock=clock)
    assert f'{families.RECORD_CHANGED}{{check="sample",domain="example.com"}} {NOW + 1:.0f}\n' in exposed(told)
    clock.pass_(CHANGES_SHOWN - 1)
    assert names(exposed(told))[families.RECORD_CHANGED] == 1
    clock.pass_(1)
    assert names(exposed(told))[families.RECORD_CHANGED] == 0
    assert len(told._expiries) == 0


def test_many_series_that_end_at_the_same_time_end_in_several_scrapes() -> None:
    """A zone with thousands of domains may have been changed in one second."""
    clock, many = FakeClock(), 3 * EXPIRIES
    was, now = (outcome(Record.of("example.com MX", [text]), at=NOW + n) for n, text in enumerate("ab"))
    changed = CheckState(SAMPLE, EXAMPLE).after(was).after(now).confirmed(float("inf"))
    clock.pass_(1)
    told = Exposition(CATALOGUE, clock, 1_000_000, OwnHealth)
    for number in range(many):
        told.put(replace(changed, target=replace(EXAMPLE, name=f"d{number}.example.com")))
    clock.pass_(CHANGES_SHOWN)
    left = [names(exposed(told))[families.RECORD_CHANGED] for _ in range(3)]
    assert left == [2 * EXPIRIES, EXPIRIES, 0]


def test_counters_of_checks_that_run_begin_at_0() -> None:
    own = OwnHealth()
    own.begin(frozenset({"mx"}))
    text = exposed(Exposition(CATALOGUE, FakeClock(), 1000, lambda: own))
    for line in (
        'runs_total{check="mx"} 0.0',
        'runs_unknown_total{check="mx",reason="dns_timeout"} 0.0',
        'runs_skipped_total{cause="overlap",check="mx"} 0.0',
        'check_duration_seconds_count{check="mx"} 0.0',
    ):
        assert f"deliverability_exporter_{line}\n" in text
    own.begin(frozenset({"mx", "sample"}))
    own.count(outcome(doubt=Reason.NETWORK))
    own.begin(frozenset({"spf", "sample"}))
    assert own.runs == {"spf": 0, "sample": 1}, "a check that is switched off has no series"
    assert own.unknown["sample", Reason.NETWORK] == 1
    own.begin(frozenset({"spf"}))
    own.count(outcome())  # it had begun before
    own.skipped, own.queued = {("sample", "missed"): 3}, {"sample": 1}
    assert 'check="sample"' not in exposed(Exposition(CATALOGUE, FakeClock(), 1000, lambda: own))


def test_without_a_state_file_nothing_is_said_of_it() -> None:
    assert not [name for name in names(exposed(shown(DEFAULTS))) if "_state_" in name and "configured" not in name]
    own = OwnHealth(state_configured=True, state_writable=True, state_size=4096, state_saved=NOW)
    text = exposed(Exposition(CATALOGUE, FakeClock(), 1000, lambda: own))
    for line in ("state_writable 1.0", "state_size_bytes 4096.0", "state_saved_timestamp_seconds 1.78e+09"):
        assert f"deliverability_exporter_{line}\n" in text


def test_a_finding_stops_flapping_when_its_time_is_over_though_no_run_changes_anything() -> None:
    clock = FakeClock()
    turned = ActiveFinding(BROKEN(what="x"), NOW - 900, confirmed=True, turns=(NOW - 900, NOW))
    flaps = replace(CheckState(SAMPLE, EXAMPLE), findings=(turned,), last_run=NOW)
    told = shown(DEFAULTS, flaps, clock=clock)
    left = turned.flaps_until(flaps.looks) - NOW
    clock.pass_(left)
    told.ran(replace(flaps, last_run=clock.wall()))
    assert names(exposed(told))[families.FLAPPING] == 1
    clock.pass_(1)
    assert names(exposed(told))[families.FLAPPING] == 0
    assert told.lateness.oldest() == {"sample": NOW + left}, "its latest run is known all the same"
    assert len(told._expiries) == 0


def test_a_since_that_our_clock_has_not_reached_is_told_once_it_has() -> None:
    clock = FakeClock()
    ahead = ActiveFinding(BROKEN(what="x"), NOW + 60, confirmed=True)
    told = shown(DEFAULTS, replace(CheckState(SAMPLE, EXAMPLE), findings=(ahead,)), clock=clock)
    for wait, since in ((0, NOW), (60, NOW + 60), (60, NOW + 60)):
        clock.pass_(wait)
        (line,) = (line for line in exposed(told).splitlines() if line.startswith(f"{families.SINCE}{{"))
        assert float(line.split()[-1]) == since


def test_a_run_that_says_the_same_moves_the_time_of_the_latest_run_and_no_line() -> None:
    clock = FakeClock()
    told = shown(DEFAULTS, LOOKED, clock=clock)
    before = exposed(told)
    clock.pass_(60)
    told.ran(replace(LOOKED, last_run=clock.wall(), last_conclusive=clock.wall()))
    assert told.lateness.oldest() == {"mx": clock.wall()}
    again = shown(DEFAULTS, replace(LOOKED, last_run=clock.wall(), last_conclusive=clock.wall()), clock=clock)
    assert lines_about_targets(exposed(told)) == lines_about_targets(before) == lines_about_targets(exposed(again))


def lines_about_targets(text: str) -> list[str]:
    return [line for line in text.splitlines() if "{check=" in line and families.OWN_PREFIX not in line]


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text;version=1.0.0"])
def test_the_exporters_own_lines_are_those_that_the_library_would_write(accept: str) -> None:
    hostile = 'a"b\\c\nd'
    own = OwnHealth(
        config_hash=hostile, reload_time=1782864000.25, state_configured=True, state_size=2**40, state_saved=1e-7,
        loop_lag=0.012, web_file_ok=False, dns=ResolverStats(), http=HttpStats(), actions={"recheck": 3},
        budgets={hostile: float("inf")}, skipped={("mx", "missed"): 10**7},
    )  # fmt: skip
    own.begin(frozenset({"mx", "spf"}))
    own.runs["mx"] = 123_456_789
    own.count(replace(outcome(at=NOW, doubt=Reason.NETWORK), check=CATALOGUE.checks["mx"]))
    made = list(health(own, Exposition(CATALOGUE, FakeClock(), 1000, lambda: own), FakeClock()))
    encode, _ = choose_encoder(accept)
    wanted = encode(Rewritten(made)).removesuffix(b"# EOF\n")
    assert own_lines(made, frozenset(), open_metrics=bool(accept)) == wanted
    assert wanted.count(b"\n") > 100
    some = frozenset({"deliverability_exporter_runs_total", "deliverability_exporter_check_duration_seconds_sum"})
    registry = CollectorRegistry(auto_describe=True)
    registry.register(Rewritten(made))
    wanted = encode(registry.restricted_registry(some)).removesuffix(b"# EOF\n")
    assert own_lines(made, some, open_metrics=bool(accept)) == wanted
    assert wanted.count(b"_sum{") == wanted.count(b"_total{") == 2


class Rewritten(Collector):
    """Our families, made with the library."""

    def __init__(self, families: list[OwnFamily]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for family in self._families:
            metric = Metric(family.name, family.help, family.type)
            for more, labels, value in family.samples:
                metric.add_sample(family.name + more, dict(labels), value)
            yield metric
