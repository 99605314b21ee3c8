"""Runs the checks and keeps their results: catalogue, plan, schedule, evaluation, store and state file.

It has many files because each keeps one promise by itself: what is confirmed, what is late, what has left, what the
disk has. Only app.py connects them.
"""
