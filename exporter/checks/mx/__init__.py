"""The check `mx`: how mail, bounces and replies reach a domain."""

from exporter.checks.mx.check import mx

__all__ = ["mx"]
