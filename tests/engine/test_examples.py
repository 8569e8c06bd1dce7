"""Search by id: the vector between examples, hits without the examples, and exactly as many as there are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.engine.conftest import make
from tests.engine.handle import DIM, TWO, Handle, gaussian, names
from tests.engine.mixed import collection
from vecdb.engine.database import Database
from vecdb.errors import FieldNotFound, InvalidArgument, InvalidVector, PointNotFound, VecdbError
from vecdb.model.filter.expression import F
from vecdb.model.query import NO_VECTORS, Examples, Near, SearchAnswer, SearchRequest
from vecdb.model.schema import METRICS, Schema, VectorField

N = 40


def near(*queries: Examples, **more: Any) -> Near:
    return Near(NO_VECTORS, examples=queries, **more)


def ask(c: Handle, *legs: Near, **more: Any) -> SearchAnswer:
    return c.db.search(c.context(), c.name, SearchRequest(legs, **more))


def by_query(answer: SearchAnswer) -> list[list[str]]:
    ends = np.cumsum(answer.counts).tolist()
    return [answer.points.ids[end - count : end] for end, count in zip(ends, answer.counts.tolist(), strict=True)]


def between(metric: str, positive: NDArray[Any], negative: NDArray[Any]) -> NDArray[Any]:
    """The vector searched for, in plain words."""
    if metric == "cosine":
        positive, negative = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (positive, negative))
    return 2 * positive.mean(0) - negative.mean(0) if len(negative) else positive.mean(0)


ids = st.lists(st.sampled_from(names(N)), max_size=3)
queries = st.lists(st.tuples(ids.filter(bool), ids), min_size=1, max_size=3)


@given(metric=st.sampled_from(METRICS), asked=queries, limit=st.sampled_from([1, 7, 100]), exact=st.booleans())
def test_as_a_search_for_the_vector_between(
    tmp_path_factory: Any, metric: Any, asked: Any, limit: int, exact: bool
) -> None:
    with collection([], tmp_path_factory.mktemp("db")) as (empty, _):
        c = make(empty.db, Schema({"": VectorField(DIM, metric)}), "m")
        vectors = gaussian(N, seed=3)
        c.upsert(names(N // 2), vectors[: N // 2])
        c.seal()
        c.upsert(names(N // 2, N // 2), vectors[N // 2 :])
        c.update(names(5), payloads=[{}] * 5)
        found = ask(c, near(*(Examples(a, b) for a, b in asked)), limit=limit, exact=exact)
        for hits, (positive, negative) in zip(by_query(found), asked, strict=True):
            target = between(
                metric, *(vectors[[int(i) for i in some]].reshape(-1, DIM) for some in (positive, negative))
            )
            ranking = [i for i in c.search(target, limit=1_000, exact=True) if i not in {*positive, *negative}]
            assert len(hits) == min(limit, N - len({*positive, *negative}))
            if exact:
                assert hits == ranking[:limit]


def test_of_every_leg_and_of_min_score(db: Database) -> None:
    c = make(db, TWO)
    c.upsert(names(30), {"": gaussian(30), "image": gaussian(30, dim=3)})
    found = ask(c, near(Examples(["00001"])), near(Examples(["00002"]), using="image"), limit=100)
    assert sorted(found.points.ids) == [i for i in names(30) if i not in ("00001", "00002")]
    found = ask(c, near(Examples(["00001"])), Near(gaussian(1, dim=3), "image"), limit=29)
    assert sorted(found.points.ids) == [i for i in names(30) if i != "00001"]
    whole = ask(c, near(Examples(["00001"])), limit=100)
    some = ask(c, near(Examples(["00001"])), limit=100, min_score=0.2)
    assert some.points.ids == whole.points.ids[: int((whole.scores >= 0.2).sum())]
    assert ask(c, near(Examples(["00001"])), limit=3, offset=2).points.ids == whole.points.ids[2:5]


@pytest.fixture
def some(db: Database) -> Handle:
    c = make(db, TWO)
    c.upsert(["a", "b", "c"], {"": gaussian(3)}, [{"mine": True}, {"mine": False}, None])
    c.upsert(["left", "right"], {"": [[1, 2, 3, 4], [-1, -2, -3, -4]]})
    return c


@pytest.mark.parametrize(
    ("error", "field", "leg"),
    [
        (PointNotFound, "legs[0].near.examples.queries[1].negative[1]", near(Examples("a"), Examples("a", ["b", "x"]))),
        (PointNotFound, "legs[0].near.examples.queries[0].positive[0]", near(Examples("a"), using="image")),
        (InvalidArgument, "legs[0].near.examples.queries[0].positive", near(Examples([], ["a"]))),
        (InvalidArgument, "legs[0].near.examples.queries[0].positive[1]", near(Examples(["a", ""]))),
        (InvalidArgument, "legs[0].near.examples.queries[0]", near(Examples(["a"] * 1_001))),
        (InvalidVector, "legs[0].near.examples.queries[0]", near(Examples(["left", "right"]))),
        (FieldNotFound, "legs[0].using", near(Examples("a"), using="no")),
    ],
)
def test_what_cannot_be_an_example_is_refused(some: Handle, error: type[VecdbError], field: str, leg: Near) -> None:
    with pytest.raises(error) as refused:
        ask(some, leg)
    assert refused.value.field == field


def test_an_example_outside_the_scope_does_not_exist(some: Handle) -> None:
    mine = Handle(some.db, scope=F("mine") == True)  # noqa: E712
    assert ask(mine, near(Examples(["a"]))).points.ids == []
    with pytest.raises(PointNotFound, match="'b'"):
        ask(mine, near(Examples(["b"])))


def test_an_example_that_was_deleted_or_updated(some: Handle) -> None:
    some.update(["a"], payloads=[{"n": 1}])
    assert ask(some, near(Examples(["a"])), limit=9).counts.tolist() == [4]
    some.delete("a")
    with pytest.raises(PointNotFound):
        ask(some, near(Examples(["a"])))
