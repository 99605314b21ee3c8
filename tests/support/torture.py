"""How long a test attacks us: a short slice in `make test`, its full size in `make torture`.

A test of this kind is marked `torture`. It takes its size from `size` and its seed from `seed`, and it tells what it
measured with pytest's `record_property`; `make torture` prints these figures as the table of docs/reliability.md.
"""

from __future__ import annotations

import os

FULL = bool(os.environ.get("TORTURE"))


def size(short: int, full: int) -> int:
    """How many of something: `short` in `make test`, `full` in `make torture`."""
    return full if FULL else short


def seed() -> int:
    """The seed of all that is random here. TORTURE_SEED sets another one."""
    return int(os.environ.get("TORTURE_SEED", "10554"))
