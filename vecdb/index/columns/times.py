"""RFC 3339 times of many strings at once: what ``vecdb.model.filter.times`` says of one, without a loop over them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb.index.contract import Mask
from vecdb.model.point import Int64

Bytes = NDArray[np.bytes_]
Digits = NDArray[np.int64]

SHORTEST, LONGEST = 20, 35
_DIGITS = (0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18)
_MARKS = {4: b"-", 7: b"-", 10: b"Tt", 13: b":", 16: b":"}
_DAYS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


def parse_times(texts: Bytes) -> tuple[Int64, Int64, Int64]:
    """Of strings ``[n]`` (dtype S): places of those that are times, their seconds since 1970, their nanoseconds."""
    sizes = np.strings.str_len(texts)
    found: list[tuple[Int64, Int64, Int64]] = []
    for size in np.unique(sizes).tolist():
        if SHORTEST <= size <= LONGEST:
            places = np.flatnonzero(sizes == size)
            text = np.ascontiguousarray(texts[places].astype(f"S{size}")).view(np.uint8).reshape(len(places), size)
            zulu = _any_of(text[:, -1], b"Zz")
            for some, offset in ((zulu, 0), (~zulu, 6)):
                if some.any():
                    ok, seconds, nanos = _parse(text[some], offset)
                    found.append((places[some][ok], seconds[ok], nanos[ok]))
    if not found:
        nothing = np.zeros(0, dtype=np.int64)
        return nothing, nothing, nothing
    places, seconds, nanos = (np.concatenate(column) for column in zip(*found, strict=True))
    return places, seconds, nanos


def _parse(text: NDArray[np.uint8], offset: int) -> tuple[Mask, Int64, Int64]:
    """Strings of one length ``[n, size]`` that end in Z (``offset`` 0) or +hh:mm (6): whether each is a time, which."""
    n, size = text.shape
    ok = np.ones(n, dtype=np.bool_)
    for at in _DIGITS:
        ok &= _is_digit(text[:, at])
    for at, marks in _MARKS.items():
        ok &= _any_of(text[:, at], marks)
    year, month, day = _number(text, 0, 4), _number(text, 5, 7), _number(text, 8, 10)
    hour, minute, second = _number(text, 11, 13), _number(text, 14, 16), _number(text, 17, 19)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    ok &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1) & (hour <= 23) & (minute <= 59) & (second <= 60)
    ok &= day <= _DAYS[np.clip(month, 1, 12) - 1] + (leap & (month == 2))
    seconds = _days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second
    nanos = np.zeros(n, dtype=np.int64)
    end = size - (offset or 1)
    if end > 19:  # a fraction: a point and one to nine digits
        digits = end - 20
        if not 1 <= digits <= 9:
            ok[:] = False
            return ok, seconds, nanos
        ok &= text[:, 19] == ord(".")
        for at in range(20, end):
            ok &= _is_digit(text[:, at])
        nanos = _number(text, 20, end) * 10 ** (9 - digits)
    elif end < 19:
        ok[:] = False
        return ok, seconds, nanos
    if offset:
        sign = text[:, end]
        for at in (end + 1, end + 2, end + 4, end + 5):
            ok &= _is_digit(text[:, at])
        hours, minutes = _number(text, end + 1, end + 3), _number(text, end + 4, end + 6)
        ok &= _any_of(sign, b"+-") & (text[:, end + 3] == ord(":")) & (hours <= 23) & (minutes <= 59)
        seconds = seconds - (hours * 3600 + minutes * 60) * np.where(sign == ord("+"), 1, -1)
    return ok, seconds, nanos


def _days(year: Int64, month: Int64, day: Int64) -> Int64:
    """Days since 1970-01-01 in the Gregorian calendar: years are counted from March, so that a leap day ends one."""
    years = year - (month <= 2)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    days: Int64 = 365 * years + years // 4 - years // 100 + years // 400 + of_year - 719_468
    return days


def _number(text: NDArray[np.uint8], start: int, end: int) -> Digits:
    value = np.zeros(len(text), dtype=np.int64)
    for at in range(start, end):
        value = value * 10 + (text[:, at].astype(np.int64) - ord("0"))
    return value


def _is_digit(column: NDArray[np.uint8]) -> Mask:
    return (column >= ord("0")) & (column <= ord("9"))


def _any_of(column: NDArray[Any], marks: bytes) -> Mask:
    held = np.zeros(len(column), dtype=np.bool_)
    for mark in marks:
        held |= column == mark
    return held
