"""An Internet on one machine: a network of its own, and in it the servers that worlds tell of, where they tell it."""
