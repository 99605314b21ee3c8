"""SMTP: one conversation with one address at a time, with the manners that we ask of others."""
