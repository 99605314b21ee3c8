"""Explains findings and refusals: what they mean, and what to do.

A text goes from the outside in. `bounce` reads mails, whose `parts` become text. `loglines` finds the reply in what
servers write around it, and `reply` reads its codes and words. `matching` finds the family of refusals that they belong
to. The families are data (`families`, data/refusals). `refusals` puts this together, `values` takes out what an answer
can name, and `diagnosis` says it to a person.
"""
