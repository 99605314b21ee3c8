"""Receivers' demands: the data is sound, and what is concluded from it is never more than what was seen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product

import pytest

from exporter import receivers
from exporter.check_state import CheckState
from exporter.confirmation import ActiveFinding
from exporter.engine import catalogue
from exporter.facts import Doubt, Finding, Reason, Severity
from exporter.model import TargetId
from exporter.receivers import (
    Both,
    Cause,
    Demand,
    DemandAnswer,
    DemandState,
    Either,
    Evidence,
    Part,
    Profile,
    Source,
    judge,
)
from tests.support.checks import EXAMPLE, SAMPLE

CATALOGUE = catalogue.load()
PROFILES = receivers.shipped()
DEMANDS = [(profile, demand) for profile in PROFILES.values() for demand in profile.demands]
SEEN = [(profile, demand) for profile, demand in DEMANDS if demand.rests_on]
V4, V6 = TargetId((("ip", "192.0.2.1"),)), TargetId((("ip", "2001:db8::1"),))
DOMAIN = TargetId((("domain", "example.com"),))


def held(*findings: Finding, doubt: Doubt | None = None) -> CheckState:
    """What some check holds of some target."""
    return CheckState(SAMPLE, EXAMPLE, tuple(ActiveFinding(finding, 1000) for finding in findings), doubt=doubt)


GOOD, LATE = held(), held(doubt=Doubt(Reason.DNS_TIMEOUT, "no answer"))

each_demand = pytest.mark.parametrize(("profile", "demand"), DEMANDS, ids=[f"{p.id}-{d.id}" for p, d in DEMANDS])
each_seen = pytest.mark.parametrize(("profile", "demand"), SEEN, ids=[f"{p.id}-{d.id}" for p, d in SEEN])


def finding(named: str, **evidence: str) -> Finding:
    """`ptr.missing`, or `ptr.local-name critical`; what is not said of it is about an IPv6 address."""
    id_, _, severity = named.partition(" ")
    rule = CATALOGUE.rules[id_]
    said = dict.fromkeys(rule.fields, "something") | ({"ip": "2001:db8::1"} if "ip" in rule.fields else {}) | evidence
    return Finding(rule, tuple(said.items()), Severity(severity) if severity else rule.severity)


def against(piece: Evidence) -> Iterator[Finding]:
    """Each finding that proves this piece unmet, with evidence as it must be."""
    evidence = {key: values[0] for key, values in piece.where.items()}
    return (finding(named, **evidence) for named in piece.unmet)


def ask_one(
    demand: Demand, held: dict[str, CheckState], *, targets: tuple[TargetId, ...] = (DOMAIN, V6)
) -> DemandAnswer:
    """What follows from what each check holds of every target."""
    profile = Profile("p", "P", "Q?", "about", None, (demand,))
    ((_, answer),) = judge(profile, targets, lambda check, _: held.get(check))
    return answer


# The data.


def test_the_profiles_are_those_that_are_promised() -> None:
    big = {"microsoft", "microsoft_bulk", "gmail", "gmail_bulk", "yahoo"}
    assert PROFILES.keys() == big | {"apple", "gmx", "ionos", "orange"}
    assert {"microsoft", "gmail", "yahoo"} == set(receivers.DEFAULT)
    assert {name: p.on_top_of for name, p in PROFILES.items() if p.on_top_of} == {
        "microsoft_bulk": "microsoft",
        "gmail_bulk": "gmail",
    }


@each_seen
def test_each_finding_that_a_demand_rests_on_exists_and_has_that_evidence(profile: Profile, demand: Demand) -> None:
    for piece in demand.evidence:
        assert piece.check in CATALOGUE.checks
        assert set(piece.findings) <= CATALOGUE.rules.keys()
        for named in piece.unmet:
            assert piece.where.keys() <= CATALOGUE.rules[named.partition(" ")[0]].fields
        assert len(set(piece.unmet)) == len(piece.unmet)
        assert not set(piece.unmet) & set(piece.open)


@each_demand
def test_a_demand_is_written_as_sentences_that_others_can_quote(profile: Profile, demand: Demand) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", demand.id)
    assert demand.text[0].islower() or demand.text.startswith("SPF ")
    assert demand.text[-1].isalnum() or demand.text[-1] in ")%"
    assert not set('{}"\n') & set(demand.text)
    assert demand.unseen[-1:] in ("", ".")
    for text in demand.refusals:
        assert re.match(r"[45]\d\d ([45]\.\d{1,3}\.\d{1,3} )?(\[\w+\] )?[A-Z]", text), (
            "the code, then the receiver's words"
        )
        assert not set("{}\n") & set(text)
    assert demand.source.url.startswith("https://")
    assert re.fullmatch(r"20[12]\d-(0[1-9]|1[0-2])", demand.source.date)
    assert profile.question.endswith("?")


def test_each_demand_that_can_be_seen_has_one_finding_of_its_own() -> None:
    ids = [profile.finding(demand, "receiver") for profile, demand in SEEN]
    assert len(set(ids)) == len(ids)
    (entry,) = (entry for entry in CATALOGUE.entries if entry.check.id == "receiver")
    assert {rule.id for rule in entry.rules} == set(ids)
    assert {rule.severity for rule in entry.rules} == {Severity.WARNING}
    assert all(profile.finding(demand, "receiver") is None for profile, demand in DEMANDS if not demand.rests_on)


@each_demand
def test_what_only_a_message_shows_is_never_met(profile: Profile, demand: Demand) -> None:
    """Whatever else is known to be good."""
    clean = ask_one(demand, dict.fromkeys(CATALOGUE.checks, GOOD))
    if all(piece.only_unmet for piece in demand.evidence):
        assert (clean.state, clean.why) == (DemandState.NOT_OBSERVABLE, demand.unseen)
        assert demand.unseen
    else:
        assert clean == DemandAnswer(DemandState.MET)


@each_seen
def test_each_finding_that_is_named_proves_its_demand_unmet(profile: Profile, demand: Demand) -> None:
    """Where one of several proofs is enough to meet the demand, all of them must be missing."""
    worst = {piece.check: held(*tuple(against(piece))[:1]) for piece in demand.evidence}
    assert ask_one(demand, worst).state is DemandState.UNMET
    for piece in demand.evidence:
        for wrong in against(piece):
            answer = ask_one(demand, {**worst, piece.check: held(wrong)})
            assert answer.state is DemandState.UNMET
            assert Cause(wrong, DOMAIN) in answer.causes


@each_seen
def test_without_any_check_that_looks_nothing_is_said(profile: Profile, demand: Demand) -> None:
    answer = ask_one(demand, {})
    assert answer == DemandAnswer(DemandState.NOT_OBSERVABLE, why=demand.unseen or receivers.NOT_CONFIGURED)


@each_seen
def test_doubt_is_neither_met_nor_unmet(profile: Profile, demand: Demand) -> None:
    assert ask_one(demand, dict.fromkeys(CATALOGUE.checks, LATE)).state in (
        DemandState.CANNOT_TELL,
        DemandState.NOT_OBSERVABLE,
    )


@each_seen
def test_what_is_proven_stays_proven_beside_doubt(profile: Profile, demand: Demand) -> None:
    late = {p.check: held(*tuple(against(p))[:1], doubt=Doubt(Reason.DNS_SERVFAIL, "?")) for p in demand.evidence}
    assert ask_one(demand, late).state is DemandState.UNMET


@each_seen
def test_a_finding_that_leaves_a_demand_open_does_not_meet_it(profile: Profile, demand: Demand) -> None:
    for piece in demand.evidence:
        for left in piece.open:
            said = finding(left, result="permerror")
            if not piece.against(said):
                known = {**dict.fromkeys(CATALOGUE.checks, GOOD), piece.check: held(said)}
                assert ask_one(demand, known).state is DemandState.NOT_OBSERVABLE


def test_mail_over_ipv4_is_not_asked_what_is_demanded_over_ipv6() -> None:
    asked = [demand for _, demand in DEMANDS if demand.ipv6]
    assert asked
    for demand in asked:
        bad = {piece.check: held(*tuple(against(piece))[:1]) for piece in demand.evidence}
        answer = ask_one(demand, bad, targets=(DOMAIN, V4))
        assert (answer.state, answer.why) == (
            DemandState.NOT_OBSERVABLE,
            "No IPv6 address is configured among the domain's senders.",
        )


def test_a_finding_about_an_ipv4_address_says_nothing_of_ipv6() -> None:
    (demand,) = (d for p, d in DEMANDS if (p.id, d.id) == ("microsoft", "authenticated-ipv6"))
    no_key = held(finding("dkim.missing"))
    for ip, state in (("192.0.2.1", DemandState.MET), ("2001:db8::1", DemandState.UNMET)):
        refused = held(finding("spf_sender.not-authorised critical", ip=ip))
        assert ask_one(demand, {"spf_sender": refused, "spf": GOOD, "dkim": no_key}).state is state


# The logic.

U, F, H, T = DemandState.CANNOT_TELL, DemandState.UNMET, DemandState.NOT_OBSERVABLE, DemandState.MET


def demand(part: Part) -> Demand:
    return Demand("d", "it is so", (), Source("A page", "https://example.com/", "2026-01"), part, unseen="Unseen.")


def holding(*states: DemandState | None) -> dict[str, CheckState]:
    """Checks a, b, c in these states; None: not configured."""
    known = {T: GOOD, U: LATE, F: held(finding("ptr.missing")), H: held(finding("ptr.several"))}
    return {name: known[state] for name, state in zip("abc", states, strict=False) if state}


def piece(name: str, *, one: bool = False, only_unmet: bool = False) -> Evidence:
    return Evidence(name, unmet=("ptr.missing",), open=("ptr.several",), one=one, only_unmet=only_unmet)


@pytest.mark.parametrize(("a", "b"), list(product((T, F, U, H, None), repeat=2)))
def test_all_and_any_are_kleenes(a: DemandState | None, b: DemandState | None) -> None:
    """Unmet outweighs doubt where all is demanded, met outweighs it where any is enough. What is not configured is
    left out of the first, and may hide what is enough from the second."""
    parts = (piece("a"), piece("b"))
    both = ask_one(demand(Both(parts)), holding(a, b)).state
    either = ask_one(demand(Either(parts)), holding(a, b)).state
    asked = {state for state in (a, b) if state}
    assert both is next((s for s in (F, U, H, T) if s in asked), H)
    assert either is next(s for s in (T, U, H, F) if s in {state or H for state in (a, b)})


def test_evidence_that_speaks_only_against_is_left_out_when_it_does_not() -> None:
    for state, outcome in ((F, F), (T, T), (U, T), (H, T)):
        both = Both((piece("a"), piece("b", only_unmet=True)))
        assert ask_one(demand(both), holding(T, state)).state is outcome
    for state, outcome in ((F, F), (T, H), (U, H), (H, H)):
        either = Either((piece("a"), piece("b", only_unmet=True)))
        assert ask_one(demand(either), holding(F, state)).state is outcome


@pytest.mark.parametrize("one", [False, True])
@pytest.mark.parametrize(("first", "second"), list(product((T, F, U), repeat=2)))
def test_each_of_several_targets_must_do_or_one_of_them(first: DemandState, second: DemandState, one: bool) -> None:
    held = dict(zip((V4.key, V6.key), (holding(first)["a"], holding(second)["a"]), strict=True))
    profile = Profile("p", "P", "Q?", "about", None, (demand(piece("a", one=one)),))
    ((_, answer),) = judge(profile, (V4, V6), lambda _, target: held[target])
    order = (T, U, F) if one else (F, U, T)
    assert answer.state is next(s for s in order if s in (first, second))
    if answer.state is F:
        assert [cause.target for cause in answer.causes] == [t for t, s in ((V4, first), (V6, second)) if s is F]


def test_a_finding_counts_only_with_its_severity_and_its_evidence() -> None:
    bound = Evidence("ptr", unmet=("ptr.local-name critical",), where={"peer": ("outlook.com",)})
    assert bound.against(finding("ptr.local-name critical", peer="outlook.com"))
    assert bound.against(finding("ptr.local-name critical", peer="mx.outlook.com [192.0.2.1]"))
    assert not bound.against(finding("ptr.local-name warning", peer="outlook.com"))
    assert not bound.against(finding("ptr.local-name critical", peer="notoutlook.com"))
    assert not bound.against(finding("ptr.local-name critical"))


def test_a_bulk_profile_brings_the_plain_one_with_it_once() -> None:
    assert receivers.complete(["gmail_bulk", "yahoo", "gmail"]) == ("gmail", "gmail_bulk", "yahoo")
    assert receivers.complete([]) == ()


# Files that are wrong.

FILE = """
name: N
question: Q?
about: somebody's mail
sources: {s: {document: A page, url: "https://example.com/", date: 2026-01}}
demands:
  - id: ptr
    text: it is so
    source: s
    rests_on: {check: ptr, unmet: [ptr.missing]}
