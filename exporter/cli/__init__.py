"""The command line. The folder has many files because each command has one, beside what they share."""
