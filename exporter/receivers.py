"""Decides which demands of large receivers a domain's mail meets, from the results of the other checks.

The problem: Microsoft, Gmail and others publish demands for mail. Our checks find faults one by one, but a person
asks: will Gmail take our mail?

The idea: a profile is data, in data/receivers/*.yaml. It says what a receiver demands, with which words it refuses
mail, where that is written, and which findings of which checks show it. Here the results are combined by Kleene's
logic. Nobody is asked anything.

The rules:

- A demand is unmet if one of the findings against it is active.
- It is open (`cannot tell`) if there is no such finding, but a doubt.
- It is met only if a check has looked and found nothing against it.
- What only a sent message could show, such as its signature, is `not observable`. It is never met.
- Accepted findings and changed severities count in full, because the receiver refuses the mail all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, TypeAlias

from exporter import strict_yaml
from exporter.facts import Doubt, Finding, Severity
from exporter.model import OtherResult, StandingFinding, TargetId

HOME = Path(__file__).parent / "data" / "receivers"
DEFAULT = ("microsoft", "gmail", "yahoo")
NOT_CONFIGURED = "Nothing that is configured for the domain shows it."

Ask: TypeAlias = Callable[[str, str], OtherResult | None]  # check id, target key; None: that check does not look at it


class DemandState(StrEnum):
    MET = "met"
    UNMET = "unmet"
    CANNOT_TELL = "cannot tell"
    NOT_OBSERVABLE = "not observable"


@dataclass(frozen=True, slots=True)
class Cause:
    """A finding that proves a demand unmet, and its target."""

    finding: Finding
    target: TargetId

    @property
    def title(self) -> str:
        """What people call the target."""
        return self.target.title


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """The doubt that leaves a demand open: of which check, about which target."""

    check: str
    target: TargetId
    doubt: Doubt

    @property
    def title(self) -> str:
        """What people call the target."""
        return self.target.title


@dataclass(frozen=True, slots=True)
class DemandAnswer:
    """Is a demand met? `causes` say why not, `troubles` why it is in doubt, `why` why nobody can observe it."""

    state: DemandState
    causes: tuple[Cause, ...] = ()
    troubles: tuple[OpenQuestion, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one check shows of a demand.

    `unmet` are the findings against it, `open` those that leave it open. A finding may be limited to a severity, as in
    `ptr.local-name critical`. `where` maps a key of the evidence to names: the first word there must be one of these
    names, or a name below one. All targets must meet the demand, unless `one` is enough. `only_unmet` evidence can
    prove only that the demand is unmet.
    """

    check: str
    unmet: tuple[str, ...]
    open: tuple[str, ...] = ()
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    one: bool = False
    only_unmet: bool = False

    @property
    def findings(self) -> tuple[str, ...]:
        """The ids alone."""
        return tuple(named.partition(" ")[0] for named in (*self.unmet, *self.open))

    def against(self, finding: Finding) -> bool:
        words = {key: value.partition(" ")[0] for key, value in finding.evidence} if self.where else {}
        return _names(self.unmet, finding) and all(
            any(f".{words.get(key, '')}".endswith(f".{value}") for value in values)
            for key, values in self.where.items()
        )


@dataclass(frozen=True, slots=True)
class Both:
    """All of it is demanded."""

    of: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """Any of it is enough."""

    of: tuple[Part, ...]


Part: TypeAlias = Evidence | Both | Either


@dataclass(frozen=True, slots=True)
class Source:
    """Where a demand is written, and the day of that text."""

    document: str
    url: str
    date: str

    def __str__(self) -> str:
        return f"{self.document} ({self.date})"


@dataclass(frozen=True, slots=True)
class Demand:
    """One thing that a receiver demands. `refusals` are its own words; `unseen` says why nobody sees that it is met.

    `ipv6`: only of mail that comes over IPv6.
    """

    id: str
    text: str
    refusals: tuple[str, ...]
    source: Source
    rests_on: Part | None
    unseen: str = ""
    ipv6: bool = False

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """Every piece, however deep."""
        return tuple(_pieces(self.rests_on)) if self.rests_on else ()


@dataclass(frozen=True, slots=True)
class Profile:
    """A receiver, or what it demands of bulk senders `on_top_of` the same from everybody."""

    id: str
    name: str
    question: str
    about: str
    on_top_of: str | None
    demands: tuple[Demand, ...]

    def finding(self, demand: Demand, check: str) -> str | None:
        """The id of the check's finding that the demand is not met; None where nothing could find it."""
        return f"{check}.{self.id.replace('_', '-')}-{demand.id}" if demand.rests_on else None


