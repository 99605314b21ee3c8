"""Servers that Debian does not install beside another, run from where `make tools` has unpacked them.

They insist on users of their own and on fixed places, so each gets a mount namespace in which it finds them; the
machine's own files stay as they are.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.lab.process import Lab, need, unfit

SERVERS = Path(__file__).parents[2] / ".venv" / "servers"

_FIRST_UID = 65_530


def unpacked(command: str) -> Path:
    """The program; skip the test where it is not there, as `need` does."""
    program = SERVERS / "usr" / "sbin" / command
    if not program.exists():
        unfit(f"not unpacked: {command} (`make tools` as root does it)")
    if os.geteuid() != 0:
        unfit(f"{command} starts as root only")
    need("unshare", "mount")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        unfit("mount namespaces are not allowed here")
    return program


def with_users(lab: Lab, name: str, users: Sequence[str], steps: str, command: Sequence[str | Path]) -> list[str]:
    """The command in a mount namespace in which these users exist, after these steps of a shell."""
    people = {user: f"{user}:x:{uid}:{uid}::/nonexistent:/usr/sbin/nologin\n" for uid, user in _numbered(users)}
    groups = {user: f"{user}:x:{uid}:\n" for uid, user in _numbered(users)}
    for file, lines in (("passwd", people), ("group", groups)):
        known = Path("/etc", file).read_text().splitlines(keepends=True)
        ours = [line for line in known if line.partition(":")[0] not in users]
        lab.write(f"{name}/{file}", "".join((*ours, *lines.values())))
    script = lab.write(
        f"{name}/start.sh",
        f"""set -e
mount --bind {lab.home}/{name}/passwd /etc/passwd
mount --bind {lab.home}/{name}/group /etc/group
{steps}
exec "$@"
""",
    )
    return ["unshare", "--mount", "sh", str(script), *map(str, command)]


def _numbered(users: Sequence[str]) -> list[tuple[int, str]]:
    return list(enumerate(users, _FIRST_UID))
