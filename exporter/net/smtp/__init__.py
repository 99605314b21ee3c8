"""SMTP: one conversation at a time with each address, as polite as we want others to be."""
