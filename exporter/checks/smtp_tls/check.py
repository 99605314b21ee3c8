"""Does a mail host accept connections, and does it offer usable TLS (RFC 5321, RFC 3207, RFC 8314, RFC 8996)?

How bad a fault is depends on who connects:

- Mail servers connect to port 25. If they find no TLS or cannot verify the certificate, most of them deliver all the
  same (RFC 7435). The fault costs privacy and reputation: a warning.
- Servers that know DANE go by TLSA records. One of usage 3 vouches for a key, whoever signed the certificate, and
  whenever that ends (RFC 7672 section 3.1.1): what is wrong with the chain is then information.
- Mail programs connect to ports 465 and 587. They verify the certificate and refuse a bad one: critical.

Each address is a question of its own: doubt about one keeps the findings of that one alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

from exporter.checks.smtp_tls.certificate import NOT_AFTER, OF_CERTIFICATES, good, of_certificate
from exporter.checks.smtp_tls.connection import OF_CONNECTIONS, left_open, of_connection, shut
from exporter.checks.smtp_tls.severity import SMTP, severity_at
from exporter.facts import IP, Doubt, Metric, Reason, Rule, Severity
from exporter.mail import names, smtp
from exporter.mail.dane.chain import Fit, fit
from exporter.mail.dane.tlsa import DANE_EE, look_up, usable
from exporter.mail.dns import doubts
from exporter.mail.tls import Version
from exporter.model import Door, Fact, Facts, Light, check
from exporter.net import Net
from exporter.net.smtp.probe import SmtpResult
from exporter.targets import MailHost


@check(
    over=MailHost,
    light=Light.TLS,
    interval=timedelta(minutes=30),
    timeout=timedelta(seconds=120),
    needs={Door.SMTP},
    questions=2,
)
async def smtp_tls(target: MailHost, net: Net) -> Facts:
    """Does the mail host answer, with TLS that senders can use?"""
    replies = [await net.query(target.host, rdtype) for rdtype in ("A", "AAAA")]
    addresses = sorted({ip for reply in replies for ip in reply.addresses}, key=names.order)
    unsure, seen = [*doubts(*replies)], addresses[:MOST_ADDRESSES]
    yield _of_names(unsure, seen)
    if not addresses:
        if not unsure:
            yield NO_ADDRESS(host=target.host, severity=severity_at(target))
        return
    if left_out := addresses[MOST_ADDRESSES:]:
        net.transcript.note(target.host, (f"{len(left_out)} more addresses, which are not checked",))
    results = await asyncio.gather(*(net.probe(target, ip) for ip in seen))
    all_shut = all(map(shut, results))
    pinned = await _pinned(target, results, net)
    for result in results:
        yield of_connection(target, result, all_shut=all_shut)
        if result.shown:
            yield of_certificate(target, result.ip, result.shown, net.clock.wall(), pinned=result.ip in pinned)
        yield _of_address(result)
    yield _samples(results)
    if all(result.passed_over for result in results):
        nowhere = Doubt(Reason.NETWORK, "; ".join(result.passed_over for result in results))
        yield nowhere.over(*OF_ADDRESSES)


VERSION = Metric(
    "deliverability_smtp_tls_version_supported",
    "Whether the mail host supports this version of TLS: 1.0 and 1.1 at any of its addresses, 1.2 and 1.3 at all.",
    ("version",),
)
SIZE = Metric(
    "deliverability_smtp_size_limit_bytes",
    "Maximum message size that the mail host announces (SIZE), the smallest of its addresses.",
)
PHASE = Metric(
    "deliverability_smtp_phase_duration_seconds",
    "Duration of a phase of the SMTP session, the slowest of the mail host's addresses.",
    ("phase",),
)


NO_ADDRESS = Rule(
    "smtp_tls.no-address",
    Severity.WARNING,
    says="{host} has no address, neither A nor AAAA",
    why="Nobody can connect to a mail host without an address. Its mail goes to the other hosts, or is queued.",
    fix="Add an A or AAAA record for {host}, or remove the name from MX records and configurations.",
    ref="RFC 5321 section 5.1",
)

MOST_ADDRESSES = 8
PHASES = ("connect", "banner", "ehlo", "starttls", "tls")
OF_ADDRESSES = (*OF_CONNECTIONS, *OF_CERTIFICATES)


def without_way_out(doubt: Doubt) -> Doubt:
    """The doubt about our own way out, with the same text for every mail host and with the remedy."""
    if doubt.reason is not Reason.EGRESS:
        return doubt
    remedy = "switch smtp_tls and dane off then (checks: {smtp_tls: {enabled: false}, dane: {enabled: false}})"
    return replace(doubt, detail=f"{doubt.detail}; {remedy}")


async def _pinned(target: MailHost, results: Sequence[SmtpResult], net: Net) -> set[IP]:
    """Where a TLSA record vouches for the very key or certificate that is shown, whoever signed it and for how long.

    Asked only where something is wrong with the certificate.
    """
    now = net.clock.wall()
    amiss = [it for it in results if it.shown and not good(it.shown, now)]
    if target.port != SMTP or not amiss:
        return set()
    found = await net.drive(look_up(target.host, target.port))
    records = [record for record in usable(found.found) if record.usage == DANE_EE]
    return {
        it.ip
        for it in amiss
        if it.secured and any(one.fit is Fit.HOLDS for one in fit(records, it.secured.chain, found.base, now))
    }


def _of_names(unsure: Iterable[Doubt], seen: Sequence[IP]) -> Iterator[Doubt]:
    """The doubt of DNS: there may be more addresses. The known ones have been asked."""
    for doubt in unsure:
        about = doubt.over(*(OF_ADDRESSES if seen else (NO_ADDRESS, *OF_ADDRESSES)))
        for ip in seen:
            about = about.sparing(ip=ip)
        yield about


def _of_address(result: SmtpResult) -> Iterator[Doubt]:
    if result.doubt:
        rules = (*left_open(result), *(() if result.shown else OF_CERTIFICATES))
        yield without_way_out(result.doubt).over(*rules, ip=result.ip)


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
    """The worst answer of all addresses: one speaks an old version, or one lacks a new version."""
    answers = [result.versions.get(version) for result in results]
    if version.obsolete in answers:
        return version.obsolete
    return None if None in answers or not answers else not version.obsolete
