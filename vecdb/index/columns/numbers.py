"""Integers of 64 bits and doubles in one exact order, as keys that numpy sorts.

The key of a number is (the nearest double, what is left of it): 2**53 + 1 is (2.0**53, 1). Rounding never
swaps two numbers, and what is left tells those apart that round to the same, so keys stand as numbers do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vecdb.index.contract import Mask

Float64 = NDArray[np.float64]
Int16 = NDArray[np.int16]
_SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")
Key = tuple[float, int]


def key_of(value: int | float) -> Key:
    """The key of one number (an integer from -2**63 up to 2**64 - 1, or a double)."""
    nearest = float(value)
    return nearest, 0 if isinstance(value, float) else value - int(nearest)


def keys_of(integers: Sequence[int]) -> tuple[Float64, Int16]:
    """The keys of integers, as columns."""
    if not integers:
        return np.zeros(0), np.zeros(0, dtype=np.int16)
    if max(integers) < 2**63:
        signed = np.array(integers, dtype=np.int64)
        return _keys(signed.astype(np.float64), signed.view(np.uint64))
    big = np.array([value >= 2**63 for value in integers])
    bits = np.array([value & (2**64 - 1) for value in integers], dtype=np.uint64)
    return _keys(np.where(big, bits.astype(np.float64), bits.view(np.int64).astype(np.float64)), bits)


def _keys(nearest: Float64, bits: NDArray[np.uint64]) -> tuple[Float64, Int16]:
    """What is left of integers (their ``bits``, modulo 2**64) beside their nearest doubles: at most 2**10 either way.

    So the lowest 16 bits tell it, and what does not fit int64 may lose a multiple of 2**16 first.
    """
    inside = np.where(nearest >= 2.0**63, nearest - 2.0**63, nearest)
    inside = np.where(inside >= 2.0**63, 0.0, inside)
    return nearest, (bits - inside.astype(np.int64).view(np.uint64)).astype(np.uint16).view(np.int16)


def below(nearest: Float64, left: Int16, key: Key) -> Mask:
    """Which keys come before ``key``."""
    before: Mask = (nearest < key[0]) | ((nearest == key[0]) & (left < key[1]))
    return before


def place(nearest: Float64, left: Int16 | None, key: Key) -> int:
    """How many of sorted keys come before ``key``; ``left`` None: nothing is left of any."""
    low, high = (int(np.searchsorted(nearest, key[0], side)) for side in _SIDES)
    if left is None:
        return high if key[1] > 0 else low
    return low + int(np.searchsorted(left[low:high].astype(np.int64), key[1]))
