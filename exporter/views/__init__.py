"""What is held, shown: series for Prometheus, pages and cards for people, text for a terminal."""
