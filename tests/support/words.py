"""The words of the house: which private word is written how, and what is wrong with a sentence that people read.

The left column is a regular expression for whole words, in any case unless it says otherwise. The right column is the
word that a mail, DNS or Prometheus engineer would search for.
"""

from __future__ import annotations

import re

LONGEST = 25  # words of one sentence

STANDARD = {
    r"told|tells? of": "reported, said, known",
    r"(?:could|can) ?not (?:be told|tell)|cannot tell": "unknown",
    r"judge[ds]?|judging": "evaluate, check",
    r"verdicts?": "result",
    r"unseen|not observable": "unknown, unnoticed, cannot be checked from outside",
    r"(?:leads?|leading|led) back": "is forward-confirmed (FCrDNS); resolves to",
    r"leads? to nothing": "has no records",
    r"mend(?:s|ed|ing)?": "fix",
    r"anew": "again",
    r"whoever|whichever": "anyone who, any",
    r"(?:has|have|had) (?:not )?stood|stands|stood": "is active, is",
    r"believe[ds]?|disbelieve[ds]?|believing": "trust, is healthy",
    r"demands?|demanded": "requirement, require",
    r"octets?": "byte",
    r"terms?": "mechanism (SPF), tag (DKIM, DMARC), part",
    r"in (?:the )?clear": "unencrypted",
    r"ceilings?": "limit",
    r"notices?": "notification",
    r"mutes?|muted|muting": "inhibit (Alertmanager)",
    r"tak(?:es?|en|ing) (?:\w+ )?mail": "accept",
    r"peers?": "probed receiver",
    r"(?-i:exchanges?)": "query and response",
    r"measures": "metric",
    r"pac(?:es?|ed)": "interval, rate limit",
    r"cared-for": "well-run",
    r"(?:be|is|are) had": "get, fetch",
    r"vouch(?:es)?": "validate",
    r"for good": "permanently",
    r"gone": "removed, missing",
    r"nobody looks after": "nobody maintains",
    r"of late": "lately",
    r"stands? (?:behind|on the way)": "man in the middle; issue",
    r"on the way (?:can|takes|has)": "man in the middle",
    r"what is behind": "cause",
    r"no fault": "not a fault",
    r"forgotten machine": "misconfigured",
    r"as gladly|gladly": "(leave it out)",
    r"that is it": "This is the cause",
    r"here and now": "in your setup",
    r"live[sd]? by": "implement",
    r"accept(?:s|ed|ing)? (?:this|that|a|the|each|every) findings?": "acknowledge",
}

# Names that are public, quotes of others and titles of documents: they stay as they are.
ALLOWED = re.compile(
    r"""in terms of | long-term | short-term | terms\ of\ (?:use|service) | mute_time_intervals | mute\ time | DNS\ peer
    | well-known\ terms | Exchange\ Online """,
    re.VERBOSE | re.IGNORECASE,
)

_BANNED = {word: re.compile(rf"(?<![\w=-])(?:{word})(?![\w=-])", re.IGNORECASE) for word in STANDARD}
_END = re.compile(r"(?<=[.?!])[\"')]*\s+(?=[\"'(`*\[]*[A-Z0-9{`<])|\n\s*\n")
_WORD = re.compile(r"[^\W_][\w'-]*")


def sentences(text: str) -> list[str]:
    return [sentence for part in _END.split(text) if (sentence := " ".join(part.split()))]


def length(sentence: str) -> int:
    """Its words: what has a letter or a digit in it."""
    return sum(1 for word in sentence.split() if _WORD.search(word))


def faults(text: str) -> list[str]:
    """What is wrong with the words of a text: none, if it is written as it should."""
    found = [
        f"{length(sentence)} words, at most {LONGEST}: {sentence}"
        for sentence in sentences(text)
        if length(sentence) > LONGEST
    ]
    plain = ALLOWED.sub(" ", text)
    for word, pattern in _BANNED.items():
        found += [f'"{it[0]}" is "{STANDARD[word]}": {" ".join(text.split())}' for it in pattern.finditer(plain)]
    return found
