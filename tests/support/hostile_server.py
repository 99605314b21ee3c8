"""Runs servers of many kinds in a process of their own, a thread for each client.

That process prints a line of JSON: the authority to trust, and the port of each kind. It ends with its standard input.
"""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

Peer = Callable[[socket.socket], None]
LONGEST = 30.0  # seconds that a client may stay


def stay(authority: bytes, kinds: Mapping[str, tuple[Peer, ssl.SSLContext | None]]) -> None:
    """Serve all kinds, from the first octet under TLS where there is a context."""
    ports: dict[str, int] = {}
    for kind, (peer, context) in kinds.items():
        listening = socket.create_server(("127.0.0.1", 0), backlog=1000)
        ports[kind] = listening.getsockname()[1]
        threading.Thread(target=serve, args=(listening, peer, context), daemon=True).start()
    sys.stdout.write(json.dumps({"pem": authority.decode(), "ports": ports}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()


def serve(listening: socket.socket, peer: Peer, context: ssl.SSLContext | None) -> None:
    while True:
        client, _ = listening.accept()
        threading.Thread(target=talk, args=(client, peer, context), daemon=True).start()


def talk(client: socket.socket, peer: Peer, context: ssl.SSLContext | None) -> None:
    client.settimeout(LONGEST)
    try:
        if context:
            client = context.wrap_socket(client, server_side=True)
        peer(client)
        if isinstance(client, ssl.SSLSocket):
            client = client.unwrap()
    except OSError:
        pass
    finally:
        client.close()


@contextmanager
def started(module: str) -> Iterator[tuple[bytes, dict[str, int]]]:
    """Run a module that calls `stay`. The authority, and the port of each kind."""
    command, pipe, nowhere = [sys.executable, "-m", module], subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere) as child:
        try:
            assert child.stdout
            told = json.loads(child.stdout.readline())
            yield told["pem"].encode(), told["ports"]
        finally:
            child.kill()
