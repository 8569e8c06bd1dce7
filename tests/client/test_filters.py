"""Filters on every operation that reads, as dicts and as expressions; in this process and over gRPC, awaited too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vecdb import F, Near
from vecdb.client import calls, rpc, split
from vecdb.client.collection import Collection
from vecdb.errors import FieldNotFound, InvalidArgument
from vecdb.model.filter import from_dict
from vecdb.model.point import Select
from vecdb.model.query import Near as ModelNear
from vecdb.model.query import SearchRequest

N = 40
EVEN = {"n": {"$in": list(range(0, N, 2))}}
ODD = ~F("n").is_in(range(0, N, 2))


@pytest.fixture
def filled(docs: Collection, rng: np.random.Generator) -> Collection:
    """Points "00".."39" with their number as "n", and "lang" of every third."""
    payloads = [{"n": i, "lang": "zh"} if i % 3 == 0 else {"n": i} for i in range(N)]
    docs.upsert([f"{i:02}" for i in range(N)], rng.normal(size=(N, 4)), [f"text {i}" for i in range(N)], payloads)
    return docs


def numbers(hits: Any) -> list[int]:
    return [hit.payload["n"] for hit in hits]


@pytest.mark.parametrize("given", [EVEN, ~ODD], ids=["dict", "expression"])
def test_every_operation_that_reads_takes_one(filled: Collection, given: Any, tmp_path: Path) -> None:
    even = list(range(0, N, 2))
    assert filled.count(filter=given) == len(even)
    assert filled.exists(["00", "01", "no"], filter=given).tolist() == [True, False, False]
    assert numbers(filled.scroll(filter=given, batch=7)) == even
    page = filled.page(limit=15, filter=given)
    assert numbers(page.points) == even[:15]
    assert numbers(filled.page(page.cursor, 15, filter=given).points) == even[15:]
    assert sorted(numbers(filled.search([1, 0, 0, 0], filter=given, limit=N))) == even
    assert sum(value.count for value in filled.facet("n", filter=given).values) == len(even)
    assert filled.export(tmp_path / "even.jsonl", filter=given).written == len(even)


def test_a_leg_has_a_filter_of_its_own(filled: Collection) -> None:
    legs = [Near([1, 0, 0, 0], filter={"n": 5}), Near([0, 1, 0, 0], filter=F("n") == 6), Near([1, 0, 0, 0], depth=1)]
    found = numbers(filled.search(legs=legs[:2], limit=N))
    assert sorted(found) == [5, 6]
    assert numbers(filled.search(legs=legs[:2], filter={"n": {"$gt": 5}})) == [6]


def test_each_query_of_a_batch_has_one(filled: Collection, rng: np.random.Generator) -> None:
    vectors = rng.normal(size=(6, 4))
    filters = [EVEN, None, ODD, EVEN, {"n": -1}, {}]
    below = F("n") < 30
    for exact in (True, False):
        results = filled.search_batch(vectors, filters=filters, filter=below, limit=N, exact=exact)
        for vector, given, result in zip(vectors, filters, results, strict=True):
            own = from_dict(given) if isinstance(given, dict) else given
            alone = filled.search(vector, filter=below if own is None else below & own, limit=N, exact=exact)
            assert [(hit.id, hit.score) for hit in result] == [(hit.id, hit.score) for hit in alone]
    assert [len(result) for result in results] == [15, 30, 15, 15, 0, 30]


def test_a_batch_that_is_split_keeps_each_query_with_its_filter() -> None:
    near = ModelNear(np.arange(100, dtype=np.float32).reshape(50, 2))
    filters = [F("n").is_in(range(i)) if i % 3 else None for i in range(50)]
    request = SearchRequest([near], limit=1, query_filters=filters, filter=F("n") > 1, select=Select())
    room = split.MESSAGE_OVERHEAD + 300
    parts = split.queries(request, room, 1_000)
    assert [f for part in parts for f in part.query_filters or ()] == filters
    assert np.concatenate([part.legs[0].vectors for part in parts]).tolist() == near.vectors.tolist()
    assert all(len(rpc.encode(calls.Search("docs", part)).request) < room for part in parts)
    assert len(parts) > 10


WRONG: dict[str, Any] = {"a list": [EVEN], "a text": "n = 1", "a number": 5, "an operator": {"n": {"$gtt": 1}}}


@pytest.mark.parametrize("kind", WRONG)
def test_anything_else_is_refused_by_all(filled: Collection, kind: str) -> None:
    wrong = WRONG[kind]
    for call in (
        lambda: filled.count(filter=wrong),
        lambda: filled.exists(["00"], filter=wrong),
        lambda: list(filled.scroll(filter=wrong)),
        lambda: filled.page(filter=wrong),
        lambda: filled.search([1, 0, 0, 0], filter=wrong),
        lambda: filled.facet("n", filter=wrong),
        lambda: filled.search(legs=[Near([1, 0, 0, 0], filter=wrong)]),
        lambda: filled.search_batch([[1, 0, 0, 0]], filter=wrong),
        lambda: filled.search_batch([[1, 0, 0, 0]], filters=[wrong]),
    ):
        with pytest.raises(InvalidArgument) as refused:
            call()
        assert "filter" in str(refused.value.field)


def test_as_many_filters_as_queries(filled: Collection) -> None:
    for filters in ([], [None, None], {}, "ab"):
        with pytest.raises(InvalidArgument) as refused:
            filled.search_batch([[1, 0, 0, 0]], filters=filters)  # type: ignore[arg-type]
        assert refused.value.field == "filters"


def test_fields_that_are_not_there_are_named(filled: Collection) -> None:
    for given in (F.text("a", "title"), {"$has_vector": "image"}):
        for call in (
            lambda given: filled.count(filter=given),
            lambda given: filled.exists(["00"], filter=given),
            lambda given: list(filled.scroll(filter=given)),
            lambda given: filled.search_batch([[1, 0, 0, 0]], filters=[given]),
        ):
            with pytest.raises(FieldNotFound):
                call(given)


def test_a_server_that_does_not_know_filters_is_asked_for_them_by_name() -> None:
    near = ModelNear(np.ones((1, 2), np.float32))
    plain, narrowed = SearchRequest([near]), F("n") == 1
    for call in (calls.Count("docs"), calls.Exists("docs", []), calls.Scroll("docs", None, 1, Select())):
        assert "filters" not in rpc.encode(call).features
    assert "filters" not in rpc.encode(calls.Search("docs", plain)).features
    for call in (
        calls.Count("docs", narrowed),
        calls.Exists("docs", [], narrowed),
        calls.Scroll("docs", None, 1, Select(), narrowed),
        calls.Search("docs", SearchRequest([near], filter=narrowed)),
        calls.Search("docs", SearchRequest([near], query_filters=[narrowed])),
        calls.Search("docs", SearchRequest([ModelNear(near.vectors, filter=narrowed)])),
    ):
        assert "filters" in rpc.encode(call).features
