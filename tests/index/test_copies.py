"""Equal vectors: linked once, found everywhere, kept through saving and merging."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.index.data import clustered, recall
from vecdb.index import hnsw
from vecdb.index import metric as scoring
from vecdb.index.copies import Copies, Seen, hashed
from vecdb.model.point import Float32
from vecdb.model.schema import METRICS, Metric

DIM = 32


def never() -> bool:
    return False


def one_of_many(rows: int, copies: int, seed: int) -> Float32:
    """``rows`` different vectors and ``copies`` of one more, mixed."""
    drawn = clustered(rows + 1, DIM, seed)
    repeated = np.concatenate((drawn[1:], np.repeat(drawn[:1], copies, axis=0)))
    mixed: Float32 = np.random.default_rng(seed).permutation(repeated)
    return mixed


def build(metric: Metric, vectors: Float32, path: Path, threads: int = 1) -> hnsw.HnswIndex:
    builder = hnsw.HnswBuilder(metric, DIM)
    for start in range(0, len(vectors), 900):
        assert builder.add(vectors[start : start + 900], threads, never)
    builder.save(path)
    return builder.finish(path)


@pytest.mark.hnswlib
@pytest.mark.parametrize("metric", METRICS)
class TestInAGraph:
    def test_copies_of_one_vector_do_not_swallow_the_walks(self, metric: Metric, tmp_path: Path) -> None:
        vectors = scoring.prepare(metric, one_of_many(2_000, 2_000, 1))
        queries = scoring.prepare(metric, clustered(60, DIM, 2))
        index = build(metric, vectors, tmp_path / "g", threads=2)
        assert recall(metric, queries, vectors, index.candidates(queries, 10, 64, None)[0], 10) >= 0.97

    def test_all_equal(self, metric: Metric, tmp_path: Path) -> None:
        vectors = scoring.prepare(metric, np.ones((3_000, DIM), np.float32))
        index = build(metric, vectors, tmp_path / "g")
        for one in (index, hnsw.HnswIndex.load(tmp_path / "g", metric, DIM, 3_000)):
            for queries in (vectors[:1], vectors[:5]):
                ordinals, similarities = one.candidates(queries, 10, 64, None)
                assert ordinals.shape == (len(queries), 64)
                assert all(len(set(row)) == 64 for row in ordinals.tolist())
                assert len(np.unique(similarities)) == 1
            assert one.exact(vectors[:1], 10, None)[0].shape == (1, 3_000)
            assert np.array_equal(one.vectors(np.arange(3_000)), vectors)

    def test_what_is_not_allowed_is_replaced_by_copies_that_are(self, metric: Metric, tmp_path: Path) -> None:
        drawn = one_of_many(500, 400, 3)
        vectors = scoring.prepare(metric, drawn)
        index = build(metric, vectors, tmp_path / "g")
        hashes = hashed(vectors)
        values, counts = np.unique(hashes, return_counts=True)
        copies = np.flatnonzero(hashes == values[counts.argmax()])
        assert len(copies) == 400
        allowed = np.ones(len(vectors), np.bool_)
        allowed[copies[:-3]] = False  # the linked one, too
        ordinals, _ = index.candidates(vectors[copies[:1]], 10, 64, allowed)
        assert set(copies[-3:].tolist()) <= set(ordinals[0].tolist())
        assert allowed[ordinals[ordinals >= 0]].all()
        assert index.candidates(vectors[:2], 10, 64, np.zeros(len(vectors), np.bool_))[0].shape == (2, 0)

    def test_saved_loaded_cloned_and_grown(self, metric: Metric, tmp_path: Path) -> None:
        vectors = scoring.prepare(metric, one_of_many(1_200, 300, 4))
        more = np.concatenate((vectors[:200], scoring.prepare(metric, one_of_many(600, 50, 4)), vectors[-1:]))
        both = np.concatenate((vectors, more))
        queries = scoring.prepare(metric, clustered(60, DIM, 5))
        index = build(metric, vectors, tmp_path / "a", threads=2)
        builder = hnsw.HnswBuilder.from_index(tmp_path / "a", metric, DIM, len(vectors), len(both))
        assert builder.add(more, 2, never)
        builder.save(tmp_path / "b")
        grown = builder.finish(tmp_path / "b")
        again = hnsw.HnswBuilder.from_index(tmp_path / "b", metric, DIM, len(both), len(both))
        again.save(tmp_path / "c")
        loaded = again.finish(tmp_path / "c")
        assert (tmp_path / "b").stat().st_size == (tmp_path / "c").stat().st_size
        for one, rows in ((index, vectors), (grown, both), (loaded, both)):
            assert np.array_equal(one.vectors(np.arange(len(rows))), rows)
            assert recall(metric, queries, rows, one.candidates(queries, 10, 100, None)[0], 10) >= 0.97
            assert recall(metric, queries, rows, one.exact(queries, 10, None)[0], 10) == 1.0


def test_an_answer_gets_the_copies_of_what_it_found() -> None:
    copies = Copies.of(np.array([9, 4, 7, 8]), np.array([1, 5, 1, 1]))
    ordinals = np.array([[1, 2, 5], [3, 5, -1], [-1, -1, -1]])
    similarities = np.array([[9, 8, 7], [6, 5, -np.inf], [-np.inf] * 3], np.float32)
    got, kept = copies.put_in(ordinals, similarities, None, 100)
    assert got.tolist() == [[1, 7, 8, 9, 2, 5, 4], [3, 5, 4, -1, -1, -1, -1], [-1] * 7]
    assert kept[0].tolist() == [9, 9, 9, 9, 8, 7, 7]
    assert copies.put_in(ordinals, similarities, None, 3)[0].tolist() == [[1, 7, 8], [3, 5, 4], [-1] * 3]
    allowed = np.ones(10, np.bool_)
    allowed[[1, 7, 5, 3]] = False
    assert copies.put_in(ordinals, similarities, allowed, 3)[0].tolist() == [[8, 9, 2], [4, -1, -1], [-1] * 3]
    assert copies.put_in(ordinals, similarities, np.zeros(10, np.bool_), 3)[0].shape == (3, 0)


def test_hashes_are_found_again() -> None:
    seen, generator = Seen(), np.random.default_rng(6)
    known: dict[int, int] = {}
    for _ in range(40):
        hashes = np.unique(generator.integers(0, 2**63, int(generator.integers(1, 300)), dtype=np.uint64))
        assert (seen.find(hashes) == -1).all()
        seen.add(hashes, np.arange(len(known), len(known) + len(hashes)))
        known.update(zip(hashes.tolist(), range(len(known), len(known) + len(hashes)), strict=True))
    assert len(seen._runs) <= 10
    asked = np.array(list(known), np.uint64)
    assert seen.find(asked).tolist() == list(known.values())
    assert seen.nbytes() == 12 * len(known)


def test_equal_rows_have_equal_hashes_and_others_do_not() -> None:
    vectors = clustered(2_000, DIM, 7)
    hashes = hashed(np.concatenate((vectors, vectors)))
    assert (hashes[:2_000] == hashes[2_000:]).all()
    assert len(np.unique(hashes)) == 2_000
    assert (hashed(vectors[5:6]) == hashes[5]).all()
