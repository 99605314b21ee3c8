"""Is it us? What the exporter itself needs in order to see: its resolver, a way out to port 25, healthy blocklists."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from exporter.check_state import CheckState, Key
from exporter.engine.directory import NO_LABEL
from exporter.engine.store import Store
from exporter.facts import Reason
from exporter.model import Door
from exporter.targets import ListHealth, OwnResolver
from exporter.text import listed
from exporter.views.fleet.selection import Selection
from exporter.views.fleet.summary import Fleet, Level

MOST_ASKED = 2000  # mail hosts and probes that are looked at


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that the exporter needs. `told` says what is wrong with it, or what was seen."""

    name: str
    mark: Level
    told: str
    link: str = ""  # behind the root


def parts(store: Store, fleet: Fleet, *, alive: bool) -> list[Part]:
    return [
        part
        for part in (
            _resolver(store, fleet),
            _way_out(store),
            _blocklists(store, fleet),
            Part("Exporter", Level.PASS, "checks run")
            if alive
            else Part("Exporter", Level.CRITICAL, "the schedule has stopped: restart it"),
        )
        if part
    ]


def _resolver(store: Store, fleet: Fleet) -> Part | None:
    states = _states(store, store.pairs_of(*NO_LABEL))
    state = next((it for it in states if isinstance(it.target, OwnResolver)), None)
    if state is None:
        return None
    mark, link = fleet.mark(state.key), f"/targets/{state.target.key}"
    match mark:
        case Level.PASS:
            return Part("Resolver", mark, "passed its self-test", link)
        case Level.PENDING:
            return Part("Resolver", mark, "not tested yet", link)
        case Level.UNKNOWN if state.doubt:
            return Part("Resolver", Level.CRITICAL, state.doubt.detail, link)
    return Part("Resolver", mark, listed((it.finding.text for it in state.findings), 2), link)


def _way_out(store: Store) -> Part | None:
    """A mail host that was spoken to proves that the way is open, whatever others do."""
    looking = [it for it in _first(store) if {Door.SMTP, Door.EHLO} & it.check.needs]
    if not looking:
        return None
    shut = [it.doubt for it in looking if it.doubt and it.doubt.reason is Reason.EGRESS]
    if any(it.doubt is None for it in looking):
        return Part("Port 25", Level.PASS, "open")
    if shut:
        return Part("Port 25", Level.CRITICAL, f"no way out: {shut[0].detail}", Selection(q="egress").query)
    if all(it.doubt and it.doubt.reason is Reason.PENDING for it in looking):
        return Part("Port 25", Level.PENDING, "not tested yet")
    return Part("Port 25", Level.UNKNOWN, "no mail host has answered")


def _first(store: Store) -> list[CheckState]:
    found = []
    for label in ("mail_host", "sender"):
        for pairs in store.labelled(label).values():
            found += [it for it in _states(store, pairs) if it.check.needs]
            if len(found) > MOST_ASKED:
                break
    return found


def _blocklists(store: Store, fleet: Fleet) -> Part | None:
    states = [
        it for pairs in store.labelled("blocklist").values() for it in _states(store, pairs)
        if isinstance(it.target, ListHealth)
    ]  # fmt: skip
    if not states:
        return None
    marks = [fleet.mark(it.key) for it in states]
    link = f"/problems{Selection(check=states[0].check.id).query}"
    good, pending = marks.count(Level.PASS), marks.count(Level.PENDING)
    told = f"{good} of {len(states)} pass their self-test"
    if good == len(states):
        return Part("Blocklists", Level.PASS, told)
    if good + pending == len(states):
        return Part("Blocklists", Level.PENDING, f"{told}, {pending} not tested yet")
    if good:
        return Part("Blocklists", Level.WARNING, told, link)
    return Part("Blocklists", Level.CRITICAL, "all failed their self-test: the resolver is probably blocked", link)


def _states(store: Store, keys: Iterable[Key]) -> list[CheckState]:
    return [store[key] for key in keys]
