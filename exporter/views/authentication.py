"""Checks passwords against their bcrypt hashes, without holding up anything else.

The problem: one check takes 50 to 500 ms of a core on purpose. Whoever can make the server do it without bound has
stopped it. And the time that an answer takes must not tell which names exist.

The idea: checks run one after another in one thread. Results are kept, so that a scraper pays once. Few checks may
wait at once, and fewer of one address; the others are told to come again.

The rules:

- A name that does not exist is checked too, against a hash that has the cost of one of the real ones.
- A result is kept under the name, the hash and a keyed digest of the password, as three values. None can be made to
  look like a part of another (CVE-2022-46146 was such a key). No password is kept.
- Right passwords are kept apart from wrong ones, so that wrong ones cannot drive them out.
- A password of more than 72 bytes is never right: bcrypt reads no further, and would take any other end of it too.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
from collections import Counter, OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from enum import Enum, auto
from typing import NamedTuple, TypeAlias

import bcrypt

LONGEST_PASSWORD = 72  # bytes
MOST_WAITING = 16  # checks at once, the running one with them
MOST_OF_ONE = 8  # of one address
MOST_KEPT = 1000  # right passwords
MOST_WRONG_KEPT = 100

_Key: TypeAlias = tuple[bytes, str, bytes]  # name, hash, digest of the password


class Login(Enum):
    GOOD = auto()
    WRONG = auto()
    LATER = auto()  # too many checks of this address wait
    BUSY = auto()  # too many checks wait


class Credentials(NamedTuple):
    """The name and the password of a request, as octets."""

    name: bytes
    password: bytes


def credentials(header: str) -> Credentials | None:
    """Those of an Authorization header (RFC 7617); None if it has none."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        octets = base64.b64decode(rest.strip(" "), validate=True)
    except (binascii.Error, ValueError):
        return None
    name, colon, password = octets.partition(b":")
    return Credentials(name, password) if colon else None


class Passwords:
    """What has been checked, and what is being checked. `checks` counts the runs of bcrypt."""

    def __init__(self) -> None:
        self.checks = 0
        self._secret = secrets.token_bytes(32)
        salt = bcrypt.gensalt(4).decode()[7:]
        self._decoys = {f"{cost:02}": f"$2b${cost:02}${salt}{'.' * 31}" for cost in range(4, 32)}
        self._good: OrderedDict[_Key, None] = OrderedDict()
        self._wrong: OrderedDict[_Key, None] = OrderedDict()
        self._running: dict[_Key, asyncio.Future[bool]] = {}
        self._of: Counter[str] = Counter()  # running checks by address
        self._thread = ThreadPoolExecutor(1, "passwords")

    def close(self) -> None:
        """Forget the checks that wait. The one that runs ends by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def check(self, users: Mapping[str, str], given: Credentials, address: str) -> Login:
        """`users` has the bcrypt hash of each name."""
        name, password = given
        if len(password) > LONGEST_PASSWORD or any(octet < 32 or octet == 127 for octet in name + password):
            return Login.WRONG
        known, decoy = users.get(name.decode("utf-8", "surrogateescape")), self._decoy(users, name)
        hashed = known or decoy  # both are made for every name, since that takes time, too
        key = name, hashed, hmac.digest(self._secret, password, hashlib.sha256)
        if key in self._good:
            self._good.move_to_end(key)
            return Login.GOOD
        if key in self._wrong:
            self._wrong.move_to_end(key)
            return Login.WRONG
        if key not in self._running:
            if self._of[address] >= MOST_OF_ONE:
                return Login.LATER
            if len(self._running) >= MOST_WAITING:
                return Login.BUSY
            self._begin(key, password, address)
        right = await asyncio.shield(self._running[key]) and known is not None
        return Login.GOOD if right else Login.WRONG

    def _begin(self, key: _Key, password: bytes, address: str) -> None:
        loop = asyncio.get_running_loop()
        _, hashed, _ = key
        check = self._running[key] = loop.run_in_executor(self._thread, bcrypt.checkpw, password, hashed.encode())
        self.checks += 1
        self._of[address] += 1

        def done(check: asyncio.Future[bool]) -> None:
            del self._running[key]
            self._of[address] -= 1
            self._of += Counter()  # drops those at zero
            if not check.cancelled() and check.exception() is None:
                kept, most = (self._good, MOST_KEPT) if check.result() else (self._wrong, MOST_WRONG_KEPT)
                kept[key] = None
                if len(kept) > most:
                    kept.popitem(last=False)

        check.add_done_callback(done)

    def _decoy(self, users: Mapping[str, str], name: bytes) -> str:
        """A hash that no password has. A name always gets the same, and all get the costs that real names have."""
        costs = sorted(hashed[4:6] for hashed in users.values())
        chosen = int.from_bytes(hmac.digest(self._secret, name, hashlib.sha256)) % len(costs)
        return self._decoys[costs[chosen]]
