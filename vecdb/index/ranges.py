"""Ranges of numbers as arrays, and the order of what is taken by ranges."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb.model.point import Int64

_PIECE = 1 << 17
"""Numbers made at once, but for a range that has more: they stay in the cache, and in memory that is used again."""


def ordering(numbers: NDArray[np.integer]) -> Int64:
    """The order that sorts numbers of 0 to 2**32 - 1, equal ones as they stand.

    ``argsort(kind="stable")`` in a third of its time: numpy sorts 64-bit numbers by vector instructions.
    """
    bits = np.int64(len(numbers).bit_length())
    keys = numbers.astype(np.int64) << bits
    keys |= np.arange(len(numbers))
    keys.sort()
    keys &= (1 << bits) - 1
    return keys


def spread(begins: Int64, sizes: Int64) -> Int64:
    """The numbers ``begins[i] .. begins[i] + sizes[i] - 1`` of each i, one after another.

    Summed from steps of one, and of more from range to range: numpy lets go of the GIL, which ``repeat`` keeps.
    """
    if not sizes.all():
        begins, sizes = begins[sizes != 0], sizes[sizes != 0]
    if not len(sizes):
        return np.zeros(0, dtype=np.int64)
    ends = np.cumsum(sizes)
    steps = np.ones(int(ends[-1]), dtype=np.int64)
    steps[0] = begins[0]
    steps[ends[:-1]] = begins[1:] - begins[:-1] - sizes[:-1] + 1
    return np.cumsum(steps, out=steps)


def gathered(values: NDArray[Any], begins: Int64, sizes: Int64) -> NDArray[Any]:
    """``values[spread(begins, sizes)]``, a piece at a time."""
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    if total <= _PIECE:
        return values[spread(begins, sizes)]
    out = np.empty(total, dtype=values.dtype)
    first = at = 0
    while at < total:
        last = max(int(ends.searchsorted(at + _PIECE, "right")), first + 1)
        end = int(ends[last - 1])
        out[at:end] = values[spread(begins[first:last], sizes[first:last])]
        first, at = last, end
    return out
