"""What the engine promises; there are many files because each holds one promise, as the modules do."""
