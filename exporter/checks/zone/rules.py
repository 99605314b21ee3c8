"""The rules and the metrics of the check `zone`, and which of them a missing answer leaves open."""

from __future__ import annotations

from exporter.facts import Dead, Metric, Rule, Severity

NO_SUCH_DOMAIN = Rule(
    "zone.no-such-domain",
    Severity.WARNING,
    says="{domain} does not exist: the zone {zone} does not delegate it",
    why="There is no zone for the mail records.",
    fix="Register or renew {domain}, or correct the name in the configuration.",
    ref="RFC 1034 section 4.2.1",
    cause=("domain",),
)
NONE_AUTHORITATIVE = Rule(
    "zone.none-authoritative",
    Severity.CRITICAL,
    says="no name server of {zone} is authoritative for it: {servers}",
    why="Nobody can look up the domain. Receivers defer or reject its mail, and none reaches it.",
    fix="Load the zone {zone} on its name servers, or delegate it to servers that have it.",
    ref="RFC 1912 section 2.8; Zonemaster delegation04",
    refusals=("Postfix: 450 4.1.8 Sender address rejected: Domain not found",),
    implies=Dead.ZONE,
)
SILENT = Rule(
    "zone.silent",
    Severity.CRITICAL,
    says="no name server of {zone} has answered since {since}, while servers of other zones do: {servers}",
    why="Nobody can look up the domain. Receivers defer or reject its mail, and none reaches it.",
    fix="Start the name servers of {zone} again, open their port 53, or delegate {zone} to servers that answer.",
    ref="RFC 2182 section 3; Zonemaster connectivity01",
    certain=True,
    refusals=("Postfix: 450 4.1.8 Sender address rejected: Domain not found",),
    implies=Dead.ZONE,
)
LAME = Rule(
    "zone.lame",
    Severity.WARNING,
    says="the name server {server} ({ip}) of {zone} {how}",
    why="Resolvers that ask it lose time or get nothing. Lookups are slow, and some of them fail.",
    fix="Load {zone} on {server} or fix its transfer. Otherwise remove it from the NS records here and at the "
    "registrar.",
    ref="RFC 1912 section 2.8; Zonemaster delegation04",
    cause=("ip", "server"),
    subjects=("ip",),
)
SERVER_SILENT = Rule(
    "zone.server-silent",
    Severity.WARNING,
    says="the name server {server} ({ip}) of {zone} does not answer over {transports}, while others do",
    why="Each resolver that tries it waits for seconds. Some lookups during an SMTP session time out.",
    fix="Start {server} ({ip}) again or open its port 53. Otherwise remove it from the NS records here and at the "
    "registrar.",
    ref="RFC 2182 section 3; Zonemaster connectivity01",
    cause=("ip", "server"),
    subjects=("ip",),
)
NO_TCP = Rule(
    "zone.no-tcp",
    Severity.WARNING,
    says="the name server {server} ({ip}) of {zone} does not answer over TCP",
    why="Answers that do not fit into a UDP packet are lost, first of all long SPF and DKIM records.",
    fix="Open TCP port 53 on {server} ({ip}), and in firewalls in front of it.",
    ref="RFC 7766 section 5; Zonemaster connectivity02",
    cause=("ip", "server"),
    subjects=("ip",),
)
STALE_GLUE = Rule(
    "zone.stale-glue",
    Severity.WARNING,
    says="the parent zone has the address {ip} for name server {server} of {zone}, which it does not have "
    "({addresses}); that address {how}",
    why="Resolvers that come from the parent zone ask that address first. Lookups are slow, or fail if it is the only "
    "one.",
    fix="Correct the address of {server} at the registrar (glue, host record): remove {ip}.",
    ref="RFC 1034 section 4.2.1; RFC 1912 section 2.3; Zonemaster consistency05",
    cause=("ip", "server"),
    subjects=("ip",),
)
NO_ADDRESS = Rule(
    "zone.no-address",
    Severity.WARNING,
    says="name servers of {zone} have no address: {servers}",
    why="Nobody can ask them. If such a name can be registered, a stranger can take over the zone.",
    fix="Publish addresses for {servers}, or remove the names from the NS records here and at the registrar.",
    ref="RFC 1912 section 2.8",
)
ALIAS = Rule(
    "zone.alias",
    Severity.WARNING,
    says="name servers of {zone} are aliases (CNAME): {servers}",
    why="An NS record must not point to an alias. Many resolvers do not follow it.",
    fix="Replace {servers} in the NS records with names that have their own address records.",
    ref="RFC 2181 section 10.3; RFC 1912 section 2.4; Zonemaster delegation05",
)
NOT_PUBLIC = Rule(
    "zone.not-public",
    Severity.WARNING,
    says="name servers of {zone} have no public address: {servers}",
    why="Nobody outside can ask them.",
    fix="Publish the public addresses of {servers}. If the exporter's resolver shows internal DNS, configure one that "
    "sees public DNS.",
    ref="RFC 6890",
)
DOCUMENTATION_ADDRESS = Rule(
    "zone.documentation-address",
    Severity.WARNING,
    says="name servers of {zone} have addresses that are reserved for documentation: {addresses}",
    why="No packet reaches such an address.",
    fix="Publish the real addresses of these name servers, here and at the registrar, and remove {addresses}.",
    ref="RFC 5737; RFC 3849; RFC 9637",
)
SINGLE = Rule(
    "zone.single",
    Severity.WARNING,
    says="{zone} has a single name server, {server}",
    why="While it is down, the domain does not exist for anybody.",
    fix="Add a second name server for {zone} in another network.",
    ref="RFC 1034 section 4.1; RFC 2182 section 5",
)
SAME_ADDRESS = Rule(
    "zone.same-address",
    Severity.WARNING,
    says="the name servers {servers} of {zone} are one machine with the same addresses, {addresses}",
    why="Several names of one machine give no redundancy. When it fails, all of them fail.",
    fix="Move one of {servers} to another machine, or replace it with another server, here and at the registrar.",
    ref="RFC 2182 section 3.1; Zonemaster delegation02",
)
NO_IPV4 = Rule(
    "zone.no-ipv4",
    Severity.WARNING,
    says="no name server of {zone} has an IPv4 address",
    why="Many resolvers have only IPv4. For them the domain does not exist, and they defer or reject its mail.",
    fix="Publish an A record for a name server of {zone}, or add a name server that has one.",
    ref="RFC 3901 section 3; Zonemaster delegation01",
)
NO_IPV6 = Rule(
    "zone.no-ipv6",
    Severity.INFO,
    says="no name server of {zone} has an IPv6 address",
    why="Resolvers that have only IPv6 cannot look up the domain.",
    fix="Publish an AAAA record for a name server of {zone}.",
    ref="RFC 3901; Zonemaster delegation01",
)
SAME_NETWORK = Rule(
    "zone.same-network",
    Severity.INFO,
    says="all {count} name servers of {zone} that have {family} are in one network, {network}",
    why="If that network fails, the domain fails.",
    fix="Place a name server for {zone} in another network.",
    ref="RFC 2182 section 3.1; Zonemaster connectivity03",
)
TOO_MANY = Rule(
    "zone.too-many",
    Severity.INFO,
    says="{zone} has {count} name servers; only the first {limit} are checked",
    why="A delegation with so many does not fit into a small answer.",
    fix="Reduce the name servers of {zone}.",
    ref="RFC 2182 section 5",
)
DELEGATION_DIFFERS = Rule(
    "zone.delegation-differs",
    Severity.WARNING,
    says="the parent zone delegates {zone} to {parent}, but the zone itself has {child}",
    why="Resolvers use one set or the other. A failing server in only one of them can go unnoticed.",
    fix="Make the NS records of {zone} and its delegation at the registrar the same.",
    ref="RFC 1034 section 4.2.2; Zonemaster consistency04",
)
DATA_DIFFER = Rule(
    "zone.data-differ",
    Severity.WARNING,
    says="the name servers of {zone} disagree about the {kind} record of {name}: {answers}",
    why="It depends on the server that is asked. With some of them mail is rejected, or does not arrive.",
    fix="Fix the zone transfer of {zone} (NOTIFY, AXFR/IXFR, TSIG) until all servers have the same {kind} record.",
    ref="RFC 1034 section 4.3.5; Zonemaster Z09_INCONSISTENT_MX_DATA and Z11_INCONSISTENT_SPF_POLICIES",
)
NOT_AUTHORITATIVE = Rule(
    "zone.not-authoritative",
    Severity.WARNING,
    says="the name server {server} ({ip}) of {zone} gives non-authoritative answers (no AA) for {questions}",
    why="Resolvers distrust such answers. They ask the next server, or fail. Receivers then defer or reject mail.",
    fix="Configure {server} to answer from the zone itself, not from a cache or a forwarder.",
    ref="RFC 1035 section 4.1.1; RFC 2181 section 5.4.1",
    cause=("ip", "server"),
    subjects=("ip",),
)
SERIALS_DIFFER = Rule(
    "zone.serials-differ",
    Severity.INFO,
    says="the name servers of {zone} have different serials: {serials}",
    why="A change has not reached all of them. If it lasts longer than the SOA's refresh, it is a fault.",
    fix="Fix the zone transfer of {zone} to the servers with the older serial.",
    ref="RFC 1035 section 3.3.13; RFC 1982 section 3.2; Zonemaster consistency01",
)
BOGUS = Rule(
    "zone.bogus",
    Severity.CRITICAL,
    says="DNSSEC validation of {domain} fails for {questions}: {reason}",
    why="For receivers that validate, these records do not exist: they see no MX, SPF, DKIM or DMARC.",
    fix="Sign the zone of {domain} again, set its DS record at the registrar to the key that signs it, or remove the "
    "DS record.",
    ref="RFC 4035 section 5.5; RFC 8914",
    implies=Dead.ZONE,
)
DS_WITHOUT_KEY = Rule(
    "zone.ds-without-key",
    Severity.CRITICAL,
    says="the DS records of {zone} are for the keys {wanted}, but its servers have {have}",
    why="Receivers that validate see no MX, SPF, DKIM or DMARC.",
    fix="Set the DS record of {zone} at the registrar to a key that its servers publish, or remove it.",
    ref="RFC 4035 section 5; Zonemaster dnssec02",
    implies=Dead.ZONE,
)
SIGNATURE_EXPIRING = Rule(
    "zone.signature-expiring",
    Severity.WARNING,
    says="a DNSSEC signature of {zone} is valid only until {end}: {record}",
    why="From then on, receivers that validate see no MX, SPF, DKIM or DMARC.",
    fix="Find out why {zone} is not signed again in time, and whether the signed zone reaches all its servers.",
    ref="RFC 4034 section 3.1.5; RFC 6781 section 4.4.2; Zonemaster dnssec04",
)
UNSIGNED = Rule(
    "zone.unsigned",
    Severity.INFO,
    says="{zone} is not protected by DNSSEC: its parent zone has no DS record for it",
    why="Forged answers about it go unnoticed, and DANE (RFC 7672) cannot protect its mail.",
    fix="Sign {zone} and publish the DS record at the registrar.",
    ref="RFC 4035 section 4.3",
)
NAMESERVERS = Metric("deliverability_zone_nameservers", "Name servers in the NS records of the domain's zone.")
SIGNATURES = Metric(
    "deliverability_zone_signature_not_after_timestamp_seconds",
    "Earliest end of a DNSSEC signature over the SOA, NS and mail records of the zone; absent unless "
    "the zone has a DS record.",
)

# What one server alone can tell, and what all of them together.
OF_A_SERVER = (LAME, SERVER_SILENT, NO_TCP, STALE_GLUE, NOT_AUTHORITATIVE)
OF_THE_DATA = (DATA_DIFFER, SERIALS_DIFFER, SIGNATURE_EXPIRING)
OF_NOBODY = (NONE_AUTHORITATIVE, SILENT)
# What the names and addresses of the servers tell.
OF_THE_ADDRESSES = (
    NO_ADDRESS,
    ALIAS,
    NOT_PUBLIC,
    DOCUMENTATION_ADDRESS,
    SAME_ADDRESS,
    SAME_NETWORK,
    NO_IPV4,
    NO_IPV6,
)
