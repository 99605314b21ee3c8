"""What stands above the overview because it concerns all that is shown: about files, addresses and checks that rest."""

from __future__ import annotations

from collections.abc import Iterable

from exporter.config import Settings
from exporter.engine.state_file import StateFile

MOST = 5  # problems of one file


def banners(
    reload_problems: Iterable[str],
    web_problems: Iterable[str],
    warnings: Iterable[str],
    file: StateFile | None,
    forgets: str,
    settings: Settings | None,
) -> list[str]:
    """One sentence or two for each. `forgets` is said if there is no state file."""
    said = [_wrong("The configuration", it) for it in list(reload_problems)[:MOST]]
    said += warnings
    said += [_wrong("The web configuration", it) for it in list(web_problems)[:MOST]]
    if file is None:
        said.append(forgets)
    elif not file.writable:
        said.append(f"The state file cannot be written ({file.trouble}): results are lost on restart.")
    said += map(str, settings.too_slow if settings else ())
    if settings and (idle := sorted(settings.enabled - settings.running)):
        said.append(f"smtp.helo_name is not set: {' and '.join(idle)} do not run.")
    return said


def _wrong(what: str, problem: str) -> str:
    return f"{what} was changed but is wrong; the old one is in force. {problem}"
