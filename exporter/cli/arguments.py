"""The command line: its flags and commands, as the Prometheus world writes them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from exporter import __version__
from exporter.cli.exit_codes import Exit, FailOn
from exporter.views.public import external_url, route_prefix

PORT = 10554
_CHECK_ENDS = (
    "Exit code: 0 OK, 1 warnings, 2 critical, 3 the DNS of the target is unknown, 64 a wrong command line or file. "
    "130: Ctrl-C ended it, and what was checked until then is printed."
)


class _Parser(argparse.ArgumentParser):
    words: str | None = None  # where arguments without a flag go that stand behind others with one

    def parse_known_args(  # type: ignore[override]  # without the overloads, of which only this one is used
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        read, left = super().parse_known_args(args, namespace)
        if self.words and not any(text.startswith("-") for text in left):
            getattr(read, self.words).extend(left)
            left = []
        return read, left

    def error(self, message: str) -> NoReturn:
        """Exit with 64; the 2 of argparse means a critical finding here."""
        self.exit(Exit.USAGE, f"{self.prog}: {message}\n{self.format_usage()}")


def parser() -> argparse.ArgumentParser:
    top = _Parser(
        prog="deliverability-exporter",
        description="Will receivers accept the mail that my domains and IPs send, and if not, why?",
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"deliverability-exporter {__version__}")
    top.add_argument("--config.file", dest="config", type=Path, metavar="FILE", help="configuration, YAML")
    top.add_argument("--config.check", dest="check", action="store_true", help="validate it, print every error, exit")
    top.add_argument(
        "--storage.path", dest="storage", type=Path, metavar="FILE", help="state file (default: memory only)"
    )
    _web_flags(top)
    top.add_argument(
        "--web.enable-actions",
        dest="actions",
        action="store_true",
        help="allow to acknowledge findings and to check again, from pages and commands; needs --storage.path",
    )
    _log_flags(top)
    top.set_defaults(command=None)
    commands = top.add_subparsers(dest="command", metavar="COMMAND")

    _check(
        commands.add_parser(
            "check", help="check once, for a person or a CI job", epilog=_CHECK_ENDS, allow_abbrev=False
        )
    )

    _init(commands.add_parser("init", help="write a configuration to begin with, from DNS", allow_abbrev=False))

    tell = commands.add_parser(
        "explain",
        help="a finding's runbook, or the cause of a rejection",
        description="The runbook of a finding, or the causes of a rejection: a reply, a log line, a whole bounce.",
        epilog="Exit code: 0 something was found, 1 nothing matches, 64 the command line or configuration is wrong.",
        allow_abbrev=False,
    )
    tell.add_argument(
        "text",
        nargs="+",
        metavar="FINDING|TEXT",
        help='the id of a finding, a refusal such as "501 5.5.4 Invalid domain name", a code or words; '
        "- reads standard input",
    )
    tell.add_argument(
        "--config.file",
        dest="config",
        type=Path,
        metavar="FILE",
        help="run these checks once, and say whether one of the causes is active",
    )
    _log_flags(tell)

    made = commands.add_parser(
        "publish", help="write alert rules, routes, dashboards and finding pages", allow_abbrev=False
    )
    made.add_argument("directory", type=Path, metavar="DIR", help="target directory; it is created if missing")
    made.add_argument(
        "--thresholds", type=Path, metavar="FILE", help="your own values, as prometheus/thresholds.yml has"
    )
    made.add_argument(
        "--external-url",
        dest="exporter_url",
        type=_said(external_url),
        metavar="URL",
        help="where people open the exporter's pages: its --web.external-url (default: the instance that is scraped)",
    )
    made.add_argument(
        "--runbook-url",
        metavar="URL",
        help="where the finding pages are hosted (default: the exporter's own pages)",
    )
    made.add_argument(
        "--style", choices=("generic", "each"), default="generic", help="a few alerts, or one for each finding"
    )
    made.add_argument(
        "--format",
        choices=("prometheus", "prometheusrule", "mimir"),
        default="prometheus",
        help="rules as a file of Prometheus, as objects of its operator, or for mimirtool",
    )
    made.add_argument(
        "--cluster-label",
        type=_label_name,
        metavar="NAME",
        help="a label that all series of a cluster share",
    )
    made.set_defaults(log_level="info", log_format="logfmt")

    _actions(commands)

    demo = commands.add_parser("demo", help="the daemon on an embedded mail world on loopback", allow_abbrev=False)
    _web_flags(demo)
    _log_flags(demo)
    demo.set_defaults(log_level="warning")  # its hundreds of findings would hide what it says to people
    return top


def _actions(commands: argparse._SubParsersAction[_Parser]) -> None:
    """What is asked of an exporter that runs with --web.enable-actions."""
    ends = "Exit code: 0 it was done, 1 the exporter refuses or does not answer, 64 the command line is wrong."
    ack = commands.add_parser(
        "ack", help="acknowledge a finding of a running exporter", epilog=ends, allow_abbrev=False
    )
    again = commands.add_parser(
        "recheck", help="let a running exporter check again now", epilog=ends, allow_abbrev=False
    )
    for command in (ack, again):
        command.add_argument("target", metavar="TARGET", help="domain, address or sender; or labels as in page URLs")
    ack.add_argument("finding", metavar="FINDING", help="its id, as pages and alerts have it")
    ack.add_argument("--until", metavar="DATE", help="last day (UTC), such as 2027-01-31; or a time such as 12h or 3d")
    ack.add_argument("--reason", metavar="TEXT", help="why, in one line; the page shows it")
    ack.add_argument("--withdraw", action="store_true", help="take the acknowledgement back")
    again.add_argument("check_id", nargs="?", metavar="CHECK", help="this check alone (default: all of the target)")
    for command in (ack, again):
        command.add_argument(
            "--url", default=f"http://127.0.0.1:{PORT}", metavar="URL", help="the exporter (default: %(default)s)"
        )
        command.add_argument(
            "--credentials-file",
            type=Path,
            metavar="FILE",
            help="one line NAME:PASSWORD (default: the variable DELIVERABILITY_CREDENTIALS)",
        )
        command.add_argument("--ca-file", type=Path, metavar="FILE", help="certificate authorities to trust, PEM")
        command.add_argument("--cert-file", type=Path, metavar="FILE", help="client certificate, PEM")
        command.add_argument(
            "--key-file", type=Path, metavar="FILE", help="its key, if the certificate's file has none"
        )
        command.set_defaults(log_level="warning", log_format="logfmt")


def _check(check: _Parser) -> None:
    check.words = "targets"
    check.add_argument(
        "targets",
        nargs="*",
        metavar="TARGET",
        help="domain, IP address, or HOST:PORT of a mail host; default: all of the config",
    )
    check.add_argument("--config.file", dest="config", type=Path, metavar="FILE")
    check.add_argument(
        "--format",
        choices=("text", "json", "ndjson", "junit", "sarif"),
        default="text",
        help="ndjson: one line for each result as it comes",
    )
    check.add_argument("--helo", metavar="NAME", help="HELO/EHLO name of the named addresses")
    check.add_argument(
        "--mail-from",
        action="append",
        metavar="DOMAIN",
        help="envelope domain of the named domain (repeatable; default: the domain itself)",
    )
    check.add_argument(
        "--dkim-selector",
        dest="selectors",
        action="append",
        metavar="SELECTOR",
        help="DKIM selector of the named domains (repeatable)",
    )
    check.add_argument(
        "--spf-include",
        dest="spf_includes",
        action="append",
        metavar="NAME",
        help="policy of a provider that sends for the named domains, such as _spf.google.com (repeatable)",
    )
    check.add_argument(
        "--smtp.helo-name",
        dest="helo_name",
        metavar="NAME",
        help="the host name of this machine, for EHLO to mail hosts; without it SMTP checks do not run",
    )
    check.add_argument("--only", action="append", default=[], metavar="CHECK", help="run only this check (repeatable)")
    check.add_argument("--skip", action="append", default=[], metavar="CHECK", help="do not run it (repeatable)")
    check.add_argument(
        "--fail-on",
        dest="fail_on",
        choices=[level.value for level in FailOn],
        default=FailOn.WARNING.value,
        help="the lowest level with an exit code other than 0 (default: warning). Value unknown: also what this "
        "machine cannot check. Value new: only what the records of --with or --without break",
    )
    check.add_argument(
        "--with",
        dest="planned",
        action="append",
        default=[],
        metavar="[ORIGIN=]FILE",
        help="check as if DNS had these records, and report what they break or fix (repeatable). A zone file, octoDNS "
        "YAML named ZONE.yaml, or - for standard input. With a SOA record it is the whole zone, else it replaces only "
        "its record sets",
    )
    check.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="NAME[:TYPE]",
        help="the same without this record, for example _dmarc.example.com:TXT (repeatable)",
    )
    check.add_argument(
        "--watch",
        nargs="?",
        const="30s",
        metavar="INTERVAL",
        help="check again every 30s, or as given, and print changes, until no problem at or above --fail-on is left",
    )
    check.add_argument(
        "-v", dest="detail", action="count", default=0, help="with the evidence of what does not pass; -vv: everything"
    )
    check.add_argument("--resolver", action="append", metavar="ADDR", help="nameserver to ask (repeatable)")
    check.add_argument(
        "--recipients",
        metavar="FILE",
        help="a list of addresses to check instead, one a line; - is standard input",
    )


def _init(init: _Parser) -> None:
    init.description = "A commented configuration from what DNS shows, with what it does not show as questions."
    init.words = "domains"
    init.add_argument("domains", nargs="*", metavar="DOMAIN")
    init.add_argument(
        "--from",
        dest="source",
        metavar="FILE",
        help="a list of domains, one a line, or CSV with a column named domain; - is standard input",
    )
    init.add_argument("--output", type=Path, metavar="FILE", help="where to write (default: standard output)")
    init.add_argument("--force", action="store_true", help="overwrite the file of --output")
    init.add_argument(
        "--smtp.helo-name",
        dest="helo_name",
        metavar="NAME",
        help="the host name of this machine, for EHLO to mail hosts",
    )
    init.add_argument("--resolver", action="append", metavar="ADDR", help="nameserver to ask (repeatable)")


def _web_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--web.listen-address",
        dest="listen",
        action="append",
        type=_address,
        metavar="[HOST]:PORT",
        help=f"where to serve (repeatable; default :{PORT})",
    )
    parser.add_argument(
        "--web.systemd-socket",
        dest="systemd",
        action="store_true",
        help="serve on the sockets that a systemd socket unit passes, not on an address",
    )
    parser.add_argument(
        "--web.config.file",
        dest="web_config",
        type=Path,
        metavar="FILE",
        help="TLS, client certificates, passwords, headers: the web configuration of Prometheus exporters",
    )
    parser.add_argument(
        "--web.health-without-auth",
        dest="open_health",
        action="store_true",
        help="/-/healthy and /-/ready ask for no password",
    )
    parser.add_argument(
        "--web.external-url",
        dest="external_url",
        type=_said(external_url),
        metavar="URL",
        help="where people open the pages, through a proxy for instance; links begin with its path",
    )
    parser.add_argument(
        "--web.route-prefix",
        dest="route_prefix",
        type=_said(route_prefix),
        metavar="PATH",
        help="prefix of all paths (default: the path of --web.external-url; / if a proxy takes it off)",
    )
    parser.add_argument("--web.enable-lifecycle", dest="lifecycle", action="store_true", help="allow POST /-/reload")


def _log_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--log.level", dest="log_level", choices=("debug", "info", "warning", "error"), default="info")
    parser.add_argument("--log.format", dest="log_format", choices=("logfmt", "json"), default="logfmt")


def _said(read: Callable[[str], str]) -> Callable[[str], str | None]:
    """The same, with its ValueError as argparse shows it. An empty text means that nothing is given."""

    def argument(text: str) -> str | None:
        try:
            return read(text) if text else None
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return argument


def _label_name(text: str) -> str:
    if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a label")
    return text


def _address(text: str) -> tuple[str | None, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not [HOST]:PORT, such as :{PORT} or 127.0.0.1:{PORT}")
    return host.strip("[]") or None, int(port)
