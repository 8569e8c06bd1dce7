"""Recent query vectors of a collection, for measuring recall by what is really searched for.

They are in memory alone: nothing is written or logged, and no caller gets to see them.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

import numpy as np

from vecdb.model.point import Float32

MOST_VECTORS = 256
MOST_BYTES = 4 << 20
LEAST_VECTORS = 16
"""Of a field are kept as many vectors as fit the bytes, within these bounds."""


class Asked:
    """A sample of the queries by vector field; any thread may note one, without a lock.

    A query takes the place of one chosen at random, so what is kept are the recent ones, older ones ever more thinly.
    A list's item is replaced at once for whoever reads, and that two threads may choose the same is part of the draw.
    """

    def __init__(self) -> None:
        self._kept: dict[int, list[Float32 | None]] = {}
        self._count: dict[int, int] = {}

    def note(self, field_id: int, queries: Float32) -> None:
        """Keep one of ``queries`` ``[q, dim]``: a batch counts as one, so that it costs no more and drowns nobody."""
        kept = self._kept.get(field_id)
        if kept is None:
            room = min(MOST_VECTORS, max(LEAST_VECTORS, MOST_BYTES // (4 * queries.shape[1])))
            kept = self._kept.setdefault(field_id, [None] * room)
        at = 0 if len(queries) == 1 else int(random.random() * len(queries))
        kept[int(random.random() * len(kept))] = queries[at].astype(np.float32)
        self._count[field_id] = self._count.get(field_id, 0) + 1  # a count that two threads lose matters to nobody

    def count(self, field_id: int) -> int:
        """How many times ``note`` was called for a field, about."""
        return self._count.get(field_id, 0)

    def vectors(self, field_id: int) -> Float32:
        """The different ones among what is kept, float32 ``[n, dim]``, n possibly 0, in an order of no meaning."""
        kept = [vector for vector in self._kept.get(field_id, ()) if vector is not None]
        if not kept:
            return np.zeros((0, 0), dtype=np.float32)
        unique: Float32 = np.unique(np.stack(kept), axis=0)
        return unique

    def forget_but(self, fields: Iterable[int]) -> None:
        """Let go of what was asked of other fields than these."""
        for field_id in self._kept.keys() - set(fields):
            self._kept.pop(field_id, None)
            self._count.pop(field_id, None)

    def nbytes(self) -> int:
        """Bytes of vectors kept."""
        return sum(vector.nbytes for kept in self._kept.values() for vector in kept if vector is not None)
