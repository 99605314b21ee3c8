"""Reads a configuration file strictly: the result is Settings, or a list of all problems.

Nothing is guessed, and nothing is done in part: one fault, and nothing changes. Names are made canonical here, except
HELO names, which are judged as they are. Checks do not see Settings; a check finds what it needs in its target.

The folder has many small files because each key with rules of its own has one, beside reading, validating and
building.
"""

from exporter.config.load import defaults, load, load_in_time, shipped_blocklists
from exporter.config.problems import ConfigError, ConfigProblem
from exporter.config.settings import Settings
from exporter.config.values import SYSTEM, Nameserver

__all__ = [
    "SYSTEM",
    "ConfigError",
    "ConfigProblem",
    "Nameserver",
    "Settings",
    "defaults",
    "load",
    "load_in_time",
    "shipped_blocklists",
]
