"""Makes targets from the entries, and finds the problems between entries."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, Generic, TypeVar

from exporter import targets
from exporter.config import (
    check_options,
    domain_defaults,
    envelopes,
    general,
    labels,
    peers,
    rates,
    receivers,
    registrations,
    schema,
    selectors,
    values,
)
from exporter.config.blocklists import BlocklistReader, ListUses
from exporter.config.problems import ConfigProblem, Problems, Where, did_you_mean, quoted
from exporter.config.settings import EVERY, Settings
from exporter.engine.catalogue import Catalogue
from exporter.facts import IP, Labels
from exporter.files import Files
from exporter.mail import names, rdap
from exporter.mail.dnsbl.blocklist import Blocklist
from exporter.mail.dnsbl.catalogue import Shipped
from exporter.model import Acceptance, Options, Target
from exporter.targets import Peer

T = TypeVar("T")

OF_A_SENDER = (targets.Address, targets.Greeting, targets.EhloProbe, targets.Authorisation, targets.Reputation)
OF_A_PROVIDER = (targets.Authorisation,)
OF_A_DOMAIN = (
    targets.Domain,
    targets.Selector,
    targets.KeyNamespace,
    targets.Zone,
    targets.Authorisation,
    targets.Reputation,
    targets.Registration,
    targets.Delivery,
)
OF_A_HOST = (targets.MailHost,)


@dataclass(frozen=True, slots=True)
class Placed(Generic[T]):
    """An entry, its place in the file, and the keys that had faults and are left out."""

    value: T
    where: Where
    failed: frozenset[str] = frozenset()


@dataclass(slots=True)
class Build:
    """Validates the entries against each other. The results are in `targets` and `blocklists`."""

    config: schema.Config
    entries: Mapping[str, Sequence[Placed[Any]]]
    catalogue: Catalogue
    shipped: Shipped
    home: Path  # the folder that paths are relative to
    top: Where
    failed: frozenset[str]  # top-level keys that could not be understood: nothing is said that rests on them
    files: Files
    own_blocklists: bool
    nameless: bool  # the name of a sender could not be understood
    problems: Problems
    warnings: list[ConfigProblem]
    targets: list[Target] = field(default_factory=list)
    blocklists: tuple[Blocklist, ...] = ()
    _peers: tuple[Peer, ...] = ()
    _bootstrap: str | Path = rdap.IANA
    _off: frozenset[str] = frozenset()
    _on: set[str] = field(default_factory=set)
    _senders: dict[str, Placed[schema.SenderEntry]] = field(default_factory=dict)
    _named: set[str] = field(default_factory=set)  # senders that a domain names
    _foreign: frozenset[str] = frozenset()  # senders that are `theirs` in every domain that names them
    _unclear: bool = False  # of some domain the senders are not understood, and one may be `theirs`
    _claimed: dict[Hashable, Where] = field(default_factory=dict)
    _options: tuple[Options, ...] = ()  # of entries that say nothing of checks
    _uses: ListUses = field(init=False)

    def judge(self) -> None:
        """Report all problems and warnings, and make the targets."""
        self._off = check_options.off(frozenset(), self.config.checks)
        self._options = check_options.merged(self.config.checks, {}, self.catalogue)
        check_options.judge(self.config.checks, self.catalogue, self.top / "checks", self.problems)
        labels.judge(self.config, self.failed, self.catalogue, self.top, self.problems, self._claim)
        general.judge(self.config, self.catalogue, self.top, self.problems, self._claim)
        self._peers = tuple(peers.read(self.config.ehlo_probe.peers, self.top / "ehlo_probe" / "peers", self.problems))
        self.blocklists = tuple(self._blocklists())
        self._uses = ListUses(self.blocklists, self.catalogue)
        domains = self._completed()
        self._unclear = any("senders" in it.failed for it in domains) or domain_defaults.NAME in self.failed
        self._foreign = envelopes.only_theirs(domain.value for domain in domains)
        for sender in self.entries["senders"]:
            if self._claim(("sender", sender.value.name), sender.where / "name", f"the sender {sender.value.name}"):
                self._senders[sender.value.name] = sender
            self.targets += self._of_sender(sender)
        if not self._good_defaults():
            domains = self.entries["domains"]  # as written: the fault is not told again at each domain
        for domain in domains:
            self._claim(("domain", domain.value.name), domain.where / "name", f"the domain {domain.value.name}")
            self.targets += self._of_domain(domain)
        for host in self.entries["mail_hosts"]:
            self.targets += self._of_host(host)
        self.targets += registrations.registrations(self.targets)
        chosen = receivers.by_domain(
            self.config.receivers, self.top, ((it.value, it.where) for it in domains), self.problems
        )
        self.targets += list(targets.deliveries(self.targets, chosen.__getitem__))
        self.targets += self._of_exporter()
        given, where = self.config.rdap.bootstrap, self.top / "rdap" / "bootstrap"
        self._bootstrap = registrations.bootstrap(given, self.home, where, self.problems, self.files)
        general.judge_helo_name(self.config, self.failed, self.catalogue, self.targets, self.top, self.problems)
        self._doubts()

    def settings(self, config: schema.Config, files: tuple[str, ...], digest: str) -> Settings:
        """The result. Call it only if judge() found no problem."""
        default = config.schedule.get("default", EVERY)
        checks = self.catalogue.checks
        made = Settings(
            checks=checks,
            nameservers=tuple(config.resolver.nameservers),
            dns_timeout=config.resolver.timeout.total_seconds(),
            queries_per_second=config.resolver.queries_per_second,
            helo_name=config.smtp.helo_name,
            rdap_bootstrap=self._bootstrap,
            intervals={name: config.schedule.get(name, check.interval or default) for name, check in checks.items()},
            enabled=frozenset(checks.keys() - self._off | self._on),
            severities=config.severities,
            blocklists=self.blocklists,
            label_names=tuple(config.label_names),
            series_limit=config.limits.series,
            reload_drop=config.limits.reload_drop,
            denied_families=frozenset(config.metrics.deny),
            totals_by=tuple(config.metrics.totals_by),
            targets=tuple(self.targets),
            warnings=tuple(self.warnings),
            files=files,
            digest=digest,
        )
        too_slow = tuple(rates.doubts(made, self.top))
        return replace(made, warnings=made.warnings + too_slow, too_slow=too_slow)

    # Each kind of entry.

    def _completed(self) -> Sequence[Placed[schema.DomainEntry]]:
        given = self.config.domain_defaults
        return [
            replace(it, value=domain_defaults.completed(it.value, given, it.failed)) for it in self.entries["domains"]
        ]

    def _good_defaults(self) -> bool:
        """Judge the defaults of domains once, as if they were a domain."""
        if not self.config.domain_defaults.model_fields_set:
            return True
        problems, warnings = len(self.problems), len(self.warnings)
        alone = Placed(domain_defaults.as_domain(self.config.domain_defaults), self.top / domain_defaults.NAME)
        list(self._of_domain(alone))
        receivers.by_domain((), self.top, [(alone.value, alone.where)], self.problems)
        del self.warnings[warnings:]  # they are about each domain
        return len(self.problems) == problems

    def _of_sender(self, placed: Placed[schema.SenderEntry]) -> Iterator[Target]:
        sender, where = placed.value, placed.where
        if sender.spf_include is not None or self._of_others(sender):
            for key in ("addresses", "helo"):
                if sender.spf_include is not None and getattr(sender, key) is not None:
                    self.problems.report(
                        where / key, "cannot stand beside spf_include, which says that the machines are not ours"
                    )
            self._shared(placed, "a sender with spf_include", OF_A_PROVIDER, OF_A_PROVIDER)
            return
        common = self._shared(placed, "a sender", OF_A_SENDER, OF_A_SENDER)
        if sender.addresses is None and not placed.failed & {"addresses", "spf_include"} and not self._unclear:
            self.problems.report(
                where, "has no addresses; list those that send, or set spf_include if the machines are not yours"
            )
        for number, address in enumerate(sender.addresses or ()):
            here = where / "addresses" / number
            self._claim(("ip", address.ip), here, f"the address {address.ip}")
            if meaning := names.not_public(address.ip):
                self._doubt(here, f"{address.ip} is {meaning}: receivers never see it; set the address that they see")
            helo = sender.helo if address.helo is None else address.helo
            if helo is None and "helo" in placed.failed:
                continue
            if helo is None:
                self.problems.report(
                    here, "has no HELO name; set helo, here or for the whole sender, to what the machine says"
                )
                continue
            yield targets.Address(ip=address.ip, helo=(helo,), **common)
            lists = self._uses.holding(helo) if self._uses.asked(targets.Reputation, common["off"]) else ()
            lists = lists and targets.lists_of_name(helo, lists)
            yield targets.Greeting(sender=sender.name, ip=address.ip, helo=helo, lists=lists, **common)
            if self._peers:
                yield targets.EhloProbe(sender=sender.name, ip=address.ip, helo=helo, peers=self._peers, **common)
                on = set(self.catalogue.looking_at(targets.EhloProbe)) - common["off"]
                if on and set(helo) & set("\r\n"):
                    which = f"which {' and '.join(sorted(on))} cannot say in one line; correct the name"
                    self.problems.report(here, f"has a HELO name with a line break, {which}")
            yield from self._reputation(address.ip, common)

    def _of_domain(self, placed: Placed[schema.DomainEntry]) -> Iterator[Target]:
        domain, where = placed.value, placed.where
        common = self._shared(placed, "a domain", (*OF_A_DOMAIN, *OF_A_HOST), OF_A_DOMAIN)
        for number, name in enumerate(domain.mail_from or ()):
            self._claim(("mail_from", where, name), where / "mail_from" / number, f"the envelope domain {name}")
        mail_from = envelopes.all_of(domain)
        yield targets.Domain(
            name=domain.name,
            mail_from=mail_from,
            receives_mail=domain.receives_mail,
            sends_mail=domain.sends_mail,
            signers=tuple(dict.fromkeys(selectors.signer(domain, key) for key in selectors.in_use(domain))),
            own_machines=any(
                named.value.spf_include is None and not self._of_others(named.value)
                for use in domain.senders
                if (named := self._senders.get(use.name))
            ),
            theirs=envelopes.theirs(domain),
            **common,
        )
        if domain.senders and not domain.sends_mail:
            self.problems.report(where / "senders", "names senders, but sends_mail is false; remove one of the two")
        shared = [use.name for use in domain.senders if use.mail_from is None]
        if len(shared) > 1 and len(domain.mail_from or ()) > 1:
            how = f"in `senders: [{{name: {shared[-1]}, mail_from: [...]}}]`"
            at_each = "names several domains, and SPF is checked at each for each of its senders"
            self._doubt(where / "mail_from", f"{at_each}; say which one uses which, as {how}")
        for number, use in enumerate(domain.senders):
            yield from self._use(domain, use, where, number, common)
        for number, key in enumerate(domain.dkim_selectors):
            what = f"the selector {key.selector} of {domain.name}"
            self._claim(("selector", where, key.selector), where / "dkim_selectors" / number, what)
        yield from selectors.selectors(domain, common)
        used = selectors.in_use(domain)
        keys = tuple(f"{key.selector}._domainkey.{selectors.signer(domain, key)}" for key in used)
        yield targets.Zone(name=domain.name, mail_from=mail_from, keys=keys, **common)
        yield from self._reputation(domain.name, common)
        if domain.sends_mail and not domain.senders:
            self._doubt(where, "has no senders: whether SPF authorises the machines that send is not checked")

    def _of_host(self, placed: Placed[schema.MailHostEntry]) -> Iterator[Target]:
        host = placed.value
        self._claim(("mail_host", host.host, host.port), placed.where, f"the mail host {host.host}:{host.port}")
        common = self._shared(placed, "a mail host", OF_A_HOST, OF_A_HOST)
        yield targets.MailHost(host=host.host, port=host.port, configured=True, **common)

    def _of_exporter(self) -> Iterator[Target]:
        looked_in: dict[str, bool] = {}  # whether about IPv6 addresses too
        counted: set[tuple[int, bool]] = set()  # most targets share their lists
        for target in self.targets:
            if isinstance(target, targets.Reputation | targets.Greeting) and self._uses.asked(type(target), target.off):
                six = isinstance(target, targets.Reputation) and isinstance(target.subject, IPv6Address)
                if (id(target.lists), six) not in counted:
                    counted.add((id(target.lists), six))
                    looked_in |= {it.name: six or looked_in.get(it.name, False) for it in target.lists}
        others = set(self.config.probe.allow) - {values.CONFIGURED}  # whom /probe may look up
        used = [b for b in self.blocklists if b.name in looked_in or others]
        for blocklist in used:
            yield targets.ListHealth(blocklist=blocklist, ipv6=looked_in.get(blocklist.name, False), off=self._off)
        yield targets.OwnResolver(uses_blocklists=bool(used), off=self._off)

    def _use(
        self,
        domain: schema.DomainEntry,
        use: schema.SenderOfDomain,
        where: Where,
        number: int,
        common: Mapping[str, Any],
    ) -> Iterator[Target]:
        """The target for one sender of one domain. A sender that is `theirs` has none."""
        here = where / "senders" / number
        self._named.add(use.name)
        self._claim(("authorisation", where, use.name), here, f"the sender {quoted(use.name)} of {domain.name}")
        for place, name in enumerate(use.mail_from or ()):
            self._claim(("mail_from", here, name), here / "mail_from" / place, f"the envelope domain {name}")
        sender = self._senders.get(use.name)
        if sender is None and not self.nameless:
            self.problems.report(
                here, f"no sender is called {quoted(use.name)}; {did_you_mean(use.name, self._senders)}"
            )
        if sender is None:
            return
        if use.mail_from != []:
            yield self._authorisation(domain, tuple(use.mail_from or envelopes.common(domain)), sender.value, common)
        elif sender.value.addresses is not None:
            problem = (
                f"is {values.THEIRS}, but {use.name} has addresses of yours; name the envelope domains that it uses"
            )
            self.problems.report(here / "mail_from", problem)

    def _of_others(self, sender: schema.SenderEntry) -> bool:
        """Is its name enough, because machines and envelope domains are a provider's?"""
        nothing = sender.addresses is None and sender.helo is None and sender.spf_include is None
        return nothing and sender.name in self._foreign

    def _authorisation(
        self,
        domain: schema.DomainEntry,
        mail_from: tuple[str, ...],
        sender: schema.SenderEntry,
        common: Mapping[str, Any],
    ) -> Target:
        """The pair belongs to the domain, whose owner writes the SPF record. The sender adds the rest."""
        addresses = () if sender.spf_include else sender.addresses or ()
        egress = tuple(targets.Egress(a.ip, (sender.helo if a.helo is None else a.helo) or "") for a in addresses)
        return targets.Authorisation(
            domain=domain.name,
            sender=sender.name,
            mail_from=mail_from,
            egress=egress,
            spf_include=sender.spf_include,
            labels=self._labels({**sender.labels, **domain.labels}),
            off=common["off"] | check_options.off(self._off, sender.checks),
            accept=(*common["accept"], *_accepted(sender.accept)),
        )

    def _reputation(self, subject: IP | str, common: Mapping[str, Any]) -> Iterator[Target]:
        if lists := self._uses.holding(subject):
            yield targets.Reputation(subject=subject, lists=lists, **common)

    def _shared(
        self, placed: Placed[Any], noun: str, checked: tuple[type[Target], ...], judged: tuple[type[Target], ...]
    ) -> dict[str, Any]:
        entry: schema.TargetEntry = placed.value
        where = placed.where
        if "label_names" not in self.failed:
            for name in entry.labels.keys() - set(self.config.label_names):
                hint = did_you_mean(name, self.config.label_names) if self.config.label_names else "none are"
                self.problems.report(where / "labels" / name, f"is not declared in label_names; {hint}")
        check_options.judge(entry.checks, self.catalogue, where / "checks", self.problems)
        for name, switch in entry.checks.items():
            if not set(self.catalogue.checks[name].over) & set(checked):
                self.problems.report(where / "checks" / name, f"never looks at {noun}; move it to where it applies")
            elif switch.enabled:
                self._on.add(name)
        for number, accept in enumerate(entry.accept):
            here = where / "accept" / number
            self._claim(("accept", where, accept.finding), here, f"the finding {accept.finding}")
            if not set(self.catalogue.checks[accept.finding.partition(".")[0]].over) & set(judged):
                self.problems.report(here / "finding", f"is never found of {noun}; move it to where it applies")
        return {
            "labels": self._labels(entry.labels),
            "off": check_options.off(self._off, entry.checks),
            "options": check_options.merged(self.config.checks, entry.checks, self.catalogue)
            if entry.checks
            else self._options,
            "accept": _accepted(entry.accept),
        }

    def _labels(self, given: Mapping[str, str]) -> Labels:
        return tuple((name, given[name]) for name in self.config.label_names if name in given)

    # The rest of the file.

    def _blocklists(self) -> Iterator[Blocklist]:
        if not self.own_blocklists:
            yield from self.shipped.default
            return
        reading = BlocklistReader(self.shipped, self.home, self.problems, self.files)
        for placed in self.entries["blocklists"]:
            self._claim(("blocklist", placed.value.name), placed.where, "this blocklist")
            if not placed.failed and (made := reading.read(placed.value, placed.where)) is not None:
                yield made

    def _doubts(self) -> None:
        if not any(self.entries[key] for key in ("senders", "domains", "mail_hosts")):
            self._doubt(self.top, "has no senders, domains or mail_hosts: there is nothing to check")
        for name, sender in self._senders.items():
            if name not in self._named:
                self._doubt(sender.where, "is named by no domain: whether SPF authorises it is not checked")

    def _claim(self, identity: Hashable, where: Where, what: str) -> bool:
        """Report it if another entry has the same identity."""
        first = self._claimed.setdefault(identity, where)
        if first is not where:
            self.problems.report(where, f"{what} is configured twice: here and at {first}; keep one")
        return first is where

    def _doubt(self, where: Where, message: str) -> None:
        self.warnings.append(where.problem(message))


def _accepted(entries: Sequence[schema.AcceptEntry]) -> tuple[Acceptance, ...]:
    return tuple(Acceptance(finding=e.finding, until=e.until, reason=e.reason) for e in entries)
