"""Which DMARC record repairs what was found (RFC 9989).

A record that is missing begins with p=none, because nobody can know here that all legitimate mail passes. What a text
that is no record was meant to say is kept. Where only the owner of a domain knows what was meant, such as a policy that
is misspelt for subdomains, nothing is proposed. The mailbox for reports is a blank.
"""

from __future__ import annotations

from collections.abc import Sequence

from exporter.facts import Finding, Known
from exporter.mail import names, tag_list
from exporter.mail.dmarc.record import DmarcSyntaxError, is_record, parse
from exporter.remedies import NOTHING, DnsChange, Remedy, txt, whole

PLACE = "_dmarc."
EVERYTHING = 100  # percent


def publish(findings: Sequence[Finding], known: Known) -> Remedy:
    """The record that the evidence has, in place of what was meant as one."""
    return _records({it["domain"]: it["record"] for it in (dict(finding.evidence) for finding in findings)}, known)


def publish_missing(findings: Sequence[Finding], known: Known) -> Remedy:
    """For a text that is no policy: the record that another finding says is missing there."""
    domains = [it.get("name", f"{PLACE}{it.get('domain')}") for it in (dict(finding.evidence) for finding in findings)]
    records: dict[str, str] = {}
    for domain in (name.removeprefix(PLACE) for name in domains):
        of_domain = [dict(it.evidence) for it in known.findings(domain)]
        found = [it["record"] for it in of_domain if it.get("domain") == domain and "record" in it]
        wanted = [record for record in found if is_record(record.encode())]
        if not wanted:
            return NOTHING
        records[domain] = wanted[0]
    return _records(records, known)


def correct(findings: Sequence[Finding], known: Known) -> Remedy:
    """The published record without faults in its text. All such findings of one record have the same remedy."""
    if another := publish_missing(findings, known):
        return another  # it takes the place of this record anyway
    changes = []
    for name in dict.fromkeys(dict(finding.evidence)["name"] for finding in findings):
        found = [it for it in known.texts(f"{name} TXT") or () if is_record(it.encode())]
        better = corrected(found[0], name.removeprefix(PLACE)) if len(found) == 1 else None
        if better is None:
            return NOTHING
        changes.append(txt(name, better, tuple(found)))
    return Remedy(tuple(changes))


def consent(findings: Sequence[Finding], known: Known) -> Remedy:  # noqa: ARG001 (each remedy is called alike)
    """What the domain that reports go to has to publish (RFC 9990 section 4)."""
    places = dict.fromkeys(dict(finding.evidence)["authorisation"] for finding in findings)
    if not all(whole(it) and len(it) <= names.LONGEST_NAME for it in places):
        return NOTHING
    return Remedy(tuple(DnsChange(place, "TXT", ("v=DMARC1",), keep=None) for place in places))


def corrected(text: str, domain: str) -> str | None:
    """The record as it was meant. None, if only its owner knows that: for whom it is, and what policy it has.

    The order becomes that of RFC 7489, a tag stands there once, and what is no tag is gone. Unknown tags stay.
    """
    try:
        record = parse(text.encode())
    except DmarcSyntaxError:
        return None
    if any(tag != "p" or not value.isalpha() for tag, value in record.bad_policies):
        return None  # more than a word is misspelt, such as a semicolon that is missing
    if record.percentage < EVERYTHING:
        return None
    tags: dict[str, str] = {"v": "DMARC1", "p": record.p or "none"}
    for it in tag_list.read(text.encode()):
        tag = it.name.lower()
        if tag and tag not in ("v", "p"):
            tags.setdefault(tag, it.value)
    if record.psd == "y" and names.registrable(f"any.{domain}") != f"any.{domain}":
        del tags["psd"]
    return "; ".join(f"{tag}={value}" for tag, value in tags.items())


def _records(records: dict[str, str], known: Known) -> Remedy:
    if not all(map(whole, records.values())) or any(known.texts(f"{PLACE}{it} TXT") is None for it in records):
        return NOTHING
    return Remedy(tuple(txt(f"{PLACE}{it}", record, _strays(f"{PLACE}{it}", known)) for it, record in records.items()))


def _strays(name: str, known: Known) -> tuple[str, ...]:
    """What stands there now: texts that are meant as a record, and others that a finding names."""
    named = [dict(it.evidence).get("text", "") for it in known.findings(name)]
    return tuple(dict.fromkeys((*(known.texts(f"{name} TXT") or ()), *(it for it in named if it and whole(it)))))
