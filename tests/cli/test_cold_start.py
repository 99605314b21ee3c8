"""What a command loads before it does its work: what it never uses must not cost people's time."""

from __future__ import annotations

import asyncio
import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
SERVES = {"aiohttp", "apscheduler", "jinja2", "prometheus_client", "exporter.app"}
READS = {"cryptography", "email_validator", "pydantic", "rich"}
TESTS_DNS = {"dns", "exporter.net", "yaml"}
_LATE = re.compile(r'\bLate\("([\w.]+)"\)')
_LOADED = re.compile(rb"^import time:[^|]*\|[^|]*\| *([\w.]+)$", re.MULTILINE)


async def started(*words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "importtime", "-m", "exporter", *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=HOME,
    )


def modules(told: bytes) -> set[str]:
    """All that was loaded, but for what `import_module` names: of that, only what it loads in turn."""
    found = {name.decode() for name in _LOADED.findall(told)}
    assert "argparse" in found, "otherwise nothing was seen"
    return found | {name.rpartition(".")[0] for name in found} | {name.partition(".")[0] for name in found}


class Listener(asyncio.DatagramProtocol):
    """Answers nothing: whoever asked then waits, and loads nothing."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.asked.set()


@pytest.mark.long
async def test_the_first_question_waits_for_nothing_that_it_does_not_need() -> None:
    loop = asyncio.get_running_loop()
    transport, listener = await loop.create_datagram_endpoint(Listener, ("127.0.0.1", 0))
    host, port = transport.get_extra_info("sockname")
    process = await started("check", "example.com", "--resolver", f"{host}:{port}")
    try:
        await listener.asked.wait()
    finally:
        process.kill()
        _, told = await process.communicate()
        transport.close()
    assert modules(told) & (SERVES | READS) == set()


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "needless"),
    [
        (("--version",), SERVES | READS | TESTS_DNS | {"asyncio"}),
        (("explain", "501 5.5.4 Invalid domain name"), SERVES | READS),
        (("--config.file", "config.example.yaml", "--config.check"), SERVES | READS - {"pydantic"}),
        (("ack", "example.com", "spf.missing", "--url", "http://127.0.0.1:1"), SERVES | READS | TESTS_DNS),
    ],
    ids=lambda it: it[0] if isinstance(it, tuple) else "",
)
async def test_a_command_does_not_load_what_others_need(words: tuple[str, ...], needless: set[str]) -> None:
    process = await started(*words)
    _, told = await process.communicate()
    assert modules(told) & needless == set()


def test_each_module_that_is_loaded_late_exists() -> None:
    names = {name for path in (HOME / "exporter").rglob("*.py") for name in _LATE.findall(path.read_text())}
    assert len(names) > 10
    for name in names:
        import_module(name)


@pytest.mark.long
async def test_the_daemon_loads_all_before_its_loop_runs(tmp_path: Path) -> None:
    """Else the first DKIM record or policy would stop the loop."""
    file = tmp_path / "config.yaml"
    file.write_text("resolver: {nameservers: [192.0.2.53]}\n")
    process = await started(f"--config.file={file}", "--web.listen-address=127.0.0.1:0")
    told = bytearray()
    try:
        while b" listens on " not in told:
            line = await process.stderr.readline() if process.stderr else b""
            assert line, told
            told += line
    finally:
        process.kill()
        await process.communicate()
    assert "cryptography.x509" in modules(bytes(told))
