"""An engine of one dict, with the front door of vecdb.engine.database.Database: what the wire is tested against.

``fail`` is raised by every call while set; ``calls`` remembers what came in.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vecdb.engine.options import EngineOptions
from vecdb.errors import CollectionExists, CollectionNotFound, PointExists
from vecdb.model.collection import CollectionInfo, CollectionStats, DatabaseStats
from vecdb.model.context import CallContext
from vecdb.model.filter import Filter
from vecdb.model.filter.expression import F
from vecdb.model.highlight import Snippet
from vecdb.model.point import (
    Clear,
    DeleteIds,
    Points,
    Put,
    PutMode,
    Rows,
    Select,
    VectorColumn,
    WriteBatch,
    WriteResult,
)
from vecdb.model.query import LegColumns, SearchAnswer, SearchRequest
from vecdb.model.recall import MeasuredRecall, RecallRequest, SegmentRecall
from vecdb.model.schema import Schema
from vecdb.model.snapshot import RestoredCollection, RestoreReport, SnapshotBase
from vecdb.model.state import DatabaseState, StateName
from vecdb.model.token import Token


@dataclass
class Row:
    """One point as it was written."""

    version: int
    payload: bytes | None = None
    texts: dict[str, str] = field(default_factory=dict)
    vectors: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass
class Kept:
    """One collection."""

    schema: Schema
    rows: dict[str, Row] = field(default_factory=dict)
    seq: int = 0


class FakeDatabase:
    """A database without index, disk or threads; good for small tests only."""

    options = EngineOptions()

    def __init__(self) -> None:
        self.collections: dict[str, Kept] = {}
        self.calls: list[tuple[str, CallContext, tuple[Any, ...]]] = []
        self.fail: BaseException | None = None
        self.read_only: str | None = None
        self.closed = False
        self.standing: StateName = "read_only"
        self.watchers: list[Callable[[], None]] = []
        self.archive: Iterable[bytes] = ()
        self.let_go = threading.Event()

    def _met(self, name: str, context: CallContext, *arguments: Any) -> None:
        self.calls.append((name, context, arguments))
        if self.fail is not None:
            raise self.fail

    def _kept(self, name: str) -> Kept:
        if name not in self.collections:
            raise CollectionNotFound("no such collection", field="collection", received=repr(name))
        return self.collections[name]

    def create_collection(
        self, context: CallContext, name: str, schema: Schema, exist_ok: bool = False
    ) -> CollectionInfo:
        self._met("create_collection", context, name, schema, exist_ok)
        schema.validate()
        if name in self.collections and not (exist_ok and self.collections[name].schema == schema):
            raise CollectionExists("the collection exists", field="name", received=repr(name))
        self.collections.setdefault(name, Kept(schema))
        return self._info(name)

    def drop_collection(self, context: CallContext, name: str) -> None:
        self._met("drop_collection", context, name)
        self._kept(name)
        del self.collections[name]

    def list_collections(self, context: CallContext) -> list[CollectionInfo]:
        self._met("list_collections", context)
        return [self._info(name) for name in sorted(self.collections)]

    def describe(self, context: CallContext, name: str) -> CollectionInfo:
        self._met("describe", context, name)
        return self._info(name)

    def _info(self, name: str) -> CollectionInfo:
        kept = self._kept(name)
        return CollectionInfo(name, kept.schema, "auto", 1_700_000_000_000, len(kept.rows))

    def write(self, context: CallContext, name: str, batch: WriteBatch) -> WriteResult:
        self._met("write", context, name, batch)
        kept = self._kept(name)
        kept.seq += 1
        count = 0
        for operation in batch.operations:
            if isinstance(operation, Clear):
                count += len(kept.rows)
                kept.rows.clear()
            elif isinstance(operation, DeleteIds):
                count += sum(kept.rows.pop(id, None) is not None for id in operation.ids)
            else:
                count += self._put(kept, operation)
        return WriteResult(kept.seq, count)

    def _put(self, kept: Kept, put: Put) -> int:
        rows = put.rows
        if put.mode is PutMode.INSERT and (taken := [id for id in rows.ids if id in kept.rows]):
            raise PointExists("the id is taken", field="ids", received=taken[0])
        count = 0
        for i, id in enumerate(rows.ids):
            if put.mode is PutMode.UPDATE and id not in kept.rows:
                continue
            row = kept.rows[id] if put.mode is PutMode.UPDATE else Row(kept.seq)
            row.version = kept.seq
            self._change(row, rows, i)
            kept.rows[id] = row
            count += 1
        return count

    def _change(self, row: Row, rows: Rows, i: int) -> None:
        if rows.payloads is not None and rows.payloads[i] is not None:
            row.payload = rows.payloads[i]
        row.texts |= {name: text for name, texts in rows.texts.items() if (text := texts[i]) is not None}
        for name, column in rows.vectors.items():
            one = column.cut(i, i + 1).data
            row.vectors |= {name: one[0]} if len(one) else {}

    def get(self, context: CallContext, name: str, ids: Sequence[str], select: Select) -> Points:
        self._met("get", context, name, ids, select)
        return self._points(self._kept(name), [id for id in ids if id in self._kept(name).rows], select)

    def _points(self, kept: Kept, ids: list[str], select: Select) -> Points:
        rows = [kept.rows[id] for id in ids]
        vectors = {}
        for name, declared in kept.schema.vectors.items():
            at = [i for i, row in enumerate(rows) if name in row.vectors]
            data = np.array([rows[i].vectors[name] for i in at], dtype=np.float32).reshape(-1, declared.dim)
            vectors[name] = VectorColumn(data, np.array(at, dtype=np.int64))
        return Points(
            ids=ids,
            versions=np.array([row.version for row in rows], dtype=np.uint64),
            payloads=[row.payload for row in rows] if select.payload else None,
            texts={name: [row.texts.get(name) for row in rows] for name in kept.schema.texts} if select.texts else None,
            vectors=vectors if select.vectors else None,
        )

    def exists(self, context: CallContext, name: str, ids: Sequence[str], filter: Filter | None = None) -> np.ndarray:
        self._met("exists", context, name, ids, filter)
        return np.array([id in self._kept(name).rows for id in ids], dtype=np.bool_)

    def count(self, context: CallContext, name: str, filter: Filter | None = None) -> int:
        self._met("count", context, name, filter)
        return len(self._kept(name).rows)

    def scroll(
        self,
        context: CallContext,
        name: str,
        after: str | None,
        limit: int,
        select: Select,
        filter: Filter | None = None,
    ) -> tuple[Points, bool]:
        self._met("scroll", context, name, after, limit, select, filter)
        kept = self._kept(name)
        rest = sorted((id for id in kept.rows if after is None or id.encode() > after.encode()), key=str.encode)
        return self._points(kept, rest[:limit], select), len(rest) <= limit

    def search(self, context: CallContext, name: str, request: SearchRequest) -> SearchAnswer:
        """Every point, in the order of ids, is a hit of every query; scores fall from 1.

        Of several legs the first has them all at their ranks, the others none; highlighted is the first character.
        """
        self._met("search", context, name, request)
        request.validate()
        kept = self._kept(name)
        ids = sorted(kept.rows)[request.offset : request.offset + request.limit]
        scores = np.tile(1 / np.arange(1, len(ids) + 1, dtype=np.float32), request.queries)
        ranks = np.tile(np.arange(1, len(ids) + 1, dtype=np.uint32), request.queries)
        absent = LegColumns(np.zeros(len(ranks), np.uint32), np.full(len(ranks), np.nan, np.float32))
        return SearchAnswer(
            counts=np.full(request.queries, len(ids), dtype=np.int64),
            scores=scores,
            distances=1 - scores if len(request.legs) == 1 else None,
            points=self._points(kept, ids * request.queries, request.select),
            seq=kept.seq,
            took_ms=0.25,
            explain={"plan": "all"} if request.explain else None,
            legs=[LegColumns(ranks, scores), *[absent] * (len(request.legs) - 1)] if len(request.legs) > 1 else None,
            snippets=[_snippets(kept.rows[id]) for id in ids] * request.queries if request.highlight else None,
        )

    def analyze(self, context: CallContext, name: str, field: str, texts: Sequence[str]) -> list[list[Token]]:
        """The whole text is one term."""
        self._met("analyze", context, name, field, texts)
        self._kept(name)
        return [[Token(text, 0, 0, len(text), "whole")] for text in texts]

    def stats(self, context: CallContext, name: str) -> CollectionStats:
        self._met("stats", context, name)
        kept = self._kept(name)
        return CollectionStats(name, len(kept.rows), 0, 0, 0, "auto", "ready", kept.seq, {"anonymous": 1}, [], 0.0, 0.0)

    def database_stats(self, context: CallContext) -> DatabaseStats:
        self._met("database_stats", context)
        count, state = len(self.collections), self.state()
        return DatabaseStats(count, count, 0, state.reason, {"resident": 1}, state=state.name)

    def measure_recall(self, context: CallContext, name: str, request: RecallRequest) -> MeasuredRecall:
        """Two queries a call."""
        self._met("measure_recall", context, name, request)
        self._kept(name)
        wanted = request.count if request.vectors is None else len(request.vectors)
        return MeasuredRecall(request.k, min(2, wanted), 0, (SegmentRecall(1, 20, 18, 96),), 1.0)

    def compact(self, context: CallContext, name: str) -> int:
        self._met("compact", context, name)
        self._kept(name)
        return 7

    def wait_indexed(self, context: CallContext, name: str) -> None:
        self._met("wait_indexed", context, name)
        self._kept(name)

    def set_indexing(self, context: CallContext, name: str, mode: str) -> None:
        self._met("set_indexing", context, name, mode)
        self._kept(name)

    def check(self, context: CallContext) -> list[str]:
        self._met("check", context)
        return []

    def state(self) -> DatabaseState:
        return DatabaseState() if self.read_only is None else DatabaseState(self.standing, self.read_only)

    def watch(self, changed: Callable[[], None]) -> None:
        self.watchers.append(changed)

    def reopen(self, context: CallContext) -> None:
        self._met("reopen", context)
        self.read_only = None

    def snapshot(
        self, context: CallContext, collections: Sequence[str] | None = None, base: SnapshotBase | None = None
    ) -> Generator[bytes]:
        """``archive``; when it is closed, or at its end, ``let_go`` is set."""
        self._met("snapshot", context, collections, base)
        try:
            yield from self.archive
        finally:
            self.let_go.set()

    def restore(
        self,
        context: CallContext,
        archives: Iterable[Iterable[bytes]],
        collections: Sequence[str] | None = None,
        rename: Mapping[str, str] = {},
        dry_run: bool = False,
    ) -> RestoreReport:
        """A collection of each archive, which is named by its bytes; ``let_go`` is set whatever happens."""
        try:
            given = [b"".join(archive) for archive in archives]
            self._met("restore", context, given, collections, rename, dry_run)
        finally:
            self.let_go.set()
        made = (RestoredCollection(archive.hex()[:10], "was", len(archive), {}, "t") for archive in given)
        return RestoreReport(tuple(made), dry_run)

    def close(self) -> None:
        self.closed = True


def _snippets(row: Row) -> list[Snippet]:
    return [Snippet(name, text, 0, [(0, 1)]) for name, text in row.texts.items()]


def scope_of_header(metadata: Any) -> Filter | None:
    """The scope that a test puts into the header ``x-scope`` as ``field=value``."""
    field_name, _, value = str(metadata.get("x-scope", "")).partition("=")
    return (F(field_name) == value) if field_name else None
