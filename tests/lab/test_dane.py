"""DANE among real servers: signatures by dnspython, served by nsd, validated by unbound, and the chain of a Postfix.

Whether a chain fits a record is asked of OpenSSL as well, with which Postfix and others decide.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import AsyncIterator
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from exporter.checks.dane import dane as check
from exporter.clock import SystemClock
from exporter.engine.evaluate import evaluate
from exporter.facts import IP
from exporter.mail.dane.chain import Fit, advised, fit, key
from exporter.mail.dane.tlsa import usable
from exporter.mail.dns import TLSA
from exporter.model import Outcome
from exporter.net import Net
from exporter.net.dns.resolver import Resolver
from exporter.net.smtp.client import SmtpClient
from exporter.targets import Domain, MailHost
from tests.lab import nameservers, postfix
from tests.lab.process import Endpoint, Lab, need
from tests.lab.zones import Signing, zone

pytestmark = pytest.mark.lab

LISTENERS = {
    "good": postfix.GOOD,
    "with root": postfix.WITH_ROOT,
    "expired": postfix.EXPIRED,
    "wrong name": postfix.WRONG_NAME,
    "in clear": postfix.NO_STARTTLS,
}
ADDRESSES = {case: ip_address(f"192.0.2.{n}") for n, case in enumerate(LISTENERS, 1)}
STALE = f"3 1 1 {'ab' * 32}"


@pytest.fixture(scope="module")
def mail_servers(lab: Lab) -> postfix.Postfix:
    return postfix.postfix(lab, LISTENERS, "postfix-dane")


@pytest.fixture(scope="module")
def leaf(lab: Lab, mail_servers: postfix.Postfix) -> bytes:
    return der((lab.home / "postfix-dane" / "tls" / "good.pem").read_bytes())


@pytest.fixture(scope="module")
def root(mail_servers: postfix.Postfix) -> bytes:
    return der(mail_servers.authority.cert_pem.bytes())


def der(pem: bytes) -> bytes:
    return x509.load_pem_x509_certificates(pem)[0].public_bytes(Encoding.DER)


@pytest.fixture(scope="module")
def unbound(lab: Lab, leaf: bytes, root: bytes) -> Endpoint:
    good, bare = advised(leaf), ADDRESSES["good"]
    issuer = f"2 1 1 {hashlib.sha256(key(root)).hexdigest()}"
    plain = f"""
matches      A      {bare}
_25._tcp.matches    TLSA {good}
"""
    hosts = f"""{plain}
