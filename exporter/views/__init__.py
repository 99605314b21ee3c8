"""Shows the results: as series for Prometheus, as pages for people, and as text for a terminal.

It has many files because each shows one thing, or keeps one promise of the HTTP server.
"""
