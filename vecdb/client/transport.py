"""The narrow waist of the client: what a transport does, in the nouns of the model.

``timeout`` is in seconds, None for no limit; DeadlineExceeded is raised when it passes. Every method
raises VecdbError and nothing else. Thread rule: all methods may be called from any thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vecdb.model.collection import CollectionInfo, CollectionStats, DatabaseStats, Indexing
from vecdb.model.info import ServerInfo
from vecdb.model.point import Points, Select, WriteBatch, WriteResult
from vecdb.model.query import SearchAnswer, SearchRequest
from vecdb.model.schema import Schema


class Transport(Protocol):
    """Carries calls to an engine."""

    def info(self, timeout: float | None) -> ServerInfo:
        """Release, features and limits of the engine; asked for once."""

    def create_collection(self, name: str, schema: Schema, exist_ok: bool, timeout: float | None) -> CollectionInfo: ...

    def drop_collection(self, name: str, timeout: float | None) -> None: ...

    def list_collections(self, timeout: float | None) -> list[CollectionInfo]: ...

    def describe(self, name: str, timeout: float | None) -> CollectionInfo: ...

    def write(self, name: str, batch: WriteBatch, request_id: bytes, timeout: float | None) -> WriteResult: ...

    def search(self, name: str, request: SearchRequest, timeout: float | None) -> SearchAnswer: ...

    def get(self, name: str, ids: Sequence[str], select: Select, timeout: float | None) -> tuple[Points, int]:
        """The points of the first ids, and how many of ``ids`` that answers (at least one)."""

    def exists(self, name: str, ids: Sequence[str], timeout: float | None) -> NDArray[np.bool_]: ...

    def count(self, name: str, timeout: float | None) -> int: ...

    def scroll(
        self, name: str, after: str | None, limit: int, select: Select, timeout: float | None
    ) -> tuple[Points, bool]:
        """Up to ``limit`` points after an id, and whether the end was reached."""

    def stats(self, name: str, timeout: float | None) -> CollectionStats: ...

    def database_stats(self, timeout: float | None) -> DatabaseStats: ...

    def compact(self, name: str, timeout: float | None) -> int: ...

    def wait_indexed(self, name: str, timeout: float | None) -> bool:
        """Whether all is indexed; False when it is worth asking again."""

    def set_indexing(self, name: str, mode: Indexing, timeout: float | None) -> None: ...

    def check(self, timeout: float | None) -> list[str]: ...

    def close(self) -> None:
        """Release everything. Later calls raise Closed."""
