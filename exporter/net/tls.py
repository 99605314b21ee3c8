"""The certificate authorities that this machine trusts."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def system_authorities() -> Iterator[bytes]:
    """The root certificates of this machine, where OpenSSL has them (SSL_CERT_FILE, SSL_CERT_DIR): texts in PEM."""
    places = ssl.get_default_verify_paths()
    files = [Path(places.cafile)] if places.cafile else []
    if places.capath:
        files += sorted(Path(places.capath).glob("[0-9a-f]*.[0-9]"))  # OpenSSL finds them by a hash for a name
    for file in files:
        with suppress(OSError):
            yield file.read_bytes()
