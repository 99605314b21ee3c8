"""exporter/mail/dkim/rotation.py: which selectors belong together, by the names that providers document."""

from __future__ import annotations

import pytest

from exporter.demo.nameserver import ZoneData
from exporter.mail.dkim.rotation import other_with_key, together
from exporter.net import Net
from tests.support.clock import FakeClock
from tests.support.memory import MemoryResolver

RAW = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="  # RFC 8463 appendix A.2


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        # Microsoft, Set up DKIM: below the tenant's name, old and new, with one partition or two
        ("selector1-a-com._domainkey.t.onmicrosoft.com", "selector2-a-com._domainkey.t.onmicrosoft.com", True),
        ("selector1-a-com._domainkey.t.n-v1.dkim.mail.microsoft", "selector2-a-com._domainkey.t.onmicrosoft.com", True),
        (
            *("selector1-a-com._domainkey.t.n-v1.dkim.mail.microsoft",),
            *("selector2-a-com._domainkey.t.n-v2.dkim.mail.microsoft", True),
        ),
        ("selector1-a-com._domainkey.t.onmicrosoft.com", "selector2-a-com._domainkey.u.onmicrosoft.com", False),
        ("one.onmicrosoft.com", "two.onmicrosoft.com", False),
        # Proton, Fastmail, Amazon SES, SendGrid, Mailchimp: beside each other
        ("protonmail.domainkey.d1.domains.proton.ch", "protonmail2.domainkey.d1.domains.proton.ch", True),
        ("protonmail.domainkey.d1.domains.proton.ch", "protonmail2.domainkey.d2.domains.proton.ch", False),
        ("fm1.example.com.dkim.fmhosted.com", "fm3.example.com.dkim.fmhosted.com", True),
        ("fm1.example.com.dkim.fmhosted.com", "fm3.example.org.dkim.fmhosted.com", False),
        ("token1.dkim.amazonses.com", "token2.dkim.amazonses.com", True),
        ("s1.domainkey.u1.wl.sendgrid.net", "s2.domainkey.u1.wl.sendgrid.net", True),
        ("s1.domainkey.u1.wl.sendgrid.net", "s2.domainkey.u2.wl.sendgrid.net", False),
        ("dkim2.mcsv.net", "dkim3.mcsv.net", True),
        # Salesforce and HubSpot: another name in the middle
        ("one.ab12cd.custdkim.salesforce.com", "two.ef34gh.custdkim.salesforce.com", True),
        ("example-com.hs01a.dkim.hubspotemail.net", "example-com.hs01b.dkim.hubspotemail.net", True),
        # nothing of the kind
        ("k1.example.net", "k1.example.net", False),
        ("example.net", "example.org", False),
        ("a.co.uk", "b.co.uk", False),
        ("dkim2.mcsv.net", "token2.dkim.amazonses.com", False),
        ("k1.keys.example.com", "k2.keys.example.com", False),
    ],
)
def test_keys_at_one_provider_for_one_customer_belong_together(one: str, other: str, expected: bool) -> None:
    assert together("example.com", [one], [other]) is expected
    assert together("example.com", ["s1.keys.example.com", one], ["s2.keys.example.com", other]) is expected


@pytest.mark.parametrize(
    ("behind", "expected"),
    [
        (RAW, "s2._domainkey.example.com"),
        ("v=DKIM1; p=", ""),
        ("v=DKIM1; k=ed25519; s=tlsrpt; " + RAW[20:], ""),
        ("v=DKIM1; k=ed25519; h=sha1; " + RAW[20:], ""),
        ("v=DKIM1; k=dsa; " + RAW[20:], ""),
        ("hello", ""),
    ],
)
async def test_only_a_key_that_verifies_is_enough(behind: str, expected: str) -> None:
    zone = (
        "s1._domainkey.example.com. CNAME s1.dkim.example.net.\ns2._domainkey.example.com. CNAME s2.dkim.example.net.\n"
        f's2.dkim.example.net. TXT "{behind}"\n'
    )
    net = Net(MemoryResolver(ZoneData(zone)), FakeClock())
    own = await net.query("s1._domainkey.example.com", "TXT")
    assert await net.drive(other_with_key("s1", "example.com", ("s2",), own)) == (expected, None)


async def test_nobody_is_asked_about_a_key_of_our_own() -> None:
    dns = MemoryResolver(ZoneData('s1._domainkey.example.com. TXT "v=DKIM1; p="\n'))
    net = Net(dns, FakeClock())
    own = await net.query("s1._domainkey.example.com", "TXT")
    assert await net.drive(other_with_key("s1", "example.com", ("s2",), own)) == ("", None)
    assert len(dns.asked) == 1
