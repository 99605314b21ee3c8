"""DANE for SMTP (RFC 7672): TLSA records, and whether a certificate chain fits them."""
