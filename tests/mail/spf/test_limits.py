"""Every SPF evaluation ends within its budget, and no policy that is within the limits is refused by it."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.facts import Reason
from exporter.mail.dns import MX, TXT, Question, Rdata, Reply, Status
from exporter.mail.spf.check_host import SpfEvaluation, check_host
from exporter.mail.spf.limits import MOST_LOOKUPS, MOST_QUESTIONS, MOST_SECONDS, MOST_VOIDS
from exporter.mail.spf.record import SpfResult
from exporter.mail.spf.worst_case import MOST_COUNTED, MOST_VISITED, worst_case
from tests.support.spf_zone import A, Zone, cost, play, world

NAMES = [f"n{i}.example.com" for i in range(6)]
BOMB_TERMS = st.sampled_from(
    [
        *(f"{mechanism}:{name}" for mechanism in ("include", "a", "mx") for name in NAMES),
        *(f"redirect={name}" for name in NAMES[:2]),
        *("a", "mx", "ptr", "?all", "x=%{s}", "exp=%{p}.%{d}", "ip4:192.0.2.0/24", "-ip6:::/0"),
        *("?include:n1.example.com", "include:%{d1r}.%{o}", "exists:%{i}.%{d}", "exists:%{p}.%{l}.%{d}"),
        *("exists:%{d}.%{d}.%{d}.%{d}", "a:%{l}..%{d}"),
        "exists:" + "%{s}" * 50 + ".%{d}",
    ]
)
POLICIES = st.lists(BOMB_TERMS, max_size=14).map(lambda terms: "v=spf1 " + " ".join(terms))


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["example.com", *NAMES]), POLICIES, min_size=3), st.integers(0, 99), st.booleans()
)
def test_every_evaluation_ends_within_the_question_limit_and_the_same_way(
    policies: dict[str, str], seed: int, six: bool
) -> None:
    def answer(question: Question) -> Reply:
        luck = zlib.crc32(f"{seed} {question}".encode()) % 20
        if luck == 0:
            return Reply(question, Status.TIMEOUT)
        if luck < 3 and question.rdtype != "TXT":
            return Reply(question, Status.NODATA)
        match question.rdtype:
            case "TXT":
                text = policies.get(question.name, "v=spf1 mx a:n1.example.com ?all")
                return Reply(question, Status.ANSWER, (TXT((text.encode(),)),))
            case "MX":
                return Reply(question, Status.ANSWER, tuple(MX(i, f"h{i}.{question.name}") for i in range(10)))
            case "PTR":
                return Reply(question, Status.ANSWER, tuple(f"p{i}.example.com" for i in range(12)))
            case _:
                return Reply(question, Status.ANSWER, A)

    client = ip_address("2001:db8::1" if six else "192.0.2.77")
    (result, asked), again = (
        play(check_host(client, "example.com", "me+you@example.com", "h.example.org", explain=True), answer)
        for _ in range(2)
    )
    assert (result, asked) == again
    assert len(asked) <= MOST_QUESTIONS
    assert result.lookups <= MOST_LOOKUPS + (result.word is SpfResult.PERMERROR)
    assert result.voids <= MOST_VOIDS + (result.word is SpfResult.PERMERROR)
    assert result.reason is not None or result.word is not SpfResult.TEMPERROR
    worst, asked = play(worst_case("example.com"), answer)
    assert len(asked) <= MOST_VISITED
    assert worst.lookups <= MOST_COUNTED
    assert worst.complete or worst.lookups > MOST_LOOKUPS


def test_an_include_bomb_ends_in_permerror() -> None:
    includes = " ".join(f"include:n{i}.example.com" for i in range(10))

    def answer(question: Question) -> Reply:
        return Reply(question, Status.ANSWER, (TXT((f"v=spf1 {includes} -all".encode(),)),))

    result, asked = play(check_host(ip_address("192.0.2.1"), "example.com", "a@example.com", "h"), answer)
    assert result.word is SpfResult.PERMERROR
    assert len(asked) <= MOST_LOOKUPS + 1
    found, asked = play(worst_case("example.com"), answer)
    assert found.lookups == MOST_COUNTED
    assert not found.complete
    assert len(asked) <= MOST_COUNTED + 1


def toil(rdtype: str, *, terms: int = 10, hosts: int = 10) -> Callable[[Question], Reply]:
    """Each `mx` has a name of its own, each host another, which has an address of that type only; no PTR leads back."""

    def answer(question: Question) -> Reply:
        match question.rdtype:
            case "TXT" if question.name == "example.com":
                text = " ".join(f"mx:%{{p}}.n{i}.example.com" for i in range(terms))
                text = f"v=spf1 {text} -all exp=exp.example.com"
            case "TXT":
                text = "refused"
            case "MX":
                return Reply(question, Status.ANSWER, tuple(MX(i, f"h{i}.{question.name}") for i in range(hosts)))
            case "PTR":
                return Reply(question, Status.ANSWER, tuple(f"p{i}.example.net" for i in range(12)))
            case _ if question.rdtype != rdtype:
                return Reply(question, Status.NODATA)
            case _:
                return Reply(question, Status.ANSWER, A)
        return Reply(question, Status.ANSWER, (TXT((text.encode(),)),))

    return answer


def explained(answer: Callable[[Question], Reply]) -> tuple[SpfEvaluation, list[Question]]:
    return play(check_host(ip_address("192.0.2.1"), "example.com", "a@example.com", "h", explain=True), answer)


def test_the_most_toilsome_policy_that_is_within_the_limits_gets_its_result() -> None:
    """Ten mx terms of ten hosts each, of names with %{p}, and an explanation: nothing can ask more."""
    result, asked = explained(toil("A"))
    assert (result.word, result.lookups, result.explanation) == (SpfResult.FAIL, MOST_LOOKUPS, "refused")
    assert len(asked) == len(set(asked)) == MOST_QUESTIONS == 123


def test_one_term_or_one_host_more_is_a_permerror_before_it_asks_more() -> None:
    result, asked = explained(toil("A", terms=11))
    assert (result.word, len(asked)) == (SpfResult.PERMERROR, MOST_QUESTIONS - 1)
    result, asked = explained(toil("A", hosts=11))
    assert (result.word, result.lookups) == (SpfResult.PERMERROR, 1)


def test_the_most_toilsome_policy_is_counted_whole() -> None:
    """Hosts that have IPv6 only take two questions each."""

    def answer(question: Question) -> Reply:
        if question == ("example.com", "TXT"):
            text = "v=spf1 " + " ".join(f"mx:n{i}.example.com" for i in range(10))
            return Reply(question, Status.ANSWER, (TXT((text.encode(),)),))
        return toil("AAAA")(question)

    found, asked = play(worst_case("example.com"), answer)
    assert (found.lookups, found.complete, found.voids) == (10, True, ())
    assert len(asked) == len(set(asked)) == MOST_VISITED == 211


def test_a_bomb_of_mx_terms_is_not_counted_to_its_end() -> None:
    def answer(question: Question) -> Reply:
        if question == ("example.com", "TXT"):
            text = "v=spf1 " + " ".join(f"mx:n{i}.example.com" for i in range(50))
            return Reply(question, Status.ANSWER, (TXT((text.encode(),)),))
        return toil("AAAA")(question)

    found, asked = play(worst_case("example.com"), answer)
    assert (found.lookups, found.complete, found.doubt) == (50, False, None)
    assert len(asked) == MOST_VISITED


# Time


SLOW: dict[str, tuple[Rdata, ...] | str | Status] = {
    "example.com TXT": "v=spf1 a mx:b.example include:c.example ip4:192.0.2.1 -all",
    "example.com A": A,
    "b.example MX": (MX(1, "m.b.example"),),
    "m.b.example A": A,
    "c.example TXT": "v=spf1 -all",
}


def slow(seconds: float) -> Callable[[Question], Reply]:
    return lambda question: replace(world(SLOW)(question), seconds=seconds)


def test_answers_that_take_longer_than_receivers_wait_are_a_temperror() -> None:
    """Of five answers, the time that they took together counts."""
    started = check_host(ip_address("192.0.2.1"), "example.com", "a@example.com", "h")
    result, asked = play(started, slow(MOST_SECONDS / 5))
    assert (result.word, result.reason, result.seconds, len(asked)) == (SpfResult.PASS, None, MOST_SECONDS, 5)
    started = check_host(ip_address("192.0.2.1"), "example.com", "a@example.com", "h")
    result, asked = play(started, slow(MOST_SECONDS / 5 + 0.5))
    assert (result.word, result.reason, len(asked)) == (SpfResult.TEMPERROR, Reason.DEADLINE, 5)
    assert "more than 20 s" in result.why
    started = check_host(ip_address("192.0.2.1"), "example.com", "a@example.com", "h")
    result, asked = play(started, slow(MOST_SECONDS + 1))
    assert (result.word, len(asked)) == (SpfResult.TEMPERROR, 1), "nothing is asked when time is up"


def test_an_explanation_that_comes_too_late_is_left_out() -> None:
    zone: Zone = {"example.com TXT": "v=spf1 -all exp=exp.example.com", "exp.example.com TXT": "refused"}
    result, _ = explained(lambda question: replace(world(zone)(question), seconds=11.0))
    assert (result.word, result.reason, result.explanation) == (SpfResult.FAIL, None, "")


def test_the_worst_case_is_in_doubt_when_time_is_up_and_keeps_what_it_has_counted() -> None:
    found, asked = play(worst_case("example.com"), slow(MOST_SECONDS / 4 + 1))
    assert (found.lookups, len(asked), found.complete) == (3, 4, False)
    assert found.doubt is not None
    assert found.doubt.reason is Reason.DEADLINE


def test_the_count_stops_where_it_is_ten_times_too_high() -> None:
    terms = "a " * (MOST_COUNTED + 1)
    assert not cost({"example.com TXT": f"v=spf1 {terms}", "example.com A": A}).complete
    terms = "a " * MOST_COUNTED
    found = cost({"example.com TXT": f"v=spf1 {terms} redirect=b.example", "example.com A": A})
    assert (found.lookups, found.complete) == (MOST_COUNTED, False)
