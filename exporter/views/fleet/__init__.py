"""The whole fleet for people: one summary of all states, and lists of it that are filtered, sorted and paged."""
