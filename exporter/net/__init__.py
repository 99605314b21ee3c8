"""Net: the only way from a check to the network. Each run gets a new one, and it writes down every question and answer.

A check does not know which resolver or connection serves it. It asks, and gets an answer that says whether it is
conclusive, or CannotTell is raised. The transcript is what a person reads who asks why a verdict came out so.

It also notes what the result rests on (trace.py). Whatever a check gets by another way than a plain question to DNS
takes that trace away, unless it can be read again and compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf
from typing import TypeVar

from exporter.check_state import RecordHistory
from exporter.clock import Clock
from exporter.facts import IP, Finding, Record, Rule
from exporter.mail.dns import Evaluation, Question, Reply, ServerReply
from exporter.mail.dnsbl.blocklist import Blocklist
from exporter.model import Check, Door, OtherResult, Target
from exporter.net.dns.authoritative import AuthoritativeClient
from exporter.net.dns.silence import ZoneSilences
from exporter.net.dnsbl.client import DnsblClient
from exporter.net.dnsbl.questions import Subject
from exporter.net.dnsbl.verdict import ListCondition, ListVerdict
from exporter.net.https import LARGEST, Fetched, HttpsClient
from exporter.net.interfaces import CheckStates, DnsClient, Sweeper, believe
from exporter.net.rdap import RdapClient, RdapLookup
from exporter.net.smtp.client import SmtpClient
from exporter.net.smtp.ehlo import EhloResult
from exporter.net.smtp.probe import SmtpResult
from exporter.net.smtp.unreachable import Unreachable
from exporter.net.trace import Notes, Trace, in_order
from exporter.net.transcript import Transcript, shown
from exporter.targets import MailHost, Peer
from exporter.text import commas, printable

C = TypeVar("C")
T = TypeVar("T")

DAY = 86400.0  # seconds


class Net:
    """One run's view of the network, and of the results of other checks (`states`).

    Each client is shared by all runs of the daemon. Without `blocklists`, this run gets a client of its own. `fresh`:
    every DNS question goes past our own cache, because this run confirms what an earlier one saw. `sweeper` asks many
    questions at once of the same DNS; without it, they are asked singly.

    A check may use only the clients that it declares (`needs`, `may_need`), and read only the checks that it declares
    (`after`). Anything else raises RuntimeError, because it is a bug.
    """

    def __init__(
        self,
        dns: DnsClient,
        clock: Clock,
        *,
        fresh: bool = False,
        sweeper: Sweeper | None = None,
        blocklists: DnsblClient | None = None,
        mail: SmtpClient | None = None,
        web: HttpsClient | None = None,
        rdap: RdapClient | None = None,
        states: CheckStates | None = None,
        authoritative: AuthoritativeClient | None = None,
    ) -> None:
        self._dns = dns
        self._fresh = fresh
        self._mail = mail
        self._web = web
        self._rdap = rdap
        self._states = states
        self._authoritative = authoritative
        self._blocklists = blocklists or DnsblClient(clock, patience=0.0)
        self._check: Check | None = None  # None: no check, and everything is allowed
        self._sweeper = sweeper
        self._clock = clock
        self._notes = Notes()
        self.transcript = Transcript()
        self.questions: dict[Question, tuple[str, ...]] = {}  # of DNS by this run, and the aliases that it met

    def serve(self, check: Check) -> None:
        """Allow only what this check declares."""
        self._check = check

    @property
    def trace(self) -> Trace | None:
        """What the result rests on; None if nobody can tell later whether it still holds."""
        return self._notes.trace

    @property
    def clock(self) -> Clock:
        """Both clocks. A result that rests on them holds for this moment only; see `days_since`."""
        self._notes.beyond()
        return self._clock

    @property
    def sweeper(self) -> Sweeper | None:
        """Who asks many questions at once, for the blocklists."""
        self._notes.beyond()
        return self._sweeper

    def days_since(self, at: float) -> int:
        """The whole days from then (unix seconds) until now."""
        days = int((self._clock.wall() - at) // DAY)
        self._notes.between(at + days * DAY, at + (days + 1) * DAY)
        return days

    def _through(self, door: Door, client: C | None) -> C:
        """The client. Raise RuntimeError if there is none, or if the check does not declare that it needs it."""
        self._notes.beyond()
        if self._check and door not in self._check.doors:
            raise RuntimeError(f"the check {self._check.id} does not declare that it needs {door}")
        if client is None:
            raise RuntimeError(f"there is no {door} here: a check that needs it must not run")
        return client

    async def resolve(self, name: str, rdtype: str) -> Reply:
        """A conclusive answer. Raise CannotTell if there is none."""
        return believe(await self.query(name, rdtype))

    async def query(
        self,
        name: str,
        rdtype: str,
        *,
        fresh: bool = False,
        tcp: bool = False,
        hide: Callable[[str], str] | None = None,
    ) -> Reply:
        """The answer, conclusive or not: for evaluations that handle doubt themselves.

        `hide` removes a secret from each text that is written down.
        """
        question = Question(name, rdtype)
        self.questions.setdefault(question, ())  # also if the run ends before the answer comes
        reply = await self._dns.ask(question, fresh=fresh or self._fresh, tcp=tcp)
        if (ordered := in_order(reply.records)) != reply.records:
            reply = replace(reply, records=ordered)
        self.questions[question] = reply.chain
        if fresh or tcp or hide:
            self._notes.beyond()
        self._notes.answered(reply)
        asked, got = str(question), shown(reply)
        if hide:
            asked, got = hide(asked), tuple(map(hide, got))
        self.transcript.note(asked, got, f"{reply.server} {reply.transport}", reply.seconds)
        return reply

    async def ask_server(self, server: IP, name: str, rdtype: str, *, tcp: bool = False) -> ServerReply:
        """The answer of one server of a zone, conclusive or not."""
        question = Question(name, rdtype)
        client = self._through(Door.NAMESERVERS, self._authoritative)
        reply = await client.ask(server, question, tcp=tcp)
        if reply.authoritative:
            client.silences.witness(server, tcp=tcp)
        via = "" if reply.passed_over else f"{server} {reply.transport}"
        self.transcript.note(f"{question} at {server}", shown(reply), via, reply.seconds)
        return reply

    def zone_silences(self) -> ZoneSilences:
        """Which zones had no server that answered, in earlier runs too."""
        return self._through(Door.NAMESERVERS, self._authoritative).silences

    def serial_lag(self, who: str, serials: set[int], *, complete: bool) -> float:
        """For how many seconds a server of `who` has been behind the serial of another; 0 at first.

        `complete`: each server has told its serial.
        """
        self._notes.beyond()
        return self._authoritative.lag(who, serials, complete=complete) if self._authoritative else 0.0

    async def listed(self, subject: Subject, lists: Sequence[Blocklist], *, within: float = 0.0) -> list[ListVerdict]:
        """The verdict of each list that can list the subject. It may be up to `within` seconds old."""
        client, now = self._through(Door.BLOCKLISTS, self._blocklists), self._clock.monotonic()
        key = str(subject), *(blocklist.name for blocklist in lists)
        recent = client.recent.get(key, now - within, client.revision) if within else None
        if recent is not None:
            self.transcript.note(
                f"{subject} in {len(recent)} blocklists, when last asked", (_listed_by(recent),), "memory"
            )
            return recent
        verdicts = await client.listed(self, subject, lists)
        if within:
            client.recent.put(key, now, client.revision, verdicts)
        return verdicts

    async def list_condition(self, blocklist: Blocklist, *, ipv6: bool = False) -> ListCondition:
        """The health of the list; `ipv6`: for IPv6 addresses, too."""
        return await self._through(Door.BLOCKLISTS, self._blocklists).condition(self, blocklist, ipv6=ipv6)

    async def probe(self, target: MailHost, ip: IP) -> SmtpResult:
        """Talk with one address of a mail host. A doubt is in the result, not raised."""
        since = self._clock.monotonic()
        result = await self._through(Door.SMTP, self._mail).probe(target, ip)
        asked = f"SMTP {target.host} port {target.port} at {ip}"
        self.transcript.note(asked, result.lines, "smtp", self._clock.monotonic() - since)
        return result

    def unreachable(self, ip: IP, port: int) -> Unreachable | None:
        """Why the address is unreachable, if conversations of other runs have proven it lately; else None."""
        if self._mail is None:
            return None
        known = self._mail.unreachable.look(ip, port)
        self._notes.read(self._mail.unreachable.look, ip, port, found=known)
        if known:
            self.transcript.note(f"SMTP port {port} at {ip}, when last visited", (known.how,), "memory")
        return known

    async def ehlo(self, server: Peer, ips: Sequence[IP], name: str) -> EhloResult:
        """Say a sender's name to somebody else's server. A doubt is in the result, not raised."""
        since = self._clock.monotonic()
        said = await self._through(Door.EHLO, self._mail).ehlo(server, ips, name)
        asked = f'EHLO "{name}" to {server.name} port {server.port}'
        self.transcript.note(asked, said.lines, "smtp", self._clock.monotonic() - since)
        return said

    async def fetch(self, url: str, *, accept: str = "*/*", largest: int = LARGEST, redirects: int = 0) -> Fetched:
        """GET a URL, and follow at most `redirects` redirects. A doubt is in the result, not raised."""
        since = self._clock.monotonic()
        fetched = await self._through(Door.HTTPS, self._web).get(
            url, accept=accept, largest=largest, redirects=redirects
        )
        self.transcript.note(f"GET {url}", fetched.lines, "https", self._clock.monotonic() - since)
        return fetched

    async def registration(self, domain: str) -> RdapLookup:
        """What the registry says about a domain. Raise CannotTell if it says nothing."""
        lines: list[str] = []
        since = self._clock.monotonic()
        try:
            return await self._through(Door.RDAP, self._rdap).look_up(domain, lines.append)
        finally:
            self.transcript.note(f"RDAP {domain}", tuple(lines), "https", self._clock.monotonic() - since)

    def state(self, check: str, target: str) -> OtherResult | None:
        """The result of another check of the target with that key; None if that check does not look at it.

        The transcript notes findings and doubts only. A clean result is not noted, because a fleet has very many.
        """
        if self._check and check not in self._check.after:
            raise RuntimeError(f"the check {self._check.id} does not declare that it comes after {check}")
        if self._states is None:
            return None
        state = self._states.get(check, target)
        self._notes.other(self._states, check, target)
        if state and (state.findings or state.doubt):
            ids = dict.fromkeys(active.finding.id for active in state.findings)
            doubt = (f"{state.doubt.reason}: {state.doubt.detail}",) if state.doubt else ()
            self.transcript.note(f"{check} of {target}", (*ids, *doubt), "memory")
        return state

    def remembered(self, target: Target, name: str) -> RecordHistory | None:
        """The Record of that name as this check last saw it, with its latest changes."""
        return self._read(_remembered, target.key, name)

    def unchanged_since(self, target: Target, record: Record) -> float:
        """Since when this check has seen that Record as it is, in unix seconds; now if it is new."""
        known, now = self.remembered(target, record.name), self._clock.wall()
        since = known.now(record, now).confirmed(inf).since if known else now
        if since == now:
            self._notes.beyond()
        return since

    def active(self, target: Target, rule: Rule, **subject: object) -> Finding | None:
        """The active finding of this check. A doubt that could only keep it does not matter if there is none."""
        wanted = frozenset((name, printable(value)) for name, value in subject.items())
        return self._read(_active, target.key, rule.id, wanted)

    def _read(self, look: Callable[..., T | None], target: str, *what: object) -> T | None:
        """What this check itself is known to have found. Its trace looks there again."""
        if self._states is None or self._check is None:
            return None
        place = self._states, self._check.id, target, *what
        found = look(*place)
        self._notes.read(look, *place, found=found)
        return found

    async def drive(self, evaluation: Evaluation[T]) -> T:
        """Run an evaluation of exporter/mail, and answer its questions."""
        try:
            question = next(evaluation)
            while True:
                question = evaluation.send(await self.query(*question))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # StopIteration carries it untyped


def _remembered(states: CheckStates, check: str, target: str, name: str) -> RecordHistory | None:
    state = states.get(check, target)
    return next((it for it in state.records if it.record.name == name), None) if state else None


def _active(
    states: CheckStates, check: str, target: str, rule: str, wanted: frozenset[tuple[str, str]]
) -> Finding | None:
    state = states.get(check, target)
    findings = (active.finding for active in state.findings) if state else ()
    return next((it for it in findings if it.id == rule and wanted <= set(it.subject)), None)


def _listed_by(verdicts: Sequence[ListVerdict]) -> str:
    return commas(verdict.blocklist.name for verdict in verdicts if verdict.listing) or "not listed"
