"""Filters as Python writes them: ``(F("year") >= 2020) & (F("lang") == "zh")``."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from vecdb.errors import InvalidArgument
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
    Prefix,
    Scalar,
    Text,
    check_array,
    name_of,
    path_of,
)


class F:
    """A value of a point, to be compared: ``F("source.page")``, ``F(["a.b"])`` for a key with a dot in it.

    ``F("$id")`` is the id, ``F("$version")`` the version. Every method and comparison gives a Filter, to be joined by
    ``&``, ``|`` and ``~``. A ``datetime`` (which must know its time zone) compares with RFC 3339 strings as a time.
    """

    __slots__ = ("_key",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, key: str | Sequence[str]) -> None:
        self._key = key_of(key)

    def __repr__(self) -> str:
        return f"F({name_of(self._key)!r})"

    def __eq__(self, value: object) -> Filter:  # type: ignore[override]
        """The value, or an element of an array, equals; a list is compared with the whole array."""
        return equal(self._key, value)

    def __ne__(self, value: object) -> Filter:  # type: ignore[override]
        """The exact complement of ``==``."""
        return Not(equal(self._key, value))

    def __gt__(self, value: object) -> Filter:
        return ordered(self._key, Comparator.GT, value)

    def __ge__(self, value: object) -> Filter:
        return ordered(self._key, Comparator.GTE, value)

    def __lt__(self, value: object) -> Filter:
        return ordered(self._key, Comparator.LT, value)

    def __le__(self, value: object) -> Filter:
        return ordered(self._key, Comparator.LTE, value)

    def is_in(self, values: Iterable[object]) -> Filter:
        """The value, or an element, is one of ``values``."""
        return one_of(self._key, values)

    def not_in(self, values: Iterable[object]) -> Filter:
        """The exact complement of ``is_in``."""
        return Not(one_of(self._key, values))

    def any(self, values: Iterable[object]) -> Filter:
        """At least one of ``values`` is among the elements; the same as ``is_in``."""
        return one_of(self._key, values)

    def all(self, values: Iterable[object]) -> Filter:
        """All of ``values`` are among the elements."""
        return every(self._key, values)

    def exists(self) -> Filter:
        """There is a value, be it null."""
        return exists(self._key)

    def is_null(self) -> Filter:
        """The value, or an element, is null; a missing one is not."""
        return equal(self._key, None)

    def prefix(self, text: str) -> Filter:
        """The string, or an element, begins with ``text``."""
        return Prefix(self._key, text)

    @staticmethod
    def text(words: str, field: str = "") -> Filter:
        """Each word occurs in the text ``field``, case and width aside."""
        return Text(field, words)

    @staticmethod
    def has_vector(field: str = "") -> Filter:
        """The point has a vector in ``field``."""
        return HasVector(field)


def key_of(name: str | Sequence[str]) -> Key:
    """``"a.b"``, ``["a", "b"]``, ``"$id"`` or ``"$version"`` to a key. Raises InvalidArgument."""
    if isinstance(name, str):
        if name.startswith("$"):
            for attribute in Attribute:
                if name == attribute.value:
                    return attribute
            raise InvalidArgument(
                "unknown name",
                field="filter",
                expected="$id | $version, or a path (\\$ for a key with $)",
                received=name,
            )
        path = path_of(name)
    else:
        path = tuple(name)
    if not path or not all(isinstance(step, str) for step in path):
        raise InvalidArgument("not a path", field="filter", expected="keys, from the outside in", received=repr(name))
    return path


def equal(key: Key, value: object) -> Filter:
    """What ``$eq`` means for any operand."""
    if isinstance(value, datetime):
        text = _rfc3339(value)
        return And((Compare(key, Comparator.GTE, text), Compare(key, Comparator.LTE, text)))
    if isinstance(value, list | tuple):
        check_array(key, tuple(value))
        return Compare(key, Comparator.EQ, tuple(_copied(v) for v in value))
    return Compare(key, Comparator.EQ, _scalar(key, value))


def ordered(key: Key, comparator: Comparator, value: object) -> Filter:
    """What ``$gt`` and its kin mean for any operand."""
    return Compare(key, comparator, _rfc3339(value) if isinstance(value, datetime) else _scalar(key, value))


def one_of(key: Key, values: Iterable[object]) -> Filter:
    """What ``$in`` and ``$any`` mean."""
    listed = _listed(key, values)
    times = [equal(key, v) for v in listed if isinstance(v, datetime)]
    plain = In(key, tuple(_scalar(key, v) for v in listed if not isinstance(v, datetime)))
    return Or((plain, *times)) if times else plain


def every(key: Key, values: Iterable[object]) -> Filter:
    """What ``$all`` means."""
    return And(tuple(equal(key, _scalar(key, v) if not isinstance(v, datetime) else v) for v in _listed(key, values)))


def exists(key: Key) -> Filter:
    """What ``$exists`` means; every point has an id and a version."""
    return And(()) if isinstance(key, Attribute) else Exists(key)


def _listed(key: Key, values: Iterable[object]) -> list[object]:
    if isinstance(values, str | bytes | dict) or not isinstance(values, Iterable):
        raise InvalidArgument(
            "not a list of values", field=name_of(key), expected="a list", received=type(values).__name__
        )
    return list(values)


def _scalar(key: Key, value: Any) -> Scalar:
    """Numbers of numpy and UUIDs as JSON has them; for ids as the SDK writes them."""
    if isinstance(value, uuid.UUID) or (key is Attribute.ID and isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    if hasattr(value, "dtype") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise InvalidArgument(
        "a filter cannot compare with this",
        field=name_of(key),
        expected="a string, number, boolean, null, or a datetime",
        received=type(value).__name__,
    )


def _copied(value: Any) -> Any:
    """What the caller may change later must not change the filter: masks are kept by it."""
    if isinstance(value, dict):
        return {name: _copied(v) for name, v in value.items()}
    return tuple(_copied(v) for v in value) if isinstance(value, list | tuple) else value


def _rfc3339(value: datetime) -> str:
    if value.tzinfo is None:
        raise InvalidArgument(
            "the time has no time zone", field="filter", expected="a datetime with tzinfo", received=repr(value)
        )
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
