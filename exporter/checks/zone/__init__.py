"""The check `zone`: every name server of a zone is asked by itself."""
