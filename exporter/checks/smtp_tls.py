"""Does a mail host accept connections, and does it offer usable TLS (RFC 5321, RFC 3207, RFC 8314, RFC 8996)?

How bad a fault is depends on who connects:

- Mail servers connect to port 25. If they find no TLS or cannot verify the certificate, most of them deliver all the
  same (RFC 7435). The fault costs privacy and reputation: a warning.
- Mail programs connect to ports 465 and 587. They verify the certificate and refuse a bad one: critical.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import timedelta

from exporter.facts import Doubt, Expiry, Finding, Metric, Reason, Rule, Severity
from exporter.mail import names, smtp
from exporter.mail.certificate import Shown
from exporter.mail.dns import doubts
from exporter.mail.tls import Version
from exporter.model import Door, Fact, Facts, check
from exporter.net import Net
from exporter.net.smtp.probe import SmtpResult
from exporter.targets import MailHost
from exporter.text import day, minute


@check(over=MailHost, interval=timedelta(minutes=30), timeout=timedelta(seconds=120), needs={Door.SMTP})
async def smtp_tls(target: MailHost, net: Net) -> Facts:
    """Does the mail host answer, with TLS that its senders can use?"""
    replies = [await net.query(target.host, rdtype) for rdtype in ("A", "AAAA")]
    addresses = sorted({ip for reply in replies for ip in reply.addresses}, key=names.order)
    unsure = [*doubts(*replies)]
    yield unsure
    if not addresses:
        if not unsure:
            yield NO_ADDRESS(host=target.host, severity=_severity(target))
        return
    left_out = len(addresses) - MOST_ADDRESSES
    if left_out > 0:
        net.transcript.note(target.host, (f"{left_out} more addresses, which are not looked at",))
    results = await asyncio.gather(*(net.probe(target, ip) for ip in addresses[:MOST_ADDRESSES]))
    all_refuse = all(result.refused or result.passed_over for result in results)
    for result in results:
        yield _findings(target, result, net.clock.wall(), all_refuse=all_refuse)
    yield _samples(results)
    yield (result.doubt for result in results if result.doubt)
    if all(result.passed_over for result in results):
        yield Doubt(Reason.NETWORK, "; ".join(result.passed_over for result in results))


VERSION = Metric(
    "deliverability_smtp_tls_version_supported",
    "Whether the mail host speaks this version of TLS: 1.0 and 1.1 at any of its addresses, 1.2 and 1.3 at all.",
    ("version",),
)
NOT_AFTER = Metric(
    "deliverability_smtp_tls_certificate_not_after_timestamp_seconds",
    "When the certificate of the mail host expires, the earliest of its addresses.",
)
SIZE = Metric(
    "deliverability_smtp_size_limit_bytes",
    "Largest message that the mail host announces to take (SIZE), the smallest of its addresses.",
)
PHASE = Metric(
    "deliverability_smtp_phase_duration_seconds",
    "Duration of a phase of the SMTP conversation, the slowest of the mail host's addresses.",
    ("phase",),
)

OFFICE_365_TLS = (
    "Office 365: 550 5.7.321 starttls-not-supported: Destination mail server must support TLS to receive mail"
)

NO_ADDRESS = Rule(
    "smtp_tls.no-address",
    Severity.WARNING,
    says="{host} has no address, neither A nor AAAA",
    why="Nobody can connect to a mail host without an address: what should go there goes to the other hosts, or waits.",
    fix="Add an A or AAAA record for {host}, or take the name out of MX records and configurations.",
    ref="RFC 5321 section 5.1",
)
REFUSED = Rule(
    "smtp_tls.refused",
    Severity.CRITICAL,
    says="{ip} refuses connections to port {port} of {host}",
    why="Nothing listens there, or a firewall says no. Mail waits in the senders' queues, and comes back after days.",
    fix="Start the mail server on {ip} port {port}, or open that port in its firewall.",
    ref="RFC 5321 section 5.1",
    refusals=("Office 365: 450 4.4.316 Connection refused",),
    subjects=("ip",),
)
REJECTED = Rule(
    "smtp_tls.rejected",
    Severity.WARNING,
    says="{host} at {ip} answers {to} with {reply}",
    why="A permanent refusal before any mail was named. If it is said to everybody, the host takes no mail at all; "
    "if only to us, it says what it dislikes about our address or our HELO name.",
    fix="Read the reply, then allow this exporter's address in the access lists of {host}, or give its "
    "`smtp.helo_name` an address record that leads back.",
    ref="RFC 5321 sections 3.1, 4.3.2",
    subjects=("ip",),
)
UNREACHABLE = Rule(
    "smtp_tls.unreachable",
    Severity.WARNING,
    says="{host} at {ip} port {port} has not held a conversation since {since} ({runs} runs): {last}",
    why="Other mail hosts did talk to us meanwhile, so it is not our own network. Mail to this address waits.",
    fix="Look for what keeps {ip} from answering on port {port}: routing, a firewall, a full or stuck mail server.",
    ref="RFC 5321 section 4.5.4.1",
    subjects=("ip",),
)
SLOW_GREETING = Rule(
    "smtp_tls.slow-greeting",
    Severity.WARNING,
    says="{host} at {ip} takes {seconds} s to greet",
    why="Some senders and most testing tools give up after 10 to 15 seconds, though the standard grants five minutes.",
    fix="Shorten the greeting delay of {host}: DNS or blocklist look-ups that time out, or a tarpit set too long.",
    ref="RFC 5321 section 4.5.3.2.1",
    subjects=("ip",),
)
NO_STARTTLS = Rule(
    "smtp_tls.no-starttls",
    Severity.WARNING,
    says="{host} at {ip} port {port} does not offer STARTTLS",
    why="Mail to this host travels in clear. Senders that insist on TLS do not deliver it, and others mark it.",
    fix="Configure a certificate and TLS on {host} (Postfix: smtpd_tls_chain_files, smtpd_tls_security_level = may), "
    "and switch off SMTP inspection in firewalls before it, which hides the offer.",
    ref="RFC 3207 section 4; RFC 8314 section 3.3",
    refusals=(OFFICE_365_TLS, "Office 365: 550 5.4.317 STARTTLS is required to send mail"),
    subjects=("ip",),
)
TLS_FAILS = Rule(
    "smtp_tls.tls-fails",
    Severity.WARNING,
    says="TLS with {host} at {ip} port {port} fails: {how}",
    why="The host promises TLS and does not keep it. Many senders then do not fall back to clear text, and mail waits.",
    fix="Look in the log of {host} for our connection: most often the certificate or key file cannot be read, or the "
    "ciphers allowed do not suit the key.",
    ref="RFC 3207 section 4.1",
    refusals=(OFFICE_365_TLS,),
    subjects=("ip",),
)
STARTTLS_INJECTION = Rule(
    "smtp_tls.starttls-injection",
    Severity.WARNING,
    says="{host} at {ip} sent in clear behind its 220 to STARTTLS: {octets}",
    why="A client that takes this for a reply received under TLS believes what anybody on the way has written. It is "
    "a fault of the server or of something in between that rewrites SMTP.",
    fix="Find out what stands between here and {ip}, then update the mail server or remove the inspecting device.",
    ref="RFC 3207 sections 4, 6",
    subjects=("ip",),
)
OBSOLETE_ONLY = Rule(
    "smtp_tls.obsolete-only",
    Severity.WARNING,
    says="{host} at {ip} speaks no newer TLS than {version}",
    why="Current mail programs do not speak TLS 1.0 and 1.1 any more: they deliver in clear or not at all.",
    fix="Enable TLS 1.2 and 1.3 on {host} (Postfix: smtpd_tls_protocols = >=TLSv1.2).",
    ref="RFC 8996 sections 4, 5; RFC 9325 section 3.1.1",
    subjects=("ip",),
)
OBSOLETE_VERSION = Rule(
    "smtp_tls.obsolete-version",
    Severity.INFO,
    says="{host} at {ip} still accepts TLS {versions}",
    why="It harms no delivery: both sides take the best version they share, and for an old sender weak encryption is "
    "better than none (RFC 7435). But these versions must no longer be negotiated, and audits ask.",
    fix="Allow TLS 1.2 and newer only on {host} (Postfix: smtpd_tls_protocols = >=TLSv1.2).",
    ref="RFC 8996 sections 4, 5",
    subjects=("ip",),
)
CERTIFICATE_EXPIRED = Rule(
    "smtp_tls.certificate-expired",
    Severity.WARNING,
    says="the certificate of {host} at {ip} expired on {date}",
    why="Senders that verify (MTA-STS, and every program that submits mail) refuse it.",
    fix="Renew the certificate {subject} and reload the mail server, which goes on showing the old one until then.",
    ref="RFC 5280 section 4.1.2.5",
    refusals=("Office 365: 550 5.7.322 certificate-expired: Destination mail server's certificate is expired",),
    subjects=("ip",),
)
CERTIFICATE_NOT_YET_VALID = Rule(
    "smtp_tls.certificate-not-yet-valid",
    Severity.WARNING,
    says="the certificate of {host} at {ip} is not valid before {date}",
    why="Senders that verify (MTA-STS, and every program that submits mail) refuse it until then.",
    fix="Use a certificate that is valid now for {subject}, and compare the clock of the machine that issued it.",
    ref="RFC 5280 section 4.1.2.5",
    subjects=("ip",),
)
CERTIFICATE_EXPIRING = Rule(
    "smtp_tls.certificate-expiring",
    Severity.WARNING,
    says="the certificate of {host} at {ip} expires in {days} days, on {date}",
    why="By now renewal should have happened; when it does not, senders that verify will refuse the host.",
    fix="Renew the certificate {subject} and reload the mail server, which goes on showing the old one until then.",
    ref="RFC 5280 section 4.1.2.5",
    subjects=("ip",),
    expiry=Expiry("certificate", NOT_AFTER),
)
CERTIFICATE_NAME = Rule(
    "smtp_tls.certificate-name",
    Severity.WARNING,
    says="the certificate of {host} at {ip} is for other names: {names}",
    why="Senders that verify (MTA-STS, and every program that submits mail) refuse it.",
    fix="Get a certificate that has {host} among its subjectAltName entries.",
    ref="RFC 9525 section 6.3; RFC 8461 section 4.2",
    refusals=("Office 365: 550 5.7.325 certificate-host-mismatch: Remote certificate MUST have a common name",),
    subjects=("ip",),
)
CERTIFICATE_SELF_SIGNED = Rule(
    "smtp_tls.certificate-self-signed",
    Severity.WARNING,
    says="the certificate of {host} at {ip} is signed by nobody but itself",
    why="Senders that verify (MTA-STS, and every program that submits mail) refuse it.",
    fix="Get a certificate for {host} from a public authority, such as any that speaks ACME.",
    ref="RFC 5280 section 6.1; RFC 8461 section 4.2",
    subjects=("ip",),
)
CERTIFICATE_UNTRUSTED = Rule(
    "smtp_tls.certificate-untrusted",
    Severity.WARNING,
    says="no trusted authority stands behind the certificate of {host} at {ip}: issued by {issuer}, {length} sent",
    why="Senders that verify (MTA-STS, and every program that submits mail) refuse it.",
    fix="Configure the whole chain on {host}: its certificate first, then the intermediate ones that lead from "
    "{issuer} to a public root (Postfix: smtpd_tls_chain_files).",
    ref="RFC 8446 section 4.4.2; RFC 5280 section 6.1",
    subjects=("ip",),
)
CERTIFICATE_WEAK = Rule(
    "smtp_tls.certificate-weak",
    Severity.WARNING,
    says="the certificate of {host} at {ip} has {weak}",
    why="Current TLS libraries refuse it, and then mail is delivered in clear or not at all.",
    fix="Get a certificate for {host} with an RSA key of 2048 bits or an ECDSA key of 256, signed with SHA-256.",
    ref="RFC 9325 section 4.5",
    subjects=("ip",),
)
NO_SIZE = Rule(
    "smtp_tls.no-size",
    Severity.INFO,
    says="{host} at {ip} does not announce the largest message that it takes",
    why="Senders find out only after they have sent all of a message that is too large.",
    fix="Enable the SIZE extension on {host} (Postfix: message_size_limit).",
    ref="RFC 1870 section 4",
    subjects=("ip",),
)


SUBMISSION_PORTS = frozenset({465, 587})
MOST_ADDRESSES = 8
SLOW_SECONDS = 10.0
DAY = 86400.0
RENEWED_BY = 21 * DAY  # before the end; of shorter lives, when a quarter is left
LAST_CALL = 3 * DAY
PHASES = ("connect", "banner", "ehlo", "starttls", "tls")


def _severity(target: MailHost) -> Severity:
    return Severity.CRITICAL if target.port in SUBMISSION_PORTS else Severity.WARNING


def _findings(target: MailHost, result: SmtpResult, now: float, *, all_refuse: bool) -> Iterator[Finding]:
    """What is wrong at one address; `all_refuse`: every address of the host refuses."""
    host, ip, port, severity = target.host, result.ip, target.port, _severity(target)
    if result.refused:  # where another address may still be open, senders go there
        yield REFUSED(host=host, ip=ip, port=port, severity=Severity.CRITICAL if all_refuse else Severity.WARNING)
    if result.silence:
        since = minute(result.silence.since)
        yield UNREACHABLE(host=host, ip=ip, port=port, since=since, runs=result.silence.runs, last=result.last_words)
    if result.rejected:
        yield REJECTED(host=host, ip=ip, to=result.rejected.to, reply=result.rejected.reply)
    greeted_after = result.seconds.get("banner", 0.0)
    if greeted_after > SLOW_SECONDS:
        yield SLOW_GREETING(host=host, ip=ip, seconds=f"{greeted_after:.0f}")
    if result.starttls is False:
        yield NO_STARTTLS(host=host, ip=ip, port=port, severity=severity)
    if result.tls_failure:
        yield TLS_FAILS(host=host, ip=ip, port=port, how=result.tls_failure, severity=severity)
    if result.in_clear:
        yield STARTTLS_INJECTION(host=host, ip=ip, octets=result.in_clear)
    if result.secured:
        spoken = [version for version in Version if result.versions.get(version) or version is result.secured.version]
        if spoken[-1].obsolete:
            yield OBSOLETE_ONLY(host=host, ip=ip, version=spoken[-1], severity=severity)
        elif spoken[0].obsolete:
            versions = " and ".join(version for version in spoken if version.obsolete)
            yield OBSOLETE_VERSION(host=host, ip=ip, versions=versions)
    if result.shown:
        yield from _certificate(target, result, result.shown, now)
    if result.offered is not None and "SIZE" not in result.offered:
        yield NO_SIZE(host=host, ip=ip)


def _certificate(target: MailHost, result: SmtpResult, shown: Shown, now: float) -> Iterator[Finding]:
    host, ip, severity, leaf = target.host, result.ip, _severity(target), shown.leaf
    left = leaf.not_after - now
    if left <= 0:
        yield CERTIFICATE_EXPIRED(host=host, ip=ip, date=day(leaf.not_after), subject=leaf.subject, severity=severity)
    elif now < leaf.not_before:
        yield CERTIFICATE_NOT_YET_VALID(
            host=host, ip=ip, date=day(leaf.not_before), subject=leaf.subject, severity=severity
        )
    elif left < min(RENEWED_BY, (leaf.not_after - leaf.not_before) / 4):
        urgent = severity if left < LAST_CALL else Severity.WARNING
        days, date = f"{left / DAY:.0f}", day(leaf.not_after)
        yield CERTIFICATE_EXPIRING(host=host, ip=ip, days=days, date=date, subject=leaf.subject, severity=urgent)
    if not leaf.matches(host):
        yield CERTIFICATE_NAME(host=host, ip=ip, names=", ".join(leaf.names) or "none at all", severity=severity)
    if leaf.weak:
        yield CERTIFICATE_WEAK(host=host, ip=ip, weak=leaf.weak, severity=severity)
    if shown.trusted is False:
        if leaf.self_signed:
            yield CERTIFICATE_SELF_SIGNED(host=host, ip=ip, severity=severity)
        else:
            yield CERTIFICATE_UNTRUSTED(host=host, ip=ip, issuer=leaf.issuer, length=shown.length, severity=severity)


def _samples(results: Sequence[SmtpResult]) -> Iterator[Fact]:
    for version in Version:
        supported = _supported(version, [result for result in results if not result.passed_over])
        if supported is not None:
            yield VERSION(supported, version=version)
    ends = [result.shown.leaf.not_after for result in results if result.shown]
    if ends:
        yield NOT_AFTER(min(ends))
    limits = [limit for result in results if (limit := smtp.size_limit(result.offered or {})) is not None]
    if limits:
        yield SIZE(min(limits))
    for phase in PHASES:
        took = [result.seconds[phase] for result in results if phase in result.seconds]
        if took:
            yield PHASE(max(took), phase=phase)


def _supported(version: Version, results: Sequence[SmtpResult]) -> bool | None:
    """The worse answer of all addresses: an old version that one speaks, a new one that one lacks."""
    answers = [result.versions.get(version) for result in results]
    if version.obsolete in answers:
        return version.obsolete
    return None if None in answers or not answers else not version.obsolete
