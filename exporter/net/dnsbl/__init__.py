"""Blocklists: asking them, and remembering how far each can be believed."""
