"""Kinds of fusion, by their formulas and by what holds of all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecdb.engine.fusion import Fused, Given, fuse, shares
from vecdb.model.fusion import DistributionScore, Fusion, RelativeScore, Rrf

METHODS: list[Fusion] = [Rrf(1), Rrf(60), RelativeScore(), DistributionScore()]
SCORED: list[Fusion] = [RelativeScore(), DistributionScore()]

methods = st.sampled_from(METHODS)
floats = st.floats(-1e6, 1e6, width=32)
rankings = st.dictionaries(st.integers(0, 12), floats, max_size=8)
weights = st.floats(0.01, 100)
legs = st.lists(st.tuples(rankings, weights), min_size=1, max_size=4)
Ranking = dict[int, float]


def leg(*rankings: Ranking, weight: float = 1.0) -> Given:
    """What a leg gave each query: scores by row."""
    ranked = [sorted(hits.items(), key=lambda hit: (-hit[1], hit[0])) for hits in rankings]
    flat = [hit for hits in ranked for hit in hits]
    return Given(
        np.array([len(hits) for hits in ranked], dtype=np.int64),
        np.array([row for row, _ in flat], dtype=np.uint64),
        np.array([score for _, score in flat], dtype=np.float32),
        weight,
    )


def by_row(fused: Fused) -> dict[int, float]:
    return dict(zip(fused.rows.tolist(), fused.scores.tolist(), strict=True))


def fused(method: Fusion, given: Any, depth: int | None = None) -> dict[int, float]:
    """The fused scores of one query."""
    return by_row(fuse(method, [leg(hits, weight=weight) for hits, weight in given], depth))


# -- formulas


@pytest.mark.parametrize("k", [1, 60, 1000])
def test_reciprocal_ranks(k: int) -> None:
    found = fused(Rrf(k), [({7: 9, 3: 8, 5: 7}, 1.0), ({5: 2, 7: 1}, 2.5), ({}, 4.0), ({9: 0}, 0.5)])
    most = (1.0 + 2.5 + 4.0 + 0.5) / (k + 1)
    wanted = {
        3: 1.0 / (k + 2),
        5: 1.0 / (k + 3) + 2.5 / (k + 1),
        7: 1.0 / (k + 1) + 2.5 / (k + 2),
        9: 0.5 / (k + 1),
    }
    assert found == pytest.approx({row: share / most for row, share in wanted.items()}, rel=1e-6)


def test_relative_scores() -> None:
    """The first of each leg 1, its last 0, what it lacks 0; the mean of these by weight."""
    found = fused(RelativeScore(), [({1: 10, 2: 6, 3: 2}, 1.0), ({2: -1, 4: -2, 3: -5}, 3.0)])
    wanted = {1: 1 / 4, 2: 0.5 / 4 + 3 / 4, 3: 0.0, 4: 3 * 0.75 / 4}
    assert found == pytest.approx(wanted, abs=1e-6)


def test_distribution_scores() -> None:
    """Three standard deviations of the sample below the mean 0, above it 1; the mean of these by weight."""
    scores = [5.0, 4.0, 4.0, 1.0]
    mean, deviation = np.mean(scores), np.std(scores, ddof=1)
    found = fused(DistributionScore(), [(dict(enumerate(scores)), 2.0), ({0: 3.0, 9: 3.0}, 1.0)])
    share = {row: (score - mean + 3 * deviation) / (6 * deviation) for row, score in enumerate(scores)}
    wanted = {row: 2 / 3 * share[row] for row in share}
    wanted[0] += 0.5 / 3
    wanted[9] = 0.5 / 3
    assert found == pytest.approx(wanted, abs=1e-6)


def test_an_outlier_is_cut_off_at_three_deviations() -> None:
    found = fused(DistributionScore(), [({0: 1000.0, **dict.fromkeys(range(1, 40), 0.0)}, 1.0)])
    assert found[0] == 1.0
    assert 0 < found[1] < 0.5


@pytest.mark.parametrize(("method", "share"), [(RelativeScore(), 1.0), (DistributionScore(), 0.5)])
@pytest.mark.parametrize("score", [0.1, -3.0, 0.0, 1e30])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_equal_scores(method: Fusion, share: float, score: float, count: int) -> None:
    assert fused(method, [(dict.fromkeys(range(count), score), 1.0)]) == dict.fromkeys(range(count), share)
    assert fused(method, [(dict.fromkeys(range(count), score), 1.0), ({}, 3.0)])[0] == share / 4


@pytest.mark.parametrize("method", SCORED)
def test_behind_the_depth_the_scale_is_left_alone(method: Fusion) -> None:
    """So a leg that gives more leaves the scores of what it gave first as they were."""
    first = {row: 50.0 - 3 * row for row in range(5)}
    more = {**first, **{row: -(row**2) for row in range(8, 20)}}
    found, known = fused(method, [(more, 1.0)], depth=5), fused(method, [(first, 1.0)])
    assert {row: found[row] for row in first} == known
    least = min(known.values())
    assert all(found[row] <= least for row in more if row not in first)
    assert fused(method, [({1: 2.0, 2: 2.0, 3: 1.0}, 1.0)], depth=2)[3] == 0.0


# -- what holds of all


@given(methods, legs, st.one_of(st.none(), st.integers(1, 9)))
def test_range_and_rows(method: Fusion, given: Any, depth: int | None) -> None:
    found = fuse(method, [leg(hits, weight=weight) for hits, weight in given], depth)
    assert found.rows.tolist() == sorted(set().union(*(hits for hits, _ in given)))
    assert found.counts.tolist() == [len(found.rows)]
    assert found.scores.dtype == np.float32
    assert np.all((found.scores >= 0) & (found.scores <= 1))
    if isinstance(method, Rrf):
        assert np.all(found.scores > 0)


@given(methods, legs, st.one_of(st.none(), st.integers(1, 9)))
def test_no_worse_in_any_leg_is_no_worse(method: Fusion, given: Any, depth: int | None) -> None:
    found = fused(method, given, depth)
    ranks = [{row: -place for place, row in enumerate(leg(hits).rows.tolist())} for hits, _ in given]
    for a in found:
        for b in found:
            if all(rank.get(a, -99) >= rank.get(b, -99) for rank in ranks):
                assert found[a] >= found[b]


@given(methods, rankings, weights)
def test_one_leg_keeps_its_order(method: Fusion, hits: Ranking, weight: float) -> None:
    found = fused(method, [(hits, weight)])
    ordered = [found[row] for row in leg(hits).rows.tolist()]
    assert ordered == sorted(ordered, reverse=True)
    if hits and not isinstance(method, DistributionScore):
        assert ordered[0] == 1.0


@given(methods, legs)
def test_only_the_proportion_of_weights_matters(method: Fusion, given: Any) -> None:
    scaled = [(hits, 1e300 * weight) for hits, weight in given]
    assert fused(method, scaled) == pytest.approx(fused(method, given), abs=1e-6)


@given(methods, rankings, rankings)
def test_more_weight_brings_a_leg_nearer(method: Fusion, a: Ranking, b: Ranking) -> None:
    """With all the weight that there is, what is fused is what that leg says."""
    found, alone = fused(method, [(a, 1e9), (b, 1.0)]), fused(method, [(a, 1.0)])
    assert found == pytest.approx({**dict.fromkeys(b, 0.0), **alone}, abs=1e-6)


@given(methods, legs)
def test_a_leg_without_hits_only_takes_its_weight(method: Fusion, given: Any) -> None:
    total = sum(weight for _, weight in given)
    found = fused(method, [*given, ({}, total)])
    assert found == pytest.approx({row: score / 2 for row, score in fused(method, given).items()}, abs=1e-6)


@given(methods, legs)
def test_scores_of_legs_are_not_compared(method: Fusion, given: Any) -> None:
    """A leg may count in any unit."""
    other = [({row: 64 * score for row, score in hits.items()}, weight) for hits, weight in given]
    assert fused(method, other) == pytest.approx(fused(method, given), abs=1e-5)


@given(methods, st.lists(st.tuples(rankings, rankings), min_size=1, max_size=4), st.one_of(st.none(), st.just(3)))
def test_queries_are_fused_each_by_itself(method: Fusion, queries: Any, depth: int | None) -> None:
    first, second = leg(*(a for a, _ in queries)), leg(*(b for _, b in queries), weight=2.0)
    together = fuse(method, [first, second], depth)
    alone = [fuse(method, [leg(a), leg(b, weight=2.0)], depth) for a, b in queries]
    assert together.counts.tolist() == [int(one.counts[0]) for one in alone]
    assert together.rows.tolist() == [row for one in alone for row in one.rows.tolist()]
    assert together.scores.tolist() == pytest.approx([s for one in alone for s in one.scores.tolist()], abs=1e-6)
    for i in range(2):
        assert together.legs[i].ranks.tolist() == [r for one in alone for r in one.legs[i].ranks.tolist()]


@given(methods, legs)
def test_each_leg_says_its_rank_and_score(method: Fusion, given: Any) -> None:
    found = fuse(method, [leg(hits, weight=weight) for hits, weight in given])
    for (hits, _), says in zip(given, found.legs, strict=True):
        order = leg(hits).rows.tolist()
        assert says.ranks.tolist() == [order.index(row) + 1 if row in hits else 0 for row in found.rows.tolist()]
        wanted = [np.float32(hits.get(row, np.nan)) for row in found.rows.tolist()]
        np.testing.assert_array_equal(says.scores, np.array(wanted, dtype=np.float32))


@pytest.mark.parametrize("method", METHODS)
def test_no_hits_and_no_queries(method: Fusion) -> None:
    assert fused(method, [({}, 1.0), ({}, 1.0)]) == {}
    none = fuse(method, [leg(), leg()])
    assert (len(none.counts), len(none.rows), len(none.legs)) == (0, 0, 2)


@pytest.mark.parametrize("method", METHODS)
def test_shares_of_a_leg_with_gaps_between_queries(method: Fusion) -> None:
    given = leg({}, {1: 2.0, 2: 1.0}, {}, {3: 9.0}, {})
    assert shares(method, given).tolist() == [
        *shares(method, leg({1: 2.0, 2: 1.0})).tolist(),
        *shares(method, leg({3: 9.0})).tolist(),
    ]
