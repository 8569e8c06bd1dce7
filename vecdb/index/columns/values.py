"""The distinct values at a path in their total order: null, false, true, numbers, strings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vecdb.index.columns import numbers
from vecdb.index.columns.numbers import Float64, Int16
from vecdb.index.columns.selector import Interval, Members
from vecdb.index.columns.texts import PackedTexts
from vecdb.index.columns.times import Bytes, parse_times
from vecdb.index.contract import Mask
from vecdb.model.filter import Scalar
from vecdb.model.point import Int64

_SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")
NO_CODES = np.zeros(0, dtype=np.int64)
CONSTANTS: tuple[Scalar, ...] = (None, False, True)


@dataclass(frozen=True, slots=True)
class Times:
    """The strings that are times, in the order of time: ``seconds`` and ``nanos`` (None: all 0) beside their codes.

    ``order`` gives the codes; None where they follow each other from ``first`` on, as strings of one form do.
    """

    seconds: Int64
    nanos: Int64 | None
    first: int
    order: Int64 | None

    def place(self, key: tuple[int, int]) -> int:
        """How many of the times come before (seconds, nanoseconds)."""
        low, high = (int(np.searchsorted(self.seconds, key[0], side)) for side in _SIDES)
        if self.nanos is None:
            return high if key[1] > 0 else low
        return low + int(np.searchsorted(self.nanos[low:high], key[1]))


@dataclass(frozen=True, slots=True)
class SortedValues:
    """Distinct values; the code of one is its place among ``constants`` (places in CONSTANTS), numbers and strings.

    A number is its key (``nearest``, ``left``; None: nothing is left of any) and whether it is an integer
    (``integers``; None: all are); of equal ones the integer comes first.
    """

    constants: tuple[int, ...]
    nearest: Float64
    left: Int16 | None
    integers: Mask | None
    texts: PackedTexts
    times: Times | None = None

    def __len__(self) -> int:
        return len(self.constants) + len(self.nearest) + len(self.texts)

    def __getitem__(self, code: int) -> Scalar:
        if not -len(self) <= code < len(self):
            raise IndexError(code)
        return self.take(np.array([code % len(self)]))[0]

    @property
    def first_text(self) -> int:
        """The code of the first string."""
        return len(self.constants) + len(self.nearest)

    def members(self, members: Members) -> list[tuple[int, int]]:
        """Intervals of codes, ascending and apart, of the values that are equal to a member."""
        found = {span for value in members.values if (span := self._equal(value)) is not None}
        return sorted(found)

    def within(self, interval: Interval) -> tuple[int, int] | Int64:
        """The codes of an interval's values: an interval itself, or one by one."""
        if interval.kind == "time":
            return self._times(interval)
        start, n = len(self.constants), len(self.nearest)
        if interval.kind == "number":
            low = 0 if interval.low is None else numbers.place(self.nearest, self.left, interval.low)
            high = n if interval.high is None else numbers.place(self.nearest, self.left, interval.high)
            return start + low, start + max(low, high)
        low = 0 if interval.low is None else self.texts.place(interval.low)
        high = len(self.texts) if interval.high is None else self.texts.place(interval.high, low)
        return start + n + low, start + n + high

    def take(self, codes: Int64) -> list[Scalar]:
        """The values with these codes."""
        out: list[Scalar] = [None] * len(codes)
        constant, text = codes < len(self.constants), codes >= self.first_text
        for at in np.flatnonzero(constant).tolist():
            out[at] = CONSTANTS[self.constants[codes[at]]]
        number = np.flatnonzero(~constant & ~text)
        chosen = codes[number] - len(self.constants)
        whole = [True] * len(chosen) if self.integers is None else self.integers[chosen].tolist()
        left = [0] * len(chosen) if self.left is None else self.left[chosen].tolist()
        for at, nearest, rest, integer in zip(number.tolist(), self.nearest[chosen].tolist(), left, whole, strict=True):
            out[at] = int(nearest) + rest if integer else nearest
        strings = np.flatnonzero(text)
        for at, string in zip(strings.tolist(), self.texts.take(codes[strings] - self.first_text), strict=True):
            out[at] = string
        return out

    def _equal(self, value: Scalar) -> tuple[int, int] | None:
        if isinstance(value, str):
            at = self.texts.find(value.encode("utf-8", "surrogatepass"))
            return None if at is None else (self.first_text + at, self.first_text + at + 1)
        if isinstance(value, bool) or value is None:
            constant = CONSTANTS.index(value) if value is None else 1 + value
            return None if constant not in self.constants else (place := self.constants.index(constant), place + 1)
        nearest, left = numbers.key_of(value)
        low, high = self.within(Interval("number", (nearest, left), (nearest, left + 1)))
        return None if low == high else (int(low), int(high))

    def _times(self, interval: Interval) -> tuple[int, int] | Int64:
        times = self.times
        if times is None:
            return NO_CODES
        low = 0 if interval.low is None else times.place(interval.low)
        high = len(times.seconds) if interval.high is None else max(low, times.place(interval.high))
        if times.order is not None:
            return self.first_text + times.order[low:high]
        return self.first_text + times.first + low, self.first_text + times.first + high


def times_of(pieces: Sequence[Bytes]) -> Times | None:
    """The times among sorted strings, which come in pieces that follow each other; None without any."""
    starts = np.cumsum([0, *map(len, pieces)])
    parsed = [parse_times(piece) for piece in pieces]
    order = np.concatenate([NO_CODES, *(places + start for (places, _, _), start in zip(parsed, starts, strict=False))])
    if len(order) == 0:
        return None
    seconds = np.concatenate([seconds for _, seconds, _ in parsed])
    nanos = np.concatenate([nanos for _, _, nanos in parsed])
    by_time = np.lexsort((order, nanos, seconds))
    order, seconds, nanos = order[by_time], seconds[by_time], nanos[by_time]
    in_a_row = bool(np.all(np.diff(order) == 1))
    return Times(seconds, nanos if nanos.any() else None, int(order[0]), None if in_a_row else order)


def sorted_numbers(nearest: Float64, left: Int16, integers: Mask) -> Int64:
    """The permutation that sorts numbers."""
    return np.lexsort((~integers, left, nearest)).astype(np.int64)


def no_values() -> SortedValues:
    """Values of nothing."""
    texts = PackedTexts(np.zeros(1, dtype=np.uint32), np.zeros(0, dtype=np.uint8))
    return SortedValues((), np.zeros(0), None, None, texts)
