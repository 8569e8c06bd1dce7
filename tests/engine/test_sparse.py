"""Sparse vectors: found by dot product as a dict of dicts says, read back as they were written, whatever happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.conftest import Opener, make
from tests.engine.handle import ALL, SMALL, Handle, column, delete, gaussian, names
from vecdb.engine.database import Database
from vecdb.errors import AlreadyExists, FieldNotFound, InvalidVector, ModelMismatch
from vecdb.index.postings.weights import WEIGHTS
from vecdb.model.context import CallContext
from vecdb.model.filter import Filter
from vecdb.model.filter.expression import F
from vecdb.model.hit import points_in
from vecdb.model.keyword import Keyword
from vecdb.model.point import DeleteWhere, Int64, PayloadMode, Put, PutMode, Rows, UpdateWhere
from vecdb.model.query import GroupBy, Leg, Near, SearchAnswer, SearchRequest
from vecdb.model.schema import Schema, SparseField, TextField, VectorField
from vecdb.model.schema_change import AddSparseField
from vecdb.model.sparse import Sparse, SparseColumn, SparseVectors
from vecdb.storage.codec import SPARSE, TEXT
from vecdb.storage.memory import MemoryKV

SCHEMA = Schema({"": VectorField(4)}, {"": TextField()}, sparse={"": SparseField()})
TWO = replace(SCHEMA, sparse={"splade": SparseField(model="splade"), "bge": SparseField()})
KEY = TEXT | SPARSE

Weights = Mapping[int, float]
Hits = list[tuple[str, float]]


@pytest.fixture
def s(db: Database) -> Handle:
    return make(db, SCHEMA)


def vectors(given: Sequence[Weights]) -> SparseVectors:
    """In the order in which dicts have their entries."""
    indices = [index for one in given for index in one]
    values = [value for one in given for value in one.values()]
    return SparseVectors.of(
        [len(one) for one in given], np.array(indices, dtype=np.uint32), np.array(values, dtype=np.float32)
    )


def sparse_column(given: Sequence[Weights | None], model: str | None = None) -> SparseColumn:
    there = [i for i, one in enumerate(given) if one is not None]
    rows: Int64 | None = None if len(there) == len(given) else np.array(there, dtype=np.int64)
    return SparseColumn(vectors([one for one in given if one is not None]), rows, model)


def put(
    mode: PutMode,
    ids: Sequence[str],
    sparse: Sequence[Weights | None] | None = None,
    payloads: Sequence[Any] | None = None,
    texts: Sequence[str | None] | None = None,
    field: str | None = "",
    dense: Any = None,
    **more: Any,
) -> Put:
    rows = Rows(
        ids,
        {} if dense is None else {"": column(dense)},
        {} if texts is None else {"": texts},
        None if payloads is None else [None if p is None else orjson.dumps(p) for p in payloads],
        sparse={} if sparse is None else {field: sparse_column(sparse)},
    )
    return Put(mode, rows, **more)


def upsert(*given: Any, **named: Any) -> Put:
    return put(PutMode.UPSERT, *given, **named)


def update(*given: Any, **named: Any) -> Put:
    return put(PutMode.UPDATE, *given, **named)


def ask(c: Handle, *legs: Leg, **more: Any) -> SearchAnswer:
    return c.db.search(c.context(), c.name, SearchRequest(legs, **more))


def hits(answer: SearchAnswer) -> Hits:
    return list(zip(answer.points.ids, answer.scores.tolist(), strict=True))


def found(c: Handle, query: Weights, using: str | None = "", limit: int = 100, **more: Any) -> Hits:
    leg = Sparse(vectors([query]), using, **{k: more.pop(k) for k in ("filter", "model") if k in more})
    return hits(ask(c, leg, limit=limit, **more))


def brute(points: Mapping[str, Weights], query: Weights) -> Hits:
    """Products added by ascending dimension in float64; by score, then id."""
    out = []
    for point_id, weights in points.items():
        common = sorted(index for index in weights.keys() & query.keys() if weights[index] and query[index])
        if common:
            score = 0.0
            for index in common:
                score += float(np.float32(query[index])) * float(np.float32(weights[index]))
            out.append((point_id, float(np.float32(score))))
    return sorted(out, key=lambda hit: (-hit[1], hit[0]))


def held(c: Handle, field: str = "") -> dict[str, dict[int, float]]:
    """What is read back."""
    return {point.id: point.sparse[field].to_dict() for point in c.scroll() if field in point.sparse}


def some(n: int, seed: int = 0, dims: int = 40, most: int = 8) -> list[dict[int, float]]:
    random = np.random.default_rng(seed)
    out = []
    for _ in range(n):
        indices = random.choice(dims, size=random.integers(0, most + 1), replace=False)
        out.append({int(i): float(np.float32(random.normal())) for i in indices})
    return out


# -- what is found, and with what scores


def test_by_dot_product_over_common_dimensions(s: Handle) -> None:
    given = dict(zip(names(50), some(50), strict=True))
    s.write(upsert(list(given), list(given.values())))
    for query in some(10, seed=1):
        assert found(s, query) == brute(given, query)
        assert found(s, query, limit=3) == brute(given, query)[:3]


def test_scores_are_sums_in_float64_by_ascending_dimension(s: Handle) -> None:
    given = {"a": {1: 1.0, 2: 1e8, 3: -1e8}, "b": {3: 1.0, 9: 2.0**-30}}
    s.write(upsert(list(given), [{3: -1e8, 1: 1.0, 2: 1e8}, {9: 2.0**-30, 3: 1.0}]))
    query = {9: 1.0, 3: 1.0, 2: 1.0, 1: 1.0}
    assert found(s, query) == brute(given, query) == [("a", 1.0), ("b", 1.0)]
    third = 1 / 3  # in float32 its products with these round differently one after another
    many = {i: third * (i + 1) for i in range(1000)}
    s.write(upsert(["many"], [many]))
    assert found(s, dict.fromkeys(range(1000), third))[0] == brute({"many": many}, dict.fromkeys(range(1000), third))[0]


def test_weights_are_not_counts(s: Handle) -> None:
    s.write(upsert(["a", "b", "c", "d"], [{7: 0.25}, {7: 3.75}, {7: -1.5}, {8: 1.0}]))
    expected = [("b", 7.5), ("a", 0.5), ("c", -3.0)]
    assert found(s, {7: 2.0}) == expected
    s.seal()
    assert found(s, {7: 2.0}) == expected


def test_distances_are_negative_scores(s: Handle) -> None:
    s.write(upsert(["a", "b"], [{7: 0.25}, {7: -3.0}]))
    answer = ask(s, Sparse(vectors([{7: 1.0}])))
    assert answer.distances is not None
    assert answer.distances.tolist() == [-0.25, 3.0]


def test_dimensions_are_32_bits(s: Handle) -> None:
    s.write(upsert(["a"], [{2**32 - 1: 1.0, 0: 2.0}]))
    s.seal()
    assert found(s, {2**32 - 1: 1.0}) == [("a", 1.0)]
    assert found(s, {0: 1.0}) == [("a", 2.0)]
    assert found(s, {2**31: 1.0}) == []


def test_an_empty_vector_has_nothing_in_common_with_anyone(s: Handle) -> None:
    s.write(upsert(["a", "b", "c"], [{}, {1: 0.0}, None]))
    assert held(s) == {"a": {}, "b": {}}
    assert found(s, {}) == found(s, {1: 1.0}) == []
    s.write(upsert(["d"], [{1: 2.0}]))
    assert found(s, {1: 1.0}) == [("d", 2.0)]
    s.write(update(["d"], [{}]))
    assert found(s, {1: 1.0}) == []


def test_many_queries_at_once(s: Handle) -> None:
    given = dict(zip(names(30), some(30), strict=True))
    s.write(upsert(list(given), list(given.values())))
    queries = some(6, seed=2)
    answer = ask(s, Sparse(vectors(queries)), limit=4)
    expected = [brute(given, query)[:4] for query in queries]
    assert answer.counts.tolist() == [len(hits) for hits in expected]
    assert hits(answer) == [hit for some_hits in expected for hit in some_hits]


def test_the_same_in_one_segment_and_in_many(db: Database) -> None:
    given = dict(zip(names(100), some(100), strict=True))
    one, many = make(db, SCHEMA, name="one"), make(db, SCHEMA, name="many")
    one.write(upsert(list(given), list(given.values())))
    one.seal()
    for point_id, weights in given.items():
        many.write(upsert([point_id], [weights]))
    for query in some(5, seed=1):
        assert found(one, query) == found(many, query) == brute(given, query)


# -- filters, scope, groups


def test_filters_scopes_and_least_scores(s: Handle) -> None:
    given = dict(zip(names(60), some(60), strict=True))
    s.write(upsert(list(given), list(given.values()), [{"n": i} for i in range(60)]))
    s.seal()
    s.write(update(names(40), payloads=[{"n": i, "x": 1} for i in range(40)]))

    def those(keep: range, query: Weights) -> Hits:
        return brute({names(60)[i]: given[names(60)[i]] for i in keep}, query)

    scoped = Handle(s.db, scope=F("n") < 50)
    for query in some(5, seed=3):
        assert found(s, query, filter=F("n") >= 20) == those(range(20, 60), query)
        assert found(scoped, query, filter=F("n") >= 20) == those(range(20, 50), query)
        leg = Sparse(vectors([query]), filter=F("n") < 30)
        assert hits(ask(s, leg, filter=F("n") >= 20, limit=100)) == those(range(20, 30), query)
        least = [hit for hit in brute(given, query) if hit[1] >= 0.5]
        assert found(s, query, min_score=0.5) == least


def test_filters_of_each_query(s: Handle) -> None:
    s.write(upsert(["a", "b"], [{1: 1.0}, {1: 2.0}], [{"n": 1}, {"n": 2}]))
    filters: list[Filter | None] = [F("n") == 1, None]
    answer = ask(s, Sparse(vectors([{1: 1.0}, {1: 1.0}])), query_filters=filters)
    assert answer.counts.tolist() == [1, 2]
    assert answer.points.ids == ["a", "b", "a"]


def test_groups(s: Handle) -> None:
    s.write(upsert(names(6), [{1: float(i)} for i in range(1, 7)], [{"of": i % 2} for i in range(6)]))
    answer = ask(s, Sparse(vectors([{1: 1.0}])), group_by=GroupBy(("of",), 2))
    assert answer.points.ids == ["00005", "00003", "00004", "00002"]


def test_what_expired_is_not_found(tmp_path: Path) -> None:
    now = [1_000.0]
    db = Database(MemoryKV(), tmp_path, SMALL, clock=lambda: now[0])
    c = make(db, SCHEMA)
    c.write(upsert(["a", "b"], [{1: 1.0}, {1: 2.0}], ttl_ms=[0, 1_000]))
    now[0] += 2
    assert found(c, {1: 1.0}) == [("a", 1.0)]
    db.close()


def test_a_leg_of_a_hybrid_search(s: Handle) -> None:
    s.write(
        upsert(
            ["a", "b", "c"],
            [{1: 1.0}, {1: 2.0}, None],
            texts=["red", None, "red red"],
            dense=np.array([[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0]], dtype=np.float32),
        )
    )
    near = Near(np.array([[1, 0, 0, 0]], dtype=np.float32), "")
    answer = ask(s, near, Keyword(["red"]), Sparse(vectors([{1: 1.0}])), explain=True)
    assert answer.legs is not None
    assert answer.explain is not None
    assert answer.distances is None
    by_id = dict(zip(answer.points.ids, answer.legs[2].ranks.tolist(), strict=True))
    assert by_id == {"a": 2, "b": 1, "c": 0}
    assert answer.explain["legs"][2]["segments"] == [{"vectors": 2, "allowed": 2}]
    assert answer.explain["legs"][2]["queries"][0]["scored"] == 2


# -- fields


def test_fields_are_apart(db: Database) -> None:
    c = make(db, TWO)
    c.write(upsert(["a", "b"], [{1: 1.0}, None], field="splade"), update(["b"], [{1: 5.0}], field="bge"))
    assert found(c, {1: 1.0}, "splade") == [("a", 1.0)]
    assert found(c, {1: 1.0}, "bge") == [("b", 5.0)]
    c.seal()
    assert found(c, {1: 1.0}, "bge") == [("b", 5.0)]
    assert held(c, "splade") == {"a": {1: 1.0}}


def test_no_name_means_the_only_field(db: Database) -> None:
    c = make(db, replace(SCHEMA, sparse={"splade": SparseField()}))
    c.write(upsert(["a"], [{1: 1.0}], field=None))
    assert found(c, {1: 1.0}, None) == [("a", 1.0)]
    c.change(AddSparseField("bge", SparseField()))
    with pytest.raises(FieldNotFound, match="not just one"):
        found(c, {1: 1.0}, None)
    with pytest.raises(FieldNotFound, match="not just one"):
        c.write(upsert(["a"], [{1: 1.0}], field=None))
    with pytest.raises(FieldNotFound, match="unknown field of sparse"):
        found(c, {1: 1.0}, "other")


def test_a_field_is_added_while_the_collection_serves(open_db: Opener) -> None:
    db = open_db()
    c = make(db)
    c.upsert(names(20), gaussian(20))
    c.seal()
    c.change(AddSparseField("splade", SparseField("m")))
    assert found(c, {1: 1.0}, "splade") == []
    c.write(update(names(5), [{1: float(i)} for i in range(1, 6)], field="splade"))
    expected = [(point_id, float(5 - i)) for i, point_id in enumerate(reversed(names(5)))]
    assert found(c, {1: 1.0}, "splade") == expected
    c.seal()
    with pytest.raises(AlreadyExists):
        c.change(AddSparseField("splade", SparseField()))
    db.close()
    reopened = Handle(open_db())
    assert reopened.inner.reading.schema.sparse == {"splade": SparseField("m")}
    assert found(reopened, {1: 1.0}, "splade") == expected


def test_models_that_are_stated_must_agree(db: Database) -> None:
    c = make(db, TWO)
    with pytest.raises(ModelMismatch):
        found(c, {1: 1.0}, "splade", model="bge")
    with pytest.raises(ModelMismatch):
        c.write(Put(PutMode.UPSERT, Rows(["a"], sparse={"splade": sparse_column([{1: 1.0}], "bge")})))
    c.write(Put(PutMode.UPSERT, Rows(["a"], sparse={"splade": sparse_column([{1: 1.0}], "splade")})))
    assert found(c, {1: 1.0}, "splade", model="splade") == [("a", 1.0)]


# -- refusals


def raw(counts: list[int], indices: list[int], values: list[float]) -> SparseVectors:
    return SparseVectors.of(counts, np.array(indices, dtype=np.uint32), np.array(values, dtype=np.float32))


@pytest.mark.parametrize(
    "wrong",
    [
        raw([1, 2], [1, 5, 5], [1.0, 1.0, 2.0]),
        raw([1, 1], [1, 5], [1.0, np.nan]),
        raw([1, 1], [1, 5], [1.0, np.inf]),
        raw([1, 2], [1, 5, 6], [1.0, 3e18, 2e19]),
        raw([1, 65_537], [1, *range(65_537)], [1.0] * 65_538),
    ],
    ids=["repeated", "nan", "infinite", "long", "many"],
)
def test_what_cannot_be_scored_is_refused_by_its_row(s: Handle, wrong: SparseVectors) -> None:
    rows = Rows(["a", "b", "c"], sparse={"": SparseColumn(wrong, np.array([0, 2]))})
    with pytest.raises(InvalidVector) as refused:
        s.write(Put(PutMode.UPSERT, rows))
    assert refused.value.field == 'operations[0].sparse[""][2]'
    with pytest.raises(InvalidVector) as refused:
        ask(s, Sparse(wrong))
    assert refused.value.field == "legs[0].sparse.vectors[1]"
    assert s.count() == 0


def test_the_longest_vector_that_is_taken(s: Handle) -> None:
    s.write(upsert(["a"], [dict.fromkeys(range(65536), 1e16)]))
    assert found(s, dict.fromkeys(range(65536), 1e16)) == [("a", float(np.float32(np.float32(1e16)) ** 2 * 65_536))]


# -- edits


def test_a_vector_is_taken_apart_once_however_often_its_point_is_edited(
    s: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    real = type(WEIGHTS).column
    monkeypatch.setattr(type(WEIGHTS), "column", lambda self, some: (seen.append(len(some)), real(self, some))[1])
    given = dict(zip(names(30), some(30), strict=True))
    s.write(upsert(list(given), list(given.values()), [{"n": i} for i in range(30)]))
    s.write(update(names(20), payloads=[{"n": 7}] * 20))
    s.write(UpdateWhere(F("n") == 7, b'{"m": 1}', PayloadMode.MERGE))
    s.write(update(names(10), texts=["red"] * 10))
    s.seal()
    s.write(update(names(5), payloads=[{"n": 8}] * 5))
    s.seal()
    for query in some(5, seed=1):
        assert found(s, query) == brute(given, query)
    assert held(s) == given
    assert sum(seen) == 30
    assert s.db.check(CallContext()) == []


def test_within_a_batch_the_last_vector_stands(s: Handle) -> None:
    s.write(
        upsert(["a", "b", "a", "c"], [{1: 1.0}, {1: 2.0}, {1: 3.0}, {1: 4.0}]),
        update(["a"], payloads=[{"n": 1}]),
        update(["b", "c", "b"], [{1: 5.0}, None, {1: 6.0}]),
        delete(["c"]),
    )
    assert found(s, {1: 1.0}) == [("b", 6.0), ("a", 3.0)]


def test_a_held_view_keeps_its_vectors(s: Handle) -> None:
    s.write(upsert(names(20), [{1: 1.0}] * 20))
    before = s.look()
    s.write(upsert(names(10), [{2: 1.0}] * 10))
    s.write(update(names(20), payloads=[{"n": 1}] * 20))
    s.seal()
    s.cover()
    request = SearchRequest([Sparse(vectors([{1: 1.0}]))], limit=100)
    answer = s.inner.reading.executor.search(CallContext(), before, request)
    assert answer.points.ids == names(20)
    assert found(s, {1: 1.0}) == [(point_id, 1.0) for point_id in names(10, start=10)]


# -- any history

ids = st.sampled_from(names(25))
weights = st.dictionaries(
    st.integers(0, 5) | st.just(2**32 - 1), st.sampled_from([0.5, 1.0, -2.0, 0.1, 3e-9]), max_size=4
)
rows = st.lists(st.tuples(ids, st.none() | weights), min_size=1, max_size=15)
steps = st.tuples(
    st.sampled_from(
        "upsert upsert update update edit delete unwhere settle seal cover reopen power deferred auto".split()
    ),
    rows,
)


class History:
    """A collection on a store that can lose power, and the sparse vectors that it should have."""

    def __init__(self, folder: Path) -> None:
        self.kv = MemoryKV()
        self.folder = folder
        self.c = make(self.open(), SCHEMA)
        self.held: dict[str, Weights] = {}
        self.points: dict[str, int] = {}

    def open(self) -> Database:
        return Database(self.kv, self.folder / "segments", SMALL)

    def take(self, what: str, rows: list[tuple[str, Weights | None]]) -> None:
        c, ids, given = self.c, [i for i, _ in rows], [w for _, w in rows]
        if what == "upsert":
            c.write(upsert(ids, given, [{"n": len(w or ())} for w in given], dense=gaussian(len(ids))))
            for point_id, one in rows:
                self.points[point_id] = len(one or ())
                self.held.pop(point_id, None)
                if one is not None:
                    self.held[point_id] = one
        elif what == "update":
            c.write(update(ids, given))
            self.held.update({i: w for i, w in rows if w is not None and i in self.points})
        elif what == "edit":
            c.write(update(ids, payloads=[{"n": 3}] * len(ids)))
            self.points.update({i: 3 for i in ids if i in self.points})
        elif what == "delete":
            c.delete(*ids)
            self.forget(ids)
        elif what == "unwhere":
            c.write(DeleteWhere(F("n") == 3))
            self.forget([i for i, n in self.points.items() if n == 3])
        elif what in ("reopen", "power"):
            assert c.db.check(CallContext()) == []
            left = self.kv.durable_copy()
            c.db.close()
            self.kv = left if what == "power" else self.kv.durable_copy()
            self.c = Handle(self.open())
        elif what in ("deferred", "auto"):
            c.db.set_indexing(CallContext(), "c", what)  # type: ignore[arg-type]
        else:
            getattr(c, what)()

    def forget(self, ids: Sequence[str]) -> None:
        for i in ids:
            self.points.pop(i, None)
            self.held.pop(i, None)

    def compare(self) -> None:
        for query in ({0: 1.0, 1: 0.3, 2: -1.0, 2**32 - 1: 2.0}, {3: 1.0}):
            assert found(self.c, query) == brute(self.held, query)
        assert held(self.c) == {
            i: {index: float(np.float32(w)) for index, w in one.items()} for i, one in self.held.items()
        }
        assert self.c.db.check(CallContext()) == []


@settings(max_examples=60, deadline=None)
@given(history=st.lists(steps, min_size=1, max_size=14))
def test_any_history_leaves_the_vectors_of_a_dict(
    history: list[tuple[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    now = History(tmp_path_factory.mktemp("history"))
    try:
        for what, rows in history:
            now.take(what, rows)
            now.compare()
        now.c.db.set_indexing(CallContext(), "c", "auto")
        now.c.settle()
        now.compare()
    finally:
        now.c.db.close()


def test_vectors_of_all_parts_are_read_back_together(s: Handle) -> None:
    s.write(upsert(["a"], [{5: 1.0, 2: 3.0}], [{"n": 1}], ["red"], dense=gaussian(1)))
    (point,) = points_in(s.db.get(s.context(), "c", ["a"], ALL))
    assert point.sparse[""].indices.tolist() == [2, 5]
    assert (point.payload, point.text, point.vector is not None) == ({"n": 1}, "red", True)
    assert points_in(s.db.get(s.context(), "c", ["a"], replace(ALL, vectors=False)))[0].sparse == {}
