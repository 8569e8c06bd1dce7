"""A load, step by step: what is sent next, and what its answer means. Sending is left to ``load`` and ``load_async``.

Order of events, by which a killed load goes on where it was:

1. the checkpoint is written, with an identity of the load;
2. a chunk is read and checked; its bad rows go to the file of rejects, synced;
3. its good rows are sent as one batch, whose request id follows from the identity and the number of its first row;
4. when it is acknowledged the checkpoint moves behind it, synced; on with 2;
5. at the end the checkpoint is removed.

Killed between 3 and 4, the same chunk is read again, because chunks end at the same rows whenever a source is read,
and is sent under the same request id: the server returns the first result. Killed between 2 and 4, the rejects are
cut back to where the checkpoint says they ended.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from vecdb.client.load import checkpoint as checkpoints
from vecdb.client.load.checking import BadRow, check
from vecdb.client.load.checkpoint import Checkpoint, advanced
from vecdb.client.load.chunk import Chunk
from vecdb.client.load.mapping import ColumnMap, resolve
from vecdb.client.load.options import LoadOptions
from vecdb.client.load.rejects import SUFFIX as REJECTS_SUFFIX
from vecdb.client.load.rejects import Rejects
from vecdb.client.load.report import LoadReport
from vecdb.client.load.source import Source
from vecdb.client.operations import Upsert
from vecdb.errors import (
    CollectionLoading,
    DeadlineExceeded,
    DiskFull,
    InvalidArgument,
    MemoryLimit,
    PartialWrite,
    ReadOnly,
    ResourceExhausted,
    TooLarge,
    Unavailable,
    VecdbError,
)
from vecdb.model.collection import CollectionInfo

# Bad rows that a report and an error tell; all are in the file of rejects.
TOLD = 10

# Seconds a batch is sent again and again to a server that says "not now" before the load gives up.
PATIENCE_S = 120.0
_PAUSE_S = 0.5


@dataclass(slots=True)
class Batch:
    """Rows ``start`` up to ``stop`` of the source: ``points`` are sent, under ``request_id``."""

    chunk: Chunk
    start: int
    stop: int
    points: Upsert
    positions: list[int]
    request_id: bytes
    bad: list[BadRow] = field(default_factory=list)
    tried_since: float | None = None
    stored: bool = False

    def arguments(self, options: LoadOptions) -> dict[str, Any]:
        """What ``upsert`` is called with."""
        return {
            "ids": self.points.ids,
            "vectors": self.points.vectors,
            "texts": self.points.texts,
            "payloads": self.points.payloads,
            "sparse": self.points.sparse,
            "model": options.model,
            "durability": options.durability,
            "request_id": self.request_id,
            "timeout": options.timeout,
        }


class Loading:
    """One load of a source into a collection. A context manager that closes the source.

    Thread rule: one thread at a time.
    """

    def __init__(self, source: Source, options: LoadOptions) -> None:
        self._source = source
        self._options = options
        self._began = time.monotonic()
        self._checkpoint = Checkpoint(None)
        self._rejects: Rejects | None = None
        self._bad: list[BadRow] = []
        self._warnings: list[str] = []
        self._resumed_from: int | None = None
        self._mapping: ColumnMap | None = None
        self._saved = False
        self._chunks: Iterator[Chunk] = iter(())

    @property
    def total(self) -> int | None:
        """How many rows the source has, None where that is not known."""
        return self._source.rows

    @property
    def rows(self) -> int:
        """How many rows are dealt with."""
        return self._place.rows

    def begin(self, info: CollectionInfo) -> None:
        """Find the columns and where to go on. Raises what ``load`` raises before anything is written."""
        self._info = info
        size = self._options.size()
        identity: dict[str, Any] = {
            "source": self._source.identity(),
            "collection": {"name": info.name, "created_at_ms": info.created_at_ms},
            "batch": [size.rows, size.nbytes],
        }
        head = self._source.head(size)
        if head is not None:
            self._mapping = resolve(head, self._options.choice(), info.schema)
        identity["mapping"] = None if self._mapping is None else self._mapping.as_json()
        identity = orjson.loads(orjson.dumps(identity))  # as it will come back from a checkpoint
        self._warn(info)
        self._checkpoint = Checkpoint(self._checkpoint_path())
        found = None if self._options.restart or self._options.dry_run else self._checkpoint.find(identity)
        self._place = found or checkpoints.Place(uuid.uuid4().hex, identity)
        self._saved = found is not None
        if found is not None:
            self._resumed_from = found.rows
        if self._options.on_error == "skip" and not self._options.dry_run:
            self._rejects = Rejects(self._rejects_path())
            self._rejects.go_on(self._place.rejects_bytes)
        self._chunks = iter(()) if head is None else self._source.chunks(self._place.rows, size)

    def next(self) -> Batch | None:
        """The next batch to send, None at the end. Raises InvalidArgument or PartialWrite for bad rows."""
        try:
            chunk = next(self._chunks, None)
            if chunk is None:
                return None
            assert self._mapping is not None
            checked = check(chunk, self._mapping, self._info.schema)
        except InvalidArgument as error:
            raise self._stopped(error, self._place.rows) from error
        stop = chunk.start + chunk.n
        batch = Batch(chunk, chunk.start, stop, checked.points, checked.positions.tolist(), self._request_id(chunk))
        self._reject(batch, checked.bad)
        if not self._saved:
            self._checkpoint.save(self._place)
            self._saved = True
        return batch

    def first(self) -> LoadReport:
        """What the first batch would be, for a dry run; nothing is written anywhere."""
        head = self._source.head(self._options.size())
        bad: list[BadRow] = []
        if head is not None:
            assert self._mapping is not None
            bad = check(head, self._mapping, self._info.schema).bad
        n = 0 if head is None else head.n
        report = self._report(n, n - len(bad), len(bad))
        return replace(report, bad=bad[:TOLD], checkpoint=None, dry_run=True)

    def acknowledged(self, batch: Batch) -> None:
        """The batch is stored: remember that."""
        self._place = advanced(
            self._place,
            rows=batch.stop - batch.start,
            written=len(batch.positions),
            skipped=len(batch.bad),
            rejects_bytes=0 if self._rejects is None else self._rejects.nbytes,
        )
        self._checkpoint.save(self._place)

    def failed(self, batch: Batch, error: VecdbError) -> float:
        """What to do about a batch that was not acknowledged: send it again after so many seconds.

        Where the server refuses a row, the batch is without it from here on. Raises when there is nothing to do.
        """
        if _is_not_now(error):
            now = time.monotonic()
            batch.tried_since = batch.tried_since or now
            if now - batch.tried_since < PATIENCE_S:
                return _PAUSE_S if error.retry_after_s is None else error.retry_after_s
            raise self._stopped(error, batch.start) from error
        cause = error.cause if isinstance(error, PartialWrite) else error
        place = _row_in(cause)
        if place is None:
            raise self._stopped(error, batch.start) from error
        before = error.next_index if isinstance(error, PartialWrite) else 0
        position = batch.positions[before + place]
        reason = InvalidArgument(cause.message, expected=cause.expected, received=cause.received)
        column = _column_in(cause.field or "", self._mapping)
        _remove(batch, before + place)
        self._reject(batch, [BadRow(batch.chunk.start + position, column, reason)])
        return 0.0

    def report(self) -> LoadReport:
        """The load is complete."""
        self._checkpoint.remove()
        return self._report(self._place.rows, self._place.written, self._place.skipped)

    def close(self) -> None:
        """Release the source and the files."""
        self._chunks = iter(())
        if self._rejects is not None:
            self._rejects.close()
        self._source.close()

    def __enter__(self) -> Loading:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _reject(self, batch: Batch, bad: list[BadRow]) -> None:
        if not bad:
            return
        batch.bad += bad
        self._bad += bad[: TOLD - len(self._bad)]
        if self._rejects is None:
            more = f" ({len(bad) - 1} more bad rows among the {batch.chunk.n} of this batch)" if len(bad) > 1 else ""
            first = bad[0]
            where = f"row {first.row}" + (f', column "{first.column}"' if first.column else "")
            told = first.reason
            raise self._stopped(
                type(told)(told.message + more, field=where, expected=told.expected, received=told.received),
                batch.start,
            )
        self._rejects.add([(row, batch.chunk.record(row.row - batch.chunk.start)) for row in bad])

    def _stopped(self, error: VecdbError, row: int) -> VecdbError:
        """The error that ends the load, which tells what was written before."""
        if self._place.rows:
            cause = error.cause if isinstance(error, PartialWrite) else error
            return PartialWrite(self._place.written, row, cause)
        if isinstance(error, InvalidArgument):
            # Nothing was written: a source that is mended is not held against its checkpoint.
            self._checkpoint.remove()
        return error

    def _report(self, read: int, written: int, skipped: int) -> LoadReport:
        rejects = self._rejects.path if self._rejects is not None and self._rejects.nbytes else None
        return LoadReport(
            source=self._source.name,
            collection=self._info.name,
            read=read,
            written=written,
            skipped=skipped,
            resumed_from=self._resumed_from,
            seconds=time.monotonic() - self._began,
            mapping=self._mapping,
            bad=self._bad,
            rejects=rejects,
            checkpoint=self._checkpoint.path,
            warnings=self._warnings,
        )

    def _request_id(self, chunk: Chunk) -> bytes:
        return hashlib.blake2b(f"{self._place.load_id}/{chunk.start}".encode(), digest_size=16).digest()

    def _warn(self, info: CollectionInfo) -> None:
        if self._mapping is None or self._source.metric is None:
            return
        for name in self._mapping.vectors:
            metric = info.schema.vectors[name].metric
            if metric != self._source.metric:
                self._warnings.append(f"the file says {self._source.metric}, the collection compares by {metric}")

    def _checkpoint_path(self) -> Path | None:
        given = self._options.checkpoint
        if given is False or self._options.dry_run:
            return None
        if given is not None and given is not True:
            return Path(given)
        if self._source.path is None:
            return None
        # Of this collection: the same file may be on its way into another.
        name = f"{self._source.path.name}.{self._info.name}{checkpoints.SUFFIX}"
        beside = self._source.path.with_name(name)
        if given is None and not os.access(beside.parent, os.W_OK):
            self._warnings.append(f"not resumable: {beside.parent} is not writable; name a file with checkpoint=")
            return None
        return beside

    def _rejects_path(self) -> Path:
        if self._options.rejects is not None:
            return Path(self._options.rejects)
        if self._source.path is None:
            raise InvalidArgument(
                "say where bad rows go: this source is no file",
                field="rejects",
                expected="a path",
                received="None",
            )
        return self._source.path.with_name(self._source.path.name + REJECTS_SUFFIX)


def _is_not_now(error: VecdbError) -> bool:
    """Whether the same batch may be taken later; a request id makes it safe to send again what perhaps was stored."""
    if isinstance(error, PartialWrite):
        error = error.cause
    if isinstance(error, TooLarge | MemoryLimit | DiskFull | ReadOnly):
        return False
    return isinstance(error, ResourceExhausted | Unavailable | CollectionLoading | DeadlineExceeded)


# `operations[0].vectors["image"][7]`, `payloads[7]`, `ids[7]`: the column, and the row in it.
_ROW = re.compile(r"(ids|payloads|(?:vectors|texts|sparse)\[\"[^\"]*\"\])\[(\d+)\]")


def _row_in(error: VecdbError) -> int | None:
    """The row of the batch that a refusal names."""
    if not isinstance(error, InvalidArgument | TooLarge):
        return None
    found = _ROW.search(error.field or "")
    return None if found is None else int(found[2])


def _column_in(path: str, mapping: ColumnMap | None) -> str:
    found = _ROW.search(path)
    if found is None or mapping is None:
        return ""
    kind, _, name = found[1].partition('["')
    by_kind = {"vectors": mapping.vectors, "texts": mapping.texts, "sparse": mapping.sparse}
    if kind in by_kind:
        return by_kind[kind].get(name.removesuffix('"]'), "")
    return (mapping.id if kind == "ids" else mapping.whole_payload) or ""


def _remove(batch: Batch, at: int) -> None:
    """Take one row out of what is sent."""
    points = batch.points

    def rest(values: Any) -> Any:
        return [value for i, value in enumerate(values) if i != at]

    batch.points = Upsert(
        ids=rest(points.ids),
        vectors={name: rest(column) for name, column in points.vectors.items()},
        texts={name: rest(column) for name, column in points.texts.items()},
        payloads=None if points.payloads is None else rest(points.payloads),
        sparse={name: rest(column) for name, column in points.sparse.items()},
    )
    del batch.positions[at]
