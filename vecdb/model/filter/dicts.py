"""Filters as JSON writes them: ``{"lang": "zh", "year": {"$gte": 2020}}``. docs/filters.md is the table of them.

A key is a path into the payload (dots nest, a backslash takes a dot or a leading $ literally), ``$id`` or ``$version``.
Several entries of an object are and-ed. Whatever cannot be read is refused with its path inside the filter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from vecdb.errors import InvalidArgument
from vecdb.model.filter.expression import equal, every, exists, key_of, one_of, ordered
from vecdb.model.filter.tree import (
    MAX_DEPTH,
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
    Prefix,
    Text,
    check_size,
    name_of,
)

Read = Callable[[Any, str, int], list[Filter]]
"""A part of a filter with its path and depth, to the conditions that it joins."""


def from_dict(given: Mapping[str, Any], path: str = "filter") -> Filter:
    """The filter that a dict writes; an empty one matches everything.

    Raises InvalidArgument naming the place (from ``path`` on), what is expected there and what was received.
    """
    made = _object(given, path, 1)
    check_size(made, path)
    return made


def to_dict(filter: Filter) -> dict[str, Any]:
    """The dict that writes ``filter``: ``from_dict`` makes the same of it."""
    if isinstance(filter, And) and len(filter.parts) != 1:
        merged = _merged([_entry(part) for part in filter.parts])
        return {"$and": [to_dict(part) for part in filter.parts]} if merged is None else merged
    name, operator, operand = _entry(filter)
    return {name: operand if operator is None else {operator: operand}}


# -- reading


def _object(given: object, path: str, depth: int) -> Filter:
    if not isinstance(given, Mapping):
        raise _refusal("a filter is an object", path, "an object of conditions", given)
    if depth > MAX_DEPTH:
        raise InvalidArgument("the filter is nested too deep", field=path, expected=f"<= {MAX_DEPTH}", received="more")
    return _joined([part for name, value in given.items() for part in _entry_read(name, value, path, depth)])


def _joined(parts: list[Filter]) -> Filter:
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _entry_read(name: object, value: Any, path: str, depth: int) -> list[Filter]:
    if not isinstance(name, str):
        raise _refusal("a key is text", path, "text", name)
    path = f"{path}.{name}"
    if name in _WHOLE:
        return _WHOLE[name](value, path, depth)
    if name in _OPERATORS:
        raise InvalidArgument(
            "an operator stands under the key it compares",
            field=path,
            expected=f'{{"key": {{"{name}": ...}}}}',
            received=name,
        )
    if name.startswith("$") and all(name != attribute.value for attribute in Attribute):
        raise _unknown(name, [*_WHOLE, *(attribute.value for attribute in Attribute)], path)
    with _At(path):
        key = key_of(name)
    if not isinstance(value, Mapping):
        with _At(path):
            return [equal(key, value)]
    return _operators(key, value, path, depth)


def _operators(key: Key, given: Mapping[Any, Any], path: str, depth: int) -> list[Filter]:
    """The conditions on one key; there is at least one."""
    if depth > MAX_DEPTH:
        raise InvalidArgument("the filter is nested too deep", field=path, expected=f"<= {MAX_DEPTH}", received="more")
    if not given:
        raise InvalidArgument("no operator", field=path, expected=" | ".join(_OPERATORS), received="{}")
    parts: list[Filter] = []
    for name, operand in given.items():
        if not isinstance(name, str) or not name.startswith("$"):
            raise InvalidArgument(
                "an object is no operand; a key inside an object is written with a dot",
                field=path,
                expected=f'{{"{name_of(key)}.{name}": ...}}, or an operator',
                received=repr(name),
            )
        if name == "$not":
            if not isinstance(operand, Mapping):
                raise _refusal("$not takes operators", f"{path}.$not", "an object of operators", operand)
            parts.append(Not(_joined(_operators(key, operand, f"{path}.$not", depth + 1))))
        elif name in _OPERATORS:
            with _At(f"{path}.{name}"):
                parts.append(_OPERATORS[name](key, operand))
        elif name == "$text":
            raise InvalidArgument(
                "$text looks at a text field, not at the payload",
                field=f"{path}.$text",
                expected=f'{{"$text": {{"{name_of(key)}": ...}}}}',
                received="$text under a key",
            )
        else:
            raise _unknown(name, [*_OPERATORS, "$not"], f"{path}.{name}")
    return parts


def _all_of(given: object, path: str, depth: int) -> list[Filter]:
    return [And(_list(given, path, depth))]


def _any_of(given: object, path: str, depth: int) -> list[Filter]:
    return [Or(_list(given, path, depth))]


def _list(given: object, path: str, depth: int) -> tuple[Filter, ...]:
    if not isinstance(given, list | tuple):
        raise _refusal("filters are joined as a list", path, "a list of filters", given)
    return tuple(_object(part, f"{path}[{i}]", depth + 1) for i, part in enumerate(given))


def _negated(given: object, path: str, depth: int) -> list[Filter]:
    return [Not(_object(given, path, depth + 1))]


def _text(given: object, path: str, depth: int) -> list[Filter]:
    by_field: Mapping[Any, Any] = given if isinstance(given, Mapping) else {"": given}
    if not by_field:
        raise InvalidArgument("$text names no field", field=path, expected="words, or words by field", received="{}")
    parts: list[Filter] = []
    for field, words in by_field.items():
        with _At(path if by_field is not given else f"{path}.{field}"):
            parts.append(Text(field, words))
    return parts


def _has_vector(given: object, path: str, depth: int) -> list[Filter]:
    if isinstance(given, bool):
        return [HasVector("") if given else Not(HasVector(""))]
    if not isinstance(given, str):
        raise _refusal("$has_vector takes a field", path, "the name of a vector field, true or false", given)
    return [HasVector(given)]


_WHOLE: dict[str, Read] = {
    "$and": _all_of,
    "$or": _any_of,
    "$not": _negated,
    "$text": _text,
    "$has_vector": _has_vector,
}


def _complement(filter: Filter, operator: str, holds: object) -> Filter:
    if not isinstance(holds, bool):
        raise InvalidArgument(f"{operator} takes true or false", expected="true | false", received=repr(holds)[:100])
    return filter if holds else Not(filter)


def _null(key: Key) -> Filter:
    return Or(()) if isinstance(key, Attribute) else equal(key, None)


_OPERATORS: dict[str, Callable[[Key, Any], Filter]] = {
    "$eq": equal,
    "$ne": lambda key, value: Not(equal(key, value)),
    "$gt": lambda key, value: ordered(key, Comparator.GT, value),
    "$gte": lambda key, value: ordered(key, Comparator.GTE, value),
    "$lt": lambda key, value: ordered(key, Comparator.LT, value),
    "$lte": lambda key, value: ordered(key, Comparator.LTE, value),
    "$in": one_of,
    "$nin": lambda key, values: Not(one_of(key, values)),
    "$any": one_of,
    "$all": every,
    "$exists": lambda key, holds: _complement(exists(key), "$exists", holds),
    "$is_null": lambda key, holds: _complement(_null(key), "$is_null", holds),
    "$prefix": Prefix,
}


class _At:
    """Whatever is refused inside is refused at ``path``."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if isinstance(error, InvalidArgument):
            error.field = self._path


