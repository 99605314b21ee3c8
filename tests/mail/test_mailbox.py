"""Addresses: what RFC 5321 allows is left alone, what it forbids is refused with its place, and nothing hides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.mail.mailbox import Mailbox, MailboxSyntaxError, meant, parse
from exporter.text import printable

LONG_NAME = ".".join(["b" * 60] * 4) + ".com"


@pytest.mark.parametrize(
    ("text", "mailbox"),
    [
        ("user@example.com", Mailbox("user", "example.com")),
        ("User.Name+tag@EXAMPLE.com", Mailbox("User.Name+tag", "example.com")),
        ("!#$%&'*+/=?^_`{|}~-@example.com", Mailbox("!#$%&'*+/=?^_`{|}~-", "example.com")),
        ("a@localhost", Mailbox("a", "localhost")),  # DNS will say
        ("a" * 64 + "@example.com", Mailbox("a" * 64, "example.com")),
        ('"a b"@example.com', Mailbox('"a b"', "example.com")),
        ('"a@b"@example.com', Mailbox('"a@b"', "example.com")),
        ('"a\\"b\\\\"@example.com', Mailbox('"a\\"b\\\\"', "example.com")),
        ('""@example.com', Mailbox('""', "example.com")),
        ("a@[192.0.2.1]", Mailbox("a", None)),
        ("a@[IPv6:2001:db8::1]", Mailbox("a", None)),
        ("jörg@example.com", Mailbox("jörg", "example.com", smtputf8=True)),
        ("a@münchen.example", Mailbox("a", "xn--mnchen-3ya.example", as_unicode=True)),
        ("a..b@docomo.ne.jp", Mailbox("a..b", "docomo.ne.jp", odd_dots=True)),
        ("ab.@EZWEB.ne.jp", Mailbox("ab.", "ezweb.ne.jp", odd_dots=True)),
        (".a...b.@ezweb.ne.jp", Mailbox(".a...b.", "ezweb.ne.jp", odd_dots=True)),
        ('"a..b"@docomo.ne.jp', Mailbox('"a..b"', "docomo.ne.jp")),
        ("a.b@docomo.ne.jp", Mailbox("a.b", "docomo.ne.jp")),
        ("a@نامه\u200cای.example", Mailbox("a", "xn--mgba3gch31f060k.example", as_unicode=True)),
    ],
)
def test_what_is_allowed_is_taken_as_it_is(text: str, mailbox: Mailbox) -> None:
    assert parse(text) == mailbox


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("user", "has no @"),
        ("@example.com", "has nothing before the @"),
        ("user@", "has nothing behind the @"),
        ("a@b@example.com", "has more than one @"),
        ("user＠example.com", "has ＠ (U+FF20 FULLWIDTH COMMERCIAL AT) at position 5 instead of an @"),
        ("user @example.com", "has a space at position 5"),
        ("user@exam ple.com", "has a space at position 10"),
        ("user@example.com ", "ends with a space"),
        (" user@example.com", "begins with a space"),
        ("a..b@example.com", "has a dot too many at position 3"),
        (".a@example.com", "has a dot too many at position 1"),
        ("a.@example.com", "has a dot right before the @"),
        ("a..b@mail.docomo.ne.jp", "has a dot too many at position 3"),
        ("..@docomo.ne.jp", "has nothing before the @"),
        ("a..b c@docomo.ne.jp", "has a space at position"),
        ("a,b@example.com", "has , at position 2"),
        ("a\\b@example.com", "has \\ at position 2"),
        ("user@example.com.", "ends with a dot"),
        ("user@example..com", "has a dot too many at position 14"),
        ("user@.example.com", "has a dot too many at position 6"),
        ("user@exa_mple.com", "has _ at position 9"),
        ("user@-example.com", "has the invalid label '-example'"),
        ("user@192.0.2.1", "has a number where its domain should end"),
        ("user@example.1", "has a number where its domain should end"),
        ("user@[192.0.2.1", "has no valid address literal"),
        ("user@[2001:db8::1]", "has no valid address literal"),
        ("user@[IPv6:192.0.2.1]", "has no valid address literal"),
        ("user@[IPv6:fe80::1%eth0]", "has no valid address literal"),
        ("user@[example.com]", "has no valid address literal"),
        ("Anna <anna@example.com>", "has a name or angle brackets around it"),
        ("<anna@example.com>", "has a name or angle brackets around it"),
        ("mailto:anna@example.com", "begins with mailto:"),
        ('"anna@example.com', "begins with a quotation mark, but holds no valid quoted string"),
        ('"an"na@example.com', "has no @ right behind the quoted string"),
        ("a" * 65 + "@example.com", "has 65 bytes before the @, more than 64"),
        ("ö" * 33 + "@example.com", "has 66 bytes before the @, more than 64"),
        ("a" * 60 + "@" + LONG_NAME, "has 308 bytes, more than 254"),
        ("a@" + "b" * 64 + ".com", "has the invalid label"),
        ("a" * 2000, "is longer than 1000 characters"),
        ("user@\u2764.example", "is not a valid internationalised name"),
        ("\u0301a@example.com", "COMBINING ACUTE ACCENT"),
        ("\ue000a@example.com", "U+E000"),
    ],
)
def test_what_is_forbidden_is_refused_and_its_place_named(text: str, says: str) -> None:
    with pytest.raises(MailboxSyntaxError) as caught:
        parse(text)
    assert says in caught.value.says
    assert caught.value.fix.endswith(".")


@pytest.mark.parametrize(
    ("text", "certain"),
    [
        ("a" * 65 + "@example.com", False),  # a server may take more than it must (RFC 5321 section 4.5.3.1)
        ("a" * 60 + "@" + LONG_NAME, False),
        ("\ue000a@example.com", False),
        ("a..b@example.com", True),
        ("user", True),
    ],
)
def test_what_the_rfc_only_wants_avoided_is_not_certain_to_be_refused(text: str, certain: bool) -> None:
    with pytest.raises(MailboxSyntaxError) as caught:
        parse(text)
    assert caught.value.certain is certain


@pytest.mark.parametrize(
    ("char", "named"),
    [
        ("\u00a0", "U+00A0 NO-BREAK SPACE"),
        ("\u00ad", "U+00AD SOFT HYPHEN"),
        ("\u200b", "U+200B ZERO WIDTH SPACE"),
        ("\u200d", "U+200D ZERO WIDTH JOINER"),
        ("\u200e", "U+200E LEFT-TO-RIGHT MARK"),
        ("\u202e", "U+202E RIGHT-TO-LEFT OVERRIDE"),
        ("\u2028", "U+2028 LINE SEPARATOR"),
        ("\u2066", "U+2066 LEFT-TO-RIGHT ISOLATE"),
        ("\u3000", "U+3000 IDEOGRAPHIC SPACE"),
        ("\u3164", "U+3164 HANGUL FILLER"),
        ("\ufe0f", "U+FE0F VARIATION SELECTOR-16"),
        ("\ufeff", "U+FEFF ZERO WIDTH NO-BREAK SPACE"),
        ("\t", "U+0009 TAB"),
        ("\r", "U+000D CARRIAGE RETURN"),
        ("\x1b", "U+001B a control character"),
        ("\x7f", "U+007F a control character"),
    ],
)
def test_what_cannot_be_seen_is_named_with_code_point_and_place(char: str, named: str) -> None:
    for text, place in ((f"{char}user@example.com", 1), (f"us{char}er@example.com", 3), (f"user@ex{char}a.com", 8)):
        with pytest.raises(MailboxSyntaxError) as caught:
            parse(text)
        assert f"holds what cannot be seen: {named} at position {place}" in caught.value.says
        assert char not in caught.value.says + caught.value.fix


def test_a_byte_order_mark_has_a_remedy_of_its_own() -> None:
    with pytest.raises(MailboxSyntaxError) as caught:
        parse("\ufeffuser@example.com")
    assert "without a byte order mark" in caught.value.fix


def test_octets_that_are_no_utf_8_are_named() -> None:
    with pytest.raises(MailboxSyntaxError, match="0xf6 at position 2"):
        parse(b"j\xf6rg@example.com".decode("utf-8", "surrogateescape"))


@given(st.text(st.characters(), max_size=1100) | st.text('ab.@"\\ <>[]:1\u00a0é', max_size=40))
def test_parsing_raises_nothing_else_and_shows_nothing_raw(text: str) -> None:
    try:
        found = parse(text)
    except MailboxSyntaxError as error:
        told = error.says + error.fix
    else:
        told = found.domain or ""
        assert len(f"{found.local}@{told}".encode()) <= 254
        assert told.isascii()
    assert told == printable(told, 10_000)


@given(
    st.from_regex(r"[A-Za-z0-9_+-]{1,20}(\.[a-z0-9]{1,8}){0,2}", fullmatch=True),
    st.from_regex(r"[a-z0-9]{1,20}\.[a-z]{2,8}", fullmatch=True),
)
def test_every_plain_address_is_allowed(local: str, domain: str) -> None:
    assert parse(f"{local}@{domain}") == Mailbox(local, domain)


@pytest.mark.parametrize(
    ("domain", "large"),
    [
        ("gmial.com", "gmail.com"),
        ("gmai.com", "gmail.com"),
        ("gmaill.com", "gmail.com"),
        ("gnail.com", "gmail.com"),
        ("gmail.con", "gmail.com"),
        ("gmail.co", "gmail.com"),
        ("hotmial.com", "hotmail.com"),
        ("homail.com", "hotmail.com"),
        ("outlok.com", "outlook.com"),
        ("yaho.com", "yahoo.com"),
        ("t-onlne.de", "t-online.de"),
        # themselves, receivers of their own, and what is too far
        ("gmail.com", None),
        ("mail.com", None),
        ("email.com", None),
        ("ymail.com", None),
        ("cloud.com", None),
        ("yahoo.de", None),
        ("hotmail.fr", None),
        ("aol.com", None),
        ("gma.com", None),
        ("example.com", None),
    ],
)
def test_slips_of_large_receivers_are_seen(domain: str, large: str | None) -> None:
    assert meant(domain) == large
