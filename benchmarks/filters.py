"""Filters of known selectivity, related to the vectors or not; each query has one of its own.

Two integers of every row: ``draw`` is drawn at random, ``place`` is the row's rank along a direction of the
vectors. A filter is an interval of one of them: of ``draw`` it has nothing to do with the query, of ``place``
it lies around the query (*correlated*: most neighbours match) or at the far end from it (*anti-correlated*).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.sets import SEED, VectorSet
from vecdb.model.filter.expression import F

SELECTIVITIES = (0.001, 0.01, 0.02, 0.05, 0.10, 0.25, 0.50, 0.90, 0.99)
NOISE = 0.3
"""Of unasked queries, in standard deviations of the vectors' numbers: their neighbours stay near, and are no copies."""
RELATIONS = ("uncorrelated", "correlated", "anti-correlated")


@dataclass(frozen=True, slots=True)
class Interval:
    """``low <= field < high``."""

    field: str
    low: int
    high: int

    @property
    def filter(self) -> Any:
        """As the SDK takes it."""
        return (F(self.field) >= self.low) & (F(self.field) < self.high)


class Fields:
    """The two integers of the rows of a set, and intervals of them; the same in every run."""

    def __init__(self, some: VectorSet) -> None:
        random = np.random.default_rng(SEED)
        n = len(some.vectors)
        way = random.standard_normal(some.dim).astype(np.float32)
        along = _normal(some.vectors) @ way
        rank = np.empty(n, np.int64)
        rank[np.argsort(along, kind="stable")] = np.arange(n)
        self.columns: dict[str, NDArray[np.int64]] = {"draw": random.permutation(n), "place": rank}
        self._way, self._sorted = way, np.sort(along)
        self._random = random

    def payload(self, row: int) -> dict[str, int]:
        """What a row has beside its other fields."""
        return {name: int(column[row]) for name, column in self.columns.items()}

    def interval(self, relation: str, share: float, query: NDArray[np.float32]) -> Interval:
        """An interval with ``share`` of the rows, for the query of that vector; a little different every time."""
        n = len(self.columns["draw"])
        size = max(1, round(share * n))
        room = n - size
        if relation == "uncorrelated":
            low = int(self._random.integers(0, room + 1))
            return Interval("draw", low, low + size)
        at = int(np.searchsorted(self._sorted, _normal(query[None])[0] @ self._way))
        shift = int(self._random.integers(0, max(1, min(room, n // 1_000)) + 1))
        if relation == "correlated":
            low = min(max(at - size // 2 + shift, 0), room)
        else:
            low = min(shift, room) if at > n // 2 else max(room - shift, 0)
        return Interval("place", low, low + size)

    def matching(self, interval: Interval) -> NDArray[np.bool_]:
        """Which rows match, bool ``[n]``."""
        column = self.columns[interval.field]
        return (column >= interval.low) & (column < interval.high)


def unasked(some: VectorSet) -> Iterator[NDArray[np.float32]]:
    """Queries, each of a place in the set that no other is of, without end: rows with noise, the same in every run.

    What was asked before has its rows in caches, and is no measure of a search.
    """
    random = np.random.default_rng(SEED + 1)
    spread = NOISE * float(some.vectors[:10_000].std())
    while True:
        for row in random.permutation(len(some.vectors)).tolist():
            yield some.vectors[row] + random.normal(0, spread, some.dim).astype(np.float32)


def _normal(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
