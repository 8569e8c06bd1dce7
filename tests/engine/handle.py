"""One collection of an open engine, with short ways to write to it, read it and look inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from vecdb.engine.collection import Collection
from vecdb.engine.database import Database
from vecdb.engine.options import EngineOptions
from vecdb.engine.view import View
from vecdb.model.collection import CollectionInfo, CollectionStats
from vecdb.model.context import CallContext
from vecdb.model.filter import Filter
from vecdb.model.hit import Point, points_in
from vecdb.model.point import (
    Clear,
    DeleteIds,
    Operation,
    Put,
    PutMode,
    Rows,
    Select,
    VectorColumn,
    WriteBatch,
    WriteResult,
)
from vecdb.model.query import Near, SearchAnswer, SearchRequest
from vecdb.model.schema import Schema, TextField, VectorField
from vecdb.model.schema_change import SchemaChange

DIM = 4
PLAIN = Schema({"": VectorField(DIM)})
TWO = Schema(
    {"": VectorField(DIM), "image": VectorField(3, "euclidean")},
    {"": TextField(), "title": TextField()},
)
ALL = Select(payload=True, texts=True, vectors=True)

# Seals, merges and graphs happen on tens of rows; nothing happens behind a test's back, or by the clock.
SMALL = EngineOptions(
    background=False,
    growing_rows=12,
    graph_rows=16,
    seal_bytes=1_024,
    max_segment_bytes=64 << 10,
    index_threads=1,
    search_threads=1,
    idle_seal_s=0.0,
    measure_share=0.0,
    keep_changes_s=0.0,
    write_buffer_bytes=1 << 20,
    max_total_wal_bytes=1 << 20,
    block_cache_bytes=1 << 20,
)

Vectors = Any  # [n, dim] numbers, a list with None where there is no vector, or a dict of those by field


def column(vectors: Sequence[Any] | NDArray[Any]) -> VectorColumn:
    """A column of ``vectors``, of which some may be None."""
    if isinstance(vectors, np.ndarray):
        return VectorColumn(vectors.astype(np.float32))
    there = [i for i, vector in enumerate(vectors) if vector is not None]
    data = np.array([vectors[i] for i in there], dtype=np.float32)
    return VectorColumn(data, None if len(there) == len(vectors) else np.array(there, dtype=np.int64))


def rows(ids: Sequence[str], vectors: Vectors = None, payloads: Sequence[Any] | None = None, texts: Any = None) -> Rows:
    """Rows as people think of them: payloads are dicts, vectors and texts may be by field."""
    if vectors is None:
        vectors = {}
    by_field = vectors if isinstance(vectors, Mapping) else {"": vectors}
    texts_by_field = texts if isinstance(texts, Mapping) else {} if texts is None else {"": texts}
    return Rows(
        ids,
        {name: column(some) for name, some in by_field.items() if len(some)},
        texts_by_field,
        None if payloads is None else [None if p is None else orjson.dumps(p) for p in payloads],
    )


def put(mode: PutMode, *given: Any, **named: Any) -> Put:
    """``named``: also the further parts of a Put."""
    more = {name: named.pop(name) for name in ("payload_mode", "unset", "ttl_ms", "condition") if name in named}
    return Put(mode, rows(*given, **named), **more)


def upsert(*given: Any, **named: Any) -> Put:
    return put(PutMode.UPSERT, *given, **named)


def insert(*given: Any, **named: Any) -> Put:
    return put(PutMode.INSERT, *given, **named)


def update(*given: Any, **named: Any) -> Put:
    return put(PutMode.UPDATE, *given, **named)


def delete(ids: Sequence[str]) -> DeleteIds:
    return DeleteIds(ids)


def names(n: int, start: int = 0) -> list[str]:
    """n ids whose order is that of their numbers."""
    return [f"{i:05d}" for i in range(start, start + n)]


def gaussian(n: int, dim: int = DIM, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


class Handle:
    """A collection named ``c`` (or another) of ``db``, under ``scope``."""

    def __init__(self, db: Database, name: str = "c", scope: Filter | None = None) -> None:
        self.db = db
        self.name = name
        self.scope = scope

    def context(self, request_id: bytes | None = None, timeout_s: float | None = None) -> CallContext:
        return CallContext.within(timeout_s, scope=self.scope, request_id=request_id)

    # -- writing

    def write(
        self,
        *operations: Operation,
        request_id: bytes | None = None,
        timeout_s: float | None = None,
        durability: str | None = None,
    ) -> WriteResult:
        return self.db.write(self.context(request_id, timeout_s), self.name, WriteBatch(operations, durability))

    def upsert(self, *given: Any, **named: Any) -> WriteResult:
        return self.write(upsert(*given, **named))

    def insert(self, *given: Any, **named: Any) -> WriteResult:
        return self.write(insert(*given, **named))

    def update(self, *given: Any, **named: Any) -> WriteResult:
        return self.write(update(*given, **named))

    def delete(self, *ids: str) -> WriteResult:
        return self.write(delete(ids))

    def clear(self) -> WriteResult:
        return self.write(Clear())

    def change(self, change: SchemaChange) -> CollectionInfo:
        return self.db.change_schema(self.context(), self.name, change)

    # -- reading

    def answer(self, vectors: Any, **more: Any) -> SearchAnswer:
        """The answer to one vector or several; ``using`` names the field."""
        using = more.pop("using", "")
        queries = np.atleast_2d(np.asarray(vectors, dtype=np.float32))
        return self.db.search(self.context(), self.name, SearchRequest([Near(queries, using)], **more))

    def search(self, vector: Any, **more: Any) -> list[str]:
        """Ids of the hits, best first."""
        return self.answer(vector, **more).points.ids

    def get(self, *ids: str, select: Select = ALL) -> list[Point]:
        return points_in(self.db.get(self.context(), self.name, ids, select))

    def one(self, point_id: str) -> Point:
        (found,) = self.get(point_id)
        return found

    def payload(self, point_id: str) -> Any:
        return self.one(point_id).payload

    def exists(self, *ids: str) -> list[bool]:
        found: list[bool] = self.db.exists(self.context(), self.name, ids).tolist()
        return found

    def count(self) -> int:
        return self.db.count(self.context(), self.name)

    def scroll(self, page: int = 7, select: Select = ALL) -> list[Point]:
        """Everything, by pages."""
        found: list[Point] = []
        end = False
        while not end:
            after = found[-1].id if found else None
            points, end = self.db.scroll(self.context(), self.name, after, page, select)
            found += points_in(points)
        return found

    def ids(self) -> list[str]:
        return [point.id for point in self.scroll(select=Select(False, False, False))]

    def stats(self) -> CollectionStats:
        return self.db.stats(self.context(), self.name)

    def states(self) -> list[str]:
        return [segment.state for segment in self.stats().segments]

    @property
    def seq(self) -> int:
        return self.stats().seq

    # -- looking inside

    @property
    def inner(self) -> Collection:
        return self.db._use(CallContext(), self.name)

    def look(self) -> View:
        """Pin the view that a reader would have now."""
        return self.inner._look().view

    def answer_at(self, view: View, vectors: Any, **more: Any) -> SearchAnswer:
        """What a reader that took ``view`` is answered."""
        using = more.pop("using", "")
        queries = np.atleast_2d(np.asarray(vectors, dtype=np.float32))
        return self.inner.reading.executor.search(self.context(), view, SearchRequest([Near(queries, using)], **more))

    def points_at(self, view: View, ids: Sequence[str]) -> list[Point]:
        inner = self.inner
        return points_in(inner.lookup.get(view, ids, ALL, inner.entry.fields, self.scope))

    def ids_at(self, view: View) -> list[str]:
        inner = self.inner
        points, end = inner.reading.scrolling.page(CallContext(), view, None, 10_000, Select(False, False, False), None)
        assert end
        return points.ids

    # -- care

    def settle(self) -> None:
        """Do all maintenance there is to do."""
        for _ in range(10_000):
            if not self.db.maintain():
                return
        raise AssertionError("maintenance does not come to an end")

    def cover(self) -> None:
        self.db.cover(CallContext(), self.name)

    def compact(self) -> int:
        return self.db.compact(CallContext(), self.name)

    def seal(self) -> None:
        """Every row into a sealed segment, its graph included."""
        with self.inner.publish_lock:
            self.inner.freeze()
        self.settle()
        self.compact()
