"""What a resolver says of its answer beside the answer: the extended errors of RFC 8914."""

from __future__ import annotations

import struct

import dns.edns

from exporter.net.dns.frame import Frame, MalformedError
from exporter.text import printable

MOST = 8  # that are read of one answer
MODIFIED = frozenset({4, 15, 16, 17, 18})  # forged, blocked, censored, filtered, prohibited
DNSSEC = frozenset({1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 25, 27})

_OPTION = 15  # the option code
_HEAD = struct.Struct("!HH")
_NAMES = {int(code): code.name.replace("_", " ").lower() for code in dns.edns.EDECode}


def read(message: bytes, opt: Frame) -> tuple[tuple[int, str], ...]:
    """Those of an OPT record, each an info-code, and text that may end in a null octet (section 2)."""
    found: list[tuple[int, str]] = []
    at = opt.start
    while at < opt.end and len(found) < MOST:
        option, length = _HEAD.unpack_from(message, at)
        at += _HEAD.size
        body = message[at : at + length]
        at += length
        if at > opt.end:
            raise MalformedError("has an option longer than its OPT record")
        if option == _OPTION and length >= 2:
            text = body[2:].removesuffix(b"\0").decode("utf-8", "backslashreplace")
            found.append((int.from_bytes(body[:2]), printable(text, 200)))
    return tuple(found)


def shown(code: int, text: str) -> str:
    title = f"EDE {code} ({_NAMES[code]})" if code in _NAMES else f"EDE {code}"
    return f"{title}: {text}" if text else title
