"""The lights of a domain or an address: for each thing that people ask first, the worst of its checks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from exporter.check_state import Key
from exporter.engine.store import Store
from exporter.model import Light
from exporter.targets import Authorisation, EhloProbe, Greeting, MailHost
from exporter.views.fleet.summary import RANKS, Fleet, Level

Lights: TypeAlias = Mapping[Light, Level | None]  # None: nothing looks at it

OF_ADDRESSES = (Light.PTR, Light.HELO, Light.BLOCKLISTS)
OF_SENDING = (*OF_ADDRESSES, Light.SPF, Light.DKIM, Light.DMARC)  # what receivers look at when mail arrives


class LightBoard:
    """Shows lights of one fleet. What several domains share is looked at once."""

    def __init__(self, store: Store, fleet: Fleet) -> None:
        self._store, self._fleet = store, fleet
        self._of_senders: dict[tuple[str, tuple[str, ...]], Lights] = {}
        self._of_hosts: dict[tuple[str, int], Lights] = {}

    def of_domain(self, name: str) -> Lights:
        """With those of its senders' addresses and its mail hosts."""
        own = self._store.pairs_of("domain", name)
        made = [self._lights(own)]
        for key in own:
            state = self._store[key]
            if isinstance(state.target, Authorisation):
                ips = tuple(str(it.ip) for it in state.target.egress)
                made.append(self._of_sender(state.target.sender, ips))
            made += (self._of_host(it) for it in state.found if isinstance(it, MailHost))
        return _at_risk(_worst(made))

    def around(self, name: str) -> dict[Key, None]:
        """The pairs of a domain, of its senders' addresses and of its mail hosts."""
        own = self._store.pairs_of("domain", name)
        found = dict(own)
        for key in own:
            state = self._store[key]
            if isinstance(state.target, Authorisation):
                for it in state.target.egress:
                    found.update(dict.fromkeys(self._said_by(state.target.sender, str(it.ip))))
            for host in state.found:
                if isinstance(host, MailHost):
                    found.update(dict.fromkeys(self._pairs_of_host(host)))
        return found

    def of_address(self, ip: str) -> Lights:
        return self._lights(self._store.pairs_of("ip", ip))

    def _of_sender(self, sender: str, ips: tuple[str, ...]) -> Lights:
        if (sender, ips) not in self._of_senders:
            self._of_senders[sender, ips] = _worst(self._lights(self._said_by(sender, ip)) for ip in ips)
        return self._of_senders[sender, ips]

    def _said_by(self, sender: str, ip: str) -> Iterator[Key]:
        """The pairs of an address, without what other senders say from it."""
        for key in self._store.pairs_of("ip", ip):
            target = self._store[key].target
            if not isinstance(target, Greeting | EhloProbe) or target.sender == sender:
                yield key

    def _of_host(self, host: MailHost) -> Lights:
        place = host.host, host.port
        if place not in self._of_hosts:
            self._of_hosts[place] = self._lights(self._pairs_of_host(host))
        return self._of_hosts[place]

    def _pairs_of_host(self, host: MailHost) -> Iterator[Key]:
        return (key for key in self._store.pairs_of("mail_host", host.host) if key[1] == host.key)

    def _lights(self, pairs: Iterable[Key]) -> Lights:
        lights = dict[Light, Level | None]()
        for key in pairs:
            check, mark = self._store[key].check, self._fleet.mark(key)
            light = check.light
            if light and (check.proves or mark is not Level.PASS) and _worse(mark, lights.get(light)):
                lights[light] = mark
        return lights


def shown(lights: Lights, kinds: Iterable[Light] = Light) -> list[tuple[Light, Level | None]]:
    """In their order."""
    return [(kind, lights.get(kind)) for kind in kinds]


def _at_risk(lights: Lights) -> Lights:
    """Nobody reads that receivers are well beside a fault for which many of them refuse mail."""
    if lights.get(Light.RECEIVERS) is Level.PASS and Level.CRITICAL in map(lights.get, OF_SENDING):
        return {**lights, Light.RECEIVERS: Level.WARNING}
    return lights


def _worst(several: Iterable[Lights]) -> Lights:
    made = dict[Light, Level | None]()
    for lights in several:
        for kind, mark in lights.items():
            if mark and _worse(mark, made.get(kind)):
                made[kind] = mark
    return made


def _worse(mark: Level, than: Level | None) -> bool:
    return than is None or RANKS[mark] < RANKS[than]
