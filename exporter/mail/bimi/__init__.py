"""Brand Indicators for Message Identification: the record, the logo, the certificate of the logo."""
