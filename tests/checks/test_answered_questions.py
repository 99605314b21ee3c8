"""A finding ends when its own question is answered, whatever else of the same run is in doubt; and not before."""

from __future__ import annotations

from functools import partial

import pytest

from exporter.demo.nameserver import ZoneData
from exporter.engine import catalogue
from exporter.engine.evaluate import evaluate
from exporter.engine.store import Store
from exporter.facts import Doubt, Reason
from exporter.model import Target, TargetId
from exporter.net import Net
from exporter.net.https import LARGEST, Failure, Fetched
from exporter.targets import Delivery, Domain, KeyNamespace, Selector
from tests.support.checks import taken
from tests.support.clock import FakeClock
from tests.support.memory import MemoryResolver

CHECKS = catalogue.load().checks
EXAMPLE = Domain(name="example.com", mail_from=("example.com",))
NEWS = Domain(name="news.example.com", mail_from=("news.example.com",))
MX = "example.com. MX 10 mail.example.com.\nmail.example.com. A 192.0.2.10\n"
THERE = "reports.example.net. MX 10 mail.example.com.\n"
AGREED = 'example.com._report._dmarc.reports.example.net. TXT "v=DMARC1"\n'
THEIR_MX, THEIR_CONSENT = (
    "; servfail: reports.example.net. MX\n",
    "; servfail: example.com._report._dmarc.reports.example.net. TXT\n",
)
COM = "; servfail: _dmarc.com. TXT\n"
FOREIGN = "mailto:example@reports.example.net"


class Web(Net):
    """A web of two files: the logo and the certificate of a domain."""

    pages: dict[str, Fetched]

    async def fetch(self, url: str, *, accept: str = "*/*", largest: int = LARGEST, redirects: int = 0) -> Fetched:
        assert (accept, largest, redirects) != ("*/*", LARGEST, 0), "bimi says what it wants"
        return self.pages[url]


class Watch:
    """One check of one target, run again and again."""

    def __init__(self, check: str, target: Target) -> None:
        self.check, self.target = CHECKS[check], target
        self.store, self.clock = Store(), FakeClock()
        self.store.hold(self.check, target)

    async def sees(self, world: str, *pages: Fetched) -> dict[str, str]:
        """What is held after this world: each finding with its severity."""
        self.clock.pass_(3600)
        net = partial(Web, MemoryResolver(ZoneData(world)), self.clock, states=self.store)

        def client() -> Net:
            made = net()
            made.pages = {page.url: page for page in pages}
            return made

        held = taken(self.store, await evaluate(self.check, self.target, client, self.clock))
        return {it.finding.id.partition(".")[2]: str(it.finding.severity) for it in held.findings}


def record(text: str, *, rua: str = "mailto:dmarc@example.com", at: str = "example.com") -> str:
    return f'_dmarc.{at}. TXT "v=DMARC1; {text}; rua={rua}"\n{MX}'


def alias(*keys: str) -> str:
    """Two selectors at one provider, and what stands behind each."""
    names = ("s1", "s2")
    return "".join(f"{s}._domainkey.example.com. CNAME {s}.dkim.provider.net.\n" for s in names) + "".join(
        f'{s}.dkim.provider.net. TXT "{key}"\n' for s, key in zip(names, keys, strict=False) if key
    )


S1 = Selector(domain="example.com", selector="s1", signer="example.com", siblings=("s2",))
RAW = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="  # RFC 8463 appendix A.2
S2_SILENT = "; servfail: s2._domainkey.example.com. TXT\n"
STRANGER = Domain(name="example.com", mail_from=("bounce.example.com",), signers=("example.net",), own_machines=True)
TLS = "_smtp._tls.example.com. TXT"

