"""Validates a part of the document against a model, and says in our own words what is wrong with it."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from exporter.config.fields import kind
from exporter.config.problems import did_you_mean, quoted
from exporter.engine.catalogue import Catalogue
from exporter.strict_yaml import Path

Model = TypeVar("Model", bound=BaseModel)


class Wrong(NamedTuple):
    """A problem at one place of a part of the document."""

    path: Path
    message: str


def validate(model: type[Model], value: object, known: Catalogue) -> tuple[Model, None] | tuple[None, Iterator[Wrong]]:
    """The part as its model, or all its problems."""
    try:
        return model.model_validate(value, context=known), None
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
    return None, (_translated(model, detail) for detail in details)


def _translated(model: type[BaseModel], detail: Any) -> Wrong:
    path: Path = tuple(step for step in detail["loc"] if step != "[key]")
    match detail["type"]:
        case "extra_forbidden":
            known = model_at(model, path[:-1]).model_fields
            return Wrong(path, f"is an unknown key; {did_you_mean(str(path[-1]), known)}")
        case "missing":
            meaning = model_at(model, path[:-1]).model_fields[str(path[-1])].description
            return Wrong(path, f"is missing; set it to {meaning}")
        case "bool_type":
            return Wrong(path, f"expected true or false, got {_shown(detail['input'])}")
        case "wrong":
            return Wrong(path, detail["msg"])
        case _:
            return Wrong(path, f"expected a mapping, got {kind(detail['input'])}; write `key: value` lines below it")


def _shown(value: object) -> str:
    return quoted(value) if isinstance(value, str) else kind(value)


def model_at(model: type[BaseModel], path: Sequence[str | int]) -> type[BaseModel]:
    for step in path:
        if isinstance(step, str) and step in model.model_fields:
            model = next(models(model.model_fields[step].annotation), model)
    return model


def models(annotation: object) -> Iterator[type[BaseModel]]:
    """The models in a type, the outermost first."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in typing.get_args(annotation):
        yield from models(inner)
