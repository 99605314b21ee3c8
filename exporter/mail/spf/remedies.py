"""Which SPF record repairs what was found: the published one with as little change as possible (RFC 7208).

Addresses become terms in front of all others: there they cost no lookup, and no term before them can refuse (section
4.6.2). Networks hold exactly the addresses that send, and no other. An include comes last before `all`.

A new record ends in `~all`, as nobody can know here that all senders are in it. A record is proposed only if it is
valid, at most 450 octets long (section 3.4), and within the limit of lookups by its own terms (section 4.6.4).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses, ip_address
from typing import TypeAlias

from exporter.facts import IP, Finding, Known
from exporter.mail.spf.limits import MOST_LOOKUPS
from exporter.mail.spf.macro import SpfSyntaxError
from exporter.mail.spf.record import ASKS_DNS, SpfRecord, SpfResult, parse
from exporter.remedies import NOTHING, DnsChange, Remedy, txt, whole

LONGEST = 450  # octets of a record (RFC 7208 section 3.4)
CLOSED = "v=spf1 -all"
WRONG_NAME = "set spf_include to the name that it gives its customers to include"

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
    return _all(_authorised(name, addresses, (), known, unpublished=unpublished) for name in names)


def include_of_others(name: str, addresses: Collection[IP], known: Known) -> tuple[str, int] | tuple[()]:
    """The include by which other domains let these addresses pass, and how many do. Nothing, if the record has it."""
    shared = known.shared_include(addresses)
    texts = known.texts(_record(name)) or ()
    return shared if shared and not any(f"include:{shared[0]}" in text.lower().split() for text in texts) else ()


def include(findings: Sequence[Finding], known: Known) -> Remedy:
    """A record for providers whose policy is not included. Nothing, if the name to include is wrong itself."""
    evidence = [dict(finding.evidence) for finding in findings]
    if not all(map(_may_help, evidence)):
        return NOTHING
    wanted: dict[str, list[str]] = {}
    for it in evidence:
        wanted.setdefault(it["name"], []).append(it["include"])
    there = {name: " ".join(known.texts(_record(name)) or ()).lower().split() for name in wanted}
    return _all(
        []
        if any(word.lstrip("+-~?") == f"include:{it}" for word in there[name] for it in includes)
        else _authorised(name, (), includes, known, unpublished=False)
        for name, includes in wanted.items()
    )


def _may_help(evidence: Mapping[str, str]) -> bool:
    return not evidence["remedy"].startswith(WRONG_NAME) and whole(evidence["include"])


def first_record(findings: Sequence[Finding], known: Known) -> Remedy:
    """A record for a name that has none: all who are configured to send with it. Nothing, if nobody is."""
    names = dict.fromkeys(dict(finding.evidence)["name"] for finding in findings)
    return _all(_authorised(name, (), (), known, unpublished=True) for name in names)


def close(findings: Sequence[Finding], known: Known) -> Remedy:
    """The record of a name that sends no mail."""
    names = dict.fromkeys(dict(finding.evidence)["name"] for finding in findings)
    published = {name: known.texts(_record(name)) for name in names}
    return _all([] if texts is None else [txt(name, CLOSED, texts)] for name, texts in published.items())


def merge(findings: Sequence[Finding], known: Known) -> Remedy:
    """One record in place of several. It refuses no more than the mildest of them."""
    names = dict.fromkeys(dict(finding.evidence)["name"] for finding in findings)
    return _all(_merged(name, known.texts(_record(name)) or ()) for name in names)


def correct(findings: Sequence[Finding], known: Known) -> Remedy:
    """The published record without its faults. Whoever may send with the name and does not pass is in it at once."""
    names = dict.fromkeys(dict(finding.evidence)["name"] for finding in findings)
    return _all(_authorised(name, (), (), known, unpublished=False) for name in names)


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
    """One record for all that is found about the name: two that are set one after the other would be one too many."""
    texts = known.texts(_record(name))
    found = [(it.rule.remedy, dict(it.evidence)) for it in known.findings(name)]
    if texts == () or (unpublished and texts is None):
        wrong = {it["include"] for remedy, it in found if remedy is include and not _may_help(it)}
        senders, configured = known.senders(name)
        providers = [it for it in configured if it not in wrong]
        if shared := known.shared_include(senders):
            return _first(name, (), [*providers, *includes, shared[0]])
        return _first(name, [*senders, *addresses], [*providers, *includes])
    record = _published(name, known)
    if record is None:
        return []
    refused = [*addresses, *(ip_address(it["ip"]) for remedy, it in found if remedy is authorise)]
    wanted = [*includes, *(it["include"] for remedy, it in found if remedy is include and _may_help(it))]
    mistaken = {it["term"] for remedy, it in found if remedy is correct and "right" in it}
    open_ended = any(remedy is correct and "end" in it for remedy, it in found)
    others = include_of_others(name, refused, known)
    return (_changed(record, name, (), [*wanted, *others[:1]], mistaken, open_ended=open_ended) if others else []) or (
        _changed(record, name, refused, wanted, mistaken, open_ended=open_ended)
    )


def _changed(
    record: SpfRecord,
    name: str,
    addresses: Sequence[IP],
    includes: Sequence[str],
    mistaken: Collection[str],
    *,
    open_ended: bool,
) -> list[DnsChange]:
    """`mistaken` are modifiers that were meant as mechanisms; `open_ended`: it refuses nobody."""
    if open_ended and (record.redirect or (record.all and record.all.qualifier is SpfResult.PASS)):
        return []
    if not all(it.lower().startswith(("ip4=", "ip6=")) for it in mistaken):
        return []  # others ask DNS, and may fail there
    version, *words = record.text.split()
    words = [word.replace("=", ":", 1) if word in mistaken else word for word in words]
    ends = [number for number, word in enumerate(words) if word.lower().lstrip("+-~?") == "all"]
    at = ends[0] if ends else len(words)
    there = {word.lstrip("+-~?").lower() for word in words}
    asked = [it for it in dict.fromkeys(f"include:{it}" for it in includes) if it not in there]
    rest = [it for it in words[at:] if it not in ("?all", "?ALL")] if open_ended else words[at:]
    end = ["~all"] if open_ended else []
    words = [version, *map(term, networks(addresses)), *words[:at], *asked, *rest, *end]
    return _checked(txt(name, " ".join(words), (record.text,))) if " ".join(words) != record.text else []


def _first(name: str, addresses: Iterable[IP], includes: Iterable[str]) -> list[DnsChange]:
    terms = [*map(term, networks(addresses)), *(f"include:{it}" for it in dict.fromkeys(includes))]
    return _checked(txt(name, " ".join(("v=spf1", *terms, "~all")))) if terms else []


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
