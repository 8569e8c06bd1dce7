"""Promise 4: a score means what it says, and depends on the pair alone; equal scores stand by id."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from tests.engine.conftest import make
from tests.engine.handle import DIM, Handle, gaussian, names
from tests.engine.walk import walked
from vecdb.engine.database import Database
from vecdb.model.query import Near, Rrf, SearchRequest
from vecdb.model.schema import Metric, Schema, VectorField
from vecdb.storage.memory import MemoryKV

A, B = np.array([3.0, 0.0, 4.0, 0.0]), np.array([0.0, 0.0, 2.0, 0.0])
MEANING: dict[Metric, tuple[float, float]] = {
    "cosine": (0.8, 0.2),
    "dot": (8.0, -8.0),
    "euclidean": (1 / (1 + math.sqrt(13)), math.sqrt(13)),
}
E = np.eye(4, dtype=np.float32)


@pytest.mark.parametrize("metric", MEANING)
def test_score_and_distance(db: Database, metric: Metric) -> None:
    c = make(db, Schema({"": VectorField(DIM, metric)}))
    c.upsert(["b", "a"], [-B, B])
    answer = c.answer(A, limit=2)
    assert answer.points.ids == ["a", "b"]
    assert answer.distances is not None
    assert (answer.scores[0], answer.distances[0]) == pytest.approx(MEANING[metric], abs=1e-6)
    assert answer.scores[0] > answer.scores[1]
    assert answer.distances[0] < answer.distances[1]


@pytest.mark.parametrize("metric", MEANING)
def test_a_score_depends_on_the_pair_alone(open_db: Callable[..., Database], metric: Metric) -> None:
    """Growing or sealed, by graph or by scan, alone or among others: the same bits."""
    schema = Schema({"": VectorField(DIM, metric)})
    c = make(open_db(kv=MemoryKV(), use_graphs=False, growing_rows=1_000), schema)
    c.upsert(names(60), gaussian(60))
    queries = gaussian(5, seed=4)

    def scores(**more: object) -> list[dict[str, float]]:
        return [by_id(c, query, **more) for query in queries]

    first = scores(limit=60)
    assert scores(limit=60, exact=True) == first
    c.seal()
    assert scores(limit=60) == first
    walk = walked(c)
    for limit, query, known in zip((1, 2, 7, 30, 59), queries, first, strict=True):
        assert by_id(c, query, limit=limit, ef=1).items() <= known.items()
    assert walk.walks > 0
    c.upsert(names(60, start=60), gaussian(60, seed=1))
    c.update(names(30), payloads=[{"n": 1}] * 30)
    together = c.answer(queries, limit=120)
    assert together.counts.tolist() == [120] * 5
    for i, known in enumerate(first):
        run = slice(120 * i, 120 * (i + 1))
        found = dict(zip(together.points.ids[run], together.scores[run].tolist(), strict=True))
        assert known.items() <= found.items()


def by_id(c: Handle, query: np.ndarray, **more: object) -> dict[str, float]:
    answer = c.answer(query, **more)
    return dict(zip(answer.points.ids, answer.scores.tolist(), strict=True))


@pytest.mark.parametrize("state", ["growing", "sealed", "both"])
def test_equal_scores_stand_by_id(c: Handle, state: str) -> None:
    ids = ["b", "a", "z", "é", "日", "\U0001f9ff", "~", "10", "9", "B"]
    ordered = sorted(ids, key=str.encode)
    half = 5 if state == "both" else len(ids)
    c.upsert(ids[:half], np.repeat(E[:1], half, axis=0))
    if state != "growing":
        c.seal()
    if half < len(ids):
        c.upsert(ids[half:], np.repeat(2 * E[:1], len(ids) - half, axis=0))
    c.upsert(["best"], E[:1] + 0.1 * E[1:2])
    for limit in range(1, 13):
        assert c.search(E[0] + 0.1 * E[1], limit=limit) == ["best", *ordered][:limit]
    assert c.search(E[0], limit=3, offset=4) == ordered[4:7]


def test_fused_scores(c: Handle) -> None:
    """Reciprocal ranks, from 1, over what a point first in every leg would have."""
    c.upsert(list("abcd"), E)
    first, second = E[:1] * 4 + E[1:2] * 2 + E[2:3], E[1:2] * 4 + E[3:4] * 2 + E[:1]
    legs = [Near(first, weight=2.0, depth=3), Near(second, depth=3)]
    request = SearchRequest(legs, fusion=Rrf(10), limit=3)
    answer = c.db.search(c.context(), c.name, request)
    most = 2 / 11 + 1 / 11
    shares = {"a": 2 / 11 + 1 / 13, "b": 2 / 12 + 1 / 11, "c": 2 / 13, "d": 1 / 12}
    ranked = sorted(shares, key=lambda i: -shares[i])[:3]
    assert answer.points.ids == ranked
    assert answer.scores.tolist() == pytest.approx([shares[i] / most for i in ranked], abs=1e-6)
    assert answer.distances is None


def test_a_point_first_in_every_leg_has_a_fused_score_of_one(c: Handle) -> None:
    c.upsert(list("abcd"), E)
    answer = c.db.search(c.context(), c.name, SearchRequest([Near(E[:1]), Near(E[:1], weight=3.0)]))
    assert answer.points.ids == list("abcd")
    assert answer.scores[0] == 1.0
    assert np.all(answer.scores[1:] < 1.0)
    assert np.all(answer.scores > 0.0)


def test_equal_fused_scores_stand_by_id(c: Handle) -> None:
    c.upsert(["b", "a"], E[:2])
    answer = c.db.search(c.context(), c.name, SearchRequest([Near(E[:1]), Near(E[1:2])], limit=1))
    assert answer.points.ids == ["a"]
