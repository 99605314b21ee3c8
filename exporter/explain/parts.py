"""The parts of a mail that say something, each as text: decoded whatever it claims to be, and without the HTML."""

from __future__ import annotations

import codecs
import html
import re
from collections.abc import Iterator
from email.message import Message
from typing import Any

LONGEST_TEXT = 32_768  # characters of one part, after decoding
MOST_PARTS = 60  # more is no bounce, and is read as plain text
MOST_RECIPIENTS = 20

_TAG = re.compile(r"<(?:br|/p|/div|/tr|/li|/td|/h\d)[^<>]{0,400}>", re.IGNORECASE)
_MARKUP = re.compile(r"</?[a-zA-Z!][^<>@]{0,2000}>")
_HIDDEN = re.compile(r"<(style|script|head)\b.*?(?:</\1.?|\Z)", re.IGNORECASE | re.DOTALL)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_NO_CHARSETS = frozenset({"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape"})  # some are slow
_RETURNED = frozenset({"message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers"})


def leaves(mail: Message) -> Iterator[Message]:
    """The parts that say something: of a report not the original message, which comes third (RFC 6522 section 3)."""
    waiting = [mail]
    count = 0
    while waiting and count < MOST_PARTS:
        part = waiting.pop(0)
        count += 1
        payload = part.get_payload()
        if part.get_content_maintype() != "multipart" or not isinstance(payload, list):
            yield part
            continue
        parts = [it for it in payload if isinstance(it, Message)]
        if part.get_content_type() == "multipart/report" or any(
            it.get_content_type() == "message/delivery-status" for it in parts
        ):
            parts = [it for it in parts if it.get_content_type() not in _RETURNED]
        elif part.get_content_type() == "multipart/alternative":
            parts = sorted(parts, key=lambda it: it.get_content_type() != "text/plain")[:1]
        waiting = parts + waiting


def text_of(part: Message) -> str:
    text = _payload(part)
    return _unmarked(text) if part.get_content_type() == "text/html" else text


def _payload(part: Message) -> str:
    payload: Any = part.get_payload()
    if isinstance(payload, list):  # the parser makes a message of each block of fields
        text = "\n\n".join(_block(block) for block in payload[:MOST_RECIPIENTS] if isinstance(block, Message))
        if str(part.get("Content-Transfer-Encoding", "")).strip().lower() not in {"base64", "quoted-printable"}:
            return text[:LONGEST_TEXT]
        plain = Message()
        plain["Content-Transfer-Encoding"] = str(part["Content-Transfer-Encoding"]).strip()
        plain.set_payload(text.strip())
        part = plain
    decoded: Any = part.get_payload(decode=True)
    if not isinstance(decoded, bytes):
        return str(payload or "")[:LONGEST_TEXT]
    return _decoded(decoded[: 4 * LONGEST_TEXT], part.get_content_charset())


def _block(block: Message) -> str:
    lines = [f"{name}: {value}" for name, value in block.items()]
    rest: Any = block.get_payload()
    return "\n".join([*lines, rest] if isinstance(rest, str) and rest else lines)


def _decoded(octets: bytes, charset: str | None) -> str:
    for name in (charset or "utf-8", "utf-8"):
        try:
            if codecs.lookup(name).name not in _NO_CHARSETS:  # the codec's own name: "-punycode" is one too
                return octets.decode(name)[:LONGEST_TEXT]
        except (LookupError, ValueError):
            continue
    return octets.decode("latin-1")[:LONGEST_TEXT]


def _unmarked(text: str) -> str:
    """Of HTML the text alone."""
    text = _MARKUP.sub(" ", _TAG.sub("\n", _HIDDEN.sub("", text)))
    return _ENTITY.sub(lambda found: html.unescape(found[0]), text).replace("\xa0", " ")
