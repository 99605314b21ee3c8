"""Real servers on loopback, so that what the exporter says can be held against what others say.

Each is started by a function that takes the `lab` (a directory and the processes in it), answers within a second and
is stopped by its pid. All ports are picked free. Nothing outside the lab's directory is read or written.
"""
