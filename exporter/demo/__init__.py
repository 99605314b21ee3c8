"""A mail world on loopback, with one of each fault: its own DNS zones, blocklist and SMTP peers. No root needed."""
