"""Explains findings and refusals: what they mean, and what to do."""
