"""Certificates for tests of our own HTTP server: trustme makes them, and they are written as files."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path

import trustme


@dataclass
class Pki:
    """An authority, and the folder that its files are written to."""

    folder: Path
    ca: trustme.CA = field(default_factory=trustme.CA)

    def serve(self, *names: str, key_type: trustme.KeyType = trustme.KeyType.ECDSA) -> trustme.LeafCert:
        """Write server.crt and server.key for these names."""
        leaf = self.ca.issue_cert(*(names or ("127.0.0.1", "localhost")), key_type=key_type)
        (self.folder / "server.crt").write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(self.folder / "server.key")
        self.ca.cert_pem.write_to_path(self.folder / "ca.crt")
        return leaf

    def client(self, *names: str, ca: trustme.CA | None = None) -> ssl.SSLContext:
        """A client that trusts the authority. With names, it has a certificate for them."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.ca.configure_trust(context)
        if names:
            (ca or self.ca).issue_cert(*names).configure_cert(context)
        return context
