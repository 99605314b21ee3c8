"""Names that registries hold are found from the domains, and the list of their servers is right when it is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.config import Settings
from exporter.mail.rdap import IANA
from exporter.model import Acceptance
from exporter.targets import Registration
from tests.support.configuration import Read, only, refused

OFF = "checks: {smtp_tls: {enabled: false}}\n"


def registrations(settings: Settings) -> dict[str, Registration]:
    return {target.domain: target for target in only(settings, Registration)}


def test_each_name_that_a_registry_holds_is_judged_once(read: Read) -> None:
    names = ["example.com", "shop.example.com", "a.b.example.co.uk", "project.github.io", "example", "bücher.example"]
    settings = read(OFF + "domains:\n" + "".join(f"  - {{name: {name}}}\n" for name in names))
    assert list(registrations(settings)) == [
        "example.com",
        "example.co.uk",
        "github.io",
        "example",
        "xn--bcher-kva.example",
    ]


def test_what_all_domains_below_it_agree_on_goes_for_a_registration(read: Read) -> None:
    settings = read(
        """
label_names: [team, env]
checks: {smtp_tls: {enabled: false}}
domains:
  - name: example.com
    labels: {team: crm, env: prod}
    checks: {registration: {enabled: false}, mx: {enabled: false}}
    accept: [{finding: registration.expiring, reason: given up}, {finding: dmarc.missing, reason: later}]
  - name: shop.example.com
    labels: {team: shop, env: prod}
    checks: {registration: {enabled: false}}
    accept: [{finding: registration.expiring, reason: given up}]
  - name: example.net
    labels: {team: crm}
    checks: {registration: {enabled: false}}
  - name: www.example.net
    labels: {team: crm}
"""
    )
    com, net = registrations(settings).values()
    assert (com.labels, net.labels) == ((("env", "prod"),), (("team", "crm"),))
    assert com.off == {"registration", "smtp_tls"}
    assert net.off == {"smtp_tls"}, "one of its domains wants it"
    assert com.accept == (Acceptance(finding="registration.expiring", until=None, reason="given up"),)


def test_the_list_of_servers_is_that_of_iana_unless_told_otherwise(read: Read) -> None:
    assert read("").rdap_bootstrap == IANA
    url = "https://rdap.example.net/dns.json"
    assert read(f"rdap: {{bootstrap: {url}}}").rdap_bootstrap == url


def test_a_file_is_relative_to_the_configuration(read: Read) -> None:
    Path("lists").mkdir()
    Path("lists/dns.json").write_text('{"services": []}')
    assert read("rdap: {bootstrap: lists/dns.json}").rdap_bootstrap == Path("lists/dns.json")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("dns.json", "names a file that cannot be read: No such file or directory"),
        ("broken.json", "names a file that is no list of RDAP servers: it has no list of services"),
        ("huge.json", "names a file that is no list of RDAP servers: it is larger than 1048576 bytes"),
        (
            "http://data.iana.org/rdap/dns.json",
            "'http://data.iana.org/rdap/dns.json' is neither a file nor an https URL; anything else could be forged",
        ),
        ("''", "expected a file or an https URL, got ''"),
        ("[]", "expected a file or an https URL, got a list"),
    ],
)
def test_a_list_that_cannot_be_read_is_refused(read: Read, given: str, told: str) -> None:
    Path("broken.json").write_text("{}")
    Path("huge.json").write_text(" " * 2_000_000)
    assert refused(read, f"rdap: {{bootstrap: {given}}}") == f"config.yaml:1 rdap.bootstrap: {told}"
