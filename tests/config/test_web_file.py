"""The file of --web.config.file: what the exporter-toolkit documents works, and each fault has its line and remedy."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
import trustme

from exporter.config import ConfigError
from exporter.config.web_file import LARGEST, WebFile, WebSettings
from exporter.config.web_tls import CIPHERS, CLIENT_AUTH, CURVES, VERSIONS
from tests.support.certificates import Pki

# Any hash: nobody logs in here.
ALICE = "$2y$04$b5bZOvDj1D8/DDEd.yF.p.XdfDcFGtnYUDHZGl3cVBURuhl09fAJe"
TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
SECRET = "k3y0fthecustomer"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    it = Pki(tmp_path_factory.mktemp("pki"))
    it.serve()
    (it.folder / "empty.crt").write_text("")
    other = trustme.CA().issue_cert("localhost")
    other.private_key_pem.write_to_path(it.folder / "other.key")
    (it.folder / "locked.key").write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    (it.folder / "torn.crt").write_bytes((it.folder / "server.crt").read_bytes()[:200])
    os.mkfifo(it.folder / "pipe")
    return it


@pytest.fixture(scope="module")
def with_rsa(tmp_path_factory: pytest.TempPathFactory, pki: Pki) -> Pki:
    it = Pki(tmp_path_factory.mktemp("rsa"), pki.ca)
    it.serve(key_type=trustme.KeyType.RSA)
    return it


def read(pki: Pki, text: str) -> WebSettings:
    path = pki.folder / "web.yml"
    path.write_text(text)
    return WebFile(path).read()


def refused(pki: Pki, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(pki, text)
    return str(caught.value).replace(f"{pki.folder}/", "")


def test_an_empty_file_opens_the_door(pki: Pki) -> None:
    for text in ("", "# nothing\n", "{}", "tls_server_config: {}"):
        assert read(pki, text) == WebSettings()


def test_the_documented_example_works_unchanged(pki: Pki) -> None:
    """The same keys and the same form as the sample file of the toolkit's documentation."""
    told = read(
        pki,
        "# TLS and basic authentication.\n"
        f"{TLS}\n"
        "basic_auth_users:\n"
        f"  alice: {ALICE}\n"
        "  bob: $2y$10$hLqFl9jSjoAAy95Z/zw8Ye8wkdMBM8c5Bn1ptYqP/AXyV0.oy0S8m\n",
    )
    assert told.tls is not None
    assert (told.tls.minimum_version, told.tls.maximum_version) == (VERSIONS["TLS12"], VERSIONS["TLS13"])
    assert told.tls.verify_mode is ssl.CERT_NONE
    assert told.users.keys() == {"alice", "bob"}
    assert (told.headers, told.interval, told.warnings) == ({}, 0, ())


def test_every_documented_key_works(pki: Pki) -> None:
    told = read(
        pki,
        f"{TLS}"
        "  client_auth_type: RequireAndVerifyClientCert\n"
        "  client_ca_file: ca.crt\n"
        "  client_allowed_sans: [prometheus.example, '2001:DB8::1', ops@example.com, 'spiffe://example/ns']\n"
        "  min_version: TLS12\n"
        "  max_version: TLS12\n"
        "  cipher_suites:\n"
        "  - TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384\n"
        "  - TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256\n"
        "  - TLS_AES_128_GCM_SHA256\n"
        "  prefer_server_cipher_suites: false\n"
        "  curve_preferences: [CurveP256]\n"
        "http_server_config:\n"
        "  http2: true\n"
        "  headers:\n"
        "    Content-Security-Policy: default-src 'self'\n"
        "    X-Frame-Options: sameorigin\n"
        "    X-Content-Type-Options: nosniff\n"
        "    X-XSS-Protection: '0'\n"
        "    Strict-Transport-Security: ''\n"
        "rate_limit: {interval: 1m30s, burst: 20}\n",
    )
    assert told.tls is not None
    assert told.tls.verify_mode is ssl.CERT_REQUIRED
    assert told.locks == {"tls_server_config", "client_auth_type", "client_ca_file", "client_allowed_sans"}
    assert told.allowed_sans == {"prometheus.example", "2001:db8::1", "ops@example.com", "spiffe://example/ns"}
    assert [c["name"] for c in told.tls.get_ciphers() if c["protocol"] == "TLSv1.2"] == [
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
    ]
    assert not told.tls.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    assert told.headers["X-Frame-Options"] == "sameorigin"
    assert told.headers["Strict-Transport-Security"] == ""
    assert (told.interval, told.burst) == (90, 20)
    (http2,) = told.warnings
    assert "http_server_config.http2: is taken and has no effect: this exporter speaks HTTP/1.1" in str(http2)


