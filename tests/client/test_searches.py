"""How searches are put together, and what is refused before anything is sent."""

from __future__ import annotations

import numpy as np
import pytest

from vecdb.client import searching, split
from vecdb.client.near import Near
from vecdb.errors import InvalidArgument
from vecdb.model.point import Select
from vecdb.model.query import Rrf, SearchRequest

DEFAULTS = {
    "using": None,
    "model": None,
    "limit": 10,
    "offset": 0,
    "ef": None,
    "exact": False,
    "min_score": None,
    "fusion": None,
    "select": Select(),
    "explain": False,
}


def search(vector: object = None, legs: object = None, **more: object) -> SearchRequest:
    return searching.search(vector, legs, **{**DEFAULTS, **more})  # type: ignore[arg-type]


def test_one_vector() -> None:
    request = search([1, 2], using="image", model="clip", limit=np.int64(3), ef=50, exact=True, min_score=1)
    (leg,) = request.legs
    assert (leg.using, leg.model, leg.vectors.tolist()) == ("image", "clip", [[1, 2]])
    assert (request.limit, request.ef, request.exact, request.min_score) == (3, 50, True, 1.0)
    assert type(request.limit) is int


def test_several_legs() -> None:
    request = search(legs=[Near([1], weight=2, depth=5), Near(np.ones(3), using="b", model="m")], fusion=Rrf(5))
    first, second = request.legs
    assert (first.weight, first.depth, first.using, first.model) == (2.0, 5, None, None)
    assert (second.vectors.shape, second.using, second.model) == ((1, 3), "b", "m")
    assert request.fusion.k == 5


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "vector"),
        ({"vector": [1], "legs": [Near([1])]}, "vector"),
        ({"legs": []}, "legs"),
        ({"legs": [Near([1])] * 17}, "legs"),
        ({"legs": [[1, 2]]}, "legs[0]"),
        ({"legs": [Near([1]), Near([[1], [2]])]}, "legs[1].vector"),
        ({"legs": [Near([1], weight=0)]}, "legs[0].weight"),
        ({"legs": [Near([1], weight=float("nan"))]}, "legs[0].weight"),
        ({"legs": [Near([1], weight="a")]}, "legs[0].weight"),
        ({"legs": [Near([1], depth=0)]}, "legs[0].depth"),
        ({"legs": [Near([1], depth=1.5)]}, "legs[0].depth"),
        ({"legs": [Near([1])], "using": "a"}, "using"),
        ({"vector": [1, float("nan")]}, "vector[0]"),
        ({"vector": [1], "limit": 0}, "limit"),
        ({"vector": [1], "limit": True}, "limit"),
        ({"vector": [1], "limit": 2.0}, "limit"),
        ({"vector": [1], "limit": 9_999, "offset": 2}, "limit"),
        ({"vector": [1], "offset": -1}, "offset"),
        ({"vector": [1], "ef": 0}, "ef"),
        ({"vector": [1], "ef": 10_001}, "ef"),
        ({"vector": [1], "min_score": float("inf")}, "min_score"),
        ({"vector": [1], "min_score": "high"}, "min_score"),
        ({"vector": [1], "fusion": "rrf"}, "fusion"),
        ({"vector": [1], "fusion": Rrf(0)}, "fusion.k"),
    ],
)
def test_what_is_wrong_is_refused(given: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        search(**given)
    assert refused.value.field == field


def test_a_batch_is_one_leg_of_many_queries() -> None:
    request = searching.search_batch(np.ones((5, 3)), **DEFAULTS)
    assert request is not None
    assert request.queries == 5
    for nothing in ([], np.zeros((0, 3)), iter(())):
        assert searching.search_batch(nothing, **DEFAULTS) is None


def test_a_batch_is_split_where_question_or_answer_would_not_fit() -> None:
    request = searching.search_batch(np.arange(60).reshape(20, 3), **{**DEFAULTS, "limit": 7})
    assert request is not None
    for message_bytes, hits, sizes in [
        (1 << 20, 10_000, [20]),
        (1 << 20, 50, [7, 7, 6]),
        (split.MESSAGE_OVERHEAD + 12 * 8, 10_000, [8, 8, 4]),
        (1, 1, [1] * 20),
    ]:
        parts = split.queries(request, message_bytes, hits)
        assert [part.queries for part in parts] == sizes
        together = np.concatenate([part.legs[0].vectors for part in parts])
        assert np.array_equal(together, request.legs[0].vectors)
        assert all(part.limit == 7 for part in parts)
