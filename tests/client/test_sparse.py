"""Sparse vectors as people have them; written, found and read back, blocking and awaited, embedded and over gRPC."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import vecdb
from tests.client.test_searches import DEFAULTS, search
from vecdb import errors
from vecdb.client import build, rpc, searching, split
from vecdb.client.calls import ChangeSchema, CreateCollection, Search, Write
from vecdb.client.client import Client
from vecdb.client.content import complete
from vecdb.client.operations import Upsert
from vecdb.client.sparse import to_sparse_columns
from vecdb.model import sparse
from vecdb.model.hit import points_in
from vecdb.model.info import Limits
from vecdb.model.point import Points, Select, WriteBatch
from vecdb.model.query import SearchAnswer, SearchRequest
from vecdb.model.schema import Schema, SparseField, VectorField
from vecdb.model.schema_change import AddSparseField


class Matrix:
    """A sparse matrix as scipy's, in rows."""

    def __init__(self, indptr: list[int], indices: list[int], data: list[float]) -> None:
        self.indptr = np.array(indptr, dtype=np.int32)
        self.indices = np.array(indices, dtype=np.int32)
        self.data = np.array(data)

    def tocsr(self) -> Matrix:
        return self


GIVEN: list[Any] = [
    {9: 1, 4: 0.5},
    ([9, 4], [1, 0.5]),
    (np.array([9, 4], dtype=np.int16), np.array([1, 0.5], dtype=np.float16)),
    vecdb.SparseVector(np.array([4, 9], np.uint32), np.array([0.5, 1], np.float32)),
    Matrix([0, 2], [9, 4], [1, 0.5]),
    {"9": 1.0, "4": np.float32(0.5), "7": 0},
    {np.int64(9): 1.0, np.uint8(4): 0.5},
]


@pytest.mark.parametrize("given", GIVEN, ids=["dict", "lists", "arrays", "vector", "row", "digits", "numpy"])
def test_one_vector_in_many_forms(given: Any) -> None:
    column = to_sparse_columns([None, given], 2)[None]
    assert (column.rows is not None, column.get(0)) == (True, None)
    assert repr(column.get(1)) == "SparseVector({4: 0.5, 9: 1.0})"
    (leg,) = search(sparse=given).legs
    assert (leg.using, leg.vectors[0].to_dict()) == (None, {4: 0.5, 9: 1.0})


def test_columns_by_field_and_of_a_matrix() -> None:
    given = to_sparse_columns({"a": [{1: 2.0}, {}], "b": [None, None], "c": Matrix([0, 0, 2], [5, 3], [1, 2])}, 2)
    assert given.keys() == {"a", "c"}
    assert [given["a"].get(i) for i in (0, 1)] == [given["a"].data[0], given["a"].data[1]]
    assert [given["c"].data[i].to_dict() for i in (0, 1)] == [{}, {3: 2.0, 5: 1.0}]
    assert to_sparse_columns(None, 2) == {}
    assert to_sparse_columns([], 0) == {}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ([{1: 1.0}], 'sparse[""]'),
        ("ab", 'sparse[""]'),
        (Matrix([0, 1], [1], [1]), 'sparse[""]'),
        ([{}, {1: "x"}], 'sparse[""][1]'),
        ([{}, 7], 'sparse[""][1]'),
        ([{}, {"a": 1.0}], 'sparse[""][1]'),
        ([{}, {1.5: 1.0}], 'sparse[""][1]'),
        ([{}, {-1: 1.0}], 'sparse[""][1]'),
        ([{}, {2**32: 1.0}], 'sparse[""][1]'),
        ([{}, {2**70: 1.0}], 'sparse[""][1]'),
        ([{}, {1: float("nan")}], 'sparse[""][1]'),
        ([{}, {1: 1e39}], 'sparse[""][1]'),
        ([{}, {True: 1.0}], 'sparse[""][1]'),
        ([None, ([1, 1], [1.0, 2.0])], 'sparse[""][1]'),
        ([{}, ([1, 2], [1.0])], 'sparse[""][1]'),
        ([{}, ([[1]], [[2]])], 'sparse[""][1]'),
        ({"a": [{}, ([3, 3], [1, 1])]}, 'sparse["a"][1]'),
    ],
)
def test_what_is_wrong_is_refused_by_its_row(given: Any, field: str) -> None:
    with pytest.raises(errors.InvalidArgument) as refused:
        build.put(Upsert(["x", "y"], sparse=given))
    assert refused.value.field == field


