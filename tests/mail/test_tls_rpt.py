"""exporter/mail/tls_rpt.py against RFC 8460."""

from __future__ import annotations

import pytest

from exporter.demo.nameserver import ZoneData
from exporter.mail.policy_txt import PolicyTxtSyntaxError
from exporter.mail.tls_rpt import MOST_HOSTS, Reporting, demand, parse
from exporter.net import Net
from tests.support.clock import FakeClock
from tests.support.memory import MemoryResolver


@pytest.mark.parametrize(
    ("rua", "destinations"),
    [
        ("mailto:reports@example.com", ["mailto:reports@example.com"]),
        ("https://reporting.example.com/v1/tlsrpt", ["https://reporting.example.com/v1/tlsrpt"]),
        ("mailto:a@example.com \t,\t https://b.example", ["mailto:a@example.com", "https://b.example"]),
        ("mailto:a@example.com; rua=mailto:b@example.com", ["mailto:a@example.com", "mailto:b@example.com"]),
        ("mailto:a%2Cb%21c@example.com?subject=TLS=1", ["mailto:a%2Cb%21c@example.com?subject=TLS=1"]),
        ("MAILTO:a@EXAMPLE.com,HTTPS://b.example:443?x", ["MAILTO:a@EXAMPLE.com", "HTTPS://b.example:443?x"]),
        ("mailto:a@example.com,mailto:a@example.com", ["mailto:a@example.com"]),
    ],
)
def test_reports_go_to_each_destination(rua: str, destinations: list[str]) -> None:
    assert parse(f"v=TLSRPTv1; rua={rua}; later=on".encode()) == Reporting(tuple(destinations), ())


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "reports@example.com",
        "mailto:",
        "mailto:reports",
        "mailto:@example.com",
        "mailto:a@b@example.com",
        "mailto:a b@example.com",
        "mailto:a@example.com!10m",
        "mailto:a@exa_mple.com",
        "mailto:é@example.com",
        "http://example.com/",
        "https:example.com",
        "https:///tls",
        "https://user@example.com/",
        "https://example.com:port/",
        "https://[2001:db8::1]/",
        "ftp://example.com/",
        "mailto:a@example.com\x07",
    ],
)
def test_what_no_report_can_go_to_is_told(uri: str) -> None:
    record = f"v=TLSRPTv1; rua={uri},https://good.example/".encode("latin-1")
    assert parse(record) == Reporting(("https://good.example/",), (uri,))


@pytest.mark.parametrize(
    "text",
    [
        "v=TLSRPTv1",
        "v=TLSRPTv1;",
        "v=TLSRPTv1; RUA=mailto:a@example.com",
        "v=TLSRPTv1; rua: mailto:a@example.com",
        "v=TLSRPTv1; x=a b; rua=mailto:a@example.com",
        "v=TLSRPTv1 rua=mailto:a@example.com",
        "v=tlsrptv1; rua=mailto:a@example.com",
    ],
)
def test_a_record_with_a_fault_is_none(text: str) -> None:
    with pytest.raises(PolicyTxtSyntaxError):
        parse(text.encode())


async def asked(zone: str) -> list[str]:
    dns = MemoryResolver(ZoneData(zone))
    await Net(dns, FakeClock()).drive(demand("example.com"))
    return [str(question) for question in dns.asked]


async def test_who_uses_mta_sts_is_not_asked_for_dane() -> None:
    assert await asked('_mta-sts.example.com. TXT "v=STSv1; id=1"') == ["_mta-sts.example.com TXT"]


async def test_the_first_mail_host_with_validated_records_is_enough_and_no_more_are_asked_than_is_sane() -> None:
    hosts = "".join(
        f"example.com. MX {number} mx{number}.example.com.\nmx{number}.example.com. A 192.0.2.25\n"
        for number in range(MOST_HOSTS + 10)
    )
    signed = "; signed: mx1.example.com. *\n; signed: _25._tcp.mx1.example.com. TLSA\n"
    tlsa = "_25._tcp.mx1.example.com. TLSA 3 1 1 " + "00" * 32
    of_host = ["mx{}.example.com A", "mx{}.example.com AAAA", "_25._tcp.mx{}.example.com TLSA"]
    assert await asked(f"{signed}{hosts}{tlsa}") == [
        "_mta-sts.example.com TXT",
        "example.com MX",
        *(question.format(0) for question in of_host),
        *(question.format(1) for question in of_host),
    ]
    assert len(await asked(hosts)) == 2 + len(of_host) * MOST_HOSTS


async def test_what_is_no_host_name_is_not_asked_for() -> None:
    assert await asked("example.com. MX 0 .") == ["_mta-sts.example.com TXT", "example.com MX"]
    assert await asked("example.com. MX 0 mail_1.example.com.") == ["_mta-sts.example.com TXT", "example.com MX"]
