"""The families as data: each is whole, has its source, and its texts lead to it."""

from __future__ import annotations

from collections import Counter
from graphlib import TopologicalSorter
from itertools import product
from pathlib import Path

import pytest

from exporter.engine import catalogue
from exporter.explain.families import Family, RefusalSyntaxError, known, shipped
from exporter.explain.matching import Matcher, phrases
from exporter.explain.refusals import Refusals
from exporter.explain.reply import Stage, read_reply
from exporter.explain.vendors import HOME, content
from exporter.explain.vendors import shipped as vendors
from exporter.facts import Rule
from tests.support.words import faults

CATALOGUE = catalogue.load()
RULES = [rule for rule in CATALOGUE.rules.values() if rule.refusals]
REFUSALS = Refusals(CATALOGUE)


@pytest.mark.parametrize(
    "text",
    [
        "Office 365: 501 5.5.4 Invalid domain name",
        "T-Online: 554 Dialup/transient IP not allowed",
        "Exim: 501 Syntactically invalid ... argument(s)",
        "RFC 7505: 556 5.1.10 Recipient address has null MX",
    ],
)
def test_the_one_form_of_the_catalogue(text: str) -> None:
    quote = known(text)
    assert text == f"{quote.receiver}: {quote.code} {f'{quote.status} ' if quote.status else ''}{quote.text}"


@pytest.mark.parametrize(
    "text",
    [
        "501 5.5.4 Invalid domain name",
        "Gmail: 550-5.7.26",
        "Gmail: 550 5.7.26",
        "Gmail: 5.7.26 No basic code",
        "Gmail: 421 5.7.26 Of two classes",
        "gmail: 550 5.7.26 In lower case",
        "Gmail: 250 2.0.0 No refusal",
        "",
    ],
)
def test_what_is_not_in_the_one_form_is_refused(text: str) -> None:
    with pytest.raises(RefusalSyntaxError):
        known(text)


@pytest.mark.parametrize("family", shipped(), ids=lambda family: family.id)
def test_each_family_says_what_to_do_who_can_and_who_says_so(family: Family) -> None:
    assert family.words or family.says
    assert "https://" in family.source or "http://" in family.source
    assert {*family.findings, *family.related} <= CATALOGUE.rules.keys()
    assert family.classes <= {"4", "5"}
    for sentence in (family.means, family.fix):
        assert sentence.endswith(".")
        assert sentence == " ".join(sentence.split())
        assert faults(sentence) == []
    assert family.through is None or all(family.through > str(known(text).status) for text in family.says[:1])


def test_no_text_stands_in_two_families() -> None:
    places: dict[tuple[str, ...], set[str]] = {}
    for phrase in phrases(shipped()):
        for kind, stage in product("45", (None, *Stage)):
            if phrase.of(kind) and phrase.family.at(stage) and not phrase.weak:
                key = (kind, str(stage), *phrase.parts, str(phrase.status), str(phrase.vendor))
                places.setdefault(key, set()).add(phrase.family.id)
    assert {text: ids for text, ids in places.items() if len(ids) > 1} == {}


def test_no_family_has_a_text_twice() -> None:
    """Spelling and style make no difference. A weak text that is a sure one too would never count."""
    seen = Counter((it.family.id, it.parts, it.gap, it.vendor, it.code, it.status) for it in phrases(shipped()))
    assert [text for text, times in seen.items() if times > 1] == []


@pytest.mark.parametrize("path", [it for it in HOME.glob("*.yaml") if it.stem != "vendors"], ids=lambda path: path.stem)
def test_each_source_of_a_file_is_that_of_a_family(path: Path) -> None:
    given = content(path)
    assert given["sources"].keys() == {name for family in given["families"] for name in _names(family["source"])}


def _names(source: str | list[str]) -> list[str]:
    return source if isinstance(source, list) else [source]


def test_families_do_not_yield_in_a_circle() -> None:
    """Else none of them would be left."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for family in shipped():
        sorter.add(family.kind, *(kind for kind in family.yields if kind != family.kind))
    sorter.prepare()
    assert {kind for family in shipped() for kind in family.yields} <= {family.kind for family in shipped()}


def test_each_text_of_a_vendor_leads_to_its_family() -> None:
    matcher = Matcher(phrases(shipped()))
    lost = []
    for family in shipped():
        for text in family.says:
            vendor, _, said = text.partition(": ")
            hits = matcher.find(read_reply(said.replace("...", "something in between")), vendor)
            if family.id not in [hit.phrase.family.id for hit in hits]:
                lost.append((text, [hit.phrase.text for hit in hits]))
    assert lost == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_each_rejection_text_of_a_finding_leads_back_to_it(rule: Rule) -> None:
    assert len(set(rule.refusals)) == len(rule.refusals)
    for text in rule.refusals:
        quote = known(text)
        said = f"{quote.code} {quote.status or ''} {quote.text.replace('...', 'something in between')}"
        answer = REFUSALS.find(
            f"host mx.example[192.0.2.1] said: {said} [more of it] (in reply to end of DATA command)"
        )
        assert rule.id in answer.findings


def test_every_vendor_of_a_text_is_known_or_a_program() -> None:
    programs = {"Postfix", "Exim", "Exchange", "Sendmail", "Qmail", "OpenSMTPD", "IIS", "Haraka", "CPanel", "OpenDMARC"}
    programs |= {"Amavis", "SpamAssassin", "Rspamd", "Postgrey", "Postscreen", "RFC 7504", "RFC 7505", "Sophos"}
    named = {known(text).receiver for family in shipped() for text in family.says}
    assert named - programs <= {*vendors().hosts.values(), *(vendor for _, vendor in vendors().signs)}


@pytest.mark.parametrize(
    ("host", "reply", "vendor"),
    [
        ("hotmail-com.olc.protection.outlook.com", "", "Outlook.com"),
        ("example-org.mail.protection.outlook.com", "", "Office 365"),
        ("gmail-smtp-in.l.google.com", "", "Gmail"),
        ("mx00.kundenserver.de", "- gsmtp", "IONOS"),
        ("", "421 4.7.0 no - gsmtp", "Gmail"),
        ("notgoogle.com", "no", None),
    ],
)
def test_the_vendor_is_known_by_the_host_before_the_signs(host: str, reply: str, vendor: str | None) -> None:
    assert vendors().of(host, reply) == vendor