def test_a_sparse_vector_beside_others_is_one_leg_more() -> None:
    near, words, weights = search([1, 2], text="a", sparse={3: 1.0}).legs
    assert (near.vectors.tolist(), words.texts, weights.vectors[0].to_dict()) == ([[1, 2]], ["a"], {3: 1.0})
    first, second = search(sparse={"a": {3: 1.0}, "b": ([4], [2.0])}).legs
    assert (first.using, second.using, second.vectors[0].to_dict()) == ("a", "b", {4: 2.0})
    leg = vecdb.Sparse({3: 1.0}, "a", weight=2, depth=7, filter={"n": 1}, model="m")
    (made,) = search(legs=[leg]).legs
    assert (made.using, made.weight, made.depth, made.filter, made.model) == ("a", 2.0, 7, vecdb.F("n") == 1, "m")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"sparse": {1: float("inf")}}, "sparse"),
        ({"sparse": ([2, 2], [1, 1])}, "sparse"),
        ({"sparse": {"a": {2**32: 1.0}}}, 'sparse["a"]'),
        ({"sparse": "word"}, "sparse"),
        ({"sparse": Matrix([0, 1, 2], [1, 2], [1, 2])}, "sparse"),
        ({"legs": [vecdb.Near([1]), vecdb.Sparse({1: float("nan")})]}, "legs[1].vector"),
        ({"legs": [vecdb.Near([1])], "sparse": {1: 1.0}}, "vector"),
    ],
)
def test_what_is_wrong_with_a_search_is_refused(given: dict[str, Any], field: str) -> None:
    with pytest.raises(errors.InvalidArgument) as refused:
        search(**given)
    assert refused.value.field == field


def batch(**more: object) -> SearchRequest | None:
    return searching.search_batch(**{**DEFAULTS, "vectors": None, **more})


def test_a_batch() -> None:
    made = batch(sparse=[{1: 1.0}, ([2], [3.0])], texts=["a", "b"])
    assert made is not None
    words, weights = made.legs
    assert isinstance(weights, sparse.Sparse)
    assert [weights.vectors[i].to_dict() for i in (0, 1)] == [{1: 1.0}, {2: 3.0}]
    by_field = batch(sparse={"a": Matrix([0, 1, 2], [1, 2], [1, 2])})
    assert by_field is not None
    assert (by_field.legs[0].queries, words.queries) == (2, 2)
    assert batch(sparse=[]) is None
    for wrong in ({"sparse": [{1: 1.0}], "texts": ["a", "b"]}, {"sparse": [{1: 1.0}, None]}, {"sparse": {1: 1.0}}):
        with pytest.raises(errors.InvalidArgument):
            batch(**wrong)


def test_what_does_not_fit_a_message_is_split() -> None:
    many = [(np.arange(1000), np.ones(1000))] * 300
    request = batch(sparse=many)
    assert request is not None
    parts = split.queries(request, (64 << 10) + 1_000_000, 100_000)
    assert [part.queries for part in parts] == [124, 124, 52]
    put: Any = build.put(Upsert(range(300), sparse=many))
    pieces = split.pieces(put, Limits(message_bytes=(64 << 10) + 1_000_000))
    assert len(pieces) == 3
    assert split.piece(put, 290, 300).rows.sparse[None].data.counts.tolist() == [1000] * 10


def test_features_are_asked_for() -> None:
    made = rpc.encode(Search("c", search(sparse={1: 1.0})))
    assert "search.sparse" in made.features
    schema = Schema({"": VectorField(2)}, sparse={"s": SparseField()})
    assert list(rpc.encode(CreateCollection("c", schema, False)).features) == ["schema.sparse"]
    assert "schema.sparse" in rpc.encode(ChangeSchema("c", AddSparseField("s", SparseField()))).features
    put = build.put(Upsert(["a"], sparse=[{1: 1.0}]))
    assert "write.sparse" in rpc.encode(Write("c", WriteBatch([put]), b"x")).features


