"""The check `smtp_tls`: check.py asks; connection.py and certificate.py have what can be wrong."""
