"""Blocklists in the configuration. A zone may contain a customer's key, so no message here quotes a zone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter.config import values
from exporter.config.problems import Problems, Where, did_you_mean
from exporter.config.schema import BlocklistEntry
from exporter.engine.catalogue import Catalogue
from exporter.facts import IP
from exporter.files import Files
from exporter.mail import names
from exporter.mail.dnsbl.blocklist import Blocklist
from exporter.mail.dnsbl.catalogue import Shipped
from exporter.model import Door, Target

SECRET_ZONES = ("dq.spamhaus.net", "mail.abusix.zone")  # what stands before these is a customer's key
LONGEST_SECRET = 1024  # bytes of a zone_file


@dataclass(frozen=True, slots=True)
class BlocklistReader:
    """Makes lists of entries; `home` is the folder that paths are relative to."""

    shipped: Shipped
    home: Path
    problems: Problems
    files: Files

    def read(self, entry: BlocklistEntry, where: Where) -> Blocklist | None:
        """The blocklist. If the entry is wrong, the problem is reported and the result is None."""
        sources = [key for key in ("zone", "zone_file", "zone_env") if getattr(entry, key) is not None]
        if len(sources) > 1:
            self.problems.report(where / sources[1], f"cannot stand beside {sources[0]}; keep one of them")
            return None
        if not sources and entry.name not in self.shipped.lists:
            hint = did_you_mean(entry.name, self.shipped.lists)
            self.problems.report(where, f"names no list of the shipped catalogue, and has no zone; {hint}")
            return None
        given: dict[str, Any] = {"name": entry.name}
        for key in ("lists", "severity", "queries_per_day", "queries_per_second"):
            if getattr(entry, key) is not None:
                given[key] = getattr(entry, key)
        if sources:
            zone = self._zone(entry, where)
            if zone is None:
                return None
            given["zone"] = zone
        try:
            return self.shipped.entry(given)
        except ValueError as error:
            self.problems.report(where, str(error))
            return None

    def _zone(self, entry: BlocklistEntry, where: Where) -> str | None:
        if entry.zone is not None:
            if any(names.under(entry.zone, parent) for parent in SECRET_ZONES):
                advice = "put the zone into a file and set zone_file"
                self.problems.report(where / "zone", f"holds a key, which is a secret; {advice}")
                return None
            return entry.zone
        source = "zone_env" if entry.zone_file is None else "zone_file"
        try:
            text = self._secret(entry)
        except OSError as error:
            self.problems.report(where / source, f"names a file that cannot be read: {error.strerror}")
            return None
        if text is None:
            self.problems.report(where / source, "names an environment variable that is not set")
            return None
        try:
            return values.zone(text.decode())
        except ValueError:
            self.problems.report(where / source, "does not lead to the name of a zone (what it leads to is not shown)")
            return None

    def _secret(self, entry: BlocklistEntry) -> bytes | None:
        if entry.zone_file is None:
            return os.environb.get(os.fsencode(entry.zone_env or ""))
        return self.files.read(self.home / entry.zone_file, LONGEST_SECRET)


class ListUses:
    """Which of the lists serve for what. Entries of a kind share the answer, and one tuple of lists."""

    def __init__(self, lists: tuple[Blocklist, ...], catalogue: Catalogue) -> None:
        self._lists = lists
        self._catalogue = catalogue
        self._holding: dict[str, tuple[Blocklist, ...]] = {}  # by the kind of subject
        self._asked: dict[tuple[type[Target], frozenset[str]], bool] = {}

    def holding(self, subject: IP | str) -> tuple[Blocklist, ...]:
        """The lists that can hold such a subject."""
        kind = "name" if isinstance(subject, str) else f"IPv{subject.version}"
        if kind not in self._holding:
            self._holding[kind] = tuple(it for it in self._lists if it.holds(subject))
        return self._holding[kind]

    def asked(self, kind: type[Target], off: frozenset[str]) -> bool:
        """Does a check ask blocklists about such a target? `off` are the checks that are off for it."""
        if (kind, off) not in self._asked:
            asking = set(self._catalogue.through(Door.BLOCKLISTS)).intersection(self._catalogue.looking_at(kind))
            self._asked[kind, off] = bool(asking - off)
        return self._asked[kind, off]
