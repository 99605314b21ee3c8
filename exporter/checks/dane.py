"""Compares the TLSA records of mail hosts with the certificates that the hosts really show (RFC 7672).

Senders that use DANE are Exchange Online, and Postfix if it is configured so. They deliver only to a host whose
certificate matches, so a wrong record costs mail. A host without TLSA records does not use DANE, which is no fault.

We compare only records that DNSSEC proves to us, because senders ignore all others too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from exporter.checks.smtp_tls.check import without_way_out
from exporter.facts import IP, Doubt, Finding, Known, Measured, Metric, Reason, Record, Rule, Severity
from exporter.mail import names
from exporter.mail.dane.chain import Fit, Fitted, advised, fit
from exporter.mail.dane.tlsa import DANE_EE, PKIX, TlsaLookup, look_up, malformed, place, usable
from exporter.mail.dns import TLSA, Reply
from exporter.mail.zone import find
from exporter.model import Door, Fact, Facts, Light, check
from exporter.net import Net
from exporter.net.interfaces import believe
from exporter.net.smtp.probe import SmtpResult
from exporter.targets import Domain, MailHost
from exporter.text import commas, listed


@check(
    over=(MailHost, Domain),
    light=Light.TLS,
    proves=False,
    interval=timedelta(hours=1),
    timeout=timedelta(seconds=120),
    may_need={Door.SMTP},
    questions=3,
)
async def dane(target: MailHost | Domain, net: Net) -> Facts:
    """Does the certificate of the mail host match its TLSA records, if DNSSEC proves them?"""
    async for fact in _of_host(target, net) if isinstance(target, MailHost) else _of_domain(target, net):
        yield fact


def _all_records(findings: Sequence[Finding], known: Known) -> str:  # noqa: ARG001 (each merged fix is called alike)
    """A record for each certificate, where addresses show different ones."""
    records = dict.fromkeys("{name}. IN TLSA {record}".format_map(dict(finding.evidence)) for finding in findings)
    if len(records) < 2:
        return ""
    return f"Publish the records {listed(records)}, or load the certificates that the records there are for."


MISMATCH = Rule(
    "dane.mismatch",
    Severity.CRITICAL,
    says="the certificate of {host} at {ip} does not match any TLSA record at {name}: {how}",
    why="Senders that use DANE, such as Exchange Online and many Postfix servers, do not deliver to this host. Their "
    "mail is queued, then bounces. Often a certificate was renewed without the records, or the server does not "
    "send the issuer (usage 2).",
    fix="Publish the record {name}. IN TLSA {record}, or install the certificate that matches the records, with its "
    "chain.",
    ref="RFC 7672 sections 2.2 and 3.1; RFC 6698 section 2.1",
    refusals=("Office 365: 550 5.7.323 tlsa-invalid: The domain failed DANE validation",),
    subjects=("ip",),
    merged=_all_records,
)
NO_STARTTLS = Rule(
    "dane.no-starttls",
    Severity.CRITICAL,
    says="{host} at {ip} port {port} does not offer STARTTLS, although its TLSA records at {name} require TLS",
    why="Senders that use DANE do not deliver unencrypted mail to a host with such records. Their mail is queued, "
    "then bounces.",
    fix="Configure a certificate and TLS on {host} (Postfix: smtpd_tls_chain_files, smtpd_tls_security_level = may). "
    "Or remove the TLSA records at {name} until it has them.",
    ref="RFC 7672 section 2.2",
    refusals=(
        "Office 365: 550 5.7.321 starttls-not-supported: Destination mail server must support TLS to receive mail",
    ),
    subjects=("ip",),
)
TLS_FAILS = Rule(
    "dane.tls-fails",
    Severity.WARNING,
    says="TLS with {host} at {ip} port {port} fails, although the TLSA records at {name} require it: {how}",
    why="Senders that use DANE do not deliver unencrypted mail to a host with such records. If TLS fails for them "
    "too, their mail is queued.",
    fix="Look for our connection in the log of {host}. Most often the certificate or key file is not readable.",
    ref="RFC 7672 section 2.2",
    subjects=("ip",),
)
WRONG_NAME = Rule(
    "dane.wrong-name",
    Severity.WARNING,
    says="the certificate of {host} at {ip} is not for {base}, as the TLSA records at {name} require: {how}",
    why="With usage 2 the name counts. Senders that use DANE deliver only mail for domains in the certificate.",
    fix="Get a certificate with {base} among its subjectAltName entries. Or publish the record {name}. IN TLSA "
    "{record} of its key, which needs no name.",
    ref="RFC 7672 sections 3.1.2 and 3.2.2",
    subjects=("ip",),
)
UNUSABLE = Rule(
    "dane.unusable",
    Severity.WARNING,
    says="no TLSA record at {name} is usable for mail: {records}",
    why="Usages 0 and 1 need authorities that mail servers do not share. Senders that use DANE then require TLS but "
    "verify nothing. The records protect nothing, and can only do harm.",
    fix="Replace the records at {name} with one of usage 3, selector 1 and matching type 1: {name}. IN TLSA {record}",
    ref="RFC 7672 sections 2.2 and 3.1.3",
)
BAD_RECORD = Rule(
    "dane.bad-record",
    Severity.WARNING,
    says='the TLSA record "{record}" at {name} is invalid: {how}',
    why="Senders ignore it. If it was meant for the current or the next certificate, that record is missing.",
    fix='Replace the record "{record}" at {name} with 3 1 1 and the 64 digits of the SHA-256 digest of the key.',
    ref="RFC 6698 sections 2.1 and 4.1",
)
NOT_SIGNED = Rule(
    "dane.not-signed",
    Severity.WARNING,
    says="{host} has TLSA records at {name}, but the zone {zone} is not signed with DNSSEC",
    why="Senders ignore TLSA records without DNSSEC, so they do not protect the mail host.",
    fix="Sign {zone} and publish its DS record at the registrar, or remove the TLSA records.",
    ref="RFC 7672 sections 2.2.2 and 2.2.3; RFC 6698 section 4.1",
)
UNPROVEN = Rule(
    "dane.unproven",
    Severity.INFO,
    says="the exporter's resolver does not validate DNSSEC for the TLSA records at {name} (no AD flag), so nothing was "
    "compared",
    why="Only DNSSEC makes TLSA records count. A resolver that does not validate cannot show it, nor can one that "
    "hosts the zone.",
    fix="Set resolver.nameservers to a resolver that validates DNSSEC and is not a name server of the zone of {name}.",
    ref="RFC 4035 section 3.2.3; RFC 7672 section 2.2",
)
MX_NOT_SIGNED = Rule(
    "dane.mx-not-signed",
    Severity.INFO,
    says="the MX records of {domain} are not signed, although its mail hosts have TLSA records: {hosts}",
    why="An attacker who forges the MX records can redirect mail to another host. The TLSA records do not prevent it. "
    "No mail is rejected because of this.",
    fix="Sign {zone} and publish its DS record at the registrar.",
    ref="RFC 7672 section 2.2.1",
)
STALE_RECORD = Rule(
    "dane.stale-record",
    Severity.INFO,
    says="some TLSA records at {name} match no certificate of {host}: {records}",
    why="That is right while you prepare the next certificate. An old record lets an old certificate be used.",
    fix="Remove the records at {name} of certificates that are no longer in use.",
    ref="RFC 7671 section 8.1; RFC 7672 section 4",
)
NO_ROLLOVER = Rule(
    "dane.no-rollover",
    Severity.INFO,
    says="{name} has only the TLSA record {record}, and none for the next key",
    why="If the key changes before its record is in every cache, senders that use DANE reject the host.",
    fix="Publish the record of the next key before the key is used. Or keep the key when you renew the certificate "
    "(certbot: --reuse-key).",
    ref="RFC 7671 section 8.1; RFC 7672 section 4",
)
RECORDS = Metric(
    "deliverability_dane_tlsa_records",
    "TLSA records of the mail host that DNSSEC proves and that senders can use; 0 where there are none.",
)

# What a missing answer leaves open: about one address, and about all of them.
OF_ADDRESSES = (NO_STARTTLS, TLS_FAILS, MISMATCH, WRONG_NAME)
OF_ALL = (STALE_RECORD, NO_ROLLOVER)
SMTP = 25
MOST_HOSTS = 30  # of a domain
MOST_ADDRESSES = 8  # of a host
SIGNED = "com"  # a name with NS records and a chain of trust
SHOWN = 22  # characters of a record: its numbers and enough digits to tell it from another


async def _of_domain(target: Domain, net: Net) -> Facts:
    """Do its MX records lead to protected hosts, and are not protected themselves?"""
    if not target.receives_mail:
        return
    mx = await net.resolve(target.name, "MX")
    if mx.authenticated:
        return
    hosts = dict.fromkeys(it.exchange for it in sorted(mx.exchanges) if names.is_hostname(it.exchange))
    found = {host: await net.drive(look_up(host, SMTP)) for host in list(hosts)[:MOST_HOSTS]}
    protected = [host for host, result in found.items() if result.found]
    if protected and (zone := await _unsigned(net, target.name)):
        yield MX_NOT_SIGNED(domain=target.name, hosts=", ".join(protected), zone=zone)
    yield (_doubt(result.doubt) for result in found.values() if result.doubt)


async def _of_host(target: MailHost, net: Net) -> Facts:
    found = await net.drive(look_up(target.host, target.port))
    for reply in found.answers:
        yield Record.of(f"{reply.question.name} TLSA", map(str, reply.associations))
    if not found.found:
        if found.unproven:
            yield await _unproven(target, found.unproven, net)
        if found.doubt:
            yield _of_lookup(found, found.doubt)
        elif not found.unproven:
            yield RECORDS(0)
        return
    records, left_out = usable(found.found), len(found.addresses) - MOST_ADDRESSES
    yield Measured(RECORDS), RECORDS(len(records))
    if left_out > 0:
        net.transcript.note(target.host, (f"{left_out} more addresses, which are not checked",))
    named = replace(target, host=found.base)  # the name that senders ask for in TLS (RFC 7672 section 8.1)
    results = await asyncio.gather(*(net.probe(named, ip) for ip in found.addresses[:MOST_ADDRESSES]))
    now = net.clock.wall()
    fitted = {it.ip: fit(records, it.secured.chain, found.base, now) for it in results if it.secured}
    yield (*_records(target, found, results), *_together(target, found, results, fitted))
    spared = left_out > 0 or found.doubt is not None or any(_open(result, fitted.get(result.ip)) for result in results)
    together = OF_ALL if len(records) == 1 else (STALE_RECORD,)
    for result in results:
        yield (
            doubt.over(*together)
            for doubt in _doubts_at(result, fitted.get(result.ip), _how(found, result, fitted.get(result.ip), now))
        )
        yield _at(target, found, result, fitted.get(result.ip), now, spared=spared)
    if found.doubt:
        yield _of_lookup(found, found.doubt, [result.ip for result in results])
    if all(_nobody_in(result) for result in results):
        why = "; ".join(result.passed_over or f"{result.ip} accepts no connection" for result in results)
        nothing_seen = Doubt(Reason.NETWORK, f"{target.host} presented no certificate: {why}")
        yield nothing_seen.over(*OF_ADDRESSES, *together)


def _records(target: MailHost, found: TlsaLookup, results: Sequence[SmtpResult]) -> Iterator[Finding]:
    """What is wrong with the records whatever is shown."""
    name = place(found.base, target.port)
    for record in found.found:
        if how := malformed(record):
            yield BAD_RECORD(name=name, record=record, how=how)
    if target.port == SMTP and not usable(found.found):
        shown = next((result.secured.chain[0] for result in results if result.secured and result.secured.chain), None)
        wanted = advised(shown) if shown else "3 1 1 and the SHA-256 digest of the key."
        yield UNUSABLE(name=name, records=commas(map(_short, found.found)), record=wanted)


def _of_lookup(found: TlsaLookup, unanswered: Reply, seen: Sequence[IP] = ()) -> Doubt:
    """What a missing answer leaves open. If only addresses are missing, that is only what they would show."""
    doubt = _doubt(unanswered)
    if unanswered.question.rdtype == "TLSA" or not (found.found or found.answers):
        return doubt
    doubt = doubt.over(*((*OF_ADDRESSES, STALE_RECORD) if found.found else ()))
    for ip in seen:
        doubt = doubt.sparing(ip=ip)
    return doubt


def _nobody_in(result: SmtpResult) -> bool:
    return bool(result.passed_over or result.refused or result.silence or result.other_protocol)


def _how(found: TlsaLookup, result: SmtpResult, fitted: list[Fitted] | None, now: float) -> str:
    """Each record, and why it does not match."""
    if not fitted or not result.secured:
        return ""
    weaker = _weaker(found, result.secured.chain, now)
    return "; ".join(f"{_short(it.record)} is {it.how}" for it in (*fitted, *weaker))


def _doubts_at(result: SmtpResult, fitted: list[Fitted] | None, how: str) -> Iterator[Doubt]:
    """The doubts about one address, and which findings each leaves open."""
    ip = result.ip
    if fitted is not None:
        fits = {it.fit for it in fitted}
        if Fit.UNTOLD in fits and Fit.HOLDS not in fits:
            unclear = Doubt(Reason.MALFORMED, f"unknown whether the certificate of {ip} matches: {how}")
            yield unclear.over(MISMATCH, WRONG_NAME, ip=ip)
    elif result.starttls is False or result.tls_failure:
        return
    elif result.in_clear:
        in_clear = Doubt(Reason.MALFORMED, f"{ip} sends plaintext where TLS must begin: {result.in_clear}")
        yield in_clear.over(MISMATCH, WRONG_NAME, TLS_FAILS, ip=ip)
    elif result.rejected:
        rejected = Doubt(Reason.NETWORK, f"{ip} answers {result.rejected.to} with {result.rejected.reply}")
        yield rejected.over(*OF_ADDRESSES, ip=ip)
    elif result.doubt:
        offered = result.starttls or result.secured
        yield without_way_out(result.doubt).over(*(OF_ADDRESSES[1:] if offered else OF_ADDRESSES), ip=ip)


def _open(result: SmtpResult, fitted: list[Fitted] | None) -> bool:
    """May senders that use DANE deliver at this address? What is not known speaks for it."""
    if fitted is not None:
        return not fitted or any(it.fit is not Fit.FAILS for it in fitted)
    return not (_nobody_in(result) or result.starttls is False)


def _at(
    target: MailHost, found: TlsaLookup, result: SmtpResult, fitted: list[Fitted] | None, now: float, *, spared: bool
) -> Iterator[Finding]:
    """One address. Where nobody gets in, no certificate can be wrong; that is for `smtp_tls` to say.

    `spared`: senders may get in at an address.
    """
    # Programs that submit mail rarely know DANE; others go on to the address that lets them in.
    severity = Severity.WARNING if spared or target.port != SMTP else None
    where: dict[str, Any] = {"host": target.host, "ip": result.ip, "name": place(found.base, target.port)}
    if result.tls_failure:  # also after a handshake: a server may demand a client certificate only then
        yield TLS_FAILS(**where, port=target.port, how=result.tls_failure)
    if fitted is not None and result.secured:
        fits = {it.fit for it in fitted}
        if not fitted or Fit.HOLDS in fits:
            return
        shown = result.secured.chain
        record = advised(shown[0], usable(found.found))
        how = _how(found, result, fitted, now)
        if Fit.UNTOLD in fits:
            return
        if Fit.MISNAMED in fits:
            yield WRONG_NAME(**where, base=found.base, how=how, record=record)
        else:
            yield MISMATCH(**where, how=how, record=record, severity=severity)
    elif result.starttls is False:
        yield NO_STARTTLS(**where, port=target.port, severity=severity)


def _together(
    target: MailHost, found: TlsaLookup, results: Sequence[SmtpResult], fitted: Mapping[IP, list[Fitted]]
) -> Iterator[Finding]:
    """What is worth knowing where every address shows what it should."""
    if len(fitted) < len(results) or not all(Fit.HOLDS in {it.fit for it in fits} for fits in fitted.values()):
        return
    name, records = place(found.base, target.port), usable(found.found)
    holding = {it.record for fits in fitted.values() for it in fits if it.fit is Fit.HOLDS}
    stale = [record for record in records if record.usage == DANE_EE and record not in holding]
    every = not found.doubt and len(results) == len(found.addresses)
    if stale and every:  # issuers are many, and to name more than the one in use is a precaution
        yield STALE_RECORD(host=target.host, name=name, records=commas(map(_short, stale)))
    if len(records) == 1 and records[0].usage == DANE_EE:
        yield NO_ROLLOVER(name=name, record=_short(records[0]))


def _weaker(found: TlsaLookup, chain: Sequence[bytes], now: float) -> Iterator[Fitted]:
    """Records that would hold if a stronger digest did not stand beside them: a puzzle for whoever looks at them."""
    used = usable(found.found)
    ignored = [it for it in found.found if it not in used and it.usage not in PKIX and not malformed(it)]
    for fitted in fit(ignored, chain, found.base, now):
        if fitted.fit is Fit.HOLDS:
            yield replace(fitted, how="right, but ignored because of the longer digest (RFC 7671 section 9)")


async def _unproven(target: MailHost, reply: Reply, net: Net) -> list[Fact]:
    """What is to be said of TLSA records without proof, or of no answer where senders may not even ask."""
    zone = await _unsigned(net, reply.question.name.partition("._tcp.")[2])
    if zone:
        return [NOT_SIGNED(host=target.host, name=reply.question.name, zone=zone)] if reply.exists else []
    return [_doubt(reply) if reply.doubt else UNPROVEN(name=reply.question.name)]


async def _unsigned(net: Net, name: str) -> str:
    """The zone of a name, if it is certain that it is not signed: the resolver validates, and knows of no DS record.

    A resolver that has the zone itself gives its data without AD, signed or not; the DS record comes from the parent.
    """
    control = await net.resolve(SIGNED, "NS")
    if not control.authenticated:
        return ""
    found = await net.drive(find(name))
    if found.doubt:
        believe(found.doubt)
    if found.zone is None or (await net.resolve(found.zone, "DS")).exists:
        return ""
    return found.zone


def _doubt(reply: Reply) -> Doubt:
    """Why a question without an answer leaves it open."""
    late = "; meanwhile senders that use DANE defer mail" if reply.question.rdtype == "TLSA" else ""
    return Doubt(reply.status.reason, f"{reply.question}: {reply.detail or reply.status}{late}")


def _short(record: TLSA) -> str:
    text = str(record)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
