"""What the parsers of exporter/mail cost at their worst. Run by hand: python -m bench.parsers

Each gets the most that a sender of remote text can make it read: 64 KiB, built from small units that hurt somewhere.
"""

from __future__ import annotations

import base64
import gzip
import itertools
import string
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from exporter.demo import mark
from exporter.explain import bounce
from exporter.mail import helo, mailbox, mta_sts, names, rdap, smtp, tag_list, tls, tls_rpt
from exporter.mail.bimi import certificate as bimi_certificate
from exporter.mail.bimi import logo as bimi_logo
from exporter.mail.bimi import record as bimi
from exporter.mail.certificate import Roots
from exporter.mail.dkim import key_record as dkim
from exporter.mail.dmarc import record as dmarc
from exporter.mail.spf import macro as spf_macro
from exporter.mail.spf import record as spf_record

SIZE = 64 * 1024
MOST = 0.020  # seconds
ROUNDS = 3

SPF_UNITS = (
    "a |  |x=y |x= |a:b.c |ip4:1.2.3.4 |ip6:::1 |mx/1//1 |exists:%{i}.c |ptr |all "
    "|%{l}|%{l1r-}|%%|/|//1|a-|.|x|%|:|=|\0|é"
)
SPF_DISTINCT = (
    "a:?.a",
    "a?=",
    "x?=%{d}",
    "a:%{d}.?.c",
    "exists:?.%%.c",
    "ip6:::?",
    "a:?.c/1//1",
    "a:%{d?}.c",
    "-include:?.c",
)
TAG_UNITS = ";|a=b;|a;|=;|p=none;|a;b=c;|x|é;| | ;|a = b ;|mailto:a@b.c,|https://a@b/,|,|!1,|:|0:|s:|AAAA|=|@"
POLICY_UNITS = "\n|\r\n|a\n|a: b\n|mx: a.b\n|mx: *\n|a: |:| |\r|\0|é"
TEXT_UNITS = (
    "a|.|-|_|é|\xa0|[|]|a.|-.|1-|1.|[IPv6:|%|\U0001f600"
    '|550 5.7.1 |550-|host a.|: |; |<<< |in reply to |@|"|\\"|\0|\ud83d'
)


