"""DNS as it would be with planned records: a zone file or octoDNS YAML in place of what DNS has."""
