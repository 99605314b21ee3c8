"""Does the name of an address look like one that a machine has made up?

A provider must give its addresses names (RFC 1912 section 2.1 wants a PTR record for each), so whole blocks get names
from a pattern: `c192-0-2-10.dynamic.example.net`. Nobody has chosen such a name; it says that the address belongs to a
customer's line or to a rented machine that nobody has set up for mail. Receivers have learnt to distrust it, since
infected machines of customers have names of this kind and mail servers that are cared for have not; Yahoo asks
senders for "non-generic" ones. No RFC draws the line, and each receiver has rules of its own. These are ours:

 1. The address stands in its own name: as decimal numbers, also filled with zeros or backwards, or in hexadecimal
    digits; an IPv6 address in groups, in a row of digits, or nibble by nibble. Four numbers are the whole of an IPv4
    address, and three are no chance any more: either is strong. Two are weak, for `mta-12-34` may just count its
    machines. Of an IPv6 address half of it is strong.
 2. A word says that addresses are handed out as they are needed (`dynamic`, `dhcp`), how a line works (`ppp`, `dsl`),
    or that there is no name at all (`unassigned`). Such a word is strong.
 3. A word says whose line or what kind of line it is (`customer`, `pool`, `cable`). A mail service may have customers
    and pools of servers, so such a word is weak.

One strong sign is enough. Weak ones are only worth a remark, however many there are, and one alone is nothing. Words
are sought left of the registrable domain, since `dsl-experts.example` may well have a mail server, and whole:
`dynasty` is not `dyn`. Numbers are compared with the very address, so that `mail-1-2.example.com` is suspect at most
where the address has a 1 beside a 2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from exporter.facts import IP
from exporter.mail import names

GENERIC = 4  # a weight from which on a name looks generic
REMARKABLE = 3
_WHOLE, _STRONG, _WEAK, _HINT = 5, 4, 2, 1

STRONG_WORDS = """
    adsl dhcp dialin dialup dialpool dsl dyn dynamic dynamicip dynip isdn modem noptr nordns norevdns ppp pppoa pppoe
    unallocated unassigned unused vdsl xdsl
"""
WEAK_WORDS = """
    broadband cable catv client clients cpe cust customer customers docsis fiber fibre ftth gpon home lte mobile nat
    pool pools res residential subscriber subscribers unknown user users wifi wireless wlan
"""
_WEIGHTS = dict.fromkeys(WEAK_WORDS.split(), _WEAK) | dict.fromkeys(STRONG_WORDS.split(), _STRONG)
_WORD = re.compile(r"[a-z]+")
_DECIMAL = re.compile(r"[0-9]+")
_PIECE = re.compile(r"[0-9a-f]+")
_SEPARATORS = frozenset("-._x")
REMEMBERED = 1024  # names: several checks weigh the same one
_HALF = 16  # nibbles, of the 32 of an IPv6 address


class Sign(NamedTuple):
    weight: int
    what: str


def signs(name: str, ip: IP) -> tuple[Sign, ...]:
    """All that makes the name look generic, heaviest first. Never raises; what is too long to be a name has none."""
    name = name.lower().removesuffix(".")
    if len(name) > names.LONGEST_NAME:
        return ()
    return _remembered(name, ip)


@lru_cache(maxsize=REMEMBERED)
def _remembered(name: str, ip: IP) -> tuple[Sign, ...]:
    found = _addresses_v4(name, ip.packed) if ip.version == 4 else _addresses_v6(name, ip)
    return tuple(sorted({*found, *_words(name)}, key=lambda sign: (-sign.weight, sign.what)))


def weigh(found: Iterable[Sign]) -> int:
    """From GENERIC on the name looks generic, from REMARKABLE on it is worth a remark."""
    weights = [sign.weight for sign in found]
    weak = sum(weight for weight in weights if weight < GENERIC)
    return max((*(weight for weight in weights if weight >= GENERIC), min(weak, REMARKABLE)))


def _words(name: str) -> Iterator[Sign]:
    for word in set(_WORD.findall(name.removesuffix(names.registrable(name)))):
        if word in _WEIGHTS:
            yield Sign(_WEIGHTS[word], f'the word "{word}"')


def _addresses_v4(name: str, octets: bytes) -> Iterator[Sign]:
    decimal = _longest(_decimals(name), [*octets])
    digits = 3 if _holds_digits(name, octets, 3) else 0
    if digits and _holds_digits(name, octets, 4):
        digits = 4
    count, form = max((decimal, "decimal"), (digits, "hexadecimal"))
    if count == 4:
        yield Sign(_WHOLE, f"the whole address, {form}")
    elif count == 3:
        yield Sign(_STRONG, f"three of the four numbers of the address, {form}")
    elif count == 2:
        yield Sign(_HINT, f"two of the four numbers of the address, {form}")


def _addresses_v6(name: str, ip: IP) -> Iterator[Sign]:
    digits = ip.packed.hex()
    groups = [int(digits[start : start + 4], 16) for start in range(0, 32, 4)]
    pieces = [(linked, piece) for linked, piece in _linked(_PIECE, name)]
    nibbles = 4 * _longest([(linked, int(piece, 16) if len(piece) <= 4 else -1) for linked, piece in pieces], groups)
    single = [(linked, int(piece, 16) if len(piece) == 1 else -1) for linked, piece in pieces]
    nibbles = max(nibbles, _longest(single, [int(digit, 16) for digit in digits]))
    for written in (digits, digits[::-1]):
        row = 32 if written in name else _HALF if written[:_HALF] in name or written[_HALF:] in name else 0
        nibbles = max(nibbles, row)
    if nibbles == 32 or ip.compressed.replace(":", "-") in name:
        yield Sign(_WHOLE, "the whole address")
    elif nibbles >= _HALF:
        yield Sign(_STRONG, "half of the address or more")


def _linked(kind: re.Pattern[str], name: str) -> Iterator[tuple[bool, str]]:
    """The runs of digits; is each joined to the one before by a single separator?"""
    end = -1
    for run in kind.finditer(name):
        yield run.start() == end + 1 and name[end] in _SEPARATORS, run[0]
        end = run.end()


def _decimals(name: str) -> Iterator[tuple[bool, int]]:
    """The numbers of up to three digits; a longer run may be several that are filled with zeros."""
    for linked, run in _linked(_DECIMAL, name):
        if len(run) <= 3:
            yield linked, int(run)
        elif len(run) in (6, 9, 12):
            yield from ((linked or start > 0, int(run[start : start + 3])) for start in range(0, len(run), 3))
        else:
            yield False, -1


def _longest(numbers: Iterable[tuple[bool, int]], address: Sequence[int]) -> int:
    """How many numbers of the address follow each other in the name at most, forwards or backwards."""
    longest = 0
    forwards = backwards = nothing = [0] * len(address)  # numbers that match, ending with this one of the address
    for linked, number in numbers:
        if number not in address:
            forwards = backwards = nothing
            continue
        old, older = ([0, *forwards], [*backwards, 0]) if linked else ([0] * (len(address) + 1),) * 2
        forwards = [old[at] + 1 if number == part else 0 for at, part in enumerate(address)]
        backwards = [older[at + 1] + 1 if number == part else 0 for at, part in enumerate(address)]
        longest = max(longest, *forwards, *backwards)
    return longest


def _holds_digits(name: str, octets: bytes, count: int) -> bool:
    """Does so much of the address stand there in hexadecimal, two digits for each number, forwards or backwards?"""
    return any(
        order[start : start + count].hex() in name
        for order in (octets, octets[::-1])
        for start in range(len(octets) - count + 1)
    )
