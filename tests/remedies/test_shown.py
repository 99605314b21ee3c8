"""`check`, JSON and pages show the records and settings of a problem; remote text in them stays text."""

from __future__ import annotations

import io
import json
from ipaddress import ip_address
from typing import Any

from markupsafe import escape

from exporter.check_state import FindingPolicy
from exporter.engine import catalogue
from exporter.engine.problems import problems
from exporter.engine.store import Store
from exporter.explain import examples
from exporter.facts import Finding, Record, Severity
from exporter.model import Outcome, Target
from exporter.remedies import BLANKS, blanks_in
from exporter.remedies.forms import zone_lines
from exporter.targets import Authorisation, Domain, Egress
from exporter.views import cards, json_report, terminal
from exporter.views.fleet.selection import Selection
from exporter.views.pages import Pages
from exporter.views.words import as_sentence

CATALOGUE = catalogue.load()
POLICY = FindingPolicy()
DOMAIN = Domain(name="example.com", mail_from=("example.com",))
HOSTILE = 'v=spf1 include:"></pre><script>alert(1)</script> -all'


def outcome(check: str, target: Target, *findings: Finding, records: tuple[Record, ...] = ()) -> Outcome:
    judged = CATALOGUE.checks[check]
    return Outcome(judged, target, findings, (), (), (), started=1000.0, duration=0.0, records=records)


def refused(*addresses: str) -> Outcome:
    rule = CATALOGUE.rules["spf_sender.not-authorised"]
    egress = tuple(Egress(ip_address(ip), "out.example.com") for ip in addresses)
    target = Authorisation(domain="example.com", sender="out", mail_from=("example.com",), egress=egress)
    known: dict[str, Any] = {
        "name": "example.com",
        "helo": "out.example.com",
        "result": "fail",
        "why": "-all",
        "remedy": "add it",
    }
    return outcome("spf_sender", target, *(rule(ip=ip, **known) for ip in addresses))


def store(*outcomes: Outcome) -> Store:
    made = Store()
    for it in outcomes:
        made.hold(it.check, it.target)
        made.record(it)
    return made


def published(text: str) -> Outcome:
    return outcome("spf", DOMAIN, records=(Record.of("example.com TXT v=spf1", [text]),))


def test_the_terminal_shows_the_line_to_paste_and_what_it_replaces() -> None:
    stream = io.StringIO()
    held = store(published("v=spf1 mx -all"), refused(*(f"198.51.100.{host}" for host in range(64))))
    terminal.as_text(held, POLICY, 5000, terminal.Look("example.com", 1.0, "192.0.2.53"), stream)
    assert '; remove: example.com. 3600 IN TXT "v=spf1 mx -all"\n' in stream.getvalue()
    assert 'example.com. 3600 IN TXT "v=spf1 ip4:198.51.100.0/26 mx -all"\n' in stream.getvalue()


def test_json_has_records_and_each_form_of_them() -> None:
    held = store(published("v=spf1 mx -all"), refused("192.0.2.1", "192.0.2.3"))
    (problem,) = json.loads(json_report.as_json(held, POLICY, 5000, [], 2))["problems"]
    assert problem["records"] == [
        {
            "action": "replace",
            "name": "example.com",
            "type": "TXT",
            "ttl": 3600,
            "add": ["v=spf1 ip4:192.0.2.1 ip4:192.0.2.3 mx -all"],
            "remove": ["v=spf1 mx -all"],
            "keep": None,
        }
    ]
    assert set(problem["record_forms"]) == {"zone_file", "route_53", "cloudflare"}
    assert set(problem["fill_in"]) == {"YOUR-OTHER-RECORDS", "YOUR-ID-OF"}
    assert (problem["settings"], problem["request"]) == ([], None)


async def test_a_page_shows_the_forms_and_escapes_what_was_published() -> None:
    held = store(
        outcome(
            "helo",
            DOMAIN,
            CATALOGUE.rules["helo.spf-missing"](helo="mail.example.com", record=HOSTILE),
            CATALOGUE.rules["helo.local-name"](helo="localhost", detail="localhost", plain="mail.example.com"),
        )
    )
    policy = FindingPolicy({"helo.spf-missing": CATALOGUE.rules["helo.local-name"].severity})
    shown = [await Pages().render("_records.html", 5000, problem=it) for it in problems(held, policy, 5000)]
    page = "".join(shown)
    assert "postconf -e &#39;smtp_helo_name = mail.example.com&#39; &amp;&amp; postfix reload" in page
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert page.count("<details open>") == 2  # one for each problem


async def test_nothing_is_shown_where_nothing_is_known() -> None:
    held = store(outcome("dmarc", DOMAIN, CATALOGUE.rules["dmarc.at-apex"](domain="example.com")))
    (problem,) = problems(held, POLICY, 5000)
    assert (await Pages().render("_records.html", 5000, problem=problem)).strip() == ""


