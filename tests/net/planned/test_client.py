"""DNS with planned records says what DNS says once they are published, or that it is unclear; never anything else."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.demo.nameserver import ZoneData
from exporter.mail.dns import Question, Reply, Status
from exporter.net.planned import octodns, zone_file
from exporter.net.planned.client import PlannedDns
from exporter.net.planned.records import EVERY, PlannedRecords
from tests.support.memory import MemoryResolver

TOP = "; soa: example. 1\n; soa: example.com. 1\n; soa: other.example. 1\n"
WORLD = """
; signed: example.com. SOA
; signed: www.example.com. CNAME
example.com.          MX     10 mx.example.com.
example.com.          NS     ns1.example.net.
mx.example.com.       A      192.0.2.25
old.example.com.      A      192.0.2.1
www.example.com.      CNAME  mx.example.com.
alias.other.example.  CNAME  www.example.com.
target.other.example. A      192.0.2.80
sub.example.com.      NS     ns1.sub.example.com.
a.sub.example.com.    A      192.0.2.90
*.wild.example.com.   TXT    "wild"
x.wild.example.com.   A      192.0.2.2
"""
SOA = "$ORIGIN example.com.\n@ 60 SOA ns. host. 1 2 3 4 5\n"


def planned(*files: str, removed: Iterable[str] = (), world: str = WORLD, octo: str = "") -> PlannedDns:
    read = [zone_file.parse(f"file{n}", text.encode()) for n, text in enumerate(files, 1)]
    if octo:
        read.append(octodns.parse("example.com.yaml", octo.encode(), "example.com"))
    gone = [Question(name, rdtype) for name, rdtype in (it.split() for it in removed)]
    return PlannedDns(MemoryResolver(ZoneData(TOP + world)), PlannedRecords(read, gone))


async def told(dns: PlannedDns, name: str, rdtype: str) -> str:
    reply = await dns.ask(Question(name, rdtype))
    assert reply.question == Question(name, rdtype)
    assert bool(reply.doubt) == (not reply.status.conclusive)
    return " ".join([str(reply.status), *reply.chain, *map(str, reply.records)])


async def test_of_a_whole_zone_nothing_stands_that_is_not_in_it() -> None:
    dns = planned(f"{SOA}@ MX 5 mx2\nmx2 A 192.0.2.26\na.ent TXT x\n*.w TXT w\nq.w A 192.0.2.3\n")
    assert await told(dns, "example.com", "MX") == "answer MX(preference=5, exchange='mx2.example.com')"
    assert await told(dns, "old.example.com", "A") == "nxdomain"
    assert await told(dns, "mx2.example.com", "TXT") == "nodata"
    assert await told(dns, "ent.example.com", "TXT") == "nodata", "an empty non-terminal"
    assert await told(dns, "b.c.w.example.com", "TXT") == "answer TXT(strings=(b'w',))"
    assert await told(dns, "q.w.example.com", "TXT") == "nodata", "the name is there, so the wildcard does not cover it"
    assert await told(dns, "b.q.w.example.com", "TXT") == "nxdomain"
    assert await told(dns, "target.other.example", "A") == "answer 192.0.2.80", "of another zone"
    assert await told(dns, "notexample.com", "A") == "nxdomain", "of another zone, too"


async def test_aliases_lead_from_planned_names_to_real_ones_and_back() -> None:
    zone = (
        f"{SOA}www CNAME target.other.example.\nback CNAME alias.other.example.\nloop CNAME loop2\nloop2 CNAME loop\n"
    )
    dns = planned(f"{zone}lost CNAME gone.other.example.\nd DNAME other.example.\n")
    assert await told(dns, "www.example.com", "A") == "answer target.other.example 192.0.2.80"
    assert await told(dns, "alias.other.example", "A") == "answer www.example.com target.other.example 192.0.2.80", (
        "a real alias to a planned name"
    )
    assert (
        await told(dns, "back.example.com", "A")
        == "answer alias.other.example www.example.com target.other.example 192.0.2.80"
    )
    assert await told(dns, "loop.example.com", "A") == "servfail"
    assert await told(dns, "lost.example.com", "A") == "nxdomain gone.other.example"
    assert await told(dns, "target.d.example.com", "A") == "answer target.other.example 192.0.2.80"
    assert await told(dns, "www.example.com", "CNAME") == "answer target.other.example"


async def test_an_alias_of_octodns_gives_the_addresses_of_its_target_and_a_loop_ends() -> None:
    octo = "'': {type: ALIAS, value: target.other.example.}\na: {type: ALIAS, value: a.example.com.}\n"
    dns = planned(octo=octo)
    assert await told(dns, "example.com", "A") == "answer 192.0.2.80"
    assert await told(dns, "example.com", "TXT") == "nodata"
    assert await told(dns, "a.example.com", "A") == "servfail"
    assert await told(dns, "example.com", "NS") == "answer ns1.example.net", "octoDNS leaves it"
    assert await told(dns, "old.example.com", "A") == "nxdomain", "octoDNS deletes it"


async def test_below_a_delegation_dns_is_asked_if_the_servers_stay() -> None:
    stays = planned(f"{SOA}sub NS ns1.sub.example.com.\n")
    assert await told(stays, "a.sub.example.com", "A") == "answer 192.0.2.90"
    for moved in (planned(f"{SOA}sub NS ns.new.example.\n"), planned("sub.example.com. NS ns.new.example.\n")):
        assert await told(moved, "a.sub.example.com", "A") == "refused"
    assert await told(planned(f"{SOA}@ A 192.0.2.1\n"), "a.sub.example.com", "A") == "nxdomain", (
        "no delegation any more"
    )


async def test_some_records_are_in_place_of_the_same_name_and_type_and_all_else_stays() -> None:
    dns = planned("example.com. MX 0 .\nnew._domainkey.example.com. TXT k\nwww.example.com. A 192.0.2.7\n")
    assert await told(dns, "example.com", "MX") == "answer MX(preference=0, exchange='.')"
    assert await told(dns, "example.com", "NS") == "answer ns1.example.net"
    assert await told(dns, "old.example.com", "A") == "answer 192.0.2.1"
    assert await told(dns, "_domainkey.example.com", "TXT") == "nodata", "it exists by the key below it"
    assert await told(dns, "new._domainkey.example.com", "A") == "nodata"
    assert await told(dns, "www.example.com", "A") == "answer 192.0.2.7"
    assert await told(dns, "www.example.com", "TXT") == "nodata", "no alias stands beside it"
    assert await told(dns, "alias.other.example", "A") == "answer www.example.com 192.0.2.7"


async def test_an_alias_in_some_records_is_all_that_its_name_has() -> None:
    dns = planned("mx.example.com. CNAME target.other.example.\n")
    assert await told(dns, "mx.example.com", "A") == "answer target.other.example 192.0.2.80"
    assert await told(dns, "mx.example.com", "TXT") == "nodata target.other.example"


async def test_a_record_can_be_removed() -> None:
    dns = planned(removed=["example.com MX", "old.example.com *", "www.example.com CNAME", "mx.example.com A"])
    assert await told(dns, "example.com", "MX") == "nodata"
    assert await told(dns, "example.com", "NS") == "answer ns1.example.net"
    assert await told(dns, "old.example.com", "A") == "nxdomain", "nothing is left of it"
    assert await told(dns, "www.example.com", "A") == "nxdomain"
    assert [await told(dns, "mx.example.com", it) for it in ("A", "AAAA")] == ["nxdomain", "nxdomain"]


async def test_what_is_left_of_a_name_or_below_it_keeps_it_in_dns() -> None:
    world = f"{WORLD}both.example.com. A 192.0.2.5\nboth.example.com. TXT x\n_dmarc.old.example.com. TXT y\n"
    dns = planned(removed=["both.example.com A", "old.example.com *"], world=world)
    assert [await told(dns, "both.example.com", it) for it in ("A", "AAAA", "MX")] == ["nodata"] * 3
    assert await told(dns, "old.example.com", "A") == "nodata"


async def test_what_an_alias_gives_is_not_at_its_name_and_cannot_be_removed_there() -> None:
    assert (
        await told(planned(removed=["www.example.com A"]), "www.example.com", "A") == "answer mx.example.com 192.0.2.25"
    )
    assert await told(planned(removed=["mx.example.com A"]), "www.example.com", "A") == "nxdomain mx.example.com"
    assert await told(planned(removed=["www.example.com *"]), "www.example.com", "A") == "nxdomain"


async def test_what_a_wildcard_may_have_said_is_unclear() -> None:
    dns = planned("new.wild.example.com. A 192.0.2.3\n", removed=["x.wild.example.com A"])
    assert await told(dns, "new.wild.example.com", "A") == "answer 192.0.2.3"
    reply = await dns.ask(Question("new.wild.example.com", "TXT"))
    assert reply.status is Status.REFUSED
    assert "a wildcard may have answered for new.wild.example.com" in reply.detail
    assert await told(dns, "b.new.wild.example.com", "TXT") == "refused"
    assert await told(dns, "x.wild.example.com", "A") == "nxdomain", "the wildcard has another type"
    assert await told(dns, "x.wild.example.com", "TXT") == "refused", "which covers it then"
    assert await told(dns, "else.wild.example.com", "TXT") == "answer TXT(strings=(b'wild',))"


async def test_a_wildcard_further_up_may_cover_a_name_that_is_removed_with_all_above_it() -> None:
    world = f"{WORLD}k._domainkey.wild.example.com. TXT key\n"
    dns = planned(removed=["k._domainkey.wild.example.com TXT"], world=world)
    assert await told(dns, "k._domainkey.wild.example.com", "TXT") == "refused"


async def test_a_planned_answer_is_signed_where_dns_proves_its_zone() -> None:
    dns = planned(
        f"{SOA}www CNAME mx\nmx A 192.0.2.1\nout CNAME target.other.example.\n", "x.other.example. A 192.0.2.1\n"
    )

    async def secure(name: str, rdtype: str = "A") -> bool:
        return (await dns.ask(Question(name, rdtype))).authenticated

    assert await secure("mx.example.com")
    assert await secure("www.example.com")
    assert await secure("none.example.com"), "a proven no"
    assert not await secure("out.example.com"), "it leads to a zone that is not signed"
    assert not await secure("x.other.example")
    assert not await secure("mx.new.example"), "nobody has signed what is not there yet"


async def test_names_are_compared_without_regard_to_case() -> None:
    dns = planned("WWW.Example.com. A 192.0.2.7\n")
    assert await told(dns, "www.eXample.COM", "A") == "answer 192.0.2.7"
    assert await told(dns, "OLD.example.com", "A") == "answer 192.0.2.1"


async def test_evidence_says_which_file_answered_and_its_ttl() -> None:
    reply = await planned(f"{SOA}www 7200 A 192.0.2.1\n").ask(Question("www.example.com", "A"))
    assert (reply.server, reply.transport, reply.ttl) == ("file1", "planned", 7200)


async def test_what_dns_does_not_tell_stays_untold() -> None:
    dns = planned("a.example.com. TXT x\n", world=f"; servfail: a.example.com. MX\n{WORLD}a.example.com. A 192.0.2.1\n")
    assert await told(dns, "a.example.com", "MX") == "servfail"


EXAMPLES = 15  # thousands have been tried
OWNERS = ("@", "a", "b.a", "*", "*.a", "c", "d.c", "x.y")
DATA = (("TXT", "one"), ("TXT", "two"), ("A", "192.0.2.1"), ("MX", "10 a.example.com."), ("CNAME", "c.example.com."))
LINES = st.lists(st.tuples(st.sampled_from(OWNERS), st.sampled_from(DATA)), min_size=1, max_size=8)
ASKED = [f"{it}.example.com".removeprefix("@.") for it in (*OWNERS, "n", "n.a", "n.b.a", "y", "n.y", "n.c")]


def consistent(lines: list[tuple[str, tuple[str, str]]]) -> dict[tuple[str, str], str]:
    """One record of each name and type, and nothing beside an alias."""
    sets = {(owner, rdtype): data for owner, (rdtype, data) in lines if (owner, rdtype) != ("@", "CNAME")}
    aliases = {owner for owner, rdtype in sets if rdtype == "CNAME"}
    return {key: data for key, data in sets.items() if key[0] not in aliases or key[1] == "CNAME"}


def text(sets: dict[tuple[str, str], str]) -> str:
    return "$ORIGIN example.com.\n" + "".join(f"{owner} 300 {kind} {data}\n" for (owner, kind), data in sets.items())


def essence(reply: Reply) -> object:
    return reply.status, set(reply.records), reply.chain


async def same(dns: PlannedDns, truth: str, *, unclear: bool) -> None:
    then = MemoryResolver(ZoneData(truth))
    for name in ASKED:
        for rdtype in ("TXT", "A", "CNAME"):
            question = Question(name, rdtype)
            reply, right = await dns.ask(question), await then.ask(question)
            if reply.doubt and unclear:
                continue
            if unclear and reply.void and right.void and not right.chain:
                continue  # below a wildcard of DNS, the two kinds of "no" cannot be told apart
            assert essence(reply) == essence(right), question


@settings(max_examples=EXAMPLES, deadline=None)
@given(LINES, LINES)
async def test_a_whole_zone_answers_as_a_server_of_it(
    before: list[tuple[str, tuple[str, str]]], after: list[tuple[str, tuple[str, str]]]
) -> None:
    now, then = text(consistent(before)), text(consistent(after))
    dns = planned(SOA + then, world=now)
    await same(dns, TOP + then, unclear=False)


@settings(max_examples=EXAMPLES, deadline=None)
@given(LINES, LINES.filter(consistent))
async def test_some_records_answer_as_a_server_that_has_taken_them_in(
    before: list[tuple[str, tuple[str, str]]], change: list[tuple[str, tuple[str, str]]]
) -> None:
    """Where it is not unclear."""
    now, plan = consistent(before), consistent(change)
    aliased = {owner for owner, kind in plan if kind == "CNAME"}
    owners = {owner for owner, _ in plan}
    kept = {
        (owner, kind): data
        for (owner, kind), data in now.items()
        if owner not in aliased and not (kind == "CNAME" and owner in owners)
    }
    dns = planned(text(plan), world=text(now))
    await same(dns, TOP + text(kept | plan), unclear=True)


@pytest.mark.parametrize("apex", ["example.com", "other.example"])
async def test_with_a_full_dump_nothing_changes(apex: str) -> None:
    zone = ZoneData(TOP + WORLD)
    real = MemoryResolver(zone)
    text = "\n".join(
        f"{name} 300 IN {kind} {data}"
        for name, kind, data in (line.split(None, 2) for line in WORLD.splitlines() if line and line[0] != ";")
        if f".{name}".endswith(f".{apex}.")
    )
    dns = planned(f"{apex}. 300 SOA ns. host. 1 2 3 4 5\n{text}")
    names = {line.split()[0].rstrip(".") for line in WORLD.splitlines() if line and line[0] != ";"} | {"n.example.com"}
    for name in names:
        for rdtype in ("A", "MX", "TXT", "NS", "CNAME"):
            if (name, rdtype) == ("ns1.sub.example.com", "A"):
                continue
            question = Question(name, rdtype)
            reply, right = await dns.ask(question), await real.ask(question)
            assert essence(reply) == essence(right), question


def test_all_of_a_name_is_every_type() -> None:
    plan = PlannedRecords((), [Question("a.example", EVERY)])
    assert plan.removes(Question("a.example", "MX"))
    assert not plan.removes(Question("b.example", "MX"))
