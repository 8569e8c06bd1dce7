"""Ordered walks and facets: every test runs embedded and over gRPC, blocking and awaited."""

from __future__ import annotations

from typing import Any

import pytest

import vecdb
from vecdb import errors
from vecdb.client.collection import Collection
from vecdb.model.filter.expression import F

VALUES: list[Any] = [3, 1.5, 2**63, 2.0**63, 2**53 + 1, "zh", "en", None, True, [5, 0], [], {"a": 1}, 1, 1.0]


@pytest.fixture
def filled(docs: Collection) -> Collection:
    docs.upsert(range(len(VALUES)), payloads=[{"v": value} for value in VALUES])
    docs.upsert(["none"], [[1, 2, 3, 4]])
    return docs


def values_in(points: Any) -> list[Any]:
    return [(point.payload or {}).get("v") for point in points]


UP = [None, True, [5, 0], 1, 1.0, 1.5, 3, 2**53 + 1, 2**63, 2.0**63, "en", "zh", [], {"a": 1}, None]
DOWN = ["zh", "en", 2**63, 2.0**63, 2**53 + 1, [5, 0], 3, 1.5, 1, 1.0, True, None, [], {"a": 1}, None]


@pytest.mark.parametrize(("order", "expected"), [("v", UP), ("-v", DOWN), (vecdb.OrderBy(["v"], True), DOWN)])
def test_a_walk_in_the_order_of_a_value(filled: Collection, order: Any, expected: list[Any]) -> None:
    for limit in (1, 4, 100):
        found: list[Any] = []
        cursor: str | None = None
        while True:
            page = filled.page(cursor, limit, order_by=order)
            found += values_in(page.points)
            cursor = page.cursor
            if cursor is None:
                break
            assert cursor.isascii()
        assert list(map(repr, found)) == list(map(repr, expected))
        assert list(map(repr, values_in(filled.scroll(order_by=order, batch=limit)))) == list(map(repr, expected))


def test_a_cursor_is_of_its_order_alone(filled: Collection) -> None:
    by_id, by_value = filled.page(limit=1).cursor, filled.page(limit=1, order_by="v").cursor
    for cursor, order in ((by_id, "v"), (by_value, None), (by_value, "-v"), (by_value, "w"), ("x", "v")):
        with pytest.raises(errors.InvalidArgument) as refused:
            filled.page(cursor, order_by=order)
        assert refused.value.field == "cursor"


@pytest.mark.parametrize("order", [7, {"v": 1}, [], [1], "$score", object()])
def test_what_is_no_order_is_refused(filled: Collection, order: Any) -> None:
    with pytest.raises(errors.InvalidArgument):
        filled.page(order_by=order)


def test_vectors_come_in_order_too(docs: Collection) -> None:
    docs.upsert(range(5), [[i, 1, 1, 1] for i in range(5)], payloads=[{"v": -i} for i in range(5)])
    found = docs.scroll(order_by="v", batch=2, with_vectors=True)
    assert [point.vector[0] for point in found if point.vector is not None] == [4, 3, 2, 1, 0]


def test_a_facet(filled: Collection) -> None:
    facet = filled.facet("v")
    assert (facet.distinct, facet.present, facet.missing) == (13, 12, 3)
    assert (facet.min, facet.max) == (0, 2.0**63)
    assert {(type(held.value), held.value, held.count) for held in facet.values} == {
        (type(value), value, 1) for value in [*VALUES[:9], 5, 0, 1, 1.0]
    }
    assert filled.facet("v", limit=2).distinct == 13
    assert [held.value for held in filled.facet("v", filter=F("v") == "zh").values] == ["zh"]
    assert filled.facet(["w"]) == vecdb.Facet([], 0, 0, 15)


def test_a_facet_prints_as_a_table(docs: Collection) -> None:
    docs.upsert(range(5), payloads=[{"lang": "zh"}, {"lang": "zh"}, {"lang": "en"}, {"lang": "1"}, {}])
    assert repr(docs.facet("lang", limit=2)).splitlines() == [
        "value  count",
        '"zh"   2',
        '"1"    1',
        "... and 1 more",
        "3 values, 4 points with one, 1 without",
    ]


@pytest.mark.parametrize(("key", "limit"), [(7, 1), ([], 1), ("$id", 1), ("v", 0), ("v", 10_001), ("v", "1")])
def test_what_is_no_facet_is_refused(docs: Collection, key: Any, limit: Any) -> None:
    with pytest.raises(errors.InvalidArgument):
        docs.facet(key, limit=limit)
