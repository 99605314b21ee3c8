"""What DNS shows of who sends for a domain, for `check DOMAIN` and for `init`."""
