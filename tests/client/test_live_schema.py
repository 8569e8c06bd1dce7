"""Collections that change while they serve: every test runs embedded and over gRPC, blocking and awaited."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from vecdb import F, Near, TextField, Upsert, VectorField, errors
from vecdb.client.client import Client
from vecdb.client.collection import Collection

IMAGE = VectorField(3, "dot")


def test_from_one_embedding_model_to_the_next(docs: Collection, rng: np.random.Generator) -> None:
    ids = [f"p{i}" for i in range(30)]
    old, new = rng.standard_normal((30, 4)), rng.standard_normal((30, 3))
    docs.upsert(ids, old)
    info = docs.add_vector_field("v2", IMAGE)
    assert info == docs.describe()
    assert info.schema.vectors["v2"] == IMAGE
    assert docs.search(new[0], using="v2").ids == []
    docs.update(ids[:10], vectors={"v2": new[:10]})
    assert docs.count(filter=F.has_vector("v2")) == 10
    docs.update(ids[10:], vectors={"v2": new[10:]})
    assert docs.count(filter=F.has_vector("v2")) == 30
    assert docs.search(old[3], limit=1).ids == ["p3"], "nobody's searches moved"
    assert docs.set_default_vector("v2").schema.default_vector == "v2"
    assert docs.search(np.ones(3), limit=3).ids == docs.search(np.ones(3), limit=3, using="v2").ids
    assert docs.search(old[3], using="", limit=1).ids == ["p3"], "the unnamed field is still there by its name"
    docs.upsert(["new"], [[9, 9, 9]])
    assert docs.search([1, 1, 1], limit=1).ids == ["new"]
    assert docs.get(["new"], with_vectors=True)[0].vectors["v2"].tolist() == [9, 9, 9]
    docs.drop_vector_field("")
    with pytest.raises(errors.FieldNotFound):
        docs.search(old[3], using="")
    docs.rename_vector_field("v2", "main")
    assert docs.search([1, 1, 1], limit=1).ids == ["new"]
    assert docs.count() == 31
    (point,) = docs.get(["p1"], with_vectors=True)
    assert set(point.vectors) == {"main"}


def test_where_none_is_named_in_every_form(db: Client) -> None:
    fields = {"a": VectorField(2, model="m"), "b": VectorField(2)}
    docs = db.create_collection("docs", vectors=fields, default_vector="a")
    docs.upsert(["1"], [[1, 0]], model="m")
    docs.write([Upsert(["2"], vectors=[None, [0, 1]][1:], model={"": "m"})])
    with pytest.raises(errors.ModelMismatch):
        docs.upsert(["3"], [[1, 1]], model="other")
    assert docs.search([1, 0]).ids == ["1", "2"]
    assert docs.search([1, 0], explain=True).explain["legs"][0]["using"] == "a"
    assert docs.search(legs=[Near([1, 0]), Near([0, 1], using="a")]).ids
    assert [r.ids[0] for r in docs.search_batch([[1, 0], [0, 1]])] == ["1", "2"]
    assert docs.search([1, 0], using="b").ids == []
    assert {p.id: set(p.vectors) for p in docs.scroll(with_vectors=True)} == {"1": {"a"}, "2": {"a"}}


def test_there_is_no_telling_which(db: Client) -> None:
    docs = db.create_collection("docs", vectors={"a": VectorField(2), "b": VectorField(2)})
    for attempt in (lambda: docs.search([1, 2]), lambda: docs.upsert(["1"], [[1, 2]])):
        with pytest.raises(errors.FieldNotFound, match=r"'a' \| 'b'"):
            attempt()
    with pytest.raises(errors.FieldNotFound):
        db.create_collection("more", dim=2, default_vector="a")


def test_the_other_changes(docs: Collection) -> None:
    assert docs.set_ttl(90).schema.ttl_ms == 90_000
    assert docs.set_ttl(timedelta(days=2)).schema.ttl_ms == 172_800_000
    assert docs.set_ttl(None).schema.ttl_ms == docs.set_ttl(math.inf).schema.ttl_ms == 0
    assert docs.set_payload_columns(False).schema.payload_columns is False
    assert docs.add_text_field("title", TextField("english")).schema.texts["title"] == TextField("english")
    docs.upsert(["1"], texts={"title": ["words"]}, payloads=[{"n": 1}])
    assert docs.get(["1"])[0].texts == {"title": "words"}


def test_a_collection_that_is_not_there(db: Client) -> None:
    with pytest.raises(errors.CollectionNotFound):
        db.collection("docs").set_ttl(5)


def test_a_collection_is_created_with_all_of_it(db: Client) -> None:
    given: dict[str, Any] = {
        "vectors": {"a": VectorField(2), "b": VectorField(2)},
        "default_vector": "b",
        "ttl": timedelta(minutes=1),
        "payload_columns": False,
    }
    found = db.create_collection("docs", **given).describe().schema
    assert (found.default_vector, found.ttl_ms, found.payload_columns) == ("b", 60_000, False)
    db.create_collection("docs", **given, exist_ok=True)
    for other, differs in (
        ({"default_vector": "a"}, "default_vector"),
        ({"ttl": None}, "ttl_ms"),
        ({"payload_columns": True}, "payload_columns"),
    ):
        with pytest.raises(errors.CollectionExists, match=f"another schema: {differs} "):
            db.create_collection("docs", **(given | other), exist_ok=True)


@pytest.mark.parametrize(
    ("change", "error", "field"),
    [
        (lambda c: c.add_vector_field("", IMAGE), errors.AlreadyExists, "name"),
        (lambda c: c.add_vector_field("a b", IMAGE), errors.InvalidArgument, "vectors"),
        (lambda c: c.add_vector_field("x", VectorField(0)), errors.InvalidArgument, "field.dim"),
        (lambda c: c.add_vector_field("x", VectorField(2, "taxi")), errors.InvalidArgument, "field.metric"),
        (lambda c: c.add_vector_field("x", 4), errors.InvalidArgument, "field"),
        (lambda c: c.add_vector_field(None, IMAGE), errors.InvalidArgument, "name"),
        (lambda c: c.drop_vector_field("x"), errors.FieldNotFound, "name"),
        (lambda c: c.drop_vector_field(""), errors.FailedPrecondition, "name"),
        (lambda c: c.rename_vector_field("x", "y"), errors.FieldNotFound, "name"),
        (lambda c: c.rename_vector_field("", 1), errors.InvalidArgument, "new_name"),
        (lambda c: c.set_default_vector("x"), errors.FieldNotFound, "name"),
        (lambda c: c.add_text_field("", TextField()), errors.AlreadyExists, "name"),
        (lambda c: c.add_text_field("x", "english"), errors.InvalidArgument, "field"),
        (lambda c: c.set_ttl(0), errors.InvalidArgument, "ttl"),
        (lambda c: c.set_ttl(-1), errors.InvalidArgument, "ttl"),
        (lambda c: c.set_ttl(math.nan), errors.InvalidArgument, "ttl"),
        (lambda c: c.set_ttl(True), errors.InvalidArgument, "ttl"),
        (lambda c: c.set_ttl(1e15), errors.InvalidArgument, "ttl"),
        (lambda c: c.set_payload_columns(1), errors.InvalidArgument, "on"),
    ],
)
def test_what_cannot_be_changed(
    docs: Collection, change: Callable[[Collection], object], error: type[errors.VecdbError], field: str
) -> None:
    before = docs.describe()
    with pytest.raises(error) as refused:
        change(docs)
    assert refused.value.field == field
    assert docs.describe() == before


def test_everybody_goes_on(docs: Collection, rng: np.random.Generator) -> None:
    """Searches and writes while fields come and go: a call sees one schema, and only a field's own end is an error."""
    ids = [f"p{i}" for i in range(40)]
    vectors = rng.standard_normal((40, 4)).astype(np.float32)
    docs.upsert(ids, vectors)
    ended, wrong = threading.Event(), []
    rounds = {"search": 0, "write": 0, "named": 0}

    def keep(what: str, action: Callable[[int], None]) -> threading.Thread:
        def run() -> None:
            try:
                while not ended.is_set():
                    action(rounds[what])
                    rounds[what] += 1
            except BaseException as error:
                wrong.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def search(i: int) -> None:
        found = docs.search(vectors[i % 40], limit=5, exact=bool(i % 2))
        assert len(found) == 5
        assert found.ids[0] == ids[i % 40]

    def write(i: int) -> None:
        assert docs.update([ids[i % 40]], payloads=[{"n": i}]).count == 1

    def named(i: int) -> None:
        """By a name that is there, or is not: all ten points with a vector, or a refusal that names the fields."""
        try:
            found = docs.search(np.ones(3), limit=40, using="image")
            assert len(found) in (0, 10), found.ids
            docs.get(ids[:10], with_vectors=True)
        except errors.FieldNotFound as error:
            assert error.expected is not None

    threads = [keep("search", search), keep("write", write), keep("named", named)]
    try:
        for i in range(6):
            docs.add_vector_field("image", IMAGE)
            docs.update(ids[:10], vectors={"image": rng.standard_normal((10, 3))})
            assert docs.count(filter=F.has_vector("image")) == 10
            docs.rename_vector_field("image", f"old{i}")
            assert len(docs.search(np.ones(3), limit=40, using=f"old{i}")) == 10
            docs.drop_vector_field(f"old{i}")
    finally:
        ended.set()
        for thread in threads:
            thread.join(60)
    assert wrong == []
    assert min(rounds.values()) > 0
    assert docs.count() == 40
