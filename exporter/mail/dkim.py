"""DKIM keys (RFC 6376 section 3.6.1, RFC 8301, RFC 8463).

A signed message names a domain and a selector; the verifier fetches the public key as a TXT record from
`<selector>._domainkey.<domain>` and checks the signature with it. The record is a tag list (exporter/mail/tags.py):

    v=DKIM1   the version; may be missing, but must come first and be just this when present
    k=rsa     the key type: "rsa" unless said otherwise, or "ed25519" (RFC 8463 section 3)
    p=...     the key in base64, where white space means nothing; empty when the key has been revoked
    h=sha256  the hashes that signatures may use; any, unless said. SHA-1 is dead (RFC 8301 section 3.1)
    s=email   the services it may be used for; "*", any, unless said
    t=y:s     flags: "y" this domain is only testing DKIM, "s" no signatures on behalf of subdomains

Other tags, such as the former g=, are ignored. Verifiers must refuse RSA keys under 1024 bits, and signers should
use 2048 (RFC 8301 section 3.2). Tag names are case-sensitive (section 3.2); so is "DKIM1", which the grammar spells in
octets, while it spells the other words as plain strings, which match in any case (RFC 5234 section 2.3).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from exporter.mail import keys, tags
from exporter.mail.keys import PublicKey

_FOLDING = str.maketrans("", "", tags.SPACE)
_DECODERS = {"rsa": keys.rsa, "ed25519": keys.ed25519}


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

    @property
    def allows_sha256(self) -> bool:
        """The one hash that rsa-sha256 and ed25519-sha256 signatures use (RFC 8301 section 3.1, RFC 8463 section 4)."""
        return self.hashes is None or "sha256" in self.hashes

    @property
    def for_email(self) -> bool:
        return "*" in self.services or "email" in self.services

    @property
    def testing(self) -> bool:
        return "y" in self.flags


def parse(text: bytes) -> KeyRecord:
    """Raise DkimSyntaxError, and nothing else, for what verifiers must ignore (RFC 6376 section 6.1.2)."""
    if len(text) > tags.LONGEST:
        raise DkimSyntaxError(f"{len(text)} octets are more than a key record can need")
    terms = tags.read(text)
    for term in terms:
        if not term.name:
            raise DkimSyntaxError(f"{term.value[:40]!r} at character {term.position} is no tag=value")
    twice = tags.repeated(term.name for term in terms)
    if twice:
        raise DkimSyntaxError(f"the tag {twice[0]}= stands there more than once")
    found = {term.name: term for term in terms}
    version = found.get("v")
    if version and version.value != "DKIM1":
        raise DkimSyntaxError(f"v={version.value[:40]!r} at character {version.position} is not v=DKIM1")
    if "p" not in found:
        raise DkimSyntaxError("there is no p= tag, which holds the key")
    key_type = found["k"].value.lower() if "k" in found else "rsa"
    material = found["p"].value.translate(_FOLDING)
    return KeyRecord(
        key_type=key_type,
        key=_key(key_type, material, found["p"].position) if material else None,
        revoked=not material,
        version_first=version is None or version is terms[0],
        hashes=_words(found["h"]) if "h" in found else None,
        services=_words(found["s"]) if "s" in found else ("*",),
        flags=_words(found["t"]) if "t" in found else (),
    )


def attempt(text: bytes) -> KeyRecord | DkimSyntaxError:
    """Like parse, but the error is returned: to a check, bad syntax is a fact like any other."""
    try:
        return parse(text)
    except DkimSyntaxError as error:
        return error


def _words(tag: tags.Tag) -> tuple[str, ...]:
    return tuple(word.strip(tags.SPACE).lower() for word in tag.value.split(":"))


def _key(key_type: str, material: str, position: int) -> PublicKey | None:
    decode = _DECODERS.get(key_type)
    if decode is None:
        return None
    try:
        octets = base64.b64decode(material, validate=True)
    except ValueError as error:
        raise DkimSyntaxError(f"p= at character {position} is no base64: {error}") from None
    try:
        return decode(octets)
    except ValueError as error:
        raise DkimSyntaxError(f"p= at character {position} holds {error}") from None
