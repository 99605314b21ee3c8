"""What can be wrong with MTA-STS (RFC 8461), and which rules one question answers."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.facts import Finding, Known, Rule, Severity
from exporter.mail.policy_txt_remedies import announce_policy
from exporter.text import listed

UNPROTECTED = "Senders then see no policy. A man in the middle can read or redirect mail."
NEW_ID = "then change id= in the TXT record at _mta-sts.{domain}"

MULTIPLE_RECORDS = Rule(
    "mta_sts.multiple-records",
    Severity.WARNING,
    says="{name} has {count} MTA-STS records, so senders use none of them",
    why=UNPROTECTED,
    fix="Leave one TXT record that begins with v=STSv1 at {name}.",
    ref="RFC 8461 section 3.1",
    remedy=announce_policy,
)
SYNTAX = Rule(
    "mta_sts.syntax",
    Severity.WARNING,
    says="the MTA-STS record at {name} is invalid: {error}",
    why=UNPROTECTED,
    fix='Publish at {name} the TXT record "v=STSv1; id=1". The id has 1 to 32 letters and digits.',
    ref="RFC 8461 section 3.1",
    remedy=announce_policy,
)
AT_APEX = Rule(
    "mta_sts.at-apex",
    Severity.WARNING,
    says="{domain} has its MTA-STS record at the wrong name: senders look at _mta-sts.{domain} only",
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
    fix="Ask the operator of {target} to publish the record there, or remove the CNAME at {name}.",
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
    says="senders reject the MTA-STS policy of {domain}: {how}",
    why=UNPROTECTED,
    fix="Get a certificate for mta-sts.{domain} from a public authority, and send its whole chain.",
    ref="RFC 8461 section 3.3",
)
POLICY_REDIRECTED = Rule(
    "mta_sts.policy-redirected",
    Severity.WARNING,
    says="{url} redirects ({status}) to {location}, which senders must not follow",
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
    says="the policy at {url} is larger than {limit} bytes, more than senders need to read",
    why=UNPROTECTED,
    fix="Serve only the policy at {url}, a few lines of text.",
    ref="RFC 8461 section 3.3",
)
POLICY_TYPE = Rule(
    "mta_sts.policy-type",
    Severity.WARNING,
    says='{url} serves the policy as "{type}", not as text/plain',
    why="Senders may reject a policy of another type, and some do. They then see no policy.",
    fix="Serve {url} with the header Content-Type: text/plain.",
    ref="RFC 8461 section 3.2",
)
POLICY_SYNTAX = Rule(
    "mta_sts.policy-syntax",
    Severity.WARNING,
    says="the MTA-STS policy at {url} is not valid: {error}",
    why="Strict senders, or all of them, ignore an invalid policy. Senders then see no policy. A man in the middle "
    "can read or redirect mail.",
    fix='Correct the policy at {url}: lines of "name: value" with version: STSv1, mode, max_age, and mx for each '
    "mail host. Then change id= in the TXT record at _mta-sts.{domain}.",
    ref="RFC 8461 section 3.2",
)
POLICY_TESTING = Rule(
    "mta_sts.policy-testing",
    Severity.INFO,
    says="the MTA-STS policy of {domain} is in test mode (mode: testing), first seen on {since}",
    why="Senders report failures and still deliver, so nothing is protected yet. That is the right beginning. After "
    "90 days it is a warning.",
    fix="Set mode: enforce in {url} once the TLS-RPT reports show no failures. Then change id= in the TXT record at "
    "_mta-sts.{domain}.",
    ref="RFC 8461 sections 3.2, 5",
)
POLICY_NONE = Rule(
    "mta_sts.policy-none",
    Severity.INFO,
    says="the MTA-STS policy of {domain} has mode: none",
    why="This withdraws a policy: senders forget the one that they stored.",
    fix="Remove the TXT record at _mta-sts.{domain} when the max_age of the former policy is over.",
    ref="RFC 8461 section 8.3",
)
SHORT_MAX_AGE = Rule(
    "mta_sts.short-max-age",
    Severity.WARNING,
    says="senders may keep the MTA-STS policy of {domain} for only {seconds} seconds",
    why="An attacker who blocks the next fetch for that long switches the protection off. Use weeks. A day, as in "
    "Gmail's own policy, is information; less is a warning.",
    fix="Set max_age: 604800 or more in {url}. Then change id= in the TXT record at _mta-sts.{domain}.",
    ref="RFC 8461 sections 3.2, 10.2",
)
ID_UNCHANGED = Rule(
    "mta_sts.id-unchanged",
    Severity.WARNING,
    says="the MTA-STS policy of {domain} changed on {since}, but its id is still {id}",
    why="Senders fetch the policy again only when the id changes. Until its max_age is over they use the old one.",
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
    says="the MTA-STS policy of {domain} (mode: {mode}) does not list its MX host {mail_host}",
    why="In mode enforce, senders that obey the policy, such as Gmail and Office 365, do not deliver to that host. If "
    "no other host is left, mail to the domain is queued, then bounces.",
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
    says="{mail_host} does not fulfil the MTA-STS policy of {domain} (mode: {mode}): {faults}",
    why="In mode enforce, senders that obey the policy, such as Gmail and Office 365, do not deliver to that host. If "
    "no other host is left, mail to the domain is queued, then bounces.",
    fix="Install on {mail_host} a valid certificate of a public authority for this name, with TLS 1.2 or newer. Until "
    "then, set mode: testing in {url} and change id= in the TXT record at _mta-sts.{domain}.",
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
    says="the MTA-STS policy of {domain} lists names that no MX host has: {patterns}",
    why="This does no harm while the name is your own. Remove a host that is out of service.",
    fix="Remove these mx lines from {url}, unless such a host is planned. Then change id= in the TXT record at "
    "_mta-sts.{domain}.",
    ref="RFC 8461 section 3.2",
)

# What a question that got no answer leaves open.
OF_FETCHES = (POLICY_UNREACHABLE, POLICY_REDIRECTED, POLICY_MISSING, POLICY_TOO_LARGE)
OF_POLICIES = (POLICY_TYPE, POLICY_SYNTAX, POLICY_TESTING, POLICY_NONE, SHORT_MAX_AGE, ID_UNCHANGED)
OF_HOSTS = (MX_NOT_LISTED, CERTIFICATE, PATTERN_UNUSED)
