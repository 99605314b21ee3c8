"""Which key record repairs what was found (RFC 6376 section 3.6.1).

The key itself only its owner knows, so it is a blank. It has two parts, because a string of a TXT record holds no more
than 255 octets and an RSA key of 2048 bits is longer. Where the key is there and only tags around it are wrong, it is
kept. Nothing is proposed for a record at the end of an alias: it is somebody else's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from exporter.facts import Finding, Known
from exporter.mail import tag_list
from exporter.remedies import KEY, KEY_REST, NOTHING, DnsChange, Remedy, txt

WITHOUT_KEY = f"v=DKIM1; k=rsa; p={KEY}{KEY_REST}"
REVOKED = "v=DKIM1; p="


def publish_key(findings: Sequence[Finding], known: Known) -> Remedy:
    """A record with a blank for the key, in place of what is there."""
    return _changed(findings, known, lambda _: WITHOUT_KEY)


def revoke(findings: Sequence[Finding], known: Known) -> Remedy:
    """A record that says that the key is gone."""
    return _changed(findings, known, lambda _: REVOKED)


def correct(findings: Sequence[Finding], known: Known) -> Remedy:
    """The same key, and nothing around it that keeps verifiers from using it."""
    return _changed(findings, known, _corrected)


def _corrected(texts: Sequence[str]) -> str | None:
    """v= first, no empty tag, no h= without sha256, and no s= without email."""
    if len(texts) != 1:
        return None
    tags = {it.name: it.value for it in tag_list.read(texts[0].encode())}
    if "sha256" not in tags.get("h", "sha256").lower():
        del tags["h"]
    if not {"*", "email"} & {word.strip().lower() for word in tags.get("s", "*").split(":")}:
        del tags["s"]
    return "; ".join(f"{tag}={value}" for tag, value in {"v": "DKIM1", **tags}.items())


def _changed(findings: Sequence[Finding], known: Known, wanted: Callable[[Sequence[str]], str | None]) -> Remedy:
    changes: list[DnsChange] = []
    for it in (dict(finding.evidence) for finding in findings):
        name = it["name"] if "name" in it else it["place"]
        if " -> " in name or " -> " in it.get("place", ""):
            return NOTHING  # the record is somebody else's, at the end of an alias
        texts = known.texts(f"{name} TXT")
        text = None if texts is None else wanted(texts)
        if texts is None or text is None:
            return NOTHING
        changes.append(txt(name, text, texts))
    return Remedy(tuple(changes))