def test_certificates_and_key_may_stand_in_the_file_itself(pki: Pki) -> None:
    def block(name: str) -> str:
        return "|\n" + "".join(f"    {line}\n" for line in (pki.folder / name).read_text().splitlines())

    told = read(
        pki,
        f"tls_server_config:\n  cert: {block('server.crt')}  key: {block('server.key')}"
        f"  client_ca: {block('ca.crt')}  client_auth_type: VerifyClientCertIfGiven\n",
    )
    assert told.tls is not None
    assert told.tls.verify_mode is ssl.CERT_OPTIONAL
    assert told.tls.cert_store_stats()["x509_ca"] == 1


@pytest.mark.parametrize("name", CLIENT_AUTH)
def test_every_policy_for_client_certificates_that_can_be_held(pki: Pki, name: str) -> None:
    authority = "" if name == "NoClientCert" else "  client_ca_file: ca.crt\n"
    told = read(pki, f"{TLS}{authority}  client_auth_type: {name}\n")
    assert told.tls is not None
    assert told.tls.verify_mode is CLIENT_AUTH[name]
    assert [str(it).rpartition("client_auth_type: ")[2] for it in told.warnings] == (
        ["refuses nobody; write RequireAndVerifyClientCert"] if name == "RequestClientCert" else []
    )


@pytest.mark.parametrize("name", CIPHERS)
def test_every_cipher_suite_of_go_is_known_to_this_openssl(pki: Pki, with_rsa: Pki, name: str) -> None:
    told = read(with_rsa if "_RSA_" in name else pki, f"{TLS}  cipher_suites: [{name}]\n")
    assert told.tls is not None
    old = [c["name"] for c in told.tls.get_ciphers() if c["protocol"] != "TLSv1.3"]
    if CIPHERS[name]:
        assert old == [CIPHERS[name]]
    else:
        assert told.tls.minimum_version is VERSIONS["TLS13"]


@pytest.mark.parametrize("name", CURVES)
def test_each_curve_can_be_offered(pki: Pki, name: str) -> None:
    assert read(pki, f"{TLS}  curve_preferences: [{name}]\n").tls is not None


@pytest.mark.parametrize("name", VERSIONS)
def test_each_version_is_really_spoken(pki: Pki, name: str) -> None:
    """The server shakes hands in memory before it is put in force: OpenSSL 3 sets TLS 1.0, and then refuses it."""
    told = read(pki, f"{TLS}  min_version: {name}\n  max_version: {name}\n")
    assert told.tls is not None
    assert told.tls.maximum_version is VERSIONS[name]


def test_what_is_open_to_all_is_told(pki: Pki) -> None:
    (clear,) = read(pki, f"basic_auth_users: {{alice: {ALICE}}}").warnings
    assert str(clear).endswith(
        "web.yml:1 basic_auth_users: asks for passwords without TLS: anyone who sees the traffic sees them"
    )
    (anybody,) = read(pki, f"{TLS}  client_auth_type: RequireAndVerifyClientCert\n").warnings
    assert "web.yml:4 tls_server_config.client_auth_type: trusts every authority of this machine" in str(anybody)


