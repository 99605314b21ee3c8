"""Blocklists: asks them, and remembers their answers and their health."""
