"""What the RFCs say, as pure code: text in, facts out. Nothing here awaits, connects or reads a clock.

Each file begins with an introduction to its subject, and names the section that each rule comes from. Read in the order
in which a receiver looks at mail:

 - who connects: names.py (what a name is), helo.py, generic.py (names that look made up), dnsbl.py and
   dnsbl_catalogue.py (is the address or domain on a list);
 - where answers and bounces go: mx.py, mailbox.py (the addresses themselves), and below all of it zone.py (who answers
   for a domain) and rdap.py (whose it is, and until when);
 - who may send: spf.py, and from there spf_record.py, spf_macro.py, spf_budget.py, spf_cost.py;
 - who has signed: tags.py (the syntax of many records), dkim.py, keys.py;
 - what the reader sees: dmarc.py, dmarc_walk.py, dmarc_alignment.py, dmarc_reports.py; bimi.py, bimi_logo.py,
   bimi_certificate.py;
 - how mail is carried: smtp.py, tls.py, certificate.py; announcement.py with mta_sts.py and tls_rpt.py; dane.py and
   dane_chain.py;
 - what is said when it is not taken: refusal.py, quotes.py.

dns.py has the words for questions and answers, alias.py tells whose an alias is. Evaluations that need DNS are
generators: they yield a Question and are sent the Reply, so the same code runs against the real world, a zone file in
memory or a conformance suite.
"""
