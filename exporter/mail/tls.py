"""Which versions of TLS does a server speak? Asked without a TLS library (RFC 5246, RFC 8446, RFC 8996).

A client opens TLS with a ClientHello: the version it wants, the ciphers it knows, and extensions such as the name it
is looking for (SNI, RFC 6066 section 3). The server answers with a ServerHello that names the version it has
chosen, or with an alert. To learn whether one version is spoken it is therefore enough to offer that version
alone, read the first message and hang up: no key is computed, no certificate is looked at.

Doing it by hand is not vanity. A current TLS library has TLS 1.0 and 1.1 switched off: asked for them it fails on
its own side, before anything is sent, and the server would be blamed for it.

Up to 1.2 the version stands in the hello itself (RFC 5246 section 7.4.1.2). TLS 1.3 hides behind 1.2 and says its
true version in the extension supported_versions (RFC 8446 section 4.2.1), in the ServerHello too (section
4.1.3). Its hello should bring a key; with an empty list of keys the server must ask for one first, and this
HelloRetryRequest, which has the form of a ServerHello, is all that we want (sections 4.1.4, 4.2.8).

What an answer proves:

* a ServerHello of the version asked for: spoken. Of a lower one: the server would rather go down, so not spoken.
* alert protocol_version (70): not spoken, in so many words (RFC 8446 section 6.2).
* alert handshake_failure (40) or insufficient_security (71): "nothing that you offer suits me". By itself that says
  nothing of versions. Our hello offers every usual cipher and curve from twenty-five years and a full handshake has
  just succeeded under the same name, so what does not suit is the version. Ask only after such a handshake.
* anything else, above all a closed connection: proves nothing. Old Exchange servers hang up on versions that are
  switched off, but so does a firewall, or a server that is busy. Servers with OpenSSL 3 that have TLS 1.0 switched on
  and its signatures forbidden (any security level but 0) answer internal_error (80), which by its meaning has
  nothing to do with what was offered (RFC 8446 section 6.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

LONGEST_ANSWER = 20480  # octets looked at: more than one whole record

_ALERT, _HANDSHAKE = 21, 22
_RECORD_TYPES = frozenset({20, _ALERT, _HANDSHAKE, 23})
_LONGEST_RECORD = 2**14 + 2048  # RFC 5246 section 6.2.3
_CLIENT_HELLO, _SERVER_HELLO = b"\x01", 2
_SERVER_NAME, _GROUPS, _POINT_FORMATS, _SIGNATURES, _PADDING, _EXTENDED_SECRET = 0, 10, 11, 13, 21, 23
_SUPPORTED_VERSIONS, _KEY_SHARE = 43, 51

_REFUSALS = frozenset({40, 70, 71})
_UNRECOGNISED_NAME = 112  # a mere warning from servers that do not know the name (RFC 6066 section 3)
_ALERTS = {
    0: "close_notify",
    10: "unexpected_message",
    40: "handshake_failure",
    47: "illegal_parameter",
    50: "decode_error",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    86: "inappropriate_fallback",
    109: "missing_extension",
    _UNRECOGNISED_NAME: "unrecognized_name",
}

# TLS 1.3; ECDHE and DHE with GCM, ChaCha20, CCM, CBC, Camellia, ARIA; plain RSA; 3DES, SEED, IDEA, RC4, DES, GOST.
# The last one promises secure renegotiation (RFC 5746 section 3.3): some servers insist on it.
_CIPHERS = bytes.fromhex(
    "1301 1302 1303 1304 1305"
    "c02b c02c c02f c030 cca8 cca9 c0ac c0ad c0ae c0af c05c c05d c060 c061"
    "009e 009f 00a2 00a3 ccaa c09e c09f c052 c053"
    "c023 c024 c027 c028 0067 006b 0040 006a c009 c00a c013 c014 0033 0039 0032 0038"
    "c072 c073 c076 c077 0045 0088 0044 0087 00be 00c4 009c 009d c09c c09d c050 c051"
    "003c 003d 002f 0035 0041 0084 00ba 00c0"
    "c008 c012 0016 0013 000a 009a 0099 0096 0007 c007 c011 0005 0004 0015 0009 c102 0081 00ff"
)
# X25519 with ML-KEM, X25519, X448, the NIST curves, secp256k1, brainpool, and the finite fields of RFC 7919.
_CURVES = bytes.fromhex("11ec 001d 001e 0017 0018 0019 0016 001a 001b 001c 0100 0101 0102 0103 0104")
_SIGNATURE_SCHEMES = bytes.fromhex(
    "0403 0503 0603 0807 0808 0804 0805 0806 0809 080a 080b 081a 081b 081c"
    "0401 0501 0601 0301 0303 0302 0402 0502 0602 0203 0201 0202 0101"
)


class Version(StrEnum):
    TLS_1_0 = "1.0"
    TLS_1_1 = "1.1"
    TLS_1_2 = "1.2"
    TLS_1_3 = "1.3"

    @property
    def code(self) -> int:
        """As on the wire: 0x0301 is TLS 1.0, since it follows SSL 3.0."""
        return 0x0301 + list(Version).index(self)

    @property
    def obsolete(self) -> bool:
        """RFC 8996: must not be used."""
        return self < Version.TLS_1_2


@dataclass(frozen=True, slots=True)
class VersionAnswer:
    """Does it speak the version: yes, no, or None = that cannot be told; and what it said, for a person."""

    spoken: bool | None
    said: str


def client_hello(version: Version, host: str, random: bytes) -> bytes:
    """The record that offers this version alone, to the server's name; `random` is 32 fresh octets."""
    extensions = b"".join(_extensions(version, host))
    fixed = 4 + 2 + 32 + 1 + 2 + len(_CIPHERS) + 2 + 2
    if 255 < fixed + len(extensions) < 512:  # some load balancers hang on a hello of this length: RFC 7685
        extensions += _extension(_PADDING, bytes(max(0, 512 - fixed - len(extensions) - 4)))
    body = (
        min(version.code, Version.TLS_1_2.code).to_bytes(2)
        + random
        + b"\0"  # no session to resume
        + _sized(_CIPHERS, 2)
        + b"\x01\0"  # no compression
        + _sized(extensions, 2)
    )
    # The record's own version stays 1.0 for the sake of old servers: RFC 8446 section 5.1.
    return bytes((_HANDSHAKE, 3, 1)) + _sized(_CLIENT_HELLO + _sized(body, 3), 2)


