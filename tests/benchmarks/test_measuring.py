"""What benchmarks compute with: truth, recall, rows, runs and figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.clock import Heartbeat
from benchmarks.figure import Figure, median_ratio
from benchmarks.process import bytes_written, disk_bytes, memory
from benchmarks.rows import TEXT_CHARACTERS, batches, row_id, row_number
from benchmarks.run import Run
from benchmarks.sets import REAL, made
from benchmarks.truth import distances, neighbours, recall


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "dot"])
def test_neighbours_are_the_nearest(metric: str) -> None:
    random = np.random.default_rng(1)
    vectors = random.standard_normal((300, 8)).astype(np.float32)
    queries = random.standard_normal((5, 8)).astype(np.float32)
    everything = np.tile(np.arange(300), (5, 1))
    by_hand = np.argsort(distances(metric, queries, vectors, everything), axis=1)[:, :10]
    assert neighbours(metric, queries, vectors, 10).tolist() == by_hand.tolist()


def test_recall_counts_ties_and_misses() -> None:
    vectors = np.array([[1, 0], [0, 1], [0, 1], [-1, 0]], np.float32)
    query = np.array([[0.1, 1]], np.float32)
    true = np.array([[1]])
    assert recall("cosine", query, vectors, [[1]], true) == 1.0
    assert recall("cosine", query, vectors, [[2]], true) == 1.0, "as near as the first"
    assert recall("cosine", query, vectors, [[0]], true) == 0.0
    assert recall("cosine", query, vectors, [[]], true) == 0.0


def test_rows_are_as_the_budgets_say() -> None:
    vectors = made(25, 16).vectors
    rows = [row for batch in batches(vectors, True, 10) for row in zip(*batch.values(), strict=True)]
    assert [row_number(point_id) for point_id, *_ in rows] == list(range(25))
    for _, _, text, payload in rows:
        assert len(text) == TEXT_CHARACTERS
        assert 0.4 < sum(c > "\u2e7f" for c in text) / len(text) <= 0.5
        assert len(payload) == 8 and len(payload["tags"]) == 3 and len(payload["acl"]) == 4
    assert "texts" not in next(batches(vectors, False))
    assert len({row_id(i) for i in range(10_000)}) == 10_000


def test_made_sets_repeat_themselves() -> None:
    first, second = made(200, 12, queries=3), made(200, 12, queries=3)
    assert np.array_equal(first.vectors, second.vectors) and np.array_equal(first.true, second.true)
    assert recall("cosine", first.queries, first.vectors, first.true.tolist(), first.true) == 1.0


def test_another_file_is_not_the_set(tmp_path: Path) -> None:
    (tmp_path / REAL["glove"].folder).mkdir()
    np.savez(tmp_path / REAL["glove"].folder / "data.npz", train=np.zeros((1, 100), np.float16))
    with pytest.raises(ValueError, match="is another file: sha256 7e01ae6a"):
        REAL["glove"].read(tmp_path)


def test_a_run_is_stored_with_its_samples(tmp_path: Path) -> None:
    run = Run.begin("ingest", 10)
    run.add("times", np.array([1.5, 2.5]))
    run.add("times", {"at": np.float32(0.5)})
    run.doubt("too small")
    run.doubt("too small")
    run.save(tmp_path / "run.json")
    again = Run.load(tmp_path / "run.json")
    assert again.samples == {"times": [[1.5, 2.5], {"at": 0.5}]}
    assert again.void == ["too small"] and again.machine["cores"] >= 1


@pytest.mark.parametrize(
    ("figure", "kept"),
    [
        (Figure("a", 2.0, at_least=2.0), True),
        (Figure("a", 1.9, at_least=2.0), False),
        (Figure("a", 2.1, at_most=2.0), False),
        (Figure("a", 0.0, at_most=0.0), True),
        (Figure("a", 1.0), None),
    ],
)
def test_a_budget_is_kept_or_not(figure: Figure, kept: bool | None) -> None:
    assert figure.kept is kept


def test_ratios_are_taken_round_by_round() -> None:
    assert median_ratio([1, 10, 300], [1, 5, 100]) == 2.0


def test_the_system_is_asked(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    assert disk_bytes(tmp_path) >= 100_000
    assert memory()["anonymous"] > 0 and bytes_written() >= 0
    with Heartbeat() as heart:
        pass
    assert all(gap > 0 for gap in heart.gaps)
