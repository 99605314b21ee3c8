"""Which SPF record repairs what was found: the published one with as little change as possible (RFC 7208).

Addresses become terms in front of all others: there they cost no lookup, and no term before them can refuse (section
4.6.2). Networks hold exactly the addresses that send, and no other. An include comes last before `all`.

A new record ends in `~all`, as nobody can know here that all senders are in it. A record is proposed only if it is
valid, at most 450 octets long (section 3.4), and within the limit of lookups by its own terms (section 4.6.4).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses, ip_address
from typing import TypeAlias

from exporter.facts import IP, Finding, Known
from exporter.mail.spf.limits import MOST_LOOKUPS
from exporter.mail.spf.macro import SpfSyntaxError
from exporter.mail.spf.record import ASKS_DNS, SpfRecord, SpfResult, parse
from exporter.remedies import NOTHING, DnsChange, Remedy, txt, whole

LONGEST = 450  # octets of a record (RFC 7208 section 3.4)
CLOSED = "v=spf1 -all"

_Network: TypeAlias = IPv4Network | IPv6Network


def networks(addresses: Iterable[IP]) -> list[_Network]:
    """Those that hold exactly these addresses, and no other."""
    known = set(addresses)
    four = collapse_addresses(IPv4Network(ip) for ip in known if isinstance(ip, IPv4Address))
    six = collapse_addresses(IPv6Network(ip) for ip in known if isinstance(ip, IPv6Address))
    return [*four, *six]


def term(network: _Network) -> str:
    """The mechanism that covers it."""
    return f"ip{network.version}:{network if network.num_addresses > 1 else network.network_address}"


def authorise(findings: Sequence[Finding], known: Known) -> Remedy:
    """A record for addresses that do not pass. The evidence `name` may list several envelope domains."""
    evidence = [dict(finding.evidence) for finding in findings]
    names = dict.fromkeys(name for it in evidence for name in it["name"].split(", "))
    addresses = [ip_address(it["ip"]) for it in evidence]
    unpublished = len(names) == 1 and all(it.get("result") == SpfResult.NONE for it in evidence)
    shared = {name: include_of_others(name, addresses, known) for name in names}
    return _all(
        _authorised(name, (), shared[name][:1], known, unpublished=unpublished)
        or _authorised(name, addresses, (), known, unpublished=unpublished)
        for name in names
    )


def include_of_others(name: str, addresses: Collection[IP], known: Known) -> tuple[str, int] | tuple[()]:
    """The include by which other domains let these addresses pass, and how many do. Nothing, if the record has it."""
    shared = known.shared_include(addresses)
    texts = known.texts(_record(name)) or ()
    return shared if shared and not any(f"include:{shared[0]}" in text.lower().split() for text in texts) else ()


def include(findings: Sequence[Finding], known: Known) -> Remedy:
    """A record for providers whose policy is not included."""
    wanted: dict[str, list[str]] = {}
    for it in (dict(finding.evidence) for finding in findings):
        wanted.setdefault(it["name"], []).append(it["include"])
    return _all(_authorised(name, (), includes, known, unpublished=False) for name, includes in wanted.items())


def first_record(findings: Sequence[Finding], known: Known) -> Remedy:
    """A record for a name that has none: all who are configured to send with it. Nothing, if nobody is."""
    names = dict.fromkeys(dict(finding.evidence)["name"] for finding in findings)
    return _all(_authorised(name, (), (), known, unpublished=True) for name in names)


def close(findings: Sequence[Finding], known: Known) -> Remedy:
    """The record of a name that sends no mail."""
    names = dict.fromkeys(dict(finding.evidence)["name"] for finding in findings)
    published = {name: known.texts(_record(name)) for name in names}
    return _all([txt(name, CLOSED, texts)] for name, texts in published.items() if texts is not None)


def merge(findings: Sequence[Finding], known: Known) -> Remedy:
    """One record in place of several. It refuses no more than the mildest of them."""
    names = dict.fromkeys(dict(finding.evidence)["name"] for finding in findings)
    return _all(_merged(name, known.texts(_record(name)) or ()) for name in names)


def end_refusing(findings: Sequence[Finding], known: Known) -> Remedy:
    """The record with `~all` at its end. Senders that would fail by that get their terms at once."""
    changes = []
    for name in dict.fromkeys(dict(finding.evidence)["name"] for finding in findings):
        record = _published(name, known)
        if record is None or record.redirect or (record.all and record.all.qualifier is SpfResult.PASS):
            return NOTHING
        words = [word for word in record.text.split() if word.lower() not in ("?all", "~all", "-all")]
        failing = [it for it in known.findings(name) if it.id.partition(".")[0] != findings[0].id.partition(".")[0]]
        evidence = [dict(it.evidence) for it in failing]
        terms = map(term, networks(ip_address(it["ip"]) for it in evidence if "ip" in it and "why" in it))
        changes.append(_replaced(name, record.text, [words[0], *terms, *words[1:], "~all"]))
    return _all(changes)


def repair_networks(findings: Sequence[Finding], known: Known) -> Remedy:
    """`ip4=192.0.2.1` as the mechanism that was meant. Other mechanisms ask DNS, and may fail there."""
    changes = []
    for name in dict.fromkeys(dict(finding.evidence)["name"] for finding in findings):
        record = _published(name, known)
        wrong = [dict(it.evidence)["term"] for it in findings if dict(it.evidence)["name"] == name]
        if record is None or not all(it.lower().startswith(("ip4=", "ip6=")) for it in wrong):
            return NOTHING
        words = [word.replace("=", ":", 1) if word in wrong else word for word in record.text.split()]
        changes.append(_replaced(name, record.text, words))
    return _all(changes)


def remove_obsolete(findings: Sequence[Finding], known: Known) -> Remedy:
    """Nothing of the type SPF (99)."""
    names = dict.fromkeys(dict(finding.evidence)["name"] for finding in findings)
    found = {name: known.texts(f"{name} SPF") or () for name in names}
    return Remedy(tuple(DnsChange(name, "SPF", remove=texts) for name, texts in found.items() if texts))


def _record(name: str) -> str:
    return f"{name} TXT v=spf1"


def _published(name: str, known: Known) -> SpfRecord | None:
    """The one valid record, if it is known as a whole."""
    texts = known.texts(_record(name))
    return _parsed(texts[0]) if texts and len(texts) == 1 else None


def _parsed(text: str) -> SpfRecord | None:
    try:
        return parse(text.encode())
    except SpfSyntaxError:
        return None


def _authorised(
    name: str, addresses: Sequence[IP], includes: Sequence[str], known: Known, *, unpublished: bool
) -> list[DnsChange]:
    if known.texts(_record(name)) == () or (unpublished and known.texts(_record(name)) is None):
        senders, providers = known.senders(name)
        if shared := known.shared_include(senders):
            return _first(name, (), [*providers, *includes, shared[0]])
        return _first(name, [*senders, *addresses], [*providers, *includes])
    record = _published(name, known)
    if record is None or not (addresses or includes):
        return []
    words = record.text.split()
    ends = [number for number, word in enumerate(words) if word.lower().lstrip("+-~?") == "all"]
    at = ends[0] if ends else len(words)
    asked = [f"include:{it}" for it in dict.fromkeys(includes) if whole(it)]
    if {it.lstrip("+-~?").lower() for it in words} & {*asked}:
        return []  # it is there, and does not do what it should
    return _replaced(name, record.text, [words[0], *map(term, networks(addresses)), *words[1:at], *asked, *words[at:]])


def _first(name: str, addresses: Iterable[IP], includes: Iterable[str]) -> list[DnsChange]:
    terms = [*map(term, networks(addresses)), *(f"include:{it}" for it in dict.fromkeys(includes))]
    return _checked(txt(name, " ".join(("v=spf1", *terms, "~all")))) if terms else []


def _replaced(name: str, before: str, words: Sequence[str]) -> list[DnsChange]:
    return _checked(txt(name, " ".join(words), (before,)))


def _checked(change: DnsChange) -> list[DnsChange]:
    """The change, unless its record would be a fault of its own."""
    return [change] if all(len(text) <= LONGEST and _cheap(_parsed(text)) for text in change.add) else []


def _cheap(record: SpfRecord | None) -> bool:
    """Is it valid, and not beyond the limit of lookups by its own terms alone?"""
    if record is None:
        return False
    return sum(it.name in ASKS_DNS for it in record.mechanisms) + bool(record.redirect) <= MOST_LOOKUPS


def _merged(name: str, texts: Sequence[str]) -> list[DnsChange]:
    records = [_parsed(text) for text in texts]
    if len(records) < 2 or any(record is None or record.redirect for record in records):
        return []
    read = [record for record in records if record]
    terms = dict.fromkeys(it.text for record in read for it in record.reachable if it.name != "all")
    ends = [record.all.qualifier if record.all else SpfResult.NEUTRAL for record in read]
    if SpfResult.PASS in ends:
        return []  # it would let everybody pass
    end = "-all" if all(it is SpfResult.FAIL for it in ends) else "~all"
    kept = [it.text for record in read for it in (record.exp,) if it][:1]
    return _checked(txt(name, " ".join(("v=spf1", *terms, *kept, end)), tuple(texts)))


def _all(changes: Iterable[Sequence[DnsChange]]) -> Remedy:
    """All of them. Nothing, if one name has none: a part would be taken for the whole."""
    made = list(changes)
    return Remedy(tuple(it for those in made for it in those)) if all(made) else NOTHING