def filled(unit: str, head: str = "", tail: str = "") -> str:
    return head + unit * ((SIZE - len(head) - len(tail)) // len(unit)) + tail


def distinct(unit: str, head: str) -> str:
    """No two terms alike, so that nothing is saved by reading one once."""
    room, terms = SIZE - len(head), []
    alphabet = (
        "0123456789abcdef"
        if unit.startswith("ip6")
        else string.digits[1:]
        if "{d?}" in unit
        else string.ascii_lowercase
    )
    for letters in itertools.chain.from_iterable(itertools.product(alphabet, repeat=n) for n in range(1, 5)):
        term = unit.replace("?", "".join(letters)) + " "
        room -= len(term)
        if room < 0:
            break
        terms.append(term)
    return head + "".join(terms)


def cases() -> Iterator[tuple[str, Callable[[Any], object], Any]]:
    """A title, the parser, the input."""
    for unit in SPF_UNITS.split("|"):
        for head, tail in (("v=spf1 ", ""), ("v=spf1 x=", ""), ("v=spf1 a:", ".c"), ("v=spf1 a:%{l", "}.c")):
            yield f"spf_record {head}{unit}{tail}", spf_record.parse, filled(unit, head, tail).encode("latin-1")
        yield f"spf_macro {unit}", explanation, filled(unit)
        yield f"query_name {unit}", spf_macro.query_name, filled(unit)
    for unit in SPF_DISTINCT:
        yield f"spf_record, distinct {unit}", spf_record.parse, distinct(unit, "v=spf1 ").encode()
    for unit in TAG_UNITS.split("|"):
        yield f"tags {unit}", tag_list.read, filled(unit).encode("latin-1")
        for head in ("p=;", "p=;h=", "p=", "k=ed25519;p="):
            yield f"dkim {head}{unit}", dkim.parse, filled(unit, head).encode("latin-1")
        for head in ("v=BIMI1;", "v=BIMI1;l="):
            yield f"bimi {head}{unit}", bimi.parse, filled(unit, head).encode("latin-1")
        for head in ("v=DMARC1;", "v=DMARC1;rua=", "v=DMARC1;fo="):
            yield f"dmarc {head}{unit}", dmarc.parse, filled(unit, head).encode("latin-1")
        for head in ("v=STSv1;", "v=STSv1;id="):
            yield f"mta_sts record {head}{unit}", mta_sts.policy_id, filled(unit, head).encode("latin-1")
        for head in ("v=TLSRPTv1;", "v=TLSRPTv1;rua=", "v=TLSRPTv1;rua=mailto:", "v=TLSRPTv1;rua=https://"):
            yield f"tls_rpt {head}{unit}", tls_rpt.parse, filled(unit, head).encode("latin-1")
    for unit in POLICY_UNITS.split("|"):
        for head in (
            "",
            "version:STSv1\nmode:none\nmax_age:1\n",
            "version:STSv1\nmode:enforce\nmax_age:1\nmx:a.b\na: ",
        ):
            yield f"mta_sts {head}{unit}", mta_sts.parse, filled(unit, head).encode("latin-1")
    lines = "".join(f"mx: {number}.{'a.' * 28}b\n" for number in range(mta_sts.MOST_LINES - 3))
    yield "mta_sts, distinct hosts", mta_sts.parse, f"version:STSv1\nmode:enforce\nmax_age:1\n{lines}".encode()[:SIZE]
    uris = ",".join(f"mailto:{number:x}@b.c" for number in range(5000)).encode()
    yield "tls_rpt, distinct destinations", tls_rpt.parse, b"v=TLSRPTv1;rua=" + uris[: SIZE - 15]
    key = base64.b64encode(b"\x30\x83\x00\xbf\xf0\x02\x83\x00\xbf\xe0" + bytes(49_000))
    yield "dkim, a number of 49,000 octets", dkim.parse, b"p=" + key[: SIZE - 2]
    for unit in TEXT_UNITS.split("|"):
        for head in ("", "[", "a@", '"'):
            text = filled(unit, head)
            yield f"helo {head}{unit}", helo.parse, text
            yield f"refusal {head}{unit}", bounce.read, text
            yield f"mailbox {head}{unit}", mailbox.parse, text
            yield f"mailbox, as long as looked at, {head}{unit}", mailbox.parse, text[: mailbox.LONGEST_TEXT]
            yield f"names {head}{unit}", names.canonical, text
            yield f"names, as long as allowed, {head}{unit}", names.canonical, text[: names.LONGEST_NAME]
            yield f"smtp {head}{unit}", reply, text.encode("utf-8", "surrogatepass")
    for line in ("250-\n", "250-a\r\n", "250-A A\r\n", "250-é\n"):
        yield f"smtp {line!r}", reply, filled(line).encode()
    for record in (b"\x16\x03\x03\x00\x01\x02", b"\x15\x03\x03\x00\x02\x01\x70", b"\x16\x03\x03\x00\x00", b"\x16"):
        yield (
            f"tls {record.hex()}",
            lambda octets: tls.judge(tls.Version.TLS_1_2, octets),
            record * (SIZE // len(record)),
        )
    hello = b"\x02\x00\x3f\xf0\x03\x03" + bytes(32) + b"\0" + b"\0\x01\0" + b"\x3f\xc0" + b"\0\x01\0\0" * 4084
    yield (
        "tls, 4,000 extensions",
        lambda o: tls.judge(tls.Version.TLS_1_2, o),
        b"\x16\x03\x03" + len(hello).to_bytes(2) + hello,
    )
    roots = Roots()
    for head in (b"\x30\x82\xff\xfc", b"\x30\x80", b""):
        for unit in (b"\x30\x80", b"\x30\x02\x05\x00", b"\xa0\x03\x02\x01\x02"):
            der = head + unit * ((SIZE - len(head)) // len(unit))
            yield f"certificate {head.hex()} {unit.hex()}", lambda o: roots.examine((o,), 0), der
    svg = '<svg xmlns="http://www.w3.org/2000/svg">'
    for unit in (
        "<a/>",
        "<a b='' c=''/>",
        "<title>&amp;</title>",
        "<?a?>",
        "<script/>",
        "<a onx='' href='b'/>",
        "&#38;",
    ):
        yield f"bimi_logo {unit}", bimi_logo.read, filled(unit, svg, "</svg>").encode()
    for unit in ("url(", "url('", " ", "'url(", "a"):
        yield (
            f"bimi_logo, an attribute of {unit}",
            bimi_logo.read,
            filled(unit, f'{svg}<a b="url(', '"/></svg>').encode(),
        )
    yield "bimi_logo, packed", bimi_logo.read, gzip.compress(filled("<a/>", svg, "</svg>").encode())
    names_of = " ".join(f"a{number}=''" for number in range(6000))
    yield "bimi_logo, attributes", bimi_logo.read, f"{svg}<a {names_of}/></svg>".encode()[:SIZE]
    chain = mark.page(mark.Mark("https://a.example/b", "a.example"), 0).body
    yield "bimi_certificate, many", bimi_certificate.parse, filled(chain).encode()
    yield "bimi_certificate, digits", bimi_certificate.parse, filled("A", "-----BEGIN CERTIFICATE-----\n").encode()
    for number in (1, 400):
        packed = gzip.compress(bytes(bimi_logo.LARGEST))[:-1]  # its end is missing
        uri = b"data:image/svg+xml;base64," + base64.b64encode(packed)
        strings = (b"\x16\x82" + len(uri).to_bytes(2) + uri) * number
        yield f"bimi_certificate, {number} bad logos", bimi_certificate.logos, strings[:SIZE]
    yield "bimi_certificate, empty strings", bimi_certificate.logos, b"\x16\0" * (SIZE // 2)
    yield "rdap, brackets", lambda o: rdap.registration(o, "example.com"), b"[" * SIZE
    yield "rdap, digits", lambda o: rdap.registration(o, "example.com"), b"1" * SIZE
    many = b'{"objectClassName":"domain","ldhName":"example.com","%s":[%s]}'
    for key_, item in (
        (b"events", b'{"eventAction":"registration","eventDate":"2000-01-01T00:00:00Z"}'),
        (b"status", b'"aA"'),
    ):
        items = b",".join([item] * ((SIZE - len(many)) // (len(item) + 1)))
        yield f"rdap, {key_.decode()}", lambda o: rdap.registration(o, "example.com"), many % (key_, items)


def explanation(text: str) -> object:
    return spf_macro.macro_string(text, explanation=True)


def reply(octets: bytes) -> object:
    incoming = smtp.Incoming()
    incoming.feed(octets)
    while found := incoming.take():
        smtp.size_limit(smtp.extensions(found))
    return None


def seconds(parser: Callable[[Any], object], given: Any) -> float:
    """Of this process, the best of some rounds: what else the machine does is no matter of the parser."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        with suppress(ValueError):  # every syntax error is one
            parser(given)
        best = min(best, time.process_time() - began)
    return best


def main() -> None:
    worst: dict[str, tuple[float, str]] = {}
    count = slow = 0
    for title, parser, given in cases():
        took = seconds(parser, given)
        count += 1
        slow += took > MOST
        name = title.partition(" ")[0].strip(",")
        worst[name] = max(worst.get(name, (0.0, "")), (took, title))
    for took, title in sorted(worst.values(), reverse=True):
        print(f"{took * 1e3:7.1f} ms  {title!r}")
    print(f"{count} inputs of up to {SIZE} octets, {slow} of them above {MOST * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
