"""Promise 3: exactly min(k, matches) hits, whatever the walk of a graph finds, deletions, ``ef`` and threshold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.engine.conftest import make
from tests.engine.handle import Handle, gaussian, names
from tests.engine.walk import Choice, farthest, nearest, walked
from vecdb.engine.database import Database
from vecdb.model.filter.expression import F
from vecdb.storage.memory import MemoryKV

N = 200
QUERY = gaussian(1, seed=9)[0]


@pytest.fixture
def sealed(open_db: Callable[..., Database]) -> Handle:
    """N points in one sealed segment."""
    c = make(open_db(kv=MemoryKV(), use_graphs=False, growing_rows=1_000))
    c.upsert(names(N), gaussian(N), [{"half": i % 2} for i in range(N)])
    c.seal()
    return c


def ranked(c: Handle) -> list[str]:
    """All live points, best first, by the definition of the cosine."""
    points = c.scroll()
    vectors = np.array([point.vector for point in points], dtype=np.float64)
    cosines = vectors @ QUERY / np.linalg.norm(vectors, axis=1)
    return [points[i].id for i in np.argsort(-cosines)]


@pytest.mark.parametrize("where", ["growing", "sealed", "walked"])
def test_the_k_nearest_of_what_lives(c: Handle, sealed: Handle, where: str) -> None:
    if where == "growing":
        c.upsert(names(11), gaussian(11))
        sealed = c
    walk = walked(sealed) if where == "walked" else None
    sealed.delete(*ranked(sealed)[:3], *ranked(sealed)[5:7])
    left = ranked(sealed)
    for k in (1, 2, 5, len(left) - 1, len(left), len(left) + 1, 2 * N):
        assert sealed.search(QUERY, limit=k, ef=1) == left[:k]
    assert walk is None or walk.walks > 0


@pytest.mark.parametrize("offset", [1, 7, N - 3, N, N + 5])
def test_a_window_into_the_ranking(sealed: Handle, offset: int) -> None:
    assert sealed.search(QUERY, limit=10, offset=offset) == ranked(sealed)[offset : offset + 10]


def test_where_the_walk_meets_the_dead_alone(sealed: Handle) -> None:
    walked(sealed)
    best = ranked(sealed)
    sealed.delete(*best[:80])
    assert sealed.search(QUERY, limit=5, ef=5) == best[80:85]
    both = sealed.answer([QUERY, -QUERY], limit=5, ef=5)
    assert both.counts.tolist() == [5, 5]
    assert both.points.ids == best[80:85] + best[:-6:-1]


@pytest.mark.parametrize("choice", [lambda order, n: order[: n // 3], lambda order, n: order[:0]])
def test_where_parts_of_the_graph_are_out_of_reach(sealed: Handle, choice: Choice) -> None:
    walk = walked(sealed, choice)
    assert sealed.search(QUERY, limit=5, ef=5) == ranked(sealed)[:5]
    assert walk.walks == 1


def test_where_the_walk_ends_far_away(sealed: Handle) -> None:
    """Approximate about which, never about how many."""
    walked(sealed, farthest)
    found = sealed.answer(QUERY, limit=5, ef=5)
    assert set(found.points.ids) == set(ranked(sealed)[-5:])


@pytest.mark.parametrize("choice", [nearest, farthest])
def test_a_threshold_never_costs_a_hit(sealed: Handle, choice: Choice) -> None:
    walk = walked(sealed, choice)
    scores = sealed.answer(QUERY, limit=N, exact=True).scores
    for above, limit in ((1, 5), (4, 5), (5, 5), (30, 5), (30, 40), (N, N)):
        answer = sealed.answer(QUERY, limit=limit, ef=1, min_score=float(scores[above - 1]))
        assert len(answer.points) == min(above, limit)
        assert (answer.scores >= scores[above - 1]).all()
    assert sealed.search(QUERY, min_score=1.0) == []
    assert walk.walks > 0


@pytest.mark.parametrize("choice", [nearest, farthest, lambda order, n: order[:1]])
def test_under_a_scope(sealed: Handle, choice: Choice) -> None:
    walked(sealed, choice)
    half = Handle(sealed.db, scope=(F("half") == 1))
    inside = [i for i in ranked(sealed) if int(i) % 2]
    assert half.count() == len(inside) == N // 2
    for k in (1, 10, N // 2, N):
        found = half.search(QUERY, limit=k, ef=1)
        assert len(found) == min(k, len(inside))
        assert set(found) <= set(inside)


def test_points_without_the_field_do_not_match(c: Handle) -> None:
    c.upsert(names(8), [None if i % 3 else gaussian(1, seed=i)[0] for i in range(8)])
    assert len(c.search(QUERY, limit=8)) == 3
    assert c.count() == 8
