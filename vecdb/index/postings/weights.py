"""Sparse vectors as postings: a dimension is a term, and in place of how often a text holds it stands a weight.

The term of dimension d is d in decimal. A weight, a float32 that is not 0, travels as the number whose 32 bits it has
where the postings of texts have a count: whoever moves postings moves it unchanged, in as few bytes as hold the number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vecdb.errors import DataLoss
from vecdb.index.analysis.column import Column
from vecdb.index.analysis.contract import VERSION, Identity
from vecdb.index.packed import PackedTerms
from vecdb.index.postings.contract import Posting, Postings
from vecdb.index.ranges import ordering
from vecdb.model.point import Float32, Int64
from vecdb.model.sparse import SparseVector, SparseVectors, UInt32

Float64 = NDArray[np.float64]

LOOKED_UP = 1_024
"""Dimensions looked up before whoever waits is asked whether to go on: some 10 ms."""
_PIECE = 1 << 14  # numbers that become strings in one call, which holds the GIL: for 1 ms


def encoded(vectors: SparseVectors) -> list[bytes]:
    """Normalized vectors as bodies have them: of each entry dimension (uint32) and weight (float32), in turn."""
    pairs = np.empty((len(vectors.indices), 2), dtype="<u4")
    pairs[:, 0] = vectors.indices
    pairs[:, 1] = bits_of(vectors.values)
    raw, ends = pairs.tobytes(), (8 * vectors.starts).tolist()
    return [raw[start:end] for start, end in pairwise(ends)]


def decoded(raw: Sequence[bytes]) -> SparseVectors:
    """The inverse of ``encoded``. Raises DataLoss."""
    counts, pairs = _pairs(raw)
    return SparseVectors.of(counts, pairs[:, 0].astype(np.uint32), weights_of(pairs[:, 1]))


class Weights:
    """What takes sparse vectors, as bodies have them, apart (see TakesApart)."""

    @property
    def identity(self) -> Identity:
        return IDENTITY

    def column(self, texts: Sequence[bytes]) -> Column:
        """The column of some vectors. Raises DataLoss."""
        counts, pairs = _pairs(texts)
        rows = np.repeat(np.arange(len(counts), dtype=np.uint32), counts)
        dimensions, terms = np.unique(pairs[:, 0], return_inverse=True)
        order = ordering(terms)
        starts = np.zeros(len(dimensions) + 1, dtype=np.int64)
        np.cumsum(np.bincount(terms, minlength=len(dimensions)), out=starts[1:])
        weights = pairs[:, 1].astype(np.uint32)
        named = PackedTerms.of(terms_of(dimensions))
        return Column(named, named.hashes(), starts, rows[order], weights[order], counts.astype(np.uint32))


IDENTITY = Identity("sparse", (), VERSION)
WEIGHTS = Weights()


def terms_of(dimensions: UInt32) -> list[str]:
    """The terms of dimensions."""
    pieces = (dimensions[at : at + _PIECE].tolist() for at in range(0, len(dimensions), _PIECE))
    return [str(dimension) for piece in pieces for dimension in piece]


def bits_of(weights: Float32) -> UInt32:
    """The numbers whose bits some weights have."""
    return np.ascontiguousarray(weights, dtype=np.float32).view(np.uint32)


def weights_of(bits: NDArray[np.unsignedinteger]) -> Float32:
    """The inverse of ``bits_of``, of numbers of any width."""
    return np.ascontiguousarray(bits, dtype=np.uint32).view(np.float32)


def dot_products(vector: SparseVector, postings: Postings, check: Callable[[], None]) -> tuple[Int64, Float64]:
    """Of the vectors that have a dimension in common with ``vector``: ordinals, ascending, and dot products, float64.

    Products are added in the order of dimensions, so what they add up to does not depend on what else is there.
    ``check`` is called now and then, and may raise.
    """
    held = []
    for at in range(0, len(vector), LOOKED_UP):
        check()
        some = slice(at, at + LOOKED_UP)
        found = zip(postings.find(terms_of(vector.indices[some])), vector.values[some].tolist(), strict=True)
        held += [(posting, weight) for posting, weight in found if posting is not None]
    if not held:
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    if 8 * sum(len(posting.ordinals) for posting, _ in held) > len(postings):
        sums, there = np.zeros(len(postings)), np.zeros(len(postings), dtype=np.bool_)
        for posting, weight in held:
            sums[posting.ordinals] += _products(posting, weight)
            there[posting.ordinals] = True
        dense = np.flatnonzero(there)
        return dense, sums[dense]
    ordinals, which = np.unique(np.concatenate([posting.ordinals for posting, _ in held]), return_inverse=True)
    products = np.concatenate([_products(posting, weight) for posting, weight in held])
    sums = np.bincount(which, weights=products, minlength=len(ordinals)).astype(np.float64, copy=False)
    return ordinals.astype(np.int64), sums


def _products(posting: Posting, weight: float) -> Float64:
    return weight * weights_of(posting.frequencies).astype(np.float64)


def _pairs(raw: Sequence[bytes]) -> tuple[Int64, UInt32]:
    """How many entries vectors have, and all of these: dimension, bits of the weight."""
    sizes = np.fromiter(map(len, raw), dtype=np.int64, count=len(raw))
    if np.any(sizes % 8):
        raise DataLoss(
            "a sparse vector is cut short", expected="8 bytes an entry", received=f"{sizes[sizes % 8 > 0][0]} bytes"
        )
    pairs = np.frombuffer(b"".join(one or b"" for one in raw), dtype="<u4").reshape(-1, 2)
    return sizes // 8, pairs
