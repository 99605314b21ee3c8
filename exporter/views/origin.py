"""Does a page of somebody else send this request, by the browser of a person who can reach the exporter?"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit


def is_foreign(origin: str | None, site: str | None, host: str, ours: str = "") -> bool:
    """Whether the headers Origin, Sec-Fetch-Site and Host tell so. Programs such as curl send neither of the first two.

    Browsers send Origin with every POST (Fetch standard, section 3.2). Somebody can let a name of theirs lead to the
    exporter's address (DNS rebinding). Their page then has the same origin as the exporter by that name. So an origin
    is the same only if it is an address or localhost, which cannot be rebound, or `ours`, that of the external URL. A
    proxy in front may write another Host, so `ours` is not compared with it.
    """
    if site is not None and site not in ("same-origin", "none"):
        return True
    if origin is None or (ours and origin == ours):
        return False
    try:
        parts = urlsplit(origin)
        name = parts.hostname or ""
        if name != "localhost":
            ip_address(name)
    except ValueError:
        return True
    return parts.scheme not in ("http", "https") or parts.netloc.lower() != host.lower()
