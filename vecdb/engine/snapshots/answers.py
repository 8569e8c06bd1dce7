"""Exact answers to sampled queries, found while the vectors pass by: what an archive promises of its vectors.

Scores are computed as everywhere (``index.metric``), so that on one machine they come out the same to the last bit.
Another processor may sum in another order: scores are compared within the error that this can make.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vecdb.engine.segment import UInt64
from vecdb.index import flat, metric
from vecdb.model.point import Float32, Int64
from vecdb.model.schema import Metric
from vecdb.storage.codec import NO_ROW

QUERIES = 100
K = 10


@dataclass(frozen=True, slots=True)
class Expected:
    """Of sampled vectors, the rows under which they are stored; of the exact answers to each how many there are, and
    the lowest score that counts as one of them. ``[q]`` each.
    """

    rows: UInt64
    counts: Int64
    lowest: Float32

    def before(self, other: Expected | None) -> Expected:
        """These, then those of another, as many as one archive has at most."""
        if other is None:
            return self
        return Expected(
            np.concatenate([self.rows, other.rows])[:QUERIES],
            np.concatenate([self.counts, other.counts])[:QUERIES],
            np.concatenate([self.lowest, other.lowest])[:QUERIES],
        )


class Answers:
    """The ``K`` best of the vectors added so far, for each query: ``rows`` uint64 and ``scores`` float32 ``[q, K]``.

    Best first, ties by row; what there is too little of is NO_ROW with -inf. ``queries``: raw float32 ``[q, dim]``.
    """

    def __init__(self, by: Metric, queries: Float32) -> None:
        self._metric: Metric = by
        self._queries = metric.prepare(by, queries)
        self._longest = 0.0  # of the squares of all norms
        self.rows = np.full((len(queries), K), NO_ROW, np.uint64)
        self.scores = np.full((len(queries), K), -np.inf, np.float32)

    def add(self, rows: UInt64, vectors: Float32) -> None:
        """Look at more vectors, raw float32 ``[n, dim]``."""
        if not len(rows) or not len(self._queries):
            return
        vectors = metric.prepare(self._metric, vectors)
        squares = metric.squares(vectors)
        self._longest = max(self._longest, float(squares.max()))
        found, _ = flat.top(self._metric, self._queries, vectors, K, squares=squares)
        for i, ordinals in enumerate(found):  # one by one: where all vectors are alike, all of them are candidates
            chosen = ordinals[ordinals >= 0]
            scores = np.concatenate([self.scores[i], metric.score(self._metric, self._queries[i], vectors[chosen])[0]])
            candidates = np.concatenate([self.rows[i], rows[chosen]])
            best = np.lexsort((candidates, -scores))[:K]
            self.rows[i], self.scores[i] = candidates[best], scores[best]

    def alike(self, rows: UInt64, scores: Float32) -> bool:
        """Whether these are the same answers, ``[q, K]``, but for what another order of summing can make of them."""
        if rows.shape != self.rows.shape or not np.array_equal(np.isfinite(scores), np.isfinite(self.scores)):
            return False
        error = self.error()[:, None]
        there = np.isfinite(scores)
        if np.any(there & (np.abs(np.where(there, scores, 0) - np.where(there, self.scores, 0)) > error)):
            return False
        held = np.array([np.isin(a, b) for a, b in zip(rows, self.rows, strict=True)]).reshape(rows.shape)
        return not np.any(~held & (scores > self.scores.min(axis=1, initial=np.inf)[:, None] + error))

    def expected(self, rows: UInt64) -> Expected:
        """What to expect of a search of the queries, whose vectors are stored under ``rows``."""
        there = np.isfinite(self.scores)
        lowest = np.where(there, self.scores, np.inf).min(axis=1, initial=np.inf) - self.error()
        return Expected(rows, there.sum(axis=1), lowest)

    def error(self) -> Float32:
        """How far the same score may be off elsewhere, float32 ``[q]``: as in ``metric.error_bound``, twice."""
        steps = self._queries.shape[1] + 16
        relative = 4.0 * steps * 2.0**-24
        if self._metric != "dot":
            return np.full(len(self._queries), relative, np.float32)
        lengths = np.sqrt(metric.squares(self._queries)) * math.sqrt(self._longest)
        return np.asarray(relative * lengths, np.float32)
