"""What a refusal or a finding means, and what to do about it."""
