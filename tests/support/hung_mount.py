"""A file system that never answers, as a network mount whose server has gone: FUSE without anybody behind it."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

DETACH = 2  # MNT_DETACH


@contextmanager
def hung_mount(at: Path) -> Iterator[None]:
    """Whatever waits for a file below it waits until this ends. Skips the test where nothing may be mounted."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        descriptor = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        pytest.skip(f"no FUSE here: {error.strerror}")
    try:
        options = f"fd={descriptor},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
        if libc.mount(b"gone", os.fsencode(at), b"fuse", 0, options.encode()):
            pytest.skip(f"nothing may be mounted here: {os.strerror(ctypes.get_errno())}")
        try:
            yield
        finally:
            libc.umount2(os.fsencode(at), DETACH)
    finally:
        os.close(descriptor)  # whoever waits gets an error now
