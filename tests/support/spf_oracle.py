"""A second opinion on SPF from pyspf, which other people wrote, evaluated in the same made-up DNS.

Our result and pyspf's differ, and each difference must be explained. So each known kind of difference is a correction
of pyspf: the place in its source, the new text, and the section of RFC 7208 that decides.

A difference is explained if pyspf with all corrections gives our result. It belongs to the corrections that are needed
for that.
"""

from __future__ import annotations

import importlib
import inspect
import re
import warnings
from collections.abc import Iterable
from ipaddress import ip_address
from types import ModuleType
from typing import Any

from exporter.mail.dns import Question, Reply
from exporter.mail.spf.check_host import SpfEvaluation, check_host
from tests.support.spf_corrections import CORRECTIONS
from tests.support.spf_world import Case, Failure, World

_TOP_LABEL = r"(?:[A-Za-z0-9]*[A-Za-z][A-Za-z0-9]*|[A-Za-z0-9]+-[A-Za-z0-9-]*[A-Za-z0-9])"


def _corrected(source: str, right: set[str]) -> ModuleType:
    for name, correction in CORRECTIONS.items():
        for old, new in correction.edits:
            assert source.count(old) == 1, f"{name}: pyspf has {old!r} {source.count(old)} times"
            source = source.replace(old, new)
    module = ModuleType("spf_corrected")
    module.__dict__.update(
        on=right.__contains__,
        MACROS=re.compile(r"(?:%\{[slodiphcrtv][0-9]*r?[.\-+,/_=]*\}|%[%_\-]|[!-$&-~])*", re.IGNORECASE),
        ZERO=re.compile(r"%\{[a-z]0+[^0-9]", re.IGNORECASE),
        DOMAIN=re.compile(_TOP_LABEL),
    )
    exec(compile(source, "spf_corrected", "exec"), module.__dict__)  # pyspf itself, with the edits above
    return module


_RIGHT: set[str] = set()
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its source is older than some warnings
    _PLAIN: Any = importlib.import_module("spf")
    _CORRECTED: Any = _corrected(inspect.getsource(_PLAIN), _RIGHT)


def ours(case: Case) -> SpfEvaluation:
    return evaluated(case)[0]


def evaluated(case: Case) -> tuple[SpfEvaluation, int]:
    """Our result, and how many questions it took."""
    evaluation = check_host(ip_address(case.client), case.domain, case.from_, case.helo, explain=True)
    asked = 0
    try:
        question = next(evaluation)
        while True:
            asked += 1
            question = evaluation.send(reply(case.world, question))
    except StopIteration as end:
        result: SpfEvaluation = end.value
        return result, asked


def reply(world: World, question: Question) -> Reply:
    name = re.sub(r"\\(\d{3}|.)", lambda m: chr(int(m[1])) if len(m[1]) == 3 else m[1], question.name)
    status, records, chain = world.look_up(name, question.rdtype)
    return Reply(question, status, records, chain)


def theirs(case: Case, corrections: Iterable[str] = ()) -> str:
    """The word of pyspf."""
    _RIGHT.clear()
    _RIGHT.update(corrections)
    module = _CORRECTED if _RIGHT else _PLAIN
    return _ask(module, case)


def _ask(module: Any, case: Case) -> str:
    def look_up(name: str, rdtype: str, *_: object) -> list[Any]:
        try:
            return case.world.rows(name, rdtype)
        except Failure as failure:
            raise module.TempError(str(failure)) from None

    module.DNSLookup = look_up
    query = module.query(case.client, case.sender, case.helo)
    return str(query.check()[0])


def explain(case: Case, word: str) -> tuple[str, ...] | None:
    """The fewest corrections (by leaving out what is not needed) with which pyspf says this word; None: none do."""
    needed = dict.fromkeys(CORRECTIONS)
    if theirs(case, needed) != word:
        return None
    for name in CORRECTIONS:
        if theirs(case, needed.keys() - {name}) == word and len(needed) > 1:
            del needed[name]
    return tuple(needed)
