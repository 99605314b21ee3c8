"""Shows the results: as series for Prometheus, as pages for people, and as text for a terminal."""