# What is held at first, and what of it when it has been put right beside a doubt about something else.
ENDS = {
    "policy beside MX of reports": (
        *("dmarc", EXAMPLE),
        *(record("p=none", rua=FOREIGN) + THERE + AGREED, record("p=reject", rua=FOREIGN) + AGREED + THEIR_MX),
        *({"policy-none"}, set()),
    ),
    "policy beside consent to reports": (
        *("dmarc", EXAMPLE),
        *(record("p=none", rua=FOREIGN) + THERE, record("p=reject", rua=FOREIGN) + THERE + THEIR_CONSENT),
        *({"policy-none", "rua-unauthorised"}, {"rua-unauthorised"}),
    ),
    "consent beside MX": (
        *("dmarc", EXAMPLE),
        *(record("p=reject", rua=FOREIGN) + THERE, record("p=reject", rua=FOREIGN) + AGREED + THEIR_MX),
        *({"rua-unauthorised"}, set()),
    ),
    "MX beside consent": (
        *("dmarc", EXAMPLE),
        *(record("p=reject", rua=FOREIGN) + AGREED, record("p=reject", rua=FOREIGN) + THERE + THEIR_CONSENT),
        *({"rua-undeliverable"}, set()),
    ),
    "one address for reports beside another": (
        *("dmarc", EXAMPLE),
        record("p=reject", rua=f"mailto:d@gone.example.com,{FOREIGN}") + THERE + AGREED,
        record("p=reject", rua=f"mailto:d@gone.example.com,{FOREIGN}")
        + "gone.example.com. A 192.0.2.1\n"
        + AGREED
        + THEIR_MX,
        *({"rua-undeliverable"}, set()),
    ),
    "text beside parent": (
        *("dmarc", EXAMPLE),
        *(record("p=reject; hello; pct=50"), record("p=reject") + COM),
        *({"syntax", "partial"}, set()),
    ),
    "missing beside parent": ("dmarc", EXAMPLE, MX, record("p=reject") + COM, {"missing"}, set()),
    "apex beside parent": (
        *("dmarc", EXAMPLE),
        *(MX + 'example.com. TXT "v=DMARC1; p=reject"\n', record("p=reject") + COM),
        *({"missing", "at-apex"}, set()),
    ),
    "strays beside the registry": (
        *("dmarc", EXAMPLE),
        *(MX + '_dmarc.example.com. TXT "v=dmarc1; p=none"\n', MX + COM),
        *({"missing", "bad-version"}, {"missing"}),
    ),
    "an SPF record there beside the registry": (
        *("dmarc", EXAMPLE),
        *(MX + '_dmarc.example.com. TXT "v=spf1 -all"\n', MX + COM),
        *({"missing", "spf-text"}, {"missing"}),
    ),
    "subdomains beside parent": (
        *("dmarc", EXAMPLE),
        *(record("p=reject; sp=none"), record("p=reject; sp=reject") + COM),
        *({"weaker-subdomains"}, set()),
    ),
    "own text beside the organisation's": (
        *("dmarc", NEWS),
        record("p=reject; hello", at="news.example.com"),
        MX + "; servfail: _dmarc.example.com. TXT\n",
        *({"syntax", "discovery-differs", "rua-authorisation-differs"}, {"discovery-differs"}),
    ),
    "alignment beside reports": (
        *("dmarc", Domain(name="example.com", mail_from=("b.example.com",), signers=("example.net",))),
        record("p=reject; aspf=s", rua=FOREIGN) + THERE + AGREED,
        record("p=reject", rua=FOREIGN) + THERE + THEIR_CONSENT,
        *({"nothing-aligned"}, {"dkim-cannot-align"}),
    ),
    "key beside sibling": (
        *("dkim", S1),
        *(alias("v=DKIM1; k=ed25519; t=y; " + RAW[20:]), alias() + S2_SILENT),
        *({"testing", "ed25519"}, set()),
    ),
    "announcement beside apex": (
        *("tls_rpt", EXAMPLE),
        *(MX + f'{TLS} "v=TLSRPTv1"\n', MX + "; servfail: example.com. TXT\n"),
        *({"syntax"}, set()),
    ),
}

