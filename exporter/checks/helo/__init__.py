"""The check `helo`: how the name is written, what DNS says of it, and which blocklists have it."""

from exporter.checks.helo.check import HeloOptions, helo

__all__ = ["HeloOptions", "helo"]
