"""Exact search: every row is looked at. The oracle of the graph, and the index of small segments.

The rows are scored by BLAS in chunks, which is fast but off in the last bits; the error is bounded
(``metric.error_bound``), so the answer keeps every row that could still be among the k best, ties at the
boundary included. The caller scores those few again with ``metric.score`` and orders them.

A flat part on disk is raw little-endian float32, ``n`` rows of ``dim`` values in ordinal order and nothing
else: both counts and the checksum are in the manifest.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vecdb.errors import DataLoss
from vecdb.index import metric as scoring
from vecdb.index.contract import Mask
from vecdb.model.point import Float32, Int64
from vecdb.model.schema import Metric

_TEMPORARY_BYTES = 48 << 20  # similarities and their copies of one step (a bound of 64 MiB with the selection)
_GATHER_BYTES = 1 << 20  # rows gathered at once: they stay in the cache, and their memory is used again
_QUERY_BLOCK = 64  # queries of one matrix product; more gains nothing and multiplies the temporaries
_COPIES = 6  # arrays of the size of the similarities alive at once, at most
_GATHER_BELOW = 0.35  # share of allowed rows below which gathering them beats scoring all and masking


def top(
    metric: Metric,
    queries: Float32,
    vectors: Float32,
    k: int,
    allowed: Mask | None = None,
    squares: Float32 | None = None,
    chosen: Int64 | None = None,
) -> tuple[Int64, Float32]:
    """A superset of the true top k under ``metric.score``, ties with the k-th included.

    ``queries`` prepared float32 ``[q, dim]``; ``vectors`` prepared float32 ``[n, dim]`` (rows may be
    strided, the last axis is contiguous); ``allowed`` bool ``[n]``: only these rows count, or, instead,
    ``chosen`` int64: only these ordinals; ``squares`` float32 ``[n]`` = ``metric.squares(vectors)``, where
    the caller keeps them (halves the time under dot and euclidean). Returns ordinals int64 ``[q, w]`` and
    approximate similarities float32 ``[q, w]``, best first, shorter rows padded with -1 and -inf; each row
    has at least min(k, allowed rows) entries. Temporary memory is bounded by 64 MiB beside the answer; the
    GIL is released in every pass.
    """
    vectors = np.asarray(vectors)
    if allowed is not None and chosen is None:
        chosen, allowed = sparse(allowed)
    blocks = [
        _top_block(metric, queries[start : start + _QUERY_BLOCK], vectors, k, chosen, allowed, squares)
        for start in range(0, len(queries), _QUERY_BLOCK)
    ]
    if len(blocks) == 1:
        return blocks[0]
    return stack(blocks)


def padded(query: Int64, ordinals: Int64, similarities: Float32, queries: int) -> tuple[Int64, Float32]:
    """A two-dimensional answer from parallel columns: ``query`` int64 ascending, 0..queries-1, tells the row."""
    counts = np.bincount(query, minlength=queries)
    column = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)
    out_ordinals, out_similarities = padding(queries, int(counts.max(initial=0)))
    out_ordinals[query, column] = ordinals
    out_similarities[query, column] = similarities
    return out_ordinals, out_similarities


def padding(queries: int, width: int) -> tuple[Int64, Float32]:
    """An answer without entries: -1 and -inf ``[queries, width]``."""
    ordinals: NDArray[np.int64] = np.full((queries, width), -1, np.int64)
    return ordinals, np.full((queries, width), -np.inf, np.float32)


def sparse(allowed: Mask) -> tuple[Int64 | None, Mask | None]:
    """The cheaper way to respect a mask: (ordinals to gather, None), or (None, the mask), or neither when all may."""
    count = int(np.count_nonzero(allowed))
    if count == len(allowed):
        return None, None
    if count < _GATHER_BELOW * len(allowed):
        return np.flatnonzero(allowed), None
    return None, allowed


def stack(blocks: list[tuple[Int64, Float32]]) -> tuple[Int64, Float32]:
    """Put padded answers ``(ordinals [q_i, w_i], similarities [q_i, w_i])`` under each other, padded to one width."""
    rows = sum(len(ordinals) for ordinals, _ in blocks)
    width = max((ordinals.shape[1] for ordinals, _ in blocks), default=0)
    all_ordinals, all_similarities = padding(rows, width)
    at = 0
    for ordinals, similarities in blocks:
        all_ordinals[at : at + len(ordinals), : ordinals.shape[1]] = ordinals
        all_similarities[at : at + len(ordinals), : ordinals.shape[1]] = similarities
        at += len(ordinals)
    return all_ordinals, all_similarities


class FlatIndex:
    """Vectors without a graph; see ``contract.VectorIndex``.

    ``vectors``: prepared float32 ``[n, dim]``, in memory or mapped; it is read in place and must not change.
    """

    kind = "flat"

    def __init__(self, metric: Metric, vectors: Float32, *, mapped: bool = False) -> None:
        self._metric: Metric = metric
        self._vectors: Float32 = np.asarray(vectors)
        self._mapped = mapped
        self._squares: Float32 | None = None

    @classmethod
    def load(cls, path: Path, metric: Metric, dim: int, count: int) -> FlatIndex:
        """Map a file whose checksum the caller has verified. Raises DataLoss when its size does not fit."""
        expected, received = 4 * dim * count, os.path.getsize(path)
        if expected != received:
            raise DataLoss(
                f"{path.name} does not hold {count} vectors of {dim} dimensions",
                expected=f"{expected} bytes",
                received=f"{received} bytes",
            )
        if count == 0:
            return cls(metric, np.empty((0, dim), np.float32))
        return cls(metric, np.memmap(path, dtype="<f4", mode="r", shape=(count, dim)), mapped=True)

    def __len__(self) -> int:
        return len(self._vectors)

    def candidates(
        self, queries: Float32, n: int, ef: int, allowed: Mask | None, threads: int = 1
    ) -> tuple[Int64, Float32]:
        """The same as ``exact(queries, n, allowed)``; ``ef`` and ``threads`` mean nothing here."""
        return self.exact(queries, n, allowed)

    def exact(self, queries: Float32, k: int, allowed: Mask | None) -> tuple[Int64, Float32]:
        """See ``top``."""
        return top(self._metric, queries, self._vectors, k, allowed, self._norms())

    def vectors(self, ordinals: Int64) -> Float32:
        """Prepared vectors float32 ``[len(ordinals), dim]``."""
        return self._vectors[ordinals]

    def nbytes(self) -> tuple[int, int]:
        """(anonymous, mapped) bytes."""
        own = 0 if self._squares is None else self._squares.nbytes
        size = self._vectors.nbytes
        return (own, size) if self._mapped else (own + size, 0)

    def close(self) -> None:
        """Let go of the vectors; a map is closed with the last array that reads it."""
        self._vectors = np.empty((0, self._vectors.shape[1]), np.float32)
        self._squares = None

    def _norms(self) -> Float32 | None:
        if self._metric == "cosine":
            return None
        squares = self._squares
        if squares is None:  # two threads may both compute it; the values are the same
            squares = self._squares = scoring.squares(self._vectors)
        return squares


def write(path: Path, vectors: Float32) -> None:
    """Write a flat part and fsync it; prepared float32 ``[n, dim]``. The caller checksums and records it."""
    with open(path, "wb") as file:
        np.ascontiguousarray(vectors, dtype="<f4").tofile(file)
        file.flush()
        os.fsync(file.fileno())


def _top_block(
    metric: Metric,
    queries: Float32,
    vectors: Float32,
    k: int,
    chosen: Int64 | None,
    allowed: Mask | None,
    squares: Float32 | None,
) -> tuple[Int64, Float32]:
    """``top`` for a few queries: ``chosen`` ordinals are gathered, or ``allowed`` masks all rows, or neither."""
    dim = vectors.shape[1]
    total = len(vectors) if chosen is None else len(chosen)
    asked = len(queries)
    if k <= 0 or total == 0 or asked == 0:
        return padding(asked, 0)
    query_squares = scoring.squares(queries)
    step = max(1, _TEMPORARY_BYTES // (4 * _COPIES * asked))
    best = np.empty((asked, 0), np.float32)  # the k largest lower bounds so far
    threshold = np.full(asked, -np.inf, np.float32)
    found: list[tuple[Int64, Int64, Float32, Float32]] = []  # query, ordinal, similarity, upper bound
    for start in range(0, total, step):
        part = slice(start, min(start + step, total))
        similarities, row_squares = _similarities(metric, queries, vectors, part, chosen, squares)
        if allowed is not None:
            np.copyto(similarities, -np.inf, where=~allowed[part])
        error = scoring.error_bound(metric, dim, query_squares, row_squares)
        if error.size == 1:
            lower, reachable = _largest(similarities, k) - error, similarities
            slack = error
        else:
            lower, reachable = _largest(similarities - error, k), similarities + error
            slack = np.zeros((1, 1), np.float32)
        best = _largest(np.concatenate((best, lower), axis=1), k) if best.shape[1] else lower
        if best.shape[1] >= k:
            threshold = scoring.admit(metric, dim, best.min(axis=1))
        keep = reachable >= threshold[:, None] - slack
        if allowed is not None:
            keep &= similarities > -np.inf
        if asked == 1 and step >= total:  # the most frequent case, by a shorter way
            row = np.flatnonzero(keep[0])
            similarity = similarities[0, row]
            order = np.argsort(-similarity, kind="stable")
            row = row[order]
            return (row if chosen is None else chosen[row])[None], similarity[order][None]
        query, row = np.nonzero(keep)
        found.append((query, row + start, similarities[query, row], reachable[query, row] + slack[0, 0]))
    query, row, similarity, upper = (np.concatenate(column) for column in zip(*found, strict=True))
    if len(found) > 1:
        keep = upper >= threshold[query]
        query, row, similarity = query[keep], row[keep], similarity[keep]
    order = np.lexsort((-similarity, query))
    query, row, similarity = query[order], row[order], similarity[order]
    return padded(query, row if chosen is None else chosen[row], similarity, asked)


def _similarities(
    metric: Metric, queries: Float32, vectors: Float32, part: slice, chosen: Int64 | None, squares: Float32 | None
) -> tuple[Float32, Float32 | None]:
    """Approximate similarities ``[q, rows of the part]``, and the rows' squared norms where the metric wants them.

    ``part`` is of ``chosen`` ordinals, gathered a few at a time so that they stay in the cache, or of all rows.
    """
    plain = metric == "cosine"
    if chosen is None:
        rows = vectors[part]
        row_squares = None if plain else scoring.squares(rows) if squares is None else squares[part]
        return scoring.approximate(metric, queries, rows, row_squares), row_squares
    ordinals = chosen[part]
    similarities = np.empty((len(queries), len(ordinals)), np.float32)
    row_squares = None if plain else np.empty(len(ordinals), np.float32)
    step = max(1, _GATHER_BYTES // (4 * vectors.shape[1]))
    for start in range(0, len(ordinals), step):
        here = slice(start, start + step)
        rows = vectors[ordinals[here]]
        some = None if plain else scoring.squares(rows) if squares is None else squares[ordinals[here]]
        similarities[:, here] = scoring.approximate(metric, queries, rows, some)
        if row_squares is not None and some is not None:
            row_squares[here] = some
    return similarities, row_squares


def _largest(values: Float32, k: int) -> Float32:
    """The k largest of each row ``[q, min(k, n)]``, in any order."""
    if values.shape[1] <= k:
        return values
    return np.partition(values, values.shape[1] - k, axis=1)[:, -k:]
