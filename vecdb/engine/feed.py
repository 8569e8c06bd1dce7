"""The change feed of a collection: what its log records and the rows they name tell, batch by batch.

A record names the rows that a batch added and killed. The added ones, as they were written, are the points; an id is
deleted if a row of it was killed and none added. Both are still there after the horizon (``retention``), whatever was
written since.

A batch too large for a page is told in pieces, by the place among its rows: first those added, then those killed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from vecdb.engine.collection import FAILURE_CHECK_S, Collection, Reading
from vecdb.engine.judge import judge
from vecdb.errors import ChangesGone, Closed, DataLoss, InvalidArgument
from vecdb.model.context import CallContext
from vecdb.model.feed import NOW, OLDEST, Change, FeedPage, FeedRequest, FeedToken
from vecdb.model.filter import Filter
from vecdb.model.point import Points, Select
from vecdb.storage import codec, keys
from vecdb.storage.codec import Body

ALL = Select(vectors=True)
READ_RECORDS = 64
FIRST_ROWS = 8
READ_ROWS = 256
READ_BYTES = 1 << 20
PAGE_RECORDS = 1_000
PAGE_ROWS = 50_000
"""What one page looks at: a follower who sees little of a collection is answered now and then, too."""
CHANGE_BYTES = 128
ID_BYTES = 16


def changes(
    context: CallContext, collection: Collection, database: str, asked: FeedRequest, still: Callable[[], bool]
) -> FeedPage:
    """The changes after a place, whole batches or pieces of them; waits for one, if asked to, while ``still()``.

    Raises InvalidArgument for a token of something else, ChangesGone for one before the horizon, Closed.
    """
    after = _place(collection, database, asked.after)
    if asked.wait_s > 0:
        _wait(context, collection, after, asked.wait_s, still)
    with _held(collection, database, after) as reading:
        return _Pages(context, collection, reading, database).page(after, asked.rows, asked.max_bytes)


def _place(collection: Collection, database: str, after: str) -> int:
    """The write that a token, NOW or OLDEST names."""
    with collection.publish_lock:
        newest, horizon = collection.seq, collection.retention.horizon
    if after == NOW:
        return newest
    if after == OLDEST:
        return horizon
    token = FeedToken.parse(after)
    here = FeedToken(database, collection.number, newest)
    if (token.database, token.collection) != (here.database, here.collection):
        raise InvalidArgument(
            "the token is of another database or collection", field="after", expected=str(here), received=after[:80]
        )
    if token.seq > newest:
        raise InvalidArgument(
            "the token is of a write that is not there", field="after", expected=f"<= {here}", received=after[:80]
        )
    return token.seq


def _wait(context: CallContext, collection: Collection, after: int, wait_s: float, still: Callable[[], bool]) -> None:
    """Return when a write comes after ``after``, or the time is over. A caller who has gone tells nobody: look."""
    until = time.monotonic() + wait_s
    with collection.published:
        collection.followers += 1
        try:
            while collection.seq <= after and still():
                collection.check_open()
                if collection.closing:
                    raise Closed("the database is closed")
                left = until - time.monotonic()
                if context.deadline is not None:
                    left = min(left, context.deadline - time.monotonic())
                if left <= 0:
                    return
                collection.published.wait(min(left, FAILURE_CHECK_S))
        finally:
            collection.followers -= 1


@contextmanager
def _held(collection: Collection, database: str, after: int) -> Iterator[Reading]:
    """What reads the collection now; nothing that came after ``after`` is deleted meanwhile. Raises ChangesGone."""
    with collection.publish_lock:
        collection.last_use = time.monotonic()
        horizon = collection.retention.horizon
        if after < horizon:
            raise ChangesGone(
                "these changes are no longer kept; start over from a snapshot or a copy",
                field="after",
                expected=f"{FeedToken(database, collection.number, horizon)} or a later one",
                received=str(FeedToken(database, collection.number, after)),
            )
        collection.retention.begin(after)
        reading = collection.reading
    try:
        yield reading
    finally:
        with collection.publish_lock:
            collection.retention.end(after)


@dataclass(slots=True)
class _Found:
    """What is told of one batch in one page; ``rows`` of it are done, and ``nbytes`` is their size, about."""

    rows: int
    numbers: list[int] = field(default_factory=list)
    bodies: list[Body] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    nbytes: int = CHANGE_BYTES


class _Pages:
    """Makes the pages of one call."""

    def __init__(self, context: CallContext, collection: Collection, reading: Reading, database: str) -> None:
        self._context = context
        self._scope: Filter | None = context.scope
        self._kv = collection.kv
        self._number = collection.number
        self._reading = reading
        self._database = database
        self._looked_at = 0

    def page(self, after: int, rows: int, max_bytes: int) -> FeedPage:
        """What comes after write ``after``, of whose next batch ``rows`` rows were told."""
        told: list[Change] = []
        room, newest = max_bytes, self._reading.view.seq
        for records, record in enumerate(self._records(after, newest), 1):
            self._context.check("reading changes")
            found = self._piece(record, rows, room)
            last = found.rows == record.added + len(record.killed)
            if found.bodies or found.deleted or (rows and last):
                told.append(self._change(record, found, last))
            if not last:
                rows = found.rows
                break
            after, rows = record.seq, 0
            room -= found.nbytes
            if room <= 0 or records == PAGE_RECORDS or self._looked_at >= PAGE_ROWS:
                break
        return FeedPage(told, self._token(after), rows, after == newest)

    def _token(self, seq: int) -> str:
        return str(FeedToken(self._database, self._number, seq))

    def _records(self, after: int, newest: int) -> Iterator[codec.Change]:
        for start in range(after + 1, newest + 1, READ_RECORDS):
            seqs = range(start, min(start + READ_RECORDS, newest + 1))
            for seq, value in zip(seqs, self._kv.get_many([keys.log(self._number, s) for s in seqs]), strict=True):
                if value is None:
                    raise DataLoss(f"write {seq} has no log record", expected="a log record", received="nothing")
                yield codec.decode_change(value)

    def _piece(self, record: codec.Change, done: int, room: int) -> _Found:
        """From row ``done`` of a batch on, as much as there is room for; one row at least."""
        found = _Found(done)
        rows = record.added + len(record.killed)
        if done >= rows:
            raise InvalidArgument("out of range", field="rows", expected=f"< {rows}", received=str(done))
        for row, raw in self._read(range(record.first_row + done, record.first_row + record.added)):
            if _is_full(found, done, room):
                return found
            self._take(record, row, raw, found)
            found.rows += 1
        if found.rows == rows:
            return found
        replaced = self._replaced(record)
        killed = record.killed.tolist()
        left = [i for i in range(found.rows - record.added, len(killed)) if killed[i] not in replaced]
        for i, (_, raw) in zip(left, self._read([killed[i] for i in left]), strict=True):
            found.rows = record.added + i
            if _is_full(found, done, room):
                return found
            self._take_killed(raw, found)
        found.rows = record.added + len(killed)
        return found

    def _take(self, record: codec.Change, row: int, raw: bytes, found: _Found) -> None:
        """A row that was added: a point, or where it left the scope a deleted one."""
        self._looked_at += 1
        if self._inside(raw):
            body = codec.decode_body(raw)
            found.numbers.append(row)
            found.bodies.append(body)
            found.nbytes += len(raw) + self._reading.lookup.vector_bytes(body)
        else:
            previous = codec.body_links(raw)[1]
            at = int(np.searchsorted(record.killed, np.uint64(previous)))
            if at < len(record.killed) and int(record.killed[at]) == previous:
                self._take_killed(next(self._read([previous]))[1], found)

    def _take_killed(self, raw: bytes, found: _Found) -> None:
        """A row that was killed, and none of its id added that can be seen."""
        self._looked_at += 1
        if self._inside(raw):
            point_id = codec.decode_body(raw).id
            found.deleted.append(point_id)
            found.nbytes += len(point_id) + ID_BYTES

    def _inside(self, raw: bytes) -> bool:
        return self._scope is None or judge(self._scope, raw, self._reading.fields)

    def _replaced(self, record: codec.Change) -> set[int]:
        """The rows that the added ones took the place of: their ids are not deleted."""
        added = range(record.first_row, record.first_row + record.added)
        return {codec.body_links(raw)[1] for _, raw in self._read(added)}

    def _read(self, rows: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        """Bodies of rows, as many at once as are about READ_BYTES."""
        start, count = 0, FIRST_ROWS
        while start < len(rows):
            self._context.check("reading changes")
            some = rows[start : start + count]
            raws = self._reading.lookup.raw_bodies(some)
            for row, raw in zip(some, raws, strict=True):
                if raw is None:
                    raise DataLoss(f"row {row} has no body", field="bodies", expected="a body", received="nothing")
                yield row, raw
            start += len(some)
            count = max(1, min(READ_ROWS, READ_BYTES * len(some) // sum(len(raw or b"") for raw in raws)))

    def _change(self, record: codec.Change, found: _Found, last: bool) -> Change:
        lookup, fields, bodies = self._reading.lookup, self._reading.fields, found.bodies
        payloads, texts, vectors = lookup.columns(bodies, found.numbers, ALL, fields)
        versions = np.full(len(bodies), record.seq, dtype=np.uint64)
        sparse = lookup.sparse(bodies, ALL, fields)
        return Change(
            record.seq,
            self._token(record.seq if last else record.seq - 1),
            record.time_ms,
            Points([body.id for body in bodies], versions, payloads, texts, vectors, sparse),
            np.array([body.expires_at for body in bodies], dtype=np.int64),
            found.deleted,
            last,
        )


def _is_full(found: _Found, done: int, room: int) -> bool:
    return found.rows > done and (found.nbytes >= room or found.rows - done >= PAGE_ROWS)
