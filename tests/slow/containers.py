"""Builds an image and runs it with buildah, podman and runc, where no container engine and no registry is.

The base is a stand-in that `make test-slow` has made of Debian's packages: what is checked is the Dockerfile and how
the image behaves, not the real base.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab.process import need, unfit, until

HOME = Path(__file__).parents[2]
BASE = HOME / ".venv" / "images" / "base.tar"
WHEELS = HOME / ".venv" / "images" / "wheels"
STRICT = (
    "--network=none",
    "--read-only",
    "--read-only-tmpfs=false",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
)
_PATIENCE = 300  # seconds

# runc and cgroupfs: they work where there is no systemd. Limits that nobody has to be allowed to raise.
_CONTAINERS = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"""
_PIP = "[global]\nno-index = true\nfind-links = /wheels\n"
_FETCH = (
    "import sys, urllib.request as r;"
    "print(r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:10554' + sys.argv[1], timeout=5).read().decode())"
)


class Engine:
    """Images and containers in a folder of their own, gone with it."""

    def __init__(self) -> None:
        need("buildah", "podman", "runc")
        if os.geteuid() != 0:
            unfit("only root builds images here")
        if not BASE.exists():
            unfit("no base image (`make test-slow` makes it)")
        self._home = Path(tempfile.mkdtemp(prefix="images-"))
        self._configured = {}
        for name, text in {"CONTAINERS_CONF": _CONTAINERS, "CONTAINERS_REGISTRIES_CONF": ""}.items():
            (self._home / name).write_text(text)
            self._configured[name] = str(self._home / name)
        (self._home / "pip.conf").write_text(_PIP)

    def run(self, program: str, *arguments: str | Path, status: int = 0) -> str:
        """What it prints to its standard output. Raise AssertionError with all when its exit status is another."""
        done = self.attempt(program, *arguments)
        assert done.returncode == status, f"{program} {arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def attempt(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        store = ["--root", str(self._home / "store"), "--runroot", str(self._home / "run")]
        return subprocess.run(
            [program, *store, "--storage-driver", "overlay", *arguments],
            env=os.environ | self._configured,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )

    def podman(self, *arguments: str | Path, status: int = 0) -> str:
        return self.run("podman", *arguments, status=status).strip()

    def build(self, context: Path, tag: str) -> None:
        """From a Dockerfile whose only base is the stand-in; pip finds the packages in the folder of wheels."""
        bases = set(re.findall(r"^FROM (\S+)", (context / "Dockerfile").read_text(), re.MULTILINE))
        (base,) = bases
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        self.podman("import", "--change", f"ENV {path}", BASE, base)
        given = ["--volume", f"{WHEELS}:/wheels:ro", "--volume", f"{self._home / 'pip.conf'}:/etc/pip.conf:ro"]
        # docker: the other format knows no health check
        kind = ["--isolation", "chroot", "--pull-never", "--format", "docker"]
        self.run("buildah", "bud", *kind, *given, "--tag", tag, context)

    def start(self, name: str, image: str, *arguments: str, mount: tuple[str, ...] = ()) -> Container:
        volumes = [f"--volume={it}" for it in mount]
        self.podman("run", "--detach", "--name", name, *STRICT, *volumes, image, *arguments)
        return Container(self, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.podman("rm", "--all", "--force", "--time", "0")
            self.podman("rmi", "--all", "--force")
        finally:
            shutil.rmtree(self._home, ignore_errors=True)


class Container:
    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self.name = name

    def get(self, path: str) -> str:
        """Asked from inside: there is no network."""
        return self._engine.podman("exec", self.name, "python", "-c", _FETCH, path)

    def healthy(self, within: float = 15.0) -> None:
        """Wait until the image's own health check passes; raise AssertionError with the log after so many seconds."""

        def passes() -> bool:
            try:
                self._engine.podman("healthcheck", "run", self.name)
            except AssertionError:
                return False
            return True

        try:
            until(passes, "healthy", within, every=0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()}") from None

    def status(self) -> dict[str, str]:
        """/proc/1/status."""
        lines = self._engine.podman("exec", self.name, "cat", "/proc/1/status").splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def signal(self, name: str) -> None:
        self._engine.podman("kill", "--signal", name, self.name)

    def log(self) -> str:
        """Both of its outputs; podman adds what it has to say itself."""
        done = self._engine.attempt("podman", "logs", self.name)
        return done.stdout + done.stderr

    def changed(self) -> list[str]:
        """What differs from the image, but for what the engine itself puts there."""
        ours = (line.split() for line in self._engine.podman("diff", self.name).splitlines())
        return sorted(path for _, path in ours if not re.match(r"/(?:dev|etc|proc|run|sys)\b", path))

    def stop(self) -> tuple[int, float]:
        """Exit status, and the seconds from SIGTERM to the end."""
        since = time.monotonic()
        self.signal("TERM")
        code = int(self._engine.podman("wait", "--interval", "50ms", self.name))
        return code, time.monotonic() - since
