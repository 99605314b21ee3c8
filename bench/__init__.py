"""What work costs. Each file is a command of its own, or is what several of them share: so they are many."""
