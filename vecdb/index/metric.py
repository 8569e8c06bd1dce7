"""The one scoring function: every score a person ever sees is computed here.

Three steps. ``prepare`` turns what was written or asked into what is stored and compared (normalized
under cosine). ``score`` gives the score and distance of pairs of prepared vectors. ``approximate``
gives the similarity of all pairs by BLAS, much faster, to pick candidates that ``score`` then judges.

*A score never depends on its company.* BLAS matrix products sum in an order that depends on the shape
of the call, so the same pair may differ in its last bits from call to call. ``np.vecdot`` makes one
``sdot`` per pair: the order depends on the dimension alone. Two more things would break it, and are
avoided here: a vector whose last axis is not contiguous takes another loop of numpy, and OpenBLAS splits
an ``sdot`` of more than 10,000 elements among its threads, so longer vectors are summed in blocks.

*An approximate similarity has a proven error.* ``error_bound`` and ``admit`` state it, so that a caller
can keep every row that could still belong to the true top k (``flat.top`` does).

============ ===================== ==================== ==================================
metric       similarity            score                distance
============ ===================== ==================== ==================================
cosine       a·b (prepared)        a·b within [-1, 1]   1 - score
dot          a·b                   a·b                  -a·b
euclidean    -‖a - b‖²             1 / (1 + distance)   ‖a - b‖, the true L2
============ ===================== ==================== ==================================
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vecdb.errors import InvalidVector
from vecdb.model.point import Float32
from vecdb.model.schema import Metric

Float64 = NDArray[np.float64]
_Floats = TypeVar("_Floats", NDArray[np.float32], NDArray[np.float64])

MAX_NORM = 1e15
"""Largest L2 norm accepted: dot products and squared distances stay finite in float32, also those of vectors
multiplied by 2^12, as ``hnsw`` does."""

_DOT_BLOCK = 8_192  # elements of one sdot; OpenBLAS uses threads, hence another order of summing, above 10,000
_BLOCK_BYTES = 1 << 20  # temporary differences of one step of ``score``: stay in the cache
_UNIT = 2.0**-24  # unit roundoff of float32
_TINY = 2.0**-102  # error of one operation that underflows (2^-126), of vectors multiplied by up to 2^12 each


def prepare(metric: Metric, vectors: Float32) -> Float32:
    """The vectors as they are stored and compared.

    ``vectors``: float32 ``[n, dim]``, already validated. Returns float32 ``[n, dim]``, C-contiguous:
    each row divided by its L2 norm (taken in float64, so that tiny and huge values survive) under
    cosine, the same array otherwise.
    """
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    if metric != "cosine" or len(vectors) == 0:
        return vectors
    out = np.empty_like(vectors)
    step = max(1, _BLOCK_BYTES // (8 * vectors.shape[1]))
    for start in range(0, len(vectors), step):
        rows = vectors[start : start + step].astype(np.float64)
        norms = np.sqrt(_dots(rows, rows))
        norms[norms == 0.0] = 1.0
        np.divide(rows, norms[:, None], out=out[start : start + step], casting="same_kind")
    return out


def validate(metric: Metric, vectors: Float32, where: str) -> None:
    """Refuse vectors that cannot be scored.

    ``vectors``: float32 ``[n, dim]``. Raises InvalidVector at the first row that holds a NaN or an
    infinity, is longer than MAX_NORM, or is zero under cosine; its field is ``{where}[{row}]``.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.vecdot(vectors, vectors)
    # In float32, anything between these two is certainly fine; the rest is looked at in float64.
    if squares.min(initial=1.0) > 1e-30 and squares.max(initial=1.0) < 1e29:
        return
    fine = (squares > 1e-30) & (squares < 1e29)
    for row in np.flatnonzero(~fine).tolist():
        vector = vectors[row].astype(np.float64)
        field = f"{where}[{row}]"
        if not np.isfinite(vector).all():
            raise InvalidVector(
                "a vector holds a value that is not a number or is infinite",
                field=field,
                expected="finite float32 values",
                received=_first_bad(vector),
            )
        norm = math.sqrt(float(vector @ vector))
        if norm > MAX_NORM:
            raise InvalidVector(
                "a vector is too long to be scored",
                field=field,
                expected=f"an L2 norm of at most {MAX_NORM:g}",
                received=f"{norm:g}",
            )
        if metric == "cosine" and norm == 0.0:
            raise InvalidVector(
                "a zero vector has no direction", field=field, expected="a non-zero vector", received="all zeros"
            )


def score(metric: Metric, queries: Float32, vectors: Float32) -> tuple[Float32, Float32]:
    """Scores and distances of pairs of prepared vectors.

    Both are float32 with the dimension last, broadcast over the leading axes: ``[dim]`` with
    ``[n, dim]``, ``[m, dim]`` with ``[m, dim]``, ``[q, 1, dim]`` with ``[q, n, dim]``. Returns (scores,
    distances), float32 of the broadcast leading shape. Bit for bit the same for a pair in any call.
    """
    queries, vectors = _dense(queries), _dense(vectors)
    if metric == "euclidean":
        distances = np.sqrt(_squared_distances(queries, vectors))
        return np.float32(1.0) / (np.float32(1.0) + distances), distances
    dots = _dots(queries, vectors)
    if metric == "cosine":
        dots = np.minimum(np.maximum(dots, np.float32(-1.0)), np.float32(1.0))
        return dots, np.float32(1.0) - dots
    return dots, np.float32(0.0) - dots