# What somebody may write, and the one line it is answered with.
REFUSED = {
    "[]": "web.yml:1: expected a mapping, got a list; write `key: value` lines",
    "a: 'b' c": "web.yml:1: is no valid YAML: did not find expected key",
    "rate_limit: {}\nrate_limit: {}": "web.yml:2 rate_limit: is written twice: here and in line 1; keep one",
    "rate_limit: {}\ntls_server_confg: {}": (
        "web.yml:2 tls_server_confg: is an unknown key; did you mean tls_server_config?"
    ),
    "tls_server_config: {cert_fil: x}": (
        "web.yml:1 tls_server_config.cert_fil: is an unknown key; did you mean cert_file?"
    ),
    "tls_server_config:": (
        "web.yml:1 tls_server_config: expected a mapping, got nothing; write `key: value` lines below it"
    ),
    "http_server_config: {http2: yes}": "web.yml:1 http_server_config.http2: expected true or false, got 'yes'",
    # Certificates
    "tls_server_config: {min_version: TLS13}": [
        "web.yml:1 tls_server_config: wants cert_file or cert, and has neither",
        "web.yml:1 tls_server_config: wants key_file or key, and has neither",
    ],
    "tls_server_config: {cert_file: '', key_file: server.key}": (
        "web.yml:1 tls_server_config: wants cert_file or cert, and has neither"
    ),
    "tls_server_config:\n  cert_file: nowhere.crt\n  key_file: server.key": (
        "web.yml:2 tls_server_config.cert_file: names nowhere.crt, which cannot be read: No such file or directory"
    ),
    "tls_server_config:\n  cert_file: pipe\n  key_file: server.key": (
        "web.yml:2 tls_server_config.cert_file: names pipe, which is no regular file"
    ),
    "tls_server_config:\n  cert_file: empty.crt\n  key_file: server.key": (
        "web.yml:2 tls_server_config.cert_file: holds no certificate in PEM, -----BEGIN CERTIFICATE-----"
    ),
    "tls_server_config:\n  cert_file: server.crt\n  key_file: server.crt": (
        "web.yml:3 tls_server_config.key_file: holds no private key in PEM, -----BEGIN PRIVATE KEY-----"
    ),
    "tls_server_config:\n  cert_file: server.crt\n  key_file: other.key": (
        "web.yml:3 tls_server_config.key_file: is not the key of the first certificate in cert_file"
    ),
    "tls_server_config:\n  cert_file: server.crt\n  key_file: locked.key": (
        "web.yml:3 tls_server_config.key_file: is encrypted, and nobody is there to type its passphrase; "
        "write it without one"
    ),
    "tls_server_config:\n  cert_file: torn.crt\n  key_file: server.key": (
        "web.yml:2 tls_server_config.cert_file: and key_file cannot be used: one of the two is damaged"
    ),
    f"{TLS}  cert: |\n    -----BEGIN": "web.yml:4 tls_server_config.cert: and cert_file are both set; keep one",
    # Client certificates
    f"{TLS}  client_auth_type: RequireAnyClientCert": (
        "web.yml:4 tls_server_config.client_auth_type: 'RequireAnyClientCert' takes a certificate that nobody has "
        "verified, which cannot be done here; write RequireAndVerifyClientCert"
    ),
    f"{TLS}  client_auth_type: RequireAndVerify": (
        "web.yml:4 tls_server_config.client_auth_type: 'RequireAndVerify' is no policy for client certificates; "
        "did you mean RequireAndVerifyClientCert?"
    ),
    f"{TLS}  client_ca_file: ca.crt": (
        "web.yml:4 tls_server_config.client_ca_file: has no effect without client_auth_type; "
        "write RequireAndVerifyClientCert there"
    ),
    f"{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: server.key": (
        "web.yml:5 tls_server_config.client_ca_file: holds no certificate in PEM that can be read"
    ),
    f"{TLS}  client_allowed_sans: [a.example]": (
        "web.yml:4 tls_server_config.client_allowed_sans: needs client_auth_type: RequireAndVerifyClientCert; "
        "others let anybody in"
    ),
    f"{TLS}  client_allowed_sans: []": (
        "web.yml:4 tls_server_config.client_allowed_sans: expected at least one of its names, got an empty list"
    ),
    # Versions, suites, curves
    f"{TLS}  min_version: TLS14": (
        "web.yml:4 tls_server_config.min_version: 'TLS14' is no TLS version; did you mean TLS13?"
    ),
    f"{TLS}  min_version: TLS13\n  max_version: TLS12": (
        "web.yml:4 tls_server_config.min_version: is above max_version, TLS12; no client could connect"
    ),
    f"{TLS}  cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]": (
        "web.yml:4 tls_server_config.cipher_suites[0]: 'TLS_RSA_WITH_RC4_128_SHA' is no cipher suite of Go's list; "
        "did you mean TLS_RSA_WITH_AES_128_CBC_SHA?"
    ),
    f"{TLS}  cipher_suites: TLS_AES_128_GCM_SHA256": (
        "web.yml:4 tls_server_config.cipher_suites: expected a list of cipher suites, got text; "
        "write [...], or a `- ` line for each"
    ),
    f"{TLS}  max_version: TLS12\n  cipher_suites: [TLS_AES_128_GCM_SHA256]": (
        "web.yml:5 tls_server_config.cipher_suites: has only suites of TLS 1.3, and max_version is below it"
    ),
    f"{TLS}  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]": (
        f"web.yml:4 tls_server_config.cipher_suites: {ssl.OPENSSL_VERSION} makes no connection with TLS12 and this "
        "certificate: no shared cipher"
    ),
    f"{TLS}  curve_preferences: [CurveP224]": (
        "web.yml:4 tls_server_config.curve_preferences[0]: 'CurveP224' is no curve that can be offered here; "
        "did you mean CurveP521?"
    ),
    # Headers
    "http_server_config:\n  headers:\n    X-Frame-Options: none": (
        "web.yml:3 http_server_config.headers.X-Frame-Options: expected deny or sameorigin, got 'none'"
    ),
    "http_server_config:\n  headers:\n    X-Content-Type-Options: 'on'": (
        "web.yml:3 http_server_config.headers.X-Content-Type-Options: expected nosniff, got 'on'"
    ),
    "http_server_config:\n  headers:\n    Set-Cookie: a=b": (
        "web.yml:3 http_server_config.headers.Set-Cookie: is no header that can be set; known are "
        "Content-Security-Policy, Strict-Transport-Security, X-Content-Type-Options, X-Frame-Options, X-XSS-Protection"
    ),
    'http_server_config:\n  headers:\n    X-XSS-Protection: "1\\r\\nSet-Cookie: a=b"': (
        "web.yml:3 http_server_config.headers.X-XSS-Protection: expected printable ASCII characters, got others"
    ),
    # Users
    "basic_auth_users:": (
        "web.yml:1 basic_auth_users: expected a mapping, got nothing; write `key: value` lines below it"
    ),
    "basic_auth_users: {}": "web.yml:1 basic_auth_users: names nobody; leave it out if no password is wanted",
    f"basic_auth_users: {{alice: {SECRET}}}": (
        "web.yml:1 basic_auth_users.alice: expected a bcrypt hash, 60 characters that begin with $2; "
        "`htpasswd -nBC 10 NAME` makes one"
    ),
    f"basic_auth_users: {{alice: {ALICE[:-1]}}}": (
        "web.yml:1 basic_auth_users.alice: expected a bcrypt hash, 60 characters that begin with $2; "
        "`htpasswd -nBC 10 NAME` makes one"
    ),
    f"basic_auth_users: {{alice: {ALICE[:28]}z{ALICE[29:]}}}": (  # a salt that none of the makers makes: bcrypt raises
        "web.yml:1 basic_auth_users.alice: expected a bcrypt hash, 60 characters that begin with $2; "
        "`htpasswd -nBC 10 NAME` makes one"
    ),
    f"basic_auth_users: {{alice: {ALICE.replace('$04$', '$31$')}}}": (
        "web.yml:1 basic_auth_users.alice: has a cost of 31; write one from 04 to 14, best 10 to 12"
    ),
    "basic_auth_users: {alice: [x]}": "web.yml:1 basic_auth_users.alice: expected a bcrypt hash, got a list",
    f"basic_auth_users: {{'al:ice': {ALICE}}}": (
        "web.yml:1 basic_auth_users.al:ice: is a name that nobody can log in with: "
        "a colon or a control character is in it"
    ),
    # Rate
    "rate_limit: {interval: 1s}": (
        "web.yml:1 rate_limit: has an interval and no burst, so every request would be refused; set burst"
    ),
    "rate_limit: {interval: 5, burst: 1}": (
        "web.yml:1 rate_limit.interval: expected 0 or a duration such as 100ms, 1s or 1m30s, got '5'"
    ),
    "rate_limit: {interval: 2h, burst: 1}": "web.yml:1 rate_limit.interval: expected a duration up to 1h, got '2h'",
    "rate_limit: {burst: -1}": (
        "web.yml:1 rate_limit.burst: expected a whole number from 0 to 1000000, got the number -1"
    ),
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_fault_is_told_with_its_line_and_what_to_do(pki: Pki, text: str) -> None:
    told = refused(pki, text)
    expected = REFUSED[text]
    assert told.splitlines() == ([expected] if isinstance(expected, str) else expected)
    assert SECRET not in told


def test_all_faults_are_told_at_once(pki: Pki) -> None:
    told = refused(
        pki,
        "tls_server_config: {cert_file: nowhere, key_file: nowhere}\n"
        "http_server_config: {headers: {Cookie: a}}\n"
        "rate_limit: {interval: 1s}\n",
    )
    assert [line.split(" ")[0] for line in told.splitlines()] == ["web.yml:1", "web.yml:1", "web.yml:2", "web.yml:3"]


@pytest.mark.skipif("sys.version_info >= (3, 15)", reason="there several can be offered")
def test_what_this_python_cannot_offer_is_refused_and_not_left_out(pki: Pki) -> None:
    assert refused(pki, f"{TLS}  curve_preferences: [X25519, CurveP256]") == (
        "web.yml:4 tls_server_config.curve_preferences: names 2 curves, and this Python can offer one. Keep one, "
        "such as CurveP256, or remove the key: then OpenSSL offers its default curves"
    )


def test_a_file_is_read_only_if_it_is_one_and_small(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "large").write_bytes(b"#" * (LARGEST + 1))
    os.mkfifo(tmp_path / "pipe")
    before = list(Path("/proc/self/fd").iterdir())
    for name, told in {
        "nowhere": "cannot be read: No such file or directory",
        "folder": "is no regular file",
        "pipe": "is no regular file",
        "large": "is larger than 256 KiB",
    }.items():
        with pytest.raises(ConfigError) as caught:
            WebFile(tmp_path / name).read()
        assert str(caught.value) == f"{tmp_path / name}: {told}"
    assert list(Path("/proc/self/fd").iterdir()) == before, "none stays open"


def test_a_change_of_any_of_the_files_is_seen_and_no_other(pki: Pki, tmp_path: Path) -> None:
    own = Pki(tmp_path, pki.ca)
    own.serve()
    path = tmp_path / "web.yml"
    path.write_text(f"{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n")
    file = WebFile(path)
    file.read()
    (tmp_path / "beside.txt").write_text("")
    assert not file.changed()
    for name in ("server.crt", "server.key", "ca.crt", "web.yml"):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes() + b"\n")
        assert file.changed(), name
        file.read()
        assert not file.changed()
    (tmp_path / "server.key").unlink()
    assert file.changed()
    with pytest.raises(ConfigError, match="No such file"):
        file.read()
    assert not file.changed(), "a fault is not read again and again"
    own.serve()
    assert file.changed(), "what was missing has come"


def test_no_secret_is_in_what_is_shown_of_the_settings(pki: Pki) -> None:
    told = read(pki, f"basic_auth_users: {{alice: {ALICE}}}")
    assert ALICE not in repr(told)
