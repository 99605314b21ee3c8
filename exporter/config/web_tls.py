"""Makes the TLS side of our own HTTP server from the keys of `tls_server_config`.

The problem: the file speaks the language of Go (names of cipher suites, curves and ways to ask for certificates), and
TLS here is OpenSSL's. What OpenSSL cannot do as it is written must be refused, and never be left out in silence.

The idea: each Go name is translated or refused. Then the server shakes hands with a client in memory, with the oldest
and with the newest version that is allowed. Only what works there is put in force.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

VERSIONS: Mapping[str, ssl.TLSVersion] = MappingProxyType(
    {
        "TLS10": ssl.TLSVersion.TLSv1,
        "TLS11": ssl.TLSVersion.TLSv1_1,
        "TLS12": ssl.TLSVersion.TLSv1_2,
        "TLS13": ssl.TLSVersion.TLSv1_3,
    }
)
_NAMES = {version: name for name, version in VERSIONS.items()}

# Go's crypto/tls.CipherSuites(), with the four of RSA key exchange that it had until Go 1.22; OpenSSL's name of each.
CIPHERS: Mapping[str, str] = MappingProxyType(
    {
        "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
        "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
        "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
        "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
        "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
        "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
        "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
        # Those of TLS 1.3 are all in use, in Go as here; neither lets them be chosen.
        "TLS_AES_128_GCM_SHA256": "",
        "TLS_AES_256_GCM_SHA384": "",
        "TLS_CHACHA20_POLY1305_SHA256": "",
    }
)

CURVES: Mapping[str, str] = MappingProxyType(
    {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
)

CLIENT_AUTH: Mapping[str, ssl.VerifyMode] = MappingProxyType(
    {
        "NoClientCert": ssl.CERT_NONE,
        "RequestClientCert": ssl.CERT_NONE,  # in Go it is asked for and not looked at: nobody is refused, as here
        "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
        "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
    }
)
UNVERIFIED = ("RequireAnyClientCert", "RequireClientCert")  # Go's, and the name that it had in the toolkit before


class TlsFault(ValueError):  # noqa: N818 (a fault of the file, as its other readers call it)
    """A key of `tls_server_config` that cannot be done as it is written."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True, slots=True)
class TlsKeys:
    """What `tls_server_config` says. The certificates and the key are PEM; `*_at` is the key of the file with each."""

    cert: bytes
    key: bytes = field(repr=False)
    client_ca: bytes = b""
    cert_at: str = "cert_file"
    key_at: str = "key_file"
    client_ca_at: str = "client_ca_file"
    verify: ssl.VerifyMode = ssl.CERT_NONE
    oldest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    ciphers: tuple[str, ...] = ()  # Go's names; none: OpenSSL's choice
    ours_first: bool = True  # of two suites that both can do, the server's order decides
    curves: tuple[str, ...] = ()  # Go's names; none: OpenSSL's choice


def server_context(keys: TlsKeys) -> ssl.SSLContext:
    """A context for connections that come in. Raise TlsFault for what cannot be done here."""
    if keys.oldest > keys.newest:
        raise TlsFault("min_version", f"is above max_version, {_NAMES[keys.newest]}; no client could connect")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if not keys.ours_first:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    oldest = _ciphers(context, keys)
    _curves(context, keys)
    _identity(context, keys)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # whoever writes TLS10 has been told enough
        context.minimum_version, context.maximum_version = oldest, keys.newest
        for version, key in ((oldest, "min_version"), (keys.newest, "max_version")):
            if problem := _refuses(context, version):
                at = "cipher_suites" if keys.ciphers and version is ssl.TLSVersion.TLSv1_2 else key
                what = f"{ssl.OPENSSL_VERSION} makes no connection with {_NAMES[version]} and this certificate"
                raise TlsFault(at, f"{what}: {problem}")
    _clients(context, keys)
    return context


