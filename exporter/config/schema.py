"""What a configuration file may contain: the keys, their types, their defaults and their meaning.

The models describe one entry; build.py validates entries against each other. The JSON schema for editors is made from
the models, so people read these descriptions while they type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, create_model

from exporter import receivers
from exporter.config import settings, values
from exporter.config.fields import CatalogueId, Given, OrWord, Parsed, Short, Whole, listed, no_items
from exporter.config.values import SYSTEM, Nameserver, Network
from exporter.engine import catalogue
from exporter.facts import IP, Severity
from exporter.mail.dnsbl.blocklist import PER_SECOND, Lists
from exporter.mail.rdap import IANA
from exporter.model import Door

T = TypeVar("T")

A_DURATION = "a duration such as 15s, 5m, 1h or 2d"
DURATION_PATTERN = "[1-9][0-9]*[smhd]"

Maybe: TypeAlias = Annotated[T | None, Given()]

DomainName: TypeAlias = Annotated[str, Parsed("a domain name", values.domain)]
RecordDomain: TypeAlias = Annotated[str, Parsed("a domain name", values.record_domain)]
SelectorName: TypeAlias = Annotated[str, Parsed("a DKIM selector", values.selector)]
IpAddress: TypeAlias = Annotated[IP, Parsed("an IP address", values.ip)]
SenderName: TypeAlias = Annotated[str, Parsed(values.A_NAME, values.name, values.NAME.pattern)]
ListName: TypeAlias = Annotated[
    str, Parsed(values.A_LIST_NAME, values.list_name, values.LIST_NAME.pattern, secret=True)
]
Reference: TypeAlias = Annotated[str, Parsed("the name of a sender", str)]
Helo: TypeAlias = Annotated[str, Parsed("the HELO name as text", values.helo)]
OwnHelo: TypeAlias = Annotated[str, Parsed("a fully qualified host name", values.own_helo)]
LabelName: TypeAlias = Annotated[str, Parsed("a label name of letters, digits and `_`", values.label_name)]
LabelValue: TypeAlias = Annotated[str, Parsed(values.A_LABEL_VALUE, values.label_value)]
Day: TypeAlias = Annotated[float, Parsed("a date such as 2027-01-31", values.until, values.DATE.pattern)]
Why: TypeAlias = Annotated[str, Parsed(values.A_REASON, values.reason)]
Zone: TypeAlias = Annotated[str, Parsed("a zone name", values.zone, secret=True)]
SecretFile: TypeAlias = Annotated[str, Parsed("the path of a file", values.path, secret=True)]
SecretVariable: TypeAlias = Annotated[str, Parsed("the name of an environment variable", values.path, secret=True)]
ListKind: TypeAlias = Annotated[Lists, Parsed("ip or domain", values.lists, "(ip|domain)")]
Grade: TypeAlias = Annotated[Severity, Parsed("critical, warning or info", values.severity, "(critical|warning|info)")]
ReceiverName: TypeAlias = Annotated[
    str, Parsed("the name of a receiver", values.receiver, f"({'|'.join(receivers.shipped())})")
]
Pattern: TypeAlias = Annotated[str, Parsed("a path or pattern of paths", values.path)]
Percent: TypeAlias = Annotated[int, Parsed("a percentage such as 20%", values.percent, "(100|[1-9]?[0-9])%")]
Bootstrap: TypeAlias = Annotated[str, Parsed("a file or an https URL", values.file_or_url)]
Allowed: TypeAlias = Annotated[Network | str, Parsed("configured, a network or a domain", values.allowed)]
DomainWithNames: TypeAlias = Annotated[str, Parsed("a domain", values.domain_with_names)]
Server: TypeAlias = Annotated[
    Nameserver, Parsed("system, an IP address, ADDRESS:PORT or [ADDRESS]:PORT", values.nameserver)
]
Interval: TypeAlias = Annotated[
    timedelta, Parsed(A_DURATION, values.duration(timedelta(seconds=1), timedelta(days=30)), DURATION_PATTERN)
]
Timeout: TypeAlias = Annotated[
    timedelta, Parsed(A_DURATION, values.duration(timedelta(seconds=1), timedelta(minutes=1)), DURATION_PATTERN)
]
CheckId: TypeAlias = Annotated[str, CatalogueId("check")]
PaceId: TypeAlias = Annotated[str, CatalogueId("check", besides=("default",))]
FindingId: TypeAlias = Annotated[str, CatalogueId("finding")]
FamilyName: TypeAlias = Annotated[str, CatalogueId("metric family")]


class Keys(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class CheckOptions(Keys):
    enabled: Maybe[bool] = Field(None, description="false: this check is not done. Default: true")


def _with_own_keys() -> type[CheckOptions]:
    """Add the keys of all checks. check_options.judge reports a key below the wrong check."""
    keys: dict[str, Any] = {}
    for check, declared in catalogue.load().options.items():
        for it in fields(declared):
            says = it.metadata["says"]
            if isinstance(it.default, tuple):
                domains = Annotated[list[DomainWithNames], listed("domains")]
                keys[it.name] = domains, Field([], description=f"{check} alone: {says}")
            else:
                description = f"{check} alone. {says}. Default: {str(it.default).lower()}"
                keys[it.name] = Annotated[bool | None, Given()], Field(None, description=description)
    return create_model(CheckOptions.__name__, __base__=CheckOptions, **keys)


if TYPE_CHECKING:
    OptionsOfCheck: TypeAlias = CheckOptions
else:
    OptionsOfCheck = _with_own_keys()


class AcceptEntry(Keys):
    finding: FindingId = Field(description="the id of the finding to live with")
    until: Maybe[Day] = Field(None, description="the last day (UTC) of it; afterwards it counts again. Default: no end")
    reason: Why = Field(description="the reason, for those who read it next year")


OptionsByCheck: TypeAlias = dict[CheckId, OptionsOfCheck]


class TargetEntry(Keys):
    """What senders, domains and mail hosts share."""

    labels: dict[str, LabelValue] = Field(
        default_factory=dict,
        description="labels on every series of this entry; their names are declared in label_names",
    )
    checks: OptionsByCheck = Field(default_factory=dict, description="checks switched off or on for this entry alone")
    accept: Annotated[list[AcceptEntry], listed("accepted findings")] = no_items(
        "findings that are acknowledged here, until a date or without end"
    )


class AddressEntry(Keys):
    ip: IpAddress = Field(description="the address that receivers see")
    helo: Maybe[Helo] = Field(None, description="what it says in HELO/EHLO; default: the sender's helo")


class SenderEntry(TargetEntry):
    name: SenderName = Field(description="what domains, alerts and pages call this sender")
    addresses: Maybe[
        Annotated[list[Annotated[AddressEntry, Short("ip")]], listed("IP addresses", empty=False, most=10_000)]
    ] = Field(None, description="the addresses that send; each may be {ip, helo}")
    helo: Maybe[Helo] = Field(None, description="the name said in HELO/EHLO, exactly as the machine sends it")
    spf_include: Maybe[RecordDomain] = Field(
        None,
        description="for somebody else's machines: the name that SPF must include, instead of addresses; not needed "
        "where every domain says that its mail_from is theirs",
    )


class SenderOfDomain(Keys):
    name: Reference = Field(description="the name of the sender")
    mail_from: Maybe[
        Annotated[list[RecordDomain], listed("domain names", empty=False), OrWord(values.THEIRS, "domain names")]
    ] = Field(
        None,
        description="the envelope domains that this sender uses for the domain; theirs: one of the provider's own, so "
        "that only DKIM can align. Default: the domain's mail_from",
    )


class SelectorEntry(Keys):
    selector: SelectorName = Field(description="the s= tag of the signature")
    domain: Maybe[RecordDomain] = Field(None, description="the d= tag of the signature; default: the domain itself")
    retired: bool = Field(False, description="true: no longer used, so its key must be revoked or removed")


class DomainDefaults(TargetEntry):
    senders: Annotated[list[Annotated[SenderOfDomain, Short("name")]], listed("names of senders")] = no_items(
        "the senders that SPF must authorise; each may be {name, mail_from}"
    )
    mail_from: Maybe[Annotated[list[RecordDomain], listed("domain names", empty=False)]] = Field(
        None,
        description="the envelope domains of the senders without a mail_from of their own; SPF is checked there. "
        "Default: the domain itself",
    )
    dkim_selectors: Annotated[list[Annotated[SelectorEntry, Short("selector")]], listed("names")] = no_items(
        "the DKIM keys in use; each may be {selector, domain, retired}"
    )
    receives_mail: bool = Field(True, description="false: the domain wants a null MX or none")
    receivers: Maybe[Annotated[list[ReceiverName], listed("names of receivers")]] = Field(
        None, description="whose requirements its mail must pass; default: those of the general list"
    )
    sends_mail: bool = Field(True, description="false: the domain is parked; it wants v=spf1 -all and p=reject")


class DomainEntry(DomainDefaults):
    name: DomainName = Field(description="the domain in the From: address")


class MailHostEntry(TargetEntry):
    host: DomainName = Field(description="the name of the SMTP server")
    port: Annotated[int, Whole(1, 65535)] = Field(25, description="25, 587 or 465")


class BlocklistEntry(Keys):
    name: ListName = Field(
        description="the name shown everywhere; a shipped list's name brings the meaning of its codes"
    )
    zone: Maybe[Zone] = Field(None, description="the DNS zone to ask; one with a key in it belongs in a zone_file")
    zone_file: Maybe[SecretFile] = Field(
        None, description="a file that holds the zone, when the zone holds a key; relative to the configuration"
    )
    zone_env: Maybe[SecretVariable] = Field(
        None, description="an environment variable that holds the zone, when the zone holds a key"
    )
    lists: Maybe[ListKind] = Field(None, description="what a list of your own lists: ip or domain. Default: ip")
    severity: Maybe[Grade] = Field(
        None,
        description="how bad a listing is where the code does not say: critical, warning or info. Default: warning",
    )
    queries_per_day: Maybe[Annotated[int, Whole(1, 1_000_000_000)]] = Field(
        None,
        description="the most questions a day. Default: what the catalogue knows, no limit for a list of your own",
    )
    queries_per_second: Maybe[Annotated[int, Whole(1, 100_000)]] = Field(
        None, description=f"the most questions in one second. Default: {PER_SECOND}"
    )


class ResolverSection(Keys):
    nameservers: Annotated[list[Server], listed("name servers", empty=False)] = Field(
        [Nameserver(SYSTEM, 53)],
        description="whom to ask, in order; system = as the machine does. Default: [system]",
        json_schema_extra={"default": [SYSTEM]},
    )
    timeout: Timeout = Field(
        settings.DNS_TIMEOUT,
        description="how long one question may take, retries included. Default: 5s",
        json_schema_extra={"default": "5s"},
    )
    queries_per_second: Annotated[int, Whole(1, 100_000)] = Field(
        settings.QUERIES_PER_SECOND, description="the most questions sent in one second, to all name servers together"
    )


class SmtpSection(Keys):
    helo_name: Maybe[OwnHelo] = Field(
        None,
        description="what the exporter itself says in EHLO; needed for "
        f"{' and '.join(catalogue.load().through(Door.SMTP))}, no guess is made",
    )


class RdapSection(Keys):
    bootstrap: Bootstrap = Field(
        IANA,
        description=f"the list of RDAP servers: a file or an https URL; a file is read again each day. Default: {IANA}",
    )


class PeerEntry(Keys):
    domain: Maybe[DomainName] = Field(
        None, description="a mail domain: its MX hosts are asked, without MX records the name itself"
    )
    host: Maybe[DomainName] = Field(None, description="instead of a domain: this very server")
    port: Maybe[Annotated[int, Whole(1, 65535)]] = Field(None, description="the port of the host. Default: 25")


class EhloProbeSection(Keys):
    peers: Annotated[list[Annotated[PeerEntry, Short("domain")]], listed("peers")] = Field(
        [], description="receivers that are asked whether they accept the HELO names of the senders; none: off"
    )


class ProbeSection(Keys):
    allow: Annotated[list[Allowed], listed("networks, domains or the word configured")] = Field(
        [values.CONFIGURED], description="for a path still to come: configured, networks, domains with all below"
    )


class LimitsSection(Keys):
    series: Annotated[int, Whole(1_000, 100_000_000)] = Field(settings.SERIES, description="the most time series")
    reload_drop: Percent = Field(
        settings.RELOAD_DROP,
        description="how many of the senders, domains and mail_hosts may leave with a reload; 10 may. Default: 20%",
        json_schema_extra={"default": "20%"},
    )


class IncludeEntry(Keys):
    path: Pattern = Field(description="a path or pattern of paths; relative to this file")
    optional: bool = Field(False, description="true: it may match no file")


class MetricsSection(Keys):
    deny: Annotated[list[FamilyName], listed("names of metric families")] = Field(
        [], description="families that /metrics leaves out; alerts and dashboards that need them say nothing then"
    )
    totals_by: Annotated[list[LabelName], listed("label names")] = Field(
        [], description="declared labels by which deliverability_targets and deliverability_checks are counted"
    )


class Entries(Keys):
    """What an included file may hold."""

    senders: Annotated[list[SenderEntry], listed("senders")] = Field([], description="who sends mail")
    domains: Annotated[list[DomainEntry], listed("domains")] = Field([], description="names that mail is sent from")
    mail_hosts: Annotated[list[MailHostEntry], listed("mail hosts")] = Field(
        [], description="SMTP servers to look at besides the MX hosts of the domains"
    )


class Config(Entries):
    """Configuration of deliverability-exporter."""

    resolver: ResolverSection = Field(ResolverSection(), description="how the exporter asks DNS")
    schedule: dict[PaceId, Interval] = Field(
        {}, description="how often each check runs; `default` is for those without their own interval. Default: 15m"
    )
    smtp: SmtpSection = Field(SmtpSection(), description="how the exporter speaks to mail hosts")
    rdap: RdapSection = Field(RdapSection(), description="how the exporter asks registries when a domain expires")
    ehlo_probe: EhloProbeSection = Field(
        EhloProbeSection(), description="what real receivers say to the HELO names of the senders"
    )
    blocklists: Maybe[Annotated[list[Annotated[BlocklistEntry, Short("name")]], listed("blocklists")]] = Field(
        None, description="the lists to look in; []: none. Default: the shipped catalogue"
    )
    label_names: Annotated[list[LabelName], listed("label names")] = Field(
        [], description="the names that `labels` of entries may use"
    )
    receivers: Annotated[list[ReceiverName], listed("names of receivers")] = Field(
        list(receivers.DEFAULT),
        description="whose requirements mail of the domains must pass; []: none. A bulk profile includes the plain one",
    )
    domain_defaults: DomainDefaults = Field(
        DomainDefaults(),
        description="what a domain has that does not say it itself; its labels and checks are added to these. A domain "
        "that sends no mail takes no senders, mail_from and selectors",
    )
    checks: OptionsByCheck = Field({}, description="checks switched off or on everywhere")
    severities: dict[FindingId, Grade] = Field({}, description="another severity for a finding")
    include: Annotated[list[Annotated[IncludeEntry, Short("path")]], listed("paths or patterns of paths")] = Field(
        [], description="files with more senders, domains and mail_hosts; each may be {path, optional}"
    )
    probe: ProbeSection = Field(ProbeSection(), description="for a path that is still to come; nothing uses it yet")
    limits: LimitsSection = Field(LimitsSection(), description="bounds that protect Prometheus and you")
    metrics: MetricsSection = Field(MetricsSection(), description="which series there are")


LISTS: Mapping[str, type[Keys]] = {
    "senders": SenderEntry,
    "domains": DomainEntry,
    "mail_hosts": MailHostEntry,
    "blocklists": BlocklistEntry,
}


def schema() -> dict[str, Any]:
    """The JSON schema that editors read."""
    made = Config.model_json_schema()
    for part in (made, *made["$defs"].values()):
        for name, key in part["properties"].items():
            if key.get("title") == name.replace("_", " ").title():  # pydantic's own, which says nothing
                key.pop("title")
            if key.get("default") is None or isinstance(key.get("default"), dict):
                key.pop("default", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | made
