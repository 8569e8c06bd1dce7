"""Sparse vectors in files: what was exported is loaded again, and what is none is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb
from vecdb.client.client import Client
from vecdb.client.collection import Collection
from vecdb.client.load import plan
from vecdb.client.load.opening import open_source

FIELDS = {"": vecdb.SparseField(), "splade.v2": vecdb.SparseField()}
TREACHEROUS = float(np.array(0x15AE43FD, np.uint32).view(np.float32))
HELD: dict[str, Any] = {
    "a": [{2**32 - 1: TREACHEROUS, 0: -0.1}, {}],
    "b": [None, {7: 1.0}],
    "c": [None, None],
    "d": [{5: 1.0}, {5: 3.4e10, 6: 1e-45}],
}


def held(collection: Collection) -> dict[str, dict[str, dict[int, float]]]:
    points = collection.scroll(with_vectors=True)
    return {point.id: {name: vector.to_dict() for name, vector in point.sparse.items()} for point in points}


@pytest.mark.parametrize("format", ["parquet", "jsonl", "jsonl.gz", "npy"])
def test_what_was_exported_is_loaded_again(db: Client, tmp_path: Path, format: str) -> None:
    first, second = (db.create_collection(name, dim=2, sparse=FIELDS) for name in ("first", "second"))
    by_field = {"": [a for a, _ in HELD.values()], "splade.v2": [b for _, b in HELD.values()]}
    first.upsert(list(HELD), np.eye(4, 2) + 1, sparse=by_field, payloads=[{"n": 1}] * 4, texts=["t"] * 4)
    path = tmp_path / f"out.{format}"
    first.export(path)
    second.load(path, batch=3)
    assert held(second) == held(first)
    assert held(first)["a"] == {"": {0: float(np.float32(-0.1)), 2**32 - 1: TREACHEROUS}, "splade.v2": {}}
    assert second.get(["a"])[0].payload == {"n": 1}
    if format != "npy":
        first.export(path, overwrite=True, with_vectors=False)
        third = db.create_collection("third", sparse=FIELDS)
        third.load(path, vector=None)
        assert held(third) == {id: {} for id in HELD}


def test_what_is_no_sparse_vector_is_named(db: Client, tmp_path: Path) -> None:
    docs = db.create_collection("docs", sparse={"splade": vecdb.SparseField()})
    path = tmp_path / "in.jsonl"
    given = [{"3": 1.5}, {"indices": [2, 1], "values": [1, 2]}, None, {"indices": [1, 1], "values": [1, 2]}, {"x": 1}]
    rows = [{"id": str(i), "splade": one, "n": i} for i, one in enumerate(given)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = docs.load(path, on_error="skip", vector=None)
    assert [(bad.row, bad.column) for bad in report.bad] == [(3, "splade"), (4, "splade")]
    assert held(docs) == {"0": {"splade": {3: 1.5}}, "1": {"splade": {1: 2.0, 2: 1.0}}, "2": {}}
    assert docs.get(["0"])[0].payload == {"n": 0}


def test_a_collection_is_planned_with_its_sparse_fields(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    row = {"id": "a", "vector": [1, 2], "sparse.bge": {"indices": [1], "values": [2]}, "sparse": {"n": 1}}
    path.write_text(json.dumps(row) + "\n")
    with open_source(path) as source:
        made = plan(source)
    assert dict(made.sparse) == {"bge": vecdb.SparseField()}
    assert made.mapping.used() == {"id", "vector", "sparse.bge"}
    assert "sparse.bge <- sparse.bge" in str(made)
