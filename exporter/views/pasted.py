"""The text that somebody pastes to have it explained. It comes by POST: no address in it gets into a URL or a log.

The answer changes nothing, so a page of another origin may ask, too.
"""

from __future__ import annotations

from urllib.parse import parse_qs

FIELD = "q"  # of the form, and of the query of a link
_FIELDS = 4  # of one form
_FORM = "application/x-www-form-urlencoded"


def pasted(body: bytes, content_type: str) -> str:
    """The text in a form, or a body that is plain text. Raise ValueError for another body.

    The caller has limited its size.
    """
    text = body.decode("utf-8", "replace")
    if content_type == "text/plain":
        return text
    if content_type != _FORM:
        raise ValueError(f"send the rejection as {_FORM} or as text/plain")
    try:
        return parse_qs(text, max_num_fields=_FIELDS).get(FIELD, [""])[0]
    except ValueError:
        raise ValueError(f"send one field: {FIELD}=TEXT") from None
