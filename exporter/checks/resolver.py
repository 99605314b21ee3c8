"""The exporter's own resolver. Each verdict about somebody's mail depends on its answers."""

from __future__ import annotations

import secrets
from ipaddress import ip_address

from exporter.facts import Rule, Severity
from exporter.mail.dns import Status
from exporter.model import Facts, check
from exporter.net import Net
from exporter.targets import OwnResolver


@check(over=OwnResolver, questions=2)
async def resolver(target: OwnResolver, net: Net) -> Facts:
    """Are the answers of the exporter's own resolver reliable?"""
    if target.uses_blocklists:
        for ip in target.nameservers:
            if ip in PUBLIC_RESOLVERS:
                yield PUBLIC(ip=ip, operator=PUBLIC_RESOLVERS[ip])

    invented = await net.query(f"{secrets.token_hex(12)}.{target.wildcard_free}", "A")
    if invented.exists:
        addresses = ", ".join(map(str, invented.addresses))
        yield REWRITES(name=invented.question.name, addresses=addresses)
    elif invented.doubt:
        yield invented.doubt.over(REWRITES)

    # Over TCP and then over UDP, as the difference tells; a nameserver that is silent altogether is no finding.
    signed, over_tcp = await net.query(target.signed, "NS", tcp=True), None
    if signed.status in (Status.TIMEOUT, Status.NETWORK):
        signed, over_tcp = await net.query(target.signed, "NS", fresh=True), signed
    if signed.doubt:
        doubt = signed.doubt.over(DENIES).over(NOT_VALIDATING)
        yield doubt.over(NO_TCP) if over_tcp else doubt
        return
    if over_tcp:
        yield NO_TCP(detail=over_tcp.detail or over_tcp.status)
    if not signed.exists:
        yield DENIES(name=target.signed, answer=str(signed.status).upper())
    elif not signed.authenticated:
        yield NOT_VALIDATING(name=target.signed)


REWRITES = Rule(
    "resolver.rewrites",
    Severity.WARNING,
    says="the resolver returns addresses for names that do not exist: {name} has {addresses}",
    why="Every name seems to exist and every blocklist seems to list, so no other result is reliable.",
    fix="Set resolver.nameservers to a resolver that answers NXDOMAIN, best your own on this host.",
    ref="RFC 2308 section 2.1; RFC 8020 section 2",
    doubts=True,
)
DENIES = Rule(
    "resolver.denies",
    Severity.WARNING,
    says="the resolver says that {name} has no name servers ({answer}): it does not resolve public DNS",
    why="A resolver that denies what exists makes every record look missing, so no other result is reliable.",
    fix="Set resolver.nameservers to a resolver that resolves {name}, best your own on this host. If public DNS is "
    "blocked on purpose, acknowledge this finding.",
    ref="RFC 1034 section 4.3.1; RFC 8020 section 2",
    doubts=True,
)
NO_TCP = Rule(
    "resolver.no-tcp",
    Severity.WARNING,
    says="the resolver answers over UDP but not over TCP: {detail}",
    why="Long answers, such as many TXT records or large keys, need TCP. Their results stay unknown.",
    fix="Allow TCP to port 53 of the resolver, and make the resolver answer it.",
    ref="RFC 7766 section 5",
)
PUBLIC = Rule(
    "resolver.public",
    Severity.WARNING,
    says="{ip} is a public resolver ({operator}), and blocklists are in use",
    why="Blocklists reject queries of public resolvers or answer them wrongly, so listings go unnoticed.",
    fix="Replace {ip} in resolver.nameservers with your own recursive resolver that does not forward.",
    ref="Spamhaus DNSBL usage terms; RFC 5782 section 5",
    subjects=("ip",),
)
NOT_VALIDATING = Rule(
    "resolver.not-validating",
    Severity.INFO,
    says="the resolver does not validate DNSSEC: {name} NS is signed, but the AD flag is missing",
    why="Where signatures are broken, receivers that validate get no answer. This resolver does not see that.",
    fix="Switch on DNSSEC validation in the resolver (unbound: auto-trust-anchor-file; BIND: dnssec-validation auto).",
    ref="RFC 4035 section 3.2.3; RFC 6840 section 5.7",
)

_OPERATORS = {
    "AdGuard": "94.140.14.14 94.140.15.15 94.140.14.140 94.140.14.141 2a10:50c0::ad1:ff 2a10:50c0::ad2:ff",
    "Alibaba": "223.5.5.5 223.6.6.6 2400:3200::1 2400:3200:baba::1",
    "Cloudflare": "1.1.1.1 1.0.0.1 1.1.1.2 1.0.0.2 1.1.1.3 1.0.0.3 2606:4700:4700::1111 2606:4700:4700::1001 "
    "2606:4700:4700::1112 2606:4700:4700::1002 2606:4700:4700::1113 2606:4700:4700::1003",
    "Google": "8.8.8.8 8.8.4.4 2001:4860:4860::8888 2001:4860:4860::8844 2001:4860:4860::6464 2001:4860:4860::64",
    "Level 3": "4.2.2.1 4.2.2.2 4.2.2.3 4.2.2.4 4.2.2.5 4.2.2.6 209.244.0.3 209.244.0.4",
    "OpenDNS": "208.67.222.222 208.67.220.220 208.67.222.123 208.67.220.123 2620:119:35::35 2620:119:53::53",
    "Quad9": "9.9.9.9 149.112.112.112 9.9.9.10 149.112.112.10 9.9.9.11 149.112.112.11 "
    "2620:fe::fe 2620:fe::9 2620:fe::10 2620:fe::fe:10 2620:fe::11 2620:fe::fe:11",
    "Yandex": "77.88.8.8 77.88.8.1 2a02:6b8::feed:0ff 2a02:6b8:0:1::feed:0ff",
}
PUBLIC_RESOLVERS = {ip_address(ip): operator for operator, ips in _OPERATORS.items() for ip in ips.split()}
