"""A fleet as a hosting company has it: 24 customers' domains, four servers in two pools, and three problems.

It is the world of the pictures in the documents. `zone` and `config` are its two files.

The problems: one server says `localhost` in HELO, four domains include the SPF record of a partner that is broken, and
one domain lacks the key with which its mail is signed.
"""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

CUSTOMERS = {
    "crafts": ("bakery", "brewery", "carpenter", "florist", "garage", "pottery", "tailor", "winery"),
    "hotels": ("alpenhof", "bellevue", "harbour-inn", "lakeside", "old-mill", "seaview", "station-hotel", "villa-rosa"),
    "shops": ("antiques", "bicycles", "bookshop", "comics", "outdoor", "records", "toys", "watches"),
}
POOLS = {"pool-a": ("out1", "out2"), "pool-b": ("out3", "out4")}
ADDRESSES = {"out1": "198.51.100.11", "out2": "198.51.100.12", "out3": "198.51.100.13", "out4": "198.51.100.14"}
SAYS_LOCALHOST = "out3"
WITHOUT_KEY = "bookshop"
WITH_PARTNER = ("antiques", "bicycles", "comics", "toys")
PIECE = 200  # characters of one string of a TXT record, which holds 255
_KEY = (
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAz6v7/INyFteiLu3Kz6JOzKxudIM3PZwK1tJVvf0kSJM8Q8PC9y0IbiNZJq7wFRbv3zeb"
    "TTCDohmdva+qvL2yVGT4w611cKc0nrFKzsLGLEulprVvU61WmCxqKJEYfVUZuicqoZGf9mhIxanmJWJ7CUPpWcb7mpU83UF3QP0h/o7fZ52kbJTe"
    "MNys4plzq+8RpweF6r+Xg5/btfosyjslscvZXK1ymq2t7Ib56MWUoS1y9GSw7uz0cl7WeHB6axvygIXR5J3yNBFODNZ8E1njWx/7evkwU/b3PDrX"
    "I6jCnU2SmZ4i8RpCj6jCiwX3WNE+QiUPdPE7MF25cow7HEhwpQIDAQAB"
)


def _domains() -> Iterator[tuple[str, str]]:
    for team, names in CUSTOMERS.items():
        yield from ((team, name) for name in names)


def zone() -> str:
    """In the form of tests/worlds."""
    lines = ["; 24 customers of a hosting company send from two pools; three things are wrong."]
    lines += ["; source: docs/index.md", "; hosted: example.net example.org"]
    lines += [f"; hosted: {name}.example" for _, name in _domains()]
    lines.append(f"; smtp: {ADDRESSES['out1']}:25 name=mx.example.net")
    lines += ["example.net. MX 10 mx.example.net.", 'example.net. TXT "v=spf1 -all"']
    lines += [f"mx.example.net. A {ADDRESSES['out1']}", '_dmarc.example.net. TXT "v=DMARC1; p=reject"']
    lines.append('_spf.example.net. TXT "v=spf1 ip4:198.51.100.0/28 -all"')
    lines += ['example.org. TXT "v=spf1 -all"', 'spf.example.org. TXT "v=spf1 ip4:203.0.113.300 -all"']
    for host, ip in ADDRESSES.items():
        lines += [f"{host}.example.net. A {ip}", f'{host}.example.net. TXT "v=spf1 a -all"']
        lines.append(f"{'.'.join(reversed(ip.split('.')))}.in-addr.arpa. PTR {host}.example.net.")
    for _, name in _domains():
        domain, partner = f"{name}.example.", "include:spf.example.org " * (name in WITH_PARTNER)
        lines += [f"{domain} MX 10 mx.example.net.", f'{domain} TXT "v=spf1 include:_spf.example.net {partner}-all"']
        lines.append(f'_dmarc.{domain} TXT "v=DMARC1; p=quarantine; rua=mailto:dmarc@{name}.example"')
        if name != WITHOUT_KEY:
            key = '" "'.join(wrap(_KEY, PIECE))
            lines.append(f'h2026._domainkey.{domain} TXT "v=DKIM1; k=rsa; p={key}"')
    return "\n".join([*lines, ""])


def config(resolver: str) -> str:
    lines = [f'resolver: {{nameservers: ["{resolver}"]}}', "smtp: {helo_name: probe.example.net}"]
    lines += ["checks: {smtp_tls: {enabled: false}, dane: {enabled: false}, bimi: {enabled: false}}"]
    lines += ["label_names: [team]", "senders:"]
    for pool, hosts in POOLS.items():
        said = {host: "localhost" if host == SAYS_LOCALHOST else f"{host}.example.net" for host in hosts}
        each = ", ".join(f"{{ip: {ADDRESSES[host]}, helo: {helo}}}" for host, helo in said.items())
        lines.append(f"  - {{name: {pool}, addresses: [{each}]}}")
    lines.append("domains:")
    for number, (team, name) in enumerate(_domains()):
        pool = list(POOLS)[number % 2]
        lines.append(
            f"  - {{name: {name}.example, senders: [{pool}], dkim_selectors: [h2026], labels: {{team: {team}}}}}"
        )
    return "\n".join([*lines, ""])
