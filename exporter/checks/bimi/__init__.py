"""The check `bimi`: the record, the logo and the certificate of the logo."""
