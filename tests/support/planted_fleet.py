"""A fleet with planted faults that everybody can count: the real configuration, checks and store, DNS from memory.

All domains send through one pool. Of its addresses, one says HELO `localhost`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from exporter.config import Settings, load
from exporter.demo.nameserver import ZoneData
from exporter.engine import catalogue
from exporter.engine.plan import Plan
from exporter.engine.store import Store
from exporter.engine.sweep import Sweep
from exporter.net import Net
from tests.support.clock import FakeClock
from tests.support.memory import MemoryResolver

CATALOGUE = catalogue.load()
TEAMS = 10
OFF = ("smtp_tls", "zone", "registration", "mta_sts", "bimi", "dane", "ehlo_probe")  # other doors than DNS


class PlantedFleet:
    """`counts` has how many domains have each fault, by finding."""

    def __init__(self, domains: int, addresses: int = 40) -> None:
        self.clock = FakeClock(wall=1_780_000_000.0)
        self.names = [f"customer{number}.example" for number in range(domains)]
        self._addresses = addresses
        self.wrong_spf = set(self.names[7::30])
        self.no_spf = set(self.names[11::37]) - self.wrong_spf
        self.broken_include = set(self.names[13::41]) - self.wrong_spf - self.no_spf
        self.no_key = set(self.names[3::25])
        self.no_dmarc = set(self.names[0::3])
        self.no_mx = set(self.names[20::50])
        self.settings = self._settings()
        self.store = Store()

    def _settings(self) -> Settings:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "fleet.yaml"
            path.write_text("\n".join(self._configuration()))
            return load(path, CATALOGUE)

    def _configuration(self) -> Iterator[str]:
        yield "blocklists: []"
        yield f"checks: {{{', '.join(f'{check}: {{enabled: false}}' for check in OFF)}}}"
        yield "label_names: [team]"
        yield "senders:"
        yield "  - name: pool"
        yield "    labels: {team: platform}"
        yield "    addresses:"
        for number in range(self._addresses):
            helo = "localhost" if number == self._addresses - 1 else f"out{number}.mailco-lab.com"
            yield f"      - {{ip: 11.0.0.{number + 1}, helo: {helo}}}"
        yield "domains:"
        for number, name in enumerate(self.names):
            yield f"  - {{name: {name}, senders: [pool], dkim_selectors: [s1], labels: {{team: team{number % TEAMS}}}}}"

    def zone(self) -> str:
        return "\n".join(self._records())

    def _records(self) -> Iterator[str]:
        yield "; signed: com NS"
        yield "com. NS a.gtld-servers.net."
        for number in range(self._addresses):
            yield f"out{number}.mailco-lab.com. A 11.0.0.{number + 1}"
            yield f"{number + 1}.0.0.11.in-addr.arpa. PTR out{number}.mailco-lab.com."
        yield '_spf.mailco-lab.com. TXT "v=spf1 ip4:11.0.0.0/24 -all"'
        yield "mx.mailco-lab.com. A 11.0.1.1"
        for name in self.names:
            yield f"{name}. A 11.0.2.1"
            if name not in self.no_mx:
                yield f"{name}. MX 10 mx.mailco-lab.com."
            if name in self.wrong_spf:
                yield f'{name}. TXT "v=spf1 ip4:203.0.113.9 -all"'
            elif name in self.broken_include:
                yield f'{name}. TXT "v=spf1 include:_spf.gone-lab.com include:_spf.mailco-lab.com -all"'
            elif name not in self.no_spf:
                yield f'{name}. TXT "v=spf1 include:_spf.mailco-lab.com -all"'
            if name not in self.no_key:
                yield f's1._domainkey.{name}. TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="'
            if name not in self.no_dmarc:
                yield f'_dmarc.{name}. TXT "v=DMARC1; p=reject; rua=mailto:dmarc@{name}"'

    async def look(self) -> None:
        """Run every check once."""
        dns = MemoryResolver(ZoneData(self.zone()))
        plan = Plan(CATALOGUE, self.settings.targets, self.settings.running.__contains__, self.store)
        await Sweep(plan, self.store, lambda states: Net(dns, self.clock, states=states), self.clock).run()
