"""The order of a write.

Two threads and two queues. For every write:

    request thread   prepare (form), admit (limits), enqueue
    committer        resolve ids to rows against the store; write fresh b/ and v/ keys in slices of at most
                     64 rows; then one final batch with p/, l/ and h/, which *is* the commit
    syncer           one sync for all that was written before it began; then, under the publish lock, apply
                     to memory, publish the view; only then acknowledge

Invariants:
  1. A write is acknowledged only after a sync that began after its final batch was written.
  2. A view never shows a write that is not durable (at durability "fsync"), nor part of one.
  3. A commit never overwrites or deletes a body or a vector: whatever an older view needs stays.
  4. Once a write is in the store but cannot be published, memory is behind the store: nothing later is
     written or published until the database is opened again.
  5. A write that is refused for what was there (a condition, a point that exists) is answered like any other: what
     it was decided by may be a write that nobody sees yet and that a failing sync takes back.

The committer goes on with the next group while the syncer waits for the disk, so one slow sync is shared
by all that queued meanwhile. Writing with ``sync=True`` was rejected: rocksdict holds the GIL during a
write, and every thread of the process would stand still for as long as the disk takes
(docs/decisions/0001-commit.md). Slices are small for the same reason.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from vecdb.engine.prepare import PreparedBatch
from vecdb.engine.resolve import Resolved, Resolver
from vecdb.engine.shape import Shape
from vecdb.errors import Closed, Internal, ReadOnly, VecdbError
from vecdb.failpoint import hit
from vecdb.model.context import CallContext
from vecdb.model.point import WriteResult
from vecdb.storage import codec, keys
from vecdb.storage.codec import Head
from vecdb.storage.kv import KV, Batch, write_patiently

if TYPE_CHECKING:
    from vecdb.engine.collection import Collection


class Evicted(Exception):
    """The collection object was let go of while idle; the database opens it again. Never leaves the engine."""


class Outdated(Exception):
    """The schema was changed after the batch was prepared: it is prepared again. Never leaves the engine."""


log = logging.getLogger(__name__)

SLICE_ROWS = 64
GROUP_BYTES = 32 << 20
GROUP_WRITES = 512
SLOW_SYNC_S = 0.002
"""After a sync that took this long the next one waits, at most as long, for the writers it just answered:
else writers in a loop split into two halves that miss each other's sync (docs/decisions/0001-commit.md)."""

T = TypeVar("T")


@dataclass(slots=True)
class Write:
    """One write on its way through the queues."""

    collection: Collection
    batch: PreparedBatch
    shape: Shape  # that it was prepared by
    context: CallContext
    durable: bool
    done: Future[WriteResult] = field(default_factory=Future)
    resolved: Resolved | None = None
    refusal: VecdbError | None = None
    seq: int = 0


@dataclass(slots=True)
class _Task:
    """Something else that must run between two commits."""

    run: Callable[[], None]