def squares(vectors: Float32) -> Float32:
    """Squared L2 norms float32 ``[n]`` of ``[n, dim]``: what ``approximate`` and ``error_bound`` can reuse."""
    return np.asarray(_dots(_dense(vectors), _dense(vectors)))


def approximate(metric: Metric, queries: Float32, vectors: Float32, vector_squares: Float32 | None = None) -> Float32:
    """Similarities float32 ``[q, n]`` of all pairs by BLAS, higher is better; for picking candidates only.

    ``queries`` prepared ``[q, dim]``, ``vectors`` prepared ``[n, dim]`` (rows may be strided),
    ``vector_squares`` = ``squares(vectors)`` where the caller has them (euclidean). The dot product, or
    minus the squared distance as 2 a·b - ‖b‖² - ‖a‖².
    """
    dots: Float32 = np.matmul(queries, vectors.T)
    if metric != "euclidean":
        return dots
    if vector_squares is None:
        vector_squares = squares(vectors)
    dots *= np.float32(2.0)
    dots -= vector_squares
    dots -= squares(queries)[:, None]
    return dots


def error_bound(metric: Metric, dim: int, query_squares: Float32, vector_squares: Float32 | None) -> Float32:
    """How far an approximate similarity may be from the truth (and, for dot and cosine, from the score).

    ``query_squares`` float32 ``[q]`` and ``vector_squares`` float32 ``[n]``: squared norms (not read
    under cosine, where norms are 1; vector_squares may then be None). Returns float32 ``[q, n]``, or
    ``[1, 1]`` under cosine. Rigorous: a sum of products in any order is off by at most
    gamma(n) Σ|a||b|, gamma(n) = n u / (1 - n u) (Higham, Accuracy and Stability of Numerical
    Algorithms, 2002, section 3.1), and Σ|a||b| ≤ ‖a‖‖b‖.
    """
    # 16 more operations than elements: the few roundings beside the sum; 2 %: the norms are rounded too.
    steps = dim + 16
    gamma = 1.02 * steps * _UNIT / (1.0 - steps * _UNIT)
    floor = np.float32(4.0 * steps * _TINY)
    if metric == "cosine" or vector_squares is None:
        return np.full((1, 1), 2.0 * gamma + floor, np.float32)
    lengths_a = np.sqrt(query_squares + floor)[:, None]  # a square that underflowed is at most the floor
    lengths_b = np.sqrt(vector_squares + floor)
    if metric == "dot":
        return np.asarray(np.float32(2.0 * gamma) * lengths_a * lengths_b + floor)
    return np.asarray(np.float32(gamma) * np.square(lengths_a + lengths_b) + floor)


def admit(metric: Metric, dim: int, lowest: Float32) -> Float32:
    """The similarity a row must be able to reach to share a score with one of true similarity ``lowest``.

    For cosine and dot that is ``lowest`` itself (``error_bound`` covers the score). The euclidean score
    1 / (1 + d) is rounded, so that neighbouring distances share one, and its d is a rounded sum under a
    root: so much more distance is let in. Float32, the shape of ``lowest``; -inf stays -inf.
    """
    if metric != "euclidean":
        return lowest
    steps = dim + 16
    gamma = steps * _UNIT / (1.0 - steps * _UNIT)
    with np.errstate(invalid="ignore"):
        farthest = np.sqrt(np.maximum(-lowest.astype(np.float64), 0.0)) * (1.0 + gamma)
        farthest += 8.0 * _UNIT * (1.0 + farthest)
        farthest *= 1.0 + gamma
        admitted = np.nextafter((-np.square(farthest)).astype(np.float32), np.float32(-np.inf))
    return np.asarray(np.where(np.isfinite(lowest), admitted, lowest), np.float32)


def _dense(vectors: Float32) -> Float32:
    """The array itself when its last axis is contiguous, else a copy: other strides take another numpy loop."""
    if vectors.strides[-1] == vectors.itemsize or vectors.shape[-1] == 1:
        return np.asarray(vectors)
    return np.ascontiguousarray(vectors)


def _dots(a: _Floats, b: _Floats) -> _Floats:
    """Dot products along the last axis, one BLAS dot per pair, blocks of _DOT_BLOCK summed in float64."""
    dim = a.shape[-1]
    if dim <= _DOT_BLOCK:
        return np.asarray(np.vecdot(a, b), a.dtype)
    total: Any = np.float64(0.0)
    for start in range(0, dim, _DOT_BLOCK):
        part = slice(start, start + _DOT_BLOCK)
        total = total + np.vecdot(a[..., part], b[..., part])
    return np.asarray(total, a.dtype)


def _squared_distances(a: Float32, b: Float32) -> Float32:
    """Squared L2 distances along the last axis, in steps whose differences stay in the cache."""
    shape = np.broadcast_shapes(a.shape, b.shape)
    if len(shape) <= 1 or 4 * math.prod(shape) <= _BLOCK_BYTES:
        difference = a - b
        return np.asarray(_dots(difference, difference))
    out = np.empty(shape[:-1], np.float32)
    a, b = np.broadcast_to(a, shape), np.broadcast_to(b, shape)
    step = max(1, _BLOCK_BYTES // (4 * math.prod(shape[1:])))
    for start in range(0, shape[0], step):
        part = slice(start, start + step)
        if step == 1 and len(shape) > 2:
            out[start] = _squared_distances(a[start], b[start])
        else:
            difference = a[part] - b[part]
            out[part] = _dots(difference, difference)
    return out


def _first_bad(vector: Float64) -> str:
    position = int(np.flatnonzero(~np.isfinite(vector))[0])
    return f"{float(vector[position])} at element {position}"
