"""Filters as people write them, a dict or what F makes, to the tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vecdb.errors import InvalidArgument
from vecdb.model.filter import And, Filter, check_size, from_dict

Where = Filter | Mapping[str, Any]

_EVERYTHING = And(())


def to_tree(given: object, path: str) -> Filter:
    """The filter that a ``Where`` is. Raises InvalidArgument naming the place in it."""
    if isinstance(given, Mapping):
        return from_dict(given, path)
    if not isinstance(given, Filter):
        raise InvalidArgument(
            "not a filter", field=path, expected="a dict, or comparisons of vecdb.F", received=type(given).__name__
        )
    check_size(given, path)
    return given


def to_filter(given: object, path: str = "filter") -> Filter | None:
    """The same; None where nothing is narrowed."""
    if given is None:
        return None
    made = to_tree(given, path)
    return None if made == _EVERYTHING else made


def to_filters(given: object, count: int, path: str) -> list[Filter | None] | None:
    """A filter for each of ``count`` queries; None where none is narrowed. Raises InvalidArgument."""
    if given is None:
        return None
    if isinstance(given, str | bytes) or not isinstance(given, Sequence):
        raise InvalidArgument(
            "not a list of filters", field=path, expected="one for each query", received=type(given).__name__
        )
    if len(given) != count:
        raise InvalidArgument(
            "not one filter for each query", field=path, expected=f"{count} filters", received=str(len(given))
        )
    made = [to_filter(one, f"{path}[{i}]") for i, one in enumerate(given)]
    return None if all(one is None for one in made) else made
