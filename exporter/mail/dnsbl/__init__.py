"""DNS blocklists (RFC 5782): what to ask, what an answer means, and the lists that are known."""
