"""Graphs by hnswlib: as good as the exact answer allows, the same saved and loaded, and never an exception."""

from __future__ import annotations

import struct
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.index.data import clustered, lognormal, recall
from vecdb.errors import DataLoss, Internal
from vecdb.index import hnsw, hnswfile
from vecdb.index import metric as scoring
from vecdb.model.point import Float32
from vecdb.model.schema import METRICS, Metric

pytestmark = pytest.mark.hnswlib

DIM = 24
QUERIES = 60


def never() -> bool:
    return False


def build(
    metric: Metric, vectors: Float32, path: Path, *, threads: int = 1, capacity: int = 1_024, step: int = 700
) -> hnsw.HnswIndex:
    builder = hnsw.HnswBuilder(metric, vectors.shape[1], capacity=capacity)
    for start in range(0, len(vectors), step):
        assert builder.add(vectors[start : start + step], threads, never)
    assert len(builder) == len(vectors)
    builder.save(path)
    return builder.finish(path)


def same(a: Float32, b: Float32) -> bool:
    return bool(np.array_equal(a.view(np.int32), b.view(np.int32)))


@pytest.fixture(params=METRICS)
def metric(request: pytest.FixtureRequest) -> Metric:
    chosen: Metric = request.param
    return chosen


@pytest.fixture
def graph(tmp_path: Path, metric: Metric) -> Iterator[tuple[hnsw.HnswIndex, Float32, Float32]]:
    """A graph of 2,500 rows, built by two threads, with its vectors and some queries."""
    vectors = scoring.prepare(metric, clustered(2_500, DIM, 1))
    index = build(metric, vectors, tmp_path / "g", threads=2)
    yield index, vectors, scoring.prepare(metric, clustered(QUERIES, DIM, 2))
    index.close()


Graph = tuple[hnsw.HnswIndex, Float32, Float32]


