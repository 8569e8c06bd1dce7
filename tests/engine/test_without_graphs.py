"""Where no graph can be built the engine searches exactly, and says so."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from vecdb.engine.database import Database
from vecdb.engine.options import EngineOptions
from vecdb.index import hnsw
from vecdb.model.context import CallContext
from vecdb.model.point import Put, PutMode, Rows, VectorColumn, WriteBatch
from vecdb.model.query import Near, SearchRequest
from vecdb.model.schema import Schema, VectorField

ANY = CallContext()


def test_the_log_the_statistics_and_explain_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hnsw, "available", lambda: hnsw.Availability(False, "hnswlib cannot be imported: by a test"))
    options = EngineOptions(background=False, graph_rows=16, growing_rows=16, idle_seal_s=0.0)
    with caplog.at_level(logging.WARNING):
        db = Database.open(tmp_path / "data", options)
    try:
        assert "every search is exact: hnswlib cannot be imported: by a test" in caplog.text
        db.create_collection(ANY, "c", Schema({"": VectorField(4)}))
        vectors = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
        rows = Rows([f"{i:02d}" for i in range(40)], {"": VectorColumn(vectors)})
        db.write(ANY, "c", WriteBatch([Put(PutMode.UPSERT, rows)]))
        while db.maintain():
            pass
        assert {index for s in db.stats(ANY, "c").segments for index in s.index.values()} == {"flat"}
        answer = db.search(ANY, "c", SearchRequest([Near(vectors[7:8])], limit=3, explain=True))
        assert answer.points.ids[0] == "07"
        assert answer.explain is not None
        assert answer.explain["no_graphs"] == "hnswlib cannot be imported: by a test"
        assert {segment["plan"] for segment in answer.explain["legs"][0]["segments"]} == {"exact"}
        assert db.check(ANY) == []
    finally:
        db.close()
