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
_TEXTS = ("job", "exporter_url", "runbook_url", "cluster_label")
_PER_FINDING = ("finding", "check", "severity", "labels", "after")
_NEVER = "never"
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)


def _as(default: Any, says: str) -> Any:
    return field(default=default, metadata={"says": says})


_OTHER_AGES = """other ages, by finding, check, severity and labels; the first that fits counts. For example:
#   - {finding: ID, after: never}
#   - {check: ID, severity: warning, after: 6h}
#   - {labels: {env: test}, severity: critical, after: 1d}"""


@dataclass(frozen=True)
class OtherAge:
    """Another age for some findings: those that have all of these labels. `after` None: they raise no alert."""

    labels: tuple[tuple[str, str], ...]
    after: str | None

    @property
    def matchers(self) -> str:
        return ",".join(f'{name}="{value}"' for name, value in self.labels)


@dataclass(frozen=True)
class Thresholds:
    """Durations are written as in Prometheus. The committed files are made with the defaults."""

    job: str = _as("deliverability-exporter", "the job of the scrape configuration, as a regular expression")
    exporter_url: str = _as("", "what links to the exporter begin with; without it, where Prometheus scrapes it")
    runbook_url: str = _as("", "what links to explanations of findings begin with; without it, exporter_url")
    cluster_label: str = _as("", "a label that Prometheus or Mimir puts on everything of one cluster")
    gap: str = _as("5m", "scrapes may fail for so long without an effect")
    confirm: str = _as("10m", "the `for` of alerts about the exporter and its resolver; longer than `gap`")
    keep_firing: str = _as("20m", "the `keep_firing_for` of most alerts")
    critical_after: str = _as("4m", "age at which a critical finding counts")
    warning_after: str = _as("1h", "age at which any other finding counts")
    unknown_after: str = _as("6h", "age of the last conclusive answer at which not knowing counts")
    down_after: str = _as("5m", "how long scrapes may fail before the exporter is down: a warning")
    page_down_after: str = _as("30m", "the same, until it pages")
    settle: str = _as("75m", "how long trouble leaves traces: the longest interval of a check, `gap`, `keep_firing`")
    hold: str = _as("20m", "how long after a restart of the exporter earlier findings are treated as active")
    clock_skew: str = _as("30s", "how wrong the exporter's clock may be")
    certificate_days: int = _as(14, "days that a certificate is still good for: on dashboards")
    registration_days: int = _as(30, "days that a registration is still good for: on dashboards")
    series_percent: int = _as(90, "part of limits.series that is used")
    dropped_percent: int = _as(10, "part of the targets that may leave without a warning")
    page_dropped_percent: int = _as(50, "part of the targets that may leave without a page")
    dropped_least: int = _as(5, "so few targets may leave in any case")
    findings: tuple[OtherAge, ...] = field(default=(), metadata={"says": _OTHER_AGES})

    @property
    def by_job(self) -> str:
        return ", ".join(filter(None, ("job", self.cluster_label)))

    @property
    def by_exporter(self) -> str:
        """The labels of one exporter: what rules group and join by."""
        return ", ".join(filter(None, ("job", "instance", self.cluster_label)))

    def text(self) -> str:
        """The text of a file that `read` reads."""
        lines = [
            "# What alerts wait for. With values of your own: deliverability-exporter publish --thresholds FILE DIR"
        ]
        for it in fields(self):
            value = getattr(self, it.name)
            shown = f'"{value}"' if it.name in _TEXTS else value if it.name != "findings" else "[]"
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
        taken: dict[str, str | int | tuple[OtherAge, ...]] = {}
        for name, node in given.items():
            value = node.value
            if name not in kinds:
                faults.append(f"{path}:{node.line}: there is no {printable(name, 40)}; there are {', '.join(kinds)}")
            elif name == "findings":
                taken[name], wrong = _other_ages(node)
                faults += [f"{path}:{line}: {text}" for line, text in wrong]
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


def _other_ages(node: strict_yaml.Node) -> tuple[tuple[OtherAge, ...], list[tuple[int, str]]]:
    """The entries of `findings`, and the faults in them with their lines."""
    if not isinstance(node.value, list):
        return (), [(node.line, "findings wants a list of {finding: ID, after: 2h} and the like")]
    made, faults = [], []
    for it in node.value:
        try:
            made.append(_other_age(it.value))
        except ValueError as error:
            faults.append((it.line, f"findings: {error}"))
    return tuple(made), faults


def _other_age(value: object) -> OtherAge:
    """Raise ValueError for what it is not."""
    if not isinstance(value, dict) or "after" not in value:
        raise ValueError(f"wants {{{', '.join(_PER_FINDING)}}}, `after` in any case")
    given = {name: node.value for name, node in value.items()}
    if unknown := given.keys() - set(_PER_FINDING):
        raise ValueError(f"there is no {printable(min(unknown), 40)}; there are {', '.join(_PER_FINDING)}")
    after = given.pop("after")
    if after != _NEVER and (not isinstance(after, str) or not _DURATION.fullmatch(after)):
        raise ValueError("after wants a duration such as 30s, 10m, 6h or 2d, or never")
    own = given.pop("labels", {})
    if not isinstance(own, dict):
        raise ValueError("labels wants {NAME: VALUE}")  # noqa: TRY004 (a fault of the file, told as the others)
    labels = {**given, **{name: node.value for name, node in own.items()}}
    if not labels:
        raise ValueError("names nothing: a finding, a check, a severity or labels")
    for name, text in labels.items():
        if not _LABEL.fullmatch(name) or not isinstance(text, str) or _wrong("job", "", text):
            raise ValueError(f"{printable(name, 40)} wants a text without quotes and backslashes")
    return OtherAge(tuple(labels.items()), None if after == _NEVER else after)


def _wrong(name: str, default: object, value: object) -> str | None:
    """What is expected instead; None if the value is right."""
    if isinstance(default, int):
        return None if isinstance(value, int) and 1 <= value <= 10000 else _WHOLE
    if not isinstance(value, str) or not value.isprintable() or len(value) > 200:
        return "a text"
    if name == "cluster_label":
        return None if not value or _LABEL.fullmatch(value) else "the name of a label"
    if name in _TEXTS:
        return None if '"' not in value and "\\" not in value else "a text without quotes and backslashes"
    return None if _DURATION.fullmatch(value) else "a duration such as 30s, 10m, 6h or 2d"


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(duration: str) -> int:
    """`10m` as 600."""
    return int(duration[:-1]) * _UNITS[duration[-1]]
