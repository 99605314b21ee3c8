"""TLS-RPT of a domain (RFC 8460): would its owner be told when mail cannot be delivered over TLS?

No mail is refused, delayed or distrusted because there are no reports. So a missing record is information, even beside
MTA-STS or DANE: what fails under these has findings of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce

from exporter.facts import Doubt, Finding, Record, Rule, Severity
from exporter.mail.dns import doubts
from exporter.mail.policy_txt import PolicyTxt, find_policy_txt, tried
from exporter.mail.policy_txt_remedies import report_tls
from exporter.mail.tls_rpt import RECORD, destinations, parse
from exporter.model import Facts, Light, check
from exporter.net import Net
from exporter.remedies import MAILBOX
from exporter.targets import Domain


@check(over=Domain, light=Light.TLS, proves=False, questions=1)
async def tls_rpt(target: Domain, net: Net) -> Facts:
    """Do senders know where to report failed TLS with the domain's mail hosts?"""
    if not target.receives_mail:
        return
    domain = target.name
    found = await net.drive(find_policy_txt(domain, RECORD))
    if found.answered:
        yield Record.of(f"{found.name} TXT", found.meant)
    if found.chain:
        yield Record.of(f"{found.name} CNAME", (" -> ".join(found.chain),))
    yield _announcement(domain, found)
    if found.doubt and found.answered:  # what is meant as a record does not stand there, and has been judged
        yield (reduce(Doubt.over, OF_NO_RECORD, doubt) for doubt in doubts(found.doubt))
        return
    yield doubts(found.doubt)
    if not (found.doubt or found.meant or found.dangling or found.at_apex):
        yield MISSING(domain=domain)


UNTOLD = "Senders report to nobody when TLS with the mail hosts of the domain fails."

MISSING = Rule(
    "tls_rpt.missing",
    Severity.INFO,
    says="{domain} has no TLS-RPT record",
    why=UNTOLD + " With MTA-STS or DANE such mail is not delivered, and you learn of it last.",
    fix=f'Publish at _smtp._tls.{{domain}} the TXT record "v=TLSRPTv1; rua=mailto:{MAILBOX}@{{domain}}", with a '
    "mailbox that somebody reads.",
    ref="RFC 8460 section 3",
    remedy=report_tls,
)
AT_APEX = Rule(
    "tls_rpt.at-apex",
    Severity.WARNING,
    says="{domain} has its TLS-RPT record at the wrong name: senders look at _smtp._tls.{domain} only",
    why=UNTOLD,
    fix="Move the TXT record that begins with v=TLSRPTv1 from {domain} to _smtp._tls.{domain}.",
    ref="RFC 8460 section 3",
    remedy=report_tls,
)
DANGLING_CNAME = Rule(
    "tls_rpt.dangling-cname",
    Severity.WARNING,
    says="{name} is a CNAME to {target}, which has no TXT record",
    why=UNTOLD,
    fix="Ask the operator of {target} to publish the record there, or remove the CNAME at {name}.",
    ref="RFC 8460 section 3; RFC 1034 section 3.6.2",
)
MULTIPLE_RECORDS = Rule(
    "tls_rpt.multiple-records",
    Severity.WARNING,
    says="{name} has {count} TLS-RPT records, so senders use none of them",
    why=UNTOLD,
    fix="Leave one TXT record that begins with v=TLSRPTv1 at {name}. Its rua= may list several addresses.",
    ref="RFC 8460 section 3",
    remedy=report_tls,
)
SYNTAX = Rule(
    "tls_rpt.syntax",
    Severity.WARNING,
    says="the TLS-RPT record at {name} is invalid: {error}",
    why=UNTOLD,
    fix='Publish at {name} the TXT record "{record}", with an address that somebody reads.',
    ref="RFC 8460 section 3",
    remedy=report_tls,
)
BAD_URI = Rule(
    "tls_rpt.bad-uri",
    Severity.WARNING,
    says="the TLS-RPT record at {name} has addresses that cannot receive reports: {uris}",
    why="A sender that uses such an address reports to nobody. A strict sender treats the whole record as invalid.",
    fix="Correct rua= in the TXT record at {name}: mailto: or https: addresses with commas between them. Write a "
    "comma inside an address as %2C, an exclamation mark as %21.",
    ref="RFC 8460 section 3",
    remedy=report_tls,
)

OF_NO_RECORD = (MISSING, AT_APEX, DANGLING_CNAME)


def _announcement(domain: str, found: PolicyTxt) -> Iterator[Finding]:
    """What is wrong with the record; nothing, if there is none."""
    name = found.name
    if found.at_apex:
        yield AT_APEX(domain=domain)
    if found.dangling:
        yield DANGLING_CNAME(name=name, target=found.dangling)
    if len(found.records) > 1:
        yield MULTIPLE_RECORDS(name=name, count=len(found.records))
    elif found.meant:
        reporting, error = tried(parse, (found.records or found.meant)[0])
        if reporting is None:
            addresses = destinations((found.records or found.meant)[0]) or (f"mailto:{MAILBOX}@{domain}",)
            yield SYNTAX(name=name, error=error, record=f"v=TLSRPTv1; rua={','.join(addresses)}")
        elif reporting.bad:
            yield BAD_URI(name=name, uris=", ".join(f'"{uri}"' for uri in reporting.bad))
