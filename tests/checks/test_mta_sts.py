"""What the scenarios of mta_sts cannot say: every way a fetch can fail, and records that change while we look."""

from __future__ import annotations

import dns.rrset
import pytest

from exporter.checks.mta_sts.check import mta_sts as check
from exporter.checks.smtp_tls.certificate import CERTIFICATE_EXPIRED
from exporter.checks.smtp_tls.check import smtp_tls
from exporter.demo.nameserver import ZoneData
from exporter.engine.evaluate import evaluate
from exporter.engine.store import Store
from exporter.facts import Doubt, Finding, Reason
from exporter.mail.mta_sts import policy_url
from exporter.model import Outcome
from exporter.net import Net
from exporter.net.https import LARGEST, Failure, Fetched
from exporter.targets import Domain, MailHost
from tests.support.checks import taken
from tests.support.clock import FakeClock
from tests.support.memory import MemoryResolver

EXAMPLE = Domain(name="example.com", mail_from=("example.com",))
HOST = MailHost(host="mx.example.com")
URL = policy_url("example.com")
ZONE = """
example.com.           MX   10 mx.example.com.
mx.example.com.        A    192.0.2.25
_mta-sts.example.com.  TXT  "v=STSv1; id=1"
"""
HOUR, DAY = 3600.0, 86400.0


def policy(*, hosts: tuple[str, ...] = ("mx.example.com",), max_age: int = 604800) -> str:
    return "\n".join(("version: STSv1", "mode: enforce", *(f"mx: {host}" for host in hosts), f"max_age: {max_age}"))


class World(Net):
    """A web that answers as it is told."""

    answer: Fetched
    fetched: list[str]

    async def fetch(self, url: str, *, accept: str = "*/*", largest: int = LARGEST, redirects: int = 0) -> Fetched:
        assert not redirects
        self.fetched.append(url)
        return self.answer


class Domains:
    """One domain, looked at again and again; what is held lasts from one look to the next."""

    def __init__(self, zone: str = ZONE) -> None:
        self.zone, self.clock, self.store = ZoneData(zone), FakeClock(), Store()
        self.store.hold(check, EXAMPLE)
        self.answer = page(policy())
        self.fetched: list[str] = []

    def net(self) -> Net:
        net = World(MemoryResolver(self.zone), self.clock, states=self.store)
        net.answer, net.fetched = self.answer, self.fetched
        return net

    def publish(self, *, id: str = "", text: str = "") -> None:  # noqa: A002  (its name in the record)
        if id:
            self.zone.put(dns.rrset.from_text("_mta-sts.example.com.", 300, "IN", "TXT", f'"v=STSv1; id={id}"'))
        if text:
            self.answer = page(text)

    async def look(self, after: float = HOUR) -> Outcome:
        self.clock.pass_(after)
        outcome = await evaluate(check, EXAMPLE, self.net, self.clock)
        taken(self.store, outcome)
        return outcome

    async def kept(self, after: float = HOUR) -> bool:
        """Is the id found to be that of an older policy?"""
        outcome = await self.look(after)
        assert outcome.doubt is None
        return "mta_sts.id-unchanged" in ids(outcome)


def page(text: str, status: int = 200) -> Fetched:
    return Fetched(URL, status, text.encode(), content_type="text/plain")


def ids(outcome: Outcome) -> set[str]:
    return {finding.id for finding in outcome.findings}


FACTS = {
    Failure.NO_ADDRESS: "mta_sts.policy-unreachable",
    Failure.NOT_PUBLIC: "mta_sts.policy-unreachable",
    Failure.REFUSED: "mta_sts.policy-unreachable",
    Failure.TLS: "mta_sts.policy-unreachable",
    Failure.CERTIFICATE: "mta_sts.policy-certificate",
    Failure.TOO_LARGE: "mta_sts.policy-too-large",
}


