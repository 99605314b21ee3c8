"""DMARC records (RFC 9989, which replaced RFC 7489): what a domain wants done with mail that fails authentication.

The owner of a domain publishes a tag list (exporter/mail/tags.py) as a TXT record at `_dmarc.<domain>` (section 4.7):

    v=DMARC1          must come first, in just these letters, or the text is no DMARC record at all
    p=reject          the policy: none, quarantine or reject
    sp=, np=          the same for subdomains that exist, and for those that do not; p= unless said
    t=y               testing: receivers are asked to apply one level less than the policy says
    psd=y, psd=n      this is a public suffix, or surely none: both end the tree walk (exporter/mail/dmarc_walk.py)
    rua=, ruf=        where reports go: a list of URIs
    adkim=, aspf=     strict or relaxed alignment; fo= when to write failure reports

Unknown tags are ignored, bad values give way to the default. Without a valid p= (or with a bad sp= or np=) the
record counts as p=none if somebody is to have reports, else as none at all (section 4.10.1). RFC 9989 removed
pct=, rf= and ri=, which receivers that still live by RFC 7489 obey.

The grammar (section 4.8) spells tag names and values as plain strings, which match in any case (RFC 5234 section
2.3); only "DMARC1" is marked as case-sensitive.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from exporter.mail import names, tags

_VERSION = re.compile(rb"[vV][ \t]*=[ \t]*DMARC1[ \t]*(?:;|$)", re.ASCII)
_SIZE = re.compile(r"![0-9]+[kmgt]?$", re.ASCII | re.IGNORECASE)
_URI = re.compile(r"([a-z][a-z0-9+.-]*):([!-~]+)", re.ASCII | re.IGNORECASE)
_HTTPS_HOST = re.compile(r"//(?:[^/?#@]*@)?([^/?#@:]+)", re.ASCII)
_TAGS = frozenset({"v", "p", "sp", "np", "psd", "t", "adkim", "aspf", "fo", "rua", "ruf"})
_REMOVED = ("pct", "rf", "ri")  # RFC 9989 appendix C
_NAMED = _TAGS.union(_REMOVED)
_LIMITED = {"adkim": "rs", "aspf": "rs", "t": "yn", "psd": "ynu"}
_FAILURE_OPTIONS = frozenset("01ds")


class DmarcSyntaxError(ValueError):
    """The text is no DMARC record at all; the message says why."""


class Policy(StrEnum):
    NONE = "none"
    QUARANTINE = "quarantine"
    REJECT = "reject"

    @property
    def strength(self) -> int:
        return _STRENGTHS.index(self)

    @property
    def lowered(self) -> Policy:
        """One level less, as t=y asks for (section 4.7)."""
        return _STRENGTHS[max(0, self.strength - 1)]


_STRENGTHS = (Policy.NONE, Policy.QUARANTINE, Policy.REJECT)
_POLICIES = {str(policy): policy for policy in Policy}


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
    policy: Policy
    testing: bool

    @property
    def applied(self) -> Policy:
        return self.policy.lowered if self.testing else self.policy


@dataclass(frozen=True, slots=True)
class Record:
    """One DMARC record. The last five fields are what a careful reader would complain about."""

    p: Policy | None
    sp: Policy | None
    np: Policy | None
    psd: str  # "y", "n" or "u"
    testing: bool
    rua: tuple[ReportURI, ...]
    bad_policies: tuple[tuple[str, str], ...]  # of p, sp and np: the tag and its value
    bad_values: tuple[tuple[str, str], ...]  # of other tags, which fall back to their default
    bad_terms: tuple[str, ...]  # that are no tag=value
    repeated: tuple[str, ...]  # known tags that stand there more than once; the first one counts here
    removed: tuple[tuple[str, str], ...]  # tags of RFC 7489 that RFC 9989 does not know

    @property
    def valid(self) -> bool:
        """Its policies can be taken by their word (section 4.10.1)."""
        return self.p is not None and not self.bad_policies

    def requests(self, *, subdomain: bool = False, exists: bool = True) -> Requested | None:
        """For the name that holds the record or for a subdomain; None: no DMARC processing at all (section 4.10.1)."""
        if self.p is None or self.bad_policies:
            return Requested("p", Policy.NONE, testing=False) if self.rua else None
        if subdomain and not exists and self.np is not None:
            return Requested("np", self.np, self.testing)
        if subdomain and self.sp is not None:
            return Requested("sp", self.sp, self.testing)
        return Requested("p", self.p, self.testing)


def is_record(text: bytes) -> bool:
    """Does it begin as a DMARC record must? Everything else at `_dmarc` is to be ignored (section 4.10 step 2)."""
    return len(text) <= tags.LONGEST and _VERSION.match(text) is not None


def parse(text: bytes) -> Record:
    """Raise DmarcSyntaxError, and nothing else, for what is no DMARC record."""
    if len(text) > tags.LONGEST:
        raise DmarcSyntaxError(f"{len(text)} octets are more than a DMARC record can need")
    if not is_record(text):
        raise DmarcSyntaxError(f"{text[:12]!r} at character 1 is not v=DMARC1")
    terms = tags.read(text)
    named = [(name, term.value) for term in terms if (name := term.name.lower()) in _NAMED]
    found = dict(reversed(named))  # the first of several counts
    policies = {tag: _POLICIES.get(found[tag].lower()) for tag in ("p", "sp", "np") if tag in found}
    limited = {tag: found[tag].lower() for tag in _LIMITED if tag in found}
    bad_limited = [(tag, found[tag]) for tag, value in limited.items() if value not in tuple(_LIMITED[tag])]
    rua, bad_rua = _uris(found.get("rua"))
    _, bad_ruf = _uris(found.get("ruf"))
    options = found.get("fo", "0").lower().split(":")
    bad_options = [("fo", found["fo"])] if not _FAILURE_OPTIONS.issuperset(option.strip() for option in options) else []
    psd = limited.get("psd", "u")
    return Record(
        p=policies.get("p"),
        sp=policies.get("sp"),
        np=policies.get("np"),
        psd=psd if psd in ("y", "n") else "u",
        testing=limited.get("t") == "y",
        rua=rua,
        bad_policies=tuple((tag, found[tag]) for tag, policy in policies.items() if policy is None),
        bad_values=(
            *bad_limited,
            *bad_options,
            *([("rua", ", ".join(bad_rua))] if bad_rua else []),
            *([("ruf", ", ".join(bad_ruf))] if bad_ruf else []),
        ),
        bad_terms=tuple(term.value for term in terms if not term.name),
        repeated=tags.repeated(name for name, _ in named),
        removed=tuple((tag, found[tag]) for tag in _REMOVED if tag in found),
    )


def _uris(value: str | None) -> tuple[tuple[ReportURI, ...], tuple[str, ...]]:
    """The URIs of a list, and what in it is none. A `!size` at the end is RFC 7489's, and to be ignored."""
    texts = [] if value is None else [_SIZE.sub("", text.strip(tags.SPACE)) for text in value.split(",")]
    uris = {text: _uri(text) for text in texts}
    return tuple(uri for uri in uris.values() if uri), tuple(text for text, uri in uris.items() if not uri)


def _uri(text: str) -> ReportURI | None:
    match = _URI.fullmatch(text)
    if not match:
        return None
    scheme, rest = match[1].lower(), match[2]
    if scheme == "mailto":
        local, _, host = rest.partition("?")[0].rpartition("@")
    elif scheme == "https":
        authority = _HTTPS_HOST.match(rest)
        local, host = "-", authority[1] if authority else ""
    else:
        return ReportURI(text, scheme, "")
    host = host.lower()
    return ReportURI(text, scheme, host) if local and names.is_hostname(host) else None
