"""The severity of a fault depends on who connects. The port shows that."""

from __future__ import annotations

from exporter.facts import Severity
from exporter.targets import MailHost

SMTP = 25
SUBMISSION_PORTS = frozenset({465, 587})


def severity_at(target: MailHost) -> Severity:
    """Programs that submit mail refuse what is wrong; mail servers mostly deliver all the same."""
    return Severity.CRITICAL if target.port in SUBMISSION_PORTS else Severity.WARNING