class Results:
    """What the checks of these targets have found. Each check is asked about each target once, when it is needed."""

    def __init__(self, targets: Sequence[TargetId], ask: Ask) -> None:
        self._targets, self._ask = targets, ask
        self._of: dict[str, list[tuple[TargetId, OtherResult]]] = {}

    def of(self, check: str) -> list[tuple[TargetId, OtherResult]]:
        """The targets that the check looks at, with its results."""
        found = self._of.get(check)
        if found is None:
            asked = ((it, self._ask(check, it.key)) for it in self._targets)
            found = self._of[check] = [(it, known) for it, known in asked if known]
        return found

    @cached_property
    def over_ipv6(self) -> Results | None:
        """The same without what is about IPv4 addresses; None if no target has an IPv6 address."""
        if not any(_version(it) == 6 for it in self._targets):
            return None
        return Results([it for it in self._targets if _version(it) != 4], partial(_of_ipv6, self._ask))

    def judge(self, profile: Profile) -> tuple[tuple[Demand, DemandAnswer], ...]:
        """Each demand of the receiver with its answer."""
        return tuple([(demand, _answer(demand, self)) for demand in profile.demands])


def judge(profile: Profile, targets: Sequence[TargetId], ask: Ask) -> tuple[tuple[Demand, DemandAnswer], ...]:
    """Each demand with its answer. `targets` are those whose results show it."""
    return Results(targets, ask).judge(profile)


def _answer(demand: Demand, results: Results) -> DemandAnswer:
    if demand.ipv6:
        if results.over_ipv6 is None:
            return DemandAnswer(
                DemandState.NOT_OBSERVABLE, why="No IPv6 address is configured among the domain's senders."
            )
        results = results.over_ipv6
    unseen = demand.unseen or NOT_CONFIGURED
    answer = _combined(demand.rests_on, results, unseen) if demand.rests_on else None
    return answer or DemandAnswer(DemandState.NOT_OBSERVABLE, why=unseen)


def _combined(part: Part, results: Results, unseen: str) -> DemandAnswer | None:
    """The answer; None if nothing that shows it is configured."""
    match part:
        case Evidence():
            return _shown(part, results)
        case Both(of):
            return _first([it for inner in of if (it := _combined(inner, results, unseen))], _WORST_FIRST)
        case Either(of):  # what is not configured may be there all the same, and would be enough
            unknown = DemandAnswer(DemandState.NOT_OBSERVABLE, why=unseen)
            return _first([_combined(inner, results, unseen) or unknown for inner in of], _BEST_FIRST)


def _shown(part: Evidence, results: Results) -> DemandAnswer | None:
    answers = [_of_target(part, target, known) for target, known in results.of(part.check)]
    together = _first(answers, _BEST_FIRST if part.one else _WORST_FIRST)
    if together and part.only_unmet and together.state is not DemandState.UNMET:
        return None
    return together


def _of_target(part: Evidence, target: TargetId, known: OtherResult) -> DemandAnswer:
    if known.findings:
        against = tuple([Cause(it.finding, target) for it in known.findings if part.against(it.finding)])
        if against:
            return DemandAnswer(DemandState.UNMET, causes=against)
    if known.doubt:
        return DemandAnswer(DemandState.CANNOT_TELL, troubles=(OpenQuestion(part.check, target, known.doubt),))
    leaves_open = next((it.finding for it in known.findings if _names(part.open, it.finding)), None)
    if leaves_open:
        return DemandAnswer(DemandState.NOT_OBSERVABLE, why=f"It is left open by {leaves_open.id}: {leaves_open.text}.")
    return _MET


_MET = DemandAnswer(DemandState.MET)
_WORST_FIRST = (DemandState.UNMET, DemandState.CANNOT_TELL, DemandState.NOT_OBSERVABLE, DemandState.MET)
_BEST_FIRST = (DemandState.MET, DemandState.CANNOT_TELL, DemandState.NOT_OBSERVABLE, DemandState.UNMET)


def _first(answers: Sequence[DemandAnswer], order: tuple[DemandState, ...]) -> DemandAnswer | None:
    """The answers in the first of these states that any of them has, as one answer."""
    if len(answers) < 2:
        return answers[0] if answers else None
    states = {answer.state for answer in answers}
    state = next(it for it in order if it in states)
    if state is DemandState.MET:
        return _MET
    same = [answer for answer in answers if answer.state is state]
    return DemandAnswer(
        state,
        causes=tuple(cause for answer in same for cause in answer.causes),
        troubles=tuple(trouble for answer in same for trouble in answer.troubles),
        why=same[0].why,
    )


def _names(listed: Iterable[str], finding: Finding) -> bool:
    return finding.id in listed or f"{finding.id} {finding.severity}" in listed


def _version(target: TargetId) -> int | None:
    """Of the address that the target is or has; None if it has none."""
    ip = dict(target.identity).get("ip")
    return (6 if ":" in ip else 4) if ip else None


