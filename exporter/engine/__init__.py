"""Runs the checks and keeps their results: catalogue, plan, schedule, evaluation, store and state file."""
