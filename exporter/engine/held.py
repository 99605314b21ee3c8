"""What is held besides single findings: published records, findings by name, and who is configured to send.

The fix of a finding often depends on it: which record has to be replaced, and who else needs to be in the new one.
Everything is indexed at the first question, once for all states of one moment.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache

from exporter.check_state import CheckState, RecordHistory
from exporter.facts import IP, Finding, Record
from exporter.remedies import whole
from exporter.targets import Authorisation

ABOUT = ("name", "domain", "helo")  # evidence by which findings are looked for


class Held:
    """Answers as facts.Known wants them, from all states of one moment."""

    def __init__(self, states: Iterable[CheckState]) -> None:
        self._states = states
        self.ready = False

    def prepare(self) -> None:
        """Index everything. A large fleet takes long: it may be done on another thread, as no state ever changes."""
        _ = self._records, self._findings, self._senders, self._passing
        self.ready = True

    def texts(self, record: str) -> tuple[str, ...] | None:
        history = self._records.get(record)
        latest = history.news[0] if history and history.news else history.record if history else None
        if latest is None or not all(map(whole, latest.texts)):
            return None
        # The texts of a record are cut where they are long or many; its digest is that of the whole.
        return latest.texts if Record.of(record, latest.texts).digest == latest.digest else None

    def findings(self, about: str) -> Sequence[Finding]:
        return self._findings.get(about, ())

    def senders(self, mail_from: str) -> tuple[Sequence[IP], Sequence[str]]:
        return self._senders.get(mail_from, ((), ()))

    def shared_include(self, addresses: Collection[IP]) -> tuple[str, int] | None:
        senders = frozenset[str]().union(*(self._passing.senders.get(ip, ("",)) for ip in addresses))
        return self._passing.shared(senders) if addresses else None

    @cached_property
    def _passing(self) -> _Passing:
        return _Passing(self._states, {name: history.record.texts for name, history in self._records.items()})

    @cached_property
    def _records(self) -> dict[str, RecordHistory]:
        """The one that was read last, of those with one name."""
        found: dict[str, tuple[float, RecordHistory]] = {}
        for state in self._states:
            for history in state.records:
                before = found.get(history.record.name)
                if before is None or before[0] < state.last_run:
                    found[history.record.name] = state.last_run, history
        return {name: history for name, (_, history) in found.items()}

    @cached_property
    def _findings(self) -> dict[str, list[Finding]]:
        found: dict[str, list[Finding]] = defaultdict(list)
        for state in self._states:
            for finding in (active.finding for active in state.findings):
                for about in {value for key, value in finding.evidence if key in ABOUT}:
                    found[about].append(finding)
        return dict(found)

    @cached_property
    def _senders(self) -> dict[str, tuple[list[IP], list[str]]]:
        found: dict[str, tuple[dict[IP, None], dict[str, None]]] = defaultdict(lambda: ({}, {}))
        for target in (state.target for state in self._states):
            if isinstance(target, Authorisation):
                for name in target.mail_from:
                    found[name][0].update((egress.ip, None) for egress in target.egress)
                    if target.spf_include:
                        found[name][1][target.spf_include] = None
        return {name: (list(addresses), list(includes)) for name, (addresses, includes) in found.items()}


class _Passing:
    """Which policies the SPF records include that let all addresses of a sender pass.

    That an include lets them pass is proven by a record that has nothing else which could.
    """

    def __init__(self, states: Iterable[CheckState], records: Mapping[str, Sequence[str]]) -> None:
        self.senders: dict[IP, set[str]] = defaultdict(set)
        self._domains: dict[str, Counter[str]] = defaultdict(Counter)  # of each sender, by policy
        self._seen: set[str] = set()
        self._proven: dict[str, set[str]] = defaultdict(set)
        for state in states:
            if isinstance(state.target, Authorisation):
                self._add(state.target, records, passes=not state.findings and state.doubt is None)

    def _add(self, target: Authorisation, records: Mapping[str, Sequence[str]], *, passes: bool) -> None:
        if target.sender not in self._seen:  # it has the same addresses for each domain
            self._seen.add(target.sender)
            for egress in target.egress:
                self.senders[egress.ip].add(target.sender)
        if not (passes and target.egress):
            return
        for name in target.mail_from:
            texts = records.get(f"{name} TXT v=spf1", ())
            included, alone = _included(texts[0]) if len(texts) == 1 else ((), False)
            self._domains[target.sender].update(included)
            if alone:
                self._proven[target.sender].update(included)

    def shared(self, senders: Collection[str]) -> tuple[str, int] | None:
        """The one that most domains have, if it is proven for each of these senders."""
        proven = set.intersection(*(self._proven.get(it, set()) for it in senders)) if senders else set()
        most = {policy: min(self._domains[it][policy] for it in senders) for policy in proven}
        best = max(most, key=lambda it: (most[it], it), default=None)
        return (best, most[best]) if best is not None else None


@lru_cache(maxsize=1024)  # siblings have the same text
def _included(text: str) -> tuple[tuple[str, ...], bool]:
    """The policies that an SPF record includes, and is there nothing else but one in it that lets somebody pass?"""
    words = text.lower().split()[1:]
    included = tuple(
        it.removeprefix("+")[len("include:") :] for it in words if it.startswith(("include:", "+include:"))
    )
    others = [it for it in words if "include:" not in it and it.lstrip("+-~?") != "all"]
    return included, len(included) == 1 and not others and len(words) <= 2
