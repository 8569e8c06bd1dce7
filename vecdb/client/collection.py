"""Collection: everything one does with points."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb.client import build, parse, split
from vecdb.client.ids import to_ids
from vecdb.client.near import Near, Vector
from vecdb.client.operations import Clear, Id, Insert, Model, Operation, Put, Update, Upsert
from vecdb.client.transport import Transport
from vecdb.errors import DeadlineExceeded, InvalidArgument, PartialWrite, VecdbError
from vecdb.model import point
from vecdb.model.collection import CollectionInfo, CollectionStats, Indexing
from vecdb.model.hit import Point, SearchResult, points_in
from vecdb.model.point import DeleteIds, PutMode, Select, WriteBatch, WriteResult
from vecdb.model.query import MAX_WINDOW, Rrf

# Ids of 512 bytes each, so many just fit one message.
IDS_PER_CALL = 100_000

Payloads = Iterable[Mapping[str, Any] | None]


class Collection:
    """A collection of points; made by ``Client.collection`` or ``Client.create_collection``.

    Every method takes ``timeout`` in seconds (None: the client's) and raises CollectionNotFound when there
    is no such collection. Thread rule: may be used from any number of threads.
    """

    def __init__(self, transport: Transport, name: str, timeout: float | None) -> None:
        self._transport = transport
        self._name = name
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"Collection({self._name!r})"

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    def describe(self, *, timeout: float | None = None) -> CollectionInfo:
        """Schema, indexing mode, creation time and number of points."""
        return self._transport.describe(self._name, self._within(timeout))

    # -- writing --

    def upsert(
        self,
        ids: Iterable[Id],
        vectors: Any = None,
        texts: Any = None,
        payloads: Payloads | None = None,
        *,
        model: Model | None = None,
        durability: str | None = None,
        request_id: bytes | None = None,
        timeout: float | None = None,
    ) -> WriteResult:
        """Write whole points: what is not given is gone. Of equal ids the last wins.

        ``ids``: str, int or uuid.UUID, ``[n]``. ``vectors``: ``[n, dim]`` numbers, or a list with None where
        there is no vector, or a dict of those by field. ``texts``: n of str or None, or a dict by field.
        ``payloads``: n of dict or None. ``model`` states the embedding model, and must agree with the field's.
        ``durability``: "fsync" (power loss), "os" (a killed process), None for the server's. ``request_id``:
        1..64 bytes that make it safe to send the same write again; made anew when not given.

        What fits one message (64 MiB) is one atomic batch. More goes as several batches in order, and a
        failure raises PartialWrite. Raises InvalidArgument and its kin, naming the row, before anything is sent.
        """
        return self._put(Upsert(ids, vectors, texts, payloads, model), durability, request_id, timeout)

    def insert(
        self,
        ids: Iterable[Id],
        vectors: Any = None,
        texts: Any = None,
        payloads: Payloads | None = None,
        *,
        model: Model | None = None,
        durability: str | None = None,
        request_id: bytes | None = None,
        timeout: float | None = None,
    ) -> WriteResult:
        """Write new points; see ``upsert``. Raises PointExists for an id that exists, InvalidArgument for equal ids."""
        return self._put(Insert(ids, vectors, texts, payloads, model), durability, request_id, timeout)

    def update(
        self,
        ids: Iterable[Id],
        vectors: Any = None,
        texts: Any = None,
        payloads: Payloads | None = None,
        *,
        model: Model | None = None,
        durability: str | None = None,
        request_id: bytes | None = None,
        timeout: float | None = None,
    ) -> WriteResult:
        """Change only what is given; see ``upsert``. Ids that do not exist are skipped and not counted."""
        return self._put(Update(ids, vectors, texts, payloads, model), durability, request_id, timeout)

    def delete(
        self,
        ids: Iterable[Id] | None = None,
        *,
        durability: str | None = None,
        request_id: bytes | None = None,
        timeout: float | None = None,
    ) -> WriteResult:
        """Delete points by id; those that do not exist are not counted. Raises InvalidArgument without ids."""
        return self._write_pieces(build.delete(ids), durability, request_id, timeout)

    def clear(
        self, *, durability: str | None = None, request_id: bytes | None = None, timeout: float | None = None
    ) -> WriteResult:
        """Delete every point."""
        return self._write([Clear()], durability, request_id, timeout)

    def write(
        self,
        operations: Iterable[Operation],
        *,
        durability: str | None = None,
        request_id: bytes | None = None,
        timeout: float | None = None,
    ) -> WriteResult:
        """Apply operations in order as one atomic batch. Raises TooLarge when they do not fit one message."""
        made = build.operations(operations)
        if not made:
            return NOTHING_WRITTEN
        split.require_one_message(made, self._message_bytes(timeout))
        return self._write(made, durability, request_id, timeout)

    def _put(self, given: Put, durability: str | None, request_id: bytes | None, timeout: float | None) -> WriteResult:
        return self._write_pieces(build.put(given), durability, request_id, timeout)

    def _write_pieces(
        self,
        operation: point.Put | DeleteIds,
        durability: str | None,
        request_id: bytes | None,
        timeout: float | None,
    ) -> WriteResult:
        if not build.size_of(operation):
            return NOTHING_WRITTEN
        pieces = split.pieces(operation, self._message_bytes(timeout))
        if len(pieces) == 1:
            return self._write([operation], durability, request_id, timeout)
        if isinstance(operation, point.Put) and operation.mode is PutMode.INSERT:
            build.different(operation.rows.ids)
        whole_id = request_id or uuid.uuid4().bytes
        count = 0
        result = NOTHING_WRITTEN
        for i, (start, stop) in enumerate(pieces):
            try:
                result = self._write(
                    [split.piece(operation, start, stop)], durability, split.piece_id(whole_id, i), timeout
                )
            except VecdbError as cause:
                raise PartialWrite(written=start, next_index=start, cause=cause) from cause
            count += result.count
        return WriteResult(result.seq, count)

    def _write(
        self,
        operations: Sequence[point.Operation],
        durability: str | None,
        request_id: bytes | None,
        timeout: float | None,
    ) -> WriteResult:
        batch = WriteBatch(operations, build.durability(durability))
        made = uuid.uuid4().bytes if request_id is None else build.request_id(request_id)
        return self._transport.write(self._name, batch, made, self._within(timeout))

    # -- searching --

    def search(
        self,
        vector: Vector | None = None,
        *,
        legs: Sequence[Near] | None = None,
        limit: int = 10,
        offset: int = 0,
        using: str | None = None,
        model: str | None = None,
        ef: int | None = None,
        exact: bool = False,
        min_score: float | None = None,
        fusion: Rrf | None = None,
        with_payload: bool = True,
        with_text: bool = True,
        with_vectors: bool = False,
        explain: bool = False,
        timeout: float | None = None,
    ) -> SearchResult:
        """The nearest points to ``vector`` (``[dim]``), best first: exactly min(limit, matches) hits.

        ``using``: the vector field (None: the unnamed one). ``legs``: several vectors instead of one, fused by
        ``fusion`` (Rrf() unless given). ``offset + limit`` is at most 10,000. ``ef`` (1..10,000): how widely the
        graph is searched, None for the default; ``exact`` scans instead. ``min_score``: no hits below it.
        Raises DimensionMismatch, InvalidVector, FieldNotFound, ModelMismatch and InvalidArgument.
        """
        request = build.search(
            vector,
            legs,
            using=using,
            model=model,
            limit=limit,
            offset=offset,
            ef=ef,
            exact=exact,
            min_score=min_score,
            fusion=fusion,
            select=Select(with_payload, with_text, with_vectors),
            explain=explain,
        )
        return parse.results(self._transport.search(self._name, request, self._within(timeout)))[0]

    def search_batch(
        self,
        vectors: Any,
        *,
        limit: int = 10,
        offset: int = 0,
        using: str | None = None,
        model: str | None = None,
        ef: int | None = None,
        exact: bool = False,
        min_score: float | None = None,
        with_payload: bool = True,
        with_text: bool = True,
        with_vectors: bool = False,
        explain: bool = False,
        timeout: float | None = None,
    ) -> list[SearchResult]:
        """One result for each row of ``vectors`` (``[q, dim]``); see ``search``.

        As many queries travel in one call as fit a message and its answer.
        """
        request = build.search_batch(
            vectors,
            using=using,
            model=model,
            limit=limit,
            offset=offset,
            ef=ef,
            exact=exact,
            min_score=min_score,
            fusion=None,
            select=Select(with_payload, with_text, with_vectors),
            explain=explain,
        )
        if request is None:
            return []
        limits = self._transport.info(self._within(timeout)).limits
        results: list[SearchResult] = []
        for part in split.queries(request, limits.message_bytes, limits.search_hits):
            results += parse.results(self._transport.search(self._name, part, self._within(timeout)))
        return results

    # -- reading --

    def get(
        self,
        ids: Iterable[Id],
        *,
        with_payload: bool = True,
        with_text: bool = True,
        with_vectors: bool = False,
        timeout: float | None = None,
    ) -> list[Point]:
        """Points by id, in the order asked; those that do not exist are left out."""
        wanted = to_ids(ids)
        select = Select(with_payload, with_text, with_vectors)
        found: list[Point] = []
        start = 0
        while start < len(wanted):
            part = wanted[start : start + IDS_PER_CALL]
            points, answered = self._transport.get(self._name, part, select, self._within(timeout))
            found += points_in(points)
            start += answered
        return found

    def exists(self, ids: Iterable[Id], *, timeout: float | None = None) -> NDArray[np.bool_]:
        """Which of ``ids`` exist, bool ``[n]``."""
        wanted = to_ids(ids)
        parts = [wanted[start : start + IDS_PER_CALL] for start in range(0, len(wanted), IDS_PER_CALL)]
        found = [self._transport.exists(self._name, part, self._within(timeout)) for part in parts]
        return np.concatenate(found) if found else np.zeros(0, dtype=np.bool_)

    def count(self, *, timeout: float | None = None) -> int:
        """How many points there are."""
        return self._transport.count(self._name, self._within(timeout))

    def scroll(
        self,
        *,
        batch: int = 1000,
        with_payload: bool = True,
        with_text: bool = True,
        with_vectors: bool = False,
        timeout: float | None = None,
    ) -> Iterator[Point]:
        """All points in the order of their ids, fetched ``batch`` (1..10,000) at a time.

        A point that is there from beginning to end comes exactly once, whatever is written meanwhile.
        ``timeout`` is for each fetch.
        """
        if not 1 <= build.whole(batch, "batch") <= MAX_WINDOW:
            raise InvalidArgument("batch out of range", field="batch", expected=f"1..{MAX_WINDOW}", received=str(batch))
        return self._scroll(int(batch), Select(with_payload, with_text, with_vectors), self._within(timeout))

    def _scroll(self, batch: int, select: Select, timeout: float | None) -> Iterator[Point]:
        after: str | None = None
        end = False
        while not end:
            points, end = self._transport.scroll(self._name, after, batch, select, timeout)
            yield from points_in(points)
            after = points.ids[-1] if len(points) else after

    # -- looking after it --

    def stats(self, *, timeout: float | None = None) -> CollectionStats:
        """Counts, bytes by purpose and the progress of indexing."""
        return self._transport.stats(self._name, self._within(timeout))

    def compact(self, *, timeout: float | None = None) -> int:
        """Give back the space of deleted points; the bytes freed. ``timeout`` None: as long as it takes."""
        return self._transport.compact(self._name, timeout)

    def wait_indexed(self, *, timeout: float | None = None) -> None:
        """Wait until every vector that should be in a graph is. ``timeout`` None: as long as it takes."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._transport.wait_indexed(self._name, None if deadline is None else deadline - time.monotonic()):
            if deadline is not None and time.monotonic() >= deadline:
                raise DeadlineExceeded("the deadline passed while the collection was being indexed")

    def set_indexing(self, mode: Indexing, *, timeout: float | None = None) -> None:
        """ "deferred": build no graphs for now (bulk loading); "auto": build them as points come."""
        self._transport.set_indexing(self._name, build.indexing(mode), self._within(timeout))

    def _within(self, timeout: float | None) -> float | None:
        return self._timeout if timeout is None else timeout

    def _message_bytes(self, timeout: float | None) -> int:
        return self._transport.info(self._within(timeout)).limits.message_bytes


NOTHING_WRITTEN = WriteResult(seq=0, count=0)
