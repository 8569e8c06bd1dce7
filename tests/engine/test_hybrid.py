"""Words and vectors together: each leg gives what it finds alone; in groups, and with changed scores."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.engine.conftest import make
from tests.engine.handle import DIM, Handle, gaussian, names
from vecdb.engine.database import Database
from vecdb.model.filter.expression import F
from vecdb.model.fusion import DistributionScore, Fusion, RelativeScore, Rrf
from vecdb.model.keyword import Keyword
from vecdb.model.modifier import Boost, Mmr
from vecdb.model.query import NO_VECTORS, Examples, GroupBy, Leg, Near, SearchAnswer, SearchRequest
from vecdb.model.schema import Schema, TextField, VectorField

METHODS: list[Fusion] = [Rrf(), RelativeScore(), DistributionScore()]
N = 150
WORDS = ["red", "green", "blue", "night", "day", "of", "the", "sea"]
NEAR, TEXT = Near(gaussian(1, seed=5)), Keyword(["red sea night"], weight=2.0)


@pytest.fixture
def c(db: Database) -> Handle:
    """Points with a vector, a text or both; sealed and growing, some updated, some deleted."""
    c = make(db, Schema({"": VectorField(DIM)}, {"": TextField("whitespace")}), "words")
    rng = np.random.default_rng(3)
    texts = [None if i % 11 == 0 else " ".join(rng.choice(WORDS, size=1 + i % 6)) for i in range(N)]
    vectors = [None if i % 7 == 0 else vector for i, vector in enumerate(gaussian(N))]
    payloads = [{"v": i % 5, "rare": i // 30} for i in range(N)]
    c.upsert(names(100), vectors[:100], payloads[:100], texts=texts[:100])
    c.seal()
    c.upsert(names(N - 100, start=100), vectors[100:], payloads[100:], texts=texts[100:])
    c.update(names(10, start=50), payloads=[{"new": True}] * 10)
    c.delete(*names(20, start=90))
    return c


def ask(c: Handle, *legs: Leg, **more: Any) -> SearchAnswer:
    return c.db.search(c.context(), c.name, SearchRequest(legs, **more))


def by_id(answer: SearchAnswer) -> dict[str, float]:
    return dict(zip(answer.points.ids, answer.scores.tolist(), strict=True))


def says(answer: SearchAnswer, leg: int) -> dict[str, tuple[int, float]]:
    """Rank and score in a leg by id, of the hits that it gave."""
    assert answer.legs is not None
    columns = answer.legs[leg]
    pairs = zip(answer.points.ids, columns.ranks.tolist(), columns.scores.tolist(), strict=True)
    return {point_id: (rank, score) for point_id, rank, score in pairs if rank}


def alone(c: Handle, leg: Leg, limit: int, **more: Any) -> dict[str, tuple[int, float]]:
    answer = ask(c, leg, limit=limit, **more)
    return {i: (rank, float(s)) for rank, (i, s) in enumerate(zip(answer.points.ids, answer.scores, strict=True), 1)}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("more", [{}, {"filter": F("v") <= 2}, {"query_filters": [F("v") == 1]}])
def test_each_leg_gives_what_it_finds_alone(c: Handle, method: Fusion, more: dict[str, Any]) -> None:
    answer = ask(c, NEAR, TEXT, fusion=method, limit=N, exact=True, **more)
    assert answer.distances is None
    for number, leg in enumerate((NEAR, TEXT)):
        assert says(answer, number) == alone(c, leg, N, exact=True, **more)
    assert len(answer.points.ids) == len(says(answer, 0).keys() | says(answer, 1).keys())
    pairs = list(zip((-answer.scores).tolist(), answer.points.ids, strict=True))
    assert pairs == sorted(pairs)


def test_the_fused_score(c: Handle) -> None:
    answer = ask(c, NEAR, TEXT, fusion=RelativeScore(), limit=N, exact=True)
    found = [says(answer, 0), says(answer, 1)]
    for point_id, score in by_id(answer).items():
        wanted = 0.0
        for leg, weight in zip(found, (1.0, 2.0), strict=True):
            scores = [s for _, s in leg.values()]
            share = (leg[point_id][1] - min(scores)) / (max(scores) - min(scores)) if point_id in leg else 0.0
            wanted += weight / 3 * share
        assert score == pytest.approx(wanted, abs=1e-6)


def test_words_that_nobody_has_leave_the_other_leg(c: Handle) -> None:
    plain = ask(c, NEAR, limit=20)
    for words in ("nobody", "...", ""):
        answer = ask(c, NEAR, Keyword([words]), limit=20)
        assert answer.points.ids == plain.points.ids
        assert says(answer, 1) == {}
    assert ask(c, NEAR, Keyword([""]), limit=20).warnings == ask(c, Keyword([""]), limit=20).warnings != []


def test_queries_with_filters_of_their_own(c: Handle) -> None:
    """Searched together by filter, and answered each in its place."""
    near, text = Near(gaussian(4, seed=6)), Keyword(["red", "", "sea the", "night"])
    filters = [F("v") == 1, None, F("v") == 1, F("v") == 3]
    together = ask(c, near, text, limit=9, query_filters=filters, fusion=RelativeScore())
    ends = np.cumsum(together.counts).tolist()
    for query, (end, count) in enumerate(zip(ends, together.counts.tolist(), strict=True)):
        legs = near.cut(query, query + 1), text.cut(query, query + 1)
        one = ask(c, *legs, limit=9, filter=filters[query], fusion=RelativeScore())
        assert together.points.ids[end - count : end] == one.points.ids
        assert together.scores[end - count : end].tolist() == one.scores.tolist()
    assert len(together.warnings) == 1


def test_no_queries(c: Handle) -> None:
    near = Near(np.zeros((0, DIM), dtype=np.float32))
    some: list[dict[str, Any]] = [{"group_by": GroupBy(("v",))}, {"mmr": Mmr(0.5)}, {"modifiers": [Boost(("v",), 1.0)]}]
    asked: list[list[Leg]] = [[Keyword([])], [near], [near, Keyword([])]]
    for legs in asked:
        for more in ({}, {"query_filters": []}, *some):
            assert ask(c, *legs, **more).counts.tolist() == []


def test_examples_are_hits_of_no_leg(c: Handle) -> None:
    answer = ask(c, Near(NO_VECTORS, examples=[Examples(["00003"])]), TEXT, limit=N)
    assert "00003" not in answer.points.ids
    assert "00003" in alone(c, TEXT, N)


# -- in groups


@pytest.mark.parametrize("legs", [[TEXT], [NEAR, TEXT], [TEXT, Keyword(["green"])]], ids=["words", "both", "twice"])
@pytest.mark.parametrize("wide", [True, False])
def test_groups(c: Handle, monkeypatch: pytest.MonkeyPatch, legs: list[Leg], wide: bool) -> None:
    """Exactly as many groups and hits as there are, also where the first search does not reach them."""
    if not wide:
        monkeypatch.setattr("vecdb.engine.grouping.LEAST_WIDTH", 1)
        monkeypatch.setattr("vecdb.engine.grouping.SPREAD", 1)
    matching = ask(c, *legs, limit=N, exact=True)
    members: dict[int, list[str]] = {}
    for point_id in matching.points.ids:
        value = c.payload(point_id).get("rare")
        if value is not None:
            members.setdefault(value, []).append(point_id)
    for limit, size in ((10, 3), (2, 4), (3, 100)):
        answer = ask(c, *legs, limit=limit, exact=True, group_by=GroupBy(("rare",), size))
        assert answer.groups is not None
        (groups,) = answer.groups
        assert len(groups.values) == min(limit, len(members))
        assert list(groups.hits) == [min(size, len(members[value])) for value in groups.values]
        ends = np.cumsum(groups.hits).tolist()
        for value, end, count in zip(groups.values, ends, groups.hits, strict=True):
            ids = answer.points.ids[end - count : end]
            assert set(ids) <= set(members[value])
            if len(legs) == 1:
                assert ids == members[value][:count]
        if len(legs) == 1:
            assert answer.legs is None
        elif wide:
            assert all(says(answer, number).keys() <= alone(c, leg, N).keys() for number, leg in enumerate(legs))


# -- a second stage


def test_changed_and_chosen(c: Handle) -> None:
    plain = ask(c, TEXT, limit=N)
    boosted = ask(c, TEXT, limit=N, modifiers=[Boost(("v",), 0.5)])
    wanted = {i: s + 0.5 * math.log1p(c.payload(i).get("v", 0)) for i, s in by_id(plain).items()}
    assert by_id(boosted) == pytest.approx(wanted, rel=1e-5)
    assert boosted.distances is None
    chosen = ask(c, TEXT, limit=10, mmr=Mmr(0.3))
    assert by_id(chosen).items() <= by_id(plain).items()
    assert chosen.points.ids != plain.points.ids[:10]
    both = ask(c, NEAR, TEXT, limit=10, mmr=Mmr(0.3), modifiers=[Boost(("v",), 0.5)], fusion=RelativeScore())
    whole = ask(c, NEAR, TEXT, limit=N, modifiers=[Boost(("v",), 0.5)], fusion=RelativeScore())
    assert says(both, 1).items() <= says(whole, 1).items()
