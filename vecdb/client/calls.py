"""Every call to an engine as a value, in the nouns of the model: what is asked, and how an engine answers it.

The steps of an operation (vecdb/client/steps.py) yield calls and are sent their answers; a transport carries them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from vecdb.model import collection, facet
from vecdb.model.collection import CollectionInfo, CollectionStats, Indexing
from vecdb.model.context import CallContext
from vecdb.model.facet import FacetRequest
from vecdb.model.feed import FeedPage, FeedRequest
from vecdb.model.filter import Filter
from vecdb.model.info import ServerInfo
from vecdb.model.order import OrderBy
from vecdb.model.point import Points, Select, WriteBatch, WriteResult
from vecdb.model.query import SearchAnswer, SearchRequest
from vecdb.model.recall import MeasuredRecall, RecallRequest
from vecdb.model.schema import Schema
from vecdb.model.schema_change import SchemaChange
from vecdb.model.snapshot import RestoreReport, SnapshotBase
from vecdb.model.token import Token

if TYPE_CHECKING:
    from vecdb.engine.database import Database

T = TypeVar("T")

Steps = Generator["Call[Any]", Any, T]


class Call(ABC, Generic[T]):
    """One question to an engine, answered by a T."""

    __slots__ = ()

    @abstractmethod
    def on(self, engine: Database, context: CallContext) -> T:
        """Ask an engine in this process. Raises VecdbError."""

    def __iter__(self) -> Steps[T]:
        """``answer = yield from call``: how steps ask, with the type of the answer."""
        answer: T = yield self
        return answer


@dataclass(frozen=True, slots=True)
class Info(Call[ServerInfo]):
    """Release, features and limits of the engine."""

    def on(self, engine: Database, context: CallContext) -> ServerInfo:
        return ServerInfo(limits=engine.options.limits())


# -- collections --


@dataclass(frozen=True, slots=True)
class CreateCollection(Call[CollectionInfo]):
    """A new collection."""

    name: str
    schema: Schema
    exist_ok: bool

    def on(self, engine: Database, context: CallContext) -> CollectionInfo:
        return engine.create_collection(context, self.name, self.schema, self.exist_ok)


@dataclass(frozen=True, slots=True)
class DropCollection(Call[None]):
    """The end of a collection."""

    name: str

    def on(self, engine: Database, context: CallContext) -> None:
        engine.drop_collection(context, self.name)


@dataclass(frozen=True, slots=True)
class RenameCollection(Call[None]):
    """Another name for a collection."""

    name: str
    new_name: str

    def on(self, engine: Database, context: CallContext) -> None:
        engine.rename_collection(context, self.name, self.new_name)


@dataclass(frozen=True, slots=True)
class SetAlias(Call[None]):
    """From now on ``alias`` stands for the collection."""

    alias: str
    collection: str

    def on(self, engine: Database, context: CallContext) -> None:
        engine.set_alias(context, self.alias, self.collection)


@dataclass(frozen=True, slots=True)
class DropAlias(Call[None]):
    """The end of an alias."""

    alias: str

    def on(self, engine: Database, context: CallContext) -> None:
        engine.drop_alias(context, self.alias)


@dataclass(frozen=True, slots=True)
class ListCollections(Call[list[CollectionInfo]]):
    """All collections, by name."""

    def on(self, engine: Database, context: CallContext) -> list[CollectionInfo]:
        return engine.list_collections(context)


@dataclass(frozen=True, slots=True)
class Describe(Call[CollectionInfo]):
    """What a collection is."""

    collection: str

    def on(self, engine: Database, context: CallContext) -> CollectionInfo:
        return engine.describe(context, self.collection)


@dataclass(frozen=True, slots=True)
class ChangeSchema(Call[CollectionInfo]):
    """Another schema for a collection; the collection as it is then."""

    collection: str
    change: SchemaChange

    def on(self, engine: Database, context: CallContext) -> CollectionInfo:
        return engine.change_schema(context, self.collection, self.change)


# -- points --


@dataclass(frozen=True, slots=True, eq=False)
class Write(Call[WriteResult]):
    """One atomic batch; ``request_id`` (1..64 bytes) makes it safe to send again."""

    collection: str
    batch: WriteBatch
    request_id: bytes

    def on(self, engine: Database, context: CallContext) -> WriteResult:
        return engine.write(replace(context, request_id=self.request_id), self.collection, self.batch)


@dataclass(frozen=True, slots=True, eq=False)
class Search(Call[tuple[SearchAnswer, int]]):
    """The hits of each query, and how many of them, from the first, came with their contents."""

    collection: str
    request: SearchRequest

    def on(self, engine: Database, context: CallContext) -> tuple[SearchAnswer, int]:
        answer = engine.search(context, self.collection, self.request)
        return answer, len(answer.points)


@dataclass(frozen=True, slots=True)
class Analyze(Call[list[list[Token]]]):
    """The terms of each of ``texts``, as a text field has them."""

    collection: str
    field: str
    texts: Sequence[str]

    def on(self, engine: Database, context: CallContext) -> list[list[Token]]:
        return engine.analyze(context, self.collection, self.field, self.texts)


@dataclass(frozen=True, slots=True)
class Get(Call[tuple[Points, int]]):
    """The points of the first ids, and how many of ``ids`` that answers (at least one)."""

    collection: str
    ids: Sequence[str]
    select: Select

    def on(self, engine: Database, context: CallContext) -> tuple[Points, int]:
        return engine.get(context, self.collection, self.ids, self.select), len(self.ids)


@dataclass(frozen=True, slots=True)
class Exists(Call[NDArray[np.bool_]]):
    """Which of ``ids`` exist and match, bool ``[n]``."""

    collection: str
    ids: Sequence[str]
    filter: Filter | None = None

    def on(self, engine: Database, context: CallContext) -> NDArray[np.bool_]:
        return engine.exists(context, self.collection, self.ids, self.filter)


@dataclass(frozen=True, slots=True)
class Count(Call[int]):
    """How many points there are that match."""

    collection: str
    filter: Filter | None = None

    def on(self, engine: Database, context: CallContext) -> int:
        return engine.count(context, self.collection, self.filter)


@dataclass(frozen=True, slots=True)
class Scroll(Call[tuple[Points, bool]]):
    """Up to ``limit`` points that match after an id (None: from the first), and whether the end was reached."""

    collection: str
    after: str | None
    limit: int
    select: Select
    filter: Filter | None = None

    def on(self, engine: Database, context: CallContext) -> tuple[Points, bool]:
        return engine.scroll(context, self.collection, self.after, self.limit, self.select, self.filter)


@dataclass(frozen=True, slots=True)
class Ordered(Call[tuple[Points, bool, bytes]]):
    """Up to ``limit`` points in the order ``by`` after ``cursor``, whether that was the end, and the cursor there."""

    collection: str
    by: OrderBy
    cursor: bytes
    limit: int
    select: Select
    filter: Filter | None = None

    def on(self, engine: Database, context: CallContext) -> tuple[Points, bool, bytes]:
        page = engine.ordered(context, self.collection, self.by, self.cursor, self.limit, self.select, self.filter)
        return page.points, page.end, page.cursor(len(page.points))


@dataclass(frozen=True, slots=True)
class Changes(Call[FeedPage]):
    """What write batches did after a place in the change feed."""

    collection: str
    asked: FeedRequest

    def on(self, engine: Database, context: CallContext) -> FeedPage:
        return engine.changes(context, self.collection, self.asked)


@dataclass(frozen=True, slots=True)
class Facet(Call[facet.Facet]):
    """How many points have which values."""

    collection: str
    request: FacetRequest
    filter: Filter | None = None

    def on(self, engine: Database, context: CallContext) -> facet.Facet:
        return engine.facet(context, self.collection, self.request, self.filter)


# -- looking after the engine --


@dataclass(frozen=True, slots=True)
class Stats(Call[CollectionStats]):
    """Numbers of one collection."""

    collection: str

    def on(self, engine: Database, context: CallContext) -> CollectionStats:
        return engine.stats(context, self.collection)


@dataclass(frozen=True, slots=True)
class DatabaseStats(Call[collection.DatabaseStats]):
    """Numbers of the whole database."""

    def on(self, engine: Database, context: CallContext) -> collection.DatabaseStats:
        return engine.database_stats(context)


@dataclass(frozen=True, slots=True)
class MeasureRecall(Call[MeasuredRecall]):
    """The recall of searches by the queries of a request, or by the first of them: ask again for the rest."""

    collection: str
    request: RecallRequest

    def on(self, engine: Database, context: CallContext) -> MeasuredRecall:
        return engine.measure_recall(context, self.collection, self.request)


@dataclass(frozen=True, slots=True)
class Compact(Call[int]):
    """Give back the space of deleted points; the bytes freed."""

    collection: str

    def on(self, engine: Database, context: CallContext) -> int:
        return engine.compact(context, self.collection)


@dataclass(frozen=True, slots=True)
class WaitIndexed(Call[bool]):
    """Whether all is indexed; False when it is worth asking again."""

    collection: str

    def on(self, engine: Database, context: CallContext) -> bool:
        engine.wait_indexed(context, self.collection)
        return True


@dataclass(frozen=True, slots=True)
class SetIndexing(Call[None]):
    """Whether graphs are built while writes go on."""

    collection: str
    mode: Indexing

    def on(self, engine: Database, context: CallContext) -> None:
        engine.set_indexing(context, self.collection, self.mode)


@dataclass(frozen=True, slots=True)
class Check(Call[list[str]]):
    """What is wrong with anything the engine holds, a sentence each."""

    def on(self, engine: Database, context: CallContext) -> list[str]:
        return engine.check(context)


@dataclass(frozen=True, slots=True)
class Reopen(Call[None]):
    """Open the store again after a failure."""

    def on(self, engine: Database, context: CallContext) -> None:
        engine.reopen(context)


# -- archives: neither kept whole anywhere --


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot(Call[None]):
    """An archive of ``collections`` (None: all): ``into`` is given each piece as it comes, and may raise to end it."""

    collections: Sequence[str] | None
    base: SnapshotBase | None
    into: Callable[[bytes], object]

    def on(self, engine: Database, context: CallContext) -> None:
        with closing(engine.snapshot(context, self.collections, self.base)) as archive:
            for piece in archive:
                self.into(piece)


@dataclass(frozen=True, slots=True, eq=False)
class Restore(Call[RestoreReport]):
    """Collections made of ``archives``, which are read once, one after another, as far as is needed."""

    archives: Sequence[Iterable[bytes]]
    collections: Sequence[str] | None
    rename: Mapping[str, str]
    dry_run: bool

    def on(self, engine: Database, context: CallContext) -> RestoreReport:
        return engine.restore(context, self.archives, self.collections, self.rename, self.dry_run)
