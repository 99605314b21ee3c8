"""A fleet with planted faults: each is one row with the right count, and its fix, applied, makes it go."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from exporter.check_state import CheckState, FindingPolicy
from exporter.demo.nameserver import ZoneData
from exporter.engine import catalogue
from exporter.engine.evaluate import evaluate
from exporter.engine.problems import ProblemGroup, groups, problems
from exporter.model import Target
from exporter.net import Net
from exporter.targets import Authorisation, Domain, Egress, Greeting
from tests.support.clock import FakeClock
from tests.support.healing import apply
from tests.support.memory import MemoryResolver

CATALOGUE = catalogue.load()
NAMES = [f"customer{number:02}.example" for number in range(60)]
WRONG, NONE, BROKEN, PLAIN = NAMES[:5], NAMES[5:9], NAMES[9:20], NAMES[:40]  # PLAIN have no DMARC record
POOL = tuple(Egress(ip_address(f"198.51.100.{host}"), "out.example.net") for host in range(4))
MX = "".join(f"{name}. MX 10 out.example.net.\n" for name in NAMES)
DMARC = '_dmarc.{0}. TXT "v=DMARC1; p=reject; rua=mailto:dmarc@{0}"\n'
WORLD = f"""
_spf.mailco.example. TXT "v=spf1 ip4:198.51.100.0/30 -all"
_spf.broken.example. TXT "v=spf1 -all"
_spf.broken.example. TXT "v=spf1 ~all"
out.example.net.  A   198.51.100.0
0.100.51.198.in-addr.arpa. PTR out.example.net.
{MX}
{"".join(DMARC.format(name) for name in NAMES if name not in PLAIN)}
"""
SPF = dict.fromkeys(NAMES, "v=spf1 include:_spf.mailco.example -all")
SPF |= dict.fromkeys(WRONG, "v=spf1 ip4:203.0.113.9 -all") | dict.fromkeys(NONE, "")
SPF |= dict.fromkeys(BROKEN, "v=spf1 include:_spf.mailco.example include:_spf.broken.example -all")


def world() -> ZoneData:
    return ZoneData(WORLD + "".join(f'{name}. TXT "{text}"\n' for name, text in SPF.items() if text))


async def looked_at(zone: ZoneData, helo: str) -> list[CheckState]:
    clock, dns = FakeClock(), MemoryResolver(zone)

    async def state(check: str, target: Target) -> CheckState:
        told = await evaluate(CATALOGUE.checks[check], target, lambda: Net(dns, clock), clock)
        return CheckState(told.check, told.target).after(told)

    made = [await state("helo", Greeting(sender="pool", ip=POOL[0].ip, helo=helo))]
    for name in NAMES:
        domain = Domain(name=name, mail_from=(name,))
        sends = Authorisation(domain=name, sender="pool", mail_from=(name,), egress=POOL)
        made += [await state("spf", domain), await state("spf_sender", sends), await state("dmarc", domain)]
    return made


def rows(states: Sequence[CheckState]) -> list[ProblemGroup]:
    return groups(problems(states, FindingPolicy(), FakeClock().wall()))


async def test_each_planted_fault_is_one_row_and_its_fix_makes_it_go() -> None:
    zone = world()
    found = rows(await looked_at(zone, "localhost"))
    assert [(it.rule.id, len(it.problems), len(it.domains)) for it in found] == [
        ("helo.local-name", 1, 60),
        ("spf_sender.not-authorised", 9, 9),
        ("dmarc.missing", 40, 40),
        ("spf.include-broken", 1, 11),
        ("spf.missing", 4, 4),
    ]
    greeting, refused, _, broken, _ = found
    assert "include:_spf.mailco.example" in refused.fix
    assert not broken.remedy.records  # the record is somebody else's

    for change in dict.fromkeys(it for row in found for one in row.problems for it in one.remedy.records):
        apply(zone, change, whole_sets=False)
    told = next(it.lines[0] for it in greeting.remedy.settings if it.server == "Exim")
    left = rows(await looked_at(zone, told.removeprefix("primary_hostname = ")))
    assert [it.rule.id for it in left] == ["spf.include-broken"]


async def test_two_fixes_of_one_name_are_one_record() -> None:
    """Whoever sets all records that are shown sets no second SPF record at any name."""
    found = rows(await looked_at(world(), "out.example.net"))
    records = [it for row in found for one in row.problems for it in one.remedy.records]
    assert len(records) > len(set(records))  # the missing record is shown by both checks
    names = [it.name for it in set(records)]
    assert len(names) == len(set(names))
    assert next(it.add for it in records if it.name == NONE[0]) == ("v=spf1 include:_spf.mailco.example ~all",)
