"""One private Postfix with any number of listeners, each a different kind of mail host."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from tests.lab.process import Endpoint, Lab, accepts, free, need, unfit

HOSTNAME = "mx.lab.test"

_QUEUES = "active bounce corrupt defer deferred flush hold incoming private saved trace maildrop public pid"
_SERVICES = """\
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
proxymap unix - - n - - proxymap
"""


@dataclass(frozen=True)
class Listener:
    """A port, and how it differs from a good one: certificate shown, TLS versions spoken, Postfix's parameters."""

    certificate: str = "good"
    tls: str = ">=TLSv1.2"  # smtpd_tls_protocols
    options: Mapping[str, str] = field(default_factory=dict)


GOOD = Listener()
NO_STARTTLS = Listener(options={"smtpd_tls_security_level": "none"})
EXPIRED = Listener(certificate="expired")
WRONG_NAME = Listener(certificate="wrong-name")
UNTRUSTED = Listener(certificate="untrusted")
WITH_ROOT = Listener(certificate="with-root")  # the authority's own certificate is sent along
BUSY = Listener(
    options={"smtpd_client_restrictions": "check_client_access static:{421 4.7.0 busy}", "smtpd_delay_reject": "no"}
)


def only(version: str) -> Listener:
    """Speaks one version of TLS: `1.0`, `1.1`, `1.2` or `1.3`."""
    name = "TLSv1" if version == "1.0" else f"TLSv{version}"
    return Listener(tls=f">={name},<={name}")


def size(limit: int) -> Listener:
    """Announces SIZE in octets; 0 is Postfix's word for no limit."""
    return Listener(options={"message_size_limit": str(limit)})


@dataclass(frozen=True)
class Postfix:
    """Where each listener is, by the name it was given, and the CA that clients may trust."""

    at: Mapping[str, Endpoint]
    authority: trustme.CA


def postfix(lab: Lab, listeners: Mapping[str, Listener], name: str = "postfix") -> Postfix:
    """Answers as `mx.lab.test`; takes mail for nobody. Needs root, since the queue belongs to another user."""
    need("postconf")
    if os.geteuid() != 0:
        unfit("Postfix starts as root only")
    authority = _certificates(lab.folder(f"{name}/tls"))
    at = {case: free() for case in listeners}
    config = _configure(lab, name, listeners, at)
    lab.start(name, ["/usr/lib/postfix/sbin/master", "-c", config, "-d"], lambda: all(map(accepts, at.values())))
    return Postfix(at, authority)


def _certificates(home: Path) -> trustme.CA:
    authority = trustme.CA()
    yesterday = datetime.now(UTC) - timedelta(days=1)
    for name, issued in {
        "good": authority.issue_cert(HOSTNAME),
        "expired": authority.issue_cert(HOSTNAME, not_after=yesterday),
        "wrong-name": authority.issue_cert("elsewhere.lab.test"),
        "untrusted": trustme.CA().issue_cert(HOSTNAME),
    }.items():
        issued.private_key_and_cert_chain_pem.write_to_path(home / f"{name}.pem")
    (home / "with-root.pem").write_bytes((home / "good.pem").read_bytes() + authority.cert_pem.bytes())
    return authority


def _configure(lab: Lab, name: str, listeners: Mapping[str, Listener], at: Mapping[str, Endpoint]) -> Path:
    home, queue, data = lab.folder(name), lab.folder(f"{name}/queue"), lab.folder(f"{name}/data")
    main = lab.write(
        f"{name}/etc/main.cf",
        f"""compatibility_level = 3.7
queue_directory = {queue}
data_directory = {data}
maillog_file = {lab.home}/{name}-mail.log
maillog_file_prefixes = {lab.home}
myhostname = {HOSTNAME}
mydestination =
inet_interfaces = loopback-only
inet_protocols = ipv4
mynetworks =
smtpd_relay_restrictions = reject
alias_maps =
alias_database =
local_recipient_maps =
smtpd_tls_security_level = may
tls_medium_cipherlist = ALL:@SECLEVEL=0
smtpd_peername_lookup = no
""",
    )
    master = lab.write(
        f"{name}/etc/master.cf", "".join(_service(at[case], home, it) for case, it in listeners.items()) + _SERVICES
    )
    for path in (main, master):
        os.utime(path, (1e9, 1e9))  # every Postfix program waits two seconds for a fresh one to settle
    _make_queue(queue, data)
    return main.parent


def _service(endpoint: Endpoint, home: Path, listener: Listener) -> str:
    options = {
        "smtpd_tls_chain_files": f"{home}/tls/{listener.certificate}.pem",
        "smtpd_tls_protocols": listener.tls,
        "smtpd_tls_mandatory_protocols": listener.tls,
        **listener.options,
    }
    return f"{endpoint} inet n - n - - smtpd\n" + "".join(f"  -o {{ {k} = {v} }}\n" for k, v in options.items())


def _make_queue(queue: Path, data: Path) -> None:
    """What `postfix check` would make in half a second."""
    shutil.chown(data, "postfix")
    for folder in _QUEUES.split():
        (queue / folder).mkdir(mode=0o700)
        shutil.chown(queue / folder, "root" if folder == "pid" else "postfix")
    for folder, mode in (("maildrop", 0o730), ("public", 0o710), ("pid", 0o755)):
        (queue / folder).chmod(mode)
    for folder in ("maildrop", "public"):
        shutil.chown(queue / folder, group="postdrop")
