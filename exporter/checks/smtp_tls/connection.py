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
    why="No server listens there, or a firewall rejects the connection. Mail is queued at the senders, then bounces.",
    fix="Start the mail server on {ip} port {port}, or open that port in its firewall.",
    ref="RFC 5321 section 5.1",
    refusals=("Office 365: 450 4.4.316 Connection refused",),
    subjects=("ip",),
)
REJECTED = Rule(
    "smtp_tls.rejected",
    Severity.WARNING,
    says="{host} at {ip} answers {to} with {reply}",
    why="The host rejects permanently before any mail. If it rejects everybody, it accepts no mail. If only us, it "
    "dislikes our address or our HELO name.",
    fix="Read the reply, then allow this exporter's address in the access lists of {host}. Or give its "
    "`smtp.helo_name` an address record that matches.",
    ref="RFC 5321 sections 3.1, 4.3.2",
    subjects=("ip",),
)
UNREACHABLE = Rule(
    "smtp_tls.unreachable",
    Severity.WARNING,
    says="{host} at {ip} port {port}: no successful SMTP session since {since} ({runs} runs): {last}",
    why="Other mail hosts did answer, so it is not our own network. Mail to this address is queued.",
    fix="Find out what keeps {ip} from answering on port {port}: routing, a firewall, a full or stuck mail server.",
    ref="RFC 5321 section 4.5.4.1",
    certain=True,
    subjects=("ip",),
)
NO_SMTP = Rule(
    "smtp_tls.no-smtp",
    Severity.CRITICAL,
    says="{ip} port {port} of {host} speaks {protocol}, not SMTP",
    why="No mail is accepted there. Most often a service was moved to this port, or a port forwarding is wrong.",
    fix="Make the mail server listen on {ip} port {port} instead of the {protocol} service.",
    ref="RFC 5321 section 3.1",
    subjects=("ip",),
)
INSPECTED = Rule(
    "smtp_tls.inspected",
    Severity.WARNING,
    says="a firewall in front of {host} at {ip} rewrites SMTP: {signs}",
    why="SMTP inspection of Cisco ASA and PIX hides what it does not know, also STARTTLS. Mail is then unencrypted, "
    "and senders that require TLS do not deliver. While TLS is still offered, it is information.",
    fix="Switch off SMTP inspection in the firewall in front of {ip} (Cisco ASA: no inspect esmtp; PIX: no fixup "
    "protocol smtp {port}).",
    ref="RFC 5321 section 4.1.1.1; Cisco ASA configuration guide, ESMTP inspection",
    refusals=(OFFICE_365_TLS,),
    subjects=("ip",),
)
STARTTLS_GONE = Rule(
    "smtp_tls.starttls-gone",
    Severity.WARNING,
    says="{host} at {ip} port {port} no longer offers STARTTLS; it last did on {last}",
    why="Either TLS broke on the host, or a device in between removes the offer. Mail is now unencrypted, and senders "
    "that require TLS do not deliver.",
    fix="Find out what changed on {host} since {last}: an unreadable certificate or key file, or a new firewall with "
    "SMTP inspection.",
    ref="RFC 3207 sections 4, 6; RFC 7435 section 3",
    certain=True,
    refusals=(OFFICE_365_TLS,),
    subjects=("ip",),
)
SLOW_GREETING = Rule(
    "smtp_tls.slow-greeting",
    Severity.INFO,
    says="{host} at {ip} needs {seconds} s to greet",
    why="Some senders and most testing tools give up after 10 to 15 seconds, although the standard allows five "
    "minutes.",
    fix="Shorten the greeting delay of {host}: DNS or blocklist lookups that time out, or a long tarpit.",
    ref="RFC 5321 section 4.5.3.2.1",
    subjects=("ip",),
)
NO_STARTTLS = Rule(
    "smtp_tls.no-starttls",
    Severity.WARNING,
    says="{host} at {ip} port {port} does not offer STARTTLS",
    why="Mail to this host is unencrypted. Senders that require TLS do not deliver it, and others mark it.",
    fix="Configure a certificate and TLS on {host} (Postfix: smtpd_tls_chain_files, smtpd_tls_security_level = may). "
    "Switch off SMTP inspection in firewalls, which hides the offer.",
    ref="RFC 3207 section 4; RFC 8314 section 3.3",
    refusals=(OFFICE_365_TLS, "Office 365: 550 5.4.317 STARTTLS is required to send mail"),
    subjects=("ip",),
    remedy=host_remedies.offer_tls,
)
TLS_FAILS = Rule(
    "smtp_tls.tls-fails",
    Severity.WARNING,
    says="TLS with {host} at {ip} port {port} fails: {how}",
    why="The host offers STARTTLS, but the handshake fails. Many senders then do not deliver unencrypted, and mail is "
    "queued.",
    fix="Look for our connection in the log of {host}. Most often the certificate or key file is not readable, or the "
    "ciphers do not fit the key.",
    ref="RFC 3207 section 4.1",
    refusals=(OFFICE_365_TLS,),
    subjects=("ip",),
)
STARTTLS_INJECTION = Rule(
    "smtp_tls.starttls-injection",
    Severity.WARNING,
    says="{host} at {ip} sent plaintext after its STARTTLS reply: {octets}",
    why="A client may treat it as a reply under TLS, but a man in the middle can write it (response injection). The "
    "server or a device that rewrites SMTP is at fault.",
    fix="Find out which device is between here and {ip}. Then update the mail server or remove the device.",
    ref="RFC 3207 sections 4, 6",
    subjects=("ip",),
)
STARTTLS_COMMAND_INJECTION = Rule(
    "smtp_tls.starttls-command-injection",
    Severity.WARNING,
    says="{host} at {ip} executes under TLS a command that was sent as plaintext after STARTTLS",
    why="A man in the middle can insert commands before those of the client, and steal its mail or its password "
    "(CVE-2011-0411).",
    fix="Update the mail server or the TLS proxy on {host}. It must discard what it has read when TLS begins.",
    ref="RFC 3207 section 4.2; CVE list, CVE-2011-0411",
    subjects=("ip",),
)
OUTDATED_CIPHERS = Rule(
    "smtp_tls.outdated-ciphers",
    Severity.WARNING,
    says="{host} at {ip} has no TLS that current OpenSSL accepts by default: {how}",
    why="TLS fails for senders with a current library. They deliver unencrypted or not at all.",
    fix="Enable ECDHE with AES-GCM or ChaCha20 and TLS 1.3 on {host}. Use Diffie-Hellman groups of at least 2048 bits "
    "(Postfix: smtpd_tls_mandatory_ciphers = medium, smtpd_tls_dh1024_param_file unset).",
    ref="RFC 9325 sections 4.2, 4.4; OpenSSL SSL_CTX_set_security_level(3), level 2",
    subjects=("ip",),
)
OBSOLETE_ONLY = Rule(
    "smtp_tls.obsolete-only",
    Severity.WARNING,
    says="{host} at {ip} supports nothing newer than TLS {version}",
    why="Current mail programs no longer support TLS 1.0 and 1.1. They deliver unencrypted or not at all.",
    fix="Enable TLS 1.2 and 1.3 on {host} (Postfix: smtpd_tls_protocols = >=TLSv1.2).",
    ref="RFC 8996 sections 4, 5; RFC 9325 section 3.1.1",
    subjects=("ip",),
    remedy=host_remedies.speak_newer_tls,
)
OBSOLETE_VERSION = Rule(
    "smtp_tls.obsolete-version",
    Severity.INFO,
    says="{host} at {ip} still accepts TLS {versions}",
    why="It does not harm delivery: both sides use the best version they share. Weak encryption is better than none "
    "(RFC 7435). But these versions are deprecated, and audits report them.",
    fix="Allow only TLS 1.2 and newer on {host} (Postfix: smtpd_tls_protocols = >=TLSv1.2).",
    ref="RFC 8996 sections 4, 5",
    subjects=("ip",),
    remedy=host_remedies.speak_newer_tls,
)
NO_SIZE = Rule(
    "smtp_tls.no-size",
    Severity.INFO,
    says="{host} at {ip} does not announce its maximum message size",
    why="Senders learn only after the whole transfer that a message is too large.",
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
