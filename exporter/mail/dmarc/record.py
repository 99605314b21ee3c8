"""DMARC records (RFC 9989, which replaced RFC 7489): what a domain wants done with mail that fails authentication.

SPF and DKIM prove a domain, but none that a reader ever sees. DMARC ties them to the one in the From: header. Mail
passes when SPF or DKIM passes for a domain that is *aligned* with it (exporter/mail/dmarc/alignment.py). What is to
become of mail that does not pass, and who is to hear of it, the owner of the domain says in a TXT record at
`_dmarc.<domain>` (sections 4.1, 4.5) or at one of its parents (exporter/mail/dmarc/tree_walk.py). It is a list of tags
(section 4.7; the syntax is in exporter/mail/tag_list.py):

    v=DMARC1          must come first, in just these letters, or the text is no DMARC record at all
    p=reject          the policy: none, quarantine or reject
    sp=, np=          the same for subdomains that exist, and for those that do not; without np= sp=, without that p=
    t=y               testing: receivers are asked to apply one level less than the policy says
    psd=y, psd=n      this is a public suffix, or surely none: both end the tree walk
    adkim=, aspf=     how near DKIM's and SPF's domain must come to be aligned: r (relaxed, the default) or s (strict)
    rua=, ruf=        where daily statistics and single failures are reported to: URIs (exporter/mail/dmarc/reports.py)
    fo=               which failures are reported

Nothing in it may break the mail of a domain: unknown tags are ignored, bad values give way to the default (section
4.7). The policies alone are an exception. Without a valid p=, or with a bad sp= or np=, the record counts as p=none if
rua= holds a valid URI, else as none at all (section 4.10.1). RFC 9989 removed pct=, rf= and ri=, which receivers that
still live by RFC 7489 obey. These want p= right behind the version, too (RFC 7489 section 6.3).

The grammar (section 4.8) spells tag names and values as plain strings, which match in any case (RFC 5234 section
2.3); only "DMARC1" is marked as case-sensitive. White space may stand around each "=" and ";", but not before "v".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from exporter.mail import names, tag_list

_VERSION = re.compile(rb"[vV][ \t]*=[ \t]*DMARC1[ \t]*(?:;|$)", re.ASCII)
_SIZE = re.compile(r"![0-9]+[kmgt]?$", re.ASCII | re.IGNORECASE)
# RFC 3986 section 3, but for "," and "!", which must be written %2C and %21 (section 4.8).
_URI = re.compile(r"([a-z][a-z0-9+.-]*):((?:[a-z0-9._~:/?#\[\]@$&'()*+;=-]|%[0-9a-f]{2})*)", re.ASCII | re.IGNORECASE)
_HTTPS_HOST = re.compile(r"//(?:[^/?#@]*@)?([^/?#@:]+)", re.ASCII)
_TAGS = frozenset({"v", "p", "sp", "np", "psd", "t", "adkim", "aspf", "fo", "rua", "ruf"})
_REMOVED = ("pct", "rf", "ri")  # RFC 9989 appendix C
_NAMED = _TAGS.union(_REMOVED)
_PERCENTAGE = re.compile(r"0{0,2}[0-9]|0?[0-9]{2}|100", re.ASCII)  # RFC 7489 section 6.4, in the range of section 6.3
_LIMITED = {"adkim": "rs", "aspf": "rs", "t": "yn", "psd": "ynu"}
_FAILURE_OPTIONS = frozenset("01ds")
_MEANT = re.compile(rb"[\s\\\"']*v[\s\\\"']*=[\s\\\"']*dmarc1", re.IGNORECASE)


# Texts of that many octets, and of no more, are remembered: domains of one owner have the same, and several checks read
# it. Both bound what hostile texts can fill.
REMEMBERED, LONGEST_REMEMBERED = 256, 512


class DmarcSyntaxError(ValueError):
    """The text is no DMARC record at all; the message says why."""


class DmarcPolicy(StrEnum):
    NONE = "none"
    QUARANTINE = "quarantine"
    REJECT = "reject"

    @property
    def strength(self) -> int:
        return _STRENGTHS.index(self)

    @property
    def lowered(self) -> DmarcPolicy:
        """One level less, as t=y asks for (section 4.7)."""
        return _STRENGTHS[max(0, self.strength - 1)]


_STRENGTHS = (DmarcPolicy.NONE, DmarcPolicy.QUARANTINE, DmarcPolicy.REJECT)
_POLICIES = {str(policy): policy for policy in DmarcPolicy}


@dataclass(frozen=True, slots=True)
class ReportURI:
    """`host` is the domain of a mailto: address or the host of an https: URI, lower case; empty for other schemes."""

    text: str
    scheme: str
    host: str


@dataclass(frozen=True, slots=True)
class Requested:
    """What a record asks for, and the tag that says so."""

    tag: str
    policy: DmarcPolicy
    testing: bool

    @property
    def applied(self) -> DmarcPolicy:
        return self.policy.lowered if self.testing else self.policy


@dataclass(frozen=True, slots=True)
class DmarcRecord:
    """One DMARC record. The last nine fields are what a careful reader would complain about."""

    p: DmarcPolicy | None
    sp: DmarcPolicy | None
    np: DmarcPolicy | None
    psd: str  # "y", "n" or "u"
    testing: bool
    strict: frozenset[str]  # those of adkim and aspf that demand strict alignment
    rua: tuple[ReportURI, ...]
    wants_reports: bool  # rua= holds a valid URI, if only one that nobody can report to
    tags: tuple[tuple[str, str], ...]  # that RFC 9989 knows, each once, in their order
    bad_policies: tuple[tuple[str, str], ...]  # of p, sp and np: the tag and its value
    bad_values: tuple[tuple[str, str], ...]  # of other tags, which fall back to their default
    bad_terms: tuple[str, ...]  # that are no tag=value
    repeated: tuple[str, ...]  # known tags that stand there more than once; the first one counts here
    removed: tuple[tuple[str, str], ...]  # tags of RFC 7489 that RFC 9989 does not know
    sized: tuple[str, ...]  # URIs of rua= with a limit of RFC 7489 behind them: `!10m`
    unknown: tuple[str, ...]  # names of tags that neither RFC knows
    empty_tags: bool  # there is nothing between two semicolons
    policy_late: bool  # p= is there, but other tags stand before it

    @property
    def valid(self) -> bool:
        """Its policies can be taken by their word (section 4.10.1)."""
        return self.p is not None and not self.bad_policies

    @property
    def percentage(self) -> int:
        """For how much of the mail receivers by RFC 7489 apply the policy; what is no percentage they ignore."""
        return int(dict(self.removed).get("pct", "100"))

    def closed(self) -> str:
        """A record that has all mail refused, subdomains' too, and keeps what this one says of reports."""
        good = [
            (tag, value)
            for tag, value in self.tags
            if tag in ("psd", "ruf", "fo") and (tag, value) not in self.bad_values
        ]
        reports = [("rua", ",".join(uri.text for uri in self.rua[:2]))] if self.rua else []
        return "; ".join(f"{tag}={value}" for tag, value in (("v", "DMARC1"), ("p", "reject"), *reports, *good))

    def requests(self, *, subdomain: bool = False, exists: bool = True) -> Requested | None:
        """For the name that holds the record or for a subdomain; None: no DMARC processing at all (section 4.10.1)."""
        if self.p is None or self.bad_policies:
            return Requested("p", DmarcPolicy.NONE, testing=False) if self.wants_reports else None
        if subdomain and not exists and self.np is not None:
            return Requested("np", self.np, self.testing)
        if subdomain and self.sp is not None:
            return Requested("sp", self.sp, self.testing)
        return Requested("p", self.p, self.testing)


