"""A scenario is a zone file. Its comments say which target is judged and what the result must be.

Its name is RULE[-VARIANT].zone. RULE is a rule that it expects, without the name of the check, or `clean` or `unknown`.
It begins with a sentence that says what the world is like and why this is the result.

; target: Address ip=192.0.2.10 helo=mail.example.com     a class of targets.py and its fields, such as the loader
                                   makes of a configuration: see scenario_configuration.py
; before: Reputation ...              judged by `blocklist` first, once a line; an hour passes after each
; verdict: pass | fail | unknown
; reason: dns_servfail               of an unknown
; expect: rule.id {key=value ...}    must be found, once for each line, and nothing else may; evidence (and severity=)
                                   that is given must be equal
; sample: metric_name 1 {label=value ...}
; servfail: NAME TYPE                and the other orders of demo/nameserver.py
; smtp: 192.0.2.25:25 key=value ...   a mail server: the fields of demo.mailserver.Behaviour, and tls=1.2-1.3
; rdap: example.com key=value ...    what the registry of com, net, org and example holds: the fields of
                                   demo.registry.Name (expires=400d), or fault=...; without such a line it is not asked
; web: https://mta-sts.example.com/.well-known/mta-sts.txt key=value ...    a page: the fields of demo.website.Page;
                                   its host has an address in the zone, of its own; of several lines for one
                                   page each is served once, and then the last one for good
; mark: https://example.com/mark.pem name=example.com ...    a page with a mark certificate: the fields of
                                   demo.mark.Mark
; server: ns1.example.com 192.0.2.53 example.com,com lame    a server of these zones; this and what it has otherwise
; at ns1.example.com: NAME TYPE DATA                         than the world: see demo/zoneserver.py
; runs: 4 every=1200                 the check runs so often, so many seconds apart, and the last one is judged
; change: 2 NAME TYPE DATA          after two of the runs (`before` and `runs`) the name has this record of that type
                                   and no other; without DATA it has none
; rests: Address ...                 is judged by every check for its kind, and held: a Delivery rests on it
; beside: MailHost ...                is judged before each run, by the same check or else by those for its kind

A blocklist is written name:zone, and has what the shipped catalogue says about that name. A peer is written as a
domain, or as name:port for one server.
In values, \\x20 is the character with that hexadecimal code: a space itself would end the value.
Any other word before a colon is an error, because nothing would obey it. All other comments are prose.
"""

from __future__ import annotations

import re
import types
import typing
from collections import Counter
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from functools import cached_property
from ipaddress import ip_address
from itertools import takewhile
from pathlib import Path
from typing import Any

import dns.rrset

from exporter import targets
from exporter.config import shipped_blocklists
from exporter.demo import mark
from exporter.demo.mailserver import Behaviour
from exporter.demo.nameserver import LIKE_AN_ORDER, ORDERS, disorders
from exporter.demo.registry import Name
from exporter.demo.website import Page
from exporter.engine import catalogue
from exporter.facts import IP
from exporter.mail.dnsbl.blocklist import Blocklist
from exporter.model import Options, Outcome, Target, TargetId
from tests.support.clock import FakeClock
from tests.support.scenario_configuration import loaded

