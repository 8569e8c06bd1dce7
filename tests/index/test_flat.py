"""Exact search holds the true top k, ties included, whatever the rows and the chunks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.index.data import best, clustered, lognormal
from vecdb.errors import DataLoss
from vecdb.index import flat
from vecdb.index import metric as scoring
from vecdb.model.point import Float32, Int64
from vecdb.model.schema import METRICS, Metric


def top_by_score(metric: Metric, query: Float32, vectors: Float32, k: int, allowed: NDArray[np.bool_]) -> set[int]:
    """Every allowed ordinal whose score is at least the k-th best, by the scoring function alone."""
    scores, _ = scoring.score(metric, query, vectors)
    scores = np.where(allowed, scores, -np.inf)
    count = min(k, int(allowed.sum()))
    if count == 0:
        return set()
    kth = np.partition(scores, -count)[-count]
    return set(np.flatnonzero(scores >= kth).tolist())


def check(metric: Metric, queries: Float32, vectors: Float32, k: int, allowed: NDArray[np.bool_] | None) -> Int64:
    ordinals, similarities = flat.top(metric, queries, vectors, k, allowed)
    mask = np.ones(len(vectors), np.bool_) if allowed is None else allowed
    assert ordinals.shape == similarities.shape
    for query, row, similarity in zip(queries, ordinals, similarities, strict=True):
        found = row[row >= 0].tolist()
        assert len(set(found)) == len(found)
        assert mask[found].all()
        assert top_by_score(metric, query, vectors, k, mask) <= set(found)
        assert (np.diff(similarity[: len(found)]) <= 0).all()
        assert (row[len(found) :] == -1).all()
        assert (similarity[len(found) :] == -np.inf).all()
    return ordinals


FAMILIES = {
    "clustered": lambda: clustered(3_000, 48, 1),
    "lognormal norms": lambda: lognormal(3_000, 48, 2),
    "far from the origin": lambda: clustered(3_000, 48, 3) + np.float32(3e4),
    "nearly equal": lambda: np.float32(1) + np.float32(1e-7) * clustered(3_000, 48, 4),
    "equal": lambda: np.ones((500, 48), np.float32),
    "tiny": lambda: np.float32(1e-22) * clustered(1_000, 48, 5),
    "huge": lambda: np.float32(1e12) * clustered(1_000, 48, 6),
    "zeros among them": lambda: np.where(np.arange(1_000)[:, None] % 3 == 0, 1, clustered(1_000, 48, 7)),
}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_true_top_k_is_there(metric: Metric, family: str) -> None:
    drawn = FAMILIES[family]().astype(np.float32)
    prepared = scoring.prepare(metric, drawn)
    queries, vectors = prepared[:12], prepared[5:]
    generator = np.random.default_rng(9)
    for k in (1, 10, 100):
        check(metric, queries, vectors, k, None)
        for share in (0.9, 0.3, 0.01):
            check(metric, queries, vectors, k, generator.random(len(vectors)) < share)


@pytest.mark.parametrize("metric", METRICS)
def test_small_steps_give_the_same(metric: Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = scoring.prepare(metric, lognormal(2_000, 24, 12))
    queries = scoring.prepare(metric, clustered(130, 24, 13))
    allowed = np.random.default_rng(14).random(2_000) < 0.2
    whole = [best(metric, queries, vectors, check(metric, queries, vectors, 10, mask), 10) for mask in (None, allowed)]
    monkeypatch.setattr(flat, "_TEMPORARY_BYTES", 64 * 4 * 6 * 37)
    steps = [best(metric, queries, vectors, check(metric, queries, vectors, 10, mask), 10) for mask in (None, allowed)]
    assert steps == whole


def test_few_candidates_are_left_for_scoring() -> None:
    vectors, queries = clustered(5_000, 48, 15), clustered(50, 48, 16)
    for metric in METRICS:
        ordinals, _ = flat.top(metric, scoring.prepare(metric, queries), scoring.prepare(metric, vectors), 10)
        assert ordinals.shape[1] <= 14


def test_the_edges() -> None:
    vectors, queries = clustered(20, 8, 17), clustered(3, 8, 18)
    nothing = np.zeros(20, np.bool_)
    assert flat.top("dot", queries, vectors, 10, nothing)[0].shape == (3, 0)
    assert flat.top("dot", queries[:0], vectors, 10)[0].shape == (0, 0)
    assert flat.top("dot", queries, vectors[:0], 10)[0].shape == (3, 0)
    assert flat.top("dot", queries, vectors, 0)[0].shape == (3, 0)
    assert (np.sort(flat.top("dot", queries, vectors, 100)[0], axis=1) == np.arange(20)).all()
    one = nothing.copy()
    one[7] = True
    assert flat.top("dot", queries, vectors, 10, one)[0].tolist() == [[7], [7], [7]]


def test_strided_rows_are_read_in_place() -> None:
    wide = np.zeros((800, 23), np.float32)
    for metric in METRICS:
        vectors = scoring.prepare(metric, clustered(800, 16, 19))
        wide[:, 3:19] = vectors
        check(metric, vectors[:5], wide[:, 3:19], 10, None)


@pytest.mark.parametrize("metric", METRICS)
def test_an_index_written_and_mapped_again(metric: Metric, tmp_path: Path) -> None:
    vectors = scoring.prepare(metric, clustered(1_000, 16, 20))
    queries = scoring.prepare(metric, clustered(5, 16, 21))
    flat.write(tmp_path / "0.flat", vectors)
    assert (tmp_path / "0.flat").read_bytes() == vectors.astype("<f4").tobytes()
    mapped, held = flat.FlatIndex.load(tmp_path / "0.flat", metric, 16, 1_000), flat.FlatIndex(metric, vectors)
    for index in (mapped, held):
        assert (index.kind, len(index)) == ("flat", 1_000)
        ordinals, _ = index.candidates(queries, 10, 50, None)
        assert best(metric, queries, vectors, ordinals, 10) == best(
            metric, queries, vectors, flat.top(metric, queries, vectors, 10)[0], 10
        )
        some = np.array([5, 999, 5])
        assert np.array_equal(index.vectors(some).view(np.int32), vectors[some].view(np.int32))
    norms = 0 if metric == "cosine" else 4_000
    assert mapped.nbytes() == (norms, 64_000)
    assert held.nbytes() == (64_000 + norms, 0)
    mapped.close()


def test_an_empty_index(tmp_path: Path) -> None:
    flat.write(tmp_path / "0.flat", np.empty((0, 16), np.float32))
    index = flat.FlatIndex.load(tmp_path / "0.flat", "dot", 16, 0)
    assert index.exact(np.ones((2, 16), np.float32), 10, None)[0].shape == (2, 0)


def test_a_file_of_another_size_is_refused(tmp_path: Path) -> None:
    flat.write(tmp_path / "0.flat", np.zeros((3, 16), np.float32))
    with pytest.raises(DataLoss, match="expected 256 bytes, received 192 bytes"):
        flat.FlatIndex.load(tmp_path / "0.flat", "dot", 16, 4)
