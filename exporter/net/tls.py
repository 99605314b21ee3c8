"""The certificate authorities that this machine trusts."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

from exporter.files import Files
from exporter.net.shortage import shortage

LARGEST = 16 * 1024 * 1024  # bytes of one file


def system_authorities() -> Iterator[bytes]:
    """The root certificates of this machine, where OpenSSL has them (SSL_CERT_FILE, SSL_CERT_DIR): texts in PEM.

    A file that cannot be read is left out. Raise OSError if no file can be opened now: good chains would look bad.
    """
    places = ssl.get_default_verify_paths()
    paths = [Path(places.cafile)] if places.cafile else []
    if places.capath:
        paths += sorted(Path(places.capath).glob("[0-9a-f]*.[0-9]"))  # OpenSSL finds them by a hash for a name
    files = Files()
    for path in paths:
        try:
            yield files.read(path, LARGEST)
        except OSError as error:
            if shortage(error):
                raise
