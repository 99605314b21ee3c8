"""`check DOMAIN` alone, in the same healthy worlds: no false alarm, and whoever serves the domain is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter import clients
from exporter.check_state import FindingPolicy
from exporter.cli.discovery.checked import DomainSearch
from exporter.cli.exit_codes import Exit, FailOn
from exporter.cli.judging import exit_code
from exporter.cli.named import DomainFlags, named
from exporter.clock import SystemClock
from exporter.config import Nameserver, defaults, load
from exporter.demo.small_world import SmallWorld
from exporter.engine.plan import Plan
from exporter.engine.store import Store
from exporter.engine.sweep import Sweep
from exporter.net.dnsbl.client import DnsblClient
from exporter.targets import Domain
from exporter.views.report import supposed
from tests.worlds.world import CATALOGUE, World, worlds

pytestmark = pytest.mark.long

# What DNS alone shows of each world. Those without a line have own machines only, or none.
SERVED = {
    "amazon-ses": {"Google Workspace"},
    "amazon-ses-mail-from": {"Google Workspace"},
    "fastmail": {"Fastmail"},
    "flattened-spf": {"Google Workspace"},
    "four-providers": {"Google Workspace", "Mailchimp", "SendGrid", "Zendesk"},
    "google-workspace": {"Google Workspace"},
    "google-workspace-five-mx": {"Google Workspace"},
    "google-workspace-mta-sts": {"Google Workspace"},
    "hubspot": {"Google Workspace"},
    "mailbox-org": {"mailbox.org"},
    "mailchimp": {"Google Workspace", "Mailchimp"},
    "mailgun": {"Mailgun"},
    "microsoft-365": {"Microsoft 365"},
    "microsoft-365-behind-mimecast": {"Microsoft 365", "Mimecast"},
    "microsoft-365-dnssec": {"Microsoft 365"},
    "ondmarc": {"Google Workspace", "OnDMARC"},
    "postmark": {"Google Workspace", "Postmark"},
    "proofpoint": {"Google Workspace", "Proofpoint"},
    "proton": {"Proton"},
    "salesforce": {"Microsoft 365", "Salesforce"},
    "sendgrid-beside-postfix": {"SendGrid"},
    "sparkpost-freshdesk-intercom": {"Freshdesk", "SparkPost"},
    "valimail": {"Google Workspace", "Valimail"},
    "wildcard-zone": {"Google Workspace"},
    "zoho": {"Zoho Mail"},
}
MACHINES = {
    "own-fleet": {"88.99.50.1", "88.99.50.2", "2a01:4f8:50::1"},
    "postfix-dane": {"88.99.62.2"},
    "postfix-vps": {"88.99.21.40"},
    "postfix-vps-dual-stack": {"88.99.22.41", "2a01:4f8:10a:22::2"},
    "sendgrid-beside-postfix": {"88.99.14.20"},
    "shared-hosting": {"88.99.31.17"},
    "sparkpost-freshdesk-intercom": {"88.99.40.10"},
}
DNS_ALONE = {it.id for it in CATALOGUE.checks.values() if it.asks_dns_alone}  # the others know nothing of senders
BOUNCES_ELSEWHERE = "alerts.acme-fleet.com"  # has no MX and no SPF record of its own: only its configuration says why


@pytest.mark.parametrize("world", worlds(), ids=lambda world: world.name)
async def test_a_healthy_domain_alone_raises_no_alarm(world: World) -> None:
    clock = SystemClock()
    configured = (it.name for it in load(world.config, CATALOGUE).targets if isinstance(it, Domain))
    domains = [name for name in configured if name != BOUNCES_ELSEWHERE]
    async with SmallWorld(world.zone, {}, {}, (), clock) as small:
        settings = replace(defaults(CATALOGUE), nameservers=(Nameserver(*small.nameserver.address),))
        dnsbl = DnsblClient(clock, patience=0.0)
        opened = clients.open_clients(settings, dnsbl, clock, dial=small.dial, authorities=small.authorities, pause=0.0)
        try:
            discovery, store = DomainSearch(settings.blocklists, DomainFlags()), Store()
            words = named(domains, None, settings.blocklists)
            targets = await discovery.targets(words, opened.dns)
            await Sweep(Plan(CATALOGUE, targets, DNS_ALONE.__contains__, store), store, opened.net, clock).run()
        finally:
            await opened.close()
    perhaps = supposed(store)
    found = {
        (it.finding.id, state.target.identity[0][1])
        for state in (*store, *perhaps)
        for it in state.effective(FindingPolicy(), clock.wall())
        if it.fails
    }
    assert found <= world.warnings
    assert exit_code(store, FindingPolicy(), clock.wall(), FailOn.UNKNOWN) == (Exit.WARNING if found else Exit.OK)
    assert not [state.doubt for state in perhaps if state.doubt]
    facts = discovery.discovered(lambda _: True).facts
    assert {it["name"] for one in facts for it in one["providers"]} == SERVED.get(world.name, set())  # type: ignore[attr-defined]  # JSON
    assert {it["ip"] for one in facts for it in one["addresses"]} == MACHINES.get(world.name, set())  # type: ignore[attr-defined]  # JSON
    assert len(perhaps) == 2 * len(MACHINES.get(world.name, ())), "PTR and listings of each"
