"""exporter/mail/dmarc/alignment.py against RFC 9989 sections 4.4, 4.10.2 and appendix B.4, and RFC 7489 section 3."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.demo.nameserver import ZoneData
from exporter.mail.dmarc.alignment import Identifier, align
from exporter.mail.dmarc.tree_walk import climb, discover
from exporter.net import Net
from tests.support.clock import FakeClock
from tests.support.memory import MemoryResolver

BANK = {"bank.example": "psd=y", "giant.bank.example": ""}


def published(records: dict[str, str]) -> str:
    return "".join(f'_dmarc.{name}. TXT "v=DMARC1; p=reject; {tags}"\n' for name, tags in records.items())


async def aligned(domain: str, identifier: str, zone: str, tag: str = "aspf") -> tuple[Identifier, list[str]]:
    """And the names that were asked about the identifier."""
    dns = MemoryResolver(ZoneData(zone))
    net = Net(dns, FakeClock())
    found = await net.drive(discover(domain))
    before = len(dns.asked)
    identified = await net.drive(align(found, identifier, tag))
    return identified, [question.name for question in dns.asked[before:]]


@pytest.mark.parametrize(
    ("domain", "identifier", "records", "new", "old"),
    [
        # Section 4.4, table 1.
        ("news.example.com", "foo.example.com", {"example.com": ""}, True, True),
        ("news.example.com", "news.example.com", {"example.com": ""}, True, True),
        ("news.example.com", "foo.example.net", {"example.com": ""}, False, False),
        # Appendix B.4.1 and B.4.2.
        ("example.com", "signing.example.com", {"example.com": "", "signing.example.com": ""}, True, True),
        ("a.b.c.d.e.f.g.h.i.j.k.example.com", "example.com", {"example.com": ""}, True, True),
        # Appendix B.4.3. The list knows nothing of bank.example, and takes it for one organisation.
        ("giant.bank.example", "mail.giant.bank.example", BANK, True, True),
        ("giant.bank.example", "mail.mega.bank.example", BANK, False, True),
        # A name with a record and nothing above is an organisation of its own.
        ("mail.example.com", "example.com", {"mail.example.com": ""}, False, True),
        ("mail.example.com", "a.mail.example.com", {"mail.example.com": ""}, True, True),
        # psd=n on either side.
        ("example.com", "a.example.com", {"example.com": "", "a.example.com": "psd=n"}, False, True),
        ("a.example.com", "example.com", {"example.com": "", "a.example.com": "psd=n"}, False, True),
        ("a.example.com", "b.a.example.com", {"example.com": "", "a.example.com": "psd=n"}, True, True),
        # psd=y at the domain itself: it is its own organisation, and each name right below, too.
        ("example.com", "a.example.com", {"example.com": "psd=y"}, False, True),
        # A private suffix with a record.
        ("a.blogspot.com", "b.blogspot.com", {"blogspot.com": ""}, True, None),
        ("a.blogspot.com", "b.blogspot.com", {"blogspot.com": "", "a.blogspot.com": ""}, True, False),
        # A name is no parent of another that only ends in the same letters.
        ("example.com", "notexample.com", {"example.com": ""}, False, False),
    ],
)
async def test_relaxed(domain: str, identifier: str, records: dict[str, str], new: bool, old: bool | None) -> None:
    for tag in ("aspf", "adkim"):
        identified, _ = await aligned(domain, identifier, published(records), tag)
        assert (identified.new, identified.old, identified.doubt) == (new, old, None)


@pytest.mark.parametrize(("tag", "other"), [("aspf", "adkim"), ("adkim", "aspf")])
async def test_strict_is_the_very_name_and_costs_no_question(tag: str, other: str) -> None:
    zone = published({"example.com": f"{tag}=s"})
    same, asked = await aligned("example.com", "example.com", zone, tag)
    assert (same.new, same.old, asked) == (True, True, [])
    below, asked = await aligned("example.com", "a.example.com", zone, tag)
    assert (below.new, below.old, asked) == (False, False, [])
    assert (await aligned("example.com", "a.example.com", zone, other))[0].always


async def test_each_rfc_reads_the_record_that_it_finds() -> None:
    """RFC 9989 finds b.example.com's, which is relaxed, RFC 7489 example.com's, which is strict."""
    zone = published({"b.example.com": "psd=n", "example.com": "aspf=s"})
    identified, _ = await aligned("a.b.example.com", "c.b.example.com", zone)
    assert (identified.new, identified.old) == (True, False)
    assert identified.differs


async def test_a_name_outside_the_organisation_needs_no_walk() -> None:
    _, asked = await aligned("example.com", "bounce.example.net", published({"example.com": ""}))
    assert asked == []
    _, asked = await aligned("example.com", "a.example.com", published({"example.com": ""}))
    assert asked == ["_dmarc.a.example.com", "_dmarc.example.com", "_dmarc.com"]


async def test_without_an_answer_it_cannot_be_told() -> None:
    zone = published({"example.com": ""}) + "; servfail: _dmarc.a.example.com. TXT\n"
    identified, _ = await aligned("example.com", "a.example.com", zone)
    assert identified.new is None
    assert identified.doubt
    assert (identified.never, identified.always, identified.differs) == (False, False, False)


async def test_in_doubt_about_the_domain_only_its_very_name_is_certain() -> None:
    zone = published({"example.com": ""}) + "; servfail: _dmarc.com. TXT\n"
    assert (await aligned("example.com", "example.com", zone))[0].always
    identified, asked = await aligned("example.com", "example.net", zone)
    assert (identified.new, asked) == (None, [])
    assert identified.doubt


async def test_without_a_record_nothing_can_be_aligned() -> None:
    with pytest.raises(ValueError, match=r"no DMARC record is known to be in force for example\.com"):
        await aligned("example.com", "example.com", "")


@pytest.mark.parametrize(
    ("new", "old", "never", "always", "differs"),
    [
        (True, True, False, True, False),
        (True, None, False, True, False),
        (True, False, False, False, True),
        (False, True, False, False, True),
        (False, None, True, False, False),
        (False, False, True, False, False),
        (None, True, False, False, False),
        (None, False, False, False, False),
        (None, None, False, False, False),
    ],
)
def test_what_is_not_known_is_neither_never_nor_always(
    new: bool | None, old: bool | None, never: bool, always: bool, differs: bool
) -> None:
    identifier = Identifier("example.com", new, old)
    assert (identifier.never, identifier.always, identifier.differs) == (never, always, differs)


NAMES = st.sampled_from(
    ["com", "a.com", "b.com", "x.a.com", "y.a.com", "z.x.a.com", "z.y.a.com", "x.b.com", "w.z.x.a.com"]
)
WORLDS = st.dictionaries(NAMES, st.sampled_from(["", "psd=y", "psd=n", "psd=u"]), max_size=5)


@given(WORLDS, NAMES, NAMES)
async def test_the_short_cut_says_what_two_walks_say(records: dict[str, str], domain: str, identifier: str) -> None:
    """Relaxed alignment is the same organisational domain (RFC 9989 section 4.10.2), however few questions it took."""
    net = Net(MemoryResolver(ZoneData(published(records))), FakeClock())
    found = await net.drive(discover(domain))
    if found.source is None:
        return
    identified = await net.drive(align(found, identifier, "adkim"))
    ours, theirs = await net.drive(climb(domain)), await net.drive(climb(identifier))
    assert identified.new is (domain == identifier or ours.organisational == theirs.organisational)


@pytest.mark.parametrize(
    "identifier", ["news.example.com", "foo.example.com", "foo.example.net", "sub.foo.example.com"]
)
async def test_an_identifier_says_whose_it_is_however_the_answer_comes_about(identifier: str) -> None:
    zone = published({"example.com": ""})
    assert (await aligned("news.example.com", identifier, zone))[0].domain == identifier
    if identifier != "news.example.com":
        silent = f"{zone}; servfail: _dmarc.{identifier}. TXT\n"
        assert (await aligned("news.example.com", identifier, silent))[0].domain == identifier


async def test_the_walk_asks_for_text_and_nothing_else() -> None:
    dns = MemoryResolver(ZoneData("news.example.com. A 192.0.2.1\n"))
    await Net(dns, FakeClock()).drive(discover("news.example.com"))
    assert {question.rdtype for question in dns.asked} == {"TXT"}
