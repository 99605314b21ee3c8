"""exporter/mail/tls_rpt.py against RFC 8460."""

from __future__ import annotations

import pytest

from exporter.mail.policy_txt import PolicyTxtSyntaxError
from exporter.mail.tls_rpt import Reporting, parse


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