@pytest.mark.parametrize("failure", Failure)
async def test_a_failure_is_a_fact_if_every_sender_meets_it_and_else_a_doubt(failure: Failure) -> None:
    domains = Domains()
    domains.answer = Fetched(URL, failure=failure, trouble=Doubt(Reason.NETWORK, "so it went"))
    outcome = await domains.look()
    if failure in FACTS:
        assert (ids(outcome), outcome.doubt) == ({FACTS[failure]}, None)
    else:
        assert (ids(outcome), outcome.doubt) == (set(), Doubt(Reason.NETWORK, "so it went"))
    assert not outcome.samples
    assert [record.name for record in outcome.records] == ["_mta-sts.example.com TXT"], "no policy was seen"


@pytest.mark.parametrize(
    ("status", "finding", "reason"),
    [
        (204, "mta_sts.policy-missing", None),
        (302, "mta_sts.policy-missing", None),
        (403, "mta_sts.policy-missing", None),
        (410, "mta_sts.policy-missing", None),
        (429, None, Reason.TEMPFAIL),
        (500, None, Reason.TEMPFAIL),
        (503, None, Reason.TEMPFAIL),
    ],
)
async def test_only_200_brings_a_policy(status: int, finding: str | None, reason: Reason | None) -> None:
    domains = Domains()
    domains.answer = page(policy(), status)
    outcome = await domains.look()
    assert ids(outcome) == ({finding} if finding else set())
    assert (outcome.doubt and outcome.doubt.reason) == reason


@pytest.mark.parametrize("record", ["", '_mta-sts.example.com. TXT "v=STSv1; id=?"'])
async def test_nothing_is_fetched_without_a_record_that_counts(record: str) -> None:
    domains = Domains(f"example.com. MX 10 mx.example.com.\n{record}")
    await domains.look()
    assert domains.fetched == []


async def test_a_policy_that_stays_needs_no_new_id() -> None:
    domains = Domains()
    assert [await domains.kept() for _ in range(3)] == [False] * 3
    domains.publish(id="2")
    assert not await domains.kept()
    domains.publish(text="\r\n".join(reversed(policy().split("\n"))) + "\r\n")
    assert [await domains.kept() for _ in range(2)] == [False] * 2, "the same lines in another order"


async def test_a_new_policy_under_the_old_id_is_told_until_there_is_a_new_one() -> None:
    domains = Domains()
    await domains.look()
    domains.publish(text=policy(max_age=1209600))
    assert not await domains.kept(), "it has only just come: its id comes behind it"
    assert not await domains.kept(600)
    assert [await domains.kept() for _ in range(3)] == [True] * 3
    domains.publish(id="2")
    assert [await domains.kept() for _ in range(3)] == [False] * 3


async def test_a_new_id_at_once_or_soon_is_as_it_should_be() -> None:
    for together in (True, False):
        domains = Domains()
        await domains.look()
        domains.publish(text=policy(max_age=1209600), id="2" if together else "")
        assert not await domains.kept()
        domains.publish(id="2")
        assert [await domains.kept() for _ in range(3)] == [False] * 3


async def test_an_id_that_changed_before_the_policy_did_is_too_old_for_it() -> None:
    domains = Domains()
    await domains.look()
    domains.publish(id="2")
    await domains.look()
    domains.publish(text=policy(max_age=1209600))
    await domains.look()
    assert await domains.kept(), "who came in between keeps the old text under the new id"


async def test_each_new_policy_wants_an_id_of_its_own() -> None:
    domains = Domains()
    await domains.look()
    domains.publish(text=policy(max_age=1209600), id="2")
    await domains.look()
    assert not await domains.kept()
    domains.publish(text=policy(max_age=2419200))
    await domains.look()
    outcome = await domains.look()
    (found,) = (finding for finding in outcome.findings if finding.id == "mta_sts.id-unchanged")
    assert dict(found.evidence)["id"] == "2"
    domains.publish(id="1")
    assert not await domains.kept(), "an older id is another one, too"


async def test_an_outage_between_is_no_change() -> None:
    domains = Domains()
    await domains.look()
    domains.answer = Fetched(URL, failure=Failure.TIMEOUT, trouble=Doubt(Reason.NETWORK, "silence"))
    await domains.look()
    domains.publish(text=policy())
    assert [await domains.kept() for _ in range(2)] == [False] * 2


def in_testing(*hosts: str) -> str:
    return policy(hosts=("mx.example.com", *hosts)).replace("enforce", "testing")


