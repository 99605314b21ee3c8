"""Changes of DNS as people paste them: what comes out is read by whoever has to read it."""

from __future__ import annotations

import json
import random

import dns.zone
import pytest

from exporter.engine.held import Held
from exporter.remedies import KEY, KEY_REST, OTHERS, RECORD_ID, TTL, Action, DnsChange, Remedy, txt
from exporter.remedies.forms import data, forms, zone_file

SPF = txt("example.com", "v=spf1 ip4:192.0.2.1 -all", ("v=spf1 -all",))
DMARC = txt("_dmarc.example.com", "v=DMARC1; p=none")


def parsed(text: str) -> list[tuple[str, int, str, str]]:
    """Name, TTL, type and data of each record, as dnspython reads the zone file."""
    zone = dns.zone.from_text(text, origin=".", relativize=False, check_origin=False)
    return [
        (name.to_text(), ttl, rdata.rdtype.name, b"".join(getattr(rdata, "strings", ())).decode() or rdata.to_text())
        for name, ttl, rdata in zone.iterate_rdatas()
    ]


@pytest.mark.parametrize(
    "text",
    [
        "v=DMARC1; p=none; rua=mailto:a@example.com",
        r"v=DKIM1; n=say \"hello\"; p=",
        'a "quote" and a \\ backslash; and a semicolon',
        "x" * 255,
        "x" * 256,
        "é" * 200,
        "\x00\x7f\t\n",
    ],
)
def test_a_text_comes_back_whole_from_a_zone_file(text: str) -> None:
    (record,) = parsed(zone_file([txt("_x.example.com", text)]))
    assert record == ("_x.example.com.", TTL, "TXT", text)


def test_any_text_comes_back_whole_in_strings_of_255_octets() -> None:
    chance = random.Random(1)
    for _ in range(60):
        text = "".join(map(chr, chance.choices(range(1, 0x250), k=chance.randrange(1, 700))))
        zone = dns.zone.from_text(
            zone_file([txt("_x.example.com", text)]), origin=".", relativize=False, check_origin=False
        )
        ((_, _, rdata),) = zone.iterate_rdatas()
        strings = getattr(rdata, "strings", ())
        assert b"".join(strings).decode() == text
        assert all(len(string) == 255 for string in strings[:-1])


def test_what_has_to_go_is_a_comment_in_a_zone_file() -> None:
    first, second = zone_file([SPF]).splitlines()
    assert first == '; remove: example.com. 3600 IN TXT "v=spf1 -all"'
    assert second == 'example.com. 3600 IN TXT "v=spf1 ip4:192.0.2.1 -all"'
    assert [row[3] for row in parsed(zone_file([SPF]))] == ["v=spf1 ip4:192.0.2.1 -all"]


def test_a_blank_for_a_key_has_strings_of_its_own_as_a_key_is_longer_than_one() -> None:
    assert data("TXT", f"v=DKIM1; p={KEY}{KEY_REST}") == f'"v=DKIM1; p=" "{KEY}" "{KEY_REST}"'


def test_route_53_keeps_what_stands_beside_the_record_or_has_a_blank_for_it() -> None:
    form = {it.key: it for it in forms([SPF, DMARC])}["route_53"]
    first, second = json.loads(form.text)["Changes"]
    assert first["Action"] == second["Action"] == "UPSERT"
    assert first["ResourceRecordSet"] == {
        "Name": "example.com.",
        "Type": "TXT",
        "TTL": TTL,
        "ResourceRecords": [{"Value": '"v=spf1 ip4:192.0.2.1 -all"'}, {"Value": f'"{OTHERS}"'}],
    }
    assert second["ResourceRecordSet"]["ResourceRecords"] == [{"Value": '"v=DMARC1; p=none"'}]


def test_route_53_has_octal_digits_where_a_zone_file_has_decimal_ones() -> None:
    assert data("TXT", "é", octal=True) == r'"\303\251"'
    assert data("TXT", "é") == r'"\195\169"'


def test_a_set_that_goes_as_a_whole_is_deleted_before_another_type_takes_its_place() -> None:
    changes = [
        DnsChange("a.example.com", "A", ("192.0.2.1",)),
        DnsChange("a.example.com", "CNAME", remove=("b.example.com.",)),
    ]
    body = json.loads({it.key: it.text for it in forms(changes)}["route_53"])
    assert [it["Action"] for it in body["Changes"]] == ["DELETE", "UPSERT"]


def test_cloudflare_gets_fields_and_a_blank_for_the_id_of_what_goes() -> None:
    changes = [SPF, DnsChange("10.2.0.192.in-addr.arpa", "PTR", ("mail.example.com.",))]
    body = json.loads({it.key: it.text for it in forms(changes)}["cloudflare"])
    assert body["posts"] == [
        {"type": "TXT", "name": "example.com", "ttl": TTL, "content": '"v=spf1 ip4:192.0.2.1 -all"'},
        {"type": "PTR", "name": "10.2.0.192.in-addr.arpa", "ttl": TTL, "content": "mail.example.com"},
    ]
    assert body["deletes"] == [{"id": 'YOUR-ID-OF example.com TXT "v=spf1 -all"'}]


def test_no_change_has_no_form() -> None:
    assert forms([]) == ()
    assert not Remedy()


def test_the_action_says_what_happens_to_the_name() -> None:
    assert SPF.action is Action.REPLACE
    assert DMARC.action is Action.SET
    assert DnsChange("example.com", "SPF", remove=("v=spf1 -all",)).action is Action.REMOVE


def test_the_blanks_of_a_remedy_are_told_with_their_meaning() -> None:
    assert list(Remedy((txt("_x.example.com", f"v=DKIM1; p={KEY}{KEY_REST}"),)).blanks) == [KEY, KEY_REST]
    assert list(Remedy((SPF,)).blanks) == []
    assert [list(it.blanks) for it in forms([SPF])] == [[], [OTHERS], [RECORD_ID]]
    assert list(Remedy((DMARC,)).blanks) == []


def test_nothing_is_known_of_nothing() -> None:
    held = Held([])
    assert (held.texts("x TXT"), held.findings("x"), held.senders("x")) == (None, (), ((), ()))