def test_a_record_that_is_not_known_as_a_whole_is_not_replaced() -> None:
    long = "v=spf1 " + "ip4:192.0.2.9 " * 200 + "-all"  # longer than what is kept
    for text in (long, "v=spf1 exists:\x07.example.com -all"):
        (problem,) = problems(store(published(text), refused("192.0.2.1")), POLICY, 5000)
        assert problem.remedy.records == ()
    (problem,) = problems(store(refused("192.0.2.1")), POLICY, 5000)  # nobody has looked at the record
    assert problem.remedy.records == ()


def test_information_has_its_record_on_the_page_of_its_target() -> None:
    nothing = Record.of("_smtp._tls.example.com TXT", ())
    found = CATALOGUE.rules["tls_rpt.missing"](domain="example.com")
    it = outcome("tls_rpt", DOMAIN, found, records=(nothing,))
    (shown,) = cards.cards(store(it), POLICY, 5000)[0].findings
    assert [it.add for it in shown.remedy.records] == [("v=TLSRPTv1; rua=mailto:YOUR-MAILBOX@example.com",)]
    (failing,) = cards.cards(store(refused("192.0.2.1")), POLICY, 5000)[0].findings
    assert not failing.remedy  # the problem has it


def test_no_record_is_proposed_beside_an_alias() -> None:
    found = CATALOGUE.rules["dmarc.syntax"](name="_dmarc.example.com", term="x")
    texts = Record.of("_dmarc.example.com TXT", ["v=DMARC1; p=none; x"])
    (own,) = problems(store(outcome("dmarc", DOMAIN, found, records=(texts,))), POLICY, 5000)
    assert [it.add for it in own.remedy.records] == [("v=DMARC1; p=none",)]
    alias = Record.of("_dmarc.example.com CNAME", ["example.com.provider.example.net"])
    (theirs,) = problems(store(outcome("dmarc", DOMAIN, found, records=(texts, alias))), POLICY, 5000)
    assert theirs.remedy.records == ()


def test_a_page_ends_after_so_many_rows() -> None:
    rules = [it for it in CATALOGUE.rules.values() if it.severity is Severity.CRITICAL][: terminal.SHOWN + 5]
    known: dict[str, Any] = {"ip": "192.0.2.1", "rdtype": "A", "name": "example.com"}
    findings = [rule(**{key: known.get(key, "x") for key in rule.fields}) for rule in rules]
    stream = io.StringIO()
    terminal.as_text(
        store(outcome("dmarc", DOMAIN, *findings)), POLICY, 5000, terminal.Look("all", 1.0, "here"), stream
    )
    assert stream.getvalue().count("CRITICAL") == terminal.SHOWN
    assert "... and 5 more problems: --format json lists them" in stream.getvalue()


async def test_each_blank_is_explained_where_it_is_shown() -> None:
    """In the terminal, in JSON and on pages, whatever the finding: from its example."""
    for rule in CATALOGUE.rules.values():
        check = rule.id.partition(".")[0]
        held = store(outcome(check, DOMAIN, examples.example(rule)))
        for detail in range(2):
            stream = io.StringIO()
            terminal.as_text(held, POLICY, 5000, terminal.Look("all", 1.0, "here"), stream, detail=detail)
            told = stream.getvalue()
            assert [f"{it} is {BLANKS[it]}." in told for it in blanks_in(told)] == [True] * len(blanks_in(told)), told
        whole = json.loads(json_report.as_json(held, POLICY, 5000, [], 2))
        for one in (*whole["problems"], *whole["groups"], *whole["verdicts"][0]["findings"]):
            assert blanks_in(json.dumps(one)).keys() == one["fill_in"].keys(), rule.id


async def test_the_page_of_a_finding_has_what_to_paste_in_its_example() -> None:
    pages, shown = Pages(), 0
    for rule in CATALOGUE.rules.values():
        page = await pages.render(
            "finding.html", 5000, rule=rule, problems=[], found=[], selection=Selection(), active=0
        )
        assert all(f"<code>{it}</code> is" in page for it in blanks_in(page)), rule.id
        for change in examples.remedy(rule).records:
            assert all(escape(line) in page for line in zone_lines(change)), rule.id
        for setting in examples.remedy(rule).settings:
            assert all(escape(line) in page for line in setting.lines), rule.id
        assert escape(examples.remedy(rule).request) in page
        shown += "<pre" in page
    assert shown > 20, "most rules have something to paste"


def test_a_sentence_on_a_page_has_a_capital_letter_unless_a_name_begins_it() -> None:
    for rule in CATALOGUE.rules.values():
        text = examples.example(rule).text
        told = as_sentence(text, rule)
        assert told.lower() == text.lower()
        assert told == text or not text.startswith(
            tuple(value for _, value in examples.example(rule).evidence if value)
        )
    local = examples.example(CATALOGUE.rules["helo.local-name"])
    assert as_sentence(local.text, local.rule).startswith('The HELO name "localhost" is')
    missing = examples.example(CATALOGUE.rules["dmarc.missing"])
    assert as_sentence(missing.text, missing.rule).startswith("example.com has no DMARC")
