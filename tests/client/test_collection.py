"""The same calls, embedded and over gRPC, mean the same: every test here runs on both."""

from __future__ import annotations

import threading
import uuid

import numpy as np
import pytest

import vecdb
from vecdb import Clear, Delete, Near, Update, Upsert, errors
from vecdb.client.client import Client
from vecdb.client.collection import Collection

E = np.eye(4, dtype=np.float32)


def test_what_was_written_is_read_back(docs: Collection) -> None:
    number = uuid.uuid4()
    result = docs.upsert(
        ["a", 2, number], [E[0], None, E[1]], ["one", "二", None], [{"n": 1, "f": 1.0, "s": "1", "b": True}, None, {}]
    )
    assert (result.count, result.seq > 0) == (3, True)
    a, two, third = docs.get(["a", 2, number], with_vectors=True)
    assert (a.id, a.text, a.payload) == ("a", "one", {"n": 1, "f": 1.0, "s": "1", "b": True})
    assert [type(value) for value in a.payload.values()] == [int, float, str, bool]
    assert a.vector.tolist() == [1, 0, 0, 0]
    assert (two.id, two.text, two.payload, two.vector) == ("2", "二", None, None)
    assert (third.id, third.text, third.payload) == (str(number), None, {})
    assert docs.count() == 3


def test_get_keeps_the_order_asked_and_leaves_out_what_is_missing(docs: Collection) -> None:
    docs.upsert(range(5), payloads=[{"i": i} for i in range(5)])
    assert [p.id for p in docs.get([3, "no", 0, 4])] == ["3", "0", "4"]
    assert docs.get([]) == []
    lean = docs.get([1], with_payload=False, with_text=False)[0]
    assert (lean.payload, lean.text, lean.vector) == (None, None, None)


def test_exists_answers_for_each_id(docs: Collection) -> None:
    docs.upsert([1, 3])
    found = docs.exists([1, 2, 3, "x"])
    assert found.dtype == np.bool_
    assert found.tolist() == [True, False, True, False]
    assert docs.exists([]).tolist() == []


def test_search_finds_the_nearest(docs: Collection) -> None:
    docs.upsert(range(4), E, [f"text {i}" for i in range(4)], [{"i": i} for i in range(4)])
    result = docs.search(E[2] + 0.1 * E[1], limit=2)
    assert result.ids == ["2", "1"]
    assert result[0].payload == {"i": 2}
    assert result[0].text == "text 2"
    assert result[0].vector is None
    assert result[0].score == pytest.approx(1 / np.sqrt(1.01), abs=1e-6)
    assert result[0].distance == pytest.approx(1 - result[0].score, abs=1e-6)
    assert result.took_ms >= 0
    assert result.explain is None
    vectors = docs.search([0, 0, 1, 0], limit=1, with_vectors=True, with_payload=False, with_text=False)[0]
    assert vectors.vector.tolist() == [0, 0, 1, 0]
    assert (vectors.payload, vectors.text) == (None, None)


def test_search_has_windows_and_bounds(docs: Collection, rng: np.random.Generator) -> None:
    docs.upsert(range(50), rng.normal(size=(50, 4)))
    query = rng.normal(size=4)
    whole = docs.search(query, limit=50)
    assert len(whole) == 50
    assert docs.search(query, limit=10, offset=20).ids == whole.ids[20:30]
    assert docs.search(query, limit=10, offset=60).ids == []
    good = [hit.id for hit in whole if hit.score >= 0.25]
    assert docs.search(query, limit=50, min_score=0.25).ids == good
    assert docs.search(query, limit=5, exact=True).ids == docs.search(query, limit=5, ef=500).ids == whole.ids[:5]
    assert docs.search(query, explain=True).explain


def test_legs_are_fused(docs: Collection) -> None:
    docs.upsert(range(4), E)
    result = docs.search(legs=[Near(E[0]), Near(E[1], weight=3.0)], limit=4)
    assert result.ids[0] == "1"
    assert result.distances is None
    assert result[0].distance is None
    assert 0 < result[0].score <= 1


def test_a_batch_of_searches_is_many_searches(docs: Collection, rng: np.random.Generator) -> None:
    docs.upsert(range(60), rng.normal(size=(60, 4)), payloads=[{"i": i} for i in range(60)])
    queries = rng.normal(size=(7, 4))
    batch = docs.search_batch(queries, limit=4)
    assert [r.ids for r in batch] == [docs.search(query, limit=4).ids for query in queries]
    assert all(hit.payload == {"i": int(hit.id)} for result in batch for hit in result)
    assert docs.search_batch([]) == []


