"""load(export(x)) is x: ids, texts and payloads equal to the last byte, vectors bit for bit."""

from __future__ import annotations

import gzip
import io
import json
import math
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.load.model import contents, point
from vecdb import errors
from vecdb.client.client import Client
from vecdb.client.collection import Collection
from vecdb.client.load import export, load
from vecdb.model.schema import TextField, VectorField

FORMATS = ("parquet", "jsonl", "jsonl.gz", "npy")

FIELDS = {"": VectorField(3, "dot"), "image.v2": VectorField(2, "euclidean"), "cos": VectorField(1, "cosine")}
TEXTS = {"": TextField(), "title": TextField()}

# A float32 whose shortest text, read as a float64 and rounded, is its neighbour.
TREACHEROUS = float(np.array(0x15AE43FD, np.uint32).view(np.float32))

numbers = st.floats(width=32, allow_nan=False, min_value=-(2.0**40), max_value=2.0**40)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
points = st.fixed_dictionaries(
    {},
    optional={
        "payload": st.dictionaries(
            st.text(max_size=5) | st.sampled_from(["id", "vector", "text", "payload"]), json_values
        ),
        "text": st.text(max_size=20),
        "title": st.text(max_size=20),
        "vector": st.lists(numbers, min_size=3, max_size=3),
        "image": st.lists(numbers, min_size=2, max_size=2),
        "cos": st.lists(numbers.filter(lambda x: abs(x) > 1e-30), min_size=1, max_size=1),
    },
)
collections = st.dictionaries(st.text(min_size=1, max_size=12), points, max_size=12)

AWKWARD = {
    "four": {"payload": {"a": [1, 1.0, "1", True, None], "b": -0.0, "c": 1e300, "d": 2**64 - 1, "e": 1e19}},
    "none": {},
    "empty": {"payload": {}, "text": "", "title": ""},
    "named like us": {"payload": {"id": "x", "vector": [1], "text": "t", "payload": {"payload": None}}},
    "\u2028 \x00 \x85 \ufeff": {"text": "\u2028\n\r\n\x00\ud7ff\U0001f600,\"'\t"},
    "floats": {"vector": [TREACHEROUS, -0.0, 1.0000001], "image": [1e-45, 3.4e10], "cos": [-1.5]},
}


def fill(collection: Collection, held: dict[str, Any]) -> None:
    rows = list(held.values())
    collection.upsert(
        list(held),
        {
            "": [row.get("vector") for row in rows],
            "image.v2": [row.get("image") for row in rows],
            "cos": [row.get("cos") for row in rows],
        },
        {"": [row.get("text") for row in rows], "title": [row.get("title") for row in rows]},
        [row.get("payload") for row in rows],
        durability="os",
    )


def fresh(db: Client, vectors: Any = FIELDS, texts: Any = TEXTS) -> Collection:
    return db.create_collection(uuid.uuid4().hex, vectors=vectors, texts=texts)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("format", FORMATS)
@given(held=collections)
@example(held=AWKWARD)
@example(held={})
def test_what_was_exported_is_loaded_again(db: Client, tmp_path: Path, format: str, held: dict[str, Any]) -> None:
    first, second = fresh(db), fresh(db)
    fill(first, held)
    path = tmp_path / f"out.{format}"
    report = first.export(path, overwrite=True)
    assert report.written == len(held)
    assert report.nbytes == sum(file.stat().st_size for file in report.paths)
    second.load(path, batch=3)
    assert contents(second) == contents(first)
    for collection in (first, second):
        db.drop_collection(collection.name)


