"""Reads the file of --web.config.file: TLS, passwords and headers of our own HTTP server.

The problem: this file guards the door. It is changed while the server runs, and the certificate beside it is renewed
by others. A file that is half written must not open the door, and must not close it either.

The idea: the schema is that of Prometheus' exporter-toolkit (its docs/web-configuration.md), so one file serves every
exporter. It is read strictly, like the other configuration: each fault is reported with file, line and path.

The rules:

- Relative paths are relative to the file.
- What was read is remembered by its status on disk, so `changed` costs a few system calls and no reading.
- Only regular files are read, and at most LARGEST bytes of each. A pipe would hold up everything.
"""

from __future__ import annotations

import os
import re
import ssl
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import Field

from exporter import strict_yaml
from exporter.config.fields import Parsed, Whole, kind, listed
from exporter.config.problems import ConfigProblem, Problems, Where, did_you_mean, quoted
from exporter.config.schema import Keys, Maybe
from exporter.config.validation import validate
from exporter.config.web_tls import (
    CIPHERS,
    CLIENT_AUTH,
    CURVES,
    UNVERIFIED,
    VERSIONS,
    TlsFault,
    TlsKeys,
    server_context,
)
from exporter.engine.catalogue import Catalogue
from exporter.strict_yaml import Node
from exporter.text import printable

T = TypeVar("T")

LARGEST = 256 * 1024  # bytes of one file
HIGHEST_COST = 14  # of a hash: a second or two of a core for each login, and a stop waits for one
LONGEST_INTERVAL = 3600.0  # seconds between two requests

# Go's list of what may be set, and the only values of those that have a closed set of them.
HEADERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Content-Security-Policy": (),
        "Strict-Transport-Security": (),
        "X-Content-Type-Options": ("nosniff",),
        "X-Frame-Options": ("deny", "sameorigin"),
        "X-XSS-Protection": (),
    }
)

# The last characters of the salt and of the digest hold fewer bits than the others: only these can come out.
_HASH = re.compile(r"\$2[abxy]\$([0-9]{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]", re.ASCII)
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ns|us|µs|μs|ms|s|m|h))+")
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|μs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def _one_of(noun: str, known: Mapping[str, T]) -> Callable[[str], T]:
    def parse(text: str) -> T:
        if text not in known:
            raise ValueError(f"{quoted(text)} is no {noun}; {did_you_mean(text, known)}")
        return known[text]

    return parse


def _name_of(noun: str, known: Mapping[str, object]) -> Callable[[str], str]:
    look = _one_of(noun, known)

    def parse(text: str) -> str:
        look(text)
        return text

    return parse


def _client_auth(text: str) -> str:
    if text in UNVERIFIED:
        raise ValueError(
            f"{quoted(text)} takes a certificate that nobody has verified, which cannot be done here; "
            "write RequireAndVerifyClientCert"
        )
    return _name_of("policy for client certificates", CLIENT_AUTH)(text)


def _hash(text: str) -> str:
    found = _HASH.fullmatch(text)
    if not found:
        raise ValueError("expected a bcrypt hash, 60 characters that begin with $2; `htpasswd -nBC 10 NAME` makes one")
    if not 4 <= int(found[1]) <= HIGHEST_COST:
        raise ValueError(f"has a cost of {found[1]}; write one from 04 to {HIGHEST_COST}, best 10 to 12")
    return text


def _user(text: str) -> str:
    if ":" in text or not text.isprintable():
        raise ValueError("is a name that nobody can log in with: a colon or a control character is in it")
    return text


def _san(text: str) -> str:
    """An address in its short form, anything else as it is."""
    try:
        return str(ip_address(text))
    except ValueError:
        return text


