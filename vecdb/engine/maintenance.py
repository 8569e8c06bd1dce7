"""What happens behind the writes: sweep, build, seal, merge, cover, reap, give space back. One thread, one at a time.

Actions run under ``_busy``, taken by the background thread for each step and by ``compact`` for its whole
length; it is never held together with the publish lock for longer than a swap. Files first, then the
swap with its manifest, then a sync, then the old files go: their maps stay valid for whoever reads them.
"""

from __future__ import annotations

import functools
import logging
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from vecdb.engine import footprint, manifest, merging, reaping, shedding
from vecdb.engine.collection import Collection, Entry
from vecdb.engine.commit import Committer, Evicted, Outdated, Write
from vecdb.engine.memory import MemoryGuard
from vecdb.engine.options import EngineOptions
from vecdb.engine.prepare import DeleteExpired, PreparedBatch
from vecdb.engine.recall import LEAST_QUERIES
from vecdb.engine.sealing import SegmentWriter, folder_of
from vecdb.engine.segment import Part, Segment
from vecdb.engine.space import DiskSpace
from vecdb.engine.text_indexing import behind, index_texts
from vecdb.errors import Cancelled, Closed, CollectionNotFound, Unavailable, VecdbError
from vecdb.failpoint import hit
from vecdb.index.hnsw import DEFAULT_EF
from vecdb.model.context import CallContext
from vecdb.model.recall import RECALL_K
from vecdb.storage.codec import TEXT
from vecdb.storage.kv import KV, STALL_PAUSE_S, WriteStall

log = logging.getLogger(__name__)

PAUSE_S = 0.5
"""Between two looks at what there is to do; so long, about, an expired point is kept although nobody sees it."""
SWEEP_POINTS = 10_000
"""Expired points deleted by one write: what waits behind it in the queue waits some tens of milliseconds."""
MAX_REST_S = 60.0
COVER_GARBAGE_ROWS = 10_000
"""Dead rows that wait for their tombstones before a manifest is written for their sake alone."""
COVER_LOG_RECORDS = 10_000


