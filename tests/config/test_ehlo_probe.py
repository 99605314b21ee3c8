"""`ehlo_probe` is off until peers are named; a peer means one thing; nobody is asked more often than is decent."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_address

import pytest

from exporter.config import Settings
from exporter.targets import EhloProbe, Greeting, Peer
from tests.support.configuration import SENDER, Read, only, refused

PEERS = "ehlo_probe: {peers: [gmail.com]}\n"


def probes(settings: Settings) -> list[EhloProbe]:
    return only(settings, EhloProbe)


@pytest.mark.parametrize("peers", ["", "ehlo_probe: {}\n", "ehlo_probe: {peers: []}\n"])
def test_without_peers_nobody_is_asked(read: Read, peers: str) -> None:
    assert probes(read(SENDER + peers)) == []


def test_a_peer_is_a_mail_domain_or_this_very_server(read: Read) -> None:
    peers = "[Gmail.com., {domain: münchen.example}, {host: mx.example.net, port: 2525}, {host: b.example}]"
    (probe,) = probes(read(f"{SENDER}ehlo_probe: {{peers: {peers}}}"))
    assert probe.peers == (
        Peer("gmail.com"),
        Peer("xn--mnchen-3ya.example"),
        Peer("mx.example.net", exactly=True, port=2525),
        Peer("b.example", exactly=True, port=25),
    )


def test_each_address_is_a_target_and_its_name_is_not_repaired(read: Read) -> None:
    settings = read(
        PEERS + "senders: [{name: a, helo: 'x.. ', addresses: [192.0.2.1, {ip: 192.0.2.2, helo: ''}]},"
        " {name: theirs, spf_include: spf.example.net}]"
    )
    assert [(p.sender, p.ip, p.helo) for p in probes(settings)] == [
        ("a", ip_address("192.0.2.1"), "x.. "),
        ("a", ip_address("192.0.2.2"), ""),
    ]


def test_a_sender_can_be_left_out(read: Read) -> None:
    (probe,) = probes(read(PEERS + SENDER.replace("out,", "out, checks: {ehlo_probe: {enabled: false}},", 1)))
    (greeting,) = only(read(PEERS + SENDER), Greeting)
    assert "ehlo_probe" in probe.off
    assert "ehlo_probe" not in greeting.off


def test_a_refusal_can_be_accepted(read: Read) -> None:
    accept = "accept: [{finding: ehlo_probe.refused, reason: the peer is wrong}],"
    (probe,) = probes(read(PEERS + SENDER.replace("out,", f"out, {accept}", 1)))
    assert [accepted.finding for accepted in probe.accept] == ["ehlo_probe.refused"]


def test_six_hours_are_the_pace_and_the_fastest(read: Read) -> None:
    assert read(SENDER + PEERS).intervals["ehlo_probe"] == timedelta(hours=6)
    assert read(SENDER + PEERS + "schedule: {default: 1m}").intervals["ehlo_probe"] == timedelta(hours=6)
    assert read(SENDER + PEERS + "schedule: {ehlo_probe: 1d}").intervals["ehlo_probe"] == timedelta(days=1)
    assert refused(read, "schedule: {ehlo_probe: 5h}") == (
        "config.yaml:1 schedule.ehlo_probe: expected 6h or more: it queries other people's servers"
    )


@pytest.mark.parametrize(
    ("peers", "told"),
    {
        "gmail.com": "ehlo_probe.peers: expected a list of peers, got text; write [...], or a `- ` line for each",
        "[192.0.2.1]": "ehlo_probe.peers[0].domain: '192.0.2.1' is an address; a domain name is wanted here",
        "[{}]": "ehlo_probe.peers[0]: is a domain or a host; set one of the two",
        "[{domain: a.example, host: b.example}]": "ehlo_probe.peers[0]: is a domain or a host; set one of the two",
        "[{domain: a.example, port: 26}]": "ehlo_probe.peers[0].port: goes with host alone: mail for a domain goes to "
        "port 25",
        "[{host: a.example, port: 0}]": "ehlo_probe.peers[0].port: expected a whole number from 1 to 65535",
        "[a.example, {host: A.example}]": "ehlo_probe.peers[1]: the probed receiver a.example is configured twice: "
        "here and at config.yaml:2 ehlo_probe.peers[0]; keep one",
    }.items(),
)
def test_what_is_no_peer_is_told(read: Read, peers: str, told: str) -> None:
    assert f"config.yaml:2 {told}" in refused(read, f"{SENDER}ehlo_probe: {{peers: {peers}}}")


@pytest.mark.parametrize("helo", [r"a\r\nb", r"a\nb", r"a\rb"])
def test_a_name_that_cannot_be_said_in_one_line_is_refused_where_it_is_to_be_said(read: Read, helo: str) -> None:
    sender = f'senders: [{{name: out, addresses: [192.0.2.1], helo: "{helo}"}}]\n'
    assert probes(read(sender)) == []
    assert refused(read, sender + PEERS) == (
        "config.yaml:1 senders[0].addresses[0]: has a HELO name with a line break, "
        "which ehlo_probe cannot say in one line; correct the name"
    )
    read(sender.replace("out,", "out, checks: {ehlo_probe: {enabled: false}},", 1) + PEERS)


def test_nul_is_in_no_name(read: Read) -> None:
    assert "holds the character U+0000" in refused(read, SENDER.replace("out.example.com", r'"out\0"') + PEERS)
