"""Refusals as people paste them, and the texts that are kept with their sources (tests/explain/texts)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from exporter import strict_yaml

TEXTS = Path(__file__).parents[1] / "explain" / "texts"

POSTFIX = (
    "Nov 23 19:20:25 mx1 postfix/smtp[5501]: 4XyZ: to=<anna@example.org>, relay=none, delay=0.5, dsn=5.5.4, "
    "status=bounced (host example-org.mail.protection.outlook.com[192.0.2.36] refused to talk to me: "
    "501 5.5.4 Invalid domain name [DB5EUR03FT033.eop-EUR03.prod.protection.outlook.com])"
)


HEAD = """From: MAILER-DAEMON@mail.example.com (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
Received: by mail.example.com (Postfix) id 4XyZ; Mon, 23 Nov 2026 19:20:25 +0000 (UTC)
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="=_1"

"""


class Known(NamedTuple):
    """A text with its right cause. `also` is another that is as right, `held`: its vendor was set aside."""

    text: str
    kind: str
    also: str
    family: str
    host: str
    held: bool

    def __str__(self) -> str:
        return " ".join(self.text.split())[:60]


def texts(name: str) -> Iterator[Known]:
    """Raise KeyError for a text whose source is not written."""
    root = strict_yaml.parse((TEXTS / f"{name}.yaml").read_bytes()).root
    content: Any = root.plain() if root else {}
    for it in content["texts"]:
        assert content["sources"][it["by"]].keys() == {"url", "date"}
        also, family, host = (it.get(key, "") for key in ("also", "family", "host"))
        yield Known(it["text"], it.get("kind", name), also, family, host, it.get("held", False))


def notification(text: str, *fields: str, original: str = "") -> bytes:
    """A delivery status notification of mail.example.com (RFC 3464): fields of one recipient each."""
    parts = [f"Content-Type: text/plain\n\n{text}\n"]
    status = "\n\n".join(("Reporting-MTA: dns; mail.example.com", *fields))
    parts.append(f"Content-Type: message/delivery-status\n\n{status}\n")
    parts += [f"Content-Type: message/rfc822\n\n{original}"] if original else []
    return (HEAD + "".join(f"--=_1\n{part}\n" for part in parts) + "--=_1--\n").encode()
