"""A configuration file, strictly read: Settings for the composition root, or every problem at once.

Nothing is guessed and nothing is half done: a file with one fault changes nothing. Names are canonical from
here on, but for HELO names, which are judged as they are. Checks never see Settings; what a check needs
lies on its target.
"""

from exporter.config.load import defaults, load, shipped_blocklists
from exporter.config.problems import ConfigError, Problem
from exporter.config.settings import Settings
from exporter.config.values import SYSTEM, Nameserver

__all__ = [
    "SYSTEM",
    "ConfigError",
    "Nameserver",
    "Problem",
    "Settings",
    "defaults",
    "load",
    "shipped_blocklists",
]
