"""Which record of TLS-RPT (RFC 8460) or MTA-STS (RFC 8461) repairs what was found.

For reports all destinations are kept that any text at the name has. Where there is none, the mailbox is a blank. The id
of an MTA-STS record only says that the policy is another one than before, so any that was not used will do (RFC 8461
section 3.1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from exporter.facts import Finding, Known
from exporter.mail.mta_sts import RECORD as MTA_STS
from exporter.mail.policy_txt import PolicyTxtKind, tried
from exporter.mail.tls_rpt import RECORD as TLS_RPT
from exporter.mail.tls_rpt import destinations, parse
from exporter.remedies import MAILBOX, NOTHING, Remedy, txt

FIRST_ID = "v=STSv1; id=1"


def report_tls(findings: Sequence[Finding], known: Known) -> Remedy:
    """One record with all destinations that any text at the name has. Where there is none, a mailbox is a blank."""

    def wanted(domain: str, texts: Sequence[str]) -> str:
        good = [uri for text in texts for uri in _destinations(text.encode())]
        return f"v=TLSRPTv1; rua={','.join(dict.fromkeys(good)) or f'mailto:{MAILBOX}@{domain}'}"

    return _published(findings, known, TLS_RPT, wanted)


def announce_policy(findings: Sequence[Finding], known: Known) -> Remedy:
    """An MTA-STS record. Its id means nothing but that the policy is another one."""
    following = {it["domain"]: it["next"] for it in (dict(found.evidence) for found in findings) if "next" in it}

    def wanted(domain: str, _: Sequence[str]) -> str:
        return f"v=STSv1; id={following[domain]}" if domain in following else FIRST_ID

    return _published(findings, known, MTA_STS, wanted)


def _destinations(text: bytes) -> Sequence[str]:
    """Those of a good record, or what was meant by another text."""
    reporting, _ = tried(parse, text)
    return reporting.destinations if reporting else destinations(text)


def _published(
    findings: Sequence[Finding], known: Known, kind: PolicyTxtKind, wanted: Callable[[str, Sequence[str]], str]
) -> Remedy:
    evidence = [dict(finding.evidence) for finding in findings]
    names = dict.fromkeys(it.get("name", f"{kind.label}.{it.get('domain')}") for it in evidence)
    changes = []
    for name in names:
        texts = known.texts(f"{name} TXT")
        if texts is None:
            return NOTHING
        changes.append(txt(name, wanted(name.removeprefix(f"{kind.label}."), texts), texts))
    return Remedy(tuple(changes))
