"""Recall over every way to a database: measured on demand, kept in statistics, and asked of a search."""

from __future__ import annotations

import numpy as np
import pytest

from tests.client.test_searches import DEFAULTS, search
from tests.wire.fake_engine import FakeDatabase
from vecdb import Client, Collection, F, errors
from vecdb.client import steps
from vecdb.client.calls import Info, MeasureRecall
from vecdb.model.context import CallContext
from vecdb.model.info import Limits, ServerInfo
from vecdb.model.recall import MeasuredRecall
from vecdb.model.schema import Schema, VectorField


def test_recall_is_measured_on_demand(docs: Collection, rng: np.random.Generator) -> None:
    docs.upsert(range(300), rng.normal(size=(300, 4)), payloads=[{"n": i} for i in range(300)])
    queries = rng.normal(size=(25, 4))
    measured = docs.measure_recall(5, queries, filter=F("n") < 100)
    assert (measured.k, measured.queries, measured.stored, measured.recall) == (5, 25, 0, 1.0)
    assert [(s.wanted, s.found, s.ef, s.recall) for s in measured.segments] == [(125, 125, None, 1.0)]
    assert docs.measure_recall(sample=40, target_recall=0.9).queries == 40
    assert docs.measure_recall(sample=40).stored == 40
    assert docs.measure_recall(sample=5_000).queries == 300  # there are no more
    assert docs.measure_recall(queries=queries[:0].reshape(0, 4)).queries == 0
    with pytest.raises(errors.InvalidArgument, match="ef or target_recall"):
        docs.measure_recall(ef=10, target_recall=0.9)
    with pytest.raises(errors.DimensionMismatch):
        docs.measure_recall(queries=[[1.0, 2.0]])
    with pytest.raises(errors.FieldNotFound):
        docs.measure_recall(using="other")
    with pytest.raises(errors.InvalidArgument, match="k out of range"):
        docs.measure_recall(101)


def test_a_search_names_the_recall_it_wants(docs: Collection, rng: np.random.Generator) -> None:
    vectors = rng.normal(size=(50, 4))
    docs.upsert(range(50), vectors)
    assert docs.search(vectors[3], target_recall=0.99, limit=1).ids == ["3"]
    found = docs.search_batch(vectors[:2], target_recall=1, limit=1, explain=True)
    assert [result.ids for result in found] == [["0"], ["1"]]
    assert found[0].explain is not None
    assert found[0].explain["legs"][0]["target_recall"] == 1.0
    with pytest.raises(errors.InvalidArgument, match="ef or target_recall"):
        docs.search(vectors[0], ef=10, target_recall=0.9)
    with pytest.raises(errors.InvalidArgument, match="target_recall"):
        docs.search_batch(vectors, target_recall=1.5)


def test_what_was_measured_in_idle_time_is_in_the_statistics(db: Client, rng: np.random.Generator) -> None:
    """Here nothing was: the collection has no graph."""
    docs = db.create_collection("docs", dim=4)
    docs.upsert(range(50), rng.normal(size=(50, 4)))
    assert docs.stats().recall == {}


def test_a_target_is_a_number() -> None:
    assert search([1, 2], target_recall=np.float32(0.5)).target_recall == 0.5
    with pytest.raises(errors.InvalidArgument, match="target_recall"):
        search([1, 2], target_recall="high")
    assert "target_recall" not in DEFAULTS


def asked(queries: object, sample: int, engine: FakeDatabase, message_bytes: int = 1 << 20) -> list[MeasureRecall]:
    """What a measurement asks of an engine, which measures two queries a call."""
    found = []
    how = {"ef": None, "target_recall": None, "using": None, "filter": None}
    measuring = steps.measure_recall("docs", 10, queries, sample=sample, **how)  # type: ignore[arg-type]
    call = next(measuring)
    while True:
        if isinstance(call, Info):
            answer: object = ServerInfo(limits=Limits(message_bytes=message_bytes))
        else:
            assert isinstance(call, MeasureRecall)
            found.append(call)
            answer = call.on(engine, CallContext())  # type: ignore[arg-type]
        try:
            call = measuring.send(answer)
        except StopIteration as ended:
            assert isinstance(ended.value, MeasuredRecall)
            (segment,) = ended.value.segments
            assert (segment.wanted, segment.found) == (20 * len(found), 18 * len(found))
            return found


def test_a_measurement_is_made_in_as_many_calls_as_it_takes() -> None:
    engine = FakeDatabase()
    engine.create_collection(CallContext(), "docs", Schema({"": VectorField(2)}))
    drawn = [call.request for call in asked(None, 5, engine)]
    assert [(request.skip, request.count) for request in drawn] == [(0, 5), (2, 3), (4, 1)]
    assert len({request.seed for request in drawn}) == 1
    given = [call.request.vectors for call in asked(np.arange(10).reshape(5, 2), 0, engine)]
    assert [vectors[:, 0].tolist() for vectors in given if vectors is not None] == [[0, 2, 4, 6, 8], [4, 6, 8], [8]]
    wide = asked(np.ones((3, 10_000)), 0, engine, message_bytes=140_000)
    assert [len(call.request.vectors) for call in wide if call.request.vectors is not None] == [1, 1, 1]
