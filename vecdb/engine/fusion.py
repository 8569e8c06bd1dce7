"""Put the ranked lists of several legs together. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vecdb.model.point import Float32

UInt64 = NDArray[np.uint64]


def reciprocal_rank(legs: Sequence[tuple[UInt64, float]], k: int) -> tuple[UInt64, Float32]:
    """Weighted reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009).

    ``legs``: (rows best first, weight). A row's score is the sum over legs of weight / (k + rank), ranks
    from 1, divided by what a row first in every leg would have: in (0, 1]. Returns the distinct rows,
    ascending, and their scores float32; the caller orders them.
    """
    most = sum(weight / (k + 1) for _, weight in legs)
    all_rows = np.concatenate([rows for rows, _ in legs])
    shares = np.concatenate([weight / (k + np.arange(1, len(rows) + 1)) for rows, weight in legs])
    rows, where = np.unique(all_rows, return_inverse=True)
    return rows, (np.bincount(where, weights=shares, minlength=len(rows)) / most).astype(np.float32)
