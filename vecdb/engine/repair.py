"""Salvage every intact point of a damaged data directory into a new one. The damaged one is only read.

A point is salvaged when its pointer, which says which of its versions is the newest, and all it points to can be read.
It is lost when they cannot, and then known by its id, unless its pointer is what is gone: then its body may still be
there, but nobody knows whether a later write replaced or deleted it. Such points, what other tables hold of the range
of one that is missing, and all points where a log or the list of files is damaged, are kept apart, in a collection of
their own beside the other.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from vecdb.engine import catalog
from vecdb.engine.collection import Entry
from vecdb.engine.database import Database
from vecdb.engine.datadir import ROCKSDB, read_marker
from vecdb.engine.options import EngineOptions
from vecdb.engine.prepare import FieldIds
from vecdb.engine.shape import Shape
from vecdb.errors import DataDirInUse, DataDirUnusable, DataLoss, VecdbError
from vecdb.model.context import CallContext
from vecdb.model.point import FOR_EVER, Put, PutMode, Rows, VectorColumn, WriteBatch
from vecdb.model.schema import Schema, SparseField, TextField, VectorField
from vecdb.model.sparse import SparseColumn, SparseVectors
from vecdb.storage import codec, files, keys
from vecdb.storage.codec import NO_ROW, SPARSE, Body
from vecdb.storage.kv import KV, prefix_end
from vecdb.storage.rocksdb import Salvaged, salvage, salvage_tables

log = logging.getLogger(__name__)

STALE = ".possibly-stale"
BATCH_BYTES = 8 << 20
SHOWN_IDS = 10_000


@dataclass(slots=True)
class SalvagedCollection:
    """What became of one collection: ``points`` salvaged under ``name``, ``stale`` ones kept apart under
    ``stale_name``; the ids of those that are ``lost``, at most 10,000 of ``lost_points``.

    ``inferred``: its catalog entry is gone, and name and schema are what its rows look like. ``problems``: what could
    not be read.
    """

    name: str
    points: int = 0
    stale_name: str | None = None
    stale: int = 0
    lost_points: int = 0
    lost: list[str] = field(default_factory=list)
    inferred: bool = False
    problems: list[str] = field(default_factory=list)

    def lose(self, point_id: str, why: str) -> None:
        self.lost_points += 1
        if len(self.lost) < SHOWN_IDS:
            self.lost.append(point_id)
        self.say(why)

    def say(self, problem: str) -> None:
        if problem not in self.problems and len(self.problems) < 100:
            self.problems.append(problem)


@dataclass(frozen=True, slots=True)
class RepairReport:
    """``problems``: the files that are damaged. ``certain``: what is under its own name is as it was last written.

    ``complete``: the catalog was read, so every collection that there was is told of.
    """

    source: str
    target: str
    certain: bool
    complete: bool
    problems: Sequence[str]
    collections: Sequence[SalvagedCollection]

    @property
    def whole(self) -> bool:
        """Whether nothing was lost, and nothing kept apart."""
        damaged = any(c.lost_points or c.stale or c.inferred or c.problems for c in self.collections)
        return self.certain and self.complete and not damaged


def repair(
    source: str | os.PathLike[str], target: str | os.PathLike[str], clock: Callable[[], float] = time.time
) -> RepairReport:
    """Write what can be read in ``source`` to the new directory ``target``; each point is a new write there.

    ``clock`` (seconds since 1970) says what has expired.

    Raises DataDirInUse while a process has ``source`` open, DataDirUnusable when ``target`` holds something,
    FormatTooNew, DataLoss where nothing at all can be read.
    """
    source, target = Path(source), Path(target)
    if (holder := files.holder(source)) is not None:
        raise DataDirInUse(f"{source} is in use by process {holder}", expected="no process", received=f"pid {holder}")
    if target.exists() and any(target.iterdir()):
        raise DataDirUnusable(f"{target} is not empty", expected="a directory that is empty or not there")
    problems = []
    try:
        read_marker(source)
    except (DataLoss, FileNotFoundError) as error:
        problems.append(str(error))
    with salvage(source / ROCKSDB) as found:
        db = Database.open(target, EngineOptions(), clock)
        try:
            salvaging = _Salvage(db, clock)
            salvaging.take(found)
            if salvaging.unread and found.blobs is None:
                try:
                    with salvage_tables(source / ROCKSDB) as rest:
                        salvaging.take(rest, "only tables tell of it that may be older than what is gone")
                except (DataLoss, OSError) as error:  # of the copy they are read in, too: what was taken stays
                    salvaging.problems.append(f"its tables could not be read one by one: {error}")
        finally:
            db.close()
    problems += [*found.problems, *salvaging.problems]
    complete, collections = not salvaging.problems, list(salvaging.collections.values())
    return RepairReport(str(source), str(target), found.certain, complete, list(dict.fromkeys(problems)), collections)


class _Salvage:
    """Takes from one store after another what is not known yet. ``problems``: why the catalog was not read whole."""

    def __init__(self, db: Database, clock: Callable[[], float]) -> None:
        self._db = db
        self._clock = clock
        self._now_ms = int(1000 * clock())
        self._known: dict[int, set[str]] = {}  # by collection that was not read whole, the ids of which all is known
        self._entry: dict[int, Entry] = {}
        self.collections: dict[int, SalvagedCollection] = {}
        self.problems: list[str] = []

    @property
    def unread(self) -> bool:
        """Whether there is something of which nothing is known."""
        return bool(self._known or self.problems)

    def take(self, found: Salvaged, if_new: str | None = None) -> None:
        """All that can be read in a store, but for collections that were read whole, and ids that are known.

        ``if_new``: the problem of a collection that the stores before did not have.
        """
        self._kv: KV = found.kv
        self._blobs = found.blobs
        self._certain = found.certain
        entries, told = self._entries()
        for number, entry in sorted(entries.items()):
            if number in self.collections and number not in self._known:
                continue
            if (said := self.collections.get(number)) is None:
                said = SalvagedCollection("", problems=[] if if_new is None else [if_new])
            for problem in told.get(number, ()):
                said.say(problem)
            entry = self._entry.get(number) or entry or self._infer(number, said)
            if entry is not None:
                said.name = entry.name
                self._entry[number], self.collections[number] = entry, said
                self._collection(entry, said)
        if if_new is None:  # an older table may tell of an alias that was set elsewhere, or dropped, since
            self._aliases({number: entry.name for number, entry in entries.items() if entry is not None})

    # -- the catalog

    def _entries(self) -> tuple[dict[int, Entry | None], dict[int, list[str]]]:
        """Every collection that has an entry or rows; None where its entry cannot be read. And what was wrong."""
        entries: dict[int, Entry | None] = {}
        told: dict[int, list[str]] = {}
        for key, value in self._scan(b"c", b"d", self.problems):
            number = keys.collection_number(key)
            try:
                entries[number] = catalog.decode(number, value)
            except DataLoss as error:
                entries[number] = None
                told[number] = [error.message]
        dropped = {keys.collection_number(key) for key, _ in self._scan(b"x", b"y", self.problems)}
        for kind in (b"p", b"b"):
            number = 0
            while first := self._first(kind + number.to_bytes(4, "big"), prefix_end(kind)):
                number = keys.collection_number(first)
                if number not in dropped:
                    entries.setdefault(number, None)
                number += 1
        return entries, told

    def _first(self, start: bytes, end: bytes) -> bytes | None:
        return next((key for key, _ in self._scan(start, end, self.problems)), None)

    def _infer(self, number: int, said: SalvagedCollection) -> Entry | None:
        """A name and a schema for rows without an entry, from the bodies and vectors of them."""
        vectors: dict[int, int] = {}
        texts: set[int] = set()
        sparse: set[int] = set()
        for _, value in self._scan(keys.body(number, 0), keys.body(number, keys.LAST_ROW), []):
            try:
                body = codec.decode_body(value)
            except VecdbError:
                continue
            texts.update(body.texts)
            sparse.update(body.sparse)
        for key, value in self._scan(keys.vector_from(number, 0), keys.vector_from(number, keys.LAST_ROW), []):
            vectors.setdefault(keys.vector_row_field(key)[1], len(value) // 4)
        if not vectors and not texts and not sparse:
            return None
        named = _names(vectors), _names(texts), _names(sparse, SPARSE)
        schema = Schema(
            {name: VectorField(vectors[field_id]) for name, field_id in named[0].items()},
            {name: TextField() for name in named[1]},
            sparse={name: SparseField() for name in named[2]},
        )
        said.inferred = True
        said.say("its catalog entry is gone: names are made up, and metrics and analyzers are the defaults")
        shape = Shape.of(schema)
        fields = FieldIds(*named)
        return Entry(number, f"recovered-{number}", replace(shape, fields=fields), "auto", self._now_ms)

    def _aliases(self, names: dict[int, str]) -> None:
        made = {info.name for info in self._db.list_collections(CallContext())}
        for key, value in self._scan(b"a", b"b", self.problems):
            try:
                name = names.get(codec.decode_alias(value))
            except VecdbError:
                continue
            if name in made:
                self._db.set_alias(CallContext(), keys.alias_name(key), name)

    # -- points

    def _collection(self, entry: Entry, said: SalvagedCollection) -> None:
        number, stale_name = entry.number, f"{entry.name[: 128 - len(STALE)]}{STALE}"
        sure = _Writer(self._db, entry, entry.name, self._clock)
        stale = _Writer(self._db, entry, stale_name, self._clock)
        if self._certain:
            sure.make()
        met: list[str] = []
        known = self._known.pop(number, set())
        before = frozenset(known)
        for key, value in self._scan(keys.pointer_prefix(number), keys.pointer_prefix(number + 1), met):
            try:
                point_id, pointer = keys.pointer_id(key), codec.decode_pointer(value)
            except (VecdbError, UnicodeDecodeError) as error:
                met.append(str(error))
                continue
            known.add(point_id)
            if pointer.deleted or point_id in before:
                continue
            try:
                body = self._body(number, pointer.row)
                if body.id != point_id or body.seq != pointer.seq:
                    raise DataLoss(f"row {pointer.row} is not what its pointer says")
                if body.expires_at and body.expires_at <= self._now_ms:
                    continue
                (sure if self._certain else stale).add(body, self._vectors(entry, pointer.row, body, said.inferred))
            except DataLoss as error:
                said.lose(point_id, error.message)
        if met:
            for problem in met:
                said.say(problem)
            self._orphans(entry, known, stale, said)
            self._known[number] = known
        sure.flush()
        stale.flush()
        said.points += sure.count
        said.stale += stale.count
        said.stale_name = stale_name if stale.count else said.stale_name

    def _orphans(self, entry: Entry, known: set[str], stale: _Writer, said: SalvagedCollection) -> None:
        """Where pointers cannot be read: the newest body of each id that has none."""
        number = entry.number
        newest: dict[str, tuple[int, int]] = {}
        bound = keys.LAST_ROW
        try:
            head = self._get(keys.head(number))
            bound = bound if head is None else codec.decode_head(head).next_row  # beyond it nothing was committed
        except VecdbError as error:
            said.say(str(error))
        for key, value in self._scan(keys.body(number, 0), keys.body(number, bound), said.problems):
            try:
                body = codec.decode_body(value)
            except VecdbError:
                continue
            if body.id not in known:
                newest[body.id] = max(newest.get(body.id, (0, 0)), (body.seq, keys.body_row(key)))
        known.update(newest)
        for point_id, (_, row) in newest.items():
            try:
                body = self._body(number, row)
                stale.add(body, self._vectors(entry, row, body, said.inferred))
            except DataLoss as error:
                said.lose(point_id, error.message)

    def _body(self, number: int, row: int) -> Body:
        value = self._get(keys.body(number, row))
        if value is None:
            raise DataLoss(f"row {row} has no body")
        return codec.decode_body(value)

    def _vectors(self, entry: Entry, row: int, body: Body, inferred: bool) -> dict[str, bytes]:
        """Of a body, by field name. Raises DataLoss."""
        found = {}
        if inferred and (unknown := {n for n in body.slots if n < SPARSE} - set(entry.fields.vectors.values())):
            raise DataLoss(f"no vector of field {min(unknown)} can be read")
        for name, field_id in entry.fields.vectors.items():
            if field_id not in body.slots:
                continue
            slot = row if body.slots[field_id] == NO_ROW else body.slots[field_id]
            value = self._get(keys.vector(entry.number, slot, field_id))
            if value is None or len(value) != 4 * entry.schema.vectors[name].dim:
                raise DataLoss(f"the vector {name!r} of row {row} is gone")
            found[name] = value
        return found

    def _scan(self, start: bytes, end: bytes, problems: list[str]) -> Iterator[tuple[bytes, bytes]]:
        """Pairs from ``start`` to ``end``, past what cannot be read, of which ``problems`` tells.

        After damage the scan goes on at the nearest key at which it can: the shortest step first.
        """
        at = start
        while at < end:
            try:
                for key, value in self._kv.scan(at, end):
                    at = key + b"\0"
                    yield key, value
                return
            except DataLoss as error:
                hidden = self._blobs.next_key(at) if self._blobs is not None and "blob" in error.message else None
                if self._blobs is not None and hidden is not None and hidden < end:
                    at = hidden + b"\0"
                    if self._hidden(hidden):  # and not deleted
                        try:
                            yield hidden, self._blobs.read(hidden)
                        except DataLoss as damage:
                            problems.append(damage.message)
                    continue
                if error.message not in problems:
                    problems.append(error.message)
                at = self._beyond(at, end)

    def _hidden(self, key: bytes) -> bool:
        """Whether a key has a value, which the store cannot find."""
        try:
            self._kv.get(key)
        except DataLoss:
            return True
        return False

    def _get(self, key: bytes) -> bytes | None:
        try:
            return self._kv.get(key)
        except DataLoss:
            if self._blobs is None or key not in self._blobs:
                raise
            return self._blobs.read(key)

    def _beyond(self, at: bytes, end: bytes) -> bytes:
        """The next place from which something can be read; ``end`` if there is none."""
        for length in range(max(len(at), 13), 0, -1):
            padded = at.ljust(length, b"\0")[:length]
            for step in (1, 4, 16, 64):
                last = padded[-1] + step
                if last > 255:
                    break
                candidate = padded[:-1] + bytes([last])
                if candidate >= end:
                    return end
                if self._readable(candidate, end):
                    return candidate
        return end

    def _readable(self, start: bytes, end: bytes) -> bool:
        try:
            next(iter(self._kv.scan(start, end)), None)
        except DataLoss:
            return False
        return True


class _Writer:
    """Writes points to a collection of the new database, which is made when there is one."""

    def __init__(self, db: Database, entry: Entry, name: str, clock: Callable[[], float]) -> None:
        self._db = db
        self._entry = entry
        self._name = name
        self._clock = clock
        self._bodies: list[Body] = []
        self._vectors: list[dict[str, bytes]] = []
        self._nbytes = 0
        self._made = False
        self.count = 0

    def make(self) -> None:
        if not self._made:
            self._db.create_collection(CallContext(), self._name, self._entry.schema, exist_ok=True)
            self._made = True

    def add(self, body: Body, vectors: dict[str, bytes]) -> None:
        self._bodies.append(body)
        self._vectors.append(vectors)
        self._nbytes += 200 + len(body.payload or b"") + sum(map(len, vectors.values()))
        self._nbytes += sum(len(text) for text in body.written.values())
        if self._nbytes >= BATCH_BYTES or len(self._bodies) == 10_000:
            self.flush()

    def flush(self) -> None:
        if not self._bodies:
            return
        self.make()
        fields, now_ms = self._entry.fields, int(1000 * self._clock())
        vectors: dict[str | None, VectorColumn] = {}
        for name in fields.vectors:
            there = [i for i, held in enumerate(self._vectors) if name in held]
            if there:
                data = np.frombuffer(b"".join(self._vectors[i][name] for i in there), dtype="<f4")
                vectors[name] = VectorColumn(data.reshape(len(there), -1), np.array(there, dtype=np.int64))
        texts = {name: [body.texts.get(n) for body in self._bodies] for name, n in fields.texts.items()}
        sparse: dict[str | None, SparseColumn] = {}
        for name, number in fields.sparse.items():
            carried = [i for i, body in enumerate(self._bodies) if number in body.sparse]
            if carried:
                raw = [np.frombuffer(self._bodies[i].sparse[number], dtype="<u4") for i in carried]
                entries = np.concatenate(raw)
                data_of = SparseVectors.of(
                    [len(one) // 2 for one in raw], entries[0::2].copy(), entries[1::2].copy().view("<f4")
                )
                sparse[name] = SparseColumn(data_of, np.array(carried, dtype=np.int64))
        ttl_ms = [max(1, body.expires_at - now_ms) if body.expires_at else FOR_EVER for body in self._bodies]
        rows = Rows(
            [body.id for body in self._bodies], vectors, texts, [body.payload for body in self._bodies], sparse=sparse
        )
        self._db.write(CallContext(), self._name, WriteBatch((Put(PutMode.UPSERT, rows, ttl_ms=ttl_ms),)))
        self.count += len(self._bodies)
        self._bodies, self._vectors, self._nbytes = [], [], 0


def _names(numbers: Any, flag: int = 0) -> dict[str, int]:
    """Names for fields of which only the numbers are known."""
    return {("" if len(numbers) == 1 else f"field{n ^ flag}"): n for n in sorted(numbers)}
