"""Judges what the configuration says of the exporter itself: whom it asks, how often, and what it is called."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable

from exporter import targets
from exporter.config import schema, values
from exporter.config.problems import Problems, Where
from exporter.engine.catalogue import Catalogue
from exporter.model import Door, Target

_LED_TO = (targets.MailHost, targets.Domain)  # domains lead to mail hosts


def judge(
    config: schema.Config,
    catalogue: Catalogue,
    top: Where,
    problems: Problems,
    claim: Callable[[Hashable, Where, str], object],
) -> None:
    """Report all problems of name servers and paces. `claim` reports what another place has already."""
    for number, server in enumerate(config.resolver.nameservers):
        shown = values.SYSTEM if server.host == values.SYSTEM else f"{server.host} port {server.port}"
        claim(("nameserver", server), top / "resolver" / "nameservers" / number, f"the server {shown}")
    for name, every in config.schedule.items():
        check = catalogue.checks.get(name)
        if check and every < (least := check.min_interval):
            problem = f"expected {values.written(least)} or more: it queries other people's servers"
            problems.report(top / "schedule" / name, problem)


def judge_helo_name(
    config: schema.Config,
    failed: Collection[str],
    catalogue: Catalogue,
    made: Iterable[Target],
    top: Where,
    problems: Problems,
) -> None:
    """Report it if checks of these targets speak to mail hosts, and the exporter has no name."""
    if config.smtp.helo_name is not None or "smtp" in failed or "checks" in failed:
        return
    needing = {name for name, check in catalogue.checks.items() if Door.SMTP in check.needs}
    if any(needing - target.off for target in made if isinstance(target, _LED_TO)):
        speaking = " and ".join(sorted(needing))
        off = ", ".join(f"{name}: {{enabled: false}}" for name in sorted(needing))
        problems.report(
            top / "smtp" / "helo_name",
            f"is missing, and no guess is made. Set it to the exporter's own host name, for EHLO of {speaking}. "
            f"Or switch that off with `checks: {{{off}}}`",
        )