def _ciphers(context: ssl.SSLContext, keys: TlsKeys) -> ssl.TLSVersion:
    """Choose the suites. Return the oldest version that can then be spoken."""
    names = [CIPHERS[name] for name in keys.ciphers if CIPHERS[name]]
    old = keys.oldest < ssl.TLSVersion.TLSv1_2
    if keys.ciphers and not names:
        if keys.newest < ssl.TLSVersion.TLSv1_3:
            raise TlsFault("cipher_suites", "has only suites of TLS 1.3, and max_version is below it")
        return ssl.TLSVersion.TLSv1_3
    if names or old:  # OpenSSL 3 speaks the old versions at its lowest level of security only
        context.set_ciphers(":".join(names or ["DEFAULT"]) + (":@SECLEVEL=0" if old else ""))
    missing = set(names) - {cipher["name"] for cipher in context.get_ciphers()}
    if missing:
        lost = ", ".join(name for name in keys.ciphers if CIPHERS[name] in missing)
        raise TlsFault("cipher_suites", f"names what {ssl.OPENSSL_VERSION} cannot do: {lost}; leave it out")
    return keys.oldest


def _curves(context: ssl.SSLContext, keys: TlsKeys) -> None:
    names = [CURVES[name] for name in keys.curves]
    if not names:
        return
    if hasattr(context, "set_groups"):  # Python 3.15
        context.set_groups(":".join(names))
    elif len(names) == 1:
        context.set_ecdh_curve(names[0])
    else:
        raise TlsFault(
            "curve_preferences",
            f"names {len(names)} curves, and this Python can offer one. Keep one, such as CurveP256, "
            "or remove the key: then OpenSSL offers its default curves",
        )


def _identity(context: ssl.SSLContext, keys: TlsKeys) -> None:
    if b"-----BEGIN CERTIFICATE-----" not in keys.cert:
        raise TlsFault(keys.cert_at, "holds no certificate in PEM, -----BEGIN CERTIFICATE-----")
    if b"PRIVATE KEY-----" not in keys.key:
        raise TlsFault(keys.key_at, "holds no private key in PEM, -----BEGIN PRIVATE KEY-----")
    if b"ENCRYPTED" in keys.key:
        raise TlsFault(keys.key_at, "is encrypted, and nobody is there to type its passphrase; write it without one")
    try:
        with _as_file(keys.cert) as cert, _as_file(keys.key) as key:
            context.load_cert_chain(cert, key, password=lambda: b"")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsFault(keys.key_at, f"is not the key of the first certificate in {keys.cert_at}") from None
        told = (error.reason or "one of the two is damaged").replace("_", " ").lower()
        raise TlsFault(keys.cert_at, f"and {keys.key_at} cannot be used: {told}") from None


def _clients(context: ssl.SSLContext, keys: TlsKeys) -> None:
    if keys.client_ca:
        try:
            context.load_verify_locations(cadata=keys.client_ca.decode("ascii", "replace"))
        except (ssl.SSLError, ValueError):
            context.verify_mode = ssl.CERT_NONE
        if not context.cert_store_stats()["x509"]:
            raise TlsFault(keys.client_ca_at, "holds no certificate in PEM that can be read")
    elif keys.verify is not ssl.CERT_NONE:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)  # as Go does
    context.verify_mode = keys.verify


def _refuses(server: ssl.SSLContext, version: ssl.TLSVersion) -> str:
    """Shake hands in memory. The text says why that failed; it is empty if it did not."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.set_ciphers("ALL:@SECLEVEL=0")
    client.minimum_version = client.maximum_version = version
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = client.wrap_bio(back, there), server.wrap_bio(there, back, server_side=True)
    try:
        for end in ends * 3:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    except ssl.SSLError as error:
        return (error.reason or "it fails").replace("_", " ").lower()
    return ""


@contextlib.contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """The content under a path, because Python's TLS loads it from nowhere else. On Linux it is in memory alone."""
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        number = os.memfd_create("pem")
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            yield f"/proc/self/fd/{number}"
        return
    with tempfile.NamedTemporaryFile() as file:  # mode 0600
        file.write(content)
        file.flush()
        yield file.name
