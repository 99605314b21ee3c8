"""The servers of the lab answer as they are meant to: what other tests rest on."""

from __future__ import annotations

import random
import smtplib
import socket
import ssl
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dns.edns
import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from tests.lab import nameservers, postfix, process
from tests.lab.exporter import ROOT
from tests.lab.process import Endpoint, Lab, until
from tests.lab.prometheus import Prometheus, check_metrics, prometheus
from tests.lab.zones import Signing, zone

pytestmark = pytest.mark.lab

VERSIONS = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}
DNSSEC_ERRORS = range(5, 13)  # RFC 8914 sections 4.6 to 4.13


class Exposition(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"answer 42\n")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def exporter() -> Iterator[Endpoint]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Exposition) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Endpoint("127.0.0.1", server.server_port)
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def monitor(lab: Lab, exporter: Endpoint) -> Prometheus:
    """Asked for first: everything else happens in the five seconds before its first scrape."""
    return prometheus(
        lab,
        f"""global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
  - job_name: lab
    static_configs: [{{targets: ["{exporter}"]}}]
""",
    )


def test_prometheus_answers(monitor: Prometheus) -> None:
    assert monitor.query("vector(1)") == {(): 1.0}
    with pytest.raises(AssertionError, match="parse error"):
        monitor.query("up{")


@pytest.fixture(scope="module")
def resolver(lab: Lab) -> Endpoint:
    signed = zone("good.test", '@ TXT "v=spf1 -all"\nlong TXT' + f' "{"x" * 250}"' * 12, Signing.GOOD)
    bogus = zone("bogus.test", '@ TXT "v=spf1 -all"', Signing.BOGUS)
    expired = zone("expired.test", '@ TXT "v=spf1 -all"', Signing.EXPIRED)
    plain = zone("plain.test", '@ TXT "v=spf1 ~all"')
    zones = [signed, bogus, expired, plain]
    authority = nameservers.nsd(lab, zones)
    lists = nameservers.rbldnsd(
        lab,
        {
            "bl.test": {"ip4set": ":127.0.0.2:See bl.test $\n127.0.0.2\n192.0.2.1\n", "ip6trie": "2001:db8::25/128\n"},
            "dbl.test": {"dnset": ":127.0.1.2:Listed $\n.spam.example\ntest\n"},
        },
    )
    stubs = {it.origin: authority for it in zones} | {"lame.test": authority, "bl.test": lists, "dbl.test": lists}
    return nameservers.unbound(lab, stubs, zones)


def ask(server: Endpoint, name: str, rdtype: str, *, tcp: bool = False) -> dns.message.Message:
    query = dns.message.make_query(name, rdtype, want_dnssec=True)
    send = dns.query.tcp if tcp else dns.query.udp
    return send(query, server.host, port=server.port, timeout=5)


def texts(response: dns.message.Message) -> list[str]:
    return [str(rdata) for rrset in response.answer if rrset.rdtype != dns.rdatatype.RRSIG for rdata in rrset]


def test_signed_answers_are_authenticated(resolver: Endpoint) -> None:
    response = ask(resolver, "good.test", "TXT")
    assert (response.rcode(), texts(response)) == (dns.rcode.NOERROR, ['"v=spf1 -all"'])
    assert response.flags & dns.flags.AD


def test_signed_absence_is_authenticated(resolver: Endpoint) -> None:
    response = ask(resolver, "absent.good.test", "A")
    assert response.rcode() == dns.rcode.NXDOMAIN
    assert response.flags & dns.flags.AD


@pytest.mark.parametrize("name", ["bogus.test", "expired.test"])
def test_wrong_signatures_are_refused_and_said_to_be(resolver: Endpoint, name: str) -> None:
    response = ask(resolver, name, "TXT")
    errors = [option.code for option in response.options if isinstance(option, dns.edns.EDEOption)]
    assert response.rcode() == dns.rcode.SERVFAIL
    assert [code in DNSSEC_ERRORS for code in errors] == [True]


def test_unsigned_answers_are_not_authenticated(resolver: Endpoint) -> None:
    response = ask(resolver, "plain.test", "TXT")
    assert texts(response) == ['"v=spf1 ~all"']
    assert not response.flags & dns.flags.AD


def test_a_server_that_refuses_is_a_servfail(resolver: Endpoint) -> None:
    assert ask(resolver, "lame.test", "A").rcode() == dns.rcode.SERVFAIL


def test_the_rest_of_the_world_does_not_exist(resolver: Endpoint) -> None:
    assert ask(resolver, "mail.example.com", "A").rcode() == dns.rcode.NXDOMAIN


def test_a_long_answer_is_truncated_over_udp_and_whole_over_tcp(resolver: Endpoint) -> None:
    assert ask(resolver, "long.good.test", "TXT").flags & dns.flags.TC
    assert len(texts(ask(resolver, "long.good.test", "TXT", tcp=True))[0]) > 3000


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("2.0.0.127.bl.test", "127.0.0.2"),
        ("1.2.0.192.bl.test", "127.0.0.2"),
        ("1.0.0.127.bl.test", None),
        ("5.2." + "0." * 22 + "8.b.d.0.1.0.0.2.bl.test", "127.0.0.2"),
        ("www.spam.example.dbl.test", "127.0.1.2"),
        ("example.dbl.test", None),
    ],
)
def test_blocklists_say_what_they_list(resolver: Endpoint, name: str, listed: str | None) -> None:
    response = ask(resolver, name, "A")
    if listed is None:
        assert response.rcode() == dns.rcode.NXDOMAIN
    else:
        assert texts(response) == [listed]


