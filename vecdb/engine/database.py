"""The database: opens the directory, knows the collections, owns the threads. The engine's front door.

Every call takes a CallContext. Collections open on first use; those with sealed segments are loaded in
the background at start, most recently written first. Small idle ones are let go of again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from operator import length_hint
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vecdb.engine import catalog, feed, footprint, manifest, recovery
from vecdb.engine.check import check_collection, check_nothing_else
from vecdb.engine.collection import Collection, Entry
from vecdb.engine.commit import Committer, Evicted
from vecdb.engine.datadir import DataDir
from vecdb.engine.kept import Kept
from vecdb.engine.maintenance import Maintenance
from vecdb.engine.memory import MemoryGuard, limit_of, process_memory
from vecdb.engine.names import Names
from vecdb.engine.opening import OnDisk, Opening
from vecdb.engine.options import EngineOptions
from vecdb.engine.ordering import OrderedPoints
from vecdb.engine.sealing import why_no_graphs
from vecdb.engine.shape import Shape
from vecdb.engine.snapshots.pins import Held, Pins
from vecdb.engine.snapshots.recall import recall
from vecdb.engine.snapshots.restoring import Naming, Restored, Restoring
from vecdb.engine.snapshots.streaming import stream
from vecdb.engine.space import DiskSpace
from vecdb.engine.supervisor import Supervisor
from vecdb.engine.texts import check_analyzers
from vecdb.errors import (
    Closed,
    CollectionExists,
    CollectionNotFound,
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    MemoryLimit,
    ReadOnly,
    ResourceExhausted,
    Unavailable,
    VecdbError,
)
from vecdb.failpoint import hit
from vecdb.model.collection import INDEXING, CollectionInfo, CollectionStats, DatabaseStats, Indexing
from vecdb.model.context import CallContext
from vecdb.model.facet import Facet, FacetRequest
from vecdb.model.feed import FeedPage, FeedRequest
from vecdb.model.filter import Filter
from vecdb.model.order import OrderBy
from vecdb.model.point import Points, Select, WriteBatch, WriteResult
from vecdb.model.query import SearchAnswer, SearchRequest
from vecdb.model.recall import MeasuredRecall, RecallRequest
from vecdb.model.schema import Schema, validate_collection_name
from vecdb.model.schema_change import AddTextField, SchemaChange, SetTextField
from vecdb.model.snapshot import RestoredCollection, RestoreReport, SnapshotBase
from vecdb.model.state import DatabaseState, StateName
from vecdb.model.token import Token
from vecdb.storage import codec, keys
from vecdb.storage.codec import Head
from vecdb.storage.kv import KV, Batch, write_patiently
from vecdb.storage.rocksdb import StoreOptions

log = logging.getLogger(__name__)

T = TypeVar("T")

COMPACT_ROWS = 10_000
"""What a collection of so many rows left is compacted away when it is dropped; of a smaller one that is done in time,
with the rest."""
RETRY_S = 5.0
"""After which a call that met no store may be worth another try."""


class Database:
    """An open database. Safe to call from any thread. Made by ``open``."""

    def __init__(
        self,
        kv: KV,
        segments: Path,
        options: EngineOptions,
        release: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
        identity: str = "",
        opening: Opening | None = None,
        space: DiskSpace | None = None,
    ) -> None:
        """``opening``: how the store is opened again after a failure. ``space``: the disk it is on, where watched."""
        self._clock = clock
        self._identity = identity or uuid.uuid4().hex
        self._pins = Pins(clock, options.max_snapshot_s)
        self._root = segments
        self._options = options
        self._release = release
        self._opening = opening
        self._space = space or DiskSpace(None, 0, 0)
        self._lock = threading.Lock()  # the maps below, and which store it is
        self._reopened = threading.Condition(self._lock)
        self._reopening = False
        self._era = 0  # counts the stores that this database has had
        self._unopened: str | None = None  # why there is no store
        self._life = threading.Lock()  # held while it is opened again, or closed
        self._publish_lock = threading.Lock()
        if (reason := why_no_graphs(options)) is not None:
            log.warning("no graphs are built and every search is exact: %s", reason)
        self._memory = MemoryGuard(limit_of(options.max_memory_bytes))
        self._wake = threading.Event()
        self._closed = False
        self._start(kv)
        self._supervisor = Supervisor(self._standing, self._space.tend, self._reopen, options.reopen_pause_s, clock)
        if options.background:
            self._supervisor.start()

    def _start(self, kv: KV) -> None:
        """Take up a store, with threads and collections of its own. One that only reads is left as it is."""
        self._kv = kv
        self._kept = Kept(self._options.filter_cache_bytes)
        entries, aliases, dropped = catalog.read(kv)
        self._names = Names([entry for entry, _ in entries], aliases)
        self._heads: dict[int, Head] = {entry.number: head for entry, head in entries}
        self._open: dict[int, Collection] = {}
        self._next_number = catalog.next_number(kv, [*self._heads, *dropped])
        commit = max((h.commit for h in self._heads.values()), default=0)
        if kv.failure() is None:
            for number in dropped:
                self._purge(number)
            self._remove_unknown_folders()
        self._committer = Committer(kv, commit, self._publish_lock, self._clock)
        self._maintenance = Maintenance(
            kv,
            self._root,
            self._options,
            self._committer,
            self._publish_lock,
            self._opened,
            self._put_entry,
            self._wake,
            self._evict_idle,
            self._memory,
            self._space,
            self._clock,
        )
        self._loader = threading.Thread(target=self._load_sealed, args=(self._era,), name="vecdb-loader", daemon=True)
        if self._options.background:
            self._loader.start()

    @staticmethod
    def open(
        path: str | os.PathLike[str], options: EngineOptions | None = None, clock: Callable[[], float] = time.time
    ) -> Database:
        """Open or make the database in directory ``path``. ``clock`` (seconds since 1970) says when points expire.

        Raises DataDirInUse, DataDirUnusable, FormatTooNew, DataLoss.
        """
        options = options or EngineOptions()
        options.validate()
        try:
            return Database._open_directory(DataDir(path), options, clock)
        except DataLoss as error:
            remedy = f"vecdb check --data {path} --repair NEW_DIR"
            raise DataLoss(f"{error.message}; what is intact is salvaged by `{remedy}`") from error

    @staticmethod
    def _open_directory(directory: DataDir, options: EngineOptions, clock: Callable[[], float]) -> Database:
        try:
            store = StoreOptions(
                write_buffer_bytes=options.write_buffer_bytes,
                max_total_wal_bytes=options.max_total_wal_bytes,
                block_cache_bytes=options.block_cache_bytes,
            )
            space = DiskSpace(directory.path, options.disk_reserve_bytes, options.min_free_disk_bytes)
            opening = OnDisk(directory.rocksdb, store, space)
            kv = opening.open()
        except BaseException:
            directory.release()
            raise

        def release() -> None:
            space.release()
            directory.release()

        try:
            return Database(kv, directory.segments, options, release, clock, directory.identity, opening, space)
        except BaseException:
            kv.close()
            release()
            raise

    def close(self) -> None:
        """Finish queued writes, stop the threads, release the directory. Calling it again does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._supervisor.close()
        with self._life:
            with self._publish_lock:  # nothing is built any more, so nobody may go on waiting for it
                for collection in self._opened():
                    collection.closing = True
                    collection.indexed.notify_all()
                    collection.published.notify_all()
            self._maintenance.close()
            if self._loader.ident is not None:
                self._loader.join()
            self._committer.close()
            self._pins.close()
            with self._lock:
                self._open.clear()  # graphs and maps go with the last reader that still holds a view of them
            try:
                self._kv.close()
            finally:
                self._release()

    # -- states

    def state(self) -> DatabaseState:
        """What the database can do just now, and why not more."""
        return self._supervisor.state()

    def watch(self, changed: Callable[[], None]) -> None:
        """Call ``changed`` after every change of the state; it is to return soon, and not to call back in."""
        self._supervisor.watch(changed)

    def failure(self) -> str | None:
        """Why nothing can be written until the store is opened again, or None."""
        return self._unopened or self._committer.failure()

    def reopen(self, context: CallContext) -> None:
        """Open the store again after a failure, without an end of the process; nothing happens where there was none.

        Every acknowledged write is there afterwards, and each of the others entirely or not at all. Readers wait
        meanwhile. Raises ReadOnly while the disk still refuses: then reads go on as before.
        """
        context.check("opening the database again")
        self._reopen()
        self.state()

    def supervise(self) -> None:
        """Look once at the disk and the state, and do what is due (for tests with ``background=False``)."""
        self._supervisor.step()

    def _standing(self) -> tuple[StateName, str | None]:
        if self._unopened is not None:
            return "unavailable", self._unopened
        if (reason := self._committer.failure()) is not None:
            return "read_only", reason
        reason = self._space.full()
        return ("serving" if reason is None else "disk_full"), reason

    def _reopen(self) -> None:
        with self._life:
            self._refuse_closed()
            if (reason := self.failure()) is None:
                return
            self._supervisor.attempted()
            if self._opening is None:
                raise ReadOnly(reason)
            self._space.give_back(reason)
            if self._unopened is None:
                self._opening.try_disk(self._kv)
            log.info("opening the database again, for %s", reason)
            with self._lock:
                self._reopening = True
                self._era += 1
            try:
                self._stop()
                self._begin_again(self._opening, reason)
            finally:
                with self._lock:
                    self._reopening = False
                    self._reopened.notify_all()

    def _stop(self) -> None:
        """Let go of the store and all that works with it; who is under way looks for it anew (see ``_steadily``)."""
        with self._publish_lock:
            for collection in self._opened():
                collection.evicted = True
                collection.indexed.notify_all()
                collection.published.notify_all()
        self._maintenance.close()
        self._pins.close(Unavailable("the database was opened again meanwhile: ask once more", retry_after_s=1.0))
        self._committer.close()  # what is queued is refused: it was not acknowledged, and its request id tells
        with self._lock:
            self._open.clear()
        with contextlib.suppress(VecdbError):  # it failed before; opening reads what is on the disk
            self._kv.close()

    def _begin_again(self, opening: Opening, reason: str) -> None:
        """Open for writing; where that fails, so that reads go on; where even that fails, say so and raise."""
        try:
            self._start(opening.open())
            self._unopened = None
            return
        except (VecdbError, OSError) as error:
            problem = f"{reason}; then it could not be opened again: {error}"
        try:
            self._stop()
            self._start(opening.open_to_read(problem))
            self._unopened = None
        except (VecdbError, OSError) as error:
            self._unopened = f"{problem}; nor for reading: {error}"
        raise ReadOnly(problem)

    # -- collections

    def create_collection(
        self, context: CallContext, name: str, schema: Schema, exist_ok: bool = False
    ) -> CollectionInfo:
        """Make an empty collection. Raises CollectionExists; with ``exist_ok`` only when the schemas differ.

        With ``exist_ok`` an alias is as good as the collection it stands for.
        """
        validate_collection_name(name)
        schema.validate()
        check_analyzers(schema.texts)

        def create() -> CollectionInfo | None:
            with self._lock:
                if exist_ok and name in self._names:
                    there = self._names.find(name)
                    differences = there.schema.differences(schema)
                    if not differences:
                        return None
                    raise CollectionExists(
                        f"the collection exists with another schema: {', '.join(path for path, _, _ in differences)}",
                        field="name",
                        expected="; ".join(f"{path} {here}" for path, here, _ in differences),
                        received="; ".join(f"{path} {other}" for path, _, other in differences),
                    )
                self._names.refuse_taken(name, "name")
                if len(self._names) >= self._options.max_collections:
                    raise ResourceExhausted(
                        "too many collections",
                        expected=f"<= {self._options.max_collections}",
                        received=str(len(self._names) + 1),
                    )
                number = self._next_number
                self._next_number += 1
            entry = Entry(number, name, Shape.of(schema), "auto", time.time_ns() // 1_000_000)

            def fill(batch: Batch) -> None:
                batch.put(keys.DATABASE, codec.encode_numbers(number + 1))
                batch.put(keys.catalog(number), catalog.encode(entry))

            self._write_catalog(fill)
            with self._lock:
                self._names.add(entry)
                self._heads[number] = Head()
            return CollectionInfo(name, schema, entry.indexing, entry.created_at_ms, 0)

        return self._change(context, create) or self.describe(context, name)

    def drop_collection(self, context: CallContext, name: str) -> None:
        """Delete a collection with all it holds and its aliases.

        Raises CollectionNotFound; FailedPrecondition for an alias, by which nobody should lose a collection.
        """

        def drop() -> tuple[int, int]:
            with self._lock:
                entry = self._names.own(name, "name")
                aliases = self._names.aliases(entry)

            def fill(batch: Batch) -> None:
                batch.put(keys.dropped(entry.number), b"\x01")
                batch.delete(keys.catalog(entry.number))
                for alias in aliases:
                    batch.delete(keys.alias(alias))

            hit("drop.before_catalog")
            self._write_catalog(fill)
            with self._lock:
                self._names.remove(entry)
                head = self._heads.pop(entry.number, Head())
                collection = self._open.pop(entry.number, None)  # now, for someone may have opened it meanwhile
            if collection is not None:
                with self._publish_lock:
                    collection.dropped = True
                    collection.indexed.notify_all()
                    collection.published.notify_all()
                    head = collection.committed
                collection.let_go()
                self._memory.freed()
            return entry.number, head.next_row

        number, rows = self._change(context, drop)
        hit("drop.before_purge")
        self._steadily(context, lambda: self._purge(number))  # again, if the store was opened anew: it does no harm
        if rows >= COMPACT_ROWS:
            with contextlib.suppress(VecdbError):  # the collection is gone whatever becomes of this
                for start, end in keys.collection_ranges(number):
                    self._kv.compact(start, end)

    def rename_collection(self, context: CallContext, name: str, new_name: str) -> None:
        """Call a collection something else; its points, its aliases and whoever reads it stay as they are.

        Raises CollectionNotFound, CollectionExists when ``new_name`` is taken, FailedPrecondition for an alias.
        """
        validate_collection_name(new_name, "new_name")

        def rename() -> None:
            with self._lock:
                entry = self._names.own(name, "name")
                self._names.refuse_taken(new_name, "new_name")
            self._put_entry(replace(entry, name=new_name))
            with self._lock:
                self._names.rename(entry, new_name)

        self._change(context, rename)

    def set_alias(self, context: CallContext, alias: str, name: str) -> None:
        """Let ``alias`` stand for a collection, at once and for every later call; before, it may stand for another.

        Raises CollectionNotFound, CollectionExists when ``alias`` is a collection's name, FailedPrecondition
        when ``name`` is an alias, ResourceExhausted.
        """
        validate_collection_name(alias, "alias")

        def change() -> None:
            with self._lock:
                entry = self._names.own(name, "collection")
                self._names.refuse_collection(alias)
                count, most = self._names.count_aliases(), self._options.max_aliases
                if count >= most and not self._names.is_alias(alias):
                    raise ResourceExhausted("too many aliases", expected=f"<= {most}", received=str(count + 1))
            self._write_catalog(lambda batch: batch.put(keys.alias(alias), codec.encode_alias(entry.number)))
            with self._lock:
                self._names.set_alias(alias, entry.number)

        self._change(context, change)

    def drop_alias(self, context: CallContext, alias: str) -> None:
        """Forget an alias; the collection stays. Raises NotFound, also for a collection's own name."""

        def drop() -> None:
            with self._lock:
                self._names.refuse_unknown_alias(alias)
            self._write_catalog(lambda batch: batch.delete(keys.alias(alias)))
            with self._lock:
                self._names.drop_alias(alias)

        self._change(context, drop)

    def change_schema(self, context: CallContext, name: str, change: SchemaChange) -> CollectionInfo:
        """Change what a collection is made of, while it is read and written; the collection as it is then.

        Every call works by the schema before or by the one after, entirely; a write that was waiting to be committed
        is judged again. Raises FieldNotFound, AlreadyExists, FailedPrecondition, InvalidArgument, ResourceExhausted.
        """
        if isinstance(change, AddTextField | SetTextField):
            change.field.validate("field")
            check_analyzers({change.name: change.field})

        def on(collection: Collection) -> CollectionInfo:
            def between() -> None:
                context.check("waiting for earlier writes")
                collection.check_open()
                shape = collection.entry.shape.changed(change)
                self._put_entry(replace(collection.entry, shape=shape))
                hit("change.before_publish")
                with self._publish_lock:
                    collection.reshape(shape)

            self._committer.between_commits(between)
            self._wake.set()  # what was dropped is deleted, and what is analyzed otherwise is indexed again
            return self._info(context, collection.entry)

        return self._with(context, name, on)

    def list_collections(self, context: CallContext) -> list[CollectionInfo]:
        """Every collection, by name."""

        def look() -> list[CollectionInfo]:
            with self._lock:
                entries = self._names.entries()
            found = []
            for entry in entries:
                with contextlib.suppress(CollectionNotFound):  # dropped meanwhile
                    found.append(self._info(context, entry))
            return found

        return self._steadily(context, look)

    def describe(self, context: CallContext, name: str) -> CollectionInfo:
        """One collection. Raises CollectionNotFound."""

        def look() -> CollectionInfo:
            with self._lock:
                entry = self._names.find(name)
            return self._info(context, entry)

        return self._steadily(context, look)

    def set_indexing(self, context: CallContext, name: str, mode: Indexing) -> None:
        """``deferred``: build nothing and refuse nothing until ``auto`` again (bulk loading)."""
        if mode not in INDEXING:
            raise InvalidArgument("unknown mode", field="mode", expected=" | ".join(INDEXING), received=repr(mode))

        def change(collection: Collection) -> None:
            def between() -> None:
                collection.check_open()
                self._put_entry(replace(collection.entry, indexing=mode))
                collection.entry.indexing = mode

            self._committer.between_commits(between)
            with self._publish_lock:
                collection.indexed.notify_all()
            self._wake.set()

        self._with(context, name, change)

    # -- points

    def write(self, context: CallContext, name: str, batch: WriteBatch) -> WriteResult:
        """Carry out a batch atomically; returns when it is durable and visible."""
        return self._with(context, name, lambda c: c.write(context, batch, self._committer))

    def search(self, context: CallContext, name: str, request: SearchRequest) -> SearchAnswer:
        """Answer the queries of a request."""
        return self._read(context, name, lambda c: c.search(context, request))

    def get(self, context: CallContext, name: str, ids: Sequence[str], select: Select) -> Points:
        """Points by id, in the order asked, without those that are missing."""
        return self._read(context, name, lambda c: c.get(context, ids, select))

    def exists(
        self, context: CallContext, name: str, ids: Sequence[str], filter: Filter | None = None
    ) -> NDArray[np.bool_]:
        """Which ids are there, bool ``[n]``."""
        return self._read(context, name, lambda c: c.exists(context, ids, filter))

    def count(self, context: CallContext, name: str, filter: Filter | None = None) -> int:
        """How many points there are."""
        return self._read(context, name, lambda c: c.count(context, filter))

    def scroll(
        self,
        context: CallContext,
        name: str,
        after: str | None,
        limit: int,
        select: Select,
        filter: Filter | None = None,
    ) -> tuple[Points, bool]:
        """Points in id order after ``after``, at most ``limit``, and whether that was the end."""
        return self._read(context, name, lambda c: c.scroll(context, after, limit, select, filter))

    def ordered(
        self,
        context: CallContext,
        name: str,
        by: OrderBy,
        cursor: bytes,
        limit: int,
        select: Select,
        filter: Filter | None = None,
    ) -> OrderedPoints:
        """Points in the order of a value after ``cursor`` (empty: from the first), at most ``limit``."""
        return self._read(context, name, lambda c: c.ordered(context, by, cursor, limit, select, filter))

    def facet(self, context: CallContext, name: str, request: FacetRequest, filter: Filter | None = None) -> Facet:
        """How many points have which values."""
        return self._read(context, name, lambda c: c.facet(context, request, filter))

    def changes(
        self, context: CallContext, name: str, asked: FeedRequest, still: Callable[[], bool] = lambda: True
    ) -> FeedPage:
        """What write batches did after a place in the change feed; waits for one, if asked to, while ``still()``."""
        return self._read(context, name, lambda c: feed.changes(context, c, self._identity, asked, still))

    def analyze(self, context: CallContext, name: str, field: str, texts: Sequence[str]) -> list[list[Token]]:
        """The terms that texts of a field are found by."""
        return self._read(context, name, lambda c: c.analyze(field, texts))

    # -- care

    def stats(self, context: CallContext, name: str) -> CollectionStats:
        """Counts, bytes and progress of a collection."""
        return self._with(context, name, lambda c: c.stats())

    def database_stats(self, context: CallContext) -> DatabaseStats:
        """Counts and bytes of the process and the store."""
        memory, state = process_memory(), self.state()

        def look() -> dict[str, int]:
            return {f"store_{name}": value for name, value in self._kv.stats().items()}

        store = self._steadily(context, look) if state.reads else {}
        with self._lock:
            self._refuse_closed()
            made = {
                "building": sum(collection.building_bytes for collection in self._open.values()),
                "filter_cache": self._kept.nbytes,
            }
            return DatabaseStats(
                collections=len(self._names),
                open_collections=len(self._open),
                commit=self._committer.commit,
                pins=self._pins.list(),
                read_only_reason=state.reason,
                bytes=memory | self._memory.stats() | made | store | self._space.stats(),
                state=state.name,
                state_since_ms=state.since_ms,
                reopen_attempts=state.attempts,
            )

    def measure_recall(self, context: CallContext, name: str, request: RecallRequest) -> MeasuredRecall:
        """The recall of searches by the queries of a request, or the first of them: ask again for the rest."""
        return self._read(context, name, lambda c: c.measure_recall(context, request))

    def compact(self, context: CallContext, name: str) -> int:
        """Merge, delete garbage, rewrite the store's files; returns bytes freed on disk."""
        return self._with(context, name, lambda c: self._maintenance.compact(context, c))

    def wait_indexed(self, context: CallContext, name: str) -> None:
        """Return when no vector waits for a graph. Raises DeadlineExceeded."""
        self._with(context, name, lambda c: self._maintenance.wait_indexed(context, c))

    def check(self, context: CallContext) -> list[str]:
        """Verify every index against the rows; a list of what is wrong, empty when all is well."""
        problems: list[str] = []
        for info in self.list_collections(context):
            try:
                problems += self._with(context, info.name, self._check)
            except CollectionNotFound:  # dropped meanwhile
                continue
            except DataLoss as error:
                problems.append(error.message)
        try:
            return problems + self._steadily(
                context, lambda: self._committer.between_commits(lambda: check_nothing_else(self._kv))
            )
        except DataLoss as error:
            return problems or [error.message]

    # -- snapshots

    def snapshot(
        self, context: CallContext, collections: Sequence[str] | None = None, base: SnapshotBase | None = None
    ) -> Generator[bytes]:
        """An archive of collections (None: all), as of one commit, in pieces; closing it early lets go of that state.

        With ``base`` it holds only what came after that archive. Raises CollectionNotFound; FailedPrecondition when the
        base is of another database, or within a scope; while it is read DeadlineExceeded once it took
        ``max_snapshot_s``.
        """
        _refuse_scope(context)
        self._refuse_closed()
        what = "everything" if collections is None else f"{len(collections)} collections"

        def pin() -> Held:
            self._committer.refuse_after_failure()
            self._kv.sync()  # what is written and not synced yet may still be lost, and is in the archive
            return self._pins.take(self._kv, f"snapshot of {what}", self._committer.commit)

        return stream(context, lambda: self._change(context, pin), self._identity, collections, base)

    def restore(
        self,
        context: CallContext,
        archives: Iterable[Iterable[bytes]],
        collections: Sequence[str] | None = None,
        rename: Mapping[str, str] = MappingProxyType({}),
        dry_run: bool = False,
    ) -> RestoreReport:
        """Make collections of archives, a whole one and those that go on from it, all at once or none.

        ``collections`` chooses by the names in the archives, None: all; ``rename`` gives others, and what is renamed
        comes without its aliases. ``dry_run`` reads and checks everything and changes nothing. Raises DataLoss naming
        the part that is damaged or missing, FormatTooNew, CollectionExists, CollectionNotFound; FailedPrecondition for
        archives that do not follow each other, and within a scope.
        """
        _refuse_scope(context)
        for new_name in rename.values():
            validate_collection_name(new_name, "rename")
        with self._lock:
            era = self._wait_for_store(context)

        def check() -> None:
            context.check("restoring")
            if not dry_run:
                self._memory.admit()
                self._space.admit()

        restoring = Restoring(
            self._kv,
            lambda n: self._change(context, lambda: self._claim_numbers(n)),
            collections,
            rename,
            check,
            dry_run,
        )
        known = length_hint(archives)  # 0: nobody knows which is the last until the next one does not come
        try:
            for i, archive in enumerate(archives):
                restoring.read(archive, self._refuse_names if i + 1 == known else None)
            restored = restoring.finish()
            if dry_run:
                self._refuse_names([one.naming for one in restored])
            else:
                self._change(context, lambda: self._publish(restored, restoring, era))
        except Closed as error:
            self._refuse_other_store(era)
            raise error
        finally:
            with contextlib.suppress(VecdbError):  # then the next open does it
                for number in restoring.claimed:
                    self._purge(number)
        return RestoreReport(tuple(self._report(one, dry_run) for one in restored), dry_run)

    def maintain(self) -> bool:
        """Do one step of maintenance now (for tests with ``background=False``); False when nothing was to do."""
        return self._maintenance.step()

    def sweep(self, context: CallContext, name: str) -> bool:
        """Delete what has expired now; True when there is more."""
        return self._with(context, name, self._maintenance.sweep)

    def cover(self, context: CallContext, name: str) -> None:
        """Write the collection's manifest and delete its garbage now."""
        self._with(context, name, self._maintenance.cover)

    @property
    def options(self) -> EngineOptions:
        """What the database was opened with."""
        return self._options

    # -- opening and letting go

    def _with(self, context: CallContext, name: str, action: Callable[[Collection], T]) -> T:
        try:
            return self._steadily(context, lambda: action(self._use(context, name)))
        except DataLoss as error:
            if error.message.startswith("collection "):
                raise
            raise DataLoss(
                f"collection {name!r}: {error.message}; what does not need it is read as before",
                expected=error.expected,
                received=error.received,
            ) from error

    def _steadily(self, context: CallContext, action: Callable[[], T]) -> T:
        """Do ``action``; again when a collection was let go of under it, or the store was, to be opened again.

        It met nothing but a store or a queue that was closed before it began or while it read, and changed nothing.
        """
        while True:
            with self._lock:
                era = self._wait_for_store(context)
            try:
                return action()
            except Evicted:
                continue
            except Closed:
                if era == self._era:
                    raise

    def _wait_for_store(self, context: CallContext) -> int:
        """Which store there is, once there is one (the lock is held). Raises Closed, Unavailable."""
        while self._reopening:
            if not self._reopened.wait(context.remaining()):
                raise Unavailable("the database is being opened again", retry_after_s=1.0)
        self._refuse_closed()
        if self._unopened is not None:
            raise Unavailable(f"the database could not be opened again: {self._unopened}", retry_after_s=RETRY_S)
        return self._era

    def _read(self, context: CallContext, name: str, action: Callable[[Collection], T]) -> T:
        """As ``_with``. Rows that were purged under the reader are no answer, and no loss of data either."""

        def read(collection: Collection) -> T:
            try:
                return action(collection)
            finally:
                collection.check_open()

        return self._with(context, name, read)

    def _check(self, collection: Collection) -> list[str]:
        return self._committer.between_commits(lambda: check_collection(collection))

    def _use(self, context: CallContext, name: str) -> Collection:
        """The collection, loaded; opened by the first who asks, in that caller's thread."""
        context.check("starting")
        with self._lock:
            self._wait_for_store(context)
            entry = self._names.find(name)
            collection = self._open.get(entry.number)
            first = collection is None
            if collection is None:
                collection = self._make(entry)
        if first:
            self._load(collection)
        collection.wait_loaded(context)
        return collection

    def _make(self, entry: Entry) -> Collection:
        collection = Collection(
            entry,
            self._heads[entry.number],
            self._kv,
            self._options,
            self._publish_lock,
            self._memory,
            self._space,
            self._wake,
            self._kept,
            self._clock,
        )
        self._open[entry.number] = collection
        return collection

    def _load(self, collection: Collection) -> None:
        try:
            needed = footprint.of_loading(
                manifest.load(collection.kv, collection.number), collection.committed, collection.fields
            )
            with self._memory.taking(needed, f"collection {collection.entry.name!r}"):
                recovery.recover(collection, self._root)
        except BaseException as error:  # every caller that waits is told
            if isinstance(error, LookupError | TypeError | ValueError):
                log.exception("collection %r does not load", collection.entry.name)
                error = DataLoss(repr(error))
            if isinstance(error, DataLoss):
                name = collection.entry.name
                error = DataLoss(f"collection {name!r} cannot be opened: {error.message}; others are served")
                log.error("%s", error)
            with self._lock:
                if self._open.get(collection.number) is collection:
                    del self._open[collection.number]
            collection.loaded(error)
        else:
            collection.loaded()

    def _load_sealed(self, era: int) -> None:
        """Load collections with sealed segments, the one written last first, until there is another store."""
        with self._lock:
            by_recency = sorted(self._names.entries(), key=lambda e: -self._heads[e.number].commit)
        for entry in by_recency:
            if self._closed or self._era != era:
                return
            try:
                if not manifest.load(self._kv, entry.number).segments and not entry.shape.dropping:
                    continue
            except VecdbError as error:
                log.error("collection %r is not loaded: %s", entry.name, error)
                continue
            with self._lock:
                if self._era != era or not self._names.there(entry) or entry.number in self._open:
                    continue
                collection = self._make(entry)
            self._load(collection)

    def _evict_idle(self) -> None:
        """Let go of collections that are small, idle and unchanged, when more are open than wanted."""
        with self._lock:
            too_many = len(self._open) - self._options.open_collections
            if too_many <= 0:
                return
            idle = sorted(self._open.values(), key=lambda c: c.last_use)

        def let_go() -> None:
            with self._publish_lock, self._lock:
                chosen = [c for c in idle if c.can_be_evicted(self._options.evict_idle_s)]
                for collection in chosen[:too_many]:
                    collection.evicted = True
                    self._heads[collection.number] = collection.committed
                    self._open.pop(collection.number, None)
                    collection.let_go()
            self._memory.freed()

        self._committer.between_commits(let_go)

    def _opened(self) -> list[Collection]:
        with self._lock:
            return list(self._open.values())

    def _info(self, context: CallContext, entry: Entry) -> CollectionInfo:
        if context.scope is not None:
            live = self.count(context, entry.name)
        else:
            with self._lock:
                collection = self._open.get(entry.number)
                head = self._heads.get(entry.number, Head())
            if collection is not None and collection.is_loaded:
                live = collection.points()
            else:
                live = head.live
                with contextlib.suppress(DataLoss):  # whoever reads it is told
                    if collection is None and head.expiring and not manifest.load(self._kv, entry.number).segments:
                        live = self.count(context, entry.name)  # it is tiny, and opened in no time; a large one,
                        # which nobody should wait for, may count what expired while it was closed
        with self._lock:
            aliases = self._names.aliases(entry)
        return CollectionInfo(entry.name, entry.schema, entry.indexing, entry.created_at_ms, live, aliases)

    def _put_entry(self, entry: Entry) -> None:
        self._write_catalog(lambda batch: batch.put(keys.catalog(entry.number), catalog.encode(entry)))

    def _write_catalog(self, fill: Callable[[Batch], None]) -> None:
        """Write to the catalog, all or nothing and durably (between commits)."""
        self._committer.refuse_after_failure()

        def build() -> Batch:
            batch = self._kv.batch()
            fill(batch)
            return batch

        hit("catalog.before_write")
        write_patiently(self._kv, build)
        hit("catalog.after_write")
        self._kv.sync()

    # -- restoring (between commits)

    def _claim_numbers(self, n: int) -> list[int]:
        """Numbers for collections whose rows are to be written; until they are published they count as dropped."""
        with self._lock:
            first = self._next_number
            self._next_number += n
        numbers = list(range(first, first + n))

        def fill(batch: Batch) -> None:
            batch.put(keys.DATABASE, codec.encode_numbers(first + n))
            for number in numbers:
                batch.put(keys.dropped(number), b"\x01")

        self._write_catalog(fill)
        return numbers

    def _refuse_names(self, names: Sequence[Naming]) -> None:
        """Raise CollectionExists when one is taken, InvalidArgument when two are alike, ResourceExhausted."""
        called = Counter(called for name, aliases in names for called in (name, *aliases))
        with self._lock:
            for name, n in called.items():
                self._names.refuse_taken(name, "name")
                if n > 1:
                    raise InvalidArgument("two collections of one name", field="rename", received=repr(name))
            for what, there, new, most in (
                ("collections", len(self._names), len(names), self._options.max_collections),
                ("aliases", self._names.count_aliases(), len(called) - len(names), self._options.max_aliases),
            ):
                if new and there + new > most:
                    raise ResourceExhausted(f"too many {what}", expected=f"<= {most}", received=str(there + new))

    def _publish(self, restored: Sequence[Restored], restoring: Restoring, era: int) -> None:
        """Give collections whose rows are there their names, all at once."""
        self._refuse_other_store(era)
        self._refuse_names([one.naming for one in restored])
        hit("restore.before_catalog")
        commit = self._committer.commit + 1
        for one in restored:
            restoring.claimed.remove(one.entry.number)  # from here on nobody may purge it who has not read the catalog

        def fill(batch: Batch) -> None:
            for one in restored:
                one.fill(batch, commit)

        self._write_catalog(fill)
        hit("restore.before_names")
        self._committer.commit = commit
        with self._lock:
            for one in restored:
                self._names.add(one.entry)
                self._heads[one.entry.number] = replace(one.head, commit=commit)
                for alias in one.naming.aliases:
                    self._names.set_alias(alias, one.entry.number)

    def _refuse_other_store(self, era: int) -> None:
        """Raise Unavailable when the store was opened again since: it purged rows that stood for nothing yet."""
        if self._era != era and not self._closed:
            raise Unavailable("the database was opened again meanwhile: restore once more", retry_after_s=1.0)

    def _report(self, one: Restored, dry_run: bool) -> RestoredCollection:
        """What to say of it; it is opened, and searched."""
        was, name, found = one.was, one.naming.name, {}

        def search(request: SearchRequest) -> SearchAnswer:
            return self.search(CallContext(), name, request)

        if not dry_run:
            with contextlib.suppress(CollectionNotFound, MemoryLimit):  # dropped meanwhile, or too large to be opened
                found = recall(self._kv, search, one.entry, was.expected, was.expiring)
        return RestoredCollection(name, was.entry.name, one.head.live, was.vectors(), one.token, found)

    def _change(self, context: CallContext, action: Callable[[], T]) -> T:
        """Change the catalog between commits, unless the caller's time passed in the queue."""

        def change() -> T:
            context.check("waiting for earlier writes")
            return action()

        return self._steadily(context, lambda: self._committer.between_commits(change))

    def _purge(self, number: int) -> None:
        """Delete what a dropped collection left; safe to do again after a crash."""
        shutil.rmtree(self._root / str(number), ignore_errors=True)

        def build() -> Batch:
            batch = self._kv.batch()
            for start, end in keys.collection_ranges(number):
                batch.delete_range(start, end)
            batch.delete(keys.dropped(number))
            return batch

        write_patiently(self._kv, build)

    def _remove_unknown_folders(self) -> None:
        """Delete segment folders that no manifest names: builds that a crash interrupted."""
        if not self._root.is_dir():
            return
        for folder in self._root.iterdir():
            number = int(folder.name) if folder.name.isdigit() else -1
            if number not in self._heads:
                shutil.rmtree(folder, ignore_errors=True)
                continue
            try:
                named = {str(entry["number"]) for entry in manifest.load(self._kv, number).segments}
            except (VecdbError, KeyError, TypeError) as error:
                log.error("the folders of collection %d are left as they are: %s", number, error)
                continue  # whoever uses it is told
            for segment in folder.iterdir():
                if segment.name not in named:
                    shutil.rmtree(segment, ignore_errors=True)

    def _refuse_closed(self) -> None:
        if self._closed:
            raise Closed("the database is closed")


def _refuse_scope(context: CallContext) -> None:
    """Raise FailedPrecondition for who may not see everything."""
    if context.scope is not None:
        raise FailedPrecondition(
            "snapshots hold whole collections",
            field="scope",
            expected="a caller who sees everything",
            received="a scope",
        )