class TestSearch:
    def test_recall(self, graph: Graph, metric: Metric) -> None:
        index, vectors, queries = graph
        ordinals, similarities = index.candidates(queries, 10, 100, None, threads=2)
        assert ordinals.shape == similarities.shape == (QUERIES, 100)
        assert (ordinals.dtype, similarities.dtype) == (np.int64, np.float32)
        assert (np.diff(similarities, axis=1) <= 0).all()
        assert recall(metric, queries, vectors, ordinals, 10) >= 0.98

    def test_similarities_are_those_of_the_contract(self, graph: Graph, metric: Metric) -> None:
        index, vectors, queries = graph
        ordinals, similarities = index.candidates(queries, 10, 20, None)
        exact = scoring.approximate(metric, queries, vectors)
        np.testing.assert_allclose(similarities, np.take_along_axis(exact, ordinals, 1), rtol=1e-4, atol=2e-3)

    def test_a_batch_answers_as_each_alone(self, graph: Graph) -> None:
        index, _, queries = graph
        together = index.candidates(queries, 10, 40, None, threads=2)[0]
        for number in range(QUERIES):
            assert (index.candidates(queries[number : number + 1], 10, 40, None)[0][0] == together[number]).all()

    def test_a_wide_batch_is_asked_in_parts(self, graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
        index, vectors, queries = graph
        allowed = np.random.default_rng(15).random(len(vectors)) < 0.5
        expected = [index.candidates(queries, 10, 64, mask) for mask in (None, allowed)]
        monkeypatch.setattr(hnsw, "_ANSWER_ENTRIES", 7 * 64)
        for mask, (ordinals, similarities) in zip((None, allowed), expected, strict=True):
            got = index.candidates(queries, 10, 64, mask)
            assert np.array_equal(got[0], ordinals)
            assert np.array_equal(got[1], similarities)

    def test_ef_belongs_to_the_call(self, graph: Graph) -> None:
        index, _, queries = graph
        expected = {ef: index.candidates(queries, 10, ef, None)[0] for ef in (16, 512)}
        wrong: list[int] = []

        def ask(ef: int) -> None:
            for _ in range(25):
                if not np.array_equal(index.candidates(queries, 10, ef, None)[0], expected[ef]):
                    wrong.append(ef)

        threads = [threading.Thread(target=ask, args=(ef,)) for ef in (16, 512)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert expected[16].shape[1] == 16
        assert expected[512].shape[1] == 512

    def test_allowed_drops_after_the_walk_and_pads(self, graph: Graph) -> None:
        index, vectors, queries = graph
        allowed = np.random.default_rng(3).random(len(vectors)) < 0.3
        walked, similarities = index.candidates(queries, 10, 64, None)
        for asked in (queries, queries[:1]):
            ordinals, kept = index.candidates(asked, 10, 64, allowed)
            for number in range(len(asked)):
                expected = walked[number][allowed[walked[number]]]
                width = len(expected)
                assert ordinals[number, :width].tolist() == expected.tolist()
                assert (ordinals[number, width:] == -1).all()
                assert (kept[number, width:] == -np.inf).all()
                assert (kept[number, :width] == similarities[number][allowed[walked[number]]]).all()
        nothing = np.zeros(len(vectors), np.bool_)
        assert index.candidates(queries, 10, 64, nothing)[0].shape == (QUERIES, 0)

    def test_more_than_there_is(self, graph: Graph) -> None:
        index, vectors, queries = graph
        ordinals, _ = index.candidates(queries[:2], 10_000, 16, None)
        reached = [len(set(row[row >= 0].tolist())) for row in ordinals]
        assert min(reached) > 0
        assert ordinals.shape[1] <= len(vectors)
        assert index.candidates(queries[:0], 10, 16, None)[0].shape == (0, 0)

    def test_exact_reads_the_same_vectors(self, graph: Graph, metric: Metric) -> None:
        index, vectors, queries = graph
        ordinals, _ = index.exact(queries, 10, None)
        assert recall(metric, queries, vectors, ordinals, 10) == 1.0
        allowed = np.random.default_rng(4).random(len(vectors)) < 0.02
        ordinals, _ = index.exact(queries, 10, allowed)
        assert allowed[ordinals[ordinals >= 0]].all()
        scores = np.where(allowed, scoring.score(metric, queries[:, None], vectors[None])[0], -np.inf)
        tenth = np.partition(scores, -10, axis=1)[:, -10]
        for number in range(QUERIES):
            assert set(np.flatnonzero(scores[number] >= tenth[number]).tolist()) <= set(ordinals[number].tolist())


class TestSavedAndLoaded:
    def test_vectors_come_back_bit_for_bit(self, graph: Graph, metric: Metric, tmp_path: Path) -> None:
        index, vectors, _ = graph
        loaded = hnsw.HnswIndex.load(tmp_path / "g", metric, DIM, len(vectors))
        order = np.random.default_rng(5).permutation(len(vectors))
        for one in (index, loaded):
            assert (one.kind, len(one)) == ("hnsw", len(vectors))
            assert same(one.vectors(order), vectors[order])
            assert one.vectors(order[:0]).shape == (0, DIM)

    def test_a_loaded_graph_answers_as_the_one_that_was_built(
        self, graph: Graph, metric: Metric, tmp_path: Path
    ) -> None:
        index, vectors, queries = graph
        loaded = hnsw.HnswIndex.load(tmp_path / "g", metric, DIM, len(vectors))
        for ours, theirs in zip(
            index.candidates(queries, 10, 50, None), loaded.candidates(queries, 10, 50, None), strict=True
        ):
            assert np.array_equal(ours, theirs)
        assert loaded.pause_s > 0
        anonymous, mapped = loaded.nbytes()
        assert anonymous > vectors.nbytes
        assert mapped == (tmp_path / "g").stat().st_size

    def test_one_thread_builds_the_same_file_again(self, metric: Metric, tmp_path: Path) -> None:
        vectors = scoring.prepare(metric, clustered(800, DIM, 6))
        for name in "ab":
            build(metric, vectors, tmp_path / name)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()

    def test_the_file_may_be_renamed_or_unlinked(self, graph: Graph, tmp_path: Path) -> None:
        index, vectors, _ = graph
        (tmp_path / "g").unlink()
        assert same(index.vectors(np.arange(9)), vectors[:9])

    def test_a_clone_grows_as_a_fresh_build_does(self, graph: Graph, metric: Metric, tmp_path: Path) -> None:
        _, vectors, queries = graph
        more = scoring.prepare(metric, clustered(1_500, DIM, 7))
        both = np.concatenate((vectors, more))
        builder = hnsw.HnswBuilder.from_index(tmp_path / "g", metric, DIM, len(vectors), len(vectors) + 100)
        assert len(builder) == len(vectors)
        assert builder.add(more, 2, never)  # past the capacity named
        builder.save(tmp_path / "clone")
        clone = builder.finish(tmp_path / "clone")
        fresh = build(metric, both, tmp_path / "fresh", threads=2)
        assert same(clone.vectors(np.arange(len(both))), both)
        got = [
            recall(metric, queries, both, index.candidates(queries, 10, 32, None)[0], 10) for index in (clone, fresh)
        ]
        assert got[0] >= got[1] - 0.03
        assert got[0] >= 0.9

    def test_a_file_beside_when_there_is_no_anonymous_memory(
        self, metric: Metric, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        vectors = scoring.prepare(metric, clustered(300, DIM, 8))
        build(metric, vectors, tmp_path / "a")
        monkeypatch.delattr(hnswfile.os, "memfd_create", raising=False)
        build(metric, vectors, tmp_path / "b")
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


class TestBuilding:
    def test_cancel_is_looked_at_between_chunks(self, metric: Metric) -> None:
        builder = hnsw.HnswBuilder(metric, DIM)
        vectors = scoring.prepare(metric, clustered(3_000, DIM, 9))
        asked: list[int] = []

        def stop() -> bool:
            asked.append(len(builder))
            return len(asked) == 3

        assert not builder.add(vectors, 1, stop)
        assert asked == [0, 1_024, 2_048]

    def test_nothing_and_one(self, metric: Metric, tmp_path: Path) -> None:
        vectors = scoring.prepare(metric, clustered(1, DIM, 10))
        empty = build(metric, vectors[:0], tmp_path / "none")
        assert len(empty) == 0
        for ordinals, _ in (empty.candidates(vectors, 10, 50, None), empty.exact(vectors, 10, None)):
            assert ordinals.shape == (1, 0)
        assert len(hnsw.HnswIndex.load(tmp_path / "none", metric, DIM, 0)) == 0
        one = build(metric, vectors, tmp_path / "one")
        assert one.candidates(vectors, 10, 50, None)[0].tolist() == [[0]]

    def test_a_finished_builder_and_a_closed_index_say_so(self, tmp_path: Path) -> None:
        builder = hnsw.HnswBuilder("dot", DIM)
        vectors = clustered(50, DIM, 11)
        builder.add(vectors, 1, never)
        assert builder.nbytes() > vectors.nbytes
        builder.save(tmp_path / "g")
        index = builder.finish(tmp_path / "g")
        with pytest.raises(Internal, match="finished"):
            builder.add(vectors, 1, never)
        index.close()
        with pytest.raises(Internal, match="closed"):
            index.candidates(vectors, 1, 1, None)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_dot_products_of_rows_of_very_unequal_norms(scale: float, tmp_path: Path) -> None:
    vectors = (lognormal(4_000, DIM, 12) * scale).astype(np.float32)
    queries = clustered(QUERIES, DIM, 13)
    index = build("dot", vectors, tmp_path / "g", threads=2)
    assert recall("dot", queries, vectors, index.candidates(queries, 10, 128, None)[0], 10) >= 0.95
    assert same(index.vectors(np.arange(4_000)), vectors)


class _Unconnected:
    """A graph in which a walk for more than ``reach`` rows fails, as hnswlib's does where it is not connected."""

    def __init__(self, graph: Any, reach: int) -> None:
        self._graph, self._reach = graph, reach
        self.asked: list[tuple[int, int]] = []

    def knn_query(self, data: Float32, k: int, num_threads: int) -> Any:
        self.asked.append((len(data), k))
        if k > self._reach:
            raise RuntimeError("Cannot return the results in a contiguous 2D array. Probably ef or M is too small")
        return self._graph.knn_query(data, k, num_threads)


class TestUnconnected:
    @pytest.fixture
    def broken(self, graph: Graph) -> Callable[[int], Graph]:
        index, vectors, queries = graph

        def breaking(reach: int) -> Graph:
            index._graph = _Unconnected(index._graph, reach)  # type: ignore[assignment]
            return index, vectors, queries

        return breaking

    def test_each_query_gets_what_its_walk_can_give(self, broken: Callable[[int], Graph]) -> None:
        index, _, queries = broken(30)
        ordinals, similarities = index.candidates(queries, 10, 100, None)
        assert ordinals.shape == similarities.shape == (QUERIES, 25)
        assert (ordinals >= 0).all()
        assert index.leaked_bytes == 16 * (QUERIES * 100 + QUERIES * (100 + 50))

    def test_even_when_there_is_nothing(self, broken: Callable[[int], Graph]) -> None:
        index, vectors, queries = broken(0)
        allowed = np.ones(len(vectors), np.bool_)
        assert index.candidates(queries, 10, 100, None)[0].shape == (QUERIES, 0)
        assert index.candidates(queries, 10, 100, allowed)[0].shape == (QUERIES, 0)

    def test_what_hnswlib_loses_is_bounded(
        self, broken: Callable[[int], Graph], metric: Metric, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hnsw, "_LEAK_LIMIT", 16 * 1_000)
        index, vectors, queries = broken(20)
        while index.leaked_bytes <= 16 * 1_000:
            index.candidates(queries[:1], 10, 100, None)
        lost = index.leaked_bytes
        ordinals, _ = index.candidates(queries, 10, 100, None)
        assert index.leaked_bytes == lost
        assert recall(metric, queries, vectors, ordinals, 10) == 1.0


class TestDamage:
    """The caller has verified a checksum; this is about a file that is not the one it was taken for."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        build("cosine", scoring.prepare("cosine", clustered(300, DIM, 14)), tmp_path / "g")
        return tmp_path / "g"

    @pytest.mark.parametrize(("dim", "count"), [(DIM + 1, 300), (DIM, 299), (DIM, 301)])
    def test_another_shape(self, path: Path, dim: int, count: int) -> None:
        with pytest.raises(DataLoss, match="the header of g does not fit"):
            hnsw.HnswIndex.load(path, "cosine", dim, count)
        with pytest.raises(DataLoss):
            hnsw.HnswBuilder.from_index(path, "cosine", dim, count, 400)

    @pytest.mark.parametrize("offset", [0, 8, 16, 24, 32, 40, 52, 56, 64, 72])
    def test_any_number_of_the_header(self, path: Path, offset: int) -> None:
        whole = bytearray(path.read_bytes())
        whole[offset : offset + 4] = struct.pack("<I", 0xFFFF if offset != 8 else 7)
        path.write_bytes(whole)
        with pytest.raises(DataLoss):
            hnsw.HnswIndex.load(path, "cosine", DIM, 300)

    @pytest.mark.parametrize("size", [0, 95, 96, 50_000, -1])
    def test_cut_short(self, path: Path, size: int) -> None:
        whole = path.read_bytes()
        path.write_bytes(whole[:size])
        with pytest.raises(DataLoss):
            hnsw.HnswIndex.load(path, "cosine", DIM, 300)

    @pytest.mark.parametrize("label", [0, 300, 2**40])
    def test_labels_that_are_not_the_ordinals(self, path: Path, label: int) -> None:
        whole = bytearray(path.read_bytes())
        row_bytes, label_offset = struct.unpack_from("<QQ", whole, 24)
        struct.pack_into("<Q", whole, 96 + 9 * row_bytes + label_offset, label)
        path.write_bytes(whole)
        with pytest.raises(DataLoss, match="label"):
            hnsw.HnswIndex.load(path, "cosine", DIM, 300)


def test_where_hnswlib_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    hnsw.available.cache_clear()
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    try:
        assert not hnsw.available()
        assert hnsw.available().reason.startswith("hnswlib cannot be imported: ModuleNotFoundError")
    finally:
        monkeypatch.undo()
        hnsw.available.cache_clear()
    assert hnsw.available()
