"""What repairs a finding, as data: records for DNS, settings for mail servers, and words for whoever owns an address.

A sentence that tells somebody to publish a record is typed again by hand, and typed wrong. Data can be copied, shown in
the form that a DNS host takes, and tested: a test sets each record in the world that has the fault, and looks again.

What only a person can know is a blank, such as YOUR-MAILBOX. It is never guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

SPOKEN = frozenset({"TXT", "SPF"})  # types whose data is text
_NAME = re.compile(r"(?:[A-Za-z0-9_*/-]|\\[0-9]{3})+(?:\.(?:[A-Za-z0-9_*/-]|\\[0-9]{3})+)*", re.ASCII)
_DATA = re.compile(r"(?:[A-Za-z0-9._:*/ -]|\\[0-9]{3})+", re.ASCII)
TTL = 3600  # seconds: an hour is usual, and short enough to correct a mistake

MAILBOX = "YOUR-MAILBOX"
KEY, KEY_REST = "YOUR-KEY-1", "YOUR-KEY-2"
HOST = "YOUR-HOST-NAME"
CONNECTOR = "YOUR-CONNECTOR"
CERTIFICATE = "YOUR-CERTIFICATE-FILE"
THUMBPRINT = "YOUR-THUMBPRINT"
OTHERS = "YOUR-OTHER-RECORDS"
RECORD_ID = "YOUR-ID-OF"
RECORD_TTL = "YOUR-TTL"
BLANKS = {
    MAILBOX: "a mailbox that exists and that somebody reads",
    KEY: "the first 255 characters of the public key, which the signing software or the provider shows as p=",
    KEY_REST: "the rest of the public key; it may be empty",
    HOST: "the full host name of the machine, which its PTR record has, too",
    CONNECTOR: "the name of the connector that sends to the Internet",
    CERTIFICATE: "the file with the private key and the certificate chain",
    THUMBPRINT: "the thumbprint of the certificate, which Get-ExchangeCertificate shows",
    OTHERS: "the other records of this name and type, which have to stay",
    RECORD_ID: "the id that Cloudflare has for the record that is named behind it",
    RECORD_TTL: "the TTL that the record has now, as a number",
}


class Action(StrEnum):
    SET = "set"
    REPLACE = "replace"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class DnsChange:
    """Records of one name and type that come and go. Values are as in a zone file, but TXT is the plain text.

    `keep` are the other records of that name and type, which stay. None: there may be some that are not known.
    """

    name: str  # without the dot at its end
    type: str
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    keep: tuple[str, ...] | None = ()
    ttl: int = TTL

    @property
    def action(self) -> Action:
        if not self.add:
            return Action.REMOVE
        return Action.REPLACE if self.remove else Action.SET

    @property
    def plain(self) -> bool:
        """Is it nothing but names and data, so that it can be pasted whatever it was made of? A text is quoted."""
        kept = self.keep or ()
        data = () if self.type in SPOKEN else (*self.add, *self.remove, *kept)
        return _NAME.fullmatch(self.name) is not None and all(map(_DATA.fullmatch, data))


@dataclass(frozen=True, slots=True)
class ServerSetting:
    """What repairs it on one kind of mail server. `where`: what takes the lines, such as a shell or a file."""

    server: str
    where: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Remedy:
    """All records are to be set, and one of the settings. `request` are words for whoever owns an address."""

    records: tuple[DnsChange, ...] = ()
    settings: tuple[ServerSetting, ...] = ()
    request: str = ""

    def __bool__(self) -> bool:
        return bool(self.records or self.settings or self.request)

    @property
    def blanks(self) -> dict[str, str]:
        """What a person has to fill in, and what it means."""
        texts = [value for change in self.records for value in (change.name, *change.add)]
        texts += [line for setting in self.settings for line in setting.lines]
        return blanks_in("\n".join((*texts, self.request)))


NOTHING = Remedy()


def blanks_in(text: str) -> dict[str, str]:
    """The blanks in a text, and what each means."""
    return {blank: meaning for blank, meaning in BLANKS.items() if blank in text}


def txt(name: str, text: str, instead_of: tuple[str, ...] = ()) -> DnsChange:
    """Let the name have this TXT record, in place of those that are named. At a domain itself others may stand."""
    own = name.startswith("_") or "._" in name
    gone = tuple(it for it in instead_of if it != text)
    if text in instead_of:
        return DnsChange(name, "TXT", (), gone, (text,) if own else None)
    return DnsChange(name, "TXT", (text,), gone, () if own else None)


def whole(text: str) -> bool:
    """Is this evidence all of a text, and as it was published? What is shown may be cut, and escaped."""
    return text.isascii() and text.isprintable() and "\\u{" not in text
