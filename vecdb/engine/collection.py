"""One collection in memory: its segments, its current view, and the calls that read and write it.

Threads: any thread reads ``view`` (one attribute, replaced whole). Only a thread that holds the database's
publish lock changes segments or stamps and publishes a view: the syncer (``apply``), the builder's swap
(``swap``), and loading. ``committed``, ``strays`` and ``requests`` belong to the committer's thread.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vecdb.engine import recall
from vecdb.engine.asked import Asked
from vecdb.engine.commit import Committer, Evicted, Outdated, Write
from vecdb.engine.comparing import Comparing
from vecdb.engine.examples import ExampleReader
from vecdb.engine.executor import Executor
from vecdb.engine.facets import Facets
from vecdb.engine.finding import find
from vecdb.engine.grouping import Grouping
from vecdb.engine.growing import Growing, NewRows
from vecdb.engine.kept import Kept
from vecdb.engine.keyword.leg import KeywordLegs
from vecdb.engine.lookup import Lookup
from vecdb.engine.matcher import Matcher
from vecdb.engine.measuring import Measuring
from vecdb.engine.memory import MemoryGuard
from vecdb.engine.mmr import Choosing
from vecdb.engine.modifying import Modifying, at_moment
from vecdb.engine.near_leg import NearLegs
from vecdb.engine.options import EngineOptions
from vecdb.engine.ordering import OrderedPoints, Ordering
from vecdb.engine.prepare import (
    FieldIds,
    PreparedBatch,
    PreparedWhere,
    analyzed,
    check_filter,
    check_ids,
    prepare,
    vector_name,
)
from vecdb.engine.requests import RequestMemory
from vecdb.engine.resolve import Resolved
from vecdb.engine.retention import Retention
from vecdb.engine.scrolling import Scrolling
from vecdb.engine.sealing import SegmentWriter, why_no_graphs
from vecdb.engine.segment import ALIVE, Part, Segment, UInt64
from vecdb.engine.shape import Shape
from vecdb.engine.space import DiskSpace
from vecdb.engine.sparse_leg import SparseLegs
from vecdb.engine.text_index import TextIndex
from vecdb.engine.texts import Texts, analyzers_of, identity, indexed_alike
from vecdb.engine.values import Values
from vecdb.engine.view import TextCounts, View
from vecdb.errors import (
    Closed,
    CollectionLoading,
    CollectionNotFound,
    DeadlineExceeded,
    FieldNotFound,
    IndexingBehind,
    InvalidArgument,
)
from vecdb.index.analysis.analyzer import made_by
from vecdb.model.collection import CollectionStats, Indexing, SegmentStats
from vecdb.model.context import CallContext
from vecdb.model.facet import Facet, FacetRequest
from vecdb.model.filter import Filter, both
from vecdb.model.order import OrderBy
from vecdb.model.point import Points, Put, Select, UpdateWhere, WriteBatch, WriteResult
from vecdb.model.query import Near, SearchAnswer, SearchRequest
from vecdb.model.recall import MeasuredRecall, Recall, RecallRequest
from vecdb.model.schema import Schema, SparseField, TextField, named
from vecdb.model.token import Token
from vecdb.storage.codec import TEXT, Change, Head
from vecdb.storage.kv import KV

BACK_PRESSURE_RETRY_S = 1.0
FAILURE_CHECK_S = 0.5
UNKNOWN_BODY_BYTES = 1024


@dataclass(slots=True)
class Entry:
    """What the catalog says of a collection."""

    number: int
    name: str
    shape: Shape
    indexing: Indexing
    created_at_ms: int

    @property
    def schema(self) -> Schema:
        """What the collection is made of."""
        return self.shape.schema

    @property
    def fields(self) -> FieldIds:
        """The numbers of its fields."""
        return self.shape.fields


@dataclass(frozen=True, slots=True)
class Reading:
    """What one call reads by: a view, and what reads it under the schema of that moment. Replaced whole."""

    view: View
    schema: Schema
    fields: FieldIds
    lookup: Lookup
    matcher: Matcher
    executor: Executor
    examples: ExampleReader
    grouping: Grouping
    comparing: Comparing
    scrolling: Scrolling
    ordering: Ordering
    facets: Facets
    texts: Texts

    def at(self, now_ms: int) -> Reading:
        """The same at a moment; itself while nothing in the view has expired."""
        view = self.view.at(now_ms)
        return self if view is self.view else replace(self, view=view)


@dataclass(frozen=True, slots=True)
class Garbage:
    """Rows and vector slots that the write ``seq`` killed and that may be deleted once nobody can see them."""

    seq: int
    rows: UInt64
    slots: dict[int, UInt64]


class Collection:
    """A collection that is open. Made by the database; filled by ``recovery`` before it is used."""

    def __init__(
        self,
        entry: Entry,
        head: Head,
        kv: KV,
        options: EngineOptions,
        publish_lock: threading.Lock,
        memory: MemoryGuard,
        space: DiskSpace,
        wake_builder: threading.Event,
        kept: Kept,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.entry = entry
        self.number = entry.number
        self.committed = head
        self.strays = False  # slices of a commit that failed may lie beyond the committed counter
        self.kv = kv
        self.options = options
        self.publish_lock = publish_lock
        self.clock = clock
        self.fields = entry.shape.vectors()  # vector fields by number
        self.texts = entry.shape.texts()  # text fields by the key of their slots
        self.analyzers = analyzers_of(self.texts)
        self._kept = kept
        self._values = Values(Lookup(kv, entry.number, {}), kept)  # of payloads, which no schema speaks of
        self.reading = self._read_by(View.of(0, 0, 0, ()))
        self.requests = RequestMemory(options.request_memory_s, clock)
        self._memory = memory
        self._space = space
        self.segments: list[Segment] = []  # sealed and frozen, by ascending rows
        self.growing = self.new_growing(0, 0)
        self.next_segment = 1
        self.seq = 0
        self.row_bound = 0
        self.live = 0
        self._views: deque[weakref.ref[View]] = deque()
        self.shed_row = 0  # up to here the vectors of the field that is being deleted are gone
        self._before_drop: dict[int, list[weakref.ref[View]]] = {}  # by dropped field, views that still show it
        self.retention = Retention(options.keep_changes_s, options.keep_changes_bytes)
        self.published = threading.Condition(publish_lock)
        """Signalled when a write was published, or none will be; ``followers`` wait for it."""
        self.followers = 0
        self.body_bytes: float = UNKNOWN_BODY_BYTES  # of a body, about
        self.garbage: deque[Garbage] = deque()  # what retention has let go of; changed under the publish lock
        self.garbage_rows = 0
        self.dead_in_pieces: Counter[int] = Counter()  # rows reaped, by piece, since it was rewritten; see ``reaping``
        self.dead_pointers = 0  # of rows reaped, since the pointers were rewritten
        self.listed_seq = 0  # dead rows up to here are in ``garbage``, or deleted
        self.logged: deque[tuple[int, float]] = deque()  # (seq, seconds since 1970) of log records kept
        self.covered_seq = 0  # tombstones on disk contain every kill up to here
        self.last_write = time.monotonic()
        self.last_use = time.monotonic()
        self.dropped = False
        self.evicted = False
        self.closing = False
        self.insertions = 0
        self.first_insertions = 0
        self.longest_pause_s = 0.0
        self._ready = threading.Event()
        self._load_error: BaseException | None = None
        self.load_progress = 0.0
        self.indexed = threading.Condition(publish_lock)
        """Signalled when rows got a graph, or the mode changed; waits hold the publish lock."""
        self.wake_builder = wake_builder
        self.hurry = 0  # callers of wait_indexed: the builder need not wait for more rows
        self.writer: SegmentWriter | None = None  # the builder's private work
        self.remade: tuple[Part, TextIndex] | None = None  # the builder's too: of a part that is analyzed anew
        self.asked = Asked()
        self.measuring = Measuring()  # the builder's alone
        self.failures = 0  # of maintenance here, one after another
        self.rests_until = 0.0
        self.put_off = ""  # the merge that is wanted and does not fit

    # -- what is read by now

    @property
    def view(self) -> View:
        """The newest view."""
        return self.reading.view

    @property
    def lookup(self) -> Lookup:
        """Reads rows."""
        return self.reading.lookup

    @property
    def matcher(self) -> Matcher:
        """Judges rows."""
        return self.reading.matcher

    # -- life

    def loaded(self, error: BaseException | None = None) -> None:
        """End loading, well or badly."""
        self._load_error = error
        self._ready.set()

    @property
    def is_loaded(self) -> bool:
        """Whether reads and writes are possible."""
        return self._ready.is_set() and self._load_error is None

    def check_open(self) -> None:
        """Raise CollectionNotFound once dropped, Evicted once the database let go of this object."""
        if self.evicted:
            raise Evicted
        if self.dropped:
            raise CollectionNotFound("the collection was dropped", field="collection", received=repr(self.entry.name))

    def can_be_evicted(self, idle_s: float) -> bool:
        """Idle, small, nothing under way, nobody looking (between commits, publish lock held)."""
        if not self.is_loaded or self.seq != self.committed.seq:
            return False
        quiet = time.monotonic() - max(self.last_use, self.last_write) > idle_s
        looking = sum(ref() is not None for ref in self._views)
        wanted = self.hurry or self.followers
        return quiet and looking <= 1 and not self.segments and not self.garbage and not wanted

    def wait_loaded(self, context: CallContext) -> None:
        """Wait for loading to end, to the deadline. Raises CollectionLoading with the progress, or what went wrong."""
        if not self._ready.is_set() and not self._ready.wait(context.remaining()):
            raise CollectionLoading(
                f"the collection is being loaded, {100 * self.load_progress:.0f} % done", retry_after_s=1.0
            )
        self.check_open()  # first: loading fails when the rows are purged under it
        if self._load_error is not None:
            raise self._load_error

    # -- writing

    def write(self, context: CallContext, batch: WriteBatch, committer: Committer) -> WriteResult:
        """Carry out a batch; returns when it is durable and visible. Raises what promise 6 says."""
        while True:
            try:
                return self._write(context, batch, committer)
            except Outdated:
                continue

    def _write(self, context: CallContext, batch: WriteBatch, committer: Committer) -> WriteResult:
        """As ``write``; raises Outdated when the schema was changed before the batch was committed."""
        shape = self.entry.shape
        prepared = prepare(batch, shape.schema, shape.fields, context.scope, self.options)
        durability = batch.durability or self.options.durability
        if durability not in ("fsync", "os"):
            raise InvalidArgument(
                "unknown durability", field="durability", expected="fsync | os", received=repr(durability)
            )
        if context.request_id is not None and not 1 <= len(context.request_id) <= 64:
            raise InvalidArgument(
                "bad request id",
                field="request_id",
                expected="1..64 bytes",
                received=f"{len(context.request_id)} bytes",
            )
        if any(isinstance(op, Put | UpdateWhere) for op in batch.operations):
            self._memory.admit()
            self._space.admit()
            self._wait_for_builder(context, committer)
        if self.entry.indexing == "auto":
            analyzers = {key ^ TEXT: analyzer for key, analyzer in self.analyzers.items()}
            prepared = analyzed(prepared, analyzers, lambda: context.check("analyzing texts"))
        prepared = self._find(context, prepared)
        done = committer.submit(Write(self, prepared, shape, context, durability == "fsync"))
        try:
            return done.result(context.remaining())
        except TimeoutError:
            raise DeadlineExceeded(
                "the deadline passed before the write was acknowledged; it may still be carried out, "
                "and the same request id tells"
            ) from None

    def _find(self, context: CallContext, batch: PreparedBatch) -> PreparedBatch:
        """The batch with what its filters find now: the committer judges only what is written after that."""
        if not any(isinstance(op, PreparedWhere) for op in batch.operations):
            return batch
        now = self._look()
        operations = [
            replace(op, found=find(context, now.view, now.matcher, op.filter)) if isinstance(op, PreparedWhere) else op
            for op in batch.operations
        ]
        return PreparedBatch(operations, batch.nbytes)

    def _wait_for_builder(self, context: CallContext, committer: Committer) -> None:
        if not self._builder_is_behind():
            return
        with self.indexed:
            self.wake_builder.set()
            while self._builder_is_behind():
                self.check_open()
                if self.closing:
                    raise Closed("the database is closed")
                committer.refuse_after_failure()  # nothing is built any more; nobody tells, so look now and then
                left = context.remaining()
                self.indexed.wait(FAILURE_CHECK_S if left is None else min(FAILURE_CHECK_S, left))
                if left == 0:
                    raise IndexingBehind(
                        "the builder is behind; write later, or load with set_indexing('deferred')",
                        expected=f"<= {self.options.max_unindexed_bytes} bytes without a graph",
                        received=str(self.unindexed_bytes),
                        retry_after_s=BACK_PRESSURE_RETRY_S,
                    )

    def _builder_is_behind(self) -> bool:
        return self.entry.indexing == "auto" and self.unindexed_bytes > self.options.max_unindexed_bytes

    @property
    def has_columns(self) -> bool:
        """Whether new segments have columns."""
        return self.entry.shape.schema.payload_columns

    @property
    def wants_index(self) -> bool:
        """Whether the rows without a sealed segment are worth one."""
        rows = len(self.growing) + sum(len(s) for s in self.segments if s.state == "frozen")
        return self.options.wants_graph(rows, self.unindexed_bytes)

    @property
    def unindexed_bytes(self) -> int:
        """Bytes of vectors that only an exact scan of memory finds."""
        return self.growing.vector_bytes + sum(_vector_bytes(s) for s in self.segments if s.state == "frozen")

    # -- changing what readers see (publish lock held)

    def apply(self, writes: Sequence[Resolved]) -> None:
        """Take durable writes into memory, in order, and publish one view with all of them."""
        for resolved in writes:
            change = resolved.change
            if not change.added and not len(change.killed):
                continue
            self.take(change, resolved.rows)
            if self.is_full(self.growing):
                self.freeze()
        self.last_write = time.monotonic()
        self.publish()
        self.published.notify_all()

    def take(self, change: Change, rows: NewRows | None) -> None:
        """Append the rows of one change and stamp what it killed."""
        if rows is not None and rows.ids:
            self.growing.append(rows)
        self.row_bound = change.first_row + change.added
        self.stamp(change)
        self.note(change)
        self.seq = change.seq
        self.live += change.added - len(change.killed)

    def stamp(self, change: Change) -> None:
        """Kill rows and their vector slots, and hand over the slots that new rows adopt."""
        layout = View.of(self.seq, self.row_bound, 0, self._layout())
        for index, where in layout.by_segment(change.killed):
            segment = layout.segments[index]
            ordinals, found = segment.find(change.killed[where])
            segment.kill(_fresh(segment.died, ordinals[found]), change.seq)
        for field_id in (*self.fields, *self.texts):
            if field_id in change.adopted:
                slots, owners = change.adopted[field_id]
                for index, where in layout.by_segment(slots):
                    part = layout.segments[index].parts.get(field_id)
                    if part is not None:
                        ordinals, found = part.find(slots[where])
                        part.adopt(ordinals[found], owners[where][found])
            dying = dying_slots(change, field_id)
            for index, where in layout.by_segment(dying):
                part = layout.segments[index].parts.get(field_id)
                if part is not None:
                    ordinals, found = part.find(dying[where])
                    part.kill(_fresh(part.died, ordinals[found]), change.seq)

    def note(self, change: Change) -> None:
        """Note that the log record of a change is there, and about how many bytes it left dead."""
        if len(self.growing):
            self.body_bytes = self.growing.body_bytes / len(self.growing)
        nbytes = len(change.killed) * self.body_bytes
        for field_id, field in self.fields.items():
            adopted = len(change.adopted[field_id][0]) if field_id in change.adopted else 0
            released = len(change.released.get(field_id, ()))
            nbytes += 4 * field.dim * max(0, len(change.killed) + released - adopted)
        self.retention.note(change.seq, change.time_ms / 1000, int(nbytes))
        self.logged.append((change.seq, change.time_ms / 1000))

    @property
    def row_bytes(self) -> float:
        """A body and its vectors, about."""
        return self.body_bytes + sum(4 * field.dim for field in self.fields.values())

    @property
    def live_bytes(self) -> float:
        """What lives here, bodies and vectors, about."""
        return self.live * self.row_bytes

    def discard(self, change: Change) -> None:
        """List what a change left dead: nothing keeps it any more but those who hold an older view."""
        if len(change.killed):
            slots = {field_id: dying_slots(change, field_id) for field_id in self.fields}
            self.garbage.append(Garbage(change.seq, change.killed, slots))
            self.garbage_rows += len(change.killed)
        self.listed_seq = change.seq

    def freeze(self) -> None:
        """Close the growing segment and start another."""
        if not self.growing.empty:
            segment = self.growing.segment()
            segment.state = "frozen"
            self.segments.append(segment)
            self.wake_builder.set()
        self.growing = self.new_growing(self.take_number(), self.row_bound)

    def new_growing(self, number: int, first_row: int) -> Growing:
        """A growing segment for rows from ``first_row`` on."""
        return Growing(number, first_row, self.fields, self.texts, self.has_columns)

    def take_number(self) -> int:
        """A segment number never used before in this collection (numbers named in no manifest may come again)."""
        self.next_segment += 1
        return self.next_segment - 1

    def swap(self, old: Sequence[Segment], new: Segment | None) -> None:
        """Replace neighbours by one segment (or none), publish, and wake who waits for the builder."""
        at = next(i for i, s in enumerate(self.segments) if s is old[0])
        assert [s.number for s in self.segments[at : at + len(old)]] == [s.number for s in old]
        self.segments[at : at + len(old)] = [] if new is None else [new]
        self.publish()
        self.indexed.notify_all()

    def forget(self, segments: Iterable[Segment]) -> None:
        """Let go of what was made of segments that are gone, for filters and orders."""
        self._forget({segment.number for segment in segments})

    def let_go(self) -> None:
        """It is dropped, or closed for a while: what was made of it is of no use any more."""
        self._forget({self.growing.number, *(segment.number for segment in self.segments)})

    def _forget(self, numbers: set[int]) -> None:
        self.matcher.forget(numbers)
        self._values.forget(numbers)

    def find_earliest(self) -> None:
        """Look anew for the moment at which something expires next, and publish (publish lock held)."""
        for segment in self._layout():
            segment.find_earliest()
        self.publish()

    def publish(self) -> None:
        """Replace the view by one of what is there now (publish lock held)."""
        layout = self._layout()
        view = View.of(self.seq, self.row_bound, self.live, layout, self._count_texts(layout))
        self.reading = replace(self.reading, view=view)
        while self._views and self._views[0]() is None:
            self._views.popleft()
        self._views.append(weakref.ref(self.reading.view))

    def _count_texts(self, layout: Sequence[Segment]) -> dict[int, TextCounts]:
        """By key what lives in a text field, where all its postings are known."""
        found = {}
        for key in self.texts:
            parts = [part for segment in layout if (part := segment.parts.get(key)) is not None]
            terms = [part.count_terms() for part in parts]
            if None not in terms:
                found[key] = TextCounts(sum(len(part) - part.dead for part in parts), sum(n or 0 for n in terms))
        return found

    def reshape(self, shape: Shape) -> None:
        """Take up a changed schema that is in the catalog, and publish it (between commits, publish lock held)."""
        dropped = self.fields.keys() - shape.vectors().keys()
        self._before_drop.update({field_id: list(self._views) for field_id in dropped})
        self.fields = shape.vectors()
        self._reshape_texts(shape.texts())
        self.entry.shape = shape
        self.growing.reshape(self.fields, self.texts)
        self.asked.forget_but(self.fields)
        numbers = {self.growing.number, *(segment.number for segment in self.segments)}
        self.matcher.forget(numbers)  # the next one asks by other fields
        self.reading = self._read_by(self.reading.view)
        self.publish()

    def _reshape_texts(self, texts: dict[int, TextField | SparseField]) -> None:
        """Take up changed text fields. Rows whose texts another analyzer reads go into a segment of their own."""
        changed = [key for key, field in self.texts.items() if not indexed_alike(field, texts[key])]
        self.texts, self.analyzers = texts, analyzers_of(texts)
        if changed:
            self.freeze()

    def shed(self, field_id: int) -> bool:
        """Let go of the parts of a dropped field; whether there were any (publish lock held)."""
        if not any(segment.has_of(field_id) for segment in self.segments):
            return False
        self.segments = [s.without(field_id) if s.has_of(field_id) else s for s in self.segments]
        self.publish()
        return True

    def shows(self, field_id: int) -> bool:
        """Whether a reader may still be looking at a dropped field (publish lock held)."""
        return any(ref() is not None for ref in self._before_drop.get(field_id, ()))

    def _read_by(self, view: View) -> Reading:
        """What reads ``view``, and those after it, under the schema as it is now."""
        shape, options = self.entry.shape, self.options
        lookup = Lookup(self.kv, self.number, {field_id: field.dim for field_id, field in self.fields.items()})
        matcher = Matcher(lookup, shape.fields, self._kept)
        near = NearLegs(lookup, matcher, shape.fields, shape.schema, options.search_threads)
        texts = Texts(lookup.raw_bodies, self.texts, self.analyzers)
        words = KeywordLegs(lookup, matcher, texts, shape.fields, shape.schema)
        sparse = SparseLegs(lookup, matcher, texts, shape.fields, shape.schema)
        modifying, choosing = Modifying(self._values), Choosing(lookup, shape.fields, shape.schema)
        executor = Executor(
            lookup, near, words, sparse, modifying, choosing, shape.fields, shape.schema, why_no_graphs(options)
        )
        return Reading(
            view,
            shape.schema,
            shape.fields,
            lookup,
            matcher,
            executor,
            ExampleReader(lookup, shape.fields, shape.schema),
            Grouping(executor, self._values),
            Comparing(near, shape.fields, shape.schema),
            Scrolling(lookup, matcher, shape.fields),
            Ordering(lookup, matcher, self._values, shape.fields),
            Facets(matcher, self._values),
            texts,
        )

    def oldest_view(self) -> int:
        """The lowest sequence a reader may still be looking at (publish lock held)."""
        alive = (view for ref in self._views if (view := ref()) is not None)
        oldest = next(alive, None)
        return self.seq if oldest is None else oldest.seq

    def _layout(self) -> tuple[Segment, ...]:
        growing = () if self.growing.empty else (self.growing.segment(),)
        return (*self.segments, *growing)

    def is_full(self, growing: Growing) -> bool:
        """Whether a growing segment has met one of its bounds."""
        options = self.options
        return (
            len(growing) >= options.growing_rows
            or growing.vector_bytes >= options.growing_vector_bytes
            or growing.body_bytes >= options.growing_body_bytes
        )

    # -- reading

    def search(self, context: CallContext, request: SearchRequest) -> SearchAnswer:
        """Answer every query of the request at the newest view."""
        now = self._look()
        request, narrowing = now.examples.resolved(now.view, at_moment(request, self.now_ms), context.scope)
        if request.group_by is None:
            answer = now.executor.search(context, now.view, request, narrowing)
        else:
            answer = now.grouping.search(context, now.view, request, request.group_by, narrowing)
        if self.options.measure_share and narrowing.without is None:  # what is near to stored points is no question
            self._note(now, request)
        return answer

    def _note(self, now: Reading, request: SearchRequest) -> None:
        """Keep what was searched for, to measure recall by. It was answered, so it fits the schema."""
        for leg in request.legs:
            if isinstance(leg, Near) and len(leg.vectors):
                self.asked.note(now.fields.vectors[vector_name(now.schema, leg.using, "using")], leg.vectors)

    def measure_recall(self, context: CallContext, request: RecallRequest) -> MeasuredRecall:
        """The recall of searches by the queries of a request, by as many as there was time for."""
        now = self._look()
        return now.comparing.measured(context, now.view, request, self.asked)

    def get(self, context: CallContext, ids: Sequence[str], select: Select) -> Points:
        """Points in the order asked; missing ones are left out."""
        check_ids(ids, "ids")
        now = self._look()
        return now.lookup.get(now.view, ids, select, now.fields, context.scope)

    def exists(self, context: CallContext, ids: Sequence[str], filter: Filter | None = None) -> NDArray[np.bool_]:
        """For each id whether it is there and matches, bool ``[n]``."""
        check_ids(ids, "ids")
        now = self._look()
        within = _within(context, now, filter)
        return np.array(now.lookup.exists(now.view, ids, now.fields, within), dtype=np.bool_)

    def count(self, context: CallContext, filter: Filter | None = None) -> int:
        """Live points (of the scope) that match."""
        now = self._look()
        return now.matcher.count(context, now.view, _within(context, now, filter))

    def scroll(
        self, context: CallContext, after: str | None, limit: int, select: Select, filter: Filter | None = None
    ) -> tuple[Points, bool]:
        """Points that match with ids after ``after`` in id order, and whether that was the end."""
        if limit < 1:
            raise InvalidArgument("limit is too small", field="limit", expected=">= 1", received=str(limit))
        if after:
            check_ids([after], "after")
        now = self._look()
        return now.scrolling.page(context, now.view, after, limit, select, _within(context, now, filter))

    def ordered(
        self,
        context: CallContext,
        by: OrderBy,
        cursor: bytes,
        limit: int,
        select: Select,
        filter: Filter | None = None,
    ) -> OrderedPoints:
        """Up to ``limit`` points that match, in the order ``by``, after ``cursor`` (empty: from the first)."""
        if limit < 1:
            raise InvalidArgument("limit is too small", field="limit", expected=">= 1", received=str(limit))
        now = self._look()
        return now.ordering.page(context, now.view, by, cursor, limit, select, _within(context, now, filter))

    def facet(self, context: CallContext, request: FacetRequest, filter: Filter | None = None) -> Facet:
        """The points that match, counted by a value."""
        now = self._look()
        return now.facets.count(context, now.view, request, _within(context, now, filter))

    def analyze(self, field: str, texts: Sequence[str]) -> list[list[Token]]:
        """The terms that texts of a field are found by. Raises FieldNotFound."""
        declared = self.reading.schema.texts.get(field)
        if declared is None:
            raise FieldNotFound(
                "unknown text field", field="field", expected=named(self.reading.schema.texts), received=repr(field)
            )
        made = made_by(identity(declared))
        return [list(made.analyze(text).tokens) for text in texts]

    def _look(self) -> Reading:
        """What a call reads by, at this moment: it looks at the clock once."""
        self.last_use = time.monotonic()
        return self.reading.at(self.now_ms())

    def now_ms(self) -> int:
        """The moment by which points expire, milliseconds since 1970."""
        return int(1000 * self.clock())

    # -- describing

    def points(self) -> int:
        """How many points there are; asking is no use of the collection."""
        return self.matcher.count(CallContext(), self.view.at(self.now_ms()), None)

    @property
    def building_bytes(self) -> int:
        """Bytes of the graphs that are made of frozen segments. Any thread."""
        writer = self.writer
        return 0 if writer is None else writer.graph_bytes

    def stats(self) -> CollectionStats:
        """See CollectionStats."""
        view, names = self.view.at(self.now_ms()), self.entry.fields.vectors
        segments = [_segment_stats(segment, view, self.entry.fields) for segment in view.segments]
        known = set(names.values())
        vectors = indexed = unindexed = texts = indexed_texts = postings = 0
        for segment in view.segments:
            for field_id, part in segment.parts.items():
                alive = len(part) - part.dead
                if part.text is not None and (wanted := self.analyzers.get(field_id)) is not None:
                    texts += alive
                    if part.text.analyzer == wanted.identity and part.postings is not None:
                        indexed_texts += alive
                postings += 0 if part.text is None else sum(part.text.nbytes())
                if field_id not in known:
                    continue  # texts, or dropped and soon let go of
                vectors += alive
                if part.index is not None:
                    indexed += alive
                elif part.vectors is not None:
                    unindexed += part.vectors.nbytes
        return CollectionStats(
            name=self.entry.name,
            live=self.points(),
            dead=sum(s.dead for s in segments),
            vectors=vectors,
            indexed=indexed,
            indexing=self.entry.indexing,
            state="ready" if self.is_loaded else "loading",
            seq=view.seq,
            bytes={
                "anonymous": sum(s.anonymous_bytes for s in segments),
                "mapped": sum(s.mapped_bytes for s in segments),
                "disk_index": sum(s.disk_bytes for s in segments),
                "unindexed": unindexed,
                "postings": postings,
            },
            segments=segments,
            insertions_per_row=self.insertions / self.first_insertions if self.first_insertions else 0.0,
            longest_pause_ms=1000 * self.longest_pause_s,
            texts=texts,
            indexed_texts=indexed_texts,
            put_off=self.put_off,
            recall=_recall(view, names),
        )


def _within(context: CallContext, now: Reading, filter: Filter | None) -> Filter | None:
    """The filter of a call within its scope. Raises FieldNotFound for a field that there is not."""
    check_filter(filter, now.schema, "filter")
    return both(context.scope, filter)


def dying_slots(change: Change, field_id: int) -> UInt64:
    """Slots of a field that a change ends: those of killed rows but for the adopted, and those released."""
    slots = change.killed
    if field_id in change.adopted:
        slots = slots[~np.isin(slots, change.adopted[field_id][0])]
    if field_id in change.released:
        slots = np.concatenate([slots, change.released[field_id]])
    return slots


def _fresh(died: UInt64, ordinals: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those not stamped yet: a replayed kill must not be counted twice."""
    fresh: NDArray[np.int64] = ordinals[died[ordinals] == ALIVE]
    return fresh


