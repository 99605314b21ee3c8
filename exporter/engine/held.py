"""What is held besides single findings: published records, findings by name, and who is configured to send.

The fix of a finding often depends on it: which record has to be replaced, and who else needs to be in the new one.
Everything is indexed at the first question, once for all states of one moment.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property

from exporter.check_state import CheckState, RecordHistory
from exporter.facts import IP, Finding, Record
from exporter.remedies import whole
from exporter.targets import Authorisation

ABOUT = ("name", "domain", "helo")  # evidence by which findings are looked for


class Held:
    """Answers as facts.Known wants them, from all states of one moment."""

    def __init__(self, states: Iterable[CheckState]) -> None:
        self._states = states

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
