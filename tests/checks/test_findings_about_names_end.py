"""Findings of helo, ptr, resolver and ehlo_probe end once their own question is answered, and stay while it is not."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from exporter.demo.mailserver import Behaviour, SmtpFault
from exporter.demo.nameserver import ZoneData
from exporter.engine import catalogue
from exporter.engine.evaluate import evaluate
from exporter.engine.store import Store
from exporter.facts import Verdict
from exporter.mail.dnsbl.blocklist import Blocklist, Lists
from exporter.model import Target
from exporter.net import Net
from exporter.net.dnsbl.client import DnsblClient
from exporter.net.smtp.client import SmtpClient
from exporter.targets import Address, EhloProbe, Greeting, OwnResolver, Peer
from tests.support.clock import FakeClock
from tests.support.mail import mail_door
from tests.support.memory import MemoryResolver

IP = ip_address("192.0.2.10")
HELLO = Greeting(sender="out", ip=IP, helo="mail.example.com")
ADDRESS = Address(ip=IP, helo=("mail.example.com",))
EYES = OwnResolver(nameservers=(ip_address("127.0.0.1"),))

PTR = "10.2.0.192.in-addr.arpa. PTR mail.example.com.\n"
OTHER_PTR = "10.2.0.192.in-addr.arpa. PTR other.example.com.\n"
FOREIGN_PTR = "10.2.0.192.in-addr.arpa. PTR host.example.net.\n"
NO_PTR = "; servfail: 10.2.0.192.in-addr.arpa. PTR\n"
A = "mail.example.com. A 192.0.2.10\n"
OTHER_A = "mail.example.com. A 192.0.2.11\n"
PRIVATE_A = "mail.example.com. A 10.0.0.1\n"
ALIAS = "mail.example.com. CNAME mx.example.com.\nmx.example.com. A 192.0.2.10\n"
NO_A = "; servfail: mail.example.com. A\n"
NO_AAAA = "; servfail: mail.example.com. AAAA\n"
SPF = 'mail.example.com. TXT "v=spf1 ip4:192.0.2.10 -all"\n'
BAD_SPF = 'mail.example.com. TXT "v=spf1 -all"\n'
NEUTRAL_SPF = 'mail.example.com. TXT "v=spf1 ?all"\n'
NO_SPF = "; servfail: mail.example.com. TXT\n"
HALF_SPF = 'mail.example.com. TXT "v=spf1 include:spf.example.com -all"\n; servfail: spf.example.com. TXT\n'
COM = "; signed: com. NS\ncom. NS a.gtld-servers.net.\n"
NO_COM = "; servfail: com. NS\n"


class Watch:
    """One check, run again and again on one target."""

    def __init__(self, check: str, target: Target) -> None:
        self.check, self.target = catalogue.load().checks[check], target
        self.store, self.clock = Store(), FakeClock()
        self.lists = DnsblClient(self.clock)
        self.store.hold(self.check, target)

    async def sees(self, text: str, mail: SmtpClient | None = None) -> tuple[set[str], Verdict]:
        """The findings that are held after one run in this world, and the verdict of that run. An hour passes."""
        dns = MemoryResolver(ZoneData(text))

        def net() -> Net:
            return Net(dns, self.clock, states=self.store, blocklists=self.lists, mail=mail)

        outcome = await evaluate(self.check, self.target, net, self.clock)
        held = self.store.record(outcome)
        assert held
        self.clock.pass_(3600)
        return {active.finding.id for active in held.findings}, outcome.verdict


@pytest.mark.parametrize(
    ("fault", "sick", "repaired"),
    [
        ("helo.no-address", PTR, PTR + A + NO_SPF),
        ("helo.no-address", PTR, NO_PTR + A + SPF),
        ("helo.no-address", PTR, PTR + PRIVATE_A + NO_AAAA + SPF),
        ("helo.private-address", PTR + PRIVATE_A, NO_PTR + A + SPF),
        ("helo.private-address", PTR + PRIVATE_A, PTR + A + NO_SPF),
        ("helo.other-address", PTR + OTHER_A + SPF, NO_PTR + A + SPF),
        ("helo.other-address", PTR + OTHER_A + SPF, PTR + A + HALF_SPF),
        ("helo.alias", PTR + ALIAS, NO_PTR + A + SPF),
        ("helo.alias", PTR + ALIAS, PTR + A + NO_SPF),
        ("helo.alias", PTR + ALIAS, PTR + NO_AAAA + SPF),
        ("helo.ptr-differs", FOREIGN_PTR + A + SPF, PTR + NO_A + SPF),
        ("helo.ptr-differs", FOREIGN_PTR + A + SPF, PTR + A + NO_SPF),
        ("helo.ptr-same-domain", OTHER_PTR + A + SPF, PTR + NO_A + SPF),
        ("helo.spf-missing", PTR + A, PTR + A + HALF_SPF),
        ("helo.spf-missing", PTR + A, NO_PTR + A + SPF),
        ("helo.spf-not-authorised", PTR + A + BAD_SPF, PTR + NO_A + SPF),
        ("helo.spf-not-authorised", PTR + A + BAD_SPF, NO_PTR + A + SPF),
        ("helo.spf-neutral", PTR + A + NEUTRAL_SPF, PTR + NO_A + SPF),
    ],
)
async def test_what_is_repaired_in_helo_ends_beside_another_doubt(fault: str, sick: str, repaired: str) -> None:
    watch = Watch("helo", HELLO)
    assert fault in (await watch.sees(sick))[0]
    held, verdict = await watch.sees(repaired)
    assert fault not in held
    assert verdict is not Verdict.PASS, "there is another doubt"


@pytest.mark.parametrize(
    ("fault", "sick", "doubtful"),
    [
        ("helo.no-address", PTR, PTR + NO_A + SPF),
        ("helo.no-address", PTR, PTR + NO_AAAA + SPF),
        ("helo.private-address", PTR + PRIVATE_A, PTR + NO_A + SPF),
        ("helo.private-address", PTR + PRIVATE_A, PTR + PRIVATE_A + NO_AAAA + SPF),
        ("helo.other-address", PTR + OTHER_A + SPF, PTR + NO_A + SPF),
        ("helo.alias", PTR + ALIAS, PTR + NO_A + SPF),
        ("helo.ptr-differs", FOREIGN_PTR + A + SPF, NO_PTR + A + SPF),
        ("helo.ptr-same-domain", OTHER_PTR + A + SPF, NO_PTR + A + SPF),
        ("helo.spf-missing", PTR + A, PTR + A + NO_SPF),
        ("helo.spf-missing", PTR + A, PTR + NO_A),
        ("helo.spf-not-authorised", PTR + A + BAD_SPF, PTR + A + HALF_SPF),
        ("helo.spf-not-authorised", PTR + A + BAD_SPF, PTR + NO_A + BAD_SPF),
        ("helo.spf-neutral", PTR + A + NEUTRAL_SPF, PTR + A + NO_SPF),
    ],
)
async def test_what_cannot_be_told_in_helo_stays(fault: str, sick: str, doubtful: str) -> None:
    watch = Watch("helo", HELLO)
    before, _ = await watch.sees(sick)
    assert fault in before
    held, _ = await watch.sees(doubtful)
    assert fault in held
    assert held <= before, "a doubt proves nothing new"


async def test_a_doubt_does_not_make_a_proven_fault_milder() -> None:
    """No address and no MX is critical, and stays so while the MX cannot be asked."""
    watch = Watch("helo", HELLO)
    text = 'mail.example.com. TXT "x"\n' + PTR
    for world in (text, text + "; servfail: mail.example.com. MX\n"):
        await watch.sees(world)
        state = watch.store.get("helo", HELLO.key)
        assert state
        assert [(it.finding.id, it.finding.severity) for it in state.findings] == [("helo.no-address", "critical")]


DBL, OWN = (Blocklist(name, f"{name}.example.org", lists=Lists.DOMAINS, whole_name=True) for name in ("dbl", "own"))
SAID = Greeting(sender="out", ip=IP, helo="mail.example.com", lists=(DBL, OWN))
GOOD = PTR + A + SPF + "".join(f"test.{name}.example.org. A 127.0.0.2\n" for name in ("dbl", "own"))
NAMED = "mail.example.com.dbl.example.org. A 127.0.0.2\n"


async def test_a_listing_of_the_helo_name_ends_by_the_no_of_that_list_alone() -> None:
    watch = Watch("helo", SAID)
    for _ in range(3):
        held, _ = await watch.sees(GOOD + NAMED)
    assert held == {"helo.listed"}
    held, _ = await watch.sees(GOOD + "; servfail: mail.example.com.dbl.example.org. A\n")
    assert held == {"helo.listed"}, "the list gave no answer"
    for _ in range(8):
        held, _ = await watch.sees(GOOD + "; servfail: mail.example.com.own.example.org. A\n")
    assert held == set(), "the other list has nothing to do with it"


async def test_a_helo_name_is_looked_up_once_an_hour_for_all_who_say_it() -> None:
    clock, dns, store = FakeClock(), MemoryResolver(ZoneData(GOOD)), Store()
    lists, check = DnsblClient(clock), catalogue.load().checks["helo"]
    others = [
        Greeting(sender="out", ip=ip_address(f"192.0.2.{n}"), helo="mail.example.com", lists=(DBL, OWN))
        for n in range(20, 30)
    ]

    def asked() -> int:
        return sum(question.name == "mail.example.com.dbl.example.org" for question in dns.asked)

    async def round_() -> None:
        for target in (SAID, *others):
            await evaluate(check, target, lambda: Net(dns, clock, states=store, blocklists=lists), clock)

    await round_()
    once = asked()
    assert once > 0
    for _ in range(3):
        clock.pass_(15 * 60)
        await round_()
    assert asked() == once
    clock.pass_(15 * 60)
    await round_()
    assert asked() > once


@pytest.mark.parametrize(
    ("fault", "sick", "repaired"),
    [
        ("ptr.missing", "", PTR + NO_A),
        ("ptr.local-name", "10.2.0.192.in-addr.arpa. PTR localhost.\n", PTR + NO_A),
        ("ptr.bad-name", "10.2.0.192.in-addr.arpa. PTR a_b.example.com.\n", PTR + NO_A),
        ("ptr.generic-name", "10.2.0.192.in-addr.arpa. PTR 192-0-2-10.example.net.\n", PTR + NO_A),
        ("ptr.too-many", "".join(f"10.2.0.192.in-addr.arpa. PTR m{n}.example.com.\n" for n in range(11)), PTR + NO_A),
        (
            "ptr.unconfirmed",
            PTR,
            PTR + A + "10.2.0.192.in-addr.arpa. PTR b.example.com.\n; servfail: b.example.com. A\n",
        ),
        (
            "ptr.several",
            PTR + OTHER_PTR + A + "other.example.com. A 192.0.2.10\n",
            PTR + OTHER_PTR + NO_A + "other.example.com. A 192.0.2.9\n",
        ),
    ],
)
async def test_what_is_repaired_in_ptr_ends_beside_another_doubt(fault: str, sick: str, repaired: str) -> None:
    watch = Watch("ptr", ADDRESS)
    assert fault in (await watch.sees(sick))[0]
    assert fault not in (await watch.sees(repaired))[0]


@pytest.mark.parametrize(
    ("fault", "sick", "doubtful"),
    [
        ("ptr.missing", "", NO_PTR),
        ("ptr.local-name", "10.2.0.192.in-addr.arpa. PTR localhost.\n", NO_PTR),
        ("ptr.unconfirmed", PTR, PTR + NO_A),
        ("ptr.partly-confirmed", PTR + OTHER_PTR + A, PTR + OTHER_PTR + A + "; servfail: other.example.com. A\n"),
        ("ptr.partly-confirmed", PTR + OTHER_PTR + A, PTR + OTHER_PTR + NO_A),
        (
            "ptr.several",
            PTR + OTHER_PTR + A + "other.example.com. A 192.0.2.10\n",
            PTR + OTHER_PTR + NO_A + "; servfail: other.example.com. A\n",
        ),
    ],
)
async def test_what_cannot_be_told_in_ptr_stays(fault: str, sick: str, doubtful: str) -> None:
    watch = Watch("ptr", ADDRESS)
    assert fault in (await watch.sees(sick))[0]
    held, verdict = await watch.sees(doubtful)
    assert fault in held
    assert verdict is Verdict.UNKNOWN


async def test_more_ptr_names_than_are_looked_at_prove_nothing_of_the_rest() -> None:
    many = "".join(f"10.2.0.192.in-addr.arpa. PTR b{number:02}.example.com.\n" for number in range(11))
    watch = Watch("ptr", ADDRESS)
    assert (await watch.sees(PTR))[0] == {"ptr.unconfirmed"}
    assert (await watch.sees(many))[0] == {"ptr.unconfirmed", "ptr.too-many"}
    assert (await watch.sees(many + "b00.example.com. A 192.0.2.10\n"))[0] == {"ptr.too-many", "ptr.partly-confirmed"}


async def test_one_ptr_name_that_leads_back_is_enough_where_nothing_was_held_against_the_others() -> None:
    watch = Watch("ptr", ADDRESS)
    world = PTR + OTHER_PTR + A + "; servfail: other.example.com. A\n"
    assert await watch.sees(world) == (set(), Verdict.PASS)


@pytest.mark.parametrize(
    ("fault", "sick", "repaired"),
    [
        ("resolver.rewrites", COM + "*.com. A 192.0.2.80\n", NO_COM),
        ("resolver.no-tcp", COM + "; no-tcp: com. NS\n", NO_COM),
        ("resolver.denies", "", COM + "*.com. A 192.0.2.80\n"),
        ("resolver.not-validating", "com. NS a.gtld-servers.net.\n", COM),
    ],
)
async def test_what_is_repaired_in_the_resolver_ends_beside_another_doubt(fault: str, sick: str, repaired: str) -> None:
    watch = Watch("resolver", EYES)
    assert fault in (await watch.sees(sick))[0]
    assert fault not in (await watch.sees(repaired))[0]


@pytest.mark.parametrize(
    ("fault", "sick"),
    [
        ("resolver.no-tcp", COM + "; no-tcp: com. NS\n"),
        ("resolver.denies", ""),
        ("resolver.not-validating", "com. NS a.gtld-servers.net.\n"),
    ],
)
async def test_what_cannot_be_told_of_the_resolver_stays(fault: str, sick: str) -> None:
    watch = Watch("resolver", EYES)
    assert fault in (await watch.sees(sick))[0]
    assert fault in (await watch.sees("; timeout: com. NS\n"))[0]


async def test_a_peer_without_an_answer_keeps_its_own_refusal_alone() -> None:
    probe = EhloProbe(
        sender="out", ip=IP, helo="mail.example.com", peers=(Peer("a.example.com"), Peer("b.example.com"))
    )
    watch = Watch("ehlo_probe", probe)
    world = "a.example.com. A 192.0.2.25\nb.example.com. A 192.0.2.26\n"
    refusing, taking = Behaviour(fault=SmtpFault.REJECTS_NAME), Behaviour()
    a, b = (ip_address("192.0.2.25"), 25), (ip_address("192.0.2.26"), 25)
    async with mail_door({a: refusing, b: refusing}, watch.clock) as mail:
        await watch.sees(world, mail)
    assert peers_held(watch) == {"a.example.com", "b.example.com"}
    watch.clock.pass_(6 * 3600)
    async with mail_door({a: taking}, watch.clock) as mail:
        await watch.sees("a.example.com. A 192.0.2.25\n; servfail: b.example.com. MX\n", mail)
    assert peers_held(watch) == {"b.example.com"}


def peers_held(watch: Watch) -> set[str]:
    state = watch.store.get(watch.check.id, watch.target.key)
    return {dict(active.finding.subject)["mail_host"] for active in state.findings} if state else set()
