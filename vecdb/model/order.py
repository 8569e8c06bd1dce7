"""Orders of points by a value, and the place in one at which a page ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from vecdb.errors import InvalidArgument
from vecdb.model.filter import Attribute, Key, Scalar, name_of
from vecdb.model.filter.expression import key_of

NUMBER, STRING = 2, 3
"""The kinds of ``rank`` beside those of null (0) and booleans (1)."""
_FORM = b"\x01"  # the first byte of a cursor: another form of it gets another number


@dataclass(frozen=True, slots=True)
class OrderBy:
    """An order by the value at ``key``, a path as in ``F``: null, then booleans, numbers, strings.

    ``descending`` turns it round; points without a value come last all the same. Of an array the element that comes
    first counts. Points of equal values stand in the order of their ids. Raises InvalidArgument for what is no path.
    """

    key: Key | str | Sequence[str]
    descending: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.key, Attribute):
            if not isinstance(self.key, str | list | tuple):
                raise _no_order(self.key)
            object.__setattr__(self, "key", key_of(self.key))

    @property
    def at(self) -> Key:
        """The key, as filters have it."""
        assert isinstance(self.key, Attribute | tuple)
        return self.key


@dataclass(frozen=True, slots=True)
class Place:
    """A point's place in an order: its value, if it has one, and its id."""

    present: bool
    value: Scalar
    id: str

    def cursor(self, order: OrderBy) -> bytes:
        """As bytes that outlive the server; JSON keeps integers of 64 bits and doubles exactly."""
        held = [self.value] if self.present else []
        return _FORM + orjson.dumps([name_of(order.at), order.descending, held, self.id])


def order_of(given: object) -> OrderBy | None:
    """The order that ``"year"``, ``"-year"`` (the greatest first) or an OrderBy means; None: none is given."""
    if given is None or isinstance(given, OrderBy):
        return given
    if isinstance(given, str) and given.startswith("-"):
        return OrderBy(given[1:], True)
    if isinstance(given, str | list | tuple):
        return OrderBy(given)
    raise _no_order(given)


def place_of(cursor: bytes, order: OrderBy) -> Place:
    """The place that a cursor of ``order`` tells. Raises InvalidArgument for any other bytes."""
    try:
        if cursor[:1] != _FORM:
            raise ValueError
        name, descending, held, point_id = orjson.loads(cursor[1:])
        known = isinstance(name, str) and isinstance(descending, bool) and isinstance(point_id, str)
        if not known or not isinstance(held, list) or len(held) > 1 or any(isinstance(v, list | dict) for v in held):
            raise ValueError
    except (ValueError, TypeError):
        raise InvalidArgument(
            "not a cursor of an ordered walk",
            field="cursor",
            expected="the cursor of a page",
            received=repr(cursor)[:80],
        ) from None
    if (name, descending) != (name_of(order.at), order.descending):
        raise InvalidArgument(
            "the cursor belongs to another order",
            field="cursor",
            expected=_told(name_of(order.at), order.descending),
            received=_told(name, descending),
        )
    return Place(bool(held), held[0] if held else None, point_id)


def rank(value: Scalar) -> tuple[int, str | int | float]:
    """What a value is ordered by: null, booleans, numbers (exactly, whatever their types), strings by UTF-8 bytes.

    Code points stand in the order of UTF-8 bytes. Equal numbers have equal ranks.
    """
    if value is None:
        return 0, 0
    if isinstance(value, bool):
        return 1, value
    return (STRING, value) if isinstance(value, str) else (NUMBER, value)


def _told(name: str, descending: bool) -> str:
    return f"{name}, {'descending' if descending else 'ascending'}"


def _no_order(received: object) -> InvalidArgument:
    return InvalidArgument(
        "not an order", field="order_by", expected='"key", "-key" or OrderBy', received=repr(received)[:80]
    )