"""


def test_a_file_is_read() -> None:
    profile = receivers.read("n", FILE.encode())
    assert profile.demands[0].evidence == (Evidence("ptr", ("ptr.missing",)),)
    assert profile.finding(profile.demands[0], "receiver") == "receiver.n-ptr"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("about:", "abuot:", "about, abuot"),
        ("name: N", "name: N\nname: M", "line 3"),
        ("source: s", "source: t", "t is none of the sources"),
        ("unmet: [ptr.missing]", "unmet: [helo.empty]", "helo.empty is no finding of ptr"),
        ("unmet: [ptr.missing]", "unmet: [ptr.missing grave]", "ptr.missing grave is no finding of ptr"),
        ("    rests_on: {check: ptr, unmet: [ptr.missing]}\n", "", "rests on nothing"),
        ("rests_on: {check: ptr, unmet: [ptr.missing]}", "rests_on: ptr", "wants a mapping"),
        ("demands:\n", "demands:\n  - {id: ptr, text: t, source: s, unseen: No.}\n", "appears twice"),
    ],
)
def test_a_file_that_is_wrong_says_where(old: str, new: str, told: str) -> None:
    assert old in FILE
    with pytest.raises(ValueError, match=re.escape(told)):
        receivers.read("n", FILE.replace(old, new).encode())
