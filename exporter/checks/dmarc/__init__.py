"""The check `dmarc`: the policy, alignment, and where reports go."""
