"""The only way out. A Net is made fresh for each run of a check and writes down every question and answer.

Checks never learn which resolver or connection serves them; they ask, and get an answer that says how far it can be
relied on, or CannotTell. The transcript is what a person reads when asking "why?".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from exporter.check_state import CheckState, RecordHistory
from exporter.clock import Clock
from exporter.facts import IP
from exporter.mail.dns import Evaluation, Question, Reply, ServerReply
from exporter.mail.dnsbl.blocklist import Blocklist
from exporter.model import Check, Door, Target
from exporter.net.dns.authoritative import AuthoritativeClient
from exporter.net.dnsbl.client import DnsblClient, ListCondition, ListVerdict, Subject
from exporter.net.https import LARGEST, Fetched, HttpsClient
from exporter.net.interfaces import DnsClient, HeldStates, believe
from exporter.net.rdap import RdapClient, RdapLookup
from exporter.net.smtp.client import SmtpClient
from exporter.net.smtp.ehlo import EhloResult
from exporter.net.smtp.probe import SmtpResult
from exporter.net.smtp.unreachable import Unreachable
from exporter.net.transcript import Transcript, shown
from exporter.targets import MailHost, Peer

C = TypeVar("C")
T = TypeVar("T")


class Net:
    """One run's view of the world. `blocklists` is the daemon's memory of them; without, this run has its own.

    `mail`, `web`, `rdap` and `authoritative` lead to mail hosts, web servers, registries and the servers of zones.
    `held` is what the checks hold. A check may use what it declares that it needs, and read the checks that it comes
    after: anything else is a bug, told as such.
    """

    def __init__(
        self,
        dns: DnsClient,
        clock: Clock,
        *,
        blocklists: DnsblClient | None = None,
        mail: SmtpClient | None = None,
        web: HttpsClient | None = None,
        rdap: RdapClient | None = None,
        held: HeldStates | None = None,
        authoritative: AuthoritativeClient | None = None,
    ) -> None:
        self._dns = dns
        self._mail = mail
        self._web = web
        self._rdap = rdap
        self._held = held
        self._authoritative = authoritative
        self._blocklists = blocklists or DnsblClient(clock)
        self._check: Check | None = None  # None: somebody who may do anything
        self.clock = clock
        self.transcript = Transcript()

    def serve(self, check: Check) -> None:
        """From now on this is the view of a run of that check."""
        self._check = check

    def _through(self, door: Door, client: C | None) -> C:
        """Raise RuntimeError for a door that is not there, or that the check does not declare."""
        if self._check and door not in self._check.doors:
            raise RuntimeError(f"the check {self._check.id} does not declare that it needs {door}")
        if client is None:
            raise RuntimeError(f"there is no {door} here: a check that needs it must not run")
        return client

    async def resolve(self, name: str, rdtype: str) -> Reply:
        """The conclusive answer; raise CannotTell when there is none."""
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
        """Whatever came back, conclusive or not: for evaluations that have a word of their own for doubt.

        `hide` takes a secret out of every text that is written down.
        """
        question = Question(name, rdtype)
        reply = await self._dns.ask(question, fresh=fresh, tcp=tcp)
        asked, got = str(question), shown(reply)
        if hide:
            asked, got = hide(asked), tuple(map(hide, got))
        self.transcript.note(asked, got, f"{reply.server} {reply.transport}", reply.seconds)
        return reply

    async def ask_server(self, server: IP, name: str, rdtype: str, *, tcp: bool = False) -> ServerReply:
        """Whatever one server of a zone itself says, conclusive or not."""
        question = Question(name, rdtype)
        reply = await self._through(Door.NAMESERVERS, self._authoritative).ask(server, question, tcp=tcp)
        via = "" if reply.passed_over else f"{server} {reply.transport}"
        self.transcript.note(f"{question} at {server}", shown(reply), via, reply.seconds)
        return reply

    def serial_lag(self, who: str, serials: set[int]) -> float:
        """Seconds for which some server of `who` has been behind a serial that another one had; 0 at first sight."""
        return self._authoritative.lag(who, serials) if self._authoritative else 0.0

    async def listed(self, subject: Subject, lists: Sequence[Blocklist]) -> list[ListVerdict]:
        """What each list that can hold the subject says of it."""
        return await self._through(Door.BLOCKLISTS, self._blocklists).listed(self, subject, lists)

    async def list_condition(self, blocklist: Blocklist) -> ListCondition:
        """How far the list's answers can be believed."""
        return await self._through(Door.BLOCKLISTS, self._blocklists).condition(self, blocklist)

    async def probe(self, target: MailHost, ip: IP) -> SmtpResult:
        """Talk with one address of a mail host. What cannot be told is in its `doubt`, not raised."""
        since = self.clock.monotonic()
        result = await self._through(Door.SMTP, self._mail).probe(target, ip)
        asked = f"SMTP {target.host} port {target.port} at {ip}"
        self.transcript.note(asked, result.lines, "smtp", self.clock.monotonic() - since)
        return result

    def unreachable(self, ip: IP, port: int) -> Unreachable | None:
        """Is it proven, by the conversations of other runs, that nobody gets in there? None: no, or not lately."""
        known = self._mail.unreachable.look(ip, port) if self._mail else None
        if known:
            self.transcript.note(f"SMTP port {port} at {ip}, when last visited", (known.how,), "memory")
        return known

    async def ehlo(self, server: Peer, ips: Sequence[IP], name: str) -> EhloResult:
        """Say a sender's name to a server of somebody else. What cannot be told is in its `doubt`, not raised."""
        since = self.clock.monotonic()
        said = await self._through(Door.EHLO, self._mail).ehlo(server, ips, name)
        asked = f'EHLO "{name}" to {server.name} port {server.port}'
        self.transcript.note(asked, said.lines, "smtp", self.clock.monotonic() - since)
        return said

    async def fetch(self, url: str, *, accept: str = "*/*", largest: int = LARGEST, redirects: int = 0) -> Fetched:
        """GET a URL, no redirect followed unless wanted. What cannot be told is in its `doubt`, not raised."""
        since = self.clock.monotonic()
        fetched = await self._through(Door.HTTPS, self._web).get(
            url, accept=accept, largest=largest, redirects=redirects
        )
        self.transcript.note(f"GET {url}", fetched.lines, "https", self.clock.monotonic() - since)
        return fetched

    async def registration(self, domain: str) -> RdapLookup:
        """What the registry of a domain says of it; raise CannotTell when it says nothing."""
        lines: list[str] = []
        since = self.clock.monotonic()
        try:
            return await self._through(Door.RDAP, self._rdap).look_up(domain, lines.append)
        finally:
            self.transcript.note(f"RDAP {domain}", tuple(lines), "https", self.clock.monotonic() - since)

    def state(self, check: str, target: str) -> CheckState | None:
        """What another check holds of the target with that key; None if it does not look at it.

        Noted is what is wrong or unsure: a fleet's clean verdicts are many, and can be looked up where they are.
        """
        if self._check and check not in self._check.after:
            raise RuntimeError(f"the check {self._check.id} does not declare that it comes after {check}")
        state = self._held.get(check, target) if self._held else None
        if state and (state.findings or state.doubt):
            ids = dict.fromkeys(active.finding.id for active in state.findings)
            doubt = (f"{state.doubt.reason}: {state.doubt.detail}",) if state.doubt else ()
            self.transcript.note(f"{check} of {target}", (*ids, *doubt), "memory")
        return state

    def remembered(self, target: Target, name: str) -> RecordHistory | None:
        """What the Record of that name was when this check last saw it, since when, and how it has changed."""
        state = self._held.get(self._check.id, target.key) if self._held and self._check else None
        return next((it for it in state.records if it.record.name == name), None) if state else None

    async def drive(self, evaluation: Evaluation[T]) -> T:
        """Play an evaluation of exporter/mail to its end, answering its questions."""
        try:
            question = next(evaluation)
            while True:
                question = evaluation.send(await self.query(*question))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # StopIteration carries it untyped