def _refusal(message: str, path: str, expected: str, received: object) -> InvalidArgument:
    return InvalidArgument(message, field=path, expected=expected, received=repr(received)[:100])


def _unknown(name: str, known: list[str], path: str) -> InvalidArgument:
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    expected = f"{near[0]}, or \\{name} for a key of that name" if near else " | ".join(known)
    return InvalidArgument("unknown operator", field=path, expected=expected, received=name)


# -- writing

Entry = tuple[str, str | None, Any]
"""A condition as (name, operator, operand); without an operator the operand stands at the name itself."""


def _entry(filter: Filter) -> Entry:
    match filter:
        case And():
            return "$and", None, [to_dict(part) for part in filter.parts]
        case Or():
            return "$or", None, [to_dict(part) for part in filter.parts]
        case Text():
            return ("$text", None, {filter.field: filter.words}) if filter.field else ("$text", None, filter.words)
        case HasVector():
            return "$has_vector", None, filter.field or True
        case Compare():
            operator = None if filter.comparator is Comparator.EQ else filter.comparator.value
            return name_of(filter.key), operator, _listed(filter.value)
        case In():
            return name_of(filter.key), "$in", list(filter.values)
        case Exists():
            return name_of(filter.path), "$exists", True
        case Prefix():
            return name_of(filter.key), "$prefix", filter.prefix
        case Not(Compare(key, Comparator.EQ, value)):
            return name_of(key), "$ne", _listed(value)
        case Not(In(key, values)):
            return name_of(key), "$nin", list(values)
        case Not(Exists(path)):
            return name_of(path), "$exists", False
        case Not():
            return "$not", None, to_dict(filter.part)


def _merged(entries: list[Entry]) -> dict[str, Any] | None:
    """One object that reads as ``entries``, in order; None where they do not fit one, or are too few to be joined."""
    out: dict[str, Any] = {}
    last = None
    for name, operator, operand in entries:
        if name == last and name not in _WHOLE and (operator or "$eq") not in out[name]:
            out[name][operator or "$eq"] = operand
        elif name not in out:
            out[name] = operand if name in _WHOLE else {operator or "$eq": operand}
            last = name
        else:
            return None
    for name, operands in out.items():
        if name not in _WHOLE and list(operands) == ["$eq"]:
            out[name] = operands["$eq"]
    return out


def _listed(value: Any) -> Any:
    return [_listed(v) for v in value] if isinstance(value, tuple | list) else value
