"""What can be wrong with MTA-STS (RFC 8461), and which rules one question answers."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.facts import Finding, Known, Rule, Severity
from exporter.mail.policy_txt_remedies import announce_policy
from exporter.text import listed

UNPROTECTED = "Senders then know of no policy, and whoever stands on the way can read the mail or take it over."
NEW_ID = "then change id= in the TXT record at _mta-sts.{domain}"

MULTIPLE_RECORDS = Rule(
    "mta_sts.multiple-records",
    Severity.WARNING,
    says="{name} holds {count} MTA-STS records, so none of them counts",
    why=UNPROTECTED,
    fix="Leave a single TXT record that begins with v=STSv1 at {name}.",
    ref="RFC 8461 section 3.1",
    remedy=announce_policy,
)
SYNTAX = Rule(
    "mta_sts.syntax",
    Severity.WARNING,
    says="the MTA-STS record at {name} does not count: {error}",
    why=UNPROTECTED,
    fix='Publish at {name} the TXT record "v=STSv1; id=1", where id is 1 to 32 letters and digits.',
    ref="RFC 8461 section 3.1",
    remedy=announce_policy,
)
AT_APEX = Rule(
    "mta_sts.at-apex",
    Severity.WARNING,
    says="an MTA-STS record stands at {domain} itself, where nobody looks for it",
    why=UNPROTECTED,
    fix="Move the TXT record that begins with v=STSv1 from {domain} to _mta-sts.{domain}.",
    ref="RFC 8461 section 3.1",
    remedy=announce_policy,
)
DANGLING_CNAME = Rule(
    "mta_sts.dangling-cname",
    Severity.WARNING,
    says="{name} is a CNAME to {target}, which has no TXT record",
    why=UNPROTECTED,
    fix="Ask whoever runs {target} to publish the record there, or remove the CNAME at {name}.",
    ref="RFC 8461 section 3.1; RFC 1034 section 3.6.2",
)
POLICY_UNREACHABLE = Rule(
    "mta_sts.policy-unreachable",
    Severity.WARNING,
    says="{domain} has an MTA-STS record, but its policy cannot be fetched: {how}",
    why=UNPROTECTED,
    fix="Let a web server answer at {url}, or remove the TXT record at _mta-sts.{domain}.",
    ref="RFC 8461 section 3.3",
)
POLICY_CERTIFICATE = Rule(
    "mta_sts.policy-certificate",
    Severity.WARNING,
    says="senders do not believe the MTA-STS policy of {domain}: {how}",
    why=UNPROTECTED,
    fix="Get a certificate for mta-sts.{domain} from a public authority, and send its whole chain.",
    ref="RFC 8461 section 3.3",
)
POLICY_REDIRECTED = Rule(
    "mta_sts.policy-redirected",
    Severity.WARNING,
    says="{url} answers with a redirect ({status}) to {location}, which senders must not follow",
    why=UNPROTECTED,
    fix="Serve the policy at {url} itself, with status 200.",
    ref="RFC 8461 section 3.3",
)
POLICY_MISSING = Rule(
    "mta_sts.policy-missing",
    Severity.WARNING,
    says="{domain} has an MTA-STS record, but {url} answers with HTTP status {status}",
    why=UNPROTECTED,
    fix="Serve the policy at {url} with status 200, or remove the TXT record at _mta-sts.{domain}.",
    ref="RFC 8461 section 3.3",
)
POLICY_TOO_LARGE = Rule(
    "mta_sts.policy-too-large",
    Severity.WARNING,
    says="what {url} serves is larger than {limit} octets, more than senders need to read",
    why=UNPROTECTED,
    fix="Serve at {url} the policy alone, a few lines of text.",
    ref="RFC 8461 section 3.3",
)
POLICY_TYPE = Rule(
    "mta_sts.policy-type",
    Severity.WARNING,
    says='{url} serves the policy as "{type}", not as text/plain',
    why="Senders may refuse a policy of another type, and some do; for them there is none.",
    fix="Serve {url} with the header Content-Type: text/plain.",
    ref="RFC 8461 section 3.2",
)
POLICY_SYNTAX = Rule(
    "mta_sts.policy-syntax",
    Severity.WARNING,
    says="the MTA-STS policy at {url} is not valid: {error}",
    why="Senders that read it strictly, or all of them, take it for no policy. " + UNPROTECTED,
    fix='Correct the policy at {url}: lines of "name: value", among them version: STSv1, mode, max_age, and mx for '
    f"each mail host; {NEW_ID}.",
    ref="RFC 8461 section 3.2",
)
POLICY_TESTING = Rule(
    "mta_sts.policy-testing",
    Severity.INFO,
    says="the MTA-STS policy of {domain} is only being tested (mode: testing), as first seen on {since}",
    why="Senders report what fails, and deliver all the same: nothing is protected yet. That is how it should begin; "
    "after 90 days it is a warning.",
    fix=f"Set mode: enforce in {{url}} once the TLS-RPT reports show no failures, {NEW_ID}.",
    ref="RFC 8461 sections 3.2, 5",
)
POLICY_NONE = Rule(
    "mta_sts.policy-none",
    Severity.INFO,
    says="the MTA-STS policy of {domain} says that there is none (mode: none)",
    why="That is how a policy is taken back: senders forget the one they have kept.",
    fix="Remove the TXT record at _mta-sts.{domain} when the max_age of the former policy is over.",
    ref="RFC 8461 section 8.3",
)
SHORT_MAX_AGE = Rule(
    "mta_sts.short-max-age",
    Severity.WARNING,
    says="senders may keep the MTA-STS policy of {domain} for {seconds} seconds only",
    why="Whoever can hold up the next fetch for that long has switched the protection off; weeks are meant. A day, as "
    "Gmail's own policy has it, is information; less is a warning.",
    fix=f"Set max_age: 604800 or more in {{url}}, {NEW_ID}.",
    ref="RFC 8461 sections 3.2, 10.2",
)
ID_UNCHANGED = Rule(
    "mta_sts.id-unchanged",
    Severity.WARNING,
    says="the MTA-STS policy of {domain} changed on {since}, but its id is still {id}",
    why="Senders ask for the policy again only when the id changes, and go by the old one until its max_age is over.",
    fix='Set the TXT record at _mta-sts.{domain} to "v=STSv1; id={next}".',
    ref="RFC 8461 sections 3.1, 8.1",
    remedy=announce_policy,
)


def _lines(findings: Sequence[Finding], known: Known) -> str:  # noqa: ARG001 (each merged fix is called alike)
    """A line for each host."""
    evidence = [dict(finding.evidence) for finding in findings]
    if len(evidence) < 2:
        return ""
    lines = listed(f'"mx: {it["mail_host"]}"' for it in evidence)
    return f"Add the lines {lines} to {evidence[0]['url']}, {NEW_ID.format(domain=evidence[0]['domain'])}."


MX_NOT_LISTED = Rule(
    "mta_sts.mx-not-listed",
    Severity.CRITICAL,
    says="the MTA-STS policy of {domain} (mode: {mode}) does not name its MX host {mail_host}",
    why="In mode enforce, senders that obey the policy, Gmail and Office 365 among them, deliver nothing to that host. "
    "Where no other is left, mail to the domain waits and comes back.",
    fix=f'Add the line "mx: {{mail_host}}" to {{url}}, {NEW_ID}.',
    ref="RFC 8461 sections 4.1, 5",
    cause=("domain",),
    merged=_lines,
    refusals=(
        "Office 365: 451 4.4.8 MX hosts of ... failed MTA-STS validation",
        "Office 365: 550 5.4.8 MX hosts of ... failed MTA-STS validation",
    ),
    subjects=("mail_host",),
)
CERTIFICATE = Rule(
    "mta_sts.certificate",
    Severity.CRITICAL,
    says="{mail_host} does not show what the MTA-STS policy of {domain} (mode: {mode}) promises: {faults}",
    why="In mode enforce, senders that obey the policy, Gmail and Office 365 among them, deliver nothing to that host. "
    "Where no other is left, mail to the domain waits and comes back.",
    fix="Give {mail_host} a certificate of a public authority that is in date and has this name, over STARTTLS with "
    f"TLS 1.2 or newer; if that takes time, set mode: testing in {{url}}, {NEW_ID}.",
    ref="RFC 8461 sections 4.2, 5, 7.2",
    refusals=(
        "Office 365: 451 4.7.5 Remote certificate failed MTA-STS validation",
        "Office 365: 550 5.7.5 Remote certificate failed MTA-STS validation",
    ),
    subjects=("mail_host",),
)
PATTERN_UNUSED = Rule(
    "mta_sts.pattern-unused",
    Severity.INFO,
    says="the MTA-STS policy of {domain} names what no MX host of it matches: {patterns}",
    why="It does no harm while the name is your own; a host that was taken out of service is better forgotten.",
    fix=f"Remove these mx lines from {{url}}, unless such a host is about to come; {NEW_ID}.",
    ref="RFC 8461 section 3.2",
)

# What a question that got no answer leaves open.
OF_FETCHES = (POLICY_UNREACHABLE, POLICY_REDIRECTED, POLICY_MISSING, POLICY_TOO_LARGE)
OF_POLICIES = (POLICY_TYPE, POLICY_SYNTAX, POLICY_TESTING, POLICY_NONE, SHORT_MAX_AGE, ID_UNCHANGED)
OF_HOSTS = (MX_NOT_LISTED, CERTIFICATE, PATTERN_UNUSED)