HOME = Path(__file__).parent.parent / "scenarios"
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")
HEADER = (
    "target",
    "before",
    "verdict",
    "reason",
    "expect",
    "sample",
    "smtp",
    "web",
    "mark",
    "rdap",
    "runs",
    "change",
    "rests",
    "beside",
)
TARGET_LINES = ("before", "rests", "target", "beside")
WORDS = ORDERS.union(HEADER)  # all that a scenario may use
_HEADER = re.compile(rf"^;\s*({'|'.join(HEADER)}):[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_SILENCE = re.compile(r"^;\s*(timeout|malformed|no-tcp):", re.MULTILINE)


@dataclass(frozen=True)
class Scenario:
    check: str
    name: str
    text: str
    header: tuple[tuple[str, str], ...]

    def all(self, key: str) -> list[str]:
        return [value for name, value in self.header if name == key]

    def one(self, key: str) -> str:
        values = self.all(key)
        assert len(values) == 1, f"{self.check}/{self.name}: wants exactly one '; {key}:' line"
        return values[0]

    @property
    def opening(self) -> str:
        """The prose before everything else."""
        told = takewhile(lambda line: line.startswith("; ") and not LIKE_AN_ORDER.match(line), self.text.splitlines())
        return " ".join(line.removeprefix("; ") for line in told)

    @property
    def world(self) -> str:
        """The zone file for the servers: they know nothing of the header."""
        return _HEADER.sub("", self.text)

    def written(self, key: str) -> list[Target]:
        """As the lines say, past the loader."""
        written = [_target(line) for line in self.all(key)]
        rests_on = tuple(TargetId(_target(line).identity) for line in self.all("rests"))
        return [replace(t, rests_on=rests_on) if isinstance(t, targets.Delivery) else t for t in written]

    @cached_property
    def _judged(self) -> list[tuple[str, Target]]:
        """Line by line, what the loader makes of it. Raise ConfigError for what it refuses."""
        said = [(key, target) for key in TARGET_LINES for target in self.written(key)]
        made = loaded([target for _, target in said])
        return [(key, one or target) for (key, target), one in zip(said, made, strict=True)]

    def judged(self, key: str) -> list[Target]:
        return [target for line, target in self._judged if line == key]

    @property
    def target(self) -> Target:
        self.one("target")
        return self.judged("target")[0]

    @property
    def rests(self) -> list[Target]:
        return self.judged("rests")

    @property
    def before(self) -> list[Target]:
        return self.judged("before")

    @property
    def beside(self) -> list[Target]:
        return self.judged("beside")

    @property
    def runs(self) -> tuple[int, float]:
        """How often, and how many seconds apart."""
        if not self.all("runs"):
            return 1, 0.0
        times, every = self.one("runs").split(" every=")
        return int(times), float(every)

    @property
    def changes(self) -> list[tuple[int, dns.rrset.RRset]]:
        """After how many runs what stands at which name."""
        return [_change(*line.split(None, 3)) for line in self.all("change")]

    @property
    def mail_servers(self) -> dict[tuple[IP, int], Behaviour]:
        """The address and port in the world of each, and how it behaves."""
        return dict(map(_mail_server, self.all("smtp")))

    @property
    def pages(self) -> list[Page]:
        return self.pages_at(FakeClock().wall())

    def pages_at(self, now: float) -> list[Page]:
        """The mark certificates are good or bad by that time."""
        rows = [line.split() for line in self.all("web")]
        marks = [line.split() for line in self.all("mark")]
        return [
            *(_build(Page, {"url": row[0], **_pairs(row[1:])}) for row in rows),
            *(mark.page(_build(mark.Mark, {"url": row[0], **_pairs(row[1:])}), now) for row in marks),
        ]

    @property
    def registrations(self) -> dict[str, Name]:
        """What the registry holds, by domain."""
        rows = [line.split() for line in self.all("rdap")]
        return {row[0]: _registered(_pairs(row[1:])) for row in rows}

    @property
    def expected(self) -> list[tuple[str, dict[str, str]]]:
        rows = [line.split() for line in self.all("expect")]
        return [(row[0], _pairs(row[1:])) for row in rows]

    @property
    def patience(self) -> float:
        """Seconds for one question over the wire: no machine is so busy, unless a silence is part of the story."""
        return 0.4 if _SILENCE.search(self.text) else 20.0

    def judge(self, outcome: Outcome) -> None:
        """Raise AssertionError unless the outcome is what the header says."""
        told = f"\n{outcome.findings}\n{outcome.doubt}\n" + "\n".join(map(str, outcome.transcript))
        assert outcome.verdict == self.one("verdict"), told
        reason = outcome.doubt.reason if outcome.doubt else None
        assert ([reason] if reason else []) == self.all("reason"), told
        expected = self.expected
        assert Counter(f.id for f in outcome.findings) == Counter(rule for rule, _ in expected), told
        for rule, evidence in expected:
            assert any(
                f.id == rule and evidence.items() <= {**dict(f.evidence), "severity": f.severity}.items()
                for f in outcome.findings
            ), f"{rule} {evidence}{told}"
        samples = {(r.metric.name, r.labels): r.value for r in outcome.samples}
        for line in self.all("sample"):
            metric, value, *labels = line.split()
            key = (metric, tuple(tuple(pair.split("=", 1)) for pair in labels))
            assert samples.get(key) == float(value), f"{key} {samples}{told}"  # type: ignore[arg-type]  # pairs by construction


def load() -> list[Scenario]:
    files = sorted(HOME.glob("*/*.zone"))
    return [read(path) for path in files]


def read(path: Path) -> Scenario:
    return read_header(path.parent.name, path.stem, path.read_text(), str(path))


def read_header(check: str, name: str, text: str, where: str) -> Scenario:
    """Raise ValueError for a word that nobody knows: what it asks for would not be tested."""
    if wrong := [f"{where}:{number}: {what}" for number, what in disorders(text, WORDS)]:
        raise ValueError("\n".join(wrong))
    return Scenario(check, name, text, tuple(_HEADER.findall(text)))


def _change(after: str, name: str, rdtype: str, data: str = "") -> tuple[int, dns.rrset.RRset]:
    lines = [data] if data else []
    return int(after), dns.rrset.from_text_list(name, 300, "IN", rdtype, lines)


def _target(line: str) -> Target:
    kind, *given = line.split()
    target: Target = _build(getattr(targets, kind), _pairs(given))
    return target


def _pairs(words: list[str]) -> dict[str, str]:
    pairs = (word.split("=", 1) for word in words)
    return {name: _ESCAPE.sub(lambda match: chr(int(match[1], 16)), value) for name, value in pairs}


def _mail_server(line: str) -> tuple[tuple[IP, int], Behaviour]:
    where, *rest = line.split()
    ip, _, port = where.rpartition(":")
    given = _pairs(rest)
    if "tls" in given:
        given["oldest"], given["newest"] = given.pop("tls").split("-")
    return (ip_address(ip.strip("[]")), int(port)), _build(Behaviour, given)


def _registered(given: dict[str, str]) -> Name:
    moments = {"expires", "registered", "at_registrar"}
    days = {key: value.removesuffix("d") for key, value in given.items() if key in moments}
    made: Name = _build(Name, {**given, **days})
    return made


def _build(kind: type[Any], given: dict[str, str]) -> Any:
    hints = typing.get_type_hints(kind)
    if issubclass(kind, Target):
        given, options = _options(given)
        return kind(options=options, **_values(kind, hints, given))
    return kind(**_values(kind, hints, given))


def _options(given: dict[str, str]) -> tuple[dict[str, str], tuple[Options, ...]]:
    """The keys that single checks have for themselves, apart from the fields of the target."""
    made = []
    for options in catalogue.load().options.values():
        hints = typing.get_type_hints(options)
        own = {name: _value(hints[name], text) for name, text in given.items() if name in hints}
        given = {name: text for name, text in given.items() if name not in hints}
        if own:
            made.append(options(**own))
    return given, tuple(made)


def _values(kind: type[Any], hints: dict[str, Any], given: dict[str, str]) -> dict[str, Any]:
    unknown = given.keys() - {f.name for f in fields(kind)}
    assert not unknown, f"{kind.__name__} has no {unknown}"
    return {name: _value(hints[name], text) for name, text in given.items()}


def _value(hint: Any, text: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return tuple(_value(args[0], part) for part in text.split(",") if part)
    if hint is targets.Egress:
        ip, _, helo = text.partition("/")
        return targets.Egress(ip_address(ip), helo)
    if hint is targets.Peer:
        name, exactly, port = text.partition(":")
        return targets.Peer(name, exactly=bool(exactly), port=int(port or 25))
    if hint is Blocklist:
        name, _, zone = text.partition(":")
        return shipped_blocklists().entry({"name": name, "zone": zone})
    if hint is bool:
        return {"yes": True, "no": False}[text]
    if hint in (int, float):
        return hint(text)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint(text)
    if origin in (types.UnionType, typing.Union) and type(None) in args:
        return None if text == "none" else _value(args[0], text)
    if origin in (types.UnionType, typing.Union) and any("IPv4" in str(a) for a in args):
        try:
            return ip_address(text)
        except ValueError:
            assert str in args, f"{text} is no address"
            return text
    return text