class Committer:
    """Owns the two threads; the only writer of rows, pointers, log records and heads."""

    def __init__(
        self, kv: KV, commit: int, publish_lock: threading.Lock, clock: Callable[[], float] = time.time
    ) -> None:
        self._kv = kv
        self._clock = clock
        self.commit = commit
        self._publish_lock = publish_lock
        self._writes: queue.SimpleQueue[Write | _Task | None] = queue.SimpleQueue()
        self._written: queue.SimpleQueue[list[Write] | None] = queue.SimpleQueue()
        self._closed = False
        self._broken: str | None = None
        self._entrance = threading.Lock()  # nothing may be queued behind the None that ends the loop
        self._unanswered = 0  # writes submitted and not yet acknowledged or refused; under _entrance
        self._gather = 0  # how many writes the next sync should wait for
        self._threads = [
            threading.Thread(target=self._commit_loop, name="vecdb-committer", daemon=True),
            threading.Thread(target=self._sync_loop, name="vecdb-syncer", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, write: Write) -> Future[WriteResult]:
        """Queue a write; the future ends when it is durable and visible, or refused."""
        self._enqueue(write)
        write.done.add_done_callback(self._answered)
        return write.done

    def between_commits(self, action: Callable[[], T]) -> T:
        """Run ``action`` on the committer's thread, after every write queued before, and wait for it."""
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(action())
            except BaseException as error:  # noqa: BLE001 - it is the waiting caller's
                done.set_exception(error)

        self._enqueue(_Task(run))
        return done.result()

    def failure(self) -> str | None:
        """Why nothing can be written until the database is opened again, or None."""
        return self._broken or self._kv.failure()

    def refuse_after_failure(self) -> None:
        """Raise ReadOnly when nothing can be written any more."""
        if (reason := self.failure()) is not None:
            raise ReadOnly(reason)

    def close(self) -> None:
        """Finish what is queued and stop."""
        with self._entrance:
            if self._closed:
                return
            self._closed = True
            self._writes.put(None)
        for thread in self._threads:
            thread.join()

    def _enqueue(self, item: Write | _Task) -> None:
        with self._entrance:
            if self._closed:
                raise Closed("the database is closed")
            self._unanswered += isinstance(item, Write)
            self._writes.put(item)

    def _answered(self, done: Future[WriteResult]) -> None:
        with self._entrance:
            self._unanswered -= 1

    # -- the committer's thread

    def _commit_loop(self) -> None:
        while self._commit_some():
            pass

    def _commit_some(self) -> bool:
        """Carry out what comes next in the queue; False at its end.

        Nothing of it outlives this call: a thread that waits would keep the collection it wrote last, dropped or not.
        """
        item = self._writes.get()
        if not isinstance(item, Write):
            return self._run(item)
        group, size = [item], item.batch.nbytes
        while size < GROUP_BYTES and len(group) < GROUP_WRITES:
            try:
                more = self._writes.get_nowait()
            except queue.Empty:
                break
            if not isinstance(more, Write):
                self._commit_group(group)
                return self._run(more)
            group.append(more)
            size += more.batch.nbytes
        self._commit_group(group)
        return True

    def _run(self, task: _Task | None) -> bool:
        if task is None:
            self._written.put(None)
            return False
        task.run()
        return True

    def _commit_group(self, group: list[Write]) -> None:
        written = []
        for write in group:
            try:
                if self._commit_one(write):
                    written.append(write)
            except (VecdbError, Evicted, Outdated) as error:
                write.done.set_exception(error)
            except BaseException as error:
                log.exception("a commit failed")
                if write.resolved is not None:
                    self._break(f"a commit was not finished: {error!r}")
                write.done.set_exception(Internal(f"a commit failed: {error!r}"))
        if written:
            self._written.put(written)

    def _commit_one(self, write: Write) -> bool:
        """Resolve and write one batch. False when its outcome is another write's."""
        collection = write.collection
        self.refuse_after_failure()
        collection.check_open()
        write.context.check("waiting in the write queue")
        if write.shape is not collection.entry.shape:
            raise Outdated  # names, filters and defaults of the batch may mean something else by now
        request_id = write.context.request_id or b""
        if request_id:
            first = collection.requests.claim(request_id, write.done)
            if first is not None:
                _follow(first, write.done)
                return False
        head = collection.committed
        shape = collection.entry.shape
        resolver = Resolver(
            self._kv,
            collection.number,
            shape.fields,
            shape.schema,
            write.context.scope,
            collection.options.max_payload_bytes,
        )
        try:
            resolved = resolver.resolve(
                write.batch,
                seq=head.seq + 1,
                commit=self.commit + 1,
                first_row=head.next_row,
                time_ms=int(1000 * self._clock()),
                request_id=request_id,
            )
        except VecdbError as error:
            write.refusal = error
            return True
        change = resolved.change
        if not change.added and not len(change.killed):
            write.seq = head.seq
            write.resolved = resolved
            return True
        new_head = Head(
            change.seq,
            head.next_row + change.added,
            change.commit,
            head.live + resolved.live_delta,
            head.expiring or resolved.rows.expires is not None,
        )
        if collection.strays:
            drop_rows_from(self._kv, collection.number, head.next_row)
        collection.strays = True
        self._write_slices(collection.number, resolved)
        hit("commit.before_final")
        write_patiently(self._kv, lambda: self._final(collection.number, resolved, new_head))
        collection.strays = False
        self.commit = change.commit
        collection.committed = new_head
        write.resolved, write.seq = resolved, change.seq
        hit("commit.after_final")
        return True

    def _write_slices(self, number: int, resolved: Resolved) -> None:
        hit("commit.before_slices")
        added = resolved.change.added
        if added <= SLICE_ROWS:
            return  # the final batch carries them
        for start in range(0, added, SLICE_ROWS):
            end = min(start + SLICE_ROWS, added)
            write_patiently(self._kv, lambda a=start, b=end: self._slice(number, resolved, a, b))  # type: ignore[misc]
            if end < added:
                hit("commit.between_slices")

    def _slice(self, number: int, resolved: Resolved, start: int, end: int) -> Batch:
        batch = self._kv.batch()
        resolved.put_rows(batch, number, start, end)
        return batch

    def _final(self, number: int, resolved: Resolved, head: Head) -> Batch:
        batch = self._kv.batch()
        if resolved.change.added <= SLICE_ROWS:
            resolved.put_rows(batch, number, 0, resolved.change.added)
        for key, value in resolved.pointers:
            batch.put(key, value)
        batch.put(keys.log(number, resolved.change.seq), codec.encode_change(resolved.change))
        batch.put(keys.head(number), codec.encode_head(head))
        return batch

    # -- the syncer's thread

    def _sync_loop(self) -> None:
        while self._sync_some():
            pass

    def _sync_some(self) -> bool:
        """Finish what was written; False when that was the last. Nothing of it outlives this call, either."""
        groups = [self._written.get()]
        patience = time.monotonic() + SLOW_SYNC_S
        while True:
            ready = sum(len(group) for group in groups if group is not None)
            wait = patience - time.monotonic() if ready < self._gather and groups[-1] is not None else 0.0
            try:
                groups.append(self._written.get(block=wait > 0, timeout=max(wait, 0.0)))
            except queue.Empty:
                break
        writes = [write for group in groups if group is not None for write in group]
        if writes:
            self._finish(writes)
        return None not in groups

    def _finish(self, writes: list[Write]) -> None:
        """Sync, publish, acknowledge. After a failure nothing later is published either."""
        try:
            self._sync_and_publish(writes)
        except VecdbError as error:
            self._break(str(error))
            for write in writes:
                write.done.set_exception(error)
        except BaseException as error:
            log.exception("writes were not finished")
            self._break(f"a write was not finished: {error!r}")
            for write in writes:
                write.done.set_exception(Internal(f"a write was not finished: {error!r}"))
        else:
            for write in writes:
                if write.resolved is not None:
                    write.done.set_result(WriteResult(write.seq, write.resolved.change.count))
                else:
                    write.done.set_exception(write.refusal)

    def _sync_and_publish(self, writes: list[Write]) -> None:
        hit("commit.before_sync")
        self.refuse_after_failure()
        began = time.monotonic()
        if any(write.durable and write.refusal is None for write in writes):
            self._kv.sync()
        self._gather = self._unanswered if time.monotonic() - began >= SLOW_SYNC_S else 0
        hit("commit.after_sync")
        hit("commit.before_publish")
        by_collection: dict[Collection, list[Resolved]] = {}
        for write in writes:
            if write.resolved is not None:
                by_collection.setdefault(write.collection, []).append(write.resolved)
        with self._publish_lock:
            for collection, some in by_collection.items():
                collection.apply(some)
        hit("commit.after_publish")

    def _break(self, reason: str) -> None:
        if self.failure() is None:
            self._broken = f"read-only until the database is opened again: {reason}"


def drop_rows_from(kv: KV, collection: int, bound: int) -> None:
    """Delete slices of a commit that never came: rows from the committed counter on."""
    ranges = [
        (keys.body(collection, bound), keys.body(collection, keys.LAST_ROW)),
        (keys.vector_from(collection, bound), keys.vector_from(collection, keys.LAST_ROW)),
    ]

    def build() -> Batch:
        batch = kv.batch()
        for start, end in ranges:
            batch.delete_range(start, end)
        return batch

    if any(True for start, end in ranges for _ in kv.scan(start, end)):
        write_patiently(kv, build)


def _follow(first: Future[WriteResult], second: Future[WriteResult]) -> None:
    """Give ``second`` the outcome of ``first``, now or when it has one."""

    def copy(done: Future[WriteResult]) -> None:
        error = done.exception()
        if error is None:
            second.set_result(done.result())
        else:
            second.set_exception(error)

    first.add_done_callback(copy)
