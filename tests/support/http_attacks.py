"""Requests that no client should send, of many shapes, the same ones for the same seed."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from random import Random

PATHS = (
    "/", "/metrics", "/targets/domain=n1.example", "/findings", "/findings/sample.broken", "/receivers", "/style.css",
    "/receivers/gmail", "/receivers/gmail/n1.example", "/-/healthy", "/-/ready", "/-/reload", "/nothing",
    "/problems", "/domains", "/senders",
)  # fmt: skip
ODD_PATHS = (
    "*", "//", "/..", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/targets/%00", "/targets/%ff%fe%80",
    "/targets/%ed%a0%80", "/targets/domain=%0d%0aSet-Cookie:%20a=b", "/findings/%C0%AE", "/receivers/%F4%90%80%80/x",
    "/problems?page=-1&page=9e9&sort=%00&label=%3d&label==&check=%ed%a0%80", "/domains?page=%d9%a1&severity=<script>",
    "/labels/%00/%ff", "/labels/=/", "/senders?q=" + "a=b+" * 500, "/domains?" + "label=a=b&" * 300,
    "/?q=%ff", "/findings?q=%00%ed%b0%80", "/metrics?name[]=%ff&name[]=%ed%a0%80", "http://evil.example/metrics",
    "http://[::1/metrics", "http://[zz]/", "http://a:99999/", "/targets/" + "," * 500, "/targets/" + "=," * 500,
    "/?" + "&" * 3000, "/?" + "q=a&" * 1000, "/metrics?" + "name[]=deliverability_check_ok&" * 200, "/;/?;#;",
    "/targets/\x7f", "/\\\\evil.example\\x", "/targets/\u00e9", "/%", "/%zz", "/targets/" + "%41" * 2000, "#", "?",
)  # fmt: skip
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT", "PROPFIND", "PRI", "SOURCE")
ODD_METHODS = ("GeT", "G ET", "", "GET" * 3000, "\x00", "M-SEARCH", "get", "G\x01T", "<script>", "QUERY", "\u00dcB")
VERSIONS = ("HTTP/0.9", "HTTP/1.0", "HTTP/1.1", "HTTP/1.2", "HTTP/2.0", "HTTP/9.9", "HTTP/11.1", "HTTPS/1.1", "", "x")
ODD_FIELDS = (
    "Host:", "Host: a\r\nHost: b", "Host: [", "Host: a:b:c", "Accept: ;;;q=x,", "Accept: */*;q=nan",
    "Accept: " + "," * 999, "Accept: application/openmetrics-text;version=1e999",
    "Accept: application/openmetrics-text; version=; charset",
    "Accept: application/openmetrics-text;version=1.0.0;escaping=values", "Accept: text/plain;version=-1;escaping=",
    "Accept-Encoding: gzip;q=0", "Accept-Encoding: " + "gzip," * 900, "Content-Length: -1", "Content-Length: 1e3",
    "Content-Length: 99999999999999999999999", "Content-Length: 5\r\nContent-Length: 6",
    "Transfer-Encoding: chunked, x", "Content-Length: 5\r\nTransfer-Encoding: chunked", "Transfer-Encoding: identity",
    "Transfer-Encoding:\x0bchunked", "Expect: 100-continue", "Expect: the worst",
    "Upgrade: websocket\r\nConnection: Upgrade", "Range: bytes=0-,5-1",
    "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings", "X: \x00", "X\x00: a", ": a", "X y: a", " X: a", "X : a",
    "X: a\r\n folded", "X: a\nY: b", "X: a\rY: b", "Cookie: " + "a=b;" * 900, 'Cookie: "\\\x01=;;;',
    "Connection: " + "x," * 900, "Content-Type: multipart/form-data; boundary=", "Content-Encoding: gzip",
    "Content-Encoding: br, deflate", "Origin: null", "Origin: http://evil.example", "Sec-Fetch-Site: cross-site",
    "If-None-Match: *", "If-Modified-Since: x", "Authorization: Basic !!!", 'Forwarded: for="',
    "X-Forwarded-For: " + "1," * 900, "Referer: \u20ac", "Trailer: Host",
)  # fmt: skip
PREFACES = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), b"\x80\x2e\x01\x00\x02", b"SSH-2.0-OpenSSH_9.2\r\n",
    b"EHLO mail.example.com\r\nMAIL FROM:<a@b>\r\n", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\n\r\n",
    b"\r\n\r\n\r\n", b"\x00" * 100, b"\x0d\x0a\x0d\x0a\x00\x0d\x0aQUIT\x0a\x21\x11\x00\x0c", b"*1\r\n$4\r\nINFO\r\n",
    b"\x05\x01\x00", b"GET /\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"\xef\xbb\xbfGET / HTTP/1.1\r\n\r\n", b"\n" * 20_000, b" " * 20_000,
)  # fmt: skip
BODIES = (
    b"0\r\n\r\n", b"zz\r\nabc\r\n", b"5\r\nab", b"ffffffffffffffff1\r\na\r\n",
    b"5;" + b"x" * 9000 + b"\r\nabcde\r\n0\r\n\r\n", b"1\r\na\r\n" * 3000, b"-1\r\n\r\n", b"5\r\nabcdeXX0\r\n\r\n",
    b"0\r\nHost: x\r\n\r\n", b"0\r\n" + b"T: x\r\n" * 500 + b"\r\n",
)  # fmt: skip


def request(rng: Random) -> bytes:
    """One of them."""
    return rng.choice(_SHAPES)(rng)


def rubbish(rng: Random) -> bytes:
    """What scanners send: most of it is no HTTP/1.1 at all."""
    return rng.choice((_garbage, _preface, _method, _version, _large_head, _field_with_nul))(rng)


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _head(line: str, *fields: str) -> bytes:
    return _octets("".join(f"{it}\r\n" for it in (line, *fields)) + "\r\n")


def _plain(rng: Random) -> bytes:
    return _head(f"{rng.choice(METHODS)} {rng.choice(PATHS)} HTTP/1.1", "Host: localhost")


def _garbage(rng: Random) -> bytes:
    return rng.randbytes(rng.randint(1, 2000)) + b"\r\n\r\n"


def _preface(rng: Random) -> bytes:
    return rng.choice(PREFACES) + b"\r\n\r\n"


def _path(rng: Random) -> bytes:
    return _head(f"{rng.choice(('GET', 'HEAD', 'CONNECT'))} {rng.choice(ODD_PATHS)} HTTP/1.1", "Host: localhost")


def _method(rng: Random) -> bytes:
    return _head(f"{rng.choice(ODD_METHODS)} {rng.choice(PATHS)} HTTP/1.1", "Host: localhost")


def _version(rng: Random) -> bytes:
    return _head(f"GET {rng.choice(PATHS)} {rng.choice(VERSIONS)}", "Host: localhost")


def _field(rng: Random) -> bytes:
    return _head(f"GET {rng.choice(PATHS)} HTTP/1.1", *rng.choices(ODD_FIELDS, k=rng.randint(1, 3)))


def _field_with_nul(rng: Random) -> bytes:
    return _head("GET / HTTP/1.1", "Host: localhost", f"X: {rng.randint(0, 9)}\x00")


def _large_head(rng: Random) -> bytes:
    size = rng.choice((9_000, 20_000, 100_000))
    line = "GET / HTTP/1.1"
    return rng.choice(
        (
            lambda: _head(f"GET /{'a' * size} HTTP/1.1"),
            lambda: _head(line, "Host: a", f"X: {'a' * size}"),
            lambda: _head(line, "Host: a", f"{'X' * size}: a"),
            lambda: _head(line, "Host: a", *(f"X-{n}: {'a' * 1000}" for n in range(max(20, size // 1000)))),
            lambda: _head(line, "Host: a", *(f"X-{n}: a" for n in range(500))),
            lambda: _octets(f"{line}\r\nHost: a\r\n" + "".join(f"X-{n}: {'a' * 500}\r\n" for n in range(60))),
        )
    )()


def _body(rng: Random) -> bytes:
    method, path = rng.choice(("POST", "PUT", "GET", "DELETE")), rng.choice(PATHS)
    line = f"{method} {path} HTTP/1.1"
    size = rng.choice((0, 10, 70_000, 300_000))
    return rng.choice(
        (
            lambda: _head(line, "Host: a", "Transfer-Encoding: chunked") + rng.choice(BODIES),
            lambda: _head(line, "Host: a", f"Content-Length: {size}") + b"a" * size,
            lambda: _head(line, "Host: a", f"Content-Length: {size + 5}") + b"a" * size,
            lambda: _head(line, "Host: a", "Content-Length: 20", "Content-Encoding: gzip") + gzip.compress(b"")[:20],
            lambda: _head(line, "Host: a", "Content-Length: 20", "Content-Encoding: gzip") + b"x" * 20,
        )
    )()


def _pipelined(rng: Random) -> bytes:
    return b"".join(_plain(rng) for _ in range(rng.randint(2, 40)))


def _behind_another(rng: Random) -> bytes:
    return _head("GET /-/healthy HTTP/1.1", "Host: a") + rng.choice((_garbage, _preface, _field, _large_head))(rng)


def _cut(rng: Random) -> bytes:
    octets = _plain(rng)
    return octets[: rng.randrange(len(octets))]


_SHAPES: tuple[Callable[[Random], bytes], ...] = (
    _plain, _garbage, _preface, _path, _path, _method, _version, _field, _field, _field_with_nul, _large_head, _body,
    _pipelined, _behind_another, _cut,
)  # fmt: skip
