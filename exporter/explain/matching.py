"""From a reply to its cause: which family of refusals the words, or else the code, lead to.

What excludes a family comes first: the class of the reply (4 or 5) and the stage in which it came. Then words count,
over the reply alone and in their order. The longest known text wins; the vendor and the codes decide between equals.
Without known words a code counts if its vendor is known to give it one meaning, or if the standard gives it only one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

from exporter.explain.families import Family, known
from exporter.explain.reply import RefusingReply, words

DISTINCT = 3  # words that say enough by themselves, whoever writes them
CLOSE = 2  # points; a second cause this close to the first is named too
NETWORK = "4"  # the subject of such status codes (RFC 3463 section 3.5)
NEAR, FAR = 3, 7  # words, at most, between two that belong together
COVERED = 10  # a weak text is at least one out of so many words of the reply
PRIVATE = 3  # digits of a detail that no standard gives
MOST = 3  # causes of one reply
# What RFC 5321 section 4.2.3 gives as the text of a code. Servers say it, and then why.
_STOCK = (
    " requested mail action not taken mailbox unavailable requested action not taken mailbox unavailable"
    " service not available closing transmission channel "
)
_VAGUE = {f"{kind}.{rest}" for kind in "45" for rest in ("0.0", "1.0", "2.0", "5.0", "5.1", "5.2", "7.0", "7.1")}


class Grade(IntEnum):
    """How well a text fits, best first."""

    SAID = 0  # these very words
    SEARCHED = 1  # all words that were asked for
    CODE = 2  # the same enhanced status code, in other words
    VAGUE = 3  # words that mostly mean it


@dataclass(frozen=True, slots=True)
class Phrase:
    """One known text of a family. `rules` are the ids of the findings that quote it."""

    family: Family
    text: str
    parts: tuple[str, ...]
    vendor: str | None = None
    code: int | None = None
    status: str | None = None
    through: str | None = None  # the last status code, if `status` begins a range of codes
    rules: tuple[str, ...] = ()
    weak: bool = False
    gap: int | None = None  # words, at most, between two parts; None: any

    @property
    def length(self) -> int:
        return sum(part.count(" ") + 1 for part in self.parts)

    @property
    def stock(self) -> bool:
        return all(f" {part} " in _STOCK for part in self.parts)

    def of(self, kind: str | None) -> bool:
        """May a reply of this class be meant? A text with a code is only said with a code of that class."""
        return kind is None or (kind == str(self.code)[0] if self.code else kind in self.family.classes)

    def has(self, status: str | None) -> bool:
        if status is None or self.status is None:
            return False
        if self.through is None:
            return status == self.status
        return _numbers(self.status) <= _numbers(status) <= _numbers(self.through)


@dataclass(frozen=True, slots=True)
class Hit:
    phrase: Phrase
    grade: Grade
    points: int


def quoted(family: Family, text: str, rules: tuple[str, ...] = ()) -> Phrase:
    """The phrase of a text in the form `Vendor: CODE X.Y.Z text`."""
    it = known(text)
    return Phrase(family, text, it.parts, it.receiver, it.code, it.status, family.through, rules)


def phrases(families: Iterable[Family]) -> list[Phrase]:
    made: list[Phrase] = []
    for family in families:
        made += [quoted(family, text) for text in family.says]
        for weak, texts in ((False, family.words), (True, family.weak)):
            for text in texts:
                parts = tuple(part for piece in text.split("...") if (part := " ".join(words(piece))))
                made.append(Phrase(family, text, parts, weak=weak, gap=FAR if len(parts) == 2 else None))
        for pair in family.pairs:
            made.append(Phrase(family, " ... ".join(pair), tuple(" ".join(words(it)) for it in pair), gap=NEAR))
    return made


class Matcher:
    """Known texts, by the rarest word of each: only those are compared whose word the reply has."""

    def __init__(self, known_texts: Sequence[Phrase]) -> None:
        self.phrases = tuple(known_texts)
        frequency: dict[str, int] = defaultdict(int)
        for phrase in self.phrases:
            for word in {word for part in phrase.parts for word in part.split()}:
                frequency[word] += 1
        self._by_word: dict[str, list[Phrase]] = defaultdict(list)
        self._by_status: dict[str, list[Phrase]] = defaultdict(list)
        self._by_code: dict[str, list[Family]] = defaultdict(list)
        for phrase in self.phrases:
            candidates = [word for part in phrase.parts for word in part.split()]
            self._by_word[min(candidates, key=lambda word: (frequency[word], -len(word)))].append(phrase)
            if phrase.status:
                self._by_status[phrase.vendor or ""].append(phrase)
        self._private = [it for it in self.phrases if it.status and len(it.status.rpartition(".")[2]) == PRIVATE]
        families = {phrase.family.id: phrase.family for phrase in self.phrases}  # by id: a hash reads all the texts
        for family in families.values():
            for code in family.codes:
                self._by_code[code].append(family)

    @cached_property
    def _words(self) -> dict[str, set[str]]:
        """Of each text, for searches: most of those who read refusals never search."""
        return {phrase.text: {*words(phrase.text)} for phrase in self.phrases}

    def find(self, reply: RefusingReply, vendor: str | None) -> list[Hit]:
        """The causes that fit best, each family once, the best first."""
        strong, weak = list[Hit](), list[Hit]()
        padded = f" {reply.said} "
        said = set(reply.said.split())
        most = reply.said.count(" ") + 1
        for word in said:
            for phrase in self._by_word.get(word, ()):
                if phrase.weak and (COVERED * phrase.length < most or phrase.family.unless & said):
                    continue
                if phrase.of(reply.kind) and phrase.family.at(reply.stage) and _fits(phrase, padded):
                    points = _points(phrase, reply, vendor)
                    if points is not None:
                        (weak if phrase.weak else strong).append(Hit(phrase, _grade(phrase), points))
        return _best(strong) or self._by_its_code(reply, vendor) or _best(weak) or self._of_standard(reply.stage, reply)

    def _by_its_code(self, reply: RefusingReply, vendor: str | None) -> list[Hit]:
        if reply.kind is None:
            return []
        if reply.status is None:
            return self._of_standard(str(reply.code), reply)
        # Only Microsoft has details of three digits. Whoever else knows the code repeats a refusal of theirs.
        private = len(reply.status.rpartition(".")[2]) == PRIVATE
        known_by = self._private if private and vendor is None else self._by_status.get(vendor or "-", ())
        fitting = [
            Hit(phrase, Grade.CODE, 0)
            for phrase in known_by
            if phrase.has(reply.status) and phrase.of(reply.kind) and phrase.family.at(reply.stage)
        ]
        if fitting and reply.status not in _VAGUE:
            kinds = {hit.phrase.family.kind for hit in fitting}
            return _best(fitting) if len(kinds) == 1 else []
        by_status = self._of_standard(f"x{reply.status[1:]}", reply)
        return by_status or (self._of_standard(str(reply.code), reply) if reply.status in _VAGUE else [])

    def _of_standard(self, code: str | None, reply: RefusingReply) -> list[Hit]:
        """By a code, or by the stage alone, if that means only one family."""
        if code is None:
            return []
        families = [it for it in self._by_code.get(code, ()) if it.at(reply.stage) and (reply.kind or "") in it.classes]
        shown = reply.status or code if code.startswith("x") else code
        return [Hit(_of_code(it, shown), Grade.CODE, 0) for it in families[:1]]

    def with_code(self, status: str) -> list[Hit]:
        """All that are known to say this enhanced status code: an answer to a search, not to a reply."""
        found = [phrase for phrase in self.phrases if phrase.has(status)]
        families = self._by_code.get(f"x{status[1:]}", ())
        exact = [Hit(phrase, Grade.CODE, 0) for phrase in found]
        return _each_once(exact + [Hit(_of_code(it, status), Grade.CODE, 0) for it in families])

    def search(self, asked: set[str], names: dict[str, set[str]]) -> list[Hit]:
        """Texts that contain all these words, or whose findings have them in their ids."""
        found = []
        for phrase in self.phrases:
            if phrase.weak:
                continue
            said = self._words[phrase.text]
            if asked <= said:
                found.append(Hit(phrase, Grade.SEARCHED, -len(phrase.text)))
            elif any(asked <= said | names.get(rule, set()) for rule in phrase.rules):
                found.append(Hit(phrase, Grade.SEARCHED, -1000 - len(phrase.text)))
        return _each_once(sorted(found, key=lambda hit: -hit.points))


def _of_code(family: Family, status: str) -> Phrase:
    """A code that means the family by the standard, whatever its text."""
    return Phrase(family, f"any text with {status}", ())


def _points(phrase: Phrase, reply: RefusingReply, vendor: str | None) -> int | None:
    same_vendor = vendor is not None and vendor == phrase.vendor
    same_status = phrase.has(reply.status)
    if (
        phrase.vendor
        and not same_vendor
        and ((phrase.family.own and not same_status) or (phrase.length < DISTINCT and not same_status))
    ):
        return None
    points = 3 * phrase.length + phrase.family.weight
    points += 3 * same_vendor + 3 * same_status + (phrase.code is not None and phrase.code == reply.code)
    if phrase.family.network and reply.code and phrase.code is None and (reply.status or "5.0")[2] != NETWORK:
        return None
    if vendor and phrase.vendor and not same_vendor:
        points -= 2
    if reply.code is None and phrase.code:
        points -= 2 * (CLOSE + 1)  # what only servers say is not what the sending side says
    return points


def _grade(phrase: Phrase) -> Grade:
    return Grade.VAGUE if phrase.weak else Grade.SAID


def _best(hits: list[Hit]) -> list[Hit]:
    kinds = {hit.phrase.family.kind for hit in hits}
    hits = [hit for hit in hits if not kinds.intersection(hit.phrase.family.yields)]
    if any(not hit.phrase.stock and hit.phrase.family.weight >= 0 for hit in hits):
        hits = [hit for hit in hits if not hit.phrase.stock]
    ranked = sorted(hits, key=lambda hit: (-hit.points, not hit.phrase.rules, hit.phrase.family.id, hit.phrase.text))
    near = [hit for hit in ranked if hit.points >= ranked[0].points - CLOSE]
    return _each_once(near)[:MOST]


def _each_once(hits: list[Hit]) -> list[Hit]:
    once: dict[str, Hit] = {}
    for hit in hits:
        once.setdefault(hit.phrase.family.id, hit)
    return list(once.values())


def _in_order(parts: Iterable[str], padded: str) -> bool:
    place = 0
    for part in parts:
        found = padded.find(f" {part} ", place)
        if found < 0:
            return False
        place = found + len(part) + 1
    return True


def _fits(phrase: Phrase, padded: str) -> bool:
    """Are its parts there, in their order, and close enough?"""
    if phrase.gap is None:
        return _in_order(phrase.parts, padded)
    first, second = phrase.parts
    place = padded.find(f" {first} ")
    while place >= 0:
        begin = place + len(first) + 1
        if f" {second} " in " ".join(["", *padded[begin:].split(" ", phrase.gap + second.count(" ") + 3)[1:-1], ""]):
            return True
        place = padded.find(f" {first} ", begin)
    return False


def _numbers(status: str) -> tuple[int, ...]:
    return tuple(map(int, status.split(".")))
