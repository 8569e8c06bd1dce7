"""Exact neighbours by numpy, and recall: computed here, never reported by what is measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]

_BLOCK = 50_000
_TIE = 1e-6  # relative: a hit as near as the k-th true neighbour is right


def neighbours(metric: str, queries: Vectors, vectors: Vectors, k: int) -> Rows:
    """Row numbers int64 ``[q, k]`` of the exact k nearest, best first."""
    best = np.empty((len(queries), 0))
    rows: Rows = np.empty((len(queries), 0), np.int64)
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK]
        found = _approximate(metric, queries, block)
        keep = min(2 * k, len(block))
        near = np.argpartition(found, keep - 1, axis=1)[:, :keep]
        exact = distances(metric, queries, block, near)
        best = np.concatenate([best, exact], axis=1)
        rows = np.concatenate([rows, near + start], axis=1)
        order = np.argsort(best, axis=1, kind="stable")[:, :k]
        best, rows = np.take_along_axis(best, order, 1), np.take_along_axis(rows, order, 1)
    return rows


def distances(metric: str, queries: Vectors, vectors: Vectors, rows: Rows) -> NDArray[np.float64]:
    """True distances float64 ``[q, k]`` of the vectors in ``rows`` ``[q, k]``: lower is nearer."""
    out = np.empty(rows.shape)
    for i, query in enumerate(queries.astype(np.float64)):
        some = vectors[rows[i]].astype(np.float64)
        if metric == "euclidean":
            out[i] = np.linalg.norm(some - query, axis=1)
        else:
            out[i] = -(some @ query)
            if metric == "cosine":
                out[i] = 1 + out[i] / (np.linalg.norm(some, axis=1) * np.linalg.norm(query))
    return out


def recall(metric: str, queries: Vectors, vectors: Vectors, found: Sequence[Sequence[int]], true: Rows) -> float:
    """The share of ``found`` rows that are among the true neighbours, ties with the last of them included."""
    k = true.shape[1]
    limits = distances(metric, queries, vectors, true[:, -1:])[:, 0]
    limits = limits + _TIE * np.maximum(np.abs(limits), 1e-3)
    right = 0
    for i, rows in enumerate(found):
        if len(rows):
            mine = distances(metric, queries[i : i + 1], vectors, np.asarray([rows]))[0]
            right += int(np.count_nonzero(mine <= limits[i]))
    return right / (k * len(found))


def _approximate(metric: str, queries: Vectors, vectors: Vectors) -> Any:
    dots = queries @ vectors.T
    if metric == "euclidean":
        return np.einsum("ij,ij->i", vectors, vectors) - 2 * dots
    if metric == "cosine":
        dots /= np.linalg.norm(vectors, axis=1)
    return -dots
