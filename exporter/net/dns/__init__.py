"""DNS: one client asks a resolver for what is true, the other asks a server of a zone for what that server says."""
