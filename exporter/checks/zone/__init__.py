"""The check `zone`: asks each name server of a zone directly."""