def test_insert_update_delete_clear(docs: Collection) -> None:
    assert docs.insert([1, 2, 3], E[:3], ["a", "b", "c"]).count == 3
    with pytest.raises(errors.PointExists):
        docs.insert([9, 1], E[:2])
    assert docs.exists([9]).tolist() == [False]
    assert docs.update([1, 7], payloads=[{"new": 1}, {"new": 7}]).count == 1
    (one,) = docs.get([1], with_vectors=True)
    assert (one.text, one.payload, one.vector.tolist()) == ("a", {"new": 1}, [1, 0, 0, 0])
    docs.upsert([1])
    (one,) = docs.get([1], with_vectors=True)
    assert (one.text, one.payload, one.vector) == (None, None, None)
    assert docs.delete([1, 2, "nobody"]).count == 2
    assert docs.clear().count == 1
    assert docs.count() == 0


def test_of_equal_ids_the_last_wins(docs: Collection) -> None:
    docs.upsert(["a", "b", "a"], texts=["first", "b", "last"])
    assert docs.get(["a"])[0].text == "last"
    assert docs.count() == 2


def test_a_batch_is_applied_in_order_and_as_one(docs: Collection) -> None:
    docs.upsert(["old"])
    result = docs.write([Clear(), Upsert(["a", "b"], texts=["1", "2"]), Update(["a"], texts=["3"]), Delete(ids=["b"])])
    assert [point.id for point in docs.scroll()] == ["a"]
    assert docs.get(["a"])[0].text == "3"
    assert docs.get(["a"])[0].version == result.seq
    with pytest.raises(errors.InvalidArgument):
        docs.write([Clear(), Upsert(["c"], [[1, 2]])])
    assert docs.count() == 1


def test_the_same_request_id_has_one_effect(docs: Collection) -> None:
    first = docs.update(["a"], texts=["x"], request_id=b"r1")
    docs.upsert(["a"])
    assert docs.update(["a"], texts=["x"], request_id=b"r1") == first
    assert docs.get(["a"])[0].text is None


def test_scroll_walks_over_everything_in_the_order_of_ids(docs: Collection) -> None:
    ids = ["", "a", "B", "é", "文", "zz", *map(str, range(50))][1:]
    docs.upsert(ids, payloads=[{"id": id} for id in ids])
    expected = sorted(ids, key=str.encode)
    for batch in (1, 7, 1000):
        assert [point.id for point in docs.scroll(batch=batch)] == expected
    assert all(point.payload == {"id": point.id} for point in docs.scroll())
    assert next(docs.scroll(with_payload=False)).payload is None
    for wrong in (0, 10_001, 1.5, True):
        with pytest.raises(errors.InvalidArgument):
            docs.scroll(batch=wrong)  # type: ignore[arg-type]


def test_named_fields(db: Client) -> None:
    both = db.create_collection(
        "both",
        dim=2,
        metric="euclidean",
        vectors={"image": vecdb.VectorField(3, "dot", model="clip")},
        texts={"title": vecdb.TextField()},
    )
    both.upsert([1, 2], {"": [[0, 0], [3, 4]], "image": [None, [1, 2, 3]]}, {"title": ["t1", None], "": ["u1", "u2"]})
    near = both.search([0, 0], limit=2)
    assert near.ids == ["1", "2"]
    assert near.distances.tolist() == [0, 5]
    assert near.scores.tolist() == pytest.approx([1, 1 / 6])
    image = both.search([1, 1, 1], using="image", model="clip", with_vectors=True)
    assert image.ids == ["2"]
    assert (image[0].score, image[0].distance) == (6, -6)
    assert image[0].vectors["image"].tolist() == [1, 2, 3]
    assert both.get([1])[0].texts == {"": "u1", "title": "t1"}
    with pytest.raises(errors.ModelMismatch):
        both.search([1, 1, 1], using="image", model="other")
    with pytest.raises(errors.ModelMismatch):
        both.upsert([3], {"image": [[1, 2, 3]]}, model="other")
    with pytest.raises(errors.FieldNotFound):
        both.search([1], using="audio")
    with pytest.raises(errors.FieldNotFound):
        both.upsert([1], {"audio": [[1]]})


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda docs: docs.upsert(["a"], [[1, 2]]), errors.DimensionMismatch),
        (lambda docs: docs.upsert(["a"], [[0, 0, 0, 0]]), errors.InvalidVector),
        (lambda docs: docs.upsert(["a"], [[0, 0, 0, float("nan")]]), errors.InvalidVector),
        (lambda docs: docs.upsert([""]), errors.InvalidArgument),
        (lambda docs: docs.upsert(["x" * 513]), errors.InvalidArgument),
        (lambda docs: docs.insert(["a", "a"]), errors.InvalidArgument),
        (lambda docs: docs.search([1, 2, 3]), errors.DimensionMismatch),
        (lambda docs: docs.search([0, 0, 0, 0]), errors.InvalidVector),
        (lambda docs: docs.search_batch([[1, 2, 3, 4], [0, 0, 0, 0]]), errors.InvalidVector),
        (lambda docs: docs.set_indexing("never"), errors.InvalidArgument),
    ],
)
def test_bad_input_is_named_and_changes_nothing(docs: Collection, call: object, kind: type) -> None:
    with pytest.raises(kind) as refused:
        call(docs)  # type: ignore[operator]
    assert type(refused.value) is kind
    assert refused.value.field
    assert docs.count() == 0


