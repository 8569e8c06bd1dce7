"""Search in groups: exactly as many groups as match, each with exactly as many hits as match, and the best ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.conftest import make
from tests.engine.handle import TWO, Handle, gaussian, names
from tests.engine.mixed import Payload, collection, elements, histories, kind
from vecdb.engine import grouping
from vecdb.errors import InvalidArgument
from vecdb.model.filter.expression import F, key_of
from vecdb.model.query import Examples, GroupBy, Near, SearchAnswer, SearchRequest

SOME = F("v") >= 1
Groups = list[tuple[tuple[int, Any], list[str]]]


def ask(c: Handle, request: SearchRequest) -> SearchAnswer:
    return c.db.search(c.context(), c.name, request)


def grouped(c: Handle, vectors: Any, size: int, key: str = "v", **more: Any) -> list[Groups]:
    """For each query its groups: the value, as it is told from others, and the ids of its hits."""
    by = GroupBy(key_of(key), size)
    return read(ask(c, SearchRequest([Near(np.atleast_2d(vectors))], group_by=by, **more)))


def read(answer: SearchAnswer) -> list[Groups]:
    assert answer.groups is not None
    ids, out = iter(answer.points.ids), []
    assert answer.counts.tolist() == [sum(groups.hits) for groups in answer.groups]
    for groups in answer.groups:
        pairs = zip(groups.values, groups.hits, strict=True)
        out.append([(kind(value), [next(ids) for _ in range(count)]) for value, count in pairs])
    assert next(ids, None) is None
    return out


def expected(ranking: list[str], points: dict[str, Payload], limit: int, size: int) -> Groups:
    """What the groups of a whole ranking are."""
    groups: dict[tuple[int, Any], list[str]] = {}
    for point_id in ranking:
        for value in sorted(set(map(kind, elements(points[point_id])))):
            members = groups.setdefault(value, [])
            if len(members) < size:
                members.append(point_id)
    return list(groups.items())[:limit]


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first search sees hardly anything, so that it takes others."""
    monkeypatch.setattr(grouping, "LEAST_WIDTH", 1)
    monkeypatch.setattr(grouping, "SPREAD", 1)


shape = {"limit": st.integers(1, 12), "size": st.integers(1, 4)}


@given(history=histories, wide=st.booleans(), least=st.sampled_from([None, -0.2, 0.4]), **shape)
def test_as_the_whole_ranking_in_groups(
    tmp_path_factory: Any, history: Any, wide: bool, least: float | None, limit: int, size: int
) -> None:
    queries = gaussian(2, seed=5)
    with collection(history, tmp_path_factory.mktemp("db")) as (c, points), pytest.MonkeyPatch.context() as patch:
        if not wide:
            patch.setattr(grouping, "LEAST_WIDTH", 1)
            patch.setattr(grouping, "SPREAD", 1)
        for inside in (c, Handle(c.db, scope=SOME)):
            rankings = [inside.search(q, limit=10_000, exact=True, min_score=least) for q in queries]
            found = grouped(inside, queries, size, limit=limit, exact=True, min_score=least)
            assert found == [expected(ranking, points, limit, size) for ranking in rankings]
        rankings = [c.search(q, limit=10_000, exact=True, filter=SOME) for q in queries]
        found = grouped(c, queries, size, limit=limit, filter=SOME)
        for groups, ranking in zip(found, rankings, strict=True):
            whole = dict(expected(ranking, points, 10_000, size))
            assert len(groups) == min(limit, len(whole))
            assert all(len(members) == len(whole[value]) for value, members in groups)


@pytest.mark.usefixtures("narrow")
def test_groups_far_away_are_found_behind_near_ones(c: Handle) -> None:
    near, far = np.tile([1, 0, 0, 0.0], (300, 1)), np.tile([-1, 0.01, 0, 0.0], (3, 1))
    c.upsert(names(303), [*near, *far], [{"v": i % 2} for i in range(300)] + [{"v": "x"}, {"v": ["x", 0]}, {"v": None}])
    c.seal()
    groups = grouped(c, [1, 0, 0, 0], 3, limit=10)[0]
    assert [(value, len(members)) for value, members in groups] == [
        ((2, 0), 3),
        ((2, 1), 3),
        ((3, b"x"), 2),
        ((0, 0), 1),
    ]


@pytest.mark.usefixtures("narrow")
def test_a_group_with_one_point_nearby_is_filled_from_far_away(c: Handle) -> None:
    near, far = [[1, i / 1000, 0, 0] for i in range(300)], np.tile([-1, 0.01, 0, 0.0], (2, 1))
    c.upsert(names(302), [*near, *far], [{"v": int(i == 1 or i >= 300)} for i in range(302)])
    groups = grouped(c, [1, 0, 0, 0], 3, limit=2)[0]
    assert groups == [((2, 0), ["00000", "00002", "00003"]), ((2, 1), ["00001", "00300", "00301"])]


