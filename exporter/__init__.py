"""deliverability-exporter: will receivers accept the mail that my domains and IPs send, and if not, why?"""

__version__ = "0.1.0"
