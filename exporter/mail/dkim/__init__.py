"""DKIM (RFC 6376): the key record, and the public key in it."""