def is_record(text: bytes) -> bool:
    """Does it begin as a DMARC record must? Everything else at `_dmarc` is to be ignored (section 4.10 step 2)."""
    return len(text) <= tag_list.LONGEST and _VERSION.match(text) is not None


def meant(text: bytes) -> bool:
    """Did somebody mean to publish a DMARC record, be it one or not?"""
    return len(text) <= tag_list.LONGEST and _MEANT.match(text) is not None


def parse(text: bytes) -> DmarcRecord:
    """Raise DmarcSyntaxError, and nothing else, for what is no DMARC record."""
    if len(text) > tag_list.LONGEST:
        raise DmarcSyntaxError(f"{len(text)} bytes are more than a DMARC record can need")
    if not is_record(text):
        raise DmarcSyntaxError(f"{text[:12]!r} at character 1 is not v=DMARC1")
    return (_parsed if len(text) > LONGEST_REMEMBERED else _remembered)(text)


def _parsed(text: bytes) -> DmarcRecord:
    terms = tag_list.read(text)
    found, repeated, bad_terms = tag_list.known(terms, _NAMED, any_case=True)
    written = [term.name.lower() for term in terms]
    policies = {tag: _POLICIES.get(found[tag].lower()) for tag in ("p", "sp", "np") if tag in found}
    limited = {tag: found[tag].lower() for tag in _LIMITED if tag in found}
    bad_limited = [(tag, found[tag]) for tag, value in limited.items() if value not in tuple(_LIMITED[tag])]
    rua, bad_rua, wants_reports = _uris(found.get("rua"))
    _, bad_ruf, _ = _uris(found.get("ruf"))
    bad_options = [("fo", found["fo"])] if "fo" in found and not _are_options(found["fo"]) else []
    psd = limited.get("psd", "u")
    removed = tuple([(tag, found[tag]) for tag in _REMOVED if tag in found])
    bad_removed = tuple([(tag, value) for tag, value in removed if tag == "pct" and not _PERCENTAGE.fullmatch(value)])
    return DmarcRecord(
        p=policies.get("p"),
        sp=policies.get("sp"),
        np=policies.get("np"),
        psd=psd if psd in ("y", "n") else "u",
        testing=limited.get("t") == "y",
        strict=frozenset(tag for tag in ("adkim", "aspf") if limited.get(tag) == "s"),
        rua=rua,
        wants_reports=wants_reports,
        tags=tuple([(tag, found[tag]) for tag in dict.fromkeys(written) if tag in _TAGS]),
        bad_policies=tuple([(tag, found[tag]) for tag, policy in policies.items() if policy is None]),
        bad_values=(
            *bad_limited,
            *bad_options,
            *bad_removed,
            *([("rua", ", ".join(bad_rua))] if bad_rua else []),
            *([("ruf", ", ".join(bad_ruf))] if bad_ruf else []),
        ),
        bad_terms=bad_terms,
        repeated=repeated,
        removed=tuple([it for it in removed if it not in bad_removed]),
        sized=tuple([text for text in _listed(found.get("rua")) if _SIZE.search(text)]),
        unknown=tuple([name for name in dict.fromkeys(written) if name and name not in _NAMED]),
        empty_tags=tag_list.has_empty(text),
        policy_late="p" in found and written[1:2] != ["p"],
    )


