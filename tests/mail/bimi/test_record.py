"""mail/bimi/record.py against draft-brand-indicators-for-message-identification-10 sections 4.3, 7.1 and 7.2."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from exporter.mail.bimi import record as bimi
from exporter.mail.bimi.record import BimiDiscovery, BimiRecord, BimiSyntaxError, is_record, meant, parse, weaknesses
from exporter.mail.dmarc.tree_walk import Discovery, climb
from exporter.mail.dns import TXT, Evaluation, Question, Reply, Status, T
from exporter.mail.tag_list import LONGEST


def play(evaluation: Evaluation[T], texts: Mapping[str, str], failing: str = "") -> tuple[T, list[str]]:
    """To its end, with what was asked."""
    asked = []
    try:
        question = next(evaluation)
        while True:
            asked.append(question.name)
            question = evaluation.send(answer(question, texts, failing))
    except StopIteration as end:
        return end.value, asked


def answer(question: Question, texts: Mapping[str, str], failing: str) -> Reply:
    if question.name == failing:
        return Reply(question, Status.SERVFAIL)
    if question.name not in texts:
        return Reply(question, Status.NXDOMAIN)
    return Reply(question, Status.ANSWER, tuple(TXT((text.encode(),)) for text in texts[question.name].split("|")))


# ---- Records ----


@pytest.mark.parametrize("text", [b"v=BIMI1", b"v=BIMI1;", b"v = BIMI1\t; l=", b"v=BIMI1;l=https://a.example/b\xff"])
def test_what_begins_with_the_version_is_a_record(text: bytes) -> None:
    assert is_record(text)
    assert meant(text)


@pytest.mark.parametrize(
    "text", [b"v=bimi1; l=", b"V=BIMI1; l=", b" v=BIMI1; l=", b"v=BIMI10; l=", b"v=BIMI1 l=", b'"v=BIMI1; l="']
)
def test_nothing_is_repaired_but_what_was_meant_is_seen(text: bytes) -> None:
    assert not is_record(text)
    assert meant(text)
    with pytest.raises(BimiSyntaxError, match="at character 1 is not v=BIMI1"):
        parse(text)


@pytest.mark.parametrize("text", [b"", b"v=spf1 -all", b"v=DMARC1; p=none", b"l=https://a.example/b.svg; v=BIMI1"])
def test_other_texts_are_neither(text: bytes) -> None:
    assert not is_record(text)
    assert not meant(text)


def test_a_record_longer_than_any_txt_record_is_not_read() -> None:
    text = b"v=BIMI1;" + b"x" * LONGEST
    assert not is_record(text)
    assert not meant(text)
    with pytest.raises(BimiSyntaxError, match="65544 bytes are more"):
        parse(text)


def test_every_tag_is_read() -> None:
    text = b"v=BIMI1; a=https://b.example/m.pem; l = https://b.example/l.svg ;avp=personal; lps=true; x=y;"
    assert parse(text) == BimiRecord("https://b.example/l.svg", "https://b.example/m.pem", (), (), ())


def test_what_a_careful_reader_would_complain_about_is_kept() -> None:
    record = parse(b"v=BIMI1; l=one; l=two; words; avp=Brand; lps=1; x=1; x=2")
    assert record == BimiRecord("one", "", (("avp", "Brand"), ("lps", "1")), ("words",), ("l",))


@pytest.mark.parametrize(
    ("text", "location", "declined"),
    [
        (b"v=BIMI1; l=; a=", "", True),
        (b"v=BIMI1; l=", "", True),
        (b"v=BIMI1; l=; a=https://b.example/m.pem", "", False),
        (b"v=BIMI1", None, False),
        (b"v=BIMI1; L=https://b.example/l.svg", None, False),
    ],
)
def test_only_an_empty_location_without_evidence_is_a_refusal(
    text: bytes, location: str | None, declined: bool
) -> None:
    assert (parse(text).location, parse(text).declined) == (location, declined)


@pytest.mark.parametrize(
    "url",
    [
        "https://b.example",
        "HTTPS://B.example/l.svg",
        "https://b.example:8443/l.svg?x=1#y",
        "https://xn--bcher-kva.example/",
    ],
)
def test_an_https_url_of_a_full_host_name_can_be_fetched(url: str) -> None:
    assert bimi.url_fault(url) == ""


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://b.example/l.svg", "it is not an https URL"),
        ("b.example/l.svg", "it is not an https URL"),
        ("https://user@b.example/l.svg", "it is not an https URL"),
        ("https://b.example/l one.svg", "it is not an https URL"),
        ("https://b.example/lögo.svg", "it is not an https URL"),
        ("https://b/l.svg", "b is no fully"),
        ("https://192.0.2.1/l.svg", "192.0.2.1 is no fully"),
        ("https://b_b.example/l.svg", "b_b.example is no fully"),
        ("https://b.example/l,1.svg", "a comma"),
    ],
)
def test_what_nobody_can_fetch_is_told(url: str, fault: str) -> None:
    assert bimi.url_fault(url).startswith(fault)


@pytest.mark.parametrize(
    ("url", "suffix"),
    [
        ("https://b.example/l.PNG?size=1", ".png"),
        ("https://b.example/l.jpg#x", ".jpg"),
        ("https://b.example/l.svg", ""),
        ("https://b.example/l.svgz", ""),
        ("https://b.example/png", ""),
        ("https://b.example/l?file=l.png", ""),
    ],
)
def test_a_suffix_may_promise_a_picture_in_pixels(url: str, suffix: str) -> None:
    assert bimi.picture_suffix(url) == suffix


# ---- Discovery (section 7.2) ----

OWN, ABOVE = "default._bimi.shop.example.com", "default._bimi.example.com"


def find(
    texts: Mapping[str, str], failing: str = "", domain: str = "shop.example.com"
) -> tuple[BimiDiscovery, list[str]]:
    return play(bimi.find(domain), texts, failing)


def test_the_own_record_is_enough() -> None:
    found, asked = find({OWN: "v=BIMI1; l=", ABOVE: "v=BIMI1; l=https://b.example/l.svg"})
    assert asked == [OWN]
    assert found.own.records[0].declined
    assert found.above is None


def test_without_a_record_of_its_own_that_of_the_organisational_domain_counts() -> None:
    found, asked = find({OWN: "v=spf1 -all", ABOVE: "v=BIMI1; l=https://b.example/l.svg"}, domain="shop.example.com")
    assert asked == [OWN, ABOVE]
    assert found.own.records == ()
    assert found.above
    assert found.above.records[0].location == "https://b.example/l.svg"


def test_nobody_is_asked_twice_or_asked_on_in_doubt() -> None:
    assert find({}, domain="example.com")[1] == [ABOVE]
    assert find({}, failing=OWN)[1] == [OWN]


# ---- DMARC (section 7.1) ----


def told(texts: Mapping[str, str], failing: str = "", domain: str = "shop.example.com") -> list[tuple[str, str]]:
    found: Discovery = play(climb(domain), texts, failing)[0]
    return [(it.name, it.what) for it in weaknesses(found)]


ENFORCED = "v=DMARC1; p=reject"


@pytest.mark.parametrize(
    "policy",
    [
        "p=reject",
        "p=quarantine",
        "p=quarantine; pct=100",
        "p=reject; pct=1",
        "p=reject; sp=quarantine",
        "p=reject; t=y",
    ],
)
def test_an_enforced_policy_carries_a_logo(policy: str) -> None:
    assert told({"_dmarc.example.com": f"v=DMARC1; {policy}"}, domain="example.com") == []


@pytest.mark.parametrize(
    ("policy", "what"),
    [
        ("p=none", "p=none"),
        ("p=reject; sp=none", "sp=none"),
        ("p=quarantine; pct=99", "quarantine with pct=99"),
        ("p=quarantine; t=y", "quarantine with t=y"),
        ("p=never", "its policy cannot be read"),
        ("rua=mailto:a@example.com", "its policy cannot be read"),
    ],
)
def test_a_weaker_policy_does_not(policy: str, what: str) -> None:
    assert told({"_dmarc.example.com": f"v=DMARC1; {policy}"}, domain="example.com") == [("_dmarc.example.com", what)]


def test_the_policy_of_the_organisational_domain_has_to_be_good_as_well() -> None:
    texts = {"_dmarc.shop.example.com": ENFORCED, "_dmarc.example.com": "v=DMARC1; p=none"}
    assert told(texts) == [("_dmarc.example.com", "p=none")]


def test_a_sample_counts_where_its_policy_does() -> None:
    """pct= belongs to the quarantine that the subdomain inherits; the domain above rejects all."""
    text = {"_dmarc.example.com": "v=DMARC1; p=reject; sp=quarantine; pct=50"}
    assert told(text, domain="example.com") == []
    assert told(text) == [("_dmarc.example.com", "quarantine with pct=50")]


def test_no_policy_at_all_is_too_weak_when_that_is_certain() -> None:
    assert told({}) == [("_dmarc.shop.example.com", "there is no DMARC record")]
    assert told({}, failing="_dmarc.example.com") == []


def test_the_own_policy_is_proven_whatever_is_not_answered_above() -> None:
    assert told({"_dmarc.shop.example.com": "v=DMARC1; p=none"}, failing="_dmarc.com") == [
        ("_dmarc.shop.example.com", "p=none")
    ]
