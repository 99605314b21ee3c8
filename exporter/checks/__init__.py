"""The checks. Each file or folder here is one check, and asks one question."""