_remembered = lru_cache(maxsize=REMEMBERED)(_parsed)


def _are_options(value: str) -> bool:
    """Each at most once, and only one of 0 and 1 (section 4.8)."""
    options = [option.strip(tag_list.SPACE) for option in value.lower().split(":", len(_FAILURE_OPTIONS))]
    return _FAILURE_OPTIONS.issuperset(options) and len(set(options)) == len(options) and not {"0", "1"} <= {*options}


def _listed(value: str | None) -> list[str]:
    return [] if value is None else [text.strip(tag_list.SPACE) for text in value.split(",")]


def _uris(value: str | None) -> tuple[tuple[ReportURI, ...], tuple[str, ...], bool]:
    """The URIs of a list that reports could go to, the other texts, and is any of all these a valid URI?

    A `!size` at the end is RFC 7489's, and to be ignored (section 4.8).
    """
    if value is None:
        return (), (), False
    texts = [_SIZE.sub("", text) for text in _listed(value)]
    matches = {text: _URI.fullmatch(text) for text in texts}
    uris = {text: _uri(match) if match else None for text, match in matches.items()}
    return (
        tuple(uri for uri in uris.values() if uri),
        tuple(text for text, uri in uris.items() if not uri),
        any(matches.values()),
    )


def _uri(match: re.Match[str]) -> ReportURI | None:
    scheme, rest = match[1].lower(), match[2]
    if scheme == "mailto":
        local, _, host = rest.partition("?")[0].rpartition("@")
    elif scheme == "https":
        authority = _HTTPS_HOST.match(rest)
        local, host = "-", authority[1] if authority else ""
    else:
        return ReportURI(match[0], scheme, "")
    host = host.lower()
    return ReportURI(match[0], scheme, host) if local and names.is_hostname(host) else None
