"""Several legs: one list of what each gave, at its depth, within every filter; and what each says of the hits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.conftest import make
from tests.engine.handle import TWO, Handle, gaussian, names
from tests.engine.mixed import collection
from vecdb.engine.database import Database
from vecdb.engine.executor import LEAST_DEPTH, depth_of
from vecdb.model.filter.expression import F
from vecdb.model.fusion import DistributionScore, Fusion, RelativeScore, Rrf
from vecdb.model.modifier import Boost, Mmr
from vecdb.model.query import GroupBy, Near, SearchAnswer, SearchRequest

METHODS: list[Fusion] = [Rrf(), RelativeScore(), DistributionScore()]
N = 320
PLAIN, IMAGE = gaussian(N, seed=1), gaussian(N, dim=3, seed=2)


@pytest.fixture
def two(db: Database) -> Handle:
    """Points with one vector, the other or both; in sealed segments and the growing one."""
    c = make(db, TWO)
    fill(c)
    return c


def fill(c: Handle) -> None:
    """``n``: the number of a point; two of three are ``few`` no, and the few are those of low numbers."""
    vectors = {
        "": [None if i % 7 == 0 else PLAIN[i] for i in range(N)],
        "image": [None if i % 5 == 0 else IMAGE[i] for i in range(N)],
    }
    for start, stop in ((0, 200), (200, N)):
        some = {name: column[start:stop] for name, column in vectors.items()}
        payloads = [{"n": i, "few": i < 30, "v": i % 9} for i in range(start, stop)]
        c.upsert(names(stop - start, start), some, payloads)
        if not start:
            c.seal()


def test_a_leg_is_walked_as_widely_as_it_is_deep(two: Handle) -> None:
    legs = [Near(PLAIN[:1]), Near(IMAGE[:1], "image", depth=200)]
    told = ask(two, *legs, explain=True).explain
    assert told is not None
    assert [leg["ef"] for leg in told["legs"]] == [400, 800]
    for request, ef in (
        (SearchRequest(legs, ef=50, explain=True), 50),
        (SearchRequest(legs[:1], explain=True), 96),
        (SearchRequest(legs[:1], limit=100, explain=True), 400),
        (SearchRequest(legs[:1], limit=5_000, explain=True), 1_000),
    ):
        told = two.db.search(two.context(), two.name, request).explain
        assert told is not None
        assert told["legs"][0]["ef"] == ef


def ask(c: Handle, *legs: Near, **more: Any) -> SearchAnswer:
    return c.db.search(c.context(), c.name, SearchRequest(legs, **more))


def expected(
    c: Handle, method: Fusion, legs: Sequence[Near], depth: int, **more: Any
) -> dict[str, tuple[float, list[tuple[int, float]]]]:
    """Fused score by id, and rank and score in each leg, in plain words from a search of each leg."""
    total = sum(leg.weight for leg in legs)
    out: dict[str, tuple[float, list[tuple[int, float]]]] = {}
    for number, leg in enumerate(legs):
        found = ask(c, leg, limit=depth, exact=True, **more)
        scores = found.scores.astype(float).tolist()
        for rank, (point_id, score) in enumerate(zip(found.points.ids, scores, strict=True), 1):
            fused, says = out.get(point_id, (0.0, [(0, float("nan"))] * len(legs)))
            share = leg.weight / total * _share(method, rank, score, scores)
            out[point_id] = fused + share, [*says[:number], (rank, score), *says[number + 1 :]]
    return out


def _share(method: Fusion, rank: int, score: float, scores: list[float]) -> float:
    if isinstance(method, Rrf):
        return (method.k + 1) / (method.k + rank)
    if isinstance(method, RelativeScore):
        return (score - scores[-1]) / (scores[0] - scores[-1]) if scores[0] > scores[-1] else 1.0
    spread = 6 * float(np.std(scores, ddof=1)) if len(scores) > 1 else 0.0
    return min(1.0, max(0.0, (score - np.mean(scores)) / spread + 0.5)) if spread else 0.5


def legs_of(answer: SearchAnswer, hit: int) -> list[tuple[int, float]]:
    assert answer.legs is not None
    return [(int(leg.ranks[hit]), float(leg.scores[hit])) for leg in answer.legs]


def told(answer: SearchAnswer, start: int, stop: int) -> list[str]:
    """What the legs say of some hits, as texts: so NaN equals NaN."""
    return [repr(legs_of(answer, hit)) for hit in range(start, stop)]


def agrees(answer: SearchAnswer, wanted: dict[str, tuple[float, list[tuple[int, float]]]]) -> None:
    """Every hit has the score, ranks and scores of legs that it should; and they are in order."""
    for hit, point_id in enumerate(answer.points.ids):
        score, says = wanted[point_id]
        assert answer.scores[hit] == pytest.approx(score, abs=1e-5)
        assert [rank for rank, _ in legs_of(answer, hit)] == [rank for rank, _ in says]
        assert [s for _, s in legs_of(answer, hit)] == pytest.approx([s for _, s in says], abs=1e-6, nan_ok=True)
    pairs = list(zip((-answer.scores).tolist(), answer.points.ids, strict=True))
    assert pairs == sorted(pairs)


LEGS = [Near(gaussian(1, seed=8), weight=2.0), Near(gaussian(1, dim=3, seed=9), "image")]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("limit", [1, 30, 150, 320])
def test_as_the_legs_one_by_one(two: Handle, method: Fusion, limit: int) -> None:
    wanted = expected(two, method, LEGS, max(LEAST_DEPTH, limit))
    answer = ask(two, *LEGS, fusion=method, limit=limit, exact=True)
    agrees(answer, wanted)
    best = sorted((score for score, _ in wanted.values()), reverse=True)
    assert answer.scores.tolist() == pytest.approx(best[:limit], abs=1e-5)
    assert answer.distances is None


@pytest.mark.parametrize("method", METHODS)
def test_a_window_into_the_fusion(two: Handle, method: Fusion) -> None:
    whole = ask(two, *LEGS, fusion=method, limit=60, exact=True)
    some = ask(two, *LEGS, fusion=method, limit=20, offset=40, exact=True)
    assert some.points.ids == whole.points.ids[40:]
    assert told(some, 0, 20) == told(whole, 40, 60)


@pytest.mark.parametrize("method", METHODS)
def test_a_threshold_is_one_of_the_fused_score(two: Handle, method: Fusion) -> None:
    whole = ask(two, *LEGS, fusion=method, limit=150, exact=True)
    for least in (0.0, float(whole.scores[20]), 0.99, 1.0):
        found = ask(two, *LEGS, fusion=method, limit=150, exact=True, min_score=least)
        assert found.points.ids == whole.points.ids[: int(np.count_nonzero(whole.scores >= least))]


def test_equal_fused_scores_stand_by_id_at_every_cut(c: Handle) -> None:
    """Legs with nothing in common, whose hits are equal in pairs; also of several queries."""
    c.upsert(names(40)[::-1], gaussian(40))
    c.seal()
    a, b = (Near(gaussian(2, seed=3), filter=F("$id") < "00020"), Near(gaussian(2, seed=4), filter=F("$id") >= "00020"))
    whole = ask(c, a, b, limit=40, exact=True)
    ends = np.cumsum(whole.counts).tolist()
    runs = [whole.points.ids[end - 40 : end] for end in ends]
    for run, end in zip(runs, ends, strict=True):
        pairs = list(zip((-whole.scores[end - 40 : end]).tolist(), run, strict=True))
        assert pairs == sorted(pairs)
        assert len({score for score, _ in pairs}) == 20
    for limit in range(1, 40):
        assert ask(c, a, b, limit=limit, exact=True).points.ids == [i for run in runs for i in run[:limit]]


def test_one_leg_is_not_fused(two: Handle) -> None:
    answer = ask(two, LEGS[0], fusion=RelativeScore())
    assert answer.legs is None
    assert answer.distances is not None
    assert answer.scores.tolist() == two.answer(LEGS[0].vectors).scores.tolist()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sealed", [False, True])
def test_a_filter_never_starves_a_leg(two: Handle, method: Fusion, sealed: bool) -> None:
    """Each leg gives min(depth, matches), of the request's filter, its own and the query's; walked or scanned."""
    if sealed:
        two.seal()
    few = F("few") == True  # noqa: E712
    for limit in (5, 30):
        for narrowed in ({"filter": few}, {"query_filters": [few]}):
            answer = ask(two, *LEGS, fusion=method, limit=limit, **narrowed)
            wanted = expected(two, method, LEGS, LEAST_DEPTH, filter=few)
            agrees(answer, wanted)
            assert len(answer.points.ids) == min(limit, len(wanted))
    own = [Near(leg.vectors, leg.using, leg.weight, filter=few) for leg in LEGS[:1]] + LEGS[1:]
    answer = ask(two, *own, fusion=method, limit=N, exact=True)
    assert answer.legs is not None
    matching = sum(1 for i in range(30) if i % 7)
    assert np.count_nonzero(answer.legs[0].ranks) == matching == answer.legs[0].ranks.max()


def test_each_query_has_its_own_legs(two: Handle) -> None:
    queries = [Near(gaussian(3, seed=8)), Near(gaussian(3, dim=3, seed=9), "image")]
    filters = [None, F("n") < 100, None]
    together = ask(two, *queries, limit=12, query_filters=filters, fusion=RelativeScore())
    ends = np.cumsum(together.counts).tolist()
    for query, end in enumerate(ends):
        legs = [leg.cut(query, query + 1) for leg in queries]
        alone = ask(two, *legs, limit=12, filter=filters[query], fusion=RelativeScore())
        assert together.points.ids[end - 12 : end] == alone.points.ids
        assert told(together, end - 12, end) == told(alone, 0, 12)


@pytest.mark.parametrize(
    ("more", "depth"),
    [
        ({}, 100),
        ({"limit": 100}, 100),
        ({"limit": 90, "offset": 20}, 110),
        ({"limit": 10_000}, 10_000),
        ({"modifiers": [Boost(("n",), 1.0)]}, 100),
        ({"modifiers": [Boost(("n",), 1.0)], "limit": 20, "offset": 10}, 120),
        ({"modifiers": [Boost(("n",), 1.0)], "limit": 9_000}, 10_000),
        ({"mmr": Mmr(0.5)}, 100),
        ({"mmr": Mmr(0.5, candidates=700)}, 700),
        ({"mmr": Mmr(0.5, candidates=5), "limit": 200}, 800),
    ],
)
def test_how_many_hits_a_leg_gives(more: dict[str, Any], depth: int) -> None:
    assert depth_of(SearchRequest(LEGS, **more), LEGS[0]) == depth
    told = Near(LEGS[0].vectors, depth=300)
    window = more.get("limit", 10) + more.get("offset", 0)
    assert depth_of(SearchRequest([told, LEGS[1]], **more), told) == max(300, window)


# -- in groups


@pytest.mark.parametrize("method", METHODS)
def test_hits_in_groups_say_the_same(two: Handle, method: Fusion) -> None:
    """In groups a leg is asked for as many as may be needed, and its scores are stretched over those."""
    answer = ask(two, *LEGS, fusion=method, limit=6, exact=True, group_by=GroupBy(("v",), 4))
    wanted = expected(two, method, LEGS, 100)
    assert answer.groups is not None
    assert [len(group.values) for group in answer.groups] == [6]
    for hit, point_id in enumerate(answer.points.ids):
        score, says = wanted[point_id]
        assert answer.scores[hit] == pytest.approx(score, abs=1e-5)
        assert [rank for rank, _ in legs_of(answer, hit)] == [rank for rank, _ in says]


@given(method=st.sampled_from(METHODS), limit=st.integers(1, 8), size=st.integers(1, 4), least=st.floats(0, 0.9))
def test_groups_of_all_kinds_of_fusion(
    tmp_path_factory: Any, method: Fusion, limit: int, size: int, least: float
) -> None:
    """However far a group is; a threshold takes away from the end alone."""
    with collection([], tmp_path_factory.mktemp("db")) as (empty, _), pytest.MonkeyPatch.context() as patch:
        patch.setattr("vecdb.engine.grouping.LEAST_WIDTH", 1)
        patch.setattr("vecdb.engine.grouping.SPREAD", 1)
        c = make(empty.db, TWO, "two")
        payloads = [{"v": i % 5 if i < 30 else f"rare {i // 2}"} for i in range(40)]
        c.upsert(names(40), {"": PLAIN[:40], "image": IMAGE[:40]}, payloads)
        c.seal()
        by = GroupBy(("v",), size)
        whole = ask(c, *LEGS, fusion=method, limit=limit, group_by=by)
        members = dict.fromkeys(range(5), 6) | {f"rare {i}": 2 for i in range(15, 20)}
        assert whole.groups is not None
        (groups,) = whole.groups
        assert len(groups.values) == limit
        assert list(groups.hits) == [min(size, members[value]) for value in groups.values]
        assert np.all((whole.scores >= 0) & (whole.scores <= 1))
        cut = ask(c, *LEGS, fusion=method, limit=limit, group_by=by, min_score=least)
        assert cut.points.ids == [i for i, s in zip(whole.points.ids, whole.scores, strict=True) if float(s) >= least]
        assert cut.groups is not None
        assert sum(cut.groups[0].hits) == len(cut.points.ids)
        assert 0 not in cut.groups[0].hits


def test_no_queries_in_groups(two: Handle) -> None:
    none = np.zeros((0, 4), dtype=np.float32)
    answer = ask(two, Near(none), group_by=GroupBy(("v",)))
    assert (len(answer.counts), answer.groups) == (0, [])
