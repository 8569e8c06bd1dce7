"""Filters: conditions on a point, as a tree of frozen nodes. docs/filters.md is the table of what they mean.

The nodes are few; the rest of the language is written with them: ``$ne``, ``$nin`` and ``$exists: false`` are
``Not``, ``$any`` is ``In``, ``$all`` an ``And``, ``$is_null`` a comparison with null.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, cast

from vecdb.errors import InvalidArgument

Scalar = str | int | float | bool | None
Path = tuple[str, ...]
"""Where a value lies in a payload: keys from the outside in."""

MAX_DEPTH = 32
MAX_CONDITIONS = 1_000
MAX_VALUES = 10_000
"""Values of one ``In``."""


class Attribute(enum.Enum):
    """What every point has beside its payload: its id (a string), its version (an integer)."""

    ID = "$id"
    VERSION = "$version"


Key = Path | Attribute
"""What a condition looks at."""


class Comparator(enum.Enum):
    """How a value is compared."""

    EQ = "$eq"
    GT = "$gt"
    GTE = "$gte"
    LT = "$lt"
    LTE = "$lte"


class _Node:
    """Equal nodes match the same points: 1 and 1.0 are equal, 1 and true are not. (Masks are kept by filter.)"""

    __slots__ = ()
    _name: ClassVar[str]

    def _parts(self) -> tuple[Any, ...]:
        return (type(self).__name__, *(_typed(getattr(self, f.name)) for f in fields(self)))  # type: ignore[arg-type]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Node) and self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash(self._parts())

    def __and__(self, other: Filter) -> Filter:
        return And((*_parts_of(And, self), *_parts_of(And, other)))

    def __or__(self, other: Filter) -> Filter:
        return Or((*_parts_of(Or, self), *_parts_of(Or, other)))

    def __invert__(self) -> Filter:
        return Not(cast("Filter", self))

    def __bool__(self) -> bool:
        raise TypeError("a filter is neither true nor false: join filters by & | ~, not by and, or, not, or a < b < c")


@dataclass(frozen=True, slots=True, eq=False)
class Compare(_Node):
    """The value at ``key`` stands so to ``value``; on an array, that of any element.

    ``value`` is a scalar, or with EQ a tuple: then a whole array is compared. The order comparators take a number or a
    string, and compare only values of that type; numbers exactly, whatever their types; strings as RFC 3339 times where
    ``value`` is one (and only with such), else by their UTF-8 bytes. Raises InvalidArgument for any other value.
    """

    key: Key
    comparator: Comparator
    value: Scalar | tuple[Any, ...]

    def __post_init__(self) -> None:
        if isinstance(self.value, tuple):
            if self.comparator is not Comparator.EQ or isinstance(self.key, Attribute):
                raise _refusal(self.key, self.comparator.value, "a number or a string", list(self.value))
            check_array(self.key, self.value)
            return
        check_operand(self.key, self.comparator.value, self.value)
        orderable = isinstance(self.value, str | int | float) and not isinstance(self.value, bool)
        if self.comparator is not Comparator.EQ and not orderable:
            raise _refusal(self.key, self.comparator.value, "a number or a string", self.value)


@dataclass(frozen=True, slots=True, eq=False)
class In(_Node):
    """The value at ``key``, or any element of it, equals one of ``values`` (scalars, at most 10,000; none: false)."""

    key: Key
    values: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        if len(self.values) > MAX_VALUES:
            raise InvalidArgument(
                "too many values", field=name_of(self.key), expected=f"<= {MAX_VALUES}", received=str(len(self.values))
            )
        for value in self.values:
            check_operand(self.key, "$in", value)


@dataclass(frozen=True, slots=True, eq=False)
class Exists(_Node):
    """There is something at ``path``: any value, null too."""

    path: Path


@dataclass(frozen=True, slots=True, eq=False)
class Prefix(_Node):
    """The string at ``key``, or any element that is one, begins with ``prefix``."""

    key: Key
    prefix: str

    def __post_init__(self) -> None:
        prefix: object = self.prefix  # whatever a caller gave
        if not isinstance(prefix, str) or self.key is Attribute.VERSION:
            raise _refusal(self.key, "$prefix", "a string", self.prefix)


@dataclass(frozen=True, slots=True, eq=False)
class Text(_Node):
    """Each of ``words`` (written apart by spaces) occurs in the text ``field``, case and width aside."""

    field: str
    words: str

    def __post_init__(self) -> None:
        words: object = self.words  # whatever a caller gave
        if not isinstance(words, str) or not words.split():
            raise InvalidArgument("$text has no words", field="$text", expected="words", received=repr(self.words))


@dataclass(frozen=True, slots=True, eq=False)
class HasVector(_Node):
    """The point has a vector in ``field``."""

    field: str


@dataclass(frozen=True, slots=True, eq=False)
class And(_Node):
    """All of ``parts`` hold; true without any."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Or(_Node):
    """At least one of ``parts`` holds; false without any."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Not(_Node):
    """The exact complement: every point that does not match ``part``."""

    part: Filter


Filter = Compare | In | Exists | Prefix | Text | HasVector | And | Or | Not


def both(*filters: Filter | None) -> Filter | None:
    """All of the filters that are given; None when none is."""
    given = [f for f in filters if f is not None]
    return None if not given else given[0] if len(given) == 1 else And(tuple(given))


def walk(filter: Filter, depth: int = 1) -> Iterator[tuple[Filter, int]]:
    """Every node with its depth, from 1. Raises InvalidArgument past ``MAX_DEPTH``."""
    if depth > MAX_DEPTH:
        raise InvalidArgument("the filter is nested too deep", expected=f"<= {MAX_DEPTH}", received="more")
    yield filter, depth
    parts: Sequence[Filter] = ()
    if isinstance(filter, And | Or):
        parts = filter.parts
    elif isinstance(filter, Not):
        parts = (filter.part,)
    for part in parts:
        yield from walk(part, depth + 1)


def check_size(filter: Filter, path: str = "filter") -> None:
    """Raises InvalidArgument for more than ``MAX_DEPTH`` levels or ``MAX_CONDITIONS`` nodes."""
    try:
        for count, _ in enumerate(walk(filter), 1):
            if count > MAX_CONDITIONS:
                raise InvalidArgument(
                    "the filter has too many conditions", expected=f"<= {MAX_CONDITIONS}", received="more"
                )
    except InvalidArgument as error:
        error.field = path
        raise


def check_operand(key: Key, operator: str, value: object) -> None:
    """Raise InvalidArgument for a value that nothing at ``key`` can be compared with."""
    if key is Attribute.ID and not isinstance(value, str):
        raise _refusal(key, operator, "a string", value)
    if key is Attribute.VERSION and (isinstance(value, bool) or not isinstance(value, int)):
        raise _refusal(key, operator, "an integer", value)
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return
    if isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise _refusal(key, operator, "an integer of 64 bits", value)
    elif not isinstance(value, float) or not math.isfinite(value):
        raise _refusal(key, operator, "a string, a finite number, true, false or null", value)


def check_array(key: Key, array: tuple[Any, ...]) -> None:
    """Raise InvalidArgument for an array that is not JSON, is too deep, or has more than ``MAX_VALUES`` values."""
    left: list[tuple[Any, int]] = [(array, 1)]
    count = 0
    while left:
        value, depth = left.pop()
        count += 1
        if count > MAX_VALUES + 1:  # the array itself
            raise InvalidArgument("too many values", field=name_of(key), expected=f"<= {MAX_VALUES}", received="more")
        if not isinstance(value, tuple | list | dict):
            check_operand(key, "$eq", value)
            continue
        if depth > MAX_DEPTH:
            raise InvalidArgument("nested too deep", field=name_of(key), expected=f"<= {MAX_DEPTH}", received="more")
        if isinstance(value, dict) and not all(isinstance(name, str) for name in value):
            raise _refusal(key, "$eq", "an object with text for keys", value)
        left += [(inner, depth + 1) for inner in (value.values() if isinstance(value, dict) else value)]


def name_of(key: Key) -> str:
    """A key as people write it: steps joined by dots; a dot or backslash inside a step is escaped by a backslash."""
    if isinstance(key, Attribute):
        return key.value
    name = ".".join(step.replace("\\", "\\\\").replace(".", "\\.") for step in key)
    return "\\" + name if name.startswith("$") else name


def path_of(name: str) -> Path:
    """The inverse of ``name_of`` for paths: ``"a.b"`` is ``("a", "b")``, ``"a\\.b"`` is ``("a.b",)``."""
    steps, step, escaped = [], "", False
    for character in name:
        if escaped or character not in ".\\":
            step, escaped = step + character, False
        elif character == "\\":
            escaped = True
        else:
            steps.append(step)
            step = ""
    return (*steps, step)


def _parts_of(kind: type[And] | type[Or], filter: Any) -> tuple[Filter, ...]:
    """What ``filter`` joins, if it joins as ``kind`` does: long chains stay flat."""
    if isinstance(filter, kind):
        return filter.parts
    if not isinstance(filter, Filter):
        raise InvalidArgument(
            "not a filter", field="filter", expected="comparisons of F", received=type(filter).__name__
        )
    return (filter,)


def _refusal(key: Key, operator: str, expected: str, received: object) -> InvalidArgument:
    return InvalidArgument(
        f"{operator} cannot compare this", field=name_of(key), expected=expected, received=repr(received)[:100]
    )


def _typed(value: Any) -> Any:
    """The value with its type beside it where Python would take two JSON types for equal (1 and true)."""
    if isinstance(value, tuple | list):
        return tuple(_typed(v) for v in value)
    if isinstance(value, dict):
        return (dict, frozenset((k, _typed(v)) for k, v in value.items()))
    return (bool, value) if isinstance(value, bool) else value
