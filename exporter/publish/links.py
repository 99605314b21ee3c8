"""Where the links of alerts lead to: the exporter's own pages, or a place that is up when the exporter is not."""

from __future__ import annotations

from urllib.parse import urlsplit

from exporter.publish.finding_pages import anchor
from exporter.publish.thresholds import Thresholds

LONGEST = 500  # characters of a URL
_PAGE = "/{check}.md#{anchor}"  # below the place that hosts the finding pages
_FORBIDDEN = set("{}<>\"'`\\ ")  # what YAML or a template would read otherwise
FINDING = "{{ $labels.finding }}"  # in a template of Prometheus: that of the series
_WORDS = ("check", "finding", "anchor")  # that a URL may have in braces
_OF_SERIES = ("{{ $labels.check }}", FINDING, '{{ reReplaceAll "[.]" "" $labels.finding }}')


def runbook(given: Thresholds, finding: str, exporter: str) -> str:
    """What a finding means, and how to fix it. `finding` is its id or FINDING; links to the exporter begin with it."""
    words = (finding.partition(".")[0], finding, anchor(finding)) if finding != FINDING else _OF_SERIES
    return about(given, *words) or f"{exporter}/findings/{finding}"


def about(given: Thresholds, page: str, what: str, anchor: str) -> str:
    """A place on one of the pages that are hosted; empty if none are."""
    if not given.runbook_url:
        return ""
    url = given.runbook_url if "{" in given.runbook_url else given.runbook_url.rstrip("/") + _PAGE
    return _with(url, dict(zip(_WORDS, (page, what, anchor), strict=True)))


def check_runbook_url(text: str) -> None:
    """Raise ValueError, which says what is expected, unless it is a URL or empty.

    It may have the words in braces that `runbook` fills in. Without them, it is that of the folder with finding pages.
    """
    try:
        filled = _with(text, dict.fromkeys(_WORDS, "x"))
        parts = urlsplit(filled)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and not set(filled) & _FORBIDDEN
    except ValueError:
        good = False
    if text and not (good and text.isascii() and text.isprintable() and len(text) <= LONGEST):
        raise ValueError(
            f"runbook URL: {text[:100]!r} is not an http:// or https:// URL. Give that of a folder with the "
            "finding pages, or one with {check}, {finding} or {anchor} in it, for example "
            "https://runbooks.example.com/{check}.html#{anchor}"
        )


def _with(url: str, words: dict[str, str]) -> str:
    for name, value in words.items():
        url = url.replace(f"{{{name}}}", value)
    return url
