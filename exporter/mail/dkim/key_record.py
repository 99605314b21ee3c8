"""DKIM keys (RFC 6376 section 3.6.1, RFC 8301, RFC 8463).

Whoever sends mail signs it with a private key and says in the signature where the public one is: the domain `d=` and a
selector `s=` (RFC 6376 section 3.5). The receiver asks DNS for the TXT record of `<s>._domainkey.<d>` (section
3.6.2.1); it may be reached through a CNAME, as with keys that a provider keeps. The selector lets a domain have many
keys: one for each machine or provider, the next one beside the one in use (section 3.1). There is no list of them. A
name that does not exist has nothing below it (RFC 8020 section 2), so NXDOMAIN for `_domainkey.<d>` is the one way to
learn that a domain has no key at all.

The record is a tag list (exporter/mail/tag_list.py). Its tags, by section 3.6.1:

    v=DKIM1   the version; may be missing, but must come first and be just this when present
    k=rsa     the key type: "rsa" unless said otherwise, or "ed25519" (RFC 8463 section 4.2)
    p=...     the key in base64, where white space means nothing; empty when the key has been revoked
    h=sha256  the hashes that signatures may use; any, unless said. SHA-1 is dead (RFC 8301 section 3.1)
    s=email   the services it may be used for; "*", any, unless said
    t=y:s     flags: "y" this domain is only testing DKIM, "s" no signatures on behalf of subdomains
    n=...     notes for people

Tags that nobody knows, such as the former g=, are ignored (section 3.2), and so are words of h=, s= and t= that nobody
knows. Key types that nobody knows make the record useless. Tag names are case-sensitive (section 3.2); so is "DKIM1",
which the grammar spells in octets, while it spells the other words as plain strings, which match in any case (RFC 5234
section 2.3). Of several strings in one record the text is all of them, without spaces between; of several records at
one name nobody knows which counts (section 3.6.2.2).

Verifiers must refuse RSA keys under 1024 bits and need not handle those over 4096; signers should use 2048 (RFC 8301
section 3.2). A verifier that finds no key, or one that it cannot use, treats the signature as absent (section 6.1.2).

A key has a life. It is published under a new selector, used, and when the next one has taken over left in place until
the mail that it signed has been delivered (section 3.1). Then it is removed, or revoked by an empty p=, which says
more: it was there, and must not verify any more. A key that stays serves only whoever has come by its private half.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from exporter.mail import names, tag_list
from exporter.mail.dkim import public_key as keys
from exporter.mail.dkim.public_key import PublicKey

_FOLDING = str.maketrans("", "", tag_list.SPACE)
_DECODERS = {"rsa": keys.rsa, "ed25519": keys.ed25519}

SHORTEST = 1024  # bits of an RSA key (RFC 8301 section 3.2)


class DkimSyntaxError(ValueError):
    """The text is no DKIM key record; the message says what is wrong, and where."""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """One key record. `key` is None when it has been revoked or its type is one that nobody knows."""

    key_type: str
    key: PublicKey | None
    revoked: bool
    version_first: bool  # v= stands at the beginning, or is missing, which is as good
    hashes: tuple[str, ...] | None  # None: any
    services: tuple[str, ...]
    flags: tuple[str, ...]
    empty_tags: bool  # there is nothing between two semicolons

    @property
    def allows_sha256(self) -> bool:
        """The one hash that rsa-sha256 and ed25519-sha256 signatures use (RFC 8301 section 3.1, RFC 8463 section 3)."""
        return self.hashes is None or "sha256" in self.hashes

    @property
    def for_email(self) -> bool:
        return "*" in self.services or "email" in self.services

    @property
    def testing(self) -> bool:
        return "y" in self.flags

    @property
    def verifies(self) -> bool:
        """Can receivers verify mail with it?"""
        strong = self.key is not None and (self.key.algorithm != "rsa" or self.key.bits >= SHORTEST)
        return strong and self.for_email and self.allows_sha256


def namespaces(domain: str) -> tuple[str, ...]:
    """Where keys can be whose signatures count for mail of the domain by relaxed alignment (RFC 9989 section 4.4.1).

    That is below the domain's own `_domainkey`, first, and those of the domains above it up to what is registered. Keys
    of other domains under that would count as well; nobody can look for these.
    """
    labels = domain.split(".")
    above = len(labels) - names.registrable(domain).count(".")
    return tuple(".".join(("_domainkey", *labels[at:])) for at in range(above))


def parse(text: bytes) -> KeyRecord:
    """Raise DkimSyntaxError, and nothing else, for what verifiers must ignore (RFC 6376 section 6.1.2)."""
    if len(text) > tag_list.LONGEST:
        raise DkimSyntaxError(f"{len(text)} bytes are more than a key record can need")
    terms = tag_list.read(text)
    for term in terms:
        if not term.name:
            raise DkimSyntaxError(f"{term.value[:40]!r} at character {term.position} is no tag=value")
    twice = tag_list.repeated([term.name for term in terms])
    if twice:
        raise DkimSyntaxError(f"the tag {twice[0]}= appears more than once")
    found = {term.name: term for term in terms}
    version = found.get("v")
    if version and version.value != "DKIM1":
        raise DkimSyntaxError(f"v={version.value[:40]!r} at character {version.position} is not v=DKIM1")
    if "p" not in found:
        raise DkimSyntaxError("there is no p= tag, which holds the key")
    key_type = found["k"].value.lower() if "k" in found else "rsa"
    material = found["p"].value
    if any(space in material for space in tag_list.SPACE):
        material = material.translate(_FOLDING)
    return KeyRecord(
        key_type=key_type,
        key=_key(key_type, material, found["p"].position) if material else None,
        revoked=not material,
        version_first=version is None or version is terms[0],
        hashes=_words(found["h"]) if "h" in found else None,
        services=_words(found["s"]) if "s" in found else ("*",),
        flags=_words(found["t"]) if "t" in found else (),
        empty_tags=tag_list.has_empty(text),
    )


def attempt(text: bytes) -> KeyRecord | DkimSyntaxError:
    """Like parse, but the error is returned: to a check, bad syntax is a fact like any other."""
    try:
        return parse(text)
    except DkimSyntaxError as error:
        return error


def _words(tag: tag_list.Tag) -> tuple[str, ...]:
    return tuple(word.strip(tag_list.SPACE).lower() for word in tag.value.split(":"))


def _key(key_type: str, material: str, position: int) -> PublicKey | None:
    decode = _DECODERS.get(key_type)
    if decode is None:
        return None
    try:
        octets = base64.b64decode(material, validate=True)
    except ValueError as error:
        raise DkimSyntaxError(f"p= at character {position} is not base64: {error}") from None
    try:
        return decode(octets)
    except ValueError as error:
        raise DkimSyntaxError(f"p= at character {position} is not a valid key: {error}") from None
