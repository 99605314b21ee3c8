"""The check `mta_sts`: check.py asks; rules.py has what can be wrong."""