# What is held at first, and of it what stays while its own question has no answer.
STAYS = {
    "consent": (
        *("dmarc", EXAMPLE),
        *(record("p=reject", rua=FOREIGN) + THERE, record("p=reject", rua=FOREIGN) + THERE + THEIR_CONSENT),
        {"rua-unauthorised": "warning"},
    ),
    "MX of reports": (
        *("dmarc", EXAMPLE),
        *(record("p=reject", rua=FOREIGN) + AGREED, record("p=reject", rua=FOREIGN) + AGREED + THEIR_MX),
        {"rua-undeliverable": "warning"},
    ),
    "policy": (
        *("dmarc", EXAMPLE),
        *(record("p=none; hello"), record("p=reject") + "; servfail: _dmarc.example.com. TXT\n"),
        {"policy-none": "info", "syntax": "warning"},
    ),
    "policy from above": (
        *("dmarc", NEWS),
        *(record("p=none; hello"), record("p=reject") + "; servfail: _dmarc.example.com. TXT\n"),
        {"policy-none": "info", "syntax": "warning"},
    ),
    "policy of a name that may not exist": (
        *("dmarc", Domain(name="shop.example.com", mail_from=("shop.example.com",))),
        record("p=reject; np=none; sp=reject"),
        record("p=reject; np=none; sp=reject") + "; servfail: shop.example.com. TXT\n",
        {"policy-none": "info"},
    ),
    "subdomains": (
        *("dmarc", EXAMPLE),
        *(record("p=reject; sp=none"), record("p=reject; sp=none") + COM),
        {"weaker-subdomains": "info"},
    ),
    "missing": ("dmarc", EXAMPLE, MX, MX + COM, {"missing": "warning"}),
    "apex": (
        *("dmarc", EXAMPLE),
        *(MX + 'example.com. TXT "v=DMARC1; p=reject"\n', MX + "; servfail: example.com. TXT\n"),
        {"missing": "warning", "at-apex": "warning"},
    ),
    "an SPF record there, and whether it does harm": (
        *("dmarc", EXAMPLE),
        MX + '_dmarc.example.com. TXT "v=spf1 -all"\n',
        MX + '_dmarc.example.com. TXT "v=spf1 -all"\n' + COM,
        {"missing": "warning", "spf-text": "warning"},
    ),
    "alignment": (
        *("dmarc", STRANGER),
        record("p=reject") + '_dmarc.bounce.example.com. TXT "v=DMARC1; p=reject; psd=n"\n',
        record("p=reject") + "; servfail: _dmarc.bounce.example.com. TXT\n",
        {"dkim-cannot-align": "info", "alignment-differs": "warning"},
    ),
    "alignment of names of others": (
        *("dmarc", Domain(name="example.com", mail_from=("b.net",), signers=("example.net",), own_machines=True)),
        *(record("p=reject"), record("p=reject") + COM),
        {"cannot-align": "critical"},
    ),
    "key": (
        *("dkim", S1),
        *(alias(), alias() + S2_SILENT),
        {"dangling-cname": "critical"},
    ),
    "key that was revoked": (
        *("dkim", S1),
        *(alias("v=DKIM1; p="), alias("v=DKIM1; p=") + S2_SILENT),
        {"revoked": "critical"},
    ),
    "keys": (
        *("dkim", KeyNamespace(domain="example.com")),
        *(MX, MX + "; servfail: _domainkey.example.com. TXT\n"),
        {"no-keys": "warning"},
    ),
    "announcement at the domain": (
        *("tls_rpt", EXAMPLE),
        *(MX + 'example.com. TXT "v=TLSRPTv1; rua=mailto:a@example.com"\n', MX + "; servfail: example.com. TXT\n"),
        {"at-apex": "warning"},
    ),
}


@pytest.mark.parametrize("case", ENDS.values(), ids=ENDS)
async def test_what_is_put_right_ends_beside_a_doubt(
    case: tuple[str, Target, str, str, set[str], set[str]],
) -> None:
    check, target, broken, repaired, before, after = case
    watch = Watch(check, target)
    assert set(await watch.sees(broken)) == before
    assert set(await watch.sees(repaired)) == after
    assert watch.store[check, target.key].doubt is not None


@pytest.mark.parametrize("case", STAYS.values(), ids=STAYS)
async def test_what_is_in_doubt_stays_as_it_was(case: tuple[str, Target, str, str, dict[str, str]]) -> None:
    check, target, broken, silent, held = case
    watch = Watch(check, target)
    before = await watch.sees(broken)
    assert before == held
    after = await watch.sees(silent)
    assert after.items() >= before.items()
    assert watch.store[check, target.key].doubt is not None


