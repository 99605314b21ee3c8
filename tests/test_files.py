"""Files that never end, or are none: whoever reads them comes back, and says which file it was."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.files import MOST_HANGING, Files, HangsError, Reader

MOST = 1000


def pipe(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10 << 30)


NO_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (pipe, "it is a pipe, and a regular file is wanted"),
    "socket": (unix_socket, "it is a socket, and a regular file is wanted"),
    "zeros": (lambda path: path.symlink_to("/dev/zero"), "it is a device, and a regular file is wanted"),
    "terminal": (lambda path: path.symlink_to("/dev/ptmx"), "it is a device, and a regular file is wanted"),
    "folder": (Path.mkdir, os.strerror(errno.EISDIR)),
    "loop": (lambda path: path.symlink_to(path), os.strerror(errno.ELOOP)),
    "nothing": (lambda _path: None, os.strerror(errno.ENOENT)),
}


@pytest.mark.parametrize("kind", NO_FILES)
def test_only_a_regular_file_is_read(tmp_path: Path, kind: str) -> None:
    make, told = NO_FILES[kind]
    make(tmp_path / "it")
    with pytest.raises(OSError) as caught:
        Files().read(tmp_path / "it", MOST)
    assert caught.value.strerror == told


def test_no_more_is_read_than_wanted(tmp_path: Path) -> None:
    sparse(tmp_path / "large")
    assert Files().read(tmp_path / "large", MOST) == bytes(MOST)
    (tmp_path / "link").symlink_to("/proc/self/status")  # it says that it is empty
    assert Files().read(tmp_path / "link", MOST).startswith(b"Name:")
    (tmp_path / "small").write_bytes(b"12")
    assert Files().read(tmp_path / "small", 2) == b"12"


def test_a_file_that_grows_ends_and_is_not_taken_half_written(tmp_path: Path) -> None:
    path, ended, told = tmp_path / "log", threading.Event(), set()

    def write() -> None:
        with path.open("ab", buffering=0) as file:
            while not ended.is_set():
                file.write(b"x" * 4096)
                if file.tell() > 32 << 20:
                    file.truncate(0)

    path.touch()
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(10_000):
            try:
                assert len(Files().read(path, 4 << 20)) <= 4 << 20
            except OSError as error:
                told.add(error.strerror)
                break
    finally:
        ended.set()
        writer.join()
    assert told == {"it was changed while it was read; read it again when it is written"}


async def idle(reader: Reader) -> None:
    async with asyncio.timeout(5):
        while reader.busy:
            await asyncio.sleep(0)


async def test_a_file_that_hangs_is_named_and_holds_up_nobody(caplog: pytest.LogCaptureFixture) -> None:
    reader, mended = Reader(patience=0.1), threading.Event()

    def hang(files: Files) -> object:
        files.waiting_for("/mnt/gone/targets.yaml", mended.wait)
        return files.read("/dev/null", MOST)  # nobody wants it any more

    for _ in range(MOST_HANGING - 1):
        with pytest.raises(HangsError) as caught:
            await reader.read(hang, thorough=True)
        assert str(caught.value).startswith("/mnt/gone/targets.yaml: cannot be read within 0.1 s")
    assert await reader.read(lambda _files: "another file") == "another file"
    with pytest.raises(HangsError):
        await reader.read(hang)
    with pytest.raises(HangsError, match="8 earlier attempts to read it hang"):
        await reader.read(hang)
    mended.set()
    await idle(reader)
    gc.collect()
    assert not caplog.records, "what comes too late is no error of anybody's"
    assert await reader.read(lambda _files: "mended") == "mended"


async def test_only_who_is_thorough_waits_for_what_is_no_file() -> None:
    reader, enough = Reader(patience=0.1), threading.Event()
    with pytest.raises(HangsError, match="not understood within"):
        await reader.read(lambda _files: enough.wait())
    patient = asyncio.create_task(reader.read(lambda _files: enough.wait(), thorough=True))
    with pytest.raises(HangsError):  # as long again
        await reader.read(lambda _files: enough.wait())
    assert not patient.done()
    enough.set()
    assert await patient


def test_a_command_comes_back_too() -> None:
    mended = threading.Event()
    with pytest.raises(HangsError, match=r"^/mnt/gone: cannot be read within 0\.05 s"):
        Reader(patience=0.05).read_here(lambda files: files.waiting_for("/mnt/gone", mended.wait))
    mended.set()
    assert Reader().read_here(lambda _files: 1) == 1
    with pytest.raises(ZeroDivisionError):
        Reader().read_here(lambda _files: 1 // 0)
