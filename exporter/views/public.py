"""Where people reach the pages: the external URL, and the prefix of the paths that the server answers.

Both are as in Prometheus. Links begin with the path of the external URL. The server answers below the route prefix,
which is the same path unless a proxy takes it off.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from urllib.parse import urlsplit

LONGEST = 500  # characters of a URL or a path
LOCAL = (
    "The exporter listens on loopback only, and --web.external-url is not set: links of alerts work on this machine "
    "alone. Set it to the URL at which people open these pages."
)

_PORTS = {"http": 80, "https": 443}
_PART = re.compile(r"[A-Za-z0-9._~-]+", re.ASCII)
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9._-]*[a-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class PublicAddress:
    """`links` and `routes` are paths such as `/mail`, or empty; they have no slash at the end."""

    origin: str = ""  # `https://monitoring.example.com`; empty: nobody has told it
    links: str = ""  # links of pages begin with it
    routes: str = ""  # so do the paths that the server answers
    for_itself: bool = False  # who reads the pages sits at this machine

    @classmethod
    def of(cls, url: str | None, prefix: str | None = None, *, for_itself: bool = False) -> PublicAddress:
        """From what `external_url` and `route_prefix` return. Without a URL, links begin with the prefix."""
        if not url:
            return cls("", prefix or "", prefix or "", for_itself)
        parts = urlsplit(url)
        links = parts.path
        return cls(f"{parts.scheme}://{parts.netloc}", links, links if prefix is None else prefix, for_itself)

    @property
    def url(self) -> str:
        """The overview, without a slash at the end; empty if nobody has told it."""
        return f"{self.origin}{self.links}" if self.origin else ""


def external_url(text: str) -> str:
    """The URL as browsers write it, without a slash at the end. Raise ValueError that says what is expected."""
    wanted = "http://HOST[:PORT][/PATH] or https://..., such as https://monitoring.example.com/mail"
    if not text.isascii() or not text.isprintable() or len(text) > LONGEST:
        raise ValueError(f"wants {wanted}, in ASCII and of at most {LONGEST} characters")
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname or ""
        if ":" in host:
            host = f"[{IPv6Address(host)}]"
    except ValueError:
        raise ValueError(f"{text!r} is no URL; expected {wanted}") from None
    if parts.scheme not in _PORTS or port == 0 or not (host.startswith("[") or _HOST.fullmatch(host)):
        raise ValueError(f"{text!r} is not {wanted}")
    if "@" in parts.netloc or "?" in text or "#" in text:
        raise ValueError(f"{text!r} has a user, a query or a fragment; expected {wanted}")
    ours = "" if port in (None, _PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{host}{ours}{route_prefix(parts.path)}"


def route_prefix(text: str) -> str:
    """`/mail` for `mail`, `/mail` and `/mail/`; empty for `/`. Raise ValueError that says what is expected."""
    trimmed = text.strip("/")
    parts = trimmed.split("/") if trimmed else []
    if len(text) > LONGEST or not all(_PART.fullmatch(part) and part.strip(".") for part in parts):
        raise ValueError(f"the path {text[:100]!r} wants letters, digits and . _ ~ - between slashes, such as /mail")
    return "".join(f"/{part}" for part in parts)
