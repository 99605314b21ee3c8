"""What one SPF evaluation may cost: every limit of RFC 7208, kept in one place (sections 4.6.4 and 11.1).

A policy is a small program that a stranger writes and every receiver runs, for each message. So its work is bounded,
whatever it says:

 - 10 *terms* that ask DNS: include, a, mx, ptr, exists and redirect. A term counts once each time that it is
   evaluated, however many questions it takes; the eleventh is a permerror. The first TXT record, `exp`, `all`, `ip4`
   and `ip6` cost nothing.
 - 2 of these terms may come back empty (NXDOMAIN, or no record of that type): "void lookups". The third is a
   permerror; this one is a SHOULD.
 - 10 hosts in one `mx`; more are a permerror, as the domain wrote them itself. 10 names in the PTR of the client for
   `ptr` and `%{p}`; the others are ignored, as they are not the domain's doing.
 - 20 seconds or more for all of it; beyond, the result is a temperror.

From the first four follows the most questions that there can ever be; it is watched all the same.
"""

from __future__ import annotations

from exporter.facts import Reason
from exporter.mail.dns import Evaluation, Question, Reply
from exporter.mail.spf.record import SpfResult
from exporter.text import printable

MOST_LOOKUPS = 10
MOST_VOIDS = 2
MOST_MX = 10
MOST_PTR = 10
MOST_SECONDS = 20.0  # the shortest limit that the RFC allows: some receiver has it
# No evaluation within the limits above asks more, so that this one alone never makes a permerror:
#   1  the first TXT record
# 110  ten terms; `mx` asks most: for its hosts, and for an address (A or AAAA, as the client's) of each of ten
#  11  `ptr` or `%{p}`: the PTR of the client and an address of each of ten names. It is one client and a question is
#      asked once, so that all terms share them; `mx:%{p}.example.com` has both
#   1  the text of `exp`
MOST_QUESTIONS = 1 + MOST_LOOKUPS * (1 + MOST_MX) + (1 + MOST_PTR) + 1


class Stop(Exception):  # noqa: N818  (a result, no error of ours)
    """Temperror or permerror: wherever it arises, it ends the whole evaluation (sections 5.2, 6.1)."""

    def __init__(self, word: SpfResult, why: str, reason: Reason | None = None) -> None:
        super().__init__(why)
        self.word, self.why, self.reason = word, printable(why), reason


class Budget:
    """What one evaluation has asked and spent. Each method raises Stop where a limit ends the evaluation."""

    def __init__(self, *, lookups: int = MOST_LOOKUPS, questions: int = MOST_QUESTIONS) -> None:
        self._most_lookups = lookups
        self._most_questions = questions
        self._replies: dict[Question, Reply] = {}
        self._may_be_void = False  # may an empty answer still be counted for the term under evaluation?
        self.lookups = 0  # terms; one more than the limit if that ended the evaluation
        self.voids = 0  # terms; likewise
        self.seconds = 0.0  # that the answers took: waits of our own are not the domain's

    def again(self) -> Budget:
        """For the same evaluation from its beginning. What has been asked is known, and counts as asked."""
        budget = Budget(lookups=self._most_lookups, questions=self._most_questions)
        budget._replies = self._replies
        return budget

    def ask(self, name: str, rdtype: str) -> Evaluation[Reply]:
        """The reply, asked for once in an evaluation."""
        self._in_time()
        question = Question(name, rdtype)
        reply = self._replies.get(question)
        if reply is None:
            if len(self._replies) == self._most_questions:
                raise Stop(SpfResult.PERMERROR, f"the policy needs more than {self._most_questions} DNS queries")
            reply = self._replies[question] = yield question
            self.seconds += reply.seconds
            self._in_time()
        return reply

    def know(self, reply: Reply) -> None:
        """Count a question that was asked before the evaluation began."""
        self._replies[reply.question] = reply
        self.seconds += reply.seconds

    def spend(self, term: str) -> None:
        """A term that asks DNS is about to be evaluated."""
        self.lookups += 1
        self._may_be_void = True
        if self.lookups > self._most_lookups:
            raise Stop(SpfResult.PERMERROR, f"more than {self._most_lookups} DNS lookups: {term} is one too many")

    def void(self, question: Question) -> None:
        """An answer was empty. What no term has asked for is not counted, and a term is void only once."""
        if not self._may_be_void:
            return
        self._may_be_void = False
        self.voids += 1
        if self.voids > MOST_VOIDS:
            raise Stop(SpfResult.PERMERROR, f"more than {MOST_VOIDS} void lookups, the last for {question}")

    def end(self) -> None:
        """The result stands; what is asked from now on belongs to no term."""
        self._may_be_void = False

    @staticmethod
    def first_hosts(reply: Reply) -> list[str]:
        """Of an `mx` with too many hosts, those that are among the first ten in whatever order equals are tried."""
        found = sorted(reply.exchanges)
        return [it.exchange for it in found[:MOST_MX] if it.preference < found[MOST_MX].preference]

    @staticmethod
    def hosts(reply: Reply) -> list[str]:
        """The hosts of one `mx`, in the order in which they are tried; a null MX (RFC 7505) has none."""
        if len(reply.exchanges) > MOST_MX:
            raise Stop(SpfResult.PERMERROR, f"{reply.question.name} has more than {MOST_MX} MX records")
        return [host for _, host in sorted(reply.exchanges) if host != "."]

    @staticmethod
    def names(reply: Reply) -> list[str]:
        """The first ten names of the client; sorted, so that they are the same ten every time."""
        return sorted(name.lower() for name in reply.names)[:MOST_PTR]

    def _in_time(self) -> None:
        if self.seconds > MOST_SECONDS:
            why = f"the DNS answers took more than {MOST_SECONDS:g} s, after which receivers may give up"
            raise Stop(SpfResult.TEMPERROR, why, Reason.DEADLINE)
