"""What a condition picks of the distinct values at a path: members, or an interval of one type.

An interval is half open, from ``low`` up to but without ``high``. What comes after a value is the next key:
of a string the string and a NUL (no string of a column has one), of a number and a time one more of the
smallest part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from vecdb.index.columns.flatten import fits
from vecdb.index.columns.numbers import key_of
from vecdb.model.filter import Comparator, Compare, In, Prefix, Scalar
from vecdb.model.filter.times import parse_time

Kind = Literal["number", "string", "time"]


@dataclass(frozen=True, slots=True)
class Members:
    """Values equal to one of these."""

    values: tuple[Scalar, ...]

    def reaches_long(self, limit: int) -> bool:
        """Whether a string that is left out for being longer than ``limit`` bytes could be one."""
        return any(isinstance(value, str) and not fits(value, limit) for value in self.values)


@dataclass(frozen=True, slots=True)
class Interval:
    """Values of one type from ``low`` up to ``high`` (None: no end): bytes, (double, rest), (seconds, nanoseconds)."""

    kind: Kind
    low: Any
    high: Any

    def reaches_long(self, limit: int) -> bool:
        """See Members; no time is that long."""
        return self.kind == "string"


Selector = Members | Interval


def selector_of(condition: Compare | In | Prefix) -> Selector:
    """What the condition picks; not for a whole array."""
    if isinstance(condition, In):
        return Members(condition.values)
    if isinstance(condition, Prefix):
        start = condition.prefix.encode("utf-8", "surrogatepass")
        return Interval("string", start, start[:-1] + bytes([start[-1] + 1]) if start else None)
    value = condition.value
    assert not isinstance(value, tuple)
    if condition.comparator is Comparator.EQ:
        return Members((value,))
    assert isinstance(value, str | int | float)
    if isinstance(value, str):
        time = parse_time(value)
        if time is None:
            text = value.encode("utf-8", "surrogatepass")
            return _interval("string", condition.comparator, text, text + b"\0")
        return _interval("time", condition.comparator, time, (time[0], time[1] + 1))
    nearest, left = key_of(value)
    return _interval("number", condition.comparator, (nearest, left), (nearest, left + 1))


def _interval(kind: Kind, comparator: Comparator, value: Any, after: Any) -> Interval:
    low = {Comparator.GTE: value, Comparator.GT: after}.get(comparator)
    high = {Comparator.LT: value, Comparator.LTE: after}.get(comparator)
    return Interval(kind, low, high)
