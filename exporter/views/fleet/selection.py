"""What somebody wants to see of a list: filters, words, order and page. All of it is in the URL, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

T = TypeVar("T")

LONGEST = 200  # characters of one value
MOST_LABELS = 5
MOST_WORDS = 10
LAST_PAGE = 1_000_000


@dataclass(frozen=True, slots=True)
class Selection:
    """Empty values select everything. `labels` are `name=value`, and all of them must agree."""

    q: str = ""
    severity: str = ""
    check: str = ""
    finding: str = ""
    domain: str = ""
    sender: str = ""
    problem: str = ""
    label: tuple[str, ...] = ()
    sort: str = ""
    page: int = 1

    @classmethod
    def read(cls, query: Iterable[tuple[str, str]]) -> Selection:
        """Whatever makes no sense is left out. `severity=critical` among the words is the filter of that name."""
        given: dict[str, Any] = {}
        labels: list[str] = []
        words: list[str] = []
        for name, value in query:
            told = value.strip()[:LONGEST]
            if name == "q":
                words += told.split()[:MOST_WORDS]
            elif name == "label" and "=" in told:
                labels.append(told)
            elif name == "page" and told.isascii() and told.isdigit():
                given["page"] = min(max(int(told), 1), LAST_PAGE)
            elif name in _PLAIN and told:
                given.setdefault(name, told)
        left = []
        for word in words:
            name, equals, value = word.partition("=")
            if name == "label" and "=" in value:
                labels.append(value)
            elif equals and value and name in _FILTERS and name not in given:
                given[name] = value
            elif equals and name and value:
                labels.append(word)
            else:
                left.append(word)
        return cls(q=" ".join(left), label=tuple(dict.fromkeys(labels))[:MOST_LABELS], **given)

    @property
    def words(self) -> tuple[str, ...]:
        """All of them must be found."""
        return tuple(self.q.lower().split())

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The labels, each as a name and a value."""
        return tuple((name, value) for name, _, value in (it.partition("=") for it in self.label))

    @property
    def narrow(self) -> bool:
        """Does it leave anything out?"""
        return self != Selection(sort=self.sort, page=self.page)

    def filters(self) -> list[tuple[str, str, Selection]]:
        """Name and value of each filter, and the same selection without it."""
        one = [(name, str(value), self.but(**{name: ""})) for name in _FILTERS if (value := getattr(self, name))]
        words = [("q", self.q, self.but(q=""))] if self.q else []
        labels = [("label", it, self.but(label=tuple(x for x in self.label if x != it))) for it in self.label]
        return [*words, *one, *labels]

    def but(self, **changes: Any) -> Selection:
        """With other values, on the first page."""
        return replace(self, **({"page": 1} | changes))

    def with_label(self, label: str) -> Selection:
        return self.but(label=tuple(dict.fromkeys((*self.label, label))))

    @property
    def query(self) -> str:
        """As it stands in a URL, with its question mark; empty if everything is wanted."""
        told: list[tuple[str, object]] = []
        for it in fields(self):
            value = getattr(self, it.name)
            if it.name == "label":
                told += (("label", one) for one in value)
            elif value and value != it.default:
                told.append((it.name, value))
        encoded = urlencode(told, quote_via=quote, safe="=:,@")
        return f"?{encoded}" if encoded else ""


_FILTERS = ("severity", "check", "finding", "domain", "sender", "problem")
_PLAIN = frozenset((*_FILTERS, "sort"))


@dataclass(frozen=True, slots=True)
class Paged(Generic[T]):
    """One page of rows. A page that is not there is the last one."""

    rows: Sequence[T]
    page: int
    pages: int
    total: int
    first: int  # number of the first row of this page; 0 if there is none

    @classmethod
    def of(cls, rows: Sequence[T], page: int, size: int) -> Paged[T]:
        pages = max(1, -(-len(rows) // size))
        page = min(page, pages)
        begin = (page - 1) * size
        return cls(rows[begin : begin + size], page, pages, len(rows), begin + 1 if rows else 0)

    @property
    def last(self) -> int:
        return self.first + len(self.rows) - 1 if self.rows else 0
