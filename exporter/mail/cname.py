"""An alias of a name's own, told from one that every name has (RFC 1034 section 3.6.2, RFC 4592, RFC 6672).

Who leads one name, such as `_dmarc.example.com`, to a provider by a CNAME wants a record there, and its absence is a
fault. A wildcard that leads all names to a web server, or a DNAME that leads a whole tree elsewhere, says nothing of
the kind. From outside they look alike, until one asks for a name beside that nobody can have meant: it has the same
alias then.
"""

from __future__ import annotations

from exporter.mail.dns import Evaluation, Question, Reply

_NOBODY = "_no"  # what makes a name that nobody has meant


def dangling(reply: Reply) -> Evaluation[tuple[str, Reply | None]]:
    """Where the name's own alias ends, if no record of the type is there; else the empty text.

    With it the reply that leaves open whether it is its own, if there is one.
    """
    if not (reply.void and reply.chain):
        return "", None
    name, rdtype = reply.question
    beside = yield Question(f"{_NOBODY}{name}", rdtype)
    if beside.chain and beside.chain[0] in (reply.chain[0], f"{_NOBODY}{reply.chain[0]}"):
        return "", None
    return ("", beside) if not beside.status.conclusive else (reply.chain[-1], None)
