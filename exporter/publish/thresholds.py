"""The numbers that users may change in the published files. Users keep these numbers, and do not edit the files."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from exporter import strict_yaml
from exporter.files import Files
from exporter.text import printable

_DURATION = re.compile(r"[1-9][0-9]{0,4}[smhd]", re.ASCII)
_WHOLE = "a whole number from 1 to 10000"
_TEXTS = ("job", "exporter_url", "runbook_url")


def _as(default: Any, says: str) -> Any:
    return field(default=default, metadata={"says": says})


@dataclass(frozen=True)
class Thresholds:
    """Durations are written as in Prometheus. The committed files are made with the defaults."""

    job: str = _as("deliverability-exporter", "the job of the scrape configuration")
    exporter_url: str = _as("http://{{ $labels.instance }}", "what links to the exporter begin with")
    runbook_url: str = _as("", "where finding pages are hosted, as --runbook-url; empty: the exporter's own")
    gap: str = _as("5m", "scrapes may fail for so long without an effect; shorter than `confirm`")
    confirm: str = _as("10m", "the `for` of most alerts")
    keep_firing: str = _as("10m", "their `keep_firing_for`")
    critical_after: str = _as("15m", "age at which a critical finding counts, before `confirm`")
    warning_after: str = _as("1h", "age at which any other finding counts")
    unknown_after: str = _as("6h", "age of the last conclusive answer at which not knowing counts")
    blind_after: str = _as("15m", "how long a blocklist may be in trouble")
    down_after: str = _as("5m", "how long scrapes may fail before the exporter is down")
    mute_for: str = _as("6h", "how long, at most, doubt about a resolver or a blocklist mutes what was found")
    settle: str = _as("75m", "how long trouble leaves traces: the longest interval of a check, `gap`, `keep_firing`")
    certificate_days: int = _as(14, "days that a certificate is still good for")
    registration_days: int = _as(30, "days that a registration is still good for")
    series_percent: int = _as(90, "part of limits.series that is used")
    targets_percent: int = _as(50, "part of yesterday's targets that is left")

    def days(self, noun: str) -> int:
        """How many days before its end the alert begins, for a thing with this noun."""
        return int(getattr(self, f"{noun}_days"))

    def text(self) -> str:
        """The text of a file that `read` reads."""
        lines = [
            "# What alerts wait for. With values of your own: deliverability-exporter publish --thresholds FILE DIR"
        ]
        for it in fields(self):
            value = getattr(self, it.name)
            shown = f'"{value}"' if it.name in _TEXTS else value
            lines += [f"# {it.metadata['says']}", f"{it.name}: {shown}"]
        return "\n".join(lines) + "\n"

    @classmethod
    def read(cls, path: Path) -> Thresholds:
        """The thresholds of a file, and the defaults for the rest. Raise OSError, or ValueError with all faults."""
        parsed = strict_yaml.parse(Files().read(path, strict_yaml.LARGEST + 1))
        faults = [f"{path}:{fault.line}: {fault.message}" for fault in parsed.faults]
        given = parsed.root.value if parsed.root else {}
        if not isinstance(given, dict):
            faults.append(f"{path}:1: wants lines such as `critical_after: 20m`")
            given = {}
        kinds = {field.name: field.default for field in fields(cls)}
        taken: dict[str, str | int] = {}
        for name, node in given.items():
            value = node.value
            if name not in kinds:
                faults.append(f"{path}:{node.line}: there is no {printable(name, 40)}; there are {', '.join(kinds)}")
            elif wanted := _wrong(name, kinds[name], value):
                faults.append(f"{path}:{node.line}: {name} wants {wanted}")
            elif isinstance(value, str | int):
                taken[name] = value
        if faults:
            raise ValueError("\n".join(faults))
        made = cls(**taken)  # type: ignore[arg-type]  # each has just been held to the type of its default
        if seconds(made.gap) >= seconds(made.confirm):
            raise ValueError(
                f"{path}: gap ({made.gap}) wants to be shorter than confirm ({made.confirm}), or a blip pages"
            )
        return made


def _wrong(name: str, default: object, value: object) -> str | None:
    """What is expected instead; None if the value is right."""
    if isinstance(default, int):
        return None if isinstance(value, int) and 1 <= value <= 10000 else _WHOLE
    if not isinstance(value, str) or not value.isprintable() or len(value) > 200:
        return "a text"
    if name in _TEXTS:
        return None if '"' not in value and "\\" not in value else "a text without quotes and backslashes"
    return None if _DURATION.fullmatch(value) else "a duration such as 30s, 10m, 6h or 2d"


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(duration: str) -> int:
    """`10m` as 600."""
    return int(duration[:-1]) * _UNITS[duration[-1]]


def together(*durations: str) -> str:
    """`10m` and `5m` as 15m."""
    total = sum(map(seconds, durations))
    unit = max((unit for unit in _UNITS if total % _UNITS[unit] == 0), key=_UNITS.__getitem__)
    return f"{total // _UNITS[unit]}{unit}"