def test_collections_come_and_go(db: Client) -> None:
    made = db.create_collection("b", dim=3, metric="dot", m=8, ef_construction=50, model="e5", analyzer="english")
    assert made.name == "b"
    db.create_collection("a", dim=2)
    described = db.collection("b").describe()
    field = described.schema.vectors[""]
    assert (field.dim, field.metric, field.m, field.ef_construction, field.model) == (3, "dot", 8, 50, "e5")
    assert described.schema.texts[""].analyzer == "english"
    assert (described.name, described.indexing, described.points) == ("b", "auto", 0)
    assert [info.name for info in db.list_collections()] == ["a", "b"]
    with pytest.raises(errors.CollectionExists):
        db.create_collection("a", dim=2)
    db.create_collection("a", dim=2, exist_ok=True)
    with pytest.raises(errors.CollectionExists):
        db.create_collection("a", dim=3, exist_ok=True)
    db.drop_collection("a")
    assert [info.name for info in db.list_collections()] == ["b"]
    for call in (lambda: db.drop_collection("a"), db.collection("a").count, lambda: db.collection("a").search([1, 2])):
        with pytest.raises(errors.CollectionNotFound):
            call()


@pytest.mark.parametrize("name", ["", "a b", "x" * 129, "a/b", "文", None, 7])
def test_a_name_that_cannot_be_is_refused_without_a_call(db: Client, name: str) -> None:
    for call in (db.collection, db.drop_collection, lambda name: db.create_collection(name, dim=2)):
        with pytest.raises(errors.InvalidArgument):
            call(name)


@pytest.mark.parametrize(
    "schema",
    [
        {"dim": 0},
        {"dim": 65_537},
        {"dim": 2.0},
        {"dim": 2, "metric": "manhattan"},
        {"dim": 2, "m": 1},
        {"dim": 2, "vectors": {"": vecdb.VectorField(2)}},
        {"vectors": {"a b": vecdb.VectorField(2)}},
        {"vectors": {"a": 2}},
        {"dim": 2, "texts": {"a": "english"}},
    ],
)
def test_a_schema_that_cannot_be_is_refused(db: Client, schema: dict[str, object]) -> None:
    with pytest.raises(errors.InvalidArgument):
        db.create_collection("docs", **schema)  # type: ignore[arg-type]
    assert db.list_collections() == []


def test_looking_after_a_collection(db: Client, docs: Collection) -> None:
    docs.upsert(range(10), np.ones((10, 4)))
    docs.delete([1])
    stats = docs.stats()
    assert (stats.name, stats.live, stats.vectors, stats.indexing) == ("docs", 9, 9, "auto")
    docs.set_indexing("deferred")
    assert docs.describe().indexing == "deferred"
    docs.set_indexing("auto")
    docs.wait_indexed()
    assert docs.compact() >= 0
    assert docs.count() == 9
    assert db.stats().collections == 1
    assert db.stats().read_only_reason is None


def test_the_client_tells_what_it_talks_to(db: Client) -> None:
    info = db.info()
    assert info.version == vecdb.__version__
    assert "search.near" in info.features
    assert info.limits.message_bytes == 64 << 20


def test_a_closed_client_says_so(db: Client) -> None:
    docs = db.create_collection("docs", dim=2)
    assert db.check() == []
    db.close()
    db.close()
    for call in (docs.count, db.list_collections, lambda: docs.upsert([1], [[1, 2]])):
        with pytest.raises(errors.Closed):
            call()


def test_one_client_serves_many_threads(docs: Collection) -> None:
    failures: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            for i in range(10):
                docs.upsert([f"{thread}-{i}"], [E[i % 4]])
                assert docs.exists([f"{thread}-{i}"])[0]
                assert docs.search(E[i % 4], limit=1).scores[0] == pytest.approx(1)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert docs.count() == 40