@pytest.mark.usefixtures("narrow")
def test_a_group_all_of_whose_points_are_in_a_nearer_one(c: Handle) -> None:
    vectors = [[1, i / 100, 0, 0] for i in range(30)]
    c.upsert(names(30), vectors, [{"v": "a"}] * 29 + [{"v": ["a", "b"]}])
    assert grouped(c, [1, 0, 0, 0], 1, limit=2)[0] == [((3, b"a"), ["00000"]), ((3, b"b"), ["00029"])]


@given(limit=st.integers(1, 8), size=st.integers(1, 4), wide=st.booleans(), k=st.sampled_from([1, 60]))
def test_legs_together(tmp_path_factory: Any, limit: int, size: int, wide: bool, k: int) -> None:
    """The numbers are those of everything that a leg can find; scores fall, and are within their range."""
    with collection([], tmp_path_factory.mktemp("db")) as (empty, _), pytest.MonkeyPatch.context() as patch:
        c = make(empty.db, TWO, "two")
        if not wide:
            patch.setattr(grouping, "LEAST_WIDTH", 1)
            patch.setattr(grouping, "SPREAD", 1)
        plain, image = gaussian(40, seed=1), gaussian(40, dim=3, seed=2)
        some = [image[i] if i % 3 else None for i in range(40)]
        payloads = [{"v": i % 5 if i < 30 else f"rare {i // 2}"} for i in range(39)] + [{}]
        c.upsert(names(40), {"": [None if i % 4 == 0 else plain[i] for i in range(40)], "image": some}, payloads)
        c.seal()
        legs = [Near(plain[:1]), Near(image[:1], "image", weight=2.0)]
        answer = ask(c, SearchRequest(legs, limit=limit, group_by=GroupBy(("v",), size)))
        groups = read(answer)[0]
        reached = [i for i in range(39) if i % 4 or i % 3]
        members: dict[Any, int] = {}
        for i in reached:
            members[kind(payloads[i]["v"])] = members.get(kind(payloads[i]["v"]), 0) + 1
        assert len(groups) == min(limit, len(members))
        assert [len(found) for _, found in groups] == [min(size, members[value]) for value, _ in groups]
        firsts = np.cumsum([0, *(len(found) for _, found in groups)])[:-1]
        assert list(answer.scores[firsts]) == sorted(answer.scores[firsts], reverse=True)
        assert np.all((answer.scores > 0) & (answer.scores <= 1))


def test_an_example_is_in_no_group(c: Handle) -> None:
    c.upsert(names(20), gaussian(20), [{"v": i % 2} for i in range(20)])
    near = Near(np.zeros((0, 0), dtype=np.float32), examples=[Examples(["00003"]), Examples(["00004"], ["00003"])])
    found = read(ask(c, SearchRequest([near], limit=2, group_by=GroupBy(("v",), 10))))
    assert [sorted(len(members) for _, members in groups) for groups in found] == [[9, 10], [9, 9]]
    assert "00003" not in {i for groups in found for _, members in groups for i in members}


def test_writes_do_not_confuse_groups(c: Handle) -> None:
    c.upsert(names(40), gaussian(40), [{"v": "old"}] * 40)
    c.seal()
    c.update(names(20), payloads=[{"v": "new"}] * 20)
    c.delete(*names(10))
    groups = dict(grouped(c, gaussian(1), 100, limit=10)[0])
    assert {value: sorted(members) for value, members in groups.items()} == {
        (3, b"new"): names(10, start=10),
        (3, b"old"): names(20, start=20),
    }


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("group_by.key", {"group_by": GroupBy(key_of("$id"))}),
        ("group_by.size", {"group_by": GroupBy(("v",), 0)}),
        ("group_by.size", {"group_by": GroupBy(("v",), 101)}),
        ("group_by.size", {"group_by": GroupBy(("v",), 100), "limit": 101}),
        ("offset", {"group_by": GroupBy(("v",)), "offset": 1}),
    ],
)
def test_what_cannot_be_grouped_is_refused(c: Handle, field: str, change: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument) as refused:
        ask(c, SearchRequest([Near(gaussian(1))], **change))
    assert refused.value.field == field


def test_explained(c: Handle) -> None:
    c.upsert(names(5), gaussian(5), [{"v": 1}, {}, {"v": 2}, {"v": 2}, {"v": 3}])
    by = GroupBy(("v",))
    answer = ask(c, SearchRequest([Near(gaussian(1))], group_by=by, explain=True))
    assert answer.explain is not None
    assert answer.explain["groups"] == {"searches": 1, "bodies_with_a_value": 4}
