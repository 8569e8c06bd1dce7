"""Searches that name the recall they want, on real sets: measured by some queries, judged by others.

With ``-s`` it prints the table of docs/decisions/0014-recall.md.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.engine.handle import Handle
from vecdb.engine.database import Database
from vecdb.engine.options import EngineOptions
from vecdb.model.context import CallContext
from vecdb.model.point import Float32, Select
from vecdb.model.query import Near, SearchAnswer, SearchRequest
from vecdb.model.schema import Metric, Schema, VectorField

SETS: dict[str, tuple[str, Metric, int]] = {
    "glove": ("glove-100-angular", "cosine", 40_000),
    "mnist": ("mnist-784-euclidean", "euclidean", 15_000),
    "movies": ("movies-384-minilm", "cosine", 15_000),
}
IDS = Select(payload=False, texts=False)
SLACK = 0.01
"""What was measured by 200 queries may be so far off for others."""


def answered(c: Handle, queries: Float32, **how: object) -> tuple[SearchAnswer, float]:
    """The answer, and the CPU microseconds of a query."""
    began = time.process_time()
    found = c.db.search(c.context(), c.name, SearchRequest([Near(queries)], select=IDS, **how))  # type: ignore[arg-type]
    return found, 1e6 * (time.process_time() - began) / len(queries)


def recall(found: SearchAnswer, true: SearchAnswer, k: int) -> float:
    assert set(found.counts.tolist()) == {k}
    lists = zip(np.reshape(found.points.ids, (-1, k)), np.reshape(true.points.ids, (-1, k)), strict=True)
    return float(np.mean([len(set(some) & set(all)) / k for some, all in lists]))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.hnswlib
@pytest.mark.parametrize("name", SETS)
def test_the_recall_found_is_the_one_asked_for(
    name: str, data_dir: Path, tmp_path: Path, bounded: Callable[[int], int]
) -> None:
    folder, metric, most = SETS[name]
    data = np.load(data_dir / folder / "data.npz")
    rows = min(most, max(8_000, bounded(most)))
    train, test = (data[part].astype(np.float32) for part in ("train", "test"))
    # Those of movies are not in a random order: the first ones are easier to find than the rest.
    test = np.random.default_rng(0).permutation(test)
    asked, held_out = test[:400], test[400:1_000]
    random.seed(0)  # which of those asked are kept
    options = replace(EngineOptions(), background=False, idle_seal_s=0.0, search_threads=1)
    db = Database.open(tmp_path / "data", options)
    try:
        db.create_collection(CallContext(), "c", Schema({"": VectorField(train.shape[1], metric)}))
        c = Handle(db)
        for start in range(0, rows, 10_000):
            stop = min(rows, start + 10_000)
            c.upsert([str(i) for i in range(start, stop)], train[start:stop])
        c.seal()
        for query in asked:
            c.answer(query, select=IDS)
        c.settle()
        known = c.stats().recall[""]
        assert known.queries > 150  # at random, some took the place of others
        assert (known.stored, known.vectors) == (0, rows)
        for k in (10, 50):
            true, _ = answered(c, held_out, exact=True, limit=k)
            for target in (0.9, 0.95, 0.99):
                found, cpu_us = answered(c, held_out, target_recall=target, limit=k, explain=True)
                assert found.explain is not None
                widths = [told["ef"] for told in found.explain["legs"][0]["segments"]]
                got = recall(found, true, k)
                print(f"| {name} {rows:,} | {k} | {target} | {widths} | {got:.4f} | {cpu_us:.0f} |")
                assert got >= target - SLACK
                assert found.warnings == []
            for ef in (None, 256):
                fixed, cpu_us = answered(c, held_out, limit=k, ef=ef)
                print(f"| {name} {rows:,} | {k} | ef {ef} | | {recall(fixed, true, k):.4f} | {cpu_us:.0f} |")
    finally:
        db.close()
