"""Whole set-ups as data: NAME.yaml is what a user writes, NAME.zone what is published, as a provider documents it."""
