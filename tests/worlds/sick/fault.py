"""A fault: what is changed in the healthy set-up, the one finding that must come of it, and what follows by design."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.worlds.world import World

HOME = Path(__file__).parent
DOMAIN = "acme-lab.com"
ZONE = (HOME / "healthy.zone").read_text()
CONFIG = (HOME / "healthy.yaml").read_text()

Found = tuple[str, str]  # a rule, and the first label of its target: a domain, a sender, an address, a host


@dataclass(frozen=True, kw_only=True)
class Fault:
    """`finds` is "RULE WHO"; so are the keys of `follows` and `ends`, whose values say why. Names are in acme-lab.com.

    `zone` has the records that a name and type shall have instead: {"_dmarc TXT": '"v=DMARC1"'}; one a line, or none.
    `config` is text of healthy.yaml and what stands there instead. `smtp` is the name of a mail host and the words that
    its `; smtp:` lines get. `text` is text of healthy.zone and what stands there instead. `lines` are further lines.
    `unknown` are checks that cannot tell then, as "CHECK WHO".
    """

    finds: str
    zone: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)
    smtp: Mapping[str, str] = field(default_factory=dict)
    text: Mapping[str, str] = field(default_factory=dict)
    lines: str = ""
    follows: Mapping[str, str] = field(default_factory=dict)
    ends: Mapping[str, str] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)
    sweeps: int = 1  # how often everything is looked at, one time right after the other
    called: str = ""  # what tells it from other faults of the same rule

    @property
    def name(self) -> str:
        rule, who = self.finds.split()
        return f"{rule}-{self.called or who}"

    def world(self, folder: Path) -> World:
        """The set-up with this fault; its configuration is written to the folder."""
        config, text = CONFIG, ZONE
        for old, new in self.config.items():
            assert config.count(old) == 1, f"{old!r} stands {config.count(old)} times in the configuration"
            config = config.replace(old, new)
        for old, new in self.text.items():
            assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the zone"
            text = text.replace(old, new)
        for key, data in self.zone.items():
            text = _instead(text, key, data)
        for host, words in self.smtp.items():
            text, times = re.subn(rf"^(; smtp: .* name={host}\b.*)$", rf"\1 {words}", text, flags=re.MULTILINE)
            assert times, f"no mail host {host}"
        (folder / "sick.yaml").write_text(config)
        return World("sick", f"{text}\n{self.lines}\n", folder)


def full(name: str) -> str:
    """A name of the healthy zone, absolute."""
    return f"{DOMAIN}." if name == "@" else name if name.endswith(".") else f"{name}.{DOMAIN}."


def _instead(text: str, key: str, data: str) -> str:
    name, kind = key.split()
    record = re.compile(rf"^{re.escape(full(name))}[ \t]+{kind}[ \t].*\n", re.MULTILINE)
    kept = record.sub("", text)
    return "".join([kept, *(f"{full(name)}  {kind}  {line}\n" for line in data.splitlines())])