class Maintenance:
    """Looks after the open collections of a database."""

    def __init__(
        self,
        kv: KV,
        root: Path,
        options: EngineOptions,
        committer: Committer,
        publish_lock: threading.Lock,
        collections: Callable[[], Sequence[Collection]],
        put_entry: Callable[[Entry], None],
        wake: threading.Event,
        let_go: Callable[[], None],
        memory: MemoryGuard,
        space: DiskSpace,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._kv = kv
        self._root = root
        self._options = options
        self._committer = committer
        self._publish_lock = publish_lock
        self._collections = collections
        self._put_entry = put_entry
        self._wake = wake
        self._let_go = let_go
        self._memory = memory
        self._space = space
        self._clock = clock
        self._closing = threading.Event()
        self._busy = threading.Lock()
        self._measure_from = 0.0  # on time.monotonic's clock: until then measuring has had its share
        self._thread: threading.Thread | None = None
        if options.background:
            self._thread = threading.Thread(target=self._loop, name="vecdb-builder", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop; a build under way, in whichever thread, is given up and waited for: it writes files."""
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        with self._busy:
            pass

    def step(self) -> bool:
        """Do one action for the collection that needs it most; False when nothing was to do."""
        return self._step(0.0)

    def _step(self, now: float) -> bool:
        """``now``: leave out the collections that rest, after a failure, beyond this moment."""
        if self._committer.failure() is not None:
            return False  # memory may be behind the store, and nothing can be written
        with self._busy:
            if self._closing.is_set():
                return False
            collections = [c for c in self._collections() if c.is_loaded and not c.dropped]
            collections = [c for c in collections if not now or c.hurry or c.rests_until <= now]
            collections.sort(key=lambda c: -c.unindexed_bytes)
            worked = any(self._act(collection) for collection in collections) or self._measure(collections, now)
        if not worked:
            self._let_go()
        self._memory.give_back(resting=not worked)
        return worked

    def sweep(self, collection: Collection) -> bool:
        """Delete what has expired; True when there is more."""
        with self._busy:
            self._refuse(collection)
            return self._sweep(collection)

    def cover(self, collection: Collection) -> None:
        """Write a manifest that covers everything published, then delete what that makes garbage."""
        with self._busy:
            self._refuse(collection)
            self._cover_and_reap(collection)

    def wait_indexed(self, context: CallContext, collection: Collection) -> None:
        """Return when every vector that should have a graph has one, and texts the postings that are declared.

        Raises DeadlineExceeded, ReadOnly.
        """
        with self._publish_lock:
            collection.hurry += 1
        try:
            while self._unfinished(collection):
                context.check("waiting for the index")
                self._refuse(collection)
                if self._thread is None:
                    self.step()
                    continue
                self._wake.set()
                with collection.indexed:
                    collection.indexed.wait(min(PAUSE_S, context.remaining() or PAUSE_S))
            self._refuse(collection)
        finally:
            with self._publish_lock:
                collection.hurry -= 1

    def compact(self, context: CallContext, collection: Collection) -> int:
        """Seal, merge into as few segments as fit, delete all garbage. Returns bytes freed on disk.

        Raises Unavailable when the disk refuses (full, failing); what was there stays as it was.
        """
        before = self._disk(collection)
        try:
            self._compact_segments(context, collection)
        except Cancelled:
            self._refuse(collection)
            raise
        except OSError as error:
            if error.errno is None:
                raise  # no call to the system failed
            raise Unavailable(f"the segments could not be written: {error}") from error
        for start, end in reaping.row_ranges(collection.number):
            context.check("compacting the store")
            self._kv.compact(start, end)
        self._memory.freed()  # what the store had cached of what it replaced
        return max(0, before - self._disk(collection))

    def _compact_segments(self, context: CallContext, collection: Collection) -> None:
        with self._busy:
            self._refuse(collection)
            with self._publish_lock:
                collection.freeze()
            while any(s.state == "frozen" for s in collection.segments):
                context.check("compacting")
                self._index(collection, self._largest(self._options.max_segment_bytes), finish=True)
            most = self._options.max_segment_bytes
            while (run := _compaction(collection.segments, most, self._room())) is not None:
                context.check("compacting")
                self._merge(collection, run)
            self._note_put_off(collection, _compaction(collection.segments, most) or ())
            reaping.list_garbage(collection, self._clock(), everything=True)
            self._cover_and_reap(collection)
            while self._shed(collection):
                context.check("compacting")
            collection.dead_in_pieces.clear()  # the caller has the store rewritten
            collection.dead_pointers = 0

    def _refuse(self, collection: Collection) -> None:
        """Raise what keeps this collection from being looked after: closing, a drop, a failure."""
        if self._closing.is_set():
            raise Closed("the database is closed")
        collection.check_open()
        self._committer.refuse_after_failure()

    # -- the background thread

    def _loop(self) -> None:
        while not self._closing.is_set():
            self._wake.clear()
            try:
                worked = self._step(time.monotonic())
            except Cancelled:
                continue
            except VecdbError as error:
                log.error("maintenance stopped: %s", error)
                worked = False
            except OSError as error:
                log.error("the disk refuses what maintenance writes, which is tried again: %s", error)
                worked = False
            except Exception:
                log.exception("maintenance failed and is tried again")
                worked = False
            if not worked:
                self._wake.wait(PAUSE_S)

    def _act(self, collection: Collection) -> bool:
        """One action. A collection where it fails rests, twice as long each time, so that others have their turn."""
        try:
            worked = (
                self._shed(collection)
                or self._sweep(collection)
                or self._tidy(collection)
                or self._merge_some(collection)
                or self._build(collection) | self._index_texts(collection)
                or self._mend(collection)
                or (self._is_idle(collection) and self._rewrite(collection))
            )
        except Cancelled:
            raise
        except Exception:
            collection.failures += 1
            doublings = min(collection.failures, 30)  # of days of failures no float holds the power
            rest_s = min(MAX_REST_S, PAUSE_S * 2**doublings)
            collection.rests_until = time.monotonic() + rest_s
            raise
        collection.failures = 0
        return worked

    def _rewrite(self, collection: Collection) -> bool:
        """Have the store rewrite a piece of what is mostly gone. True when there was one."""
        rewritten = reaping.give_back(collection, self._space.room())
        if rewritten:
            self._memory.freed()  # what the store had cached of what it replaced
        return rewritten

    def _sweep(self, collection: Collection) -> bool:
        """Delete what has expired; True when there is more. The write asks again whether it has: it may come late.

        Where points expire all the time, those of a pause go together, not each in a write of its own.
        """
        view = collection.view.at(collection.now_ms())
        if not view.expiring:
            return False
        ids: list[str] = []
        for segment in view.segments:
            mask = segment.expired(view.now_ms, view.seq)
            if mask is not None and len(ids) < SWEEP_POINTS:
                ids += segment.ids.take(np.flatnonzero(mask)[: SWEEP_POINTS - len(ids)].astype(np.int64))
        if ids:
            durable = self._options.durability == "fsync"
            batch = PreparedBatch([DeleteExpired(ids)], sum(map(len, ids)))
            write = Write(collection, batch, collection.entry.shape, CallContext(), durable)
            try:
                self._committer.submit(write).result()
            except (Evicted, CollectionNotFound):
                return False  # there is nothing left to be swept here
            except Outdated:
                return True  # and once more
        if len(ids) == SWEEP_POINTS:
            return True
        with self._publish_lock:
            collection.find_earliest()
        return False

    def _build(self, collection: Collection) -> bool:
        """Index frozen rows, and seal when there are enough, or nobody writes."""
        options = self._options
        idle = collection.hurry > 0 or time.monotonic() - collection.last_write > options.idle_seal_s
        if collection.entry.indexing == "deferred" and not collection.hurry:
            return False
        wanted = collection.wants_index
        frozen = [s for s in collection.segments if s.state == "frozen"]
        pressed = collection.unindexed_bytes > options.max_unindexed_bytes
        if ((idle and wanted) or (pressed and not frozen)) and not collection.growing.empty:
            with self._publish_lock:
                collection.freeze()
            frozen = [s for s in collection.segments if s.state == "frozen"]
        if not frozen:
            return False
        unindexed = collection.unindexed_bytes
        target = self._largest(min(options.max_segment_bytes, max(options.seal_bytes, unindexed // 2)))
        return self._index(collection, target, finish=pressed or (idle and wanted))

    def _index_texts(self, collection: Collection) -> bool:
        """Make a piece of the postings that are missing. True when there may be more."""
        if collection.entry.indexing == "deferred" and not collection.hurry:
            return False
        return index_texts(
            collection, self._root, self._save_manifest, lambda: self._closing.is_set() or collection.dropped
        )

    def _index(self, collection: Collection, target: int, finish: bool) -> bool:
        """Add one frozen segment to the private graph, or seal it. ``finish``: seal even below ``target``."""
        try:
            return self._add_or_seal(collection, target, finish)
        except BaseException:
            collection.writer = None  # it may hold half of a segment
            raise

    def _add_or_seal(self, collection: Collection, target: int, finish: bool) -> bool:
        run = _frozen_run(collection.segments)
        writer = collection.writer
        if writer is None:
            if not run:
                return False
            writer = collection.writer = self._writer(collection)
        taken = {id(segment) for segment, _ in writer.bodies}
        waiting = [segment for segment in run if id(segment) not in taken]
        writer.know(collection.fields, collection.reading.texts)
        if waiting and (not taken or writer.nbytes() < target):
            before = _insertions(writer)
            writer.add(waiting[0], collection.seq)
            collection.first_insertions += _insertions(writer) - before
            collection.insertions += _insertions(writer) - before
            return True
        if taken and (writer.nbytes() >= target or (finish and not waiting)):
            self._seal(collection, writer, "seal")
            return True
        return False

    def _measure(self, collections: Sequence[Collection], now: float) -> bool:
        """Measure the recall of a graph for a moment, where nobody writes; True when there was something to measure.

        ``now``: as in ``_step``; what is asked for by hand takes no rest.
        """
        share = self._options.measure_share
        resting = 0 < now < self._measure_from
        if not share or resting or not all(map(self._is_idle, collections)):
            return False
        began = time.perf_counter()
        for collection in collections:
            worked, known = collection.measuring.slice(
                [s for s in collection.segments if s.state == "sealed"],
                collection.fields,
                collection.asked,
                self._clock(),
                lambda: self._closing.is_set() or not all(map(self._is_idle, collections)),
            )
            if known is not None:
                _tell_of_rebuilt(collection, *known)
            if worked:
                self._measure_from = time.monotonic() + (time.perf_counter() - began) * (1 / share - 1)
                return True
        return False

    def _is_idle(self, collection: Collection) -> bool:
        """Whether nobody has written to it for a while, nor waits for the builder."""
        return not collection.hurry and time.monotonic() - collection.last_write > self._options.idle_seal_s

    def _mend(self, collection: Collection) -> bool:
        """Build a graph again that was measured to be poor; True when there was one. It is done once for a segment."""
        if collection.entry.indexing == "deferred" or not self._is_idle(collection):
            return False
        for segment in collection.segments:
            poor = _poor(segment, self._options.recall_bound)
            if not poor or segment.state != "sealed" or segment.disk_bytes > self._room():
                continue
            for field_id, (recall, queries) in poor.items():
                log.warning(
                    "%s is %.3f by %d queries, below %.3f; the segment is built again",
                    *(_recall_of(collection, segment, field_id), recall, queries, self._options.recall_bound),
                )
            before = {**segment.rebuilt, **{field_id: recall for field_id, (recall, _) in poor.items()}}
            self._merge(collection, [segment], rebuild=True, rebuilt=before)
            return True
        return False

    def _merge_some(self, collection: Collection) -> bool:
        idle = collection.hurry > 0 or time.monotonic() - collection.last_write > self._options.idle_seal_s
        sealed = _sealed_prefix(collection.segments)
        sizes, options = [_size(segment) for segment in sealed], self._options
        choose = functools.partial(
            merging.choose, sizes, seal_bytes=options.seal_bytes, max_bytes=options.max_segment_bytes, idle=idle
        )
        choice = choose(room=self._room())
        if choice is None:
            wanted = choose()
            self._note_put_off(collection, sealed[wanted.start : wanted.end] if wanted else ())
            return False
        self._merge(collection, sealed[choice.start : choice.end], rebuild=choice.rebuild)
        return True

    def _merge(
        self,
        collection: Collection,
        sources: Sequence[Segment],
        rebuild: bool = False,
        rebuilt: Mapping[int, float] | None = None,
    ) -> None:
        """``rebuilt``: what is noted at the new segment, see Segment."""
        hit("merge.before_build")
        with self._memory.taking(footprint.of_merging([segment.disk_bytes for segment in sources])):
            self._merge_admitted(collection, sources, rebuild, rebuilt)

    def _merge_admitted(
        self,
        collection: Collection,
        sources: Sequence[Segment],
        rebuild: bool,
        rebuilt: Mapping[int, float] | None,
    ) -> None:
        writer = self._writer(collection)
        writer.rebuilt = rebuilt or {}
        if not rebuild and len(sources) > 1:
            base = max(sources, key=lambda s: s.disk_bytes)
            if _size(base).dead_fraction <= merging.DEAD_FRACTION:
                writer.start_from(base, sum(len(s) for s in sources if s is not base))
                self._note_pause(collection, writer)
        for segment in sources:
            writer.add(segment, collection.seq)
        collection.insertions += _insertions(writer)
        self._seal(collection, writer, "merge")
        for segment in sources:
            hit("merge.before_unlink")
            shutil.rmtree(folder_of(self._root, collection.number, segment.number), ignore_errors=True)

    def _room(self) -> int:
        """Bytes of files that may be merged: their copy is in memory, and then on the disk beside them."""
        return min(footprint.mergeable(self._memory.room()), self._space.room())

    def _largest(self, target: int) -> int:
        """At which size the graph under construction is sealed: earlier where there is no room, not below a seal."""
        return min(target, max(self._options.seal_bytes, self._room()))

    def _note_put_off(self, collection: Collection, sources: Sequence[Segment]) -> None:
        """Say, once, that a merge is wanted and does not fit; or (none) that none is put off."""
        nbytes = sum(segment.disk_bytes for segment in sources)
        if nbytes <= self._room():
            collection.put_off = ""
            return
        needed, free = footprint.of_merging([nbytes]), self._memory.room()
        why = f"{needed} bytes of memory, {free} free" if needed > free else f"{nbytes} bytes of disk"
        if not collection.put_off:
            log.warning("collection %r: a merge is put off: it needs %s", collection.entry.name, why)
        collection.put_off = f"a merge of {len(sources)} segments needs {why}"

    def _seal(self, collection: Collection, writer: SegmentWriter, what: str) -> None:
        """Write files, swap them in with their manifest, make that durable."""
        sources = writer.sources()
        view = collection.view  # held: the bodies it shows stay while texts are read from them
        segment = writer.write(view.seq) if _anything(writer) else None
        self._note_pause(collection, writer)
        hit(f"{what}.before_manifest")
        with self._publish_lock:
            if segment is not None:
                writer.stamp(segment)
            collection.swap(sources, segment)
        collection.forget(sources)
        if writer is collection.writer:
            collection.writer = None
        self._save_manifest(collection)
        self._memory.freed()  # what was copied into the files
        hit(f"{what}.after_manifest")

    def _shed(self, collection: Collection) -> bool:
        """Delete a piece of what dropped fields left."""
        return shedding.shed(collection, self._committer, self._root, self._put_entry, self._save_manifest)

    def _tidy(self, collection: Collection) -> bool:
        """Cover and reap when enough garbage or log has gathered."""
        reaping.list_garbage(collection, self._clock())
        garbage = collection.garbage_rows
        quiet = time.monotonic() - collection.last_write > self._options.idle_seal_s
        if garbage >= COVER_GARBAGE_ROWS or (garbage and quiet) or self._log_is_long(collection):
            return self._cover_and_reap(collection)
        return False

    def _log_is_long(self, collection: Collection) -> bool:
        if len(collection.logged) <= COVER_LOG_RECORDS:
            return False
        seq, written_s = collection.logged[COVER_LOG_RECORDS // 2]
        return seq <= collection.listed_seq and written_s < self._clock() - self._options.request_memory_s

    def _cover_and_reap(self, collection: Collection) -> bool:
        """True when something was deleted."""
        reaping.list_garbage(collection, self._clock())
        if collection.covered_seq < collection.seq:
            self._save_manifest(collection)
        reaped = reaping.reap(collection, self._committer)
        manifest.trim_log(collection, self._clock())
        return reaped

    def _save_manifest(self, collection: Collection) -> None:
        while True:
            try:
                with self._publish_lock:
                    if not collection.dropped:
                        manifest.save(collection)
                break
            except WriteStall:
                time.sleep(STALL_PAUSE_S)
        self._kv.sync()

    def _writer(self, collection: Collection) -> SegmentWriter:
        with self._publish_lock:
            number = collection.take_number()
        return SegmentWriter(
            number,
            self._root,
            collection.number,
            collection.fields,
            self._options,
            lambda: self._closing.is_set() or collection.dropped,
            collection.has_columns,
            collection.reading.lookup.raw_bodies,
            collection.reading.texts,
        )

    def _unfinished(self, collection: Collection) -> bool:
        return (collection.wants_index or behind(collection)) and not self._closing.is_set()

    def _note_pause(self, collection: Collection, writer: SegmentWriter) -> None:
        pause = max((part.pause_s for part in writer.parts.values()), default=0.0)
        collection.longest_pause_s = max(collection.longest_pause_s, pause)

    def _disk(self, collection: Collection) -> int:
        return self._kv.stats()["disk_bytes"] + sum(s.disk_bytes for s in collection.segments)


def _poor(segment: Segment, bound: float) -> dict[int, tuple[float, int]]:
    """By vector field the recall of graphs that is below ``bound`` beyond doubt, and how many queries say so.

    Two standard errors; not of fields for whose sake the segment was rebuilt already.
    """
    found = {}
    for field_id, part in segment.parts.items():
        if part.recall is None or field_id in segment.rebuilt or len(part.recall.steps) < LEAST_QUERIES:
            continue
        mean, error = part.recall.at(DEFAULT_EF)
        if mean + 2 * error < bound:
            found[field_id] = mean, len(part.recall.steps)
    return found


def _tell_of_rebuilt(collection: Collection, segment: Segment, field_id: int) -> None:
    """Log what rebuilding has brought, where there was any."""
    before, known = segment.rebuilt.get(field_id), segment.parts[field_id].recall
    if before is not None and known is not None:
        log.warning(
            "%s is %.3f, and was %.3f before the segment was built again",
            *(_recall_of(collection, segment, field_id), known.at(DEFAULT_EF)[0], before),
        )


def _recall_of(collection: Collection, segment: Segment, field_id: int) -> str:
    """What a recall is of, for the log."""
    names = collection.entry.fields.vectors
    field = next((name for name, number in names.items() if number == field_id), "")
    return (
        f"collection {collection.entry.name!r}, segment {segment.number}, vector field {field!r}: "
        f"recall@{RECALL_K} at ef {DEFAULT_EF}"
    )


def _frozen_run(segments: Sequence[Segment]) -> list[Segment]:
    """The first neighbours that are frozen: what the next sealed segment is made of."""
    run: list[Segment] = []
    for segment in segments:
        if segment.state == "frozen":
            run.append(segment)
        elif run:
            break
    return run


def _sealed_prefix(segments: Sequence[Segment]) -> list[Segment]:
    """The first neighbours that are sealed; frozen rows between others are sealed before anything merges over them."""
    run: list[Segment] = []
    for segment in segments:
        if segment.state != "sealed":
            break
        run.append(segment)
    return run


def _compaction(segments: Sequence[Segment], max_bytes: int, room: int = 1 << 62) -> list[Segment] | None:
    """Neighbours that one segment could hold, or one with dead rows; None when there is nothing to gain.

    What has more than ``room`` bytes is let be.
    """
    sealed = _sealed_prefix(segments)
    for start in range(len(sealed)):
        end, size = start, 0
        while end < len(sealed) and size + sealed[end].disk_bytes <= min(room, max_bytes):
            size += sealed[end].disk_bytes
            end += 1
        if end - start > 1:
            return sealed[start:end]
    return next(([s] for s in sealed if _size(s).dead_fraction > 0 and s.disk_bytes <= room), None)


def _size(segment: Segment) -> merging.Size:
    """Its dead are those of its vectors, which cost most; of its texts where it has none, else of its bodies."""
    kinds: list[list[Part]] = [[], []]
    for key, part in segment.parts.items():
        kinds[key >= TEXT].append(part)
    found = ((sum(map(len, parts)), sum(part.dead for part in parts)) for parts in kinds)
    rows, killed = next((pair for pair in found if pair[0]), (len(segment), segment.dead))
    return merging.Size(segment.disk_bytes, rows, killed / max(1, rows))


def _insertions(writer: SegmentWriter) -> int:
    return sum(part.insertions for part in writer.parts.values())


def _anything(writer: SegmentWriter) -> bool:
    """Whether a body, a vector or a text is left to be written."""
    return any(len(chosen) for _, chosen in writer.bodies) or any(map(len, writer.gatherings()))
