"""The catalogue of blocklists: what each one lists, whether and how often it is asked, and its terms."""

from __future__ import annotations

from datetime import timedelta

from exporter.config import shipped_blocklists
from exporter.config.settings import EVERY
from exporter.config.values import written
from exporter.engine.catalogue import Catalogue
from exporter.mail.dnsbl.blocklist import Blocklist, Lists
from exporter.publish.markdown import NONE, code, joined, plain, table
from exporter.targets import Reputation
from tools.reference.made import MADE

_HEAD = """\
The blocklists that the exporter knows, as of {known}. Read the terms of use of each list before you use it, and remove
what does not fit you. `blocklists` in the [configuration](config.md#blocklists) chooses the lists; without it, the
exporter uses the default ones.

The daily query limit is that of one exporter, with the self-tests of the list. If a list publishes a limit, your mail
servers with the same resolver count, too. *Enough for* is the number of addresses, domains or HELO names with a query
every {every}. A longer `schedule.blocklist` allows more, and so does `queries_per_day` if the list agrees."""

_RETIRED = """\
These lists answer nothing, or list everything. A configuration with one of them is an error."""


def page(known: Catalogue) -> str:
    shipped = shipped_blocklists()
    every = min(entry.check.interval or EVERY for entry in known.over(Reputation))
    return joined(
        "# Blocklists",
        MADE,
        _HEAD.format(known=shipped.known, every=written(every)),
        table(
            ("Name", "Zone", "Lists", "Default", "Daily query limit", "Enough for", "Terms of use", "Delisting"),
            (_row(it, every) for it in shipped.lists.values()),
        ),
        "## Retired",
        _RETIRED,
        table(
            ("Name", "Zone", "Since", "Why"), ((r.name, code(r.zone), r.since, plain(r.why)) for r in shipped.retired)
        ),
    )


def _row(known: Blocklist, every: timedelta) -> tuple[str, ...]:
    most = known.queries_per_day
    return (
        code(known.name),
        code(known.zone),
        _lists(known),
        "yes" if known.default else "no",
        f"{most:,}" if most else NONE,
        f"{int(most * every / timedelta(days=1)):,}" if most else NONE,
        plain(known.terms),
        known.delist,
    )


def _lists(known: Blocklist) -> str:
    if known.lists is Lists.DOMAINS:
        return "domains"
    return " and ".join(kind for kind, held in (("IPv4", known.ipv4), ("IPv6", known.ipv6)) if held)