LOGO, MARK = "https://example.com/logo.svg", "https://example.com/mark.pem"
BIMI = f'default._bimi.example.com. TXT "v=BIMI1; l={LOGO}; a={MARK}"\n'
GOOD_LOGO = (
    '<svg xmlns="http://www.w3.org/2000/svg" version="1.2" baseProfile="tiny-ps" viewBox="0 0 96 96">'
    "<title>Example</title></svg>"
)


def page(url: str, body: str = "", status: int = 200) -> Fetched:
    return Fetched(url, status, body.encode(), content_type="image/svg+xml")


def silent(url: str) -> Fetched:
    return Fetched(url, failure=Failure.TIMEOUT, trouble=Doubt(Reason.NETWORK, "silence"))


async def test_of_a_logo_and_its_certificate_each_is_judged_by_itself() -> None:
    watch = Watch("bimi", EXAMPLE)
    strong = record("p=reject") + BIMI
    broken = page(LOGO, GOOD_LOGO.replace("tiny-ps", "tiny"))
    assert set(await watch.sees(record("p=none") + BIMI, broken, page(MARK, status=404))) == {
        "dmarc-too-weak",
        "logo-profile",
        "unavailable",
    }
    assert set(await watch.sees(strong, broken, silent(MARK))) == {"logo-profile", "unavailable"}
    assert set(await watch.sees(strong, silent(LOGO), silent(MARK))) == {"logo-profile", "unavailable"}
    assert set(await watch.sees(strong, silent(LOGO), page(MARK, "none"))) == {"logo-profile", "certificate-unreadable"}
    assert set(await watch.sees(strong, page(LOGO, GOOD_LOGO), silent(MARK))) == {"certificate-unreadable"}


async def test_a_policy_in_doubt_keeps_what_is_held_of_it_and_nothing_of_the_logo() -> None:
    watch = Watch("bimi", EXAMPLE)
    broken, mark = page(LOGO, GOOD_LOGO.replace("tiny-ps", "tiny")), page(MARK, status=404)
    await watch.sees(record("p=none") + BIMI, broken, mark)
    world = BIMI + MX + "; servfail: _dmarc.example.com. TXT\n"
    assert set(await watch.sees(world, page(LOGO, GOOD_LOGO), mark)) == {"dmarc-too-weak", "unavailable"}
    assert set(await watch.sees(record("p=reject") + BIMI + COM, page(LOGO, GOOD_LOGO), mark)) == {"unavailable"}


async def test_a_demand_of_a_receiver_that_is_met_again_ends_beside_doubt_about_another() -> None:
    key = Selector(domain="example.com", selector="s1", signer="example.com")
    rests_on = (TargetId(EXAMPLE.identity), TargetId(key.identity))
    watch = Watch("receiver", Delivery(domain="example.com", receivers=("gmail_bulk",), rests_on=rests_on))
    read = {"dmarc": EXAMPLE, "dkim": key}
    for check, target in read.items():
        watch.store.hold(CHECKS[check], target)

    async def sees(world: str) -> set[str]:
        world += "; servfail: s1._domainkey.example.com. TXT\n"
        net = partial(Net, MemoryResolver(ZoneData(world)), watch.clock, states=watch.store)
        for check, target in read.items():
            watch.store.record(await evaluate(CHECKS[check], target, net, watch.clock))
        return set(await watch.sees(world))

    def unmet() -> list[float]:
        return [sample.value for sample in watch.store["receiver", watch.target.key].samples]

    assert await sees(MX) == {"gmail-bulk-dmarc"}
    assert unmet() == [1]
    assert await sees(record("p=reject")) == set()
    assert unmet() == []
    assert watch.store["receiver", watch.target.key].doubt is not None
    assert await sees(MX) == {"gmail-bulk-dmarc"}
    assert await sees("; servfail: _dmarc.example.com. TXT\n") == {"gmail-bulk-dmarc"}
    assert unmet() == [1], "the number agrees with the findings that doubt keeps"
