"""DNS: the resolver that is asked for what is true, and the servers of a zone that are asked for what they say."""