@dataclass(frozen=True, slots=True)
class _Narrowed:
    findings: tuple[StandingFinding, ...]
    doubt: Doubt | None


def _of_ipv6(ask: Ask, check: str, target: str) -> OtherResult | None:
    """The same result without findings about IPv4 addresses."""
    known = ask(check, target)
    if known is None:
        return None
    ips = [(it, dict(it.finding.evidence).get("ip")) for it in known.findings]
    return _Narrowed(tuple(it for it, ip in ips if ip is None or ":" in ip), known.doubt)


def _pieces(part: Part) -> Iterable[Evidence]:
    if isinstance(part, Evidence):
        yield part
    else:
        for inner in part.of:
            yield from _pieces(inner)


# From data.


@cache
def shipped() -> Mapping[str, Profile]:
    """The profiles that come with the product, by id. Raise ValueError, saying what is wrong with a file."""
    return {path.stem: read(path.stem, path.read_bytes()) for path in sorted(HOME.glob("*.yaml"))}


@cache
def checks() -> frozenset[str]:
    """The ids of all checks that a demand rests on."""
    return frozenset(piece.check for p in shipped().values() for demand in p.demands for piece in demand.evidence)


def complete(names: Sequence[str]) -> tuple[str, ...]:
    """These receivers, each bulk profile behind the one that it comes on top of."""
    wanted: dict[str, None] = {}
    for name in names:
        below = shipped()[name].on_top_of
        wanted.update(dict.fromkeys((below, name) if below else (name,)))
    return tuple(wanted)


def read(name: str, content: bytes) -> Profile:
    """A profile from its file. Raise ValueError, saying what is wrong."""
    given = _keys(
        name, strict_yaml.data(name, content), ("name", "question", "about", "sources", "demands"), ("on_top_of",)
    )
    sources = {
        key: Source(**_keys(f"{name}.sources.{key}", value, ("document", "url", "date")))
        for key, value in given["sources"].items()
    }
    demands = tuple(_demand(name, value, sources) for value in given["demands"])
    if len({demand.id for demand in demands}) < len(demands):
        raise ValueError(f"{name}: a requirement appears twice")
    return Profile(name, given["name"], given["question"], given["about"], given.get("on_top_of"), demands)


def _demand(name: str, value: Any, sources: Mapping[str, Source]) -> Demand:
    given = _keys(f"{name}.demands", value, ("id", "text", "source"), ("refusals", "rests_on", "unseen", "ipv6"))
    where = f"{name}.{given['id']}"
    if given["source"] not in sources:
        raise ValueError(f"{where}: {given['source']} is none of the sources")
    if "rests_on" not in given and "unseen" not in given:
        raise ValueError(f"{where}: rests on nothing, and does not say why")
    return Demand(
        id=given["id"],
        text=given["text"],
        refusals=tuple(given.get("refusals", ())),
        source=sources[given["source"]],
        rests_on=_part(where, given["rests_on"]) if "rests_on" in given else None,
        unseen=given.get("unseen", ""),
        ipv6=given.get("ipv6", False),
    )


def _part(where: str, value: Any) -> Part:
    if isinstance(value, dict) and value.keys() in ({"all"}, {"any"}):
        ((how, parts),) = value.items()
        inner = tuple(_part(where, part) for part in parts)
        return Both(inner) if how == "all" else Either(inner)
    given = _keys(where, value, ("check", "unmet"), ("open", "where", "one", "only_unmet"))
    return Evidence(
        check=given["check"],
        unmet=_findings(where, given["check"], given["unmet"]),
        open=_findings(where, given["check"], given.get("open", ())),
        where={key: tuple(values) for key, values in given.get("where", {}).items()},
        one=given.get("one", False),
        only_unmet=given.get("only_unmet", False),
    )


def _findings(where: str, check: str, listed: Iterable[Any]) -> tuple[str, ...]:
    for named in listed:
        finding, _, severity = str(named).partition(" ")
        if finding.partition(".")[0] != check or (severity and severity not in set(Severity)):
            raise ValueError(f"{where}: {named} is no finding of {check}")
    return tuple(listed)


def _keys(where: str, value: Any, needed: Iterable[str], allowed: Iterable[str] = ()) -> dict[str, Any]:
    """The mapping, if it has exactly such keys."""
    if not isinstance(value, dict):
        raise ValueError(f"{where}: wants a mapping")  # noqa: TRY004  (one kind of error for a file that is wrong)
    wrong = sorted({*needed} - value.keys()) + sorted(value.keys() - {*needed, *allowed})
    if wrong:
        raise ValueError(f"{where}: has or lacks {', '.join(wrong)}")
    return value
