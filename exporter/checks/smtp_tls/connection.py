"""What can be wrong with the conversation and with TLS itself (RFC 5321, RFC 3207, RFC 8996)."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.checks.smtp_tls.severity import severity_at
from exporter.facts import Finding, Rule, Severity
from exporter.mail import host_remedies
from exporter.mail.tls import Version
from exporter.net.smtp.probe import SmtpResult
from exporter.targets import MailHost
from exporter.text import minute

OFFICE_365_TLS = (
    "Office 365: 550 5.7.321 starttls-not-supported: Destination mail server must support TLS to receive mail"
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
    certain=True,
    subjects=("ip",),
)
NO_SMTP = Rule(
    "smtp_tls.no-smtp",
    Severity.CRITICAL,
    says="{ip} port {port} of {host} speaks {protocol}, and not SMTP",
    why="No mail gets in there. Most often a service was moved to this port, or a port was forwarded to the wrong one.",
    fix="Let the mail server listen on {ip} port {port} in place of the service that speaks {protocol}.",
    ref="RFC 5321 section 3.1",
    subjects=("ip",),
)
INSPECTED = Rule(
    "smtp_tls.inspected",
    Severity.WARNING,
    says="a firewall before {host} at {ip} rewrites SMTP: {signs}",
    why="The SMTP inspection of Cisco ASA and PIX crosses out what it does not know, STARTTLS among it. Mail then goes "
    "in clear, and senders that insist on TLS do not deliver it. While TLS is still offered, it is information.",
    fix="Switch SMTP inspection off in the firewall before {ip} (Cisco ASA: no inspect esmtp; PIX: no fixup protocol "
    "smtp {port}).",
    ref="RFC 5321 section 4.1.1.1; Cisco ASA configuration guide, ESMTP inspection",
    refusals=(OFFICE_365_TLS,),
    subjects=("ip",),
)
STARTTLS_GONE = Rule(
    "smtp_tls.starttls-gone",
    Severity.WARNING,
    says="{host} at {ip} port {port} does not offer STARTTLS any more; it last did on {last}",
    why="Either TLS broke on the host, or something on the way takes the offer away. Mail now travels in clear, and "
    "senders that insist on TLS do not deliver it.",
    fix="Look for what changed on {host} since {last}: a certificate or key file that cannot be read, a new firewall "
    "with SMTP inspection.",
    ref="RFC 3207 sections 4, 6; RFC 7435 section 3",
    certain=True,
    refusals=(OFFICE_365_TLS,),
    subjects=("ip",),
)
SLOW_GREETING = Rule(
    "smtp_tls.slow-greeting",
    Severity.INFO,
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
    remedy=host_remedies.offer_tls,
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
STARTTLS_COMMAND_INJECTION = Rule(
    "smtp_tls.starttls-command-injection",
    Severity.WARNING,
    says="{host} at {ip} executes under TLS a command that was said in clear behind STARTTLS",
    why="Whoever is on the way can put commands of his own before those of the client, and take over its mail or its "
    "password (CVE-2011-0411).",
    fix="Update the mail server or the TLS proxy on {host}: it must forget what it has read when TLS begins.",
    ref="RFC 3207 section 4.2; CVE list, CVE-2011-0411",
    subjects=("ip",),
)
OUTDATED_CIPHERS = Rule(
    "smtp_tls.outdated-ciphers",
    Severity.WARNING,
    says="{host} at {ip} has no TLS that current OpenSSL accepts by default: {how}",
    why="Senders with a current library give TLS up there: they deliver in clear or not at all.",
    fix="Let {host} use ECDHE with AES-GCM or ChaCha20 and TLS 1.3, and a Diffie-Hellman group of 2048 bits if any "
    "(Postfix: smtpd_tls_mandatory_ciphers = medium, smtpd_tls_dh1024_param_file unset).",
    ref="RFC 9325 sections 4.2, 4.4; OpenSSL SSL_CTX_set_security_level(3), level 2",
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
    remedy=host_remedies.speak_newer_tls,
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
    remedy=host_remedies.speak_newer_tls,
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


OF_CONNECTIONS = (
    REFUSED,
    REJECTED,
    UNREACHABLE,
    NO_SMTP,
    INSPECTED,
    STARTTLS_GONE,
    SLOW_GREETING,
    NO_STARTTLS,
    TLS_FAILS,
    STARTTLS_INJECTION,
    STARTTLS_COMMAND_INJECTION,
    OUTDATED_CIPHERS,
    OBSOLETE_ONLY,
    OBSOLETE_VERSION,
    NO_SIZE,
)
SLOW_SECONDS = 10.0


def shut(result: SmtpResult) -> bool:
    """Is it proven that no mail gets in at this address, or can we not reach it?"""
    return result.refused or bool(result.other_protocol or result.passed_over)


def of_connection(target: MailHost, result: SmtpResult, *, all_shut: bool) -> Iterator[Finding]:
    """What is wrong at one address; `all_shut`: every address of the host is."""
    host, ip, port, severity = target.host, result.ip, target.port, severity_at(target)
    lost = Severity.CRITICAL if all_shut else Severity.WARNING  # where another may still be open, senders go there
    if result.refused:
        yield REFUSED(host=host, ip=ip, port=port, severity=lost)
    if result.other_protocol:
        yield NO_SMTP(host=host, ip=ip, port=port, protocol=result.other_protocol, severity=lost)
    if result.silence:
        since = minute(result.silence.since)
        yield UNREACHABLE(host=host, ip=ip, port=port, since=since, runs=result.silence.runs, last=result.last_words)
    if result.rejected:
        yield REJECTED(host=host, ip=ip, to=result.rejected.to, reply=result.rejected.reply)
    greeted_after = result.seconds.get("banner", 0.0)
    if greeted_after > SLOW_SECONDS:
        yield SLOW_GREETING(host=host, ip=ip, seconds=f"{greeted_after:.0f}")
    if result.inspected:
        harmless = bool(result.starttls or result.secured)  # a masked greeting alone keeps no mail away
        level = Severity.INFO if harmless else severity
        yield INSPECTED(host=host, ip=ip, port=port, signs=result.inspected, severity=level)
    if result.starttls is False:
        yield from _without_starttls(target, result, severity)
    if result.tls_failure:
        yield TLS_FAILS(host=host, ip=ip, port=port, how=result.tls_failure, severity=severity)
    if result.in_clear:
        yield STARTTLS_INJECTION(host=host, ip=ip, octets=result.in_clear)
    if result.obeys_clear_text:
        yield STARTTLS_COMMAND_INJECTION(host=host, ip=ip)
    if result.outdated:
        yield OUTDATED_CIPHERS(host=host, ip=ip, how=result.outdated, severity=severity)
    if result.secured:
        spoken = [version for version in Version if result.versions.get(version) or version is result.secured.version]
        if spoken[-1].obsolete:
            yield OBSOLETE_ONLY(host=host, ip=ip, version=spoken[-1], severity=severity)
        elif spoken[0].obsolete:
            versions = " and ".join(version for version in spoken if version.obsolete)
            yield OBSOLETE_VERSION(host=host, ip=ip, versions=versions)
    if result.offered is not None and "SIZE" not in result.offered:
        yield NO_SIZE(host=host, ip=ip)


def _without_starttls(target: MailHost, result: SmtpResult, severity: Severity) -> Iterator[Finding]:
    """No STARTTLS. It is info if another finding names the cause or the end of the offer: one fault, one alert."""
    host, ip, port = target.host, result.ip, target.port
    if result.starttls_last is not None:
        yield STARTTLS_GONE(host=host, ip=ip, port=port, last=minute(result.starttls_last), severity=severity)
    explained = result.inspected or result.starttls_last is not None
    yield NO_STARTTLS(host=host, ip=ip, port=port, severity=Severity.INFO if explained else severity)


def left_open(result: SmtpResult) -> Iterator[Rule]:
    """The findings that a conversation leaves open if it ended in doubt."""
    yield UNREACHABLE
    if "connect" not in result.seconds:
        yield REFUSED
    if not result.greeting:
        yield from (NO_SMTP, SLOW_GREETING)
    if result.offered is None:
        yield from (REJECTED, INSPECTED, NO_SIZE)
    if result.starttls is None and not result.secured:
        yield from (NO_STARTTLS, STARTTLS_GONE)
    if not result.secured:
        yield from (STARTTLS_INJECTION, OBSOLETE_ONLY)
    if not result.secured or result.secured.asks_for_certificate:  # who insists on one breaks off behind the handshake
        yield TLS_FAILS
    # They are asked on further connections, and not while the first one is in doubt.
    yield from (OBSOLETE_VERSION, OUTDATED_CIPHERS, STARTTLS_COMMAND_INJECTION)
