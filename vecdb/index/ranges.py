"""Ranges of numbers as arrays."""

from __future__ import annotations

import numpy as np

from vecdb.model.point import Int64


def spread(begins: Int64, sizes: Int64) -> Int64:
    """The numbers ``begins[i] .. begins[i] + sizes[i] - 1`` of each i, one after another."""
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(begins - ends + sizes, sizes) + np.arange(total)
