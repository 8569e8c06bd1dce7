"""Judge one point by a filter: what every faster way must agree with."""

from __future__ import annotations

import operator
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vecdb.model.filter.times import parse_time
from vecdb.model.filter.tree import (
    And,
    Attribute,
    Comparator,
    Compare,
    Exists,
    Filter,
    HasVector,
    In,
    Key,
    Not,
    Or,
    Path,
    Prefix,
    Text,
)

_ORDER: dict[Comparator, Callable[[Any, Any], bool]] = {
    Comparator.GT: operator.gt,
    Comparator.GTE: operator.ge,
    Comparator.LT: operator.lt,
    Comparator.LTE: operator.le,
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What a filter may ask of a point: texts by field, the vector fields it has, the payload parsed (None: none)."""

    id: str
    version: int = 0
    payload: Mapping[str, Any] | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    vectors: Collection[str] = ()


def matches(filter: Filter, facts: Facts) -> bool:
    """Whether the point matches."""
    match filter:
        case And():
            return all(matches(part, facts) for part in filter.parts)
        case Or():
            return any(matches(part, facts) for part in filter.parts)
        case Not():
            return not matches(filter.part, facts)
        case Compare():
            return any(_compares(held, filter) for held in held_at(facts, filter.key))
        case In():
            wanted = {typed(value) for value in filter.values}
            return any(typed(value) in wanted for value in _scalars(held_at(facts, filter.key)))
        case Exists():
            return bool(held_at(facts, filter.path))
        case Prefix():
            held = _scalars(held_at(facts, filter.key))
            return any(isinstance(value, str) and value.startswith(filter.prefix) for value in held)
        case Text():
            return contains(facts.texts.get(filter.field), filter.words)
        case HasVector():
            return filter.field in facts.vectors


def held_at(facts: Facts, key: Key) -> list[Any]:
    """The values at ``key``: none when missing; several when an array of objects lies on the path."""
    if key is Attribute.ID:
        return [facts.id]
    if key is Attribute.VERSION:
        return [facts.version]
    assert isinstance(key, tuple)
    return values_at(facts.payload, key)


def values_at(payload: Mapping[str, Any] | None, path: Path) -> list[Any]:
    """The values at ``path`` of a parsed payload; through an array of objects on the way, those of each."""
    found: list[Any] = [] if payload is None else [payload]
    for step in path:
        reached = []
        for value in found:
            inside = value if isinstance(value, list) else (value,)
            reached += [v[step] for v in inside if isinstance(v, dict) and step in v]
        found = reached
    return found


def scalars_at(payload: Mapping[str, Any] | None, path: Path) -> list[Any]:
    """The scalars among the values at ``path``, and among the elements of arrays there, in no order."""
    return _scalars(values_at(payload, path))


def contains(text: str | None, words: str) -> bool:
    """Whether each word occurs in ``text``, both folded (NFKC, then case)."""
    if text is None:
        return False
    folded = fold(text)
    return all(word in folded for word in fold(words).split())


def fold(text: str) -> str:
    """Text without differences of case and width."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def typed(value: Any) -> tuple[str, Any]:
    """A scalar with its JSON type; numbers are one type, so that 1 equals 1.0 (exactly, as Python compares them)."""
    if isinstance(value, bool):
        return "boolean", value
    if value is None:
        return "null", None
    return ("string", value) if isinstance(value, str) else ("number", value)


def _scalars(held: Sequence[Any]) -> list[Any]:
    """The scalars among values and the elements of arrays."""
    flat = [e for value in held for e in (value if isinstance(value, list) else (value,))]
    return [e for e in flat if not isinstance(e, list | dict)]


def _compares(held: Any, condition: Compare) -> bool:
    value = condition.value
    if isinstance(value, tuple):
        return isinstance(held, list) and _same(held, list(value))
    scalars = _scalars([held])
    if condition.comparator is Comparator.EQ:
        return any(typed(scalar) == typed(value) for scalar in scalars)
    order = _ORDER[condition.comparator]
    if not isinstance(value, str):
        return any(typed(scalar)[0] == "number" and order(scalar, value) for scalar in scalars)
    texts = [scalar for scalar in scalars if isinstance(scalar, str)]
    time = parse_time(value)
    if time is None:
        return any(order(text, value) for text in texts)  # code points stand in the order of UTF-8 bytes
    return any(order(held_time, time) for text in texts if (held_time := parse_time(text)) is not None)


def _same(a: Any, b: Any) -> bool:
    """JSON equality; a tuple stands for an array."""
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple | dict) or isinstance(b, list | tuple | dict):
        return False
    return typed(a) == typed(b)
