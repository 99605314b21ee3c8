"""Runs checks and keeps what they say: catalogue, plan, schedule, evaluation, store, state file."""
