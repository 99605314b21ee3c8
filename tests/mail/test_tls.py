"""A raw hello is understood by a real TLS library, and answers prove what they prove and no more."""

from __future__ import annotations

import os
import ssl
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.demo.ca import Authority
from exporter.mail.tls import LONGEST_ANSWER, Version, VersionAnswer, client_hello, is_tls, judge

OLD, NEW = (Version.TLS_1_0, Version.TLS_1_1), (Version.TLS_1_2, Version.TLS_1_3)
OPENSSL = dict(
    zip(
        Version,
        (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3),
        strict=True,
    )
)
RANDOM = bytes(range(32))


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    issued = Authority(1_780_000_000).issue("mx.example.com", not_before=1_780_000_000, not_after=1_790_000_000)
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    file.write_bytes(issued.key + issued.chain)
    return file


def server(identity: Path, oldest: Version, newest: Version, ciphers: str = "ALL:@SECLEVEL=0") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(ciphers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = OPENSSL[oldest], OPENSSL[newest]
    context.load_cert_chain(identity)
    return context


def says(context: ssl.SSLContext, hello: bytes) -> bytes:
    """What a real TLS library answers."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(hello)
    with pytest.raises(ssl.SSLError):  # the wish for more octets is one too
        tls.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("newest", Version)
@pytest.mark.parametrize("oldest", Version)
def test_each_version_is_told_from_each_other(identity: Path, oldest: Version, newest: Version) -> None:
    if oldest > newest:
        return
    context = server(identity, oldest, newest)
    told = {
        version: judge(version, says(context, client_hello(version, "mx.example.com", os.urandom(32))))
        for version in Version
    }
    assert {version: answer and answer.spoken for version, answer in told.items()} == {
        version: oldest <= version <= newest for version in Version
    }


def test_versions_that_openssl_allows_and_then_has_no_cipher_for_are_not_spoken(identity: Path) -> None:
    context = server(identity, Version.TLS_1_0, Version.TLS_1_3, "ECDHE+AESGCM")
    for version in OLD:
        answer = judge(version, says(context, client_hello(version, "mx.example.com", RANDOM)))
        assert answer == VersionAnswer(False, "alert handshake_failure (40)")


def test_versions_whose_signatures_openssl_forbids_are_not_judged(identity: Path) -> None:
    """What it answers then, internal_error, could as well be a passing trouble of the server."""
    context = server(identity, Version.TLS_1_0, Version.TLS_1_3, "DEFAULT:@SECLEVEL=2")
    for version in OLD:
        answer = judge(version, says(context, client_hello(version, "mx.example.com", RANDOM)))
        assert answer == VersionAnswer(None, "alert internal_error (80)")


def test_the_hello_names_the_server(identity: Path) -> None:
    context, named = server(identity, Version.TLS_1_0, Version.TLS_1_3), []
    context.sni_callback = lambda _, name, __: named.append(name)
    for version in Version:
        says(context, client_hello(version, "mx.example.com", RANDOM))
    assert named == ["mx.example.com"] * 4


@pytest.mark.parametrize("version", Version)
@pytest.mark.parametrize(
    "host", ["a.b", "mx.example.com", "x." * 100 + "example.com", "y" * 63 + "." + "z." * 94 + "org"]
)
def test_a_hello_never_has_the_length_that_old_load_balancers_hang_on(version: Version, host: str) -> None:
    hello = client_hello(version, host, RANDOM)
    assert int.from_bytes(hello[3:5]) == len(hello) - 5
    assert not 255 < len(hello) - 5 < 512


def test_a_hello_of_tls_1_3_brings_no_key_and_gets_a_retry_request(identity: Path) -> None:
    answer = says(server(identity, *NEW), client_hello(Version.TLS_1_3, "mx.example.com", RANDOM))
    retry_request = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
    assert retry_request in answer
    assert judge(Version.TLS_1_3, answer) == VersionAnswer(True, "ServerHello, TLS 1.3")


@pytest.mark.parametrize("asked", Version)
def test_every_beginning_of_an_answer_waits_for_the_rest_and_more_changes_nothing(
    identity: Path, asked: Version
) -> None:
    octets = says(server(identity, Version.TLS_1_0, Version.TLS_1_3), client_hello(asked, "mx.example.com", RANDOM))
    end = next(n for n in range(len(octets) + 1) if judge(asked, octets[:n]))
    assert all(judge(asked, octets[:n]) is None for n in range(end))
    assert {judge(asked, octets[:n]) for n in range(end, len(octets) + 1)} == {
        VersionAnswer(True, f"ServerHello, TLS {asked}")
    }


def alert(level: int, code: int) -> bytes:
    return bytes((21, 3, 1, 0, 2, level, code))


@pytest.mark.parametrize(
    ("code", "spoken"),
    [
        (70, False),
        (40, False),
        (71, False),
        (0, None),
        (10, None),
        (47, None),
        (50, None),
        (80, None),
        (86, None),
        (255, None),
    ],
)
def test_only_alerts_that_speak_of_what_was_offered_are_a_no(code: int, spoken: bool | None) -> None:
    told = judge(Version.TLS_1_0, alert(2, code))
    assert told is not None
    assert told.spoken is spoken
    assert f"({code})" in told.said


def hello_of(version: int, extensions: bytes = b"") -> bytes:
    body = version.to_bytes(2) + bytes(32) + b"\0" + b"\xc0\x2f\0" + extensions
    message = b"\x02" + len(body).to_bytes(3) + body
    return b"\x16\x03\x03" + len(message).to_bytes(2) + message


def test_a_server_that_goes_down_does_not_speak_what_was_asked_for() -> None:
    assert judge(Version.TLS_1_2, hello_of(0x0302)) == VersionAnswer(False, "ServerHello, TLS 1.1")
    assert judge(Version.TLS_1_3, hello_of(0x0303)) == VersionAnswer(False, "ServerHello, TLS 1.2")


def test_a_server_that_goes_up_breaks_the_protocol_and_proves_nothing() -> None:
    assert judge(Version.TLS_1_0, hello_of(0x0303)) == VersionAnswer(None, "ServerHello, TLS 1.2")


def test_a_warning_about_the_name_may_stand_before_the_answer() -> None:
    assert judge(Version.TLS_1_2, alert(1, 112)) is None
    assert judge(Version.TLS_1_2, alert(1, 112) + hello_of(0x0303)) == VersionAnswer(True, "ServerHello, TLS 1.2")
    assert judge(Version.TLS_1_2, alert(2, 112)) == VersionAnswer(None, "alert unrecognized_name (112)")


def test_a_server_hello_may_come_in_many_records() -> None:
    message = hello_of(0x0303)[5:]
    records = b"".join(b"\x16\x03\x03\0\x01" + bytes((octet,)) for octet in message)
    assert judge(Version.TLS_1_2, records) == VersionAnswer(True, "ServerHello, TLS 1.2")


@pytest.mark.parametrize(
    "octets",
    [
        b"250-INJECTED\r\n",
        b"\x16\x05\x01\0\x04abcd",  # no version 3
        b"\x16\x03\x01\xff\xff",  # too long for a record
        b"\x17\x03\x03\0\x01x",  # application data
        b"\x14\x03\x03\0\x01\x01",  # ChangeCipherSpec
        b"\x16\x03\x03\0\0",  # empty
        b"\x15\x03\x03\0\x01\x02",  # half an alert
        b"\x16\x03\x03\0\x04\x01\0\0\0",  # a ClientHello
        hello_of(0x0300),  # SSL 3.0
        hello_of(0x7F17),  # a draft of TLS 1.3
        hello_of(0x0303, b"\0\x05\0\x2b\0\x01\x04"),  # supported_versions of one octet
        b"\x16\x03\x03\0\x08\x02\0\0\x04abcd",  # a ServerHello without a random
        b"\x16\x03\x03\0\x01\x02" * 5000,  # one that never ends
        b"\x15\x03\x03\0\x02\x01\x70" * 5000,  # warnings without end
    ],
)
def test_garbage_proves_nothing(octets: bytes) -> None:
    for version in Version:
        told = judge(version, octets)
        assert told is not None
        assert told.spoken is None


def test_an_answer_that_never_ends_is_given_up() -> None:
    assert judge(Version.TLS_1_2, (b"\x16\x03\x03\x40\x00" + bytes(16384))[:LONGEST_ANSWER]) is not None
    warnings_only = (alert(1, 112) * LONGEST_ANSWER)[:LONGEST_ANSWER]
    assert judge(Version.TLS_1_2, warnings_only) == VersionAnswer(None, "no end of a record")


SHAPED = st.builds(
    lambda kind, body: bytes((kind, 3, 1)) + len(body).to_bytes(2) + body,
    st.sampled_from([20, 21, 22, 23]),
    st.binary(max_size=80) | st.builds(lambda rest: b"\x02\0\0" + bytes((len(rest),)) + rest, st.binary(max_size=80)),
)


@given(st.sampled_from(Version), st.binary(max_size=200) | st.lists(SHAPED, max_size=4).map(b"".join))
def test_nothing_is_ever_raised(asked: Version, octets: bytes) -> None:
    told = judge(asked, octets)
    assert told is None or told.spoken in (True, False, None)


def test_tls_is_told_from_text_by_its_first_octet() -> None:
    assert is_tls(b"")
    assert is_tls(b"\x16\x03")
    assert not is_tls(b"250 ok")


def test_the_codes_are_those_of_the_wire() -> None:
    assert [version.code for version in Version] == [0x0301, 0x0302, 0x0303, 0x0304]
    assert [version for version in Version if version.obsolete] == list(OLD)