@pytest.fixture(scope="module")
def mail(lab: Lab) -> postfix.Postfix:
    return postfix.postfix(
        lab,
        {
            **{version: postfix.only(version) for version in VERSIONS},
            "good": postfix.GOOD,
            "expired": postfix.EXPIRED,
            "wrong name": postfix.WRONG_NAME,
            "untrusted": postfix.UNTRUSTED,
            "no starttls": postfix.NO_STARTTLS,
            "small": postfix.size(10_240),
            "busy": postfix.BUSY,
        },
    )


def starttls(mail: postfix.Postfix, case: str, version: str | None = None) -> str | None:
    """The TLS version agreed on; raise ssl.SSLError where none is or the certificate is not to be believed."""
    context = ssl.create_default_context()
    context.set_ciphers("ALL:@SECLEVEL=0")  # OpenSSL 3 speaks TLS 1.0 and 1.1 on this level only
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        if version:
            context.minimum_version = context.maximum_version = VERSIONS[version]
    mail.authority.configure_trust(context)
    at = mail.at[case]
    with socket.create_connection(at, 5) as connection, connection.makefile("rwb") as lines:

        def say(command: str) -> bytes:
            lines.write(command.encode() + b"\r\n")
            lines.flush()
            reply = line = lines.readline()
            while line[3:4] == b"-":
                line = lines.readline()
                reply += line
            return reply

        assert lines.readline().startswith(b"220 ")
        assert b"STARTTLS" in say("EHLO probe.lab.test")
        assert say("STARTTLS").startswith(b"220 ")
        with context.wrap_socket(connection, server_hostname=postfix.HOSTNAME) as secured:
            return secured.version()


@pytest.mark.parametrize("offered", VERSIONS)
@pytest.mark.parametrize("spoken", VERSIONS)
def test_each_listener_speaks_its_version_of_tls_alone(mail: postfix.Postfix, spoken: str, offered: str) -> None:
    if spoken == offered:
        assert starttls(mail, spoken, offered) == ("TLSv1" if offered == "1.0" else f"TLSv{offered}")
    else:
        with pytest.raises(ssl.SSLError):
            starttls(mail, spoken, offered)


def test_the_good_certificate_is_believed(mail: postfix.Postfix) -> None:
    assert starttls(mail, "good") == "TLSv1.3"


@pytest.mark.parametrize(
    ("case", "complaint"),
    [("expired", "expired"), ("wrong name", "Hostname mismatch"), ("untrusted", "unable to get local issuer")],
)
def test_bad_certificates_are_bad(mail: postfix.Postfix, case: str, complaint: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=complaint):
        starttls(mail, case)


def test_extensions_are_announced_as_configured(mail: postfix.Postfix) -> None:
    with smtplib.SMTP(*mail.at["small"], local_hostname="probe.lab.test", timeout=5) as smtp:
        smtp.ehlo()
        assert smtp.esmtp_features["size"] == "10240"
        assert smtp.has_extn("starttls")
    with smtplib.SMTP(*mail.at["no starttls"], local_hostname="probe.lab.test", timeout=5) as smtp:
        smtp.ehlo()
        assert not smtp.has_extn("starttls")


def test_a_busy_server_says_421(mail: postfix.Postfix) -> None:
    with pytest.raises(smtplib.SMTPConnectError) as refused:
        smtplib.SMTP(*mail.at["busy"], local_hostname="probe.lab.test", timeout=5)
    assert refused.value.smtp_code == 421


def test_promtool_tells_a_good_exposition_from_a_bad_one() -> None:
    check_metrics(
        "# HELP deliverability_check_ok Verdict.\n# TYPE deliverability_check_ok gauge\ndeliverability_check_ok 1\n"
    )
    with pytest.raises(AssertionError, match="no help text"):
        check_metrics("deliverability_check_ok 1\n")


def test_prometheus_scrapes(monitor: Prometheus, exporter: Endpoint) -> None:
    until(lambda: bool(monitor.query("answer")), "first scrape")
    assert monitor.query("answer") == {(("__name__", "answer"), ("instance", str(exporter)), ("job", "lab")): 42.0}
    assert [target["health"] for target in monitor.targets()] == ["up"]


def test_no_port_is_given_twice_though_nobody_listens_on_it_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    first, choose = process.free(), random.choice
    tosses = [first.port, first.port]
    monkeypatch.setattr(process._dice, "choice", lambda ports: tosses.pop() if tosses else choose(ports))
    assert process.free() != first
    assert not tosses


def test_no_port_is_given_to_a_second_process() -> None:
    """As when tests run in several. Once the first has ended, it may have the port."""
    port = process.free().port
    claims = f"from tests.lab.process import _claimed; print(_claimed({port}), _claimed({port + 20_000}))"
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", claims], cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stdout == "False True\n"
