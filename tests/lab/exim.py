"""A private Exim: a mail host that looks closely at what is said in HELO and EHLO."""

from __future__ import annotations

from tests.lab.process import Endpoint, Lab, accepts, free
from tests.lab.unpacked import unpacked, with_users

_USER = "Debian-exim"


def exim(lab: Lab, name: str = "exim") -> Endpoint:
    """Answers as `mx.lab.test` with Exim's own defaults about names; takes mail for nobody. Needs root."""
    program, at = unpacked("exim4"), free()
    spool = lab.folder(f"{name}/spool")
    spool.chmod(0o777)
    config = lab.write(
        f"{name}/exim.conf",
        f"""exim_path = {program}
exim_user = {_USER}
exim_group = {_USER}
spool_directory = {spool}
log_file_path = {spool}/%slog
pid_file_path = {spool}/exim.pid
primary_hostname = mx.lab.test
local_interfaces = <; {at.host}.{at.port}
host_lookup =
rfc1413_hosts =
keep_environment =
tls_advertise_hosts =
never_users =
""",
    )
    lab.start(name, with_users(lab, name, [_USER], "", [program, "-C", config, "-bdf"]), lambda: accepts(at))
    return at
