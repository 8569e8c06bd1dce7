"""Vectors like real embeddings: many loose clusters of few inner dimensions. Fixed seeds throughout."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vecdb.index import metric as scoring
from vecdb.model.point import Float32, Int64
from vecdb.model.schema import Metric


def clustered(rows: int, dim: int, seed: int) -> Float32:
    """Points around 60 centres that live in a space of 12 inner dimensions, with a little noise in all."""
    generator = np.random.default_rng(seed)
    basis = np.random.default_rng(1).standard_normal((12, dim))
    centres = np.random.default_rng(2).standard_normal((60, 12))
    inner = centres[generator.integers(0, 60, rows)] + 0.7 * generator.standard_normal((rows, 12))
    return (inner @ basis + 0.3 * generator.standard_normal((rows, dim))).astype(np.float32)


def lognormal(rows: int, dim: int, seed: int) -> Float32:
    """The same directions with norms whose logarithms have a standard deviation of 2."""
    norms = np.exp(2.0 * np.random.default_rng(seed + 1).standard_normal(rows))
    return (clustered(rows, dim, seed) * norms[:, None]).astype(np.float32)


def truth(metric: Metric, queries: Float32, vectors: Float32) -> NDArray[np.float64]:
    """Similarities ``[q, n]`` of prepared vectors in float64, by another way than the code under test."""
    wide_queries, wide = queries.astype(np.float64), vectors.astype(np.float64)
    if metric == "euclidean":
        return np.stack([-((wide - query) ** 2).sum(axis=1) for query in wide_queries])
    return wide_queries @ wide.T


def best(metric: Metric, queries: Float32, vectors: Float32, ordinals: Int64, k: int) -> list[set[int]]:
    """What the executor makes of candidates: scored by the one function, the k best by score, then ordinal."""
    answer = []
    for query, row in zip(queries, ordinals, strict=True):
        found = row[row >= 0]
        assert len(set(found.tolist())) == len(found), "an ordinal came twice"
        scores, _ = scoring.score(metric, query, vectors[found])
        answer.append(set(found[np.lexsort((found, -scores))][:k].tolist()))
    return answer


def recall(metric: Metric, queries: Float32, vectors: Float32, ordinals: Int64, k: int) -> float:
    """Share of the true k best that are among the k best candidates; equal similarities count alike."""
    exact = truth(metric, queries, vectors)
    got = 0
    for similarities, row in zip(exact, best(metric, queries, vectors, ordinals, k), strict=True):
        kth = np.partition(similarities, -k)[-k]
        got += int((similarities[list(row)] >= kth - 1e-6 * abs(kth)).sum())
    return got / (k * len(queries))
