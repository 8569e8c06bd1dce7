"""How many edits lie between a term and many others: characters put in, taken out or replaced, neighbours swapped.

The optimal string alignment distance (Damerau 1964, in the form of Wagner and Fischer's table): no piece is edited
twice. Only the cells of the table that can lie within the bound are computed, for all terms of one length at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vecdb.index.packed import UInt8

Characters = NDArray[np.uint32]


def characters(text: str) -> Characters:
    """The code points of a text."""
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")


def distances(term: Characters, others: Characters, most: int) -> UInt8:
    """By row of ``others`` (``[n, length]``, code points) its edits from ``term``; ``most + 1`` for more than ``most``.

    The length differs from that of ``term`` by at most ``most``.
    """
    n, length = others.shape
    far = np.uint8(most + 1)
    columns = np.ascontiguousarray(others.T)
    beyond = np.full(n, far, dtype=np.uint8)
    # rows[j]: edits between the first i characters of the term and the first j of the others
    before: dict[int, UInt8] = {}
    above = {j: np.full(n, j, dtype=np.uint8) for j in range(min(length, most) + 1)}
    for i in range(1, len(term) + 1):
        row: dict[int, UInt8] = {}
        for j in range(max(0, i - most), min(length, i + most) + 1):
            if j == 0:
                row[0] = np.full(n, i, dtype=np.uint8)
                continue
            differs = columns[j - 1] != term[i - 1]
            best = above.get(j - 1, beyond) + differs
            np.minimum(best, above.get(j, beyond) + 1, out=best)
            np.minimum(best, row.get(j - 1, beyond) + 1, out=best)
            if i > 1 and j > 1 and j - 2 in before:
                swapped = (columns[j - 2] == term[i - 1]) & (columns[j - 1] == term[i - 2])
                np.minimum(best, np.where(swapped, before[j - 2] + 1, far), out=best)
            row[j] = np.minimum(best, far)
        before, above = above, row
    return above[length]
