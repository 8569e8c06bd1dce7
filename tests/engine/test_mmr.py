"""Hits that differ: greedy maximal marginal relevance, of vectors wherever they are kept."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.engine.conftest import make
from tests.engine.handle import DIM, TWO, Handle, gaussian, names
from vecdb.engine.database import Database
from vecdb.engine.mmr import choose
from vecdb.errors import FieldNotFound, InvalidArgument, VecdbError
from vecdb.index import metric
from vecdb.model.fusion import RelativeScore
from vecdb.model.modifier import Boost, Mmr
from vecdb.model.query import GroupBy, Near, SearchAnswer, SearchRequest
from vecdb.model.schema import METRICS, Metric, Schema, VectorField


def ask(c: Handle, vectors: Any, mmr: Mmr | None, using: str | None = "", **more: Any) -> SearchAnswer:
    near = Near(np.atleast_2d(np.asarray(vectors, dtype=np.float32)), using)
    return c.db.search(c.context(), c.name, SearchRequest([near], mmr=mmr, **more))


# -- in plain words


def chosen(scores: NDArray[Any], vectors: NDArray[Any], relevance: float, count: int) -> list[int]:
    """The definition, one similarity at a time."""
    low, high = float(min(scores)), float(max(scores))
    stretched = [(float(s) - low) / (high - low) if high > low else 1.0 for s in scores]
    out: list[int] = []
    while len(out) < count:
        worth = []
        for i in range(len(scores)):
            near = max((cosine(vectors[i], vectors[j]) for j in out), default=0.0)
            worth.append(-math.inf if i in out else relevance * stretched[i] - (1 - relevance) * near)
        out.append(int(np.argmax(worth)))
    return out


def cosine(a: NDArray[Any], b: NDArray[Any]) -> float:
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / lengths if lengths else 0.0


@given(
    n=st.integers(1, 12),
    seed=st.integers(0, 99),
    relevance=st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]),
    count=st.integers(0, 12),
    bare=st.sets(st.integers(0, 11)),
)
def test_the_definition(n: int, seed: int, relevance: float, count: int, bare: set[int]) -> None:
    scores = np.sort(gaussian(n, 1, seed)[:, 0])[::-1].copy()
    vectors = gaussian(n, DIM, seed + 1)
    vectors[[i for i in bare if i < n]] = 0.0
    ready = metric.prepare("cosine", vectors)
    count = min(count, n)
    assert choose(scores, ready, relevance, count).tolist() == chosen(scores, ready, relevance, count)


def test_equal_ones_are_chosen_in_their_order() -> None:
    ready = metric.prepare("cosine", np.ones((5, DIM), dtype=np.float32))
    for relevance in (0.0, 0.5, 1.0):
        assert choose(np.ones(5, dtype=np.float32), ready, relevance, 5).tolist() == [0, 1, 2, 3, 4]


# -- in a search


@pytest.fixture
def bundles(c: Handle) -> Handle:
    """Ten bundles of ten points each, one bundle nearer than the other; in a sealed segment and the growing one."""
    directions = gaussian(10, seed=7)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    vectors = np.repeat(directions, 10, axis=0) + 0.01 * gaussian(100, seed=8)
    c.upsert(names(60), vectors[:60], [{"v": i} for i in range(60)])
    c.seal()
    c.upsert(names(40, start=60), vectors[60:], [{"v": i} for i in range(60, 100)])
    return c


QUERY = gaussian(1, seed=9)


def likeness(c: Handle, ids: list[str]) -> float:
    """The mean similarity of pairs of hits."""
    vectors = np.array([c.one(i).vectors[""] for i in ids])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    n = len(ids)
    return float(((vectors @ vectors.T).sum() - n) / (n * (n - 1)))


def test_hits_differ_the_more_the_less_relevance_counts(bundles: Handle) -> None:
    found = [ask(bundles, QUERY, Mmr(relevance), limit=8).points.ids for relevance in (1.0, 0.7, 0.4, 0.0)]
    alike = [likeness(bundles, ids) for ids in found]
    assert alike == sorted(alike, reverse=True)
    assert alike[0] > 0.5 > alike[-1]
    assert found[0] == bundles.search(QUERY, limit=8)
    assert all(ids[0] == found[0][0] for ids in found)


@pytest.mark.parametrize("relevance", [0.0, 0.5, 1.0])
def test_as_chosen_from_the_candidates(bundles: Handle, relevance: float) -> None:
    """Scores and distances are those of the hits, in the order of choice; a window is one of that order."""
    plain = bundles.answer(QUERY, limit=60, exact=True)
    vectors = np.array([bundles.one(i).vectors[""] for i in plain.points.ids])
    order = chosen(plain.scores, vectors, relevance, 20)
    answer = ask(bundles, QUERY, Mmr(relevance, candidates=60), limit=20, exact=True)
    assert answer.points.ids == [plain.points.ids[i] for i in order]
    assert answer.scores.tolist() == plain.scores[order].tolist()
    assert plain.distances is not None
    assert answer.distances is not None
    assert answer.distances.tolist() == plain.distances[order].tolist()
    later = ask(bundles, QUERY, Mmr(relevance, candidates=60), limit=5, offset=15, exact=True)
    assert later.points.ids == answer.points.ids[15:]


@pytest.mark.parametrize("kind", METRICS)
def test_whatever_the_metric_and_wherever_the_vectors(db: Database, kind: Metric) -> None:
    """Sealed, growing, and kept by an edit that left them alone: the same choice."""
    c = make(db, Schema({"": VectorField(DIM, kind)}))
    vectors = 3 * gaussian(50, seed=1)
    c.upsert(names(30), vectors[:30])
    c.seal()
    c.upsert(names(20, start=30), vectors[30:])
    before = ask(c, QUERY, Mmr(0.3), limit=50, exact=True)
    plain = c.answer(QUERY, limit=50, exact=True)
    there = vectors[[int(i) for i in plain.points.ids]]
    assert before.points.ids == [plain.points.ids[i] for i in chosen(plain.scores, there, 0.3, 50)]
    c.update(names(45, start=3), payloads=[{"n": 1}] * 45)
    assert ask(c, QUERY, Mmr(0.3), limit=50, exact=True).points.ids == before.points.ids


def test_more_hits_than_candidates(bundles: Handle) -> None:
    """What lies behind the candidates follows in its order: there are min(k, matches) hits."""
    plain = bundles.search(QUERY, limit=100, exact=True)
    answer = ask(bundles, QUERY, Mmr(0.2, candidates=25), limit=40, exact=True)
    assert sorted(answer.points.ids[:25]) == sorted(plain[:25])
    assert answer.points.ids[:25] != plain[:25]
    assert answer.points.ids[25:] == plain[25:40]
    assert len(ask(bundles, QUERY, Mmr(0.5), limit=1_000).points.ids) == 100


def test_points_without_a_vector_are_like_nothing(db: Database) -> None:
    c = make(db, TWO)
    images = [None if i % 2 else [1.0, 0.0, 0.0] for i in range(10)]
    vectors = [[math.cos(i / 10), math.sin(i / 10), 0, 0] for i in range(10)]
    c.upsert(names(10), {"": vectors, "image": images})
    near = Near(np.array([[1, 0, 0, 0]], dtype=np.float32))
    request = SearchRequest([near], mmr=Mmr(0.01, using="image"), limit=10)
    answer = c.db.search(c.context(), c.name, request)
    assert answer.points.ids == [*("00000", "00001", "00003", "00005", "00007", "00009"), *names(10)[2::2]]


def test_of_a_fusion_with_changed_scores(db: Database) -> None:
    c = make(db, TWO)
    c.upsert(names(40), {"": gaussian(40), "image": gaussian(40, dim=3)}, [{"v": i % 4} for i in range(40)])
    legs = [Near(gaussian(1, seed=3)), Near(gaussian(1, dim=3, seed=4), "image")]
    more: dict[str, Any] = {"modifiers": [Boost(("v",), 0.2)], "fusion": RelativeScore(), "limit": 12}
    plain = c.db.search(c.context(), c.name, SearchRequest(legs, **{**more, "limit": 40}))
    found = c.db.search(c.context(), c.name, SearchRequest(legs, mmr=Mmr(0.4), **more))
    order = chosen(plain.scores, gaussian(40)[[int(i) for i in plain.points.ids]], 0.4, 12)
    assert found.points.ids == [plain.points.ids[i] for i in order]
    assert plain.legs is not None
    assert found.legs is not None
    assert found.legs[1].ranks.tolist() == plain.legs[1].ranks[order].tolist()
    least = float(plain.scores[5])
    found = c.db.search(c.context(), c.name, SearchRequest(legs, mmr=Mmr(0.4), min_score=least, **more))
    assert sorted(found.points.ids) == sorted(plain.points.ids[:6])


def test_each_query_of_a_batch(bundles: Handle) -> None:
    queries = gaussian(4, seed=10)
    together = ask(bundles, queries, Mmr(0.5), limit=9)
    alone = [ask(bundles, query, Mmr(0.5), limit=9) for query in queries]
    assert together.points.ids == [i for one in alone for i in one.points.ids]
    assert len(ask(bundles, np.zeros((0, DIM)), Mmr(0.5)).counts) == 0


def test_nothing_is_found(c: Handle) -> None:
    assert ask(c, QUERY, Mmr(0.5)).points.ids == []


def test_explained(bundles: Handle) -> None:
    explain = ask(bundles, QUERY, Mmr(0.5), explain=True).explain
    assert explain is not None
    assert explain["mmr_ms"] >= 0


@pytest.mark.parametrize(
    ("error", "field", "expected", "more"),
    [
        (InvalidArgument, "mmr.relevance", "0..1", {"mmr": Mmr(1.1)}),
        (InvalidArgument, "mmr.relevance", "0..1", {"mmr": Mmr(math.nan)}),
        (InvalidArgument, "mmr.candidates", "1..1000", {"mmr": Mmr(0.5, 0)}),
        (InvalidArgument, "mmr.candidates", "1..1000", {"mmr": Mmr(0.5, 1_001)}),
        (FieldNotFound, "mmr.using", "''", {"mmr": Mmr(0.5, using="no")}),
        (InvalidArgument, "mmr", "mmr or group_by", {"mmr": Mmr(0.5), "group_by": GroupBy(("v",))}),
    ],
)
def test_what_cannot_be_chosen_by_is_refused(
    bundles: Handle, error: type[VecdbError], field: str, expected: str, more: dict[str, Any]
) -> None:
    with pytest.raises(error) as refused:
        ask(bundles, QUERY, **more)
    assert (refused.value.field, refused.value.expected) == (field, expected)
