"""The check `spf`: what the record says, and what becomes known by following its terms."""
