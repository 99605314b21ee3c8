"""The catalogue of blocklists: what each one lists, whether and how often it is asked, and its terms."""

from __future__ import annotations

from datetime import timedelta

from exporter.config import shipped_blocklists
from exporter.config.build import EVERY
from exporter.config.values import written
from exporter.engine.catalogue import Catalogue
from exporter.mail.dnsbl.blocklist import Blocklist, Lists
from exporter.publish.markdown import NONE, code, joined, plain, table
from exporter.targets import Reputation
from tools.reference.made import MADE

_HEAD = """\
What the exporter knows of blocklists, as of {known}. A list's own pages have the last word: read the terms of each
before you use it, and take out what does not suit you. `blocklists` in the [configuration](config.md#blocklists) names
those that are asked; without it, those marked as default are.

The ceiling is ours: so many questions one exporter asks in a day, tests of the list included. Where a list publishes a
limit, your mail servers behind the same resolver count as well. *Suffices for* says how many addresses, domains or
HELO names can be asked about every {every} below it; a longer `schedule.blocklist` makes it more, and so does
`queries_per_day` where you have agreed on more with the list."""

_RETIRED = """\
Who asks these is told nothing for ever, or that everybody is listed. A configuration that names one is refused."""


def page(known: Catalogue) -> str:
    shipped = shipped_blocklists()
    every = min(entry.check.interval or EVERY for entry in known.over(Reputation))
    return joined(
        "# Blocklists",
        MADE,
        _HEAD.format(known=shipped.known, every=written(every)),
        table(
            ("Name", "Zone", "Lists", "Default", "Ceiling a day", "Suffices for", "Terms", "Removal"),
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
