"""BIMI records: which logo a domain asks receivers to show beside its mail.

Sections are those of draft-brand-indicators-for-message-identification-10. A reader is to see a sender's logo only if
the sender is known to be who it says it is. BIMI therefore rests on DMARC: mail must pass it, and both the domain and
its organisational domain must ask for quarantine or reject, for all of their mail and for subdomains too (section 7.1).
Where that is so, a receiver looks for a TXT record at `default._bimi.<domain>` and, if there is none, at
`default._bimi.<organisational domain>` (section 7.2; the one of RFC 7489, from the Public Suffix List). A message may
name another word than "default" in its BIMI-Selector header, so records at other names cannot be known from outside.
The record is a list of tags (section 4.3, exporter/mail/tag_list.py):

    v=BIMI1     must come first, in just these letters, or the text is no BIMI record at all
    l=          where the logo is: an https URL of an SVG file (exporter/mail/bimi/logo.py)
    a=          where the evidence is that the logo may be used: an https URL of a mark certificate
                (exporter/mail/bimi/certificate.py); may be empty or missing
    avp=        "brand" or "personal": which picture is meant to win where the sender has a portrait, too
    lps=        "true": look for a selector that is made of the local part of the address

Both l= and a= empty is a refusal: no logo, whatever the organisational domain has (section 4.3.1). Receivers do not
repair anything, neither syntax nor capitals (section 4.3), and show nothing where several records stand (section 7.2).
Whether a logo is shown in the end is every receiver's own decision. No mail is lost for want of one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from exporter.mail import names, tag_list
from exporter.mail.dmarc.record import DmarcPolicy, DmarcRecord
from exporter.mail.dmarc.tree_walk import Discovery, Published
from exporter.mail.dns import Evaluation, Question, Reply

SELECTOR = "default"

_VERSION = re.compile(rb"v[ \t]*=[ \t]*BIMI1[ \t]*(?:;|$)", re.ASCII)
_MEANT = re.compile(rb"[\s\\\"']*v[\s\\\"']*=[\s\\\"']*bimi", re.IGNORECASE)
_TAGS = frozenset({"v", "l", "a", "avp", "lps"})
_LIMITED = {"avp": ("brand", "personal"), "lps": ("true", "false")}
_URL = re.compile(r"https://([^/?#@:]+)(?::[0-9]{1,5})?(?:[/?#][!-~]*)?", re.ASCII | re.IGNORECASE)
_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".ico", ".pdf")


class BimiSyntaxError(ValueError):
    """The text is no BIMI record at all; the message says why."""


@dataclass(frozen=True, slots=True)
class BimiRecord:
    """One BIMI record. The last three fields are what a careful reader would complain about."""

    location: str | None  # of the logo; "" for an empty l=, None for none
    evidence: str  # of the mark certificate; an a= that is empty or missing is the same
    bad_values: tuple[tuple[str, str], ...]  # of avp= and lps=
    bad_terms: tuple[str, ...]  # that are no tag=value
    repeated: tuple[str, ...]  # known tags that stand there more than once; the first one counts here

    @property
    def declined(self) -> bool:
        """An explicit refusal to have a logo (section 4.3.1)."""
        return self.location == "" and not self.evidence


def is_record(text: bytes) -> bool:
    """Does it begin as a BIMI record must? Everything else is to be discarded (section 7.2 step 4)."""
    return len(text) <= tag_list.LONGEST and _VERSION.match(text) is not None


def meant(text: bytes) -> bool:
    """Did somebody mean to publish a BIMI record, be it one or not?"""
    return len(text) <= tag_list.LONGEST and _MEANT.match(text) is not None


def parse(text: bytes) -> BimiRecord:
    """Raise BimiSyntaxError, and nothing else, for what is no BIMI record."""
    if len(text) > tag_list.LONGEST:
        raise BimiSyntaxError(f"{len(text)} bytes are more than a BIMI record can need")
    if not is_record(text):
        raise BimiSyntaxError(f"{text[:12]!r} at character 1 is not v=BIMI1")
    found, repeated, bad_terms = tag_list.known(tag_list.read(text), _TAGS)
    return BimiRecord(
        location=found.get("l"),
        evidence=found.get("a", ""),
        bad_values=tuple(
            (tag, found[tag]) for tag, allowed in _LIMITED.items() if tag in found and found[tag] not in allowed
        ),
        bad_terms=bad_terms,
        repeated=repeated,
    )


def url_fault(url: str) -> str:
    """What keeps receivers from asking for it (section 4.3), or nothing."""
    found = _URL.fullmatch(url)
    if not found:
        return "it is not an https URL with a host name"
    if not names.is_hostname(found[1]) or "." not in found[1] or found[1].rpartition(".")[2].isdigit():
        return f"{found[1]} is no fully qualified domain name"
    return "a comma must be written %2C" if "," in url else ""


def picture_suffix(url: str) -> str:
    """The suffix of a URL that promises another format than SVG (section 4.3.2), or nothing."""
    path = re.split("[?#]", url, maxsplit=1)[0].lower()
    return next((suffix for suffix in _PICTURES if path.endswith(suffix)), "")


@dataclass(frozen=True, slots=True)
class BimiLocation:
    """A domain and what stands at its `default._bimi`."""

    domain: str
    reply: Reply
    records: tuple[BimiRecord, ...]

    @property
    def name(self) -> str:
        return f"{SELECTOR}._bimi.{self.domain}"


@dataclass(frozen=True, slots=True)
class BimiDiscovery:
    """What receivers find for a domain. `above` is its organisational domain's place, where that was asked."""

    own: BimiLocation
    above: BimiLocation | None = None

    @property
    def place(self) -> BimiLocation:
        """The one that counts."""
        return self.above if self.above and self.above.records else self.own


