"""What the RFCs say, as pure code: text in, facts out. Nothing here awaits, connects or reads a clock.

Evaluations that need DNS are generators: they yield a Question and are sent the Reply, so the same code
runs against the real world, a zone file in memory or a conformance suite.
"""
