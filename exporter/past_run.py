"""What stays known of a run, besides the verdict: who asks why a verdict came out so reads it.

The problem: a fleet has a hundred thousand of them, and hardly one is ever read.

The idea: the texts are packed once, with the phrases that occur in most of them, and opened when somebody looks.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass

from exporter.facts import Doubt, Verdict
from exporter.model import Exchange, Outcome

DIGITS = 4  # of seconds: a tenth of a millisecond
COMPACT_LINES = 3  # of each exchange of a run that passed


@dataclass(frozen=True, slots=True)
class RunEvidence:
    """When the run began, in unix seconds, how many it took, its verdict, and what it asked and was answered."""

    started: float
    seconds: float
    verdict: Verdict
    exchanges: tuple[Exchange, ...]


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run, packed. `doubts` are its doubts."""

    doubts: tuple[Doubt, ...]
    packed: bytes

    @classmethod
    def of(cls, outcome: Outcome) -> PastRun:
        """Of long answers of a run that passed, the first lines are kept."""
        lines = COMPACT_LINES if outcome.verdict is Verdict.PASS else None
        told = [(it.asked, _compact(it.got, lines), it.via, round(it.seconds, DIGITS)) for it in outcome.transcript]
        text = _ENCODE((outcome.verdict, outcome.started, round(outcome.duration, DIGITS), told))
        pack = _PACK.copy()
        return cls(outcome.doubts, pack.compress(text.encode()) + pack.flush())

    def opened(self) -> RunEvidence:
        unpack = zlib.decompressobj(_WINDOW, _PHRASES)
        verdict, started, seconds, told = json.loads(unpack.decompress(self.packed))
        exchanges = tuple(Exchange(asked, tuple(got), via, took) for asked, got, via, took in told)
        return RunEvidence(started, seconds, Verdict(verdict), exchanges)


def _compact(got: tuple[str, ...], lines: int | None) -> tuple[str, ...]:
    return got if lines is None or len(got) <= lines else (*got[:lines], "…")


_ENCODE = json.JSONEncoder(separators=(",", ":")).encode
_WINDOW = -12  # raw deflate that looks 4 KiB back: longer texts are rare
_PHRASES = rb"""
TXT \"v=TLSRPTv1; rua=mailto:@_smtp._tls. default._bimi. "NXDOMAIN ttl=300"],"SERVFAIL"],"TIMEOUT"],"REFUSED"],
["_mta-sts. TXT",["NXDOMAIN ttl=300"],"],["STS for ",["TXT \"v=STSv1; id=",["memory",0.0],["helo of sender=,ip=
TXT \"v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA/wIDAQAB\""],"],["._domainkey. of domain=
TXT \"v=DMARC1; p=reject; p=none; p=quarantine; sp=none; rua=mailto:dmarc@; adkim=r; aspf=r; pct=100\""],"],["_dmarc.
["worst case of ",[" lookups, 0 void","include:_spf. (1)"],"counted",0.0],[" SPF",["NODATA ttl=300"],"
["check_host , MAIL FROM postmaster@, HELO ",["pass: include:_spf. of  matches (1 lookups, 0 void)",": include:_spf.
: ip4:/24: pass (1 lookups)","include:_spf.: pass (1 lookups)"],"evaluated",0.0
TXT \"v=spf1 include:_spf. mx a ip4: ip6: ~all\"","TXT \"v=spf1 include:_spf. -all\"","TXT \"-verification=google-site-
MX 10 mx1.","MX 20 mx2."],"",0.0],["mx1. A",["ANSWER ttl=300","A ","AAAA 2001:"],"],["mx2. AAAA",["NODATA ttl=300"],"
.in-addr.arpa PTR",["ANSWER ttl=300","PTR "],".ip6.arpa PTR",["NXDOMAIN ttl=300"],"1 of 60 lists, not listed
["pass",17.0,0.0,[["mail. A",["ANSWER ttl=300","A "],"127.0.0.1:53 cache",0.0],[". TXT",["ANSWER ttl=300","TXT \"
",127.0.0.1:53 tcp",0.0],["127.0.0.1:53 udp",0.00]]]"""
_PACK = zlib.compressobj(1, zlib.DEFLATED, _WINDOW, 5, zlib.Z_DEFAULT_STRATEGY, _PHRASES)
