"""A private OpenSMTPD, whose words for a bad name in EHLO are nearly those of Office 365."""

from __future__ import annotations

from tests.lab.process import Endpoint, Lab, accepts, free
from tests.lab.unpacked import unpacked, with_users

# Its places are built in. These hold nothing that the rest of it needs.
_PLACES = """mount -t tmpfs lab /run
mount -t tmpfs lab /var/lib
mount -t tmpfs lab /var/spool
mkdir -p -m 755 /var/lib/opensmtpd/empty
mkdir -m 711 /var/spool/smtpd"""


def opensmtpd(lab: Lab, name: str = "opensmtpd") -> Endpoint:
    """Answers as `mx.lab.test`; takes mail for nobody. Needs root."""
    program, at = unpacked("smtpd"), free()
    config = lab.write(
        f"{name}/smtpd.conf",
        f"""listen on {at.host} port {at.port} hostname mx.lab.test
action discard maildir "/nonexistent"
match from any for domain "nobody.invalid" action discard
""",
    )
    command = with_users(lab, name, ["opensmtpd", "opensmtpq"], _PLACES, [program, "-d", "-f", config])
    lab.start(name, command, lambda: accepts(at))
    return at
