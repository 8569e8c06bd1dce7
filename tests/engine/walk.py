"""A graph whose walk finds what a test says, so that its failings come whenever they are wanted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.engine.handle import Handle
from vecdb.index import flat
from vecdb.index.contract import Mask
from vecdb.index.flat import FlatIndex
from vecdb.index.metric import approximate
from vecdb.model.point import Float32, Int64

Choice = Callable[[Int64, int], Int64]


def nearest(order: Int64, n: int) -> Int64:
    """What a perfect walk finds."""
    return order[:n]


def farthest(order: Int64, n: int) -> Int64:
    """A walk that ended far from where it should."""
    return order[::-1][:n]


class Walk(FlatIndex):
    """Answers ``candidates`` with ``choice(ordinals by similarity, how many are asked for)``."""

    kind = "walk"

    def __init__(self, index: FlatIndex, choice: Choice) -> None:
        super().__init__(index._metric, index._vectors)
        self._choice = choice
        self.walks = 0

    def candidates(
        self, queries: Float32, n: int, ef: int, allowed: Mask | None, threads: int = 1
    ) -> tuple[Int64, Float32]:
        self.walks += 1
        query, ordinals, similarities = [], [], []
        for row, known in enumerate(approximate(self._metric, queries, self._vectors)):
            found = self._choice(np.argsort(-known, kind="stable"), max(n, ef))
            if allowed is not None:
                found = found[allowed[found]]
            query.append(np.full(len(found), row))
            ordinals.append(found)
            similarities.append(known[found])
        return flat.padded(np.concatenate(query), np.concatenate(ordinals), np.concatenate(similarities), len(queries))


def walked(c: Handle, choice: Choice = nearest) -> Walk:
    """Put such a graph into the one sealed segment of ``c``, which has none of its own (``use_graphs=False``)."""
    (segment,) = (segment for segment in c.inner.segments if segment.state == "sealed")
    part = segment.parts[0]
    assert isinstance(part.index, FlatIndex)
    part.index = walk = Walk(part.index, choice)
    return walk
