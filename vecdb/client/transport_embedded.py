"""Calls to an engine in this process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vecdb.client.installed import require_engine
from vecdb.errors import InvalidArgument
from vecdb.model.collection import CollectionInfo, CollectionStats, DatabaseStats, Indexing
from vecdb.model.context import CallContext
from vecdb.model.filter import Filter
from vecdb.model.info import ServerInfo
from vecdb.model.point import Points, Select, WriteBatch, WriteResult
from vecdb.model.query import SearchAnswer, SearchRequest
from vecdb.model.schema import Schema

if TYPE_CHECKING:
    from vecdb.engine.database import Database


def open_database(path: str | Path, options: dict[str, Any]) -> Database:
    """Open the engine on ``path``. Raises EngineNotInstalled, DataDirInUse, DataDirUnusable, FormatTooNew."""
    require_engine()
    from vecdb.engine.database import Database
    from vecdb.engine.options import EngineOptions

    try:
        chosen = EngineOptions(**options)
    except TypeError:
        known = EngineOptions.__dataclass_fields__
        unknown = sorted(options.keys() - known)
        raise InvalidArgument(
            "unknown option", field="options", expected=", ".join(known), received=", ".join(unknown)
        ) from None
    return Database.open(path, chosen)


class EmbeddedTransport:
    """Owns ``database``, and closes it. Every call runs under ``scope``."""

    def __init__(self, database: Database, scope: Filter | None = None) -> None:
        self._database = database
        self._scope = scope

    def _context(self, timeout: float | None, request_id: bytes | None = None) -> CallContext:
        return CallContext.within(timeout, scope=self._scope, request_id=request_id)

    def info(self, timeout: float | None) -> ServerInfo:
        return ServerInfo()

    def create_collection(self, name: str, schema: Schema, exist_ok: bool, timeout: float | None) -> CollectionInfo:
        return self._database.create_collection(self._context(timeout), name, schema, exist_ok)

    def drop_collection(self, name: str, timeout: float | None) -> None:
        self._database.drop_collection(self._context(timeout), name)

    def list_collections(self, timeout: float | None) -> list[CollectionInfo]:
        return self._database.list_collections(self._context(timeout))

    def describe(self, name: str, timeout: float | None) -> CollectionInfo:
        return self._database.describe(self._context(timeout), name)

    def write(self, name: str, batch: WriteBatch, request_id: bytes, timeout: float | None) -> WriteResult:
        return self._database.write(self._context(timeout, request_id), name, batch)

    def search(self, name: str, request: SearchRequest, timeout: float | None) -> SearchAnswer:
        return self._database.search(self._context(timeout), name, request)

    def get(self, name: str, ids: Sequence[str], select: Select, timeout: float | None) -> tuple[Points, int]:
        return self._database.get(self._context(timeout), name, ids, select), len(ids)

    def exists(self, name: str, ids: Sequence[str], timeout: float | None) -> NDArray[np.bool_]:
        return self._database.exists(self._context(timeout), name, ids)

    def count(self, name: str, timeout: float | None) -> int:
        return self._database.count(self._context(timeout), name)

    def scroll(
        self, name: str, after: str | None, limit: int, select: Select, timeout: float | None
    ) -> tuple[Points, bool]:
        return self._database.scroll(self._context(timeout), name, after, limit, select)

    def stats(self, name: str, timeout: float | None) -> CollectionStats:
        return self._database.stats(self._context(timeout), name)

    def database_stats(self, timeout: float | None) -> DatabaseStats:
        return self._database.database_stats(self._context(timeout))

    def compact(self, name: str, timeout: float | None) -> int:
        return self._database.compact(self._context(timeout), name)

    def wait_indexed(self, name: str, timeout: float | None) -> bool:
        self._database.wait_indexed(self._context(timeout), name)
        return True

    def set_indexing(self, name: str, mode: Indexing, timeout: float | None) -> None:
        self._database.set_indexing(self._context(timeout), name, mode)

    def check(self, timeout: float | None) -> list[str]:
        return self._database.check(self._context(timeout))

    def close(self) -> None:
        self._database.close()