def _header(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        raise ValueError("expected printable ASCII characters, got others")
    return text.strip()


def _interval(text: str) -> float:
    """Go's time.ParseDuration, without a sign."""
    if text == "0":
        return 0.0
    if not _DURATION.fullmatch(text):
        raise ValueError(f"expected 0 or a duration such as 100ms, 1s or 1m30s, got {quoted(text)}")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    if seconds > LONGEST_INTERVAL:
        raise ValueError(f"expected a duration up to 1h, got {quoted(text)}")
    return seconds


_FilePath: TypeAlias = Annotated[str, Parsed("the path of a file", str)]
_Pem: TypeAlias = Annotated[str, Parsed("PEM text, in a block that begins with |", str, secret=True)]
_Version: TypeAlias = Annotated[ssl.TLSVersion, Parsed("a version such as TLS12", _one_of("TLS version", VERSIONS))]
_Hash: TypeAlias = Annotated[str, Parsed("a bcrypt hash", _hash, secret=True)]
_User: TypeAlias = Annotated[str, Parsed("the name of a user", _user)]


class TlsServerEntry(Keys):
    cert_file: _FilePath = Field("", description="the server's certificate and its chain, PEM")
    key_file: _FilePath = Field("", description="its private key, PEM")
    cert: _Pem = Field("", description="the certificate itself, in place of cert_file")
    key: _Pem = Field("", description="the key itself, in place of key_file")
    client_auth_type: Annotated[str, Parsed("a policy for client certificates", _client_auth)] = "NoClientCert"
    client_ca_file: _FilePath = Field("", description="who signs the certificates of clients, PEM")
    client_ca: _Pem = Field("", description="the same itself, in place of client_ca_file")
    client_allowed_sans: Maybe[
        Annotated[list[Annotated[str, Parsed("a name in certificates", _san)]], listed("names", empty=False)]
    ] = None
    min_version: _Version = ssl.TLSVersion.TLSv1_2
    max_version: _Version = ssl.TLSVersion.TLSv1_3
    cipher_suites: Annotated[
        list[Annotated[str, Parsed("a cipher suite", _name_of("cipher suite of Go's list", CIPHERS))]],
        listed("cipher suites"),
    ] = Field([], description="Go's names of suites up to TLS 1.2")
    prefer_server_cipher_suites: bool = True
    curve_preferences: Annotated[
        list[Annotated[str, Parsed("a curve", _name_of("curve that can be offered here", CURVES))]], listed("curves")
    ] = Field([], description="Go's names of curves, the best first")


class HttpServerEntry(Keys):
    http2: bool = True
    headers: dict[str, Annotated[str, Parsed("the value of the header as text", _header)]] = Field(
        {}, description="headers of every answer"
    )


class RateLimitEntry(Keys):
    interval: Annotated[float, Parsed("0 or a duration such as 100ms or 1s", _interval)] = 0.0
    burst: Annotated[int, Whole(0, 1_000_000)] = 0


class WebFileEntry(Keys):
    tls_server_config: TlsServerEntry = TlsServerEntry()
    http_server_config: HttpServerEntry = HttpServerEntry()
    basic_auth_users: Maybe[dict[_User, _Hash]] = None
    rate_limit: RateLimitEntry = RateLimitEntry()


@dataclass(frozen=True, slots=True)
class WebSettings:
    """What the file says. The settings of no file at all are these defaults."""

    tls: ssl.SSLContext | None = None
    allowed_sans: frozenset[str] = frozenset()  # of client certificates; none: any that is verified
    users: Mapping[str, str] = field(default_factory=dict, repr=False)  # bcrypt hash by name
    headers: Mapping[str, str] = field(default_factory=dict)  # an empty one is not sent
    interval: float = 0.0  # seconds between two requests, 0 is without limit
    burst: int = 0
    locks: frozenset[str] = frozenset()  # the keys that keep somebody out
    warnings: tuple[ConfigProblem, ...] = ()


class WebFile:
    """The file, and the files that it names."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: dict[Path, object] = {}

    def changed(self) -> bool:
        """Is one of the files another one than at the last `read`, whether that succeeded or not?"""
        return any(_status(path) != before for path, before in self._seen.items())

    def read(self) -> WebSettings:
        """Raise ConfigError with all problems."""
        self._seen = {}
        return _WebReading(self.path, self._content).settings()

    def _content(self, path: Path) -> bytes:
        """Raise ValueError that says why there is none."""
        self._seen[path] = _status(path)
        try:
            number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                now = os.fstat(number)
                if not stat.S_ISREG(now.st_mode):
                    raise ValueError("is no regular file")
                self._seen[path] = _stamp(now)
                content = os.read(number, LARGEST + 1)
            finally:
                os.close(number)
        except OSError as error:
            raise ValueError(f"cannot be read: {error.strerror}") from None
        if len(content) > LARGEST:
            raise ValueError(f"is larger than {LARGEST // 1024} KiB")
        return content


class _WebReading:
    def __init__(self, path: Path, content: Callable[[Path], bytes]) -> None:
        self._path = path
        self._content = content
        self._problems = Problems([str(path)])
        self._top = Where(str(path), Node(1, {}, broken=False), ())
        self._warnings: list[ConfigProblem] = []
        self._reported = 0

    def settings(self) -> WebSettings:
        entry = self._entry()
        headers = self._headers(entry.http_server_config.headers)
        rate = entry.rate_limit
        if rate.interval and not rate.burst:
            self._report(("rate_limit",), "has an interval and no burst, so every request would be refused; set burst")
        users = entry.basic_auth_users
        if users is not None and not users:
            self._report(("basic_auth_users",), "names nobody; leave it out if no password is wanted")
        tls = self._tls(entry.tls_server_config)
        if self._problems:
            raise self._problems.error()
        if entry.http_server_config.model_fields_set >= {"http2"} and entry.http_server_config.http2:
            self._warn(("http_server_config", "http2"), "is taken and has no effect: this exporter speaks HTTP/1.1")
        if users and tls is None:
            self._warn(("basic_auth_users",), "asks for passwords without TLS: anyone who sees the traffic sees them")
        sans = entry.tls_server_config.client_allowed_sans or ()
        locks = {
            "tls_server_config": tls,
            "client_auth_type": tls and tls.verify_mode is ssl.CERT_REQUIRED,
            "client_ca_file": entry.tls_server_config.client_ca_file or entry.tls_server_config.client_ca,
            "client_allowed_sans": sans,
            "basic_auth_users": users,
        }
        return WebSettings(
            tls=tls,
            allowed_sans=frozenset(sans),
            users=MappingProxyType(users or {}),
            headers=MappingProxyType(headers),
            interval=rate.interval,
            burst=rate.burst,
            locks=frozenset(key for key, closed in locks.items() if closed),
            warnings=tuple(self._warnings),
        )

    def _entry(self) -> WebFileEntry:
        """The keys as they are written. Raise ConfigError for a file that has not even these."""
        try:
            content = self._content(self._path)
        except ValueError as error:
            self._problems.add(ConfigProblem(str(self._path), 0, "", str(error)))
            raise self._problems.error() from None
        document = strict_yaml.parse(content)
        if document.root is not None:
            self._top = self._top._replace(root=document.root)
        for fault in document.faults:
            self._problems.add(self._top._replace(path=fault.path).problem(fault.message)._replace(line=fault.line))
        plain: Any = {} if document.root is None or document.root.value is None else document.root.plain()
        if not isinstance(plain, dict):
            self._problems.report(self._top, f"expected a mapping, got {kind(plain)}; write `key: value` lines")
        elif document.root is not None or not document.faults:
            entry, wrong = validate(WebFileEntry, plain, _NOBODY)
            if entry is not None and not self._problems:
                return entry
            for place, message in wrong or ():
                self._report(place, message)
        raise self._problems.error()

    def _headers(self, written: Mapping[str, str]) -> dict[str, str]:
        for name, value in written.items():
            at = ("http_server_config", "headers", name)
            if name not in HEADERS:
                self._report(at, f"is no header that can be set; {did_you_mean(name, HEADERS)}")
            elif value and HEADERS[name] and value not in HEADERS[name]:
                self._report(at, f"expected {' or '.join(HEADERS[name])}, got {quoted(value)}")
        return dict(written)

    def _tls(self, written: TlsServerEntry) -> ssl.SSLContext | None:
        """None: without TLS. That is so only if no key at all is written: a forgotten certificate is a fault."""
        if not written.model_fields_set:
            return None
        before = self._reported
        cert, cert_at = self._pem(written.cert, written.cert_file, "cert", needed=True)
        key, key_at = self._pem(written.key, written.key_file, "key", needed=True)
        client_ca, client_ca_at = self._pem(written.client_ca, written.client_ca_file, "client_ca")
        verify = CLIENT_AUTH[written.client_auth_type]
        if written.client_allowed_sans and verify is not ssl.CERT_REQUIRED:
            self._fault(
                "client_allowed_sans", "needs client_auth_type: RequireAndVerifyClientCert; others let anybody in"
            )
        if client_ca and written.client_auth_type == "NoClientCert":
            self._fault(client_ca_at, "has no effect without client_auth_type; write RequireAndVerifyClientCert there")
        if self._reported != before:
            return None
        if written.client_auth_type == "RequestClientCert":
            self._warn(("tls_server_config", "client_auth_type"), "refuses nobody; write RequireAndVerifyClientCert")
        if verify is not ssl.CERT_NONE and not client_ca:
            at = ("tls_server_config", "client_auth_type")
            self._warn(at, "trusts every authority of this machine; set client_ca_file to trust your own alone")
        try:
            return server_context(
                TlsKeys(
                    cert=cert,
                    key=key,
                    client_ca=client_ca,
                    cert_at=cert_at,
                    key_at=key_at,
                    client_ca_at=client_ca_at,
                    verify=verify,
                    oldest=written.min_version,
                    newest=written.max_version,
                    ciphers=tuple(written.cipher_suites),
                    ours_first=written.prefer_server_cipher_suites,
                    curves=tuple(written.curve_preferences),
                )
            )
        except TlsFault as fault:
            self._fault(fault.key, str(fault))
            return None

    def _pem(self, inline: str, file: str, key: str, *, needed: bool = False) -> tuple[bytes, str]:
        """The PEM that is written in the file or beside it, and the key under which."""
        in_file = f"{key}_file"
        if inline and file:
            self._fault(key, f"and {in_file} are both set; keep one")
        elif inline:
            return inline.encode(), key
        elif file:
            path = self._path.parent / file
            try:
                return self._content(path), in_file
            except ValueError as error:
                self._fault(in_file, f"names {printable(path)}, which {error}")
        elif needed:
            self._report(("tls_server_config",), f"wants {in_file} or {key}, and has neither")
        return b"", in_file

    def _fault(self, key: str, message: str) -> None:
        self._report(("tls_server_config", key), message)

    def _report(self, path: strict_yaml.Path, message: str) -> None:
        self._reported += 1
        self._problems.report(self._top._replace(path=path), message)

    def _warn(self, path: strict_yaml.Path, message: str) -> None:
        self._warnings.append(self._top._replace(path=path).problem(message))


_NOBODY = Catalogue(())  # no check has a key in this file


def _status(path: Path) -> object:
    try:
        return _stamp(path.stat())
    except (OSError, ValueError):
        return None


def _stamp(status: os.stat_result) -> object:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
