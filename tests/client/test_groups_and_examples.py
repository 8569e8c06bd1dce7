"""Groups, and searches by id: every test runs embedded and over gRPC, blocking and awaited."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pytest

from vecdb import Near, errors
from vecdb.client import split
from vecdb.client.client import Client
from vecdb.client.collection import Collection
from vecdb.model.query import NO_VECTORS, Examples, GroupBy, SearchRequest
from vecdb.model.query import Near as Leg

SOURCES: list[Any] = ["a", "a", "a", "b", 1, 1.0, True, ["b", "c"], [], None]


@pytest.fixture
def filled(docs: Collection) -> Collection:
    docs.upsert(range(10), [[1, i / 10, 0, 0] for i in range(10)], payloads=[{"source": s} for s in SOURCES])
    docs.upsert(["none"], [[1, 0, 0, 0]])
    return docs


def shown(groups: Any) -> list[tuple[type, Any, list[str]]]:
    return [(type(group.value), group.value, [hit.id for hit in group.hits]) for group in groups]


ALL = [
    (str, "a", ["0", "1"]),
    (str, "b", ["3", "7"]),
    (int, 1, ["4", "5"]),
    (bool, True, ["6"]),
    (str, "c", ["7"]),
    (type(None), None, ["9"]),
]


def test_groups(filled: Collection) -> None:
    found = filled.search([1, 0, 0, 0], group_by="source", group_size=2)
    assert shown(found.groups) == ALL
    assert found.ids == [i for _, _, ids in ALL for i in ids]
    assert [hit for group in found.groups or () for hit in group.hits] == list(found)
    assert shown(filled.search([1, 0, 0, 0], group_by=["source"], group_size=2, limit=3).groups) == ALL[:3]
    narrowed = filled.search([1, 0, 0, 0], group_by="source", group_size=1, filter={"source": {"$in": ["b", 1]}})
    assert shown(narrowed.groups) == [(str, "b", ["3"]), (int, 1, ["4"]), (str, "c", ["7"])]
    assert filled.search([1, 0, 0, 0]).groups is None
    assert filled.search([1, 0, 0, 0], group_by="nothing").groups == []


def test_groups_of_a_batch(filled: Collection) -> None:
    queries = [[1, 0, 0, 0], [1, 0.9, 0, 0]]
    wanted = [filled.search(query, group_by="source", limit=3) for query in queries]
    found = filled.search_batch(queries, group_by="source", limit=3)
    assert [shown(result.groups) for result in found] == [shown(result.groups) for result in wanted]
    filters = [{"source": "a"}, None]
    narrowed = filled.search_batch(queries, group_by="source", limit=3, filters=filters)
    assert [shown(result.groups) for result in narrowed] == [
        [(str, "a", ["0", "1", "2"])],
        shown(wanted[1].groups),
    ]


def test_groups_of_legs_print_as_a_table(filled: Collection) -> None:
    found = filled.search(legs=[Near([1, 0, 0, 0]), Near(id=9)], group_by="source", limit=2, group_size=1)
    assert [len(group.hits) for group in found.groups or ()] == [1, 1]
    assert repr(found).splitlines()[0].split() == "group id score leg 0 leg 1 payload".split()
    assert "9" not in found.ids


def test_by_id(filled: Collection) -> None:
    assert filled.search(id=0, limit=3).ids == ["none", "1", "2"]
    assert len(filled.search(id="0", limit=100)) == 10
    assert filled.search(id=[0, "9"], limit=2).ids == ["4", "3"]
    assert filled.search(id=[4], unlike=[0], limit=1).ids == ["9"]
    assert filled.search(id=4, unlike=9, limit=1).ids == ["1"]
    assert filled.search(legs=[Near(id=4, unlike=[9])], limit=1).ids == ["1"]
    single = [filled.search(id=i, limit=3).ids for i in ("0", ["1", "2"], 9)]
    assert [result.ids for result in filled.search_batch(ids=["0", ["1", "2"], 9], limit=3)] == single
    assert [result.ids for result in filled.search_batch(ids=np.arange(3), limit=1)] == [["none"], ["2"], ["3"]]
    assert filled.search_batch(ids=[]) == []


def test_by_uuid(docs: Collection) -> None:
    ids = [uuid.UUID(int=i) for i in range(3)]
    docs.upsert(ids, [[1, i, 0, 0] for i in range(3)])
    assert docs.search(id=ids[0], limit=1).ids == [str(ids[1])]


def test_by_an_id_that_is_not_there(filled: Collection) -> None:
    filled.upsert(["bare"])
    with pytest.raises(errors.PointNotFound) as refused:
        filled.search(id=[1, "nobody"])
    assert "'nobody'" in str(refused.value)
    assert refused.value.field == "legs[0].near.examples.queries[0].positive[1]"
    with pytest.raises(errors.PointNotFound, match="no vector"):
        filled.search_batch(ids=[1, "bare"])


@pytest.mark.parametrize(
    ("field", "search"),
    [
        ("vector", lambda docs: docs.search()),
        ("vector", lambda docs: docs.search([1, 2, 3, 4], id=1)),
        ("vector", lambda docs: docs.search(id=1, legs=[Near(id=1)])),
        ("id", lambda docs: docs.search(unlike=1)),
        ("legs[0].vector", lambda docs: docs.search(legs=[Near()])),
        ("legs[0].id", lambda docs: docs.search(legs=[Near([1, 2, 3, 4], unlike="a")])),
        ("id", lambda docs: docs.search(id=1.5)),
        ("unlike[0]", lambda docs: docs.search(id=1, unlike=[None])),
        ("legs[0].near.examples.queries[0].positive", lambda docs: docs.search(id=[])),
        ("ids", lambda docs: docs.search_batch(ids="abc")),
        ("ids[1]", lambda docs: docs.search_batch(ids=["a", 1.5])),
        ("vectors", lambda docs: docs.search_batch()),
        ("vectors", lambda docs: docs.search_batch([[1, 2, 3, 4]], ids=["a"])),
        ("group_by", lambda docs: docs.search(id=1, group_by=7)),
        ("group_by.key", lambda docs: docs.search(id=1, group_by="$id")),
        ("group_size", lambda docs: docs.search(id=1, group_by="a", group_size="3")),
        ("group_by.size", lambda docs: docs.search(id=1, group_by="a", group_size=0)),
        ("offset", lambda docs: docs.search(id=1, group_by="a", offset=1)),
    ],
)
def test_what_is_no_search_is_refused(docs: Collection, field: str, search: Any) -> None:
    with pytest.raises(errors.InvalidArgument) as refused:
        search(docs)
    assert refused.value.field == field


def test_a_batch_of_examples_is_split_by_bytes_and_hits() -> None:
    near = Leg(NO_VECTORS, examples=[Examples(["x" * 500]) for _ in range(1_000)])
    parts = split.queries(SearchRequest([near]), split.MESSAGE_OVERHEAD + 100_000, 10**6)
    assert len(parts) > 4
    assert sum(part.queries for part in parts) == 1_000
    grouped = SearchRequest([near], limit=10, group_by=GroupBy(("a",), 10))
    assert [part.queries for part in split.queries(grouped, 1 << 26, 50_000)] == [500, 500]


def test_a_server_without_them_is_named(db: Client) -> None:
    from vecdb.client import rpc
    from vecdb.client.calls import Search

    request = SearchRequest([Leg(NO_VECTORS, examples=[Examples(["a"])])], group_by=GroupBy(("a",)))
    assert {"search.groups", "search.examples"} <= set(rpc.encode(Search("docs", request)).features)
    assert {"search.groups", "search.examples", "points.order_by", "points.facet"} <= set(db.info().features)