renewed      A      {bare}
_25._tcp.renewed    TLSA {STALE}
unsent       A      {bare}
_25._tcp.unsent     TLSA {issuer}
misnamed     A      {ADDRESSES["with root"]}
_25._tcp.misnamed   TLSA {issuer}
in-clear     A      {ADDRESSES["in clear"]}
_25._tcp.in-clear   TLSA {good}
bad          A      {bare}
_25._tcp.bad        TLSA 3 1 3 abcd
_25._tcp.bad        TLSA {good}
without      A      {bare}
alias        CNAME  matches
outside      CNAME  matches.plain.test.
_25._tcp.outside    TLSA {good}
"""
    zones = [
        zone("dane.test", hosts, Signing.GOOD),
        zone("mx.lab.test", f"@ A {ADDRESSES['with root']}\n_25._tcp TLSA {issuer}", Signing.GOOD),
        zone("plain.test", f"{plain}@ MX 10 matches.dane.test.\nalias CNAME matches.dane.test."),
        zone("bogus.test", f"mx A {bare}\n_25._tcp.mx TLSA {good}", Signing.BOGUS),
        zone("com", "", Signing.GOOD),
    ]
    authority = nameservers.nsd(lab, zones, "nsd-dane")
    return nameservers.unbound(lab, {it.origin: authority for it in zones}, zones, "unbound-dane")


@pytest.fixture
async def resolver(unbound: Endpoint) -> AsyncIterator[Resolver]:
    resolver = Resolver([(unbound.host, unbound.port)], SystemClock(), timeout=5)
    await resolver.start()
    yield resolver
    await resolver.close()


@pytest.fixture
def door(mail_servers: postfix.Postfix) -> SmtpClient:
    cases = {ip: case for case, ip in ADDRESSES.items()}

    async def dial(ip: IP, port: int) -> tuple[str, int]:
        return mail_servers.at[cases[ip]]

    return SmtpClient("probe.lab.test", SystemClock(), dial=dial, authorities=mail_servers.authority.cert_pem.bytes())


async def judged(resolver: Resolver, door: SmtpClient, target: MailHost | Domain) -> Outcome:
    clock = SystemClock()
    return await evaluate(check, target, lambda: Net(resolver, clock, mail=door), clock)


@pytest.mark.parametrize(
    ("host", "findings"),
    [
        ("matches.dane.test", ["dane.no-rollover"]),
        ("mx.lab.test", []),
        ("alias.dane.test", ["dane.no-rollover"]),
        ("outside.dane.test", ["dane.no-rollover"]),
        ("renewed.dane.test", ["dane.mismatch"]),
        ("unsent.dane.test", ["dane.mismatch"]),
        ("misnamed.dane.test", ["dane.wrong-name"]),
        ("in-clear.dane.test", ["dane.no-starttls"]),
        ("bad.dane.test", ["dane.bad-record", "dane.no-rollover"]),
        ("without.dane.test", []),
        ("nowhere.dane.test", []),
        ("matches.plain.test", ["dane.not-signed"]),
        ("alias.plain.test", []),
    ],
)
async def test_a_host_is_told_for_what_it_is(
    resolver: Resolver, door: SmtpClient, host: str, findings: list[str]
) -> None:
    outcome = await judged(resolver, door, MailHost(host=host))
    assert outcome.doubt is None, outcome.transcript
    assert [finding.id for finding in outcome.findings] == findings, outcome.transcript


async def test_signatures_that_do_not_hold_are_no_verdict(resolver: Resolver, door: SmtpClient) -> None:
    outcome = await judged(resolver, door, MailHost(host="mx.bogus.test"))
    assert outcome.findings == ()
    assert outcome.doubt is not None
    assert outcome.doubt.reason == "bogus"


async def test_a_domain_that_is_not_signed_is_told_of_hosts_that_are(resolver: Resolver, door: SmtpClient) -> None:
    outcome = await judged(resolver, door, Domain(name="plain.test", mail_from=("plain.test",)))
    assert [finding.id for finding in outcome.findings] == ["dane.mx-not-signed"]


@pytest.mark.parametrize("listener", ["good", "with root", "expired", "wrong name"])
async def test_openssl_is_of_the_same_opinion(
    mail_servers: postfix.Postfix, door: SmtpClient, leaf: bytes, root: bytes, listener: str
) -> None:
    need("openssl")
    told = await door.probe(MailHost(host=postfix.HOSTNAME), ADDRESSES[listener])
    assert told.secured is not None
    for records in _sets(told.secured.chain[0], leaf, root):
        fitted = fit(usable(records), told.secured.chain, postfix.HOSTNAME, SystemClock().wall())
        ours = any(it.fit is Fit.HOLDS for it in fitted)
        assert ours == _openssl(mail_servers.at[listener], records), (listener, [*map(str, records)], fitted)


def _sets(shown: bytes, leaf: bytes, root: bytes) -> list[list[TLSA]]:
    """Every kind of record that has a say, of several certificates; and pairs where one digest outweighs another."""

    def record(usage: int, selector: int, matching: int, certificate: bytes) -> TLSA:
        octets = key(certificate) if selector else certificate
        digest = (lambda it: it, lambda it: hashlib.sha256(it).digest(), lambda it: hashlib.sha512(it).digest())
        return TLSA(usage, selector, matching, digest[matching](octets))

    # OpenSSL does without an issuer that stands whole in the record and is not sent; for us that is no verdict.
    alone = [
        [record(usage, selector, matching, of)]
        for usage in (2, 3)
        for selector in (0, 1)
        for matching in (0, 1, 2)
        for of in (shown, leaf, root)
        if (usage, matching) != (2, 0)
    ]
    right, wrong = shown, root
    return [
        *alone,
        [record(3, 1, 1, right), record(3, 1, 2, wrong)],
        [record(3, 1, 1, wrong), record(3, 1, 2, right)],
        [record(3, 1, 1, right), record(3, 0, 2, wrong)],
        [record(3, 1, 1, right), record(2, 1, 2, wrong)],
        [record(3, 1, 0, right), record(3, 1, 2, wrong)],
        [record(3, 1, 1, wrong), record(3, 1, 1, right)],
    ]


def _openssl(at: Endpoint, records: list[TLSA]) -> bool:
    data = [word for record in records for word in ("-dane_tlsa_rrdata", str(record))]
    command = ["openssl", "s_client", "-brief", "-starttls", "smtp", "-connect", str(at), "-verify_return_error"]
    command += ["-dane_tlsa_domain", postfix.HOSTNAME, "-dane_ee_no_namechecks", *data]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=20)
    assert ("\nDANE TLSA " in done.stderr) == (done.returncode == 0), done.stderr
    return done.returncode == 0
