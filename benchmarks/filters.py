"""Filters of known selectivity, related to the vectors or not; each query has one of its own.

Two integers of every row: ``draw`` is drawn at random, ``place`` is the row's rank along a direction of the
vectors. A filter is an interval of one of them: of ``draw`` it has nothing to do with the query, of ``place``
it lies around the query (*correlated*: most neighbours match) or at the far end from it (*anti-correlated*).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.sets import SEED, VectorSet
from vecdb.model.filter.expression import F

SELECTIVITIES = (0.001, 0.01, 0.02, 0.05, 0.10, 0.25, 0.50, 0.90, 0.99)
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
        self._at = np.searchsorted(np.sort(along), _normal(some.queries) @ way)
        self._random = random

    def payload(self, row: int) -> dict[str, int]:
        """What a row has beside its other fields."""
        return {name: int(column[row]) for name, column in self.columns.items()}

    def interval(self, relation: str, share: float, query: int) -> Interval:
        """An interval with ``share`` of the rows, for the query of that number; a little different every time."""
        n = len(self.columns["draw"])
        size = max(1, round(share * n))
        room = n - size
        if relation == "uncorrelated":
            low = int(self._random.integers(0, room + 1))
            return Interval("draw", low, low + size)
        at = int(self._at[query])
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


def _normal(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
