"""The check `mta_sts`: check.py asks; rules.py has what can be wrong."""

from exporter.checks.mta_sts.check import mta_sts as mta_sts
