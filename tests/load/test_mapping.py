"""Which column becomes what: guessed, said, shown, refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow
import pytest

from tests.load.files import jsonl, rows
from tests.load.model import contents, point
from vecdb import errors
from vecdb.client.client import Client
from vecdb.client.collection import Collection
from vecdb.client.load import load, open_source, plan
from vecdb.model.schema import TextField, VectorField

V = [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"id": "a", "vector": V, "text": "t"}, {"a": point(None, "t", V)}),
        ({"_id": "a", "emb": V, "content": "t", "y": 1}, {"a": point({"y": 1}, "t", V)}),
        ({"UUID": "a", "Embedding": V, "Body": "t"}, {"a": point(None, "t", V)}),
        ({"doc_id": "a", "embeddings": V, "chunk": "t"}, {"a": point(None, "t", V)}),
        ({"id": "a", "emb": "[1, 2, 3.0, 4e0]"}, {"a": point(None, None, V)}),
        ({"some numbers": V, "other": [1, 2]}, {"0": point({"other": [1, 2]}, None, V)}),
        ({"id": "a", "vector": "words", "emb": V}, {"a": point({"vector": "words"}, None, V)}),
        ({"id": "a", "vector": V, "text": 5}, {"a": point({"text": 5}, None, V)}),
        ({"id": "a", "vector": V, "payload": {"x": 1}}, {"a": point({"x": 1}, None, V)}),
        ({"id": "a", "vector": V, "payload": '{"x": 1}'}, {"a": point({"x": 1}, None, V)}),
        ({"id": "a", "vector": V, "payload": {"x": 1}, "y": 2}, {"a": point({"payload": {"x": 1}, "y": 2}, None, V)}),
        ({"id": "a", "vector": V, "payload": "words"}, {"a": point({"payload": "words"}, None, V)}),
        ({"id": "a", "vector": V, "__index_level_0__": 7}, {"a": point({"__index_level_0__": 7}, None, V)}),
    ],
)
def test_guessed(docs: Collection, record: dict[str, Any], expected: Any) -> None:
    load(docs, [record])
    assert contents(docs) == expected


def test_the_index_that_pandas_leaves_is_no_payload(docs: Collection) -> None:
    load(docs, pyarrow.table({"id": ["a"], "vector": [V], "__index_level_0__": [7]}))
    assert contents(docs) == {"a": point(None, None, V)}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"id": "key", "vector": "v2", "text": "title"},
            {"k": point({"id": "i", "vector": V, "text": "t"}, "T", V[::-1])},
        ),
        ({"id": None, "payload": None}, {"0": point(None, "t", V)}),
        ({"vector": None, "text": None, "payload": ["text", "key"]}, {"i": point({"text": "t", "key": "k"})}),
        ({"payload": {"name": "title", "id": "id"}}, {"i": point({"name": "T", "id": "i"}, "t", V)}),
    ],
)
def test_said(docs: Collection, options: dict[str, Any], expected: Any) -> None:
    record = {"id": "i", "key": "k", "vector": V, "v2": V[::-1], "text": "t", "title": "T"}
    for source in ([record], pyarrow.table({name: [value] for name, value in record.items()})):
        docs.clear()
        load(docs, source, **options)
        assert contents(docs) == expected


def test_fields_by_name(db: Client) -> None:
    fields = {"": VectorField(4), "image": VectorField(2), "audio": VectorField(2)}
    shop = db.create_collection("shop", vectors=fields, texts={"title": TextField()})
    record = {"id": "a", "embedding": V, "image": [1.0, 2.0], "snd": [3.0, 4.0], "text": "t", "title": "T"}
    expected = point({"snd": [3.0, 4.0]}, "t", V, image=[1.0, 2.0])
    expected[1]["title"] = "T"
    load(shop, [record])
    assert contents(shop) == {"a": expected}
    load(shop, [record], vector={"audio": "snd", "": "embedding"}, text={"title": "text"}, payload=None)
    expected = point(None, None, V, audio=[3.0, 4.0])
    expected[1]["title"] = "t"
    assert contents(shop) == {"a": expected}
    with pytest.raises(errors.FieldNotFound, match="nope"):
        load(shop, [record], vector={"nope": "snd"})


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"id": "nope"}, "no such column"),
        ({"vector": "nope"}, "no such column"),
        ({"text": {"": "nope"}}, "no such column"),
        ({"payload": ["id", "nope"]}, "no such column"),
        ({"json_columns": ["nope"]}, "no such column"),
    ],
)
def test_columns_that_are_not_there(docs: Collection, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(errors.InvalidArgument, match=reason) as caught:
        load(docs, [{"id": 1, "vector": V}], **options)
    assert caught.value.expected == "id | vector"


def test_nothing_looks_like_a_vector(docs: Collection) -> None:
    with pytest.raises(errors.InvalidArgument, match=r"vector=None") as caught:
        load(docs, [{"id": 1, "x": "words"}])
    assert caught.value.received == "id | x"


def test_shown(docs: Collection, tmp_path: Path) -> None:
    report = load(docs, [{"_id": 1, "emb": V, "year": 5}])
    assert str(report).splitlines()[1:] == [
        "  id      <- _id",
        "  vector  <- emb",
        "  payload <- every other column (year)",
    ]
    report = load(docs, pyarrow.table({"emb": [V], "year": [5], "tag": ["x"]}), payload={"y": "year", "tag": "tag"})
    assert str(report).splitlines()[1:] == [
        "  id      <- the row number",
        "  vector  <- emb",
        "  payload <- year as y, tag",
    ]


def test_a_dry_run_writes_nothing(docs: Collection, tmp_path: Path) -> None:
    path = Path(jsonl(rows(8), tmp_path / "rows.jsonl"))
    path.write_text(path.read_text() + '\n{"id": ""}')
    before = sorted(tmp_path.iterdir())
    report = load(docs, path, dry_run=True, on_error="skip")
    assert (report.dry_run, report.read, report.written, report.skipped) == (True, 9, 8, 1)
    assert "8 of 9 rows would go into docs" in str(report) and "row 8" in str(report)
    assert contents(docs) == {} and sorted(tmp_path.iterdir()) == before


def test_a_plan_makes_the_collection(db: Client, tmp_path: Path) -> None:
    record = {"id": "a", "vector": V, "vector.image": [1.0, 2.0], "text.title": "T", "text": "t", "x": 1}
    with open_source([record]) as source:
        made = plan(source, metric="euclidean")
        assert made.rows == 1 and "4 dimensions, euclidean" in str(made)
        docs = db.create_collection("docs", vectors=made.vectors, texts=made.texts)
        load(docs, source)
    expected = point({"x": 1}, "t", V, image=[1.0, 2.0])
    expected[1]["title"] = "T"
    assert contents(docs) == {"a": expected}
    with open_source([]) as source, pytest.raises(errors.InvalidArgument, match="no rows"):
        plan(source)
    with (
        open_source([{"id": 1, "vector": None}]) as source,
        pytest.raises(errors.InvalidArgument, match="dimension by"),
    ):
        plan(source)
