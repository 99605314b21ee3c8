"""The check `smtp_tls`: check.py asks; connection.py and certificate.py have what can be wrong."""

from exporter.checks.smtp_tls.certificate import CERTIFICATE_EXPIRED as CERTIFICATE_EXPIRED
from exporter.checks.smtp_tls.check import smtp_tls as smtp_tls
