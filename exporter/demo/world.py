"""The demonstration: the real exporter with config.example.yaml, in a small mail world on loopback.

The world has a resolver for the zones of world.zone, their name servers, a registry, and the mail hosts below. The
exporter asks over UDP, TCP and HTTPS and speaks SMTP and TLS, as always. Only the addresses that it connects to are
different.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Self

from exporter.clock import Clock
from exporter.config import Nameserver, Settings, load
from exporter.demo import mark
from exporter.demo.certificates import CertificateKind
from exporter.demo.mailserver import Behaviour, SmtpFault
from exporter.demo.nameserver import ZoneData, records
from exporter.demo.registry import Name
from exporter.demo.small_world import SmallWorld
from exporter.demo.website import Page
from exporter.engine.catalogue import Catalogue
from exporter.mail.mta_sts import policy_url
from exporter.mail.tls import Version

HOME = Path(__file__).parent
PACKAGED = HOME.parent / "data" / "config.example.yaml"  # where an installation has it
CHECKED_OUT = HOME.parent.parent / "config.example.yaml"

SMTP, SUBMISSION = 25, 587
PAUSE = 0.02  # seconds between two introductions to a peer: its owner, who is the demonstration, is in a hurry
EXCHANGER = (IPv4Address("192.0.2.25"), SMTP)  # of mx1.example.com

# Who listens at which port of its addresses in world.zone. A host that is not among them refuses connections.
MAIL_HOSTS = (
    (Behaviour("mx1.example.com"), SMTP),
    (Behaviour("mx2.example.com"), SMTP),
    (Behaviour("smtp.example.com"), SUBMISSION),
    (Behaviour("mx1.example.net"), SMTP),
    (Behaviour("mx2.example.net", certificate_name="*.example.net"), SMTP),  # it is alias.example.net, too
    (Behaviour("office365.example.net"), SMTP),
    (Behaviour("mx1.example.org"), SMTP),
    (Behaviour("mx2.example.org"), SMTP),
    (Behaviour("certificate-expired.example.net", certificate=CertificateKind.EXPIRED), SMTP),
    (Behaviour("certificate-expiring.example.net", certificate=CertificateKind.EXPIRING), SMTP),
    (Behaviour("certificate-for-another-name.example.net", certificate=CertificateKind.WRONG_NAME), SUBMISSION),
    (Behaviour("certificate-self-signed.example.net", certificate=CertificateKind.SELF_SIGNED), SUBMISSION),
    (Behaviour("tls-1-0-only.example.net", oldest=Version.TLS_1_0, newest=Version.TLS_1_0), SMTP),
    (Behaviour("tls-1-0-too.example.net", oldest=Version.TLS_1_0), SMTP),
    (Behaviour("no-starttls.example.net", starttls=False), SMTP),
    (Behaviour("starttls-injection.example.net", fault=SmtpFault.INJECTED), SMTP),
    (Behaviour("rejects-everybody.example.net", fault=SmtpFault.REJECTS), SMTP),
    (Behaviour("says-try-later.example.net", fault=SmtpFault.BUSY), SMTP),
    (Behaviour("dane-matches.example", sends_root=True), SMTP),
    (Behaviour("dane-mismatch.example"), SMTP),
)

REGISTRATIONS = {
    "example.com": Name(),
    "example.net": Name(),
    "example.org": Name(),
    "dmarc-missing.example": Name(),
    "registration-expiring.example": Name(expires=20.5),
}


def _policy(*hosts: str) -> str:
    return "\n".join(("version: STSv1", "mode: enforce", *(f"mx: {host}" for host in hosts), "max_age: 1209600", ""))


# What is published over HTTPS, by hosts that have an address in world.zone.
PAGES = (
    Page(policy_url("example.com"), body=_policy("mx1.example.com", "mx2.example.com")),
    Page(policy_url("mta-sts-other-hosts.example.net"), body=_policy("*.provider.example")),
    Page(policy_url("mta-sts-certificate.example.net"), body=_policy("certificate-expired.example.net")),
    Page(policy_url("tls-rpt-bad-uri.example.net"), body=_policy("*.example.net")),
    Page("https://brand.example.com/logo.svg", type="image/svg+xml", body=mark.LOGO),
    Page("https://brand.example.com/as-drawn.svg", type="image/svg+xml", body=mark.LOGO.replace("tiny-ps", "full")),
)
MARKS = (mark.Mark("https://brand.example.com/mark.pem", "example.com"),)

# What somebody publishes instead, a minute after the start.
CHANGED = "record-changed.example.net", "TXT", '"v=spf1 ip4:192.0.2.10 ip6:2001:db8::10 -all"'
CHANGED_AFTER = 60.0  # seconds

_TOLD = """
A demonstration: a small mail world on loopback, with its own DNS, blocklists, mail servers and registry. Nothing is
sent to the network. The exporter itself is the real one, with this configuration:

  {config}

