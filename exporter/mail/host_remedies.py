"""What repairs the name of a sending host: in its DNS, in its reverse DNS, and in its mail server; and TLS of a server.

The settings are those of the vendors' documentation:

- Postfix: postconf(1) `-e`; postconf(5) `smtp_helo_name`, `smtpd_tls_chain_files`, `smtpd_tls_security_level`, and
  `smtpd_tls_protocols`, which takes `>=TLSv1.2` since Postfix 3.6.
- Exim: specification, chapter "Main configuration": `primary_hostname`, which `helo_data` of the smtp transport has as
  its default, `tls_advertise_hosts`, `tls_certificate`, whose file may hold the key, too, and `openssl_options`.
- Exchange: Microsoft Learn, Set-SendConnector `-Fqdn`, and Enable-ExchangeCertificate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from exporter.facts import IP, Finding, Known
from exporter.mail import names
from exporter.mail.spf.record import SpfResult
from exporter.remedies import (
    CERTIFICATE,
    CONNECTOR,
    HOST,
    NOTHING,
    THUMBPRINT,
    DnsChange,
    Remedy,
    ServerSetting,
    txt,
    whole,
)
from exporter.text import listed

MAIN_SECTION = "main section of the configuration"


def say_name(name: str) -> tuple[ServerSetting, ...]:
    """Let the server say this name in HELO and EHLO."""
    return (
        ServerSetting("Postfix", "shell", (f"postconf -e 'smtp_helo_name = {name}' && postfix reload",)),
        ServerSetting("Exim", MAIN_SECTION, (f"primary_hostname = {name}",)),
        ServerSetting("Exchange", "Management Shell", (f"Set-SendConnector -Identity '{CONNECTOR}' -Fqdn {name}",)),
    )


def offer_tls(findings: Sequence[Finding], known: Known) -> Remedy:  # noqa: ARG001 (each remedy is called alike)
    """Let the server offer STARTTLS. The certificate only its owner knows."""
    chain = f"'smtpd_tls_chain_files = {CERTIFICATE}' 'smtpd_tls_security_level = may'"
    return Remedy(
        settings=(
            ServerSetting("Postfix", "shell", (f"postconf -e {chain} && postfix reload",)),
            ServerSetting("Exim", MAIN_SECTION, ("tls_advertise_hosts = *", f"tls_certificate = {CERTIFICATE}")),
            ServerSetting(
                "Exchange",
                "Management Shell",
                (f"Enable-ExchangeCertificate -Thumbprint '{THUMBPRINT}' -Services SMTP",),
            ),
        )
    )


def speak_newer_tls(findings: Sequence[Finding], known: Known) -> Remedy:  # noqa: ARG001 (each remedy is called alike)
    """Let the server speak TLS 1.2 and newer alone."""
    return Remedy(
        settings=(
            ServerSetting("Postfix", "shell", ("postconf -e 'smtpd_tls_protocols = >=TLSv1.2' && postfix reload",)),
            ServerSetting(
                "Exim",
                f"{MAIN_SECTION}, with OpenSSL",
                ("openssl_options = +no_sslv2 +no_sslv3 +no_tlsv1 +no_tlsv1_1",),
            ),
        )
    )


def greet(findings: Sequence[Finding], known: Known) -> Remedy:  # noqa: ARG001 (each remedy is called alike)
    """Another HELO name. It is a blank where the evidence has none, or several machines have to say their own."""
    advised = {dict(finding.evidence)["plain"] for finding in findings}
    return Remedy(settings=say_name(advised.pop() if len(advised) == 1 and _all_names(advised) else HOST))


def give_address(findings: Sequence[Finding], known: Known) -> Remedy:
    """Address records for the name, beside those that it has. Those that are not public go."""
    records: dict[tuple[str, str], list[str]] = {}
    old: dict[tuple[str, str], dict[str, None]] = {}
    for it in (dict(finding.evidence) for finding in findings):
        if names.as_address(it["ip"]) is None or not names.is_hostname(it["helo"]) or _is_alias(it["helo"], known):
            return NOTHING  # the address that receivers see is not known, or there can be no record
        about = (it["helo"], it["rdtype"])
        records.setdefault(about, []).append(it["ip"])
        if not whole(it.get("addresses", "")):
            return NOTHING
        found = filter(None, map(names.as_address, filter(None, it.get("addresses", "").split(", "))))
        version = 4 if it["rdtype"] == "A" else 6
        old.setdefault(about, {}).update((str(ip), None) for ip in found if ip.version == version)
    return Remedy(
        tuple(
            DnsChange(
                name,
                rdtype,
                tuple(dict.fromkeys(ips)),
                tuple(ip for ip in old[name, rdtype] if _private(ip)),
                tuple(ip for ip in old[name, rdtype] if not _private(ip)),
            )
            for (name, rdtype), ips in records.items()
        )
    )


def give_address_words(findings: Sequence[Finding], known: Known) -> str:
    """The same in words, where it is more than one record."""
    records = [(it, value) for it in give_address(findings, known).records for value in it.add]
    if len(records) < 2:
        return ""
    return f"Publish the records {listed(f'{it.name} {it.type} {value}' for it, value in records)}."


def greet_words(findings: Sequence[Finding], known: Known) -> str:  # noqa: ARG001 (each merged fix is called alike)
    """Machines that say one wrong name have to say a name each."""
    advised = dict.fromkeys(dict(finding.evidence)["plain"] for finding in findings)
    if len(advised) < 2:
        return ""
    return f"Set the HELO name of each machine to the name of its PTR: {listed(it for it in advised if _is_name(it))}."


def helo_spf(findings: Sequence[Finding], known: Known) -> Remedy:
    """The SPF record of the HELO name that the evidence has. Nothing, if several addresses want different ones."""
    evidence = [dict(finding.evidence) for finding in findings]
    records = {it["record"] for it in evidence}
    if len(records) > 1 or not all(map(whole, records)) or any(_is_alias(it["helo"], known) for it in evidence):
        return NOTHING
    (record,) = records
    name = evidence[0]["helo"]
    if "why" not in evidence[0]:
        return Remedy((txt(name, record),))
    # A valid record got a term more, in front. What is no valid record is not known.
    version, *terms = record.split(" ")
    longer = bool(terms) and terms[0].partition(":")[2] in {it["ip"] for it in evidence}
    if not longer or evidence[0].get("result") == SpfResult.PERMERROR:
        return NOTHING
    return Remedy((txt(name, record, (" ".join((version, *terms[1:])),)),))


def point(findings: Sequence[Finding], known: Known) -> Remedy:
    """A PTR record, and the words that ask the owner of the address for it."""
    evidence = dict(findings[0].evidence)
    advised = next((evidence[key] for key in ("helo", "wanted") if key in evidence), HOST)
    stands = [it["name"] for it in (dict(found.evidence) for found in findings) if "name" in it]
    _, alias, place = evidence.get("pointer", "").rpartition(" -> ")
    return _pointed(evidence["ip"], advised, stands, known, place if alias else "")


def confirm(findings: Sequence[Finding], known: Known) -> Remedy:
    """The address record that the name of the PTR has to have, or a PTR to another name if it can have none."""
    evidence = dict(findings[0].evidence)
    name, stands = evidence["name"], evidence["names"].split(", ")
    if not whole(evidence["names"]):
        return NOTHING
    if name not in stands:
        return _pointed(evidence["ip"], name, stands, known)
    confirmed = DnsChange(name, evidence["rdtype"], (evidence["ip"],), keep=None)
    others, ip = tuple(f"{it}." for it in stands if it != name), names.as_address(evidence["ip"])
    if not others or ip is None:
        return Remedy((confirmed,))
    left = DnsChange(names.pointer(ip), "PTR", (), others, (f"{name}.",))
    return Remedy((confirmed, left), request=_request(ip, name))


def leave_one(findings: Sequence[Finding], known: Known) -> Remedy:  # noqa: ARG001 (each remedy is called alike)
    """Words that ask for one PTR record in place of many."""
    evidence: Mapping[str, str] = dict(findings[0].evidence)
    ip, name = names.as_address(evidence["ip"]), evidence["helo"]
    return Remedy(request=_request(ip, name if _all_names([name]) else HOST)) if ip else NOTHING


def _pointed(address: str, advised: str, stands: Iterable[str], known: Known, place: str = "") -> Remedy:
    """`place` is where the record stands, if an alias leads there (RFC 2317)."""
    ip = names.as_address(address)
    if ip is None:
        return NOTHING
    name = advised if _all_names([advised]) else HOST
    gone = tuple(f"{it.removesuffix('.')}." for it in dict.fromkeys(stands) if whole(it))
    change = DnsChange(place or names.pointer(ip), "PTR", (f"{name}.",), gone)
    return Remedy((*_forward(ip, name, known), change), request=_request(ip, name))


def _request(ip: IP, name: str) -> str:
    return f"Please set the reverse DNS of {ip} to {name}, and let this be its only PTR record."


def _forward(ip: IP, name: str, known: Known) -> Iterable[DnsChange]:
    """The address record of the name, if a finding says that it does not have it."""
    wanting = [it for it in known.findings(name) if it.rule.remedy is give_address and ("ip", str(ip)) in it.evidence]
    return give_address(wanting, known).records


def _is_alias(name: str, known: Known) -> bool:
    """Does a finding say that this HELO name is a CNAME? Then it can have no other record (RFC 1034 section 3.6.2)."""
    return any({"helo", "canonical"} <= dict(it.evidence).keys() for it in known.findings(name))


def _all_names(found: Iterable[str]) -> bool:
    return all(map(_is_name, found))


def _is_name(text: str) -> bool:
    """Is it a host name with a dot, and no words in place of one?"""
    return "." in text and names.is_hostname(text)


def _private(ip: str) -> bool:
    address = names.as_address(ip)
    return address is not None and names.not_public(address) is not None
