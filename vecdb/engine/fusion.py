"""Put the ranked lists of several legs together. Pure: columns in, columns out.

Each leg gives a hit a share of 0 to 1 by its method, and 0 a hit that it does not have. A fused score is the mean of
the shares, each leg counting by its weight: in [0, 1], and 1 for what is first in every leg by rank or relative score.

================== ==========================================================================
method             share of a hit with a score s at a rank (from 1) in a leg
================== ==========================================================================
reciprocal rank    (k + 1) / (k + rank): never 0
relative score     (s - last) / (first - last) of the leg's scores; all 1 where they are equal
distribution score (s - (mean - 3 sd)) / (6 sd), within 0..1; all 0.5 where they are equal
================== ==========================================================================

Sources: Cormack, Clarke and Buettcher, Reciprocal Rank Fusion (SIGIR 2009); relativeScoreFusion of Weaviate;
distribution-based score fusion (Mazzeschi 2023) as Qdrant has it, with the standard deviation of a sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vecdb.model.fusion import Fusion, RelativeScore, Rrf
from vecdb.model.point import Float32, Int64
from vecdb.model.query import LegColumns

UInt64 = NDArray[np.uint64]
Float64 = NDArray[np.float64]

DEVIATIONS = 3.0
"""Standard deviations on either side of the mean that a distribution score spreads over 0..1."""


@dataclass(frozen=True, slots=True)
class Given:
    """What one leg gave q queries, one run of hits after another, each best first and a row once.

    ``counts`` int64 ``[q]``; ``rows`` and ``scores`` (higher is better, finite) have ``counts.sum()`` entries.
    """

    counts: Int64
    rows: UInt64
    scores: Float32
    weight: float


@dataclass(frozen=True, slots=True)
class Fused:
    """The distinct rows of each query, ascending, with their fused scores float32, and what each leg says of them."""

    counts: Int64
    rows: UInt64
    scores: Float32
    legs: tuple[LegColumns, ...]


def fuse(method: Fusion, given: Sequence[Given], depth: int | None = None) -> Fused:
    """The hits of several legs (at least one) as one list a query; the caller orders it.

    Scores are stretched by the best ``depth`` of each leg's hits (None: all that it gave); those behind them are
    cut off at the ends of that scale.
    """
    queries = len(given[0].counts)
    query = np.concatenate([np.repeat(np.arange(queries), leg.counts) for leg in given])
    rows = np.concatenate([leg.rows for leg in given])
    order = np.lexsort((rows, query))
    fresh = np.ones(len(rows), dtype=np.bool_)
    fresh[1:] = (np.diff(rows[order]) != 0) | (np.diff(query[order]) != 0)
    place = np.empty(len(rows), dtype=np.int64)  # of each given hit in what is answered
    place[order] = np.cumsum(fresh) - 1
    first = order[fresh]
    weights = np.array([leg.weight for leg in given]) / max(leg.weight for leg in given)  # no sum of them overflows
    total = np.zeros(len(first))
    legs = []
    ends = np.cumsum([len(leg.rows) for leg in given]).tolist()
    for leg, weight, end in zip(given, weights / weights.sum(), ends, strict=True):
        at = place[end - len(leg.rows) : end]
        total[at] += weight * shares(method, leg, depth)
        ranks, scores = np.zeros(len(first), dtype=np.uint32), np.full(len(first), np.nan, dtype=np.float32)
        ranks[at], scores[at] = _ranks(leg.counts), leg.scores
        legs.append(LegColumns(ranks, scores))
    counts = np.bincount(query[first], minlength=queries).astype(np.int64)
    return Fused(counts, rows[first], np.clip(total, 0.0, 1.0).astype(np.float32), tuple(legs))


def shares(method: Fusion, leg: Given, depth: int | None = None) -> Float64:
    """What each hit of a leg gets by ``method``, in [0, 1]; a better one never less than one behind it."""
    ranks = _ranks(leg.counts)
    if isinstance(method, Rrf):
        return np.asarray((method.k + 1) / (method.k + ranks), dtype=np.float64)
    query = np.repeat(np.arange(len(leg.counts)), leg.counts)
    inside = np.ones(len(ranks), dtype=np.bool_) if depth is None else ranks <= depth
    measured = np.bincount(query[inside], minlength=len(leg.counts))
    scores = leg.scores.astype(np.float64)
    starts = np.cumsum(leg.counts) - leg.counts
    there = measured > 0
    best, last = np.zeros((2, len(measured)))
    best[there], last[there] = scores[starts[there]], scores[(starts + measured - 1)[there]]
    if isinstance(method, RelativeScore):
        low, high = last, best
    else:
        n = np.maximum(measured, 1)
        mean = np.bincount(query[inside], scores[inside], len(measured)) / n
        squares = np.bincount(query[inside], np.square(scores - mean[query])[inside], len(measured))
        spread = DEVIATIONS * np.sqrt(squares / np.maximum(n - 1, 1))
        low, high = mean - spread, mean + spread
    equal = (best == last) | (high == low)  # the mean of equal scores may not be quite what they are
    width = np.where(equal, 1.0, high - low)
    out = np.clip((scores - low[query]) / width[query], 0.0, 1.0)
    full = 1.0 if isinstance(method, RelativeScore) else 0.5
    flat = np.where(scores >= last[query], full, 0.0)
    return np.where(equal[query], flat, out)


def _ranks(counts: Int64) -> Int64:
    """1, 2, 3 ... within each run."""
    starts = np.cumsum(counts) - counts
    return np.arange(1, int(counts.sum()) + 1) - np.repeat(starts, counts)
