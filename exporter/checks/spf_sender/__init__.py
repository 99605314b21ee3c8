"""The check `spf_sender`: our own addresses one by one, and the providers that send for us."""
