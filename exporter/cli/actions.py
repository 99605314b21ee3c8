"""`deliverability-exporter ack` and `recheck`: what people may do to an exporter that runs, over its HTTP server."""

from __future__ import annotations

import argparse
import base64
import http.client
import os
import ssl
from pathlib import Path
from urllib.parse import quote_plus, urlsplit

from exporter.cli.exit_codes import Exit
from exporter.cli.run import fail
from exporter.files import PATIENCE
from exporter.text import printable
from exporter.views.public import external_url

CREDENTIALS = "DELIVERABILITY_CREDENTIALS"  # in the environment
LONGEST = 64 * 1024  # octets of an answer, and of a file with credentials
LINE = 500  # characters of one line that is shown


def acknowledge(arguments: argparse.Namespace) -> int:
    form = {"target": arguments.target, "finding": arguments.finding}
    if arguments.withdraw:
        if arguments.until or arguments.reason:
            return fail("--withdraw takes neither --until nor --reason")
        return _act(arguments, "withdraw", form)
    if not arguments.until or not arguments.reason:
        return fail("--until and --reason are needed: until when this is accepted, and why")
    return _act(arguments, "acknowledge", form | {"until": arguments.until, "reason": arguments.reason})


def recheck(arguments: argparse.Namespace) -> int:
    form = {"target": arguments.target}
    return _act(arguments, "recheck", form | ({"check": arguments.check_id} if arguments.check_id else {}))


def _act(arguments: argparse.Namespace, action: str, form: dict[str, str]) -> int:
    try:
        url = external_url(arguments.url)
        headers = {"Accept": "text/plain", "Content-Type": "application/x-www-form-urlencoded"}
        if login := _credentials(arguments.credentials_file):
            headers["Authorization"] = "Basic " + base64.b64encode(login).decode()
        connection = _connection(url, arguments)
    except (OSError, ValueError) as error:
        return fail(error)
    body = "&".join(f"{name}={quote_plus(value, errors='surrogateescape')}" for name, value in form.items())
    try:
        connection.request("POST", f"{urlsplit(url).path}/-/{action}", body, headers)
        answer = connection.getresponse()
        text = answer.read(LONGEST).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        return fail(f"{url} cannot be asked: {printable(error) or type(error).__name__}", Exit.WARNING)
    finally:
        connection.close()
    lines = "\n".join(printable(line, LINE) for line in text.splitlines())
    if answer.status != http.HTTPStatus.OK:
        return fail(f"{url} refuses ({answer.status}): {lines or answer.reason}", Exit.WARNING)
    print(lines)
    return Exit.OK


def _credentials(file: Path | None) -> bytes:
    """`NAME:PASSWORD` from the file or the environment; empty if there is none. Raise OSError or ValueError."""
    where = str(file) if file else f"the variable {CREDENTIALS}"
    if file:
        with file.open("rb") as opened:
            given = opened.read(LONGEST).rstrip(b"\r\n")
    else:
        given = os.environb.get(CREDENTIALS.encode(), b"")
    if (file or given) and (b":" not in given or b"\n" in given):
        raise ValueError(f"{where} holds one line NAME:PASSWORD")
    return given


def _connection(url: str, arguments: argparse.Namespace) -> http.client.HTTPConnection:
    """Raise OSError or ValueError that says what is wrong with the files for TLS."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "http":
        if arguments.ca_file or arguments.cert_file:
            raise ValueError("--ca-file and --cert-file are for a URL that begins with https://")
        return http.client.HTTPConnection(host, parts.port, timeout=PATIENCE)
    try:
        context = ssl.create_default_context(cafile=arguments.ca_file)
        if arguments.cert_file:
            context.load_cert_chain(arguments.cert_file, arguments.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"the files for TLS cannot be used: {printable(error)}") from None
    return http.client.HTTPSConnection(host, parts.port, timeout=PATIENCE, context=context)