def test_written_found_and_read_back(db: Client) -> None:
    docs = db.create_collection("docs", dim=2, sparse={"s": vecdb.SparseField("splade")})
    docs.insert(["a", "b"], [[1, 0], [0, 1]], texts=["one", "two"], sparse=[{1: 2.0, 5: 1.0}, ([7, 5], [1, -2])])
    docs.upsert(["c", "d"], payloads=[{"n": 1}, None], sparse={"s": [{5: 4.0}, None]})
    docs.update(["a"], payloads=[{"n": 1}])
    found = docs.search(sparse={5: 1.0, 9: 3.0}, with_vectors=True)
    assert [(hit.id, hit.score, hit.distance) for hit in found] == [("c", 4, -4), ("a", 1, -1), ("b", -2, 2)]
    assert found[2].sparse == {"s": vecdb.SparseVector(np.array([5, 7], np.uint32), np.array([-2, 1], np.float32))}
    assert docs.search(sparse={5: 1.0})[0].sparse == {}
    assert docs.search(sparse={"s": {5: 1.0}}, filter={"n": 1}).ids == ["c", "a"]
    assert docs.get(["a"], with_vectors=True)[0].sparse["s"].to_dict() == {1: 2.0, 5: 1.0}
    fused = docs.search([1, 0], text="two", sparse={5: 1.0}, group_by="n")
    assert [hit.id for hit in fused] == ["a", "c"]
    by_legs = docs.search(legs=[vecdb.Near([1, 0]), vecdb.Sparse({7: 1.0}, "s", 5.0, model="splade")])
    assert by_legs.ids[0] == "b"
    assert by_legs[0].legs is not None
    assert by_legs[0].legs[1] == (1, 1.0)
    first, second = docs.search_batch(sparse=[{7: 1.0}, {8: 1.0}])
    assert (first.ids, second.ids) == (["b"], [])
    assert docs.describe().schema.sparse == {"s": vecdb.SparseField("splade")}
    docs.add_sparse_field("t")
    docs.write([vecdb.Update(["d"], sparse={"t": [{1: 1.0}]})])
    assert docs.search(sparse={"t": {1: 2.0}}).ids == ["d"]
    with pytest.raises(errors.FieldNotFound):
        docs.search(sparse={1: 2.0})
    with pytest.raises(errors.ModelMismatch):
        docs.search(legs=[vecdb.Sparse({1: 1.0}, "s", model="other")])
    asked: list[object] = []
    docs.search(sparse={"t": {1: 2.0}}, rerank=lambda query, hits: (asked.append(query), [0.0] * len(hits))[1])
    assert asked == [vecdb.SparseVector(np.array([1], np.uint32), np.array([2], np.float32))]


def test_hits_that_do_not_fit_one_message_have_their_vectors() -> None:
    ids = ["a", "b", "c", "a", "d"]
    given = [{1: 1.0}, None, {3: 3.0}, {1: 1.0}, {4: 4.0, 5: 5.0}]
    whole = Points(ids, np.arange(5, dtype=np.uint64), sparse=dict(to_sparse_columns({"s": given}, 5)))  # type: ignore
    select = Select(False, False, True)
    steps = complete(Search("c", search(sparse={1: 1.0}, select=select)))
    asked: Any = next(steps)
    first = replace(whole, sparse={"s": whole.cut(0, 1).sparse["s"]})  # type: ignore[index]
    counts, scores = np.array([5]), np.zeros(5, dtype=np.float32)
    asked = steps.send((SearchAnswer(counts, scores, None, first, 1, 0.0), 1))
    try:
        while True:
            known = dict(zip(ids, range(5), strict=True))
            asked = steps.send((whole.at(np.array([known[i] for i in asked.ids[:2]])), 2))
    except StopIteration as ended:
        assert [point.sparse for point in points_in(ended.value.points)] == [
            {} if one is None else {"s": to_sparse_columns([one], 1)[None].data[0]} for one in given
        ]