def _extensions(version: Version, host: str) -> Iterator[bytes]:
    yield _extension(_SERVER_NAME, _sized(b"\0" + _sized(host.encode("ascii"), 2), 2))
    yield _extension(_GROUPS, _sized(_CURVES, 2))
    yield _extension(_POINT_FORMATS, b"\x01\0")
    yield _extension(_EXTENDED_SECRET, b"")  # servers in FIPS mode insist on it: RFC 7627
    if not version.obsolete:  # older hellos must not have it: RFC 5246 section 7.4.1.4.1
        yield _extension(_SIGNATURES, _sized(_SIGNATURE_SCHEMES, 2))
    if version is Version.TLS_1_3:
        yield _extension(_SUPPORTED_VERSIONS, _sized(version.code.to_bytes(2), 1))
        yield _extension(_KEY_SHARE, _sized(b"", 2))


def _extension(kind: int, body: bytes) -> bytes:
    return kind.to_bytes(2) + _sized(body, 2)


def _sized(body: bytes, width: int) -> bytes:
    return len(body).to_bytes(width) + body


def is_tls(octets: bytes) -> bool:
    """Can these first octets be a TLS record? An empty text can still become one."""
    return not octets or octets[0] in _RECORD_TYPES


def judge(asked: Version, octets: bytes) -> VersionAnswer | None:
    """What the octets received after the hello prove; None while more are needed. Never raises."""
    octets = octets[:LONGEST_ANSWER]
    message = b""
    at = 0
    while True:
        if not is_tls(octets[at:]):
            return VersionAnswer(None, "something that is no TLS")
        head = octets[at : at + 5]
        length = int.from_bytes(head[3:5])
        if len(head) == 5 and (head[1] != 3 or length > _LONGEST_RECORD):
            return VersionAnswer(None, "something that is no TLS")
        record = octets[at + 5 : at + 5 + length]
        if len(head) < 5 or len(record) < length:
            return VersionAnswer(None, "no end of a record") if len(octets) == LONGEST_ANSWER else None
        at += 5 + length
        if head[0] == _ALERT:
            alert = _alert(record)
            if alert:
                return alert
        elif head[0] == _HANDSHAKE and record:
            message += record
            answer = _chosen(asked, message)
            if answer:
                return answer
        else:
            return VersionAnswer(None, f"an unexpected record of type {head[0]}")


def _alert(record: bytes) -> VersionAnswer | None:
    """None for the one warning that may stand before a ServerHello."""
    if len(record) != 2:
        return VersionAnswer(None, "a malformed alert")
    level, code = record
    if level == 1 and code == _UNRECOGNISED_NAME:
        return None
    return VersionAnswer(False if code in _REFUSALS else None, f"alert {_ALERTS.get(code, 'of another kind')} ({code})")


def _chosen(asked: Version, message: bytes) -> VersionAnswer | None:
    """The version that a ServerHello names; None while it is not complete."""
    if message[0] != _SERVER_HELLO:
        return VersionAnswer(None, f"a handshake message of type {message[0]}, where ServerHello is due")
    body = message[4 : 4 + int.from_bytes(message[1:4])]
    if len(message) < 4 or len(body) < int.from_bytes(message[1:4]):
        return None
    code = _version(body)
    chosen = next((version for version in Version if version.code == code), None)
    if chosen is None:
        return VersionAnswer(None, "a ServerHello without a known version")
    spoken = {0: True, -1: False}.get((chosen.code > asked.code) - (chosen.code < asked.code))
    return VersionAnswer(spoken, f"ServerHello, TLS {chosen}")


def _version(body: bytes) -> int | None:
    """RFC 8446 section 4.1.3: version, random, session id, cipher, compression, extensions."""
    if len(body) < 35:
        return None
    at = 35 + body[34] + 3
    extensions = body[at + 2 : at + 2 + int.from_bytes(body[at : at + 2])]
    while len(extensions) >= 4:
        kind, length = int.from_bytes(extensions[:2]), int.from_bytes(extensions[2:4])
        if kind == _SUPPORTED_VERSIONS:
            return int.from_bytes(extensions[4:6]) if length == 2 else None
        extensions = extensions[4 + length :]
    return int.from_bytes(body[:2])
