"""Types of values for pydantic. Their errors say in our own words what was expected and what was found."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal, cast

from pydantic import (
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from exporter.config.problems import did_you_mean, quoted
from exporter.engine import families
from exporter.engine.catalogue import Catalogue

MOST_LISTED = 1000  # items of a list, where it is not a list of entries
WRITE_A_LIST = "write [...], or a `- ` line for each"


def _wrong(message: str) -> PydanticCustomError:
    return PydanticCustomError("wrong", "{message}", {"message": message})


def kind(value: object) -> str:
    """The kind of a value, in the words of YAML."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case int():
            return f"the number {value}"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "a mapping"


@dataclass(frozen=True)
class Parsed:
    """A scalar with a meaning. `parse` raises ValueError. If the error has no text, the noun says what is expected.

    A whole number counts as text, because a DKIM selector may be 20260101, and plain decimals lose nothing.
    """

    noun: str
    parse: Callable[[str], object]
    pattern: str = ""
    secret: bool = False  # never show what was written

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "title": self.noun} | ({"pattern": f"^{self.pattern}$"} if self.pattern else {})

    def _read(self, value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, str | int):
            hint = "; put it in quotes if it is a name" if value is None or isinstance(value, bool) else ""
            raise _wrong(f"expected {self.noun}, got {kind(value)}{hint}")
        text = str(value)
        try:
            return self.parse(text)
        except ValueError as error:
            shown = "something else" if self.secret else quoted(text)
            raise _wrong(str(error) or f"expected {self.noun}, got {shown}") from None


@dataclass(frozen=True)
class CatalogueId:
    """A name out of the catalogue, which comes as the context of the validation."""

    noun: Literal["check", "finding", "metric family"]
    besides: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "title": f"{self._word} of a {self.noun}"}

    @property
    def _word(self) -> str:
        return "the name" if self.noun == "metric family" else "the id"

    def _read(self, value: object, info: ValidationInfo) -> str:
        catalogue = cast(Catalogue, info.context)
        known = {*self._all(catalogue), *self.besides}
        if not isinstance(value, str):
            raise _wrong(f"expected {self._word} of a {self.noun}, got {kind(value)}")
        if value not in known:
            raise _wrong(f"is no {self.noun} that exists; {did_you_mean(value, known)}")
        return value

    def _all(self, catalogue: Catalogue) -> Collection[str]:
        match self.noun:
            case "check":
                return catalogue.checks
            case "finding":
                return catalogue.rules
        return families.names(catalogue)


@dataclass(frozen=True)
class Whole:
    """A whole number within bounds."""

    low: int
    high: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}

    def _read(self, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not self.low <= value <= self.high:
            shown = quoted(value) if isinstance(value, str) else kind(value)
            raise _wrong(f"expected a whole number from {self.low} to {self.high}, got {shown}")
        return value


@dataclass(frozen=True)
class Short:
    """A mapping that may also be written as one scalar: the value of the key `key`."""

    key: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._widen, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "title": f"its {self.key} alone"}, handler(schema)]}

    def _widen(self, value: object) -> object:
        return value if isinstance(value, dict | list) else {self.key: value}


@dataclass(frozen=True)
class OrWord:
    """A list with at least one item, or one word in its place. The word is read as an empty list."""

    word: str
    noun: str  # what is listed

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(self._read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "const": self.word, "title": f"the word {self.word}"}, handler(schema)]}

    def _read(self, value: object, inner: ValidatorFunctionWrapHandler) -> object:
        if value == self.word:
            return []
        if isinstance(value, list) and self.word in value:
            raise _wrong(f"has {self.word} in a list; write the word alone, or a list of {self.noun}")
        if not isinstance(value, list):
            shown = quoted(value) if isinstance(value, str) else kind(value)
            raise _wrong(f"expected a list of {self.noun} or the word {self.word}, got {shown}")
        return inner(value)


class Given:
    """A key that may be left out, but not left empty: `blocklists:` alone does not mean the default."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema: Any = handler(source)
        return schema["schema"]  # type: ignore[no-any-return]  # the inner one of `T | None`


def listed(noun: str, *, empty: bool = True, most: int = MOST_LISTED) -> BeforeValidator:
    def look(value: object) -> object:
        if not isinstance(value, list):
            raise _wrong(f"expected a list of {noun}, got {kind(value)}; {WRITE_A_LIST}")
        if not value and not empty:
            raise _wrong(f"expected at least one of its {noun}, got an empty list")
        if len(value) > most:
            raise _wrong(f"expected at most {most:,} {noun}, got {len(value):,}")
        return value

    return BeforeValidator(look)


def no_items(description: str) -> Any:
    """An empty list as the default. pydantic copies a plain `[]` deeply for each entry, which takes long."""
    return Field(default_factory=list, description=description, json_schema_extra={"default": []})
