"""The only way out. A Net is made fresh for each run of a check and writes down every question and answer.

Checks never learn which resolver or connection serves them; they ask, and get a conclusive answer or
CannotTell. The transcript is what a person reads when asking "why?".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from exporter.mail.dns import Evaluation, Question, Reply, ServerReply
from exporter.mail.dnsbl.blocklist import Blocklist
from exporter.model import IP, Clock, Known, RecordHistory
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

T = TypeVar("T")


class Net:
    """One run's view of the world. `blocklists` is the daemon's memory of them; without, this run has its own.

    `mail` is the door to mail hosts, `web` that to web servers, `rdap` that to registries, `authoritative` that to the
    servers of zones; without them no check that talks to these may run.
    `held` is what the other checks hold, for those that only draw conclusions.
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
        self.clock = clock
        self.transcript = Transcript()

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
        if self._authoritative is None:
            raise RuntimeError("no Authoritative was given, so checks of zones must be switched off")
        question = Question(name, rdtype)
        reply = await self._authoritative.ask(server, question, tcp=tcp)
        via = "" if reply.passed_over else f"{server} {reply.transport}"
        self.transcript.note(f"{question} at {server}", shown(reply), via, reply.seconds)
        return reply

    def serial_lag(self, who: str, serials: set[int]) -> float:
        """Seconds for which some server of `who` has been behind a serial that another one had; 0 at first sight."""
        return self._authoritative.lag(who, serials) if self._authoritative else 0.0

    async def listed(self, subject: Subject, lists: Sequence[Blocklist]) -> list[ListVerdict]:
        """What each list that can hold the subject says of it."""
        return await self._blocklists.listed(self, subject, lists)

    async def list_condition(self, blocklist: Blocklist) -> ListCondition:
        """How far the list's answers can be believed."""
        return await self._blocklists.condition(self, blocklist)

    async def probe(self, target: MailHost, ip: IP) -> SmtpResult:
        """Talk with one address of a mail host. What cannot be told is in its `doubt`, not raised."""
        if self._mail is None:
            raise RuntimeError("no Mail was given, so checks of mail hosts must be switched off")
        since = self.clock.monotonic()
        result = await self._mail.probe(target, ip)
        asked = f"SMTP {target.host} port {target.port} at {ip}"
        self.transcript.note(asked, result.lines, "smtp", self.clock.monotonic() - since)
        return result

    def unreachable(self, ip: IP, port: int) -> Unreachable | None:
        """Is it proven, by the dialogues of others, that nobody gets in there? None: no, or not lately."""
        known = self._mail.unreachable.look(ip, port) if self._mail else None
        if known:
            self.transcript.note(f"SMTP port {port} at {ip}, when last visited", (known.how,), "memory")
        return known

    async def ehlo(self, server: Peer, ips: Sequence[IP], name: str) -> EhloResult:
        """Say a sender's name to a server of somebody else. What cannot be told is in its `doubt`, not raised."""
        if self._mail is None:
            raise RuntimeError("no Mail was given, so checks of mail hosts must be switched off")
        since = self.clock.monotonic()
        said = await self._mail.ehlo(server, ips, name)
        asked = f'EHLO "{name}" to {server.name} port {server.port}'
        self.transcript.note(asked, said.lines, "smtp", self.clock.monotonic() - since)
        return said

    async def fetch(self, url: str, *, accept: str = "*/*", largest: int = LARGEST, redirects: int = 0) -> Fetched:
        """GET a URL, no redirect followed unless wanted. What cannot be told is in its `doubt`, not raised."""
        if self._web is None:
            raise RuntimeError("no Https was given, so checks of what is published there must be switched off")
        since = self.clock.monotonic()
        fetched = await self._web.get(url, accept=accept, largest=largest, redirects=redirects)
        self.transcript.note(f"GET {url}", fetched.lines, "https", self.clock.monotonic() - since)
        return fetched

    async def registration(self, domain: str) -> RdapLookup:
        """What the registry of a domain says of it; raise CannotTell when it says nothing."""
        if self._rdap is None:
            raise RuntimeError("no Rdap was given, so checks of registrations must be switched off")
        lines: list[str] = []
        since = self.clock.monotonic()
        try:
            return await self._rdap.look_up(domain, lines.append)
        finally:
            self.transcript.note(f"RDAP {domain}", tuple(lines), "https", self.clock.monotonic() - since)

    def known(self, check: str, target: str) -> Known | None:
        """What another check holds of the target with that key; None if it does not look at it.

        Noted is what is wrong or unsure: a fleet's clean verdicts are many, and can be looked up where they are.
        """
        if self._held is None:
            raise RuntimeError("no Holds was given, so checks that rest on others must be switched off")
        known = self._held.known(check, target)
        if known and (known.findings or known.doubt):
            ids = dict.fromkeys(finding.id for finding in known.findings)
            doubt = (f"{known.doubt.reason}: {known.doubt.detail}",) if known.doubt else ()
            self.transcript.note(f"{check} of {target}", (*ids, *doubt), "memory")
        return known

    def remembered(self, check: str, target: str, name: str) -> RecordHistory | None:
        """What the Record of that name was when that check last saw it, since when, and how it has changed."""
        known = self._held.known(check, target) if self._held else None
        return next((it for it in known.records if it.record.name == name), None) if known else None

    async def drive(self, evaluation: Evaluation[T]) -> T:
        """Play an evaluation of exporter/mail to its end, answering its questions."""
        try:
            question = next(evaluation)
            while True:
                question = evaluation.send(await self.query(*question))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # StopIteration carries it untyped
