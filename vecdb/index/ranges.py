"""Ranges of numbers as arrays."""

from __future__ import annotations

import numpy as np

from vecdb.model.point import Int64


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