def _vector_bytes(segment: Segment) -> int:
    return sum(part.vectors.nbytes for part in segment.parts.values() if part.vectors is not None)


def _segment_stats(segment: Segment, view: View, fields: FieldIds) -> SegmentStats:
    anonymous, mapped = segment.nbytes()
    expired = segment.expired(view.now_ms, view.seq) if view.expiring else None
    dead = segment.dead if expired is None else segment.dead + int(np.count_nonzero(expired))
    index = {}
    for name, field_id in fields.vectors.items():
        part = segment.parts.get(field_id)
        index[name] = "none" if part is None or part.index is None else part.index.kind
    return SegmentStats(
        segment=segment.number,
        state=segment.state,
        index=index,
        live=len(segment) - dead,
        dead=dead,
        anonymous_bytes=anonymous,
        mapped_bytes=mapped,
        disk_bytes=segment.disk_bytes,
        texts={name: _kept_in(segment.parts.get(TEXT | number)) for name, number in fields.texts.items()},
        recall={
            name: part.recall.told()
            for name, field_id in fields.vectors.items()
            if (part := segment.parts.get(field_id)) is not None and part.recall is not None
        },
    )


def _recall(view: View, names: Mapping[str, int]) -> dict[str, Recall]:
    """By vector field the recall of all its graphs together, where some were measured."""
    found = {}
    for name, field_id in names.items():
        parts = (segment.parts.get(field_id) for segment in view.segments)
        known = recall.together(part.recall for part in parts if part is not None and part.recall is not None)
        if known is not None:
            found[name] = known
    return found


def _kept_in(part: Part | None) -> str:
    """Where the postings of a part are."""
    if part is None or part.text is None or part.postings is None or not len(part):
        return "none"
    return "terms" if part.text.in_file else "memory"