Only the resolver differs: it is the name server of this world. The mail hosts and the registry are on local ports, and
the exporter trusts their certificate authorities. Most entries have one fault, and its name says which. All results
are there in a few seconds:

  {url}/
      everything: problems, unknown results, passing checks

  {url}/targets/domain=example.com
      a domain without a problem

  {url}/targets/sender=helo-two-dots,ip=198.51.100.2
      a machine with EHLO MacBook.., which Office 365 answers with 501 5.5.4 Invalid domain name

  {url}/targets/domain=spf-too-many-lookups.example.net
      an SPF record that looks right, and fails at receivers

  {url}/targets/mail_host=certificate-expired.example.net,mail_port=25
      a mail server with an expired certificate

  {url}/targets/domain=record-changed.example.net
      its SPF record changes after a minute; the page shows both after the next run, in 15 minutes

  {url}/receivers/microsoft
      will Office 365 accept my mail? Domain by domain, with its rejection texts

  {url}/findings
      all findings, why they matter, and how to fix them

  {url}/findings?q=501+5.5.4+Invalid+domain+name
      the cause of a rejection: paste a reply, a log line or a whole bounce

  {url}/metrics
      the metrics for Prometheus

Query this world yourself:

  dig @{dns_host} -p {dns_port} spf-too-many-lookups.example.net TXT
  nc {smtp_host} {smtp_port}      # mx1.example.com; type EHLO MacBook..

With your own domains and machines:

  {command} check example.com
  {command} --config.file=config.yaml

Ctrl-C ends it.
"""


class DemoWorld(SmallWorld):
    """The world of the demonstration. A minute after its start somebody publishes another record."""

    def __init__(self, clock: Clock) -> None:
        text = (HOME / "world.zone").read_text("utf-8")
        hosts = {(ip, port): host for host, port in MAIL_HOSTS for ip in ZoneData(text).addresses(host.name)}
        pages = (*PAGES, *(mark.page(it, clock.wall()) for it in MARKS))
        super().__init__(text, hosts, REGISTRATIONS, pages, clock)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        change = partial(self.zone.put, records(*CHANGED))
        self.running.callback(asyncio.get_running_loop().call_later(CHANGED_AFTER, change).cancel)
        return self

    def settings(self, catalogue: Catalogue) -> Settings:
        """config.example.yaml, with its questions led here."""
        return replace(load(_config(), catalogue), nameservers=(Nameserver(*self.nameserver.address),))

    def told(self, url: str) -> str:
        """What this is and where to look, for the person who has started it."""
        (dns_host, dns_port), (smtp_host, smtp_port) = self.nameserver.address, self.mail.servers[EXCHANGER].address
        return _TOLD.format(
            url=url,
            command=_command(),
            config=_config(),
            dns_host=dns_host,
            dns_port=dns_port,
            smtp_host=smtp_host,
            smtp_port=smtp_port,
        )


def _command() -> str:
    """As this person can type it: `make run` leaves it in an environment of its own, off the PATH."""
    name = "deliverability-exporter"
    here = Path(sys.executable).with_name(name)
    if shutil.which(name) or not here.exists():
        return name
    return str(here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here)


def _config() -> Path:
    return PACKAGED if PACKAGED.exists() else CHECKED_OUT
