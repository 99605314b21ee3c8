"""One page for each check, as Markdown: what its findings say, what they do to mail, how to fix them.

Runbook links of alerts may lead to them, because whatever shows Markdown can host them, and is up when the exporter is
not. So no page links to what is not beside it.
"""

from __future__ import annotations

from collections.abc import Iterator

from exporter.engine.catalogue import Catalogue, CatalogueEntry
from exporter.explain import examples
from exporter.facts import Rule, Severity
from exporter.publish.markdown import code, codes, fenced, joined, plain, sentence, table
from exporter.remedies import Remedy
from exporter.remedies.forms import zone_file

FOLDER = "docs/reference/findings"
INDEX = "README.md"  # code hosts show it for the folder
MADE = "<!-- Made by `deliverability-exporter publish`; changes are lost with the next one. -->"

_HEAD = """\
A finding is a fact about a target that affects its mail. The examples below use names and addresses that are reserved
for documentation. The page of a target shows its own values, with each DNS query and its answer.

The running exporter has the same texts at `/findings/ID`, and `deliverability-exporter explain ID` prints them. If you
have a rejection, begin with `deliverability-exporter explain "THE REPLY"`.

| Severity | Means |
| --- | --- |
| critical | Receivers reject mail now. |
| warning | Receivers will reject mail, or distrust it. The check fails, too. |
| info | Only pages show it. No check fails because of it, and it has no series. |

`severities` in the configuration changes the severity of a finding. `accept` on an entry acknowledges it, with a date
if you like. Findings of severity critical and warning are `deliverability_finding{finding="ID"}`, and have alerts.
Alerts about the exporter itself are on [a page of their own](exporter.md)."""


def pages(known: Catalogue) -> Iterator[tuple[str, str]]:
    """Path below the directory, and content: the index, and a page for each check."""
    yield f"{FOLDER}/{INDEX}", _index(known)
    for entry in known.entries:
        yield f"{FOLDER}/{entry.check.id}.md", _check(entry)


def anchor(finding: str) -> str:
    """What code hosts call the heading `spf.missing`; GitLab and others know no anchor but those of headings."""
    return finding.replace(".", "")


def _index(known: Catalogue) -> str:
    rows = [
        (
            f"[{code(entry.check.id)}]({entry.check.id}.md)",
            plain(entry.check.question),
            *(str(sum(rule.severity is severity for rule in entry.rules)) for severity in Severity),
        )
        for entry in known.entries
    ]
    return joined("# Findings", MADE, _HEAD, table(("Check", "Question", *map(str, Severity)), rows))


def _check(entry: CatalogueEntry) -> str:
    return joined(
        f"# Findings of {entry.check.id}",
        MADE,
        f"{plain(entry.check.question)} What the words below mean, and the findings of other checks: [index]({INDEX}).",
        *(_finding(rule) for rule in sorted(entry.rules, key=lambda rule: rule.id)),
    )


def _finding(rule: Rule) -> str:
    """The id is an anchor, too, where a page may have its own: links need not know how a heading becomes one."""
    lines = [f"- {plain(examples.fix(rule))}"]
    lines += [f"- Receivers: {code(refusal)}" for refusal in rule.refusals]
    lines += [f"- One for each: {codes(rule.subjects)}"] if rule.subjects else []
    lines += [f"- Source: {plain(rule.ref)}"]
    return joined(
        f'<a id="{rule.id}"></a>',
        f"## {rule.id}",
        f"**{rule.severity}**: {plain(sentence(examples.fact(rule)))}",
        plain(rule.why),
        "\n".join(lines),
        *_pasted(examples.remedy(rule)),
    )


def _pasted(remedy: Remedy) -> Iterator[str]:
    """What repairs the example, to be copied. Names in capital letters have to be filled in."""
    if remedy.records:
        yield fenced(zone_file(remedy.records), "dns")
    if remedy.settings:
        yield f"One of these, for {' or '.join(f'{it.server} ({it.where})' for it in remedy.settings)}:"
        yield fenced("\n".join(line for it in remedy.settings for line in it.lines))
    if remedy.request:
        yield f"For the owner of the address: {plain(remedy.request)}"
    if remedy.blanks:
        yield "\n".join(f"- {code(blank)}: {meaning}" for blank, meaning in remedy.blanks.items())