def find(domain: str) -> Evaluation[BimiDiscovery]:
    """Section 7.2 for the default selector; a question without a usable answer ends it."""
    own = yield from _look(domain)
    organisational = names.registrable(domain)
    if own.records or not own.reply.status.conclusive or organisational == domain:
        return BimiDiscovery(own)
    above = yield from _look(organisational)
    return BimiDiscovery(own, above)


def _look(domain: str) -> Evaluation[BimiLocation]:
    reply = yield Question(f"{SELECTOR}._bimi.{domain}", "TXT")
    texts = (txt.text for txt in reply.texts)
    return BimiLocation(domain, reply, tuple(parse(text) for text in texts if is_record(text)))


@dataclass(frozen=True, slots=True)
class Weakness:
    """Why a DMARC record is not enough for a logo: the name where it stands and what it says."""

    name: str
    what: str


def weaknesses(found: Discovery) -> tuple[Weakness, ...]:
    """What keeps receivers from showing a logo (section 7.1); certain even where the walk broke off in doubt.

    No DMARC record at all is one, too, if that is certain.
    """
    sources = {source.domain: source for source in (found.source, _above(found)) if source}
    if not sources:
        return () if found.doubt else (Weakness(f"_dmarc.{found.domain}", "there is no DMARC record"),)
    found_weak = ((source.name, _weakness(source.record, source.domain != found.domain)) for source in sources.values())
    return tuple(Weakness(name, what) for name, what in found_weak if what)


def _above(found: Discovery) -> Published | None:
    return None if found.doubt else found.subdomain_source


def _weakness(record: DmarcRecord, inherited: bool) -> str:
    if not record.valid:
        return "its policy cannot be read"
    if record.p is DmarcPolicy.NONE:
        return "p=none"
    if record.sp is DmarcPolicy.NONE:
        return "sp=none"
    # A quarantine must be one of all mail. Newer records say t=y in place of pct=0 (RFC 9989 appendix A.6).
    policies = {record.p, record.sp if inherited else None}
    if DmarcPolicy.QUARANTINE not in policies or (record.percentage == 100 and not record.testing):
        return ""
    return f"quarantine with {'t=y' if record.testing else f'pct={record.percentage}'}"
