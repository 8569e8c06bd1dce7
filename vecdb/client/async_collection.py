"""AsyncCollection: everything one does with points, awaited."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence, Sized
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from vecdb.client import build, calls, changes, feed, steps
from vecdb.client.calls import Call, Steps
from vecdb.client.collection import Payloads
from vecdb.client.examples import Ids
from vecdb.client.feed import AsyncChanges, Feed
from vecdb.client.filters import Where
from vecdb.client.guess import GUESS, ByField, Column, PayloadColumns
from vecdb.client.keyword import Fields, Keyword, Query
from vecdb.client.lanes import BULK, FOLLOW, READ, SLOW, WRITE, Lane
from vecdb.client.modifiers import Boost, Decay
from vecdb.client.near import Near, Vector
from vecdb.client.operations import (
    Delete,
    Id,
    Insert,
    Model,
    Operation,
    PayloadMode,
    Put,
    Ttl,
    Update,
    Upsert,
    Version,
)
from vecdb.client.progress import Progress, in_loop, reporting
from vecdb.client.reranking import Rerank, Scorer, SecondStage
from vecdb.client.run import Budget
from vecdb.client.sparse import Sparse
from vecdb.client.transport import AsyncTransport
from vecdb.model.collection import CollectionInfo, CollectionStats, Indexing
from vecdb.model.facet import Facet
from vecdb.model.fusion import Fusion
from vecdb.model.highlight import Highlight
from vecdb.model.hit import Page, Point, SearchResult
from vecdb.model.modifier import Mmr
from vecdb.model.order import OrderBy
from vecdb.model.point import Select, WriteResult
from vecdb.model.recall import MeasuredRecall
from vecdb.model.schema import SparseField, TextField, VectorField
from vecdb.model.token import Token

if TYPE_CHECKING:
    from vecdb.client.load.options import LoadMore
    from vecdb.client.load.report import ExportReport, LoadReport

T = TypeVar("T")


class AsyncCollection:
    """A collection of points; made by ``AsyncClient.collection`` or ``AsyncClient.create_collection``.

    Its methods are those of Collection, with the same parameters, awaited; they are told in full there. Nothing
    blocks the event loop: what takes long to build or to read is done in a thread, and of many operations that
    begin at once the later wait for their turn. Thread rule: may be used from any number of loops and threads.
    """

    def __init__(self, transport: AsyncTransport, name: str, timeout: float | None) -> None:
        self._transport = transport
        self._name = name
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"AsyncCollection({self._name!r})"

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    async def describe(self, *, timeout: float | None = None) -> CollectionInfo:
        """Schema, indexing mode, creation time and number of points."""
        return await self._run(calls.Describe(self._name), timeout)

    # -- writing --

    async def upsert(
        self,
        ids: Iterable[Id],
        vectors: Any = None,
        texts: Any = None,
        payloads: Payloads | None = None,
        *,
        sparse: Any = None,
        model: Model | None = None,
        ttl: Ttl = None,
        if_absent: bool = False,
        if_exists: bool = False,
        if_version: Version = None,
        if_filter: Where | None = None,
        durability: str | None = None,
        request_id: bytes | None = None,
        progress: Progress = False,
        timeout: float | None = None,
    ) -> WriteResult:
        """Write whole points: what is not given is gone. Of equal ids the last wins."""
        given = Upsert(
            ids,
            vectors,
            texts,
            payloads,
            model,
            ttl=ttl,
            sparse=sparse,
            if_absent=if_absent,
            if_exists=if_exists,
            if_version=if_version,
            if_filter=if_filter,
        )
        return await self._put(given, durability, request_id, progress, timeout)

    async def insert(
        self,
        ids: Iterable[Id],
        vectors: Any = None,
        texts: Any = None,
        payloads: Payloads | None = None,
        *,
        sparse: Any = None,
        model: Model | None = None,
        ttl: Ttl = None,
        durability: str | None = None,
        request_id: bytes | None = None,
        progress: Progress = False,
        timeout: float | None = None,
    ) -> WriteResult:
        """Write new points; see ``upsert``. Raises PointExists for an id that exists, InvalidArgument for equal ids."""
        given = Insert(ids, vectors, texts, payloads, model, ttl=ttl, sparse=sparse)
        return await self._put(given, durability, request_id, progress, timeout)

    async def update(
        self,
        ids: Iterable[Id] | None = None,
        vectors: Any = None,
        texts: Any = None,
        payloads: Payloads | Mapping[str, Any] | None = None,
        *,
        filter: Where | None = None,
        payload_mode: PayloadMode = "merge",
        unset: Iterable[str] | None = None,
        sparse: Any = None,
        model: Model | None = None,
        ttl: Ttl = None,
        if_exists: bool = False,
        if_version: Version = None,
        if_filter: Where | None = None,
        durability: str | None = None,
        request_id: bytes | None = None,
        progress: Progress = False,
        timeout: float | None = None,
    ) -> WriteResult:
        """Change only what is given. Ids that do not exist are skipped and not counted."""
        given = Update(
            ids,
            vectors,
            texts,
            payloads,
            model,
            ttl=ttl,
            sparse=sparse,
            filter=filter,
            payload_mode=payload_mode,
            unset=unset,
            if_exists=if_exists,
            if_version=if_version,
            if_filter=if_filter,
        )
        return await self._put(given, durability, request_id, progress, timeout)

    async def delete(
        self,
        ids: Iterable[Id] | None = None,
        *,
        filter: Where | None = None,
        if_exists: bool = False,
        if_version: Version = None,
        if_filter: Where | None = None,
        durability: str | None = None,
        request_id: bytes | None = None,
        timeout: float | None = None,
    ) -> WriteResult:
        """Delete points by id, those that do not exist are not counted; or all that match ``filter``, in one batch."""
        given = Delete(ids, filter=filter, if_exists=if_exists, if_version=if_version, if_filter=if_filter)
        return await self._run(steps.delete(self._name, given, durability, request_id), timeout, WRITE)

    async def clear(
        self, *, durability: str | None = None, request_id: bytes | None = None, timeout: float | None = None
    ) -> WriteResult:
        """Delete every point."""
        return await self._run(steps.clear(self._name, durability, request_id), timeout, WRITE)

    async def write(
        self,
        operations: Iterable[Operation],
        *,
        durability: str | None = None,
        request_id: bytes | None = None,
        timeout: float | None = None,
    ) -> WriteResult:
        """Apply operations in order as one atomic batch. Raises TooLarge when they do not fit one message."""
        return await self._run(steps.write(self._name, operations, durability, request_id), timeout, WRITE)

    # -- searching --

    async def search(
        self,
        vector: Vector | None = None,
        *,
        text: str | Query | None = None,
        fields: Fields | None = None,
        sparse: Any = None,
        id: Ids | None = None,
        unlike: Ids | None = None,
        legs: Sequence[Near | Keyword | Sparse] | None = None,
        filter: Where | None = None,
        limit: int = 10,
        offset: int = 0,
        using: str | None = None,
        model: str | None = None,
        ef: int | None = None,
        target_recall: float | None = None,
        exact: bool = False,
        min_score: float | None = None,
        fusion: Fusion | None = None,
        with_payload: bool = True,
        with_text: bool = True,
        with_vectors: bool = False,
        explain: bool = False,
        group_by: str | Sequence[str] | None = None,
        group_size: int = 3,
        highlight: bool | Highlight = False,
        modifiers: Decay | Boost | Sequence[Decay | Boost] | None = None,
        mmr: float | Mmr | None = None,
        rerank: Scorer | Rerank | None = None,
        timeout: float | None = None,
    ) -> SearchResult:
        """The points nearest to ``vector`` (``[dim]``), that hold words of ``text``, or both: min(limit, matches) hits.

        ``rerank`` may be a coroutine function.
        """
        second = SecondStage(rerank, limit, offset, group_by, awaits=True)
        budget = Budget(timeout, self._timeout)
        found = steps.search(
            self._name,
            vector,
            legs,
            text=text,
            fields=fields,
            sparse=sparse,
            id=id,
            unlike=unlike,
            using=using,
            model=model,
            filter=filter,
            limit=second.limit,
            offset=second.offset,
            ef=ef,
            target_recall=target_recall,
            exact=exact,
            min_score=min_score,
            fusion=fusion,
            select=Select(with_payload, with_text, with_vectors),
            explain=explain,
            group_by=group_by,
            group_size=group_size,
            highlight=highlight,
            modifiers=modifiers,
            mmr=mmr,
        )
        return (await second.run_async(await self._transport.run(found, budget, READ), budget))[0]

    async def search_batch(
        self,
        vectors: Any = None,
        texts: Iterable[str | Query] | None = None,
        *,
        fields: Fields | None = None,
        sparse: Any = None,
        ids: Iterable[Ids] | None = None,
        filter: Where | None = None,
        filters: Sequence[Where | None] | None = None,
        limit: int = 10,
        offset: int = 0,
        using: str | None = None,
        model: str | None = None,
        ef: int | None = None,
        target_recall: float | None = None,
        exact: bool = False,
        min_score: float | None = None,
        fusion: Fusion | None = None,
        with_payload: bool = True,
        with_text: bool = True,
        with_vectors: bool = False,
        explain: bool = False,
        group_by: str | Sequence[str] | None = None,
        group_size: int = 3,
        highlight: bool | Highlight = False,
        modifiers: Decay | Boost | Sequence[Decay | Boost] | None = None,
        mmr: float | Mmr | None = None,
        rerank: Scorer | Rerank | None = None,
        timeout: float | None = None,
    ) -> list[SearchResult]:
        """One result for each row of ``vectors`` (``[q, dim]``), each of ``texts``, or both of each; see ``search``."""
        second = SecondStage(rerank, limit, offset, group_by, awaits=True)
        budget = Budget(timeout, self._timeout)
        found = steps.search_batch(
            self._name,
            vectors,
            texts=texts,
            fields=fields,
            sparse=sparse,
            ids=ids,
            using=using,
            model=model,
            filter=filter,
            filters=filters,
            limit=second.limit,
            offset=second.offset,
            ef=ef,
            target_recall=target_recall,
            exact=exact,
            min_score=min_score,
            fusion=fusion,
            select=Select(with_payload, with_text, with_vectors),
            explain=explain,
            group_by=group_by,
            group_size=group_size,
            highlight=highlight,
            modifiers=modifiers,
            mmr=mmr,
        )
        return await second.run_async(await self._transport.run(found, budget, BULK), budget)

    # -- reading --

    async def get(
        self,
        ids: Iterable[Id],
        *,
        with_payload: bool = True,
        with_text: bool = True,
        with_vectors: bool = False,
        timeout: float | None = None,
    ) -> list[Point]:
        """Points by id, in the order asked; those that do not exist are left out."""
        select = Select(with_payload, with_text, with_vectors)
        return await self._run(steps.get(self._name, ids, select), timeout, _lane(ids))

    async def exists(
        self, ids: Iterable[Id], *, filter: Where | None = None, timeout: float | None = None
    ) -> NDArray[np.bool_]:
        """Which of ``ids`` exist, and match ``filter``: bool ``[n]``."""
        return await self._run(steps.exists(self._name, ids, filter), timeout, _lane(ids))

    async def count(self, *, filter: Where | None = None, timeout: float | None = None) -> int:
        """How many points there are, or match ``filter``."""
        return await self._run(steps.count(self._name, filter), timeout)

    async def page(
        self,
        cursor: str | None = None,
        limit: int = 100,
        *,
        filter: Where | None = None,
        order_by: str | OrderBy | None = None,
        with_payload: bool = True,
        with_text: bool = True,
        with_vectors: bool = False,
        timeout: float | None = None,
    ) -> Page:
        """The next ``limit`` (1..10,000) points by id or in another order, and the cursor of the page after them."""
        select = Select(with_payload, with_text, with_vectors)
        return await self._run(steps.page(self._name, cursor, limit, select, order_by, filter), timeout, _lane(limit))

    def scroll(
        self,
        *,
        filter: Where | None = None,
        order_by: str | OrderBy | None = None,
        batch: int = 1000,
        with_payload: bool = True,
        with_text: bool = True,
        with_vectors: bool = False,
        timeout: float | None = None,
    ) -> AsyncIterator[Point]:
        """All points in the order of their ids, or ``order_by``, fetched ``batch`` (1..10,000) at a time."""
        walk = steps.Walk(self._name, Select(with_payload, with_text, with_vectors), order_by, filter)
        return self._scroll(walk, steps.points_at_once(batch, "batch"), timeout)

    async def _scroll(self, walk: steps.Walk, batch: int, timeout: float | None) -> AsyncIterator[Point]:
        while not walk.ended:
            for found in await self._run(walk.more(batch), timeout, _lane(batch)):
                yield found

    async def facet(
        self,
        key: str | Sequence[str],
        *,
        filter: Where | None = None,
        limit: int = 100,
        timeout: float | None = None,
    ) -> Facet:
        """How many of the points that match have which value at ``key``, exactly."""
        return await self._run(steps.facet(self._name, key, filter, limit), timeout)

    def changes(
        self, after: str = "now", *, follow: bool = False, limit: int | None = None, timeout: float | None = None
    ) -> AsyncChanges:
        """What write batches did to the points after a place, in order, for ``async for``."""
        walk = Feed(self._name, after, follow, limit, timeout)
        return AsyncChanges(walk, lambda: self._transport.run(walk.more(), walk.budget(self._timeout), FOLLOW))

    async def change_token(self, *, timeout: float | None = None) -> str:
        """The token after the newest write."""
        return await self._run(feed.token(self._name), timeout)

    @overload
    async def analyze(  # type: ignore[overload-overlap]
        self, text: str, *, field: str = "", timeout: float | None = None
    ) -> list[Token]: ...

    @overload
    async def analyze(
        self, text: Iterable[str], *, field: str = "", timeout: float | None = None
    ) -> list[list[Token]]: ...

    async def analyze(
        self, text: str | Iterable[str], *, field: str = "", timeout: float | None = None
    ) -> list[Token] | list[list[Token]]:
        """The terms that a text, or each of several, of text field ``field`` is found by, and where they stand."""
        if isinstance(text, str):
            return (await self._run(steps.analyze(self._name, [text], field), timeout))[0]
        return await self._run(steps.analyze(self._name, text, field), timeout, BULK)

    # -- whole files --

    async def load(
        self,
        source: Any,
        *,
        id: Column = GUESS,
        vector: ByField = GUESS,
        text: ByField = GUESS,
        payload: PayloadColumns = GUESS,
        **more: Unpack[LoadMore],
    ) -> LoadReport:
        """Load points from a file, a table, a DataFrame or any iterable; the source is read in a thread."""
        from vecdb.client.load import load_async

        return await load_async(self, source, id=id, vector=vector, text=text, payload=payload, **more)

    async def export(
        self,
        path: str | os.PathLike[str],
        *,
        filter: Where | None = None,
        format: str | None = None,
        with_vectors: bool = True,
        with_text: bool = True,
        with_payload: bool = True,
        overwrite: bool = False,
        timeout: float | None = None,
        progress: bool | Callable[[int, int | None], object] = False,
    ) -> ExportReport:
        """Write all points to a file, which is written in a thread."""
        from vecdb.client.load import export_async

        return await export_async(
            self,
            path,
            filter=filter,
            format=format,
            with_vectors=with_vectors,
            with_text=with_text,
            with_payload=with_payload,
            overwrite=overwrite,
            timeout=timeout,
            progress=progress,
        )

    # -- looking after it --

    async def stats(self, *, timeout: float | None = None) -> CollectionStats:
        """Counts, bytes by purpose and the progress of indexing."""
        return await self._run(calls.Stats(self._name), timeout)

    async def measure_recall(
        self,
        k: int = 10,
        queries: Any = None,
        *,
        sample: int = 100,
        ef: int | None = None,
        target_recall: float | None = None,
        using: str | None = None,
        filter: Where | None = None,
        timeout: float | None = None,
    ) -> MeasuredRecall:
        """Which share of the true ``k`` (1..100) nearest neighbours searches find, against exact ones."""
        measuring = steps.measure_recall(
            self._name, k, queries, sample=sample, ef=ef, target_recall=target_recall, using=using, filter=filter
        )
        return await self._run_unbounded(measuring, timeout)

    async def compact(self, *, timeout: float | None = None) -> int:
        """Give back the space of deleted points; the bytes freed. ``timeout`` None: as long as it takes."""
        return await self._run_unbounded(calls.Compact(self._name), timeout)

    async def wait_indexed(self, *, timeout: float | None = None) -> None:
        """Wait until every vector that should be in a graph is. ``timeout`` None: as long as it takes."""
        await self._run_unbounded(steps.wait_indexed(self._name), timeout)

    async def set_indexing(self, mode: Indexing, *, timeout: float | None = None) -> None:
        """ "deferred": build no graphs for now (bulk loading); "auto": build them as points come."""
        await self._run(calls.SetIndexing(self._name, build.indexing(mode)), timeout, WRITE)

    # -- changing it while it serves --

    async def add_vector_field(self, name: str, field: VectorField, *, timeout: float | None = None) -> CollectionInfo:
        """Add a vector field while the collection serves; no point has a vector in it yet."""
        return await self._run(calls.ChangeSchema(self._name, changes.add_vector(name, field)), timeout, WRITE)

    async def drop_vector_field(self, name: str, *, timeout: float | None = None) -> CollectionInfo:
        """Drop a vector field and its vectors, for good; the points stay."""
        return await self._run(calls.ChangeSchema(self._name, changes.drop_vector(name)), timeout, WRITE)

    async def rename_vector_field(self, name: str, new_name: str, *, timeout: float | None = None) -> CollectionInfo:
        """Call a vector field something else; nothing is built again."""
        return await self._run(calls.ChangeSchema(self._name, changes.rename_vector(name, new_name)), timeout, WRITE)

    async def set_default_vector(self, name: str, *, timeout: float | None = None) -> CollectionInfo:
        """Let another field be meant where none is named, in searches and writes."""
        return await self._run(calls.ChangeSchema(self._name, changes.set_default(name)), timeout, WRITE)

    async def add_text_field(self, name: str, field: TextField, *, timeout: float | None = None) -> CollectionInfo:
        """Add a text field while the collection serves."""
        return await self._run(calls.ChangeSchema(self._name, changes.add_text(name, field)), timeout, WRITE)

    async def add_sparse_field(
        self, name: str, field: SparseField | None = None, *, timeout: float | None = None
    ) -> CollectionInfo:
        """Add a field of sparse vectors while the collection serves."""
        change = changes.add_sparse(name, field or SparseField())
        return await self._run(calls.ChangeSchema(self._name, change), timeout, WRITE)

    async def set_text_field(self, name: str, field: TextField, *, timeout: float | None = None) -> CollectionInfo:
        """Declare a text field anew; what is indexed is indexed anew in the background, while searches go on."""
        return await self._run(calls.ChangeSchema(self._name, changes.set_text(name, field)), timeout, WRITE)

    async def set_ttl(self, ttl: float | timedelta | None, *, timeout: float | None = None) -> CollectionInfo:
        """How long points stay, in seconds, that are written from now on without a time of their own."""
        return await self._run(calls.ChangeSchema(self._name, changes.set_ttl(ttl)), timeout, WRITE)

    async def set_payload_columns(self, on: bool, *, timeout: float | None = None) -> CollectionInfo:
        """Whether values of payloads are kept in columns, which filters are answered from."""
        return await self._run(calls.ChangeSchema(self._name, changes.set_columns(on)), timeout, WRITE)

    async def _put(
        self, given: Put, durability: str | None, request_id: bytes | None, progress: Progress, timeout: float | None
    ) -> WriteResult:
        with reporting(progress) as report:
            heard = report and in_loop(report)
            return await self._run(steps.put(self._name, given, durability, request_id, heard), timeout, WRITE)

    async def _run(self, operation: Steps[T] | Call[T], timeout: float | None, lane: Lane = READ) -> T:
        return await self._transport.run(iter(operation), Budget(timeout, self._timeout), lane)

    async def _run_unbounded(self, operation: Steps[T] | Call[T], timeout: float | None) -> T:
        return await self._transport.run(iter(operation), Budget(timeout, None), SLOW)


# Reading so many points, or fewer, is no work for an event loop to stand still for.
_FEW = 1000


def _lane(points: object) -> Lane:
    """Of a read of so many points, or of those with such ids."""
    count = points if isinstance(points, int) else len(points) if isinstance(points, Sized) else _FEW + 1
    return READ if count <= _FEW else BULK
