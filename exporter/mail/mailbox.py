"""The address of a mailbox, as RCPT TO carries it (RFC 5321 section 4.1.2).

A mailbox is a local part, an @ and a domain. The local part is a Dot-string (letters, digits and some signs, with
single dots between) or a Quoted-string, in which almost everything else may stand; it has 64 octets at most (section
4.5.3.1.1), and only the server of the domain knows what it means. The domain is a host name, without a dot at its end,
or an address literal such as [192.0.2.1] or [IPv6:2001:db8::1] (section 4.1.3). A path, which is the mailbox and its
angle brackets, has 256 octets at most (section 4.5.3.1.3).

With the extension SMTPUTF8 the local part may hold characters outside ASCII (RFC 6531 section 3.3), and every server
on the way must offer it. A domain needs no extension: it can travel as its A-label (RFC 5890).

Lists of addresses mostly break on what nobody sees: a no-break space or a byte order mark that came with a paste, a
mark that turns the direction of writing. The grammar alone would let some of them through as characters outside ASCII.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from email_validator import EmailNotValidError, validate_email

from exporter.mail import names
from exporter.text import printable

LONGEST_MAILBOX = 254  # octets: a path without its angle brackets
LONGEST_LOCAL = 64  # octets
LONGEST_TEXT = 1000  # characters looked at; what is longer is too long, whatever it says
SHOWN = 3  # places named of one kind of fault

_ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~\-"
_PLAIN = re.compile(rf"([{_ATEXT}]+(?:\.[{_ATEXT}]+)*)@([A-Za-z0-9.-]+)")
_FORBIDDEN = re.compile(rf"[^{_ATEXT}.\x80-\U0010ffff]")
_QUOTED = re.compile(r'"(?:[ !#-\[\]-~\x80-\U0010ffff]|\\[ -~])*"')
_FORBIDDEN_IN_NAME = re.compile(r"[^A-Za-z0-9.\x80-\U0010ffff-]")
_AROUND = re.compile(r"[^<>]*<([^<>@]+@[^<>@]+)>\s*")
_NO_UTF8 = re.compile(r"[\udc80-\udcff]")  # an octet that was no UTF-8, as surrogateescape keeps it

# Letters and marks by category, but nothing to see: fillers, joiners, variation selectors, an empty Braille cell.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0") | {
    chr(point) for point in range(0xFE00, 0xFE10)
}
_CONTROLS = {"\t": "TAB", "\n": "LINE FEED", "\r": "CARRIAGE RETURN", "\0": "NULL"}
_NOT_THE_SIGN = "＠﹫"

# Until 2009 these let people choose such addresses, against RFC 5321, and those that were chosen still work
# (https://www.docomo.ne.jp/service/docomo_mail/rfc_add/).
_ODD_DOTS = frozenset({"docomo.ne.jp", "ezweb.ne.jp"})


class MailboxSyntaxError(ValueError):
    """No mailbox. `says` is a clause about the address, `fix` one imperative sentence; both are safe to show.

    It is `certain` that no server takes the address, unless the RFC only says that it should be avoided.
    """

    def __init__(self, says: str, fix: str, *, certain: bool = True) -> None:
        super().__init__(says)
        self.says = says
        self.fix = fix
        self.certain = certain


@dataclass(frozen=True, slots=True)
class Mailbox:
    """`domain` is an A-label in lower case, or None where an address literal stands."""

    local: str
    domain: str | None
    smtputf8: bool = False
    as_unicode: bool = False  # the domain was written with characters outside ASCII
    odd_dots: bool = False  # dots out of place, as the domain's own addresses had them: see _ODD_DOTS


def parse(text: str) -> Mailbox:
    """The mailbox that a text is, with nothing around it. Raise MailboxSyntaxError, naming the first fault.

    Octets that were no UTF-8 are to be given as surrogates (`errors="surrogateescape"`).
    """
    plain = _PLAIN.fullmatch(text) if len(text) <= LONGEST_MAILBOX else None
    if plain and len(plain[1]) <= LONGEST_LOCAL and names.is_hostname(plain[2]) and not _is_number(plain[2]):
        return Mailbox(plain[1], plain[2].lower())
    if len(text) > LONGEST_TEXT:
        raise MailboxSyntaxError(
            f"is longer than {LONGEST_TEXT} characters", "Put each address on a line of its own, and nothing else."
        )
    _see_everything(text)
    local, domain = _halves(text)
    smtputf8 = not local.isascii()
    odd = domain.lower() in _ODD_DOTS and _dots_out_of_place(local)
    _local_part(re.sub(r"\.+", ".", local).strip(".") if odd else local)
    if domain.startswith("["):
        _literal(domain)
        mailbox = Mailbox(local, None, smtputf8)
    else:
        mailbox = Mailbox(local, _domain(domain, len(local) + 1), smtputf8, not domain.isascii(), odd)
    octets = len(local.encode()) + 1 + len(mailbox.domain or domain)
    if octets > LONGEST_MAILBOX:
        raise MailboxSyntaxError(
            f"has {octets} bytes, more than {LONGEST_MAILBOX}",
            "Use a shorter address of that mailbox.",
            certain=False,  # each server must take so many, and may take more (RFC 5321 section 4.5.3.1)
        )
    return mailbox


def _dots_out_of_place(local: str) -> bool:
    return not local.startswith('"') and (local.startswith(".") or local.endswith(".") or ".." in local)


def _is_number(name: str) -> bool:
    """Does the last label hold digits only? No top-level domain does (RFC 1123 section 2.1)."""
    return name.rpartition(".")[2].isdigit()


def _see_everything(text: str) -> None:
    """Refuse what cannot be seen, and white space outside quotes."""
    broken = [i for i, char in enumerate(text) if _NO_UTF8.match(char)]
    if broken:
        octets = ", ".join(f"0x{ord(text[i]) - 0xDC00:02x} at position {i + 1}" for i in broken[:SHOWN])
        raise MailboxSyntaxError(f"holds bytes that are not UTF-8: {octets}", "Save the list as UTF-8.")
    hidden = [i for i, char in enumerate(text) if _hidden(char) and not _joins(text, i)]
    if hidden:
        what = ", ".join(f"{_named(text[i])} at position {i + 1}" for i in hidden[:SHOWN])
        more = f" and {len(hidden) - SHOWN} more" if len(hidden) > SHOWN else ""
        fix = (
            "Save the list as UTF-8 without a byte order mark."
            if hidden == [0] and text[0] == "\ufeff"
            else "Remove the invisible characters: type the address again instead of pasting it."
        )
        raise MailboxSyntaxError(f"holds what cannot be seen: {what}{more}", fix)
    if not text.strip():
        raise MailboxSyntaxError("is empty", "Remove the line.")
    if text != text.strip(" "):
        end = "begins" if text[0] == " " else "ends"
        raise MailboxSyntaxError(f"{end} with a space", "Remove the spaces around the address.")


def _hidden(char: str) -> bool:
    if char == " " or "!" <= char <= "~":
        return False
    return char in _BLANK or unicodedata.category(char) in ("Cc", "Cf", "Zs", "Zl", "Zp")


def _joins(text: str, at: int) -> bool:
    """Is it a joiner behind a letter that may need one (RFC 5892 appendices A.1, A.2)? IDNA judges the rest."""
    return text[at] in "\u200c\u200d" and at > 0 and not text[at - 1].isascii()


def _named(char: str) -> str:
    name = _CONTROLS.get(char) or unicodedata.name(char, "a control character")
    return f"U+{ord(char):04X} {name}"


def _shown(char: str, at: int) -> str:
    """A character and its place; what is outside ASCII with its code point, as it may look like something else."""
    return f"{char if char != ' ' else 'a space'}{'' if char.isascii() else f' ({_named(char)})'} at position {at + 1}"


def _halves(text: str) -> tuple[str, str]:
    around = _AROUND.fullmatch(text)
    if around:
        raise MailboxSyntaxError("has a name or angle brackets around it", f"Keep {printable(around[1])} only.")
    if text.lower().startswith("mailto:"):
        raise MailboxSyntaxError("begins with mailto:", f"Keep {printable(text[7:])} only.")
    if text.startswith('"'):
        quoted = _QUOTED.match(text)
        if not quoted:
            raise MailboxSyntaxError(
                "begins with a quotation mark, but holds no valid quoted string",
                'Close the quotation, and put a backslash before each " and \\ inside it.',
            )
        rest = text[quoted.end() :]
        if not rest.startswith("@"):
            raise MailboxSyntaxError("has no @ right behind the quoted string", "Put the @ there.")
        return quoted[0], rest[1:]
    local, at, domain = text.partition("@")
    if not at:
        found = next((i for i, char in enumerate(text) if char in _NOT_THE_SIGN), None)
        if found is not None:
            raise MailboxSyntaxError(f"has {_shown(text[found], found)} instead of an @", "Write the @ of ASCII.")
        raise MailboxSyntaxError("has no @", "Write the whole address, such as user@example.com.")
    if "@" in domain and not domain.startswith("["):
        several = re.search(r"[,; ]", text)
        fix = "Put each address on a line of its own." if several else "Remove what is too much; an address has one @."
        raise MailboxSyntaxError("has more than one @", fix)
    return local, domain


def _local_part(local: str) -> None:
    if not local:
        raise MailboxSyntaxError("has nothing before the @", "Write the whole address, such as user@example.com.")
    octets = len(local.encode())
    if octets > LONGEST_LOCAL:
        raise MailboxSyntaxError(
            f"has {octets} bytes before the @, more than {LONGEST_LOCAL}",
            "Use a shorter address of that mailbox.",
            certain=False,  # GitHub's addresses for replies have more, and work
        )
    if not local.startswith('"'):
        wrong = _FORBIDDEN.search(local)
        if wrong:
            raise MailboxSyntaxError(
                f"has {_shown(wrong[0], wrong.start())}, which may stand there in quotes only",
                "Remove that character, or put what is before the @ into quotation marks if it is really part of it.",
            )
        if local.startswith(".") or ".." in local:
            at = 0 if local[0] == "." else local.index("..") + 1
            raise MailboxSyntaxError(f"has a dot too many at position {at + 1}", "Remove that dot.")
        if local.endswith("."):
            raise MailboxSyntaxError("has a dot right before the @", "Remove that dot.")
    if not local.isascii():
        _unicode(local)


def _unicode(local: str) -> None:
    """Characters outside ASCII as the library judges them: it keeps the tables of Unicode.

    It is asked about nothing else: it would rewrite what is quoted, refuse names of special use that are legal, and
    say no position.
    """
    try:
        validate_email(f"{local}@example.com", check_deliverability=False, allow_quoted_local=True)
    except EmailNotValidError as error:
        raise MailboxSyntaxError(
            f"has characters before the @ that hardly any program takes: {printable(error).removesuffix('.')}",
            "Remove these characters: type the address again.",
            certain=False,  # RFC 6531 section 3.3 allows any, and leaves them to the server of the domain
        ) from None


def _domain(domain: str, start: int) -> str:
    """The A-label of a domain that begins at this place of the text."""
    if not domain:
        raise MailboxSyntaxError("has nothing behind the @", "Write the whole address, such as user@example.com.")
    if domain.startswith(".") or ".." in domain:
        at = start + (0 if domain[0] == "." else domain.index("..") + 1)
        raise MailboxSyntaxError(f"has a dot too many at position {at + 1}", "Remove that dot.")
    if domain.endswith("."):
        raise MailboxSyntaxError("ends with a dot", "Remove the dot: DNS writes absolute names so, SMTP does not.")
    wrong = _FORBIDDEN_IN_NAME.search(domain)
    if wrong:
        raise MailboxSyntaxError(
            f"has {_shown(wrong[0], start + wrong.start())}, which no domain may hold", "Correct the domain."
        )
    if domain.isascii() and (names.as_address(domain) or _is_number(domain)):
        address = names.as_address(domain)
        fix = f"Write the address in brackets, or better a domain: [{address}]." if address else "Correct the domain."
        raise MailboxSyntaxError("has a number where its domain should end", fix)
    try:
        return names.canonical(domain)
    except ValueError as error:
        raise MailboxSyntaxError(f"has a domain that {printable(error)}", "Correct the domain.") from None


def _literal(domain: str) -> None:
    inner = domain[1:-1] if domain.endswith("]") else ""
    tag, colon, rest = inner.partition(":")
    address = names.as_address(rest if colon and tag.lower() == "ipv6" else inner)
    if not inner or address is None or (address.version == 6) != (tag.lower() == "ipv6") or "[" in inner:
        raise MailboxSyntaxError(
            "has no valid address literal behind the @", "Write [192.0.2.1] or [IPv6:2001:db8::1], or better a domain."
        )


# Domains of large receivers whose names are long enough that a near miss is hardly another domain.
_LARGE = (
    "comcast.net",
    "gmail.com",
    "googlemail.com",
    "hotmail.com",
    "icloud.com",
    "libero.it",
    "orange.fr",
    "outlook.com",
    "protonmail.com",
    "t-online.de",
    "verizon.net",
    "wanadoo.fr",
    "yahoo.com",
)
_OTHERS = frozenset({"cloud", "email", "mail", "ymail"})  # near misses that are receivers of their own
_SLIPS = frozenset({"c", "cim", "cm", "cmo", "co", "comm", "con", "coom", "cpm", "ocm", "om", "vom", "xom"})  # of com


def meant(domain: str) -> str | None:
    """The large receiver whose name a domain looks like a slip of, or None."""
    if domain in _LARGE:
        return None
    label, _, rest = domain.partition(".")
    for large in _LARGE:
        known, _, suffix = large.partition(".")
        if rest == suffix and label not in _OTHERS and _near(label, known, 1 if len(known) < 7 else 2):
            return large
        if label == known and suffix == "com" and rest in _SLIPS:
            return large
    return None


def _near(text: str, known: str, most: int) -> bool:
    """Is one the other after `most` slips: a letter too many, too few, wrong, or two exchanged?"""
    if abs(len(text) - len(known)) > most:
        return False
    before: list[int] = []
    row = list(range(len(known) + 1))
    for i, char in enumerate(text, 1):
        earlier, before, row = before, row, [i]
        for j, other in enumerate(known, 1):
            slips = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (char != other))
            if i > 1 and j > 1 and char == known[j - 2] and text[i - 2] == other:
                slips = min(slips, earlier[j - 2] + 1)
            row.append(slips)
    return row[-1] <= most
