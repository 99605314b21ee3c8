"""What the RFCs say, as pure code: text in, facts out. Nothing here awaits, connects or reads a clock.

Each file begins with an introduction to its subject, and names the section that each rule comes from. Read in the order
in which a receiver looks at mail:

 - who connects: names.py (what a name is), helo.py, generic_rdns.py (names that look made up), dnsbl/blocklist.py and
   dnsbl/catalogue.py (is the address or domain on a list);
 - where answers and bounces go: mx.py, mailbox.py (the addresses themselves), and below all of it zone.py (who answers
   for a domain) and rdap.py (whose it is, and until when);
  - who may send: spf/check_host.py, and from there spf/record.py, spf/macro.py, spf/limits.py, spf/worst_case.py,
    spf/provider.py;
  - who has signed: tag_list.py (the syntax of many records), dkim/key_record.py, dkim/public_key.py, dkim/rotation.py;
 - what the reader sees: dmarc/record.py, dmarc/tree_walk.py, dmarc/alignment.py, dmarc/reports.py; bimi/record.py,
   bimi/logo.py, bimi/certificate.py;
 - how mail is carried: smtp.py, tls.py, certificate.py; policy_txt.py with mta_sts.py and tls_rpt.py; dane/tlsa.py and
   dane/chain.py;
 - what is said when it is not taken: receiver_replies.py;
 - which record or setting repairs it: spf/remedies.py, dkim/remedies.py, dmarc/remedies.py, policy_txt_remedies.py and
   host_remedies.py.

dns.py has the words for questions and answers, cname.py tells whose an alias is. Evaluations that need DNS are
generators: they yield a Question and are sent the Reply, so the same code runs against the real world, a zone file in
memory or a conformance suite.
"""