async def level(domains: Domains, after: float) -> str:
    outcome = await domains.look(after)
    (found,) = (finding for finding in outcome.findings if finding.id == "mta_sts.policy-testing")
    return found.severity


async def test_a_test_may_take_ninety_days_whatever_else_changes_in_the_policy() -> None:
    domains = Domains()
    await domains.look()
    domains.publish(text=in_testing(), id="2")
    assert await level(domains, 30 * DAY) == "info"
    domains.publish(text=in_testing("mx2.example.com"), id="3")
    assert await level(domains, 45 * DAY) == "info"
    assert await level(domains, 44 * DAY) == "info"
    assert await level(domains, DAY) == "warning"
    domains.publish(text=policy(), id="4")
    assert "mta_sts.policy-testing" not in ids(await domains.look())
    domains.publish(text=in_testing(), id="5")
    assert await level(domains, HOUR) == "info", "a second test has ninety days of its own"


def standing(domains: Domains) -> set[str]:
    state = domains.store.get("mta_sts", EXAMPLE.key)
    assert state is not None
    return {active.finding.id for active in state.findings}


def down(failure: Failure | None = Failure.TIMEOUT, status: int = 0) -> Fetched:
    return Fetched(URL, status, failure=failure, trouble=Doubt(Reason.NETWORK, "silence") if failure else None)


async def test_a_finding_ends_when_its_own_question_is_answered_and_stays_while_it_is_not() -> None:
    """Each is found, then repaired while something else is in doubt; and is kept while it is itself in doubt."""
    domains = Domains(f'{ZONE}_mta-sts.example.com. TXT "v=STSv1; id=2"')
    await domains.look()
    assert standing(domains) == {"mta_sts.multiple-records"}
    domains.zone = ZoneData(ZONE)
    domains.answer = down()
    await domains.look()
    assert standing(domains) == set(), "the record is one again, whatever becomes of the policy"

    domains.answer = page(policy(hosts=("other.example.com",), max_age=60))
    await domains.look()
    found = {"mta_sts.mx-not-listed", "mta_sts.pattern-unused", "mta_sts.short-max-age"}
    assert standing(domains) == found
    domains.answer = down()
    await domains.look()
    assert standing(domains) == found, "nothing was learnt of the policy"
    domains.answer = page(policy(hosts=("other.example.com",)))
    domains.zone = ZoneData(f"; servfail: example.com. MX\n{ZONE}")
    await domains.look()
    assert standing(domains) == found - {"mta_sts.short-max-age"}, "the policy is known, and the MX records are not"


@pytest.mark.parametrize(("answer", "ends"), [(down(None, 503), True), (down(), False), (down(Failure.BLIND), False)])
async def test_who_says_503_under_a_good_certificate_has_a_good_certificate(answer: Fetched, ends: bool) -> None:
    domains = Domains()
    domains.answer = down(Failure.CERTIFICATE)
    await domains.look()
    assert standing(domains) == {"mta_sts.policy-certificate"}
    domains.answer = answer
    await domains.look()
    assert (standing(domains) == set()) is ends


def expired(ip: str) -> Finding:
    return CERTIFICATE_EXPIRED(host=HOST.host, ip=ip, date="2026-01-01", subject="CN=mx")


async def test_of_mail_hosts_only_what_smtp_tls_holds_is_said() -> None:
    domains = Domains()
    outcome = await domains.look()
    assert ids(outcome) == set()
    assert any("it does not check this port" in line for exchange in outcome.transcript for line in exchange.got)
    domains.store.hold(smtp_tls, HOST)
    assert ids(await domains.look()) == set(), "no run has ended yet"
    found = (expired("192.0.2.25"),)
    domains.store.record(Outcome(smtp_tls, HOST, found, (), (), (), 1, 1))
    assert ids(await domains.look()) == {"mta_sts.certificate"}
    domains.store.record(Outcome(smtp_tls, HOST, (), (), (Doubt(Reason.NETWORK, "silence"),), (), 2, 1))
    assert ids(await domains.look()) == {"mta_sts.certificate"}, "what is proven stands until it is proven wrong"
    domains.store.record(Outcome(smtp_tls, HOST, (), (), (), (), 3, 1))
    assert ids(await domains.look()) == set()
