"""Sparse vectors as bytes and as postings."""

from __future__ import annotations

import numpy as np
import pytest

from vecdb.errors import DataLoss
from vecdb.index.postings import weights
from vecdb.index.postings.chunk import analyzed
from vecdb.index.postings.growing import GrowingPostings, PostingsSoFar, Share
from vecdb.model.sparse import SparseVector, SparseVectors


def some(n: int, dims: int, seed: int = 0) -> SparseVectors:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, min(dims, 20), n)
    indices = np.concatenate([np.sort(rng.choice(dims, count, replace=False)) for count in counts])
    return SparseVectors.of(counts, indices.astype(np.uint32), rng.normal(size=len(indices)).astype(np.float32))


def postings_of(vectors: SparseVectors) -> PostingsSoFar:
    growing = GrowingPostings()
    growing.append([Share(analyzed(weights.encoded(vectors), weights.WEIGHTS))], len(vectors))
    return growing.upto(len(vectors))


def test_bytes_are_pairs_of_dimension_and_weight() -> None:
    vectors = SparseVectors.of([2, 0], np.array([1, 2**32 - 1], np.uint32), np.array([1.0, -0.5], np.float32))
    assert weights.encoded(vectors) == [bytes.fromhex("01000000 0000803f ffffffff 000000bf"), b""]
    with pytest.raises(DataLoss, match="12 bytes"):
        weights.decoded([b"\0" * 8, b"\0" * 12])


def test_what_was_encoded_is_decoded() -> None:
    vectors = some(50, 1000)
    again = weights.decoded(weights.encoded(vectors))
    for one, other in zip(
        (vectors.starts, vectors.indices, vectors.values), (again.starts, again.indices, again.values), strict=True
    ):
        assert np.array_equal(one, other)
        assert one.dtype == other.dtype


@pytest.mark.parametrize("dims", [30, 100_000])
def test_dot_products_where_much_is_common_and_where_little_is(dims: int) -> None:
    vectors, query = some(400, dims), some(1, dims, seed=1)[0]
    ordinals, products = weights.dot_products(query, postings_of(vectors), lambda: None)
    dense = np.zeros((400, dims))
    dense[np.repeat(np.arange(400), vectors.counts), vectors.indices] = vectors.values
    asked = np.zeros(dims)
    asked[query.indices] = query.values
    common = np.flatnonzero((dense != 0) @ (asked != 0))
    assert ordinals.tolist() == common.tolist()
    assert np.allclose(products, (dense @ asked)[common], rtol=1e-12, atol=1e-12)


def test_long_queries_can_be_stopped() -> None:
    query = SparseVector(np.arange(5_000, dtype=np.uint32), np.ones(5_000, dtype=np.float32))
    calls = []

    def check() -> None:
        calls.append(None)
        if len(calls) == 3:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        weights.dot_products(query, postings_of(some(20, 5_000)), check)