@pytest.mark.parametrize("format", FORMATS)
def test_without_some_parts(db: Client, tmp_path: Path, format: str) -> None:
    first = fresh(db)
    fill(first, AWKWARD)
    path = tmp_path / f"out.{format}"
    expected = {id: (None, {}, vectors) for id, (_, _, vectors) in contents(first).items()}
    export(first, path, with_text=False, with_payload=False)
    second = fresh(db)
    load(second, path)
    assert contents(second) == expected
    if format == "npy":
        with pytest.raises(errors.InvalidArgument, match="npy is for vectors"):
            export(first, path, with_vectors=False, overwrite=True)
        return
    export(first, path, with_vectors=False, overwrite=True)
    with pytest.raises(errors.InvalidArgument, match="vector=None"):
        load(fresh(db), path)
    third = fresh(db)
    load(third, path, vector=None)
    assert contents(third) == {id: (payload, texts, {}) for id, (payload, texts, _) in contents(first).items()}


@pytest.mark.parametrize("format", FORMATS)
def test_a_collection_whose_only_vectors_have_a_name(db: Client, tmp_path: Path, format: str) -> None:
    fields = {"image": VectorField(2)}
    first, second = fresh(db, fields), fresh(db, fields)
    first.upsert([1, 2], {"image": [None, [3.0, 4.0]]})
    export(first, tmp_path / f"out.{format}")
    load(second, tmp_path / f"out.{format}")
    assert contents(second) == {"1": point(), "2": point(image=[3.0, 4.0])}


def test_standard_output(docs: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    docs.upsert([1], [[1.0, 2.0, 3.0, 4.0]], ["a"], [{"x": 1.0}])

    class Stdout:
        buffer = io.BytesIO()

    monkeypatch.setattr("sys.stdout", Stdout)
    report = export(docs, "-")
    line = b'{"id":"1","vector":[1.0,2.0,3.0,4.0],"text":"a","payload":{"x":1.0}}\n'
    assert Stdout.buffer.getvalue() == line
    assert (report.written, report.nbytes, report.paths) == (1, len(line), [])
    with pytest.raises(errors.InvalidArgument, match="JSON lines alone"):
        export(docs, "-", format="parquet")


def test_files_are_whole_or_absent(docs: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docs.upsert([1, 2], [[1.0, 2.0, 3.0, 4.0]] * 2)
    for format in FORMATS:
        path = tmp_path / f"out.{format}"
        path.write_text("here before")
        with pytest.raises(errors.AlreadyExists, match=r"overwrite=True"):
            export(docs, path)

        def broken(done: int, total: int | None) -> None:
            raise OSError("the disk is full")

        with pytest.raises(OSError, match="the disk is full"):
            export(docs, path, overwrite=True, progress=broken)
        assert path.read_text() == "here before"
        path.unlink()
    assert [path.name for path in tmp_path.iterdir() if path.name != "data"] == []


def test_other_libraries_read_what_was_exported(docs: Collection, tmp_path: Path) -> None:
    docs.upsert([1, 2], [[1.0, 2.0, 3.0, TREACHEROUS], [0.5, 0, 0, 0]], ["a", None], [{"x": [1, 1.0]}, None])
    export(docs, tmp_path / "out.npy")
    array = np.load(tmp_path / "out.npy")
    assert array.dtype == np.float32 and array.shape == (2, 4) and array[0, 3] == np.float32(TREACHEROUS)
    export(docs, tmp_path / "out.jsonl.gz")
    with gzip.open(tmp_path / "out.jsonl.gz", "rt") as file:
        first = json.loads(file.readline())
    assert first["payload"] == {"x": [1, 1.0]} and math.isclose(first["vector"][3], TREACHEROUS, rel_tol=1e-6)


def test_writing_goes_on_meanwhile(docs: Collection, tmp_path: Path) -> None:
    """What is there from beginning to end is written exactly once."""
    ids = [f"{i:05}" for i in range(0, 3000, 2)]
    docs.upsert(ids, np.ones((len(ids), 4)), durability="os")

    def meanwhile(done: int, total: int | None) -> None:
        docs.upsert([f"{i:05}" for i in range(done, done + 400)], np.ones((400, 4)), durability="os")

    export(docs, tmp_path / "out.jsonl", progress=meanwhile)
    found = [json.loads(line)["id"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert set(ids) <= set(found) and len(found) == len(set(found))
