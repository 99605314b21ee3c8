"""DMARC (RFC 9989 and RFC 7489): the record, where it is found, alignment, where reports go."""
