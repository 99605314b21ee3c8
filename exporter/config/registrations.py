"""The registrations to check, and the list of RDAP servers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from exporter.config.problems import Problems, Where
from exporter.files import Files
from exporter.mail import names, rdap
from exporter.model import Target
from exporter.targets import Domain, Registration


def registrations(targets: Iterable[Target]) -> Iterator[Registration]:
    """One target for each registered name. It has the labels and settings that all domains below it share."""
    held: dict[str, list[Domain]] = {}
    for target in targets:
        if isinstance(target, Domain):
            held.setdefault(names.registered(target.name), []).append(target)
    for name, (first, *others) in held.items():
        yield Registration(
            domain=name,
            labels=tuple(pair for pair in first.labels if all(pair in other.labels for other in others)),
            off=first.off.intersection(*(other.off for other in others)),
            accept=tuple(a for a in first.accept if all(a in other.accept for other in others)),
        )


def bootstrap(given: str, home: Path, where: Where, problems: Problems, files: Files) -> str | Path:
    """A URL is taken as it is. A file must exist and be valid, like any other part of the configuration."""
    if "://" in given:
        return given
    path = home / given
    try:
        rdap.bootstrap(files.read(path, rdap.LARGEST + 1))
    except OSError as error:
        problems.report(where, f"names a file that cannot be read: {error.strerror}")
    except ValueError as error:
        problems.report(where, f"names a file that is no list of RDAP servers: {error}")
    return path
