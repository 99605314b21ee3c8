"""SPF (RFC 7208): the record, macros, check_host(), its limits, and what a record costs at worst."""
