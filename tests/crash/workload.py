"""The process that a fault will hit: an open database under writes of every kind, bounds so tiny that seals,
merges, reaping and new log files happen all the time, and a record of it through a pipe.

    python -m tests.crash.workload ORDERS        # JSON of ``Orders``

It opens the directory, says ``opened`` (``unopened``, and why, when the disk does not let it), then does what its
standard input tells, a word a line:

    report    say what is there (``report``)
    settle    compact every collection, then report
    again ... send writes (JSON) that were in flight when the process before this one ended
    work      write until killed, or until ``end``
    end       let every call under way finish
    probe     say whether the database refuses to write, and why
    reopen    open the database again after a failure, in this process (``reopened``, or ``still`` and why not)
    stop      close the database and end

When the input ends, so does the process. The record (``record``) goes to standard output.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import random
import resource
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from typing import Any

import orjson

from tests.crash import reads
from tests.crash.following import Follower
from tests.crash.record import EXTRA_DIM, FIELDS, FLEETING, LASTING, Op, Write, point_id, schema, text_setting
from tests.crash.report import CONTEXT, report
from tests.crash.trace import mark
from vecdb import failpoint
from vecdb.engine import reaping
from vecdb.engine.database import Database
from vecdb.engine.options import EngineOptions
from vecdb.engine.snapshots.verify import verify
from vecdb.errors import (
    ChangesGone,
    Closed,
    CollectionNotFound,
    ConditionFailed,
    DataDirUnusable,
    DataLoss,
    DeadlineExceeded,
    FailedPrecondition,
    FieldNotFound,
    IndexingBehind,
    PointExists,
    ReadOnly,
    Unavailable,
    VecdbError,
)
from vecdb.model.collection import Indexing
from vecdb.model.context import CallContext
from vecdb.model.point import FOR_EVER, Select, WriteBatch
from vecdb.model.schema import TextField, VectorField
from vecdb.model.schema_change import (
    AddVectorField,
    DropVectorField,
    RenameVectorField,
    SchemaChange,
    SetPayloadColumns,
    SetTextField,
    SetTtl,
)
from vecdb.storage.kv import Batch, WriteStall
from vecdb.storage.rocksdb import RocksKV

NAMES = ("busy-1", "busy-2", "calm", "brief-1", "brief-2", "fading", "quiet-1", "quiet-2")
WEIGHTS = (30, 30, 20, 8, 8, 12, 2, 2)
READ = ("busy-1", "busy-2", "calm", "brief-1", "brief-2", "quiet-1")
"""The collections whose readers are judged; in the others points expire while one looks."""
BRIEF = ("brief-1", "brief-2", "quiet-1")
IDS = 300
PIECE_ROWS, LEAST_DEAD = 64, 10
"""Of ``reaping``: what is dead is given back in such pieces."""
REST_S = 0.3
"""Nobody writes for so long, now and then: several times what makes a collection idle."""
WRITE_BUFFER_BYTES = 256 << 10
CERTAIN = (Closed, CollectionNotFound, ConditionFailed, FieldNotFound, IndexingBehind, PointExists)
"""Refusals after which nothing of the write is there, whatever comes."""
TENDED = {
    "add or drop a field": 24,
    "rename a field": 6,
    "analyze otherwise": 20,
    "cover": 30,
    "compact": 8,
    "index all": 8,
    "defer indexing": 10,
    "rename": 10,
    "alias": 14,
    "time to live": 6,
    "columns": 3,
    "sweep": 8,
    "drop": 20,
    "check": 4,
    "copy": 10,
    "rest": 4,
}
"""What takes the place of an operator, and how often."""
COPY = "copy"
"""The collection that archives are restored to; nobody writes to it."""


@dataclass(frozen=True, slots=True)
class Orders:
    """``first``: the number of the first write. ``failpoints``: as ``failpoint.arm_from_text`` reads it; those of
    loading count from the start, the others from ``work``. ``durable``: share of writes that ask for fsync.
    ``patience_s``: deadline of a write. ``remember``: keep request ids, else logs are cut short at once.
    ``reopen``: close and open the database now and then.
    ``favours``: what the operator does most of the time, one of TENDED.
    ``brisk``: writes of few rows and nothing else, and bounds so wide that little else is synced. ``unreadable``: the
    disk fails reads, so any call may.
    """

    data: str
    seed: int
    first: int
    writers: int = 4
    durable: float = 1.0
    failpoints: str = ""
    favours: str = ""
    brisk: bool = False
    unreadable: bool = False
    reopen: bool = True
    remember: bool = True
    patience_s: float | None = None

    def text(self) -> str:
        """As the command takes it."""
        return orjson.dumps(asdict(self)).decode()


def options(remember: bool = False, brisk: bool = False) -> EngineOptions:
    """Bounds that a few hundred writes meet many times over; ``brisk``: hardly ever."""
    if brisk:
        return EngineOptions(
            index_threads=1,
            search_threads=1,
            idle_seal_s=3_600,
            reopen_pause_s=0,
            disk_reserve_bytes=0,
            min_free_disk_bytes=0,
            write_buffer_bytes=WRITE_BUFFER_BYTES,
            max_total_wal_bytes=WRITE_BUFFER_BYTES,
        )
    return EngineOptions(
        growing_rows=64,
        growing_vector_bytes=4 << 10,
        growing_body_bytes=32 << 10,
        graph_rows=48,
        max_unindexed_bytes=16 << 10,
        seal_bytes=8 << 10,
        max_segment_bytes=96 << 10,
        idle_seal_s=0.05,
        request_memory_s=600.0 if remember else 0.1,
        keep_changes_s=600.0 if remember else 0.1,
        open_collections=4,
        evict_idle_s=0.02,
        index_threads=1,
        search_threads=1,
        write_buffer_bytes=WRITE_BUFFER_BYTES,
        max_total_wal_bytes=WRITE_BUFFER_BYTES // 2,
        block_cache_bytes=1 << 20,
        reopen_pause_s=0,
        disk_reserve_bytes=0,
        min_free_disk_bytes=0,
    )


class Record:
    """The pipe to whoever judges. A line is whole or, when the process dies in it, the last."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def say(self, event: dict[str, Any]) -> None:
        """Write one line; when it returns, the line survives this process."""
        line = memoryview(orjson.dumps(event) + b"\n")
        with self._lock:
            while line:
                line = line[os.write(self._descriptor, line) :]

    def bug(self) -> None:
        """Tell of the exception being handled, which must never happen."""
        self.say({"e": "bug", "text": traceback.format_exc()})


class Stalls:
    """Counts the writes that the store refuses because it is behind."""

    def __init__(self) -> None:
        self.count = 0
        write = RocksKV.write

        def counted(kv: RocksKV, batch: Batch) -> None:
            try:
                write(kv, batch)
            except WriteStall:
                self.count += 1
                raise

        RocksKV.write = counted  # type: ignore[method-assign]


class Doors:
    """Who is inside, and whether more are let in."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._open = True

    @contextlib.contextmanager
    def through(self) -> Iterator[bool]:
        """Go in, or learn (False) that the doors are closed."""
        with self._changed:
            entered = self._open
            self._inside += entered
        try:
            yield entered
        finally:
            with self._changed:
                self._inside -= entered
                self._changed.notify_all()

    def close(self) -> None:
        """Let nobody in."""
        with self._changed:
            self._open = False

    def wait_empty(self) -> None:
        """Until nobody is inside."""
        with self._changed:
            self._changed.wait_for(lambda: not self._inside)

    def open(self) -> None:
        """Let people in again."""
        with self._changed:
            self._open = True


class Workload:
    """Threads that write, read and tend one database."""

    def __init__(self, orders: Orders, record: Record) -> None:
        self._orders = orders
        self._record = record
        self._options = options(orders.remember, orders.brisk)
        self._numbers = iter(range(orders.first, 1 << 60))
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._doors = Doors()
        self._names = {name: Doors() for name in NAMES}
        self._read_only = threading.Event()
        self.database = Database.open(orders.data, self._options)
        self._extra: dict[str, str] = {}  # by collection, the field that has come and has not gone yet
        self._called: dict[str, str] = {}  # by collection, the name it has now
        self._aliased: set[str] = set()
        self._follower = Follower(orders.data)
        self._archives: dict[str, list[list[bytes]]] = {}  # by collection, a whole one and those that go on from it

    def work(self) -> None:
        """Run until ``end``. Every collection that is missing is created first."""
        self._ending.clear()
        self._look_around()
        try:
            for name in NAMES:
                if name not in self._called:
                    self._create(name)
        except ReadOnly as error:
            self._refused(error)
        jobs = [(self._write_one, i) for i in range(self._orders.writers)]
        jobs += [(self._read_one, 100), (self._read_one, 101), (self._follow_one, 102)]
        if not self._orders.brisk:
            jobs += [(self._tend_one, 200)]
        self._threads = [threading.Thread(target=self._repeat, args=job, daemon=True) for job in jobs]
        for thread in self._threads:
            thread.start()

    def _look_around(self) -> None:
        """Learn what was left: names, aliases, fields."""
        for info in self.database.list_collections(CONTEXT):
            name = info.name.partition(".")[0]
            self._called[name] = info.name
            if info.aliases:
                self._aliased.add(name)
            for field in info.schema.vectors.keys() - FIELDS.keys():
                self._extra[name] = field

    def again(self, event: dict[str, Any]) -> None:
        """Send a write with the request id it had; ``done`` in it: it was carried out and may not be again."""
        self._look_around()
        write = Write.of(event)
        if not event["done"]:
            self._submit(write, twice=False)
            return
        batch = WriteBatch(write.operations(), durability="fsync" if write.durable else "os")
        try:
            context = CallContext(request_id=mark(write.number))
            result = self.database.write(context, self._called[write.collection], batch)
        except ReadOnly as error:
            self._refused(error)
        except FieldNotFound:  # a field of it has gone: it is refused before anybody asks whether it is known
            self._record.say({"e": "late", "w": write.number})
        else:
            self._record.say({"e": "again", "w": write.number, "seq": result.seq})

    def end(self) -> None:
        """Let the threads finish what they do."""
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def probe(self) -> dict[str, Any]:
        """Try every kind of call that would change something; those that were refused as read-only, and why."""
        draw = random.Random(0)
        name = self._called[NAMES[0]]
        upsert = WriteBatch(Write(0, NAMES[0], (_upsert(draw, (1, 2)),), True).operations())
        calls = {
            "write": lambda: self.database.write(CONTEXT, name, upsert),
            "write, os": lambda: self.database.write(CONTEXT, name, WriteBatch(upsert.operations, "os")),
            "create": lambda: self.database.create_collection(CONTEXT, "another", schema("another")),
            "drop": lambda: self.database.drop_collection(CONTEXT, name),
            "rename": lambda: self.database.rename_collection(CONTEXT, name, "another"),
            "alias": lambda: self.database.set_alias(CONTEXT, "another", name),
            "change_schema": lambda: self.database.change_schema(CONTEXT, name, SetTtl(LASTING)),
            "set_indexing": lambda: self.database.set_indexing(CONTEXT, name, "deferred"),
        }
        refused = {}
        for what, call in calls.items():
            try:
                call()
            except ReadOnly as error:
                refused[what] = str(error)
        return {"e": "probed", "failure": self.database.failure(), "tried": list(calls), "refused": refused}

    def reopen(self) -> dict[str, Any]:
        """Open the store again after a failure; everybody may work again if that succeeds."""
        try:
            self.database.reopen(CONTEXT)
        except ReadOnly as error:
            return {"e": "still", "text": str(error)}
        self._extra.clear()
        self._read_only.clear()
        for doors in self._names.values():
            doors.open()
        return {"e": "reopened"}

    def settle(self) -> None:
        """Bring every collection to rest."""
        for info in self.database.list_collections(CONTEXT):
            self.database.compact(CONTEXT, info.name)
            self.database.wait_indexed(CallContext.within(60), info.name)

    def _repeat(self, action: Any, number: int) -> None:
        draw = random.Random(self._orders.seed * 1_000 + number)
        while not self._ending.is_set():
            try:
                action(draw)
            except (DataLoss, Unavailable):
                if not self._orders.unreadable:
                    self._record.bug()
                    return
            except BaseException:
                self._record.bug()
                return

    # -- writing

    def _write_one(self, draw: random.Random) -> None:
        name = draw.choices(NAMES, WEIGHTS)[0]
        if name == "fading" and self._orders.durable < 1:
            name = "calm"  # a sweep after the opening would take the numbers of what was lost
        with self._doors.through() as up, self._names[name].through() as there:
            if not (up and there):
                time.sleep(0.001)
                return
            if self._read_only.is_set():
                self._ending.wait(0.05)
                return
            with self._lock:
                number = next(self._numbers)
            durable = draw.random() < self._orders.durable
            ops = invent(draw, name, self._orders.brisk, self._extra.get(name, ""))
            if not self._orders.brisk and draw.random() < 0.12 and name != "fading":
                ops = self._conditional(draw, name) or ops
            self._submit(Write(number, name, ops, durable), twice=draw.random() < 0.05)

    def _conditional(self, draw: random.Random, name: str) -> tuple[Op, ...]:
        """One operation that others may make impossible; nothing when the collection has just gone."""
        ids = tuple(draw.sample(range(10 if name.startswith("quiet") else IDS), draw.randint(1, 3)))
        kind = draw.choice(["upsert"] if name.startswith("quiet") else ["upsert", "update", "delete"])
        gives = "" if kind == "delete" else "vspt"
        what = draw.choice(["absent", "exists", "version", "version", "row"])
        if what == "absent":
            return (Op("upsert", ids, "vsptw", condition=(what,)),)
        if what != "version":
            return (Op(kind, ids[:1], gives, condition=(what, *([draw.randrange(4)] if what == "row" else []))),)
        try:
            found = self.database.get(CONTEXT, self._called[name], [point_id(n) for n in ids], Select(False, False))
        except (CollectionNotFound, Closed):
            return ()
        versions = dict(zip(found.ids, found.versions.tolist(), strict=True))
        if draw.random() < 0.3:
            versions = {i: version - 1 for i, version in versions.items()}  # one that is not there any more
        return (Op(kind, ids, gives, condition=(what, *(versions.get(point_id(n), 0) for n in ids))),)

    def _submit(self, write: Write, twice: bool) -> None:
        """Record the question, ask, and record the answer, or that there is certainly nothing of the write."""
        self._record.say(write.event())
        try:
            self._send(write, twice)
        except CERTAIN as error:
            self._record.say({"e": "write-", "w": write.number, "reason": error.reason})
        except ReadOnly as error:  # whether the write is there is known after the next opening
            self._refused(error)
        except DeadlineExceeded:  # so it is here
            self._record.say({"e": "late", "w": write.number})
        except (DataLoss, Unavailable):
            self._record.say({"e": "late", "w": write.number})
            raise

    def _refused(self, error: ReadOnly) -> None:
        """The database is read-only from now on: the writers stop."""
        self._record.say({"e": "read_only", "text": str(error)})
        self._read_only.set()

    def _send(self, write: Write, twice: bool) -> None:
        batch = WriteBatch(write.operations(), durability="fsync" if write.durable else "os")
        context = CallContext.within(self._orders.patience_s, request_id=mark(write.number))
        name = self._called[write.collection]
        if write.collection in self._aliased and write.number % 4 == 0:
            name = alias_of(write.collection)
        result = self.database.write(context, name, batch)
        self._record.say({"e": "write!", "w": write.number, "seq": result.seq, "count": result.count})
        if twice and result.count and self._orders.remember:
            with contextlib.suppress(*CERTAIN, ReadOnly):
                again = self.database.write(context, name, batch)
                if again != result:
                    self._record.say({"e": "bug", "text": f"write {write.number} again gave {again}, not {result}"})

    # -- reading

    def _read_one(self, draw: random.Random) -> None:
        self._ending.wait(0.005)
        name = draw.choices(NAMES, WEIGHTS)[0]
        question = reads.invent(draw, IDS)
        with self._doors.through() as up:
            if not up:
                time.sleep(0.001)
                return
            with self._lock:
                number = next(self._numbers)
            judged = name in READ
            if judged:
                self._record.say({"e": "read?", "r": number, "c": name})
            try:
                got = reads.ask(self.database, self._called[name], question)
            except (CollectionNotFound, FieldNotFound, Closed):
                return
            except FailedPrecondition:  # nothing is indexed there just now
                if question[0] in ("words", "hybrid"):
                    return
                raise
            if judged:
                self._record.say({"e": "read!", "r": number, "ask": question, "got": got})

    def _follow_one(self, draw: random.Random) -> None:
        """What a follower of the changes has, once it has caught up, is what a reader would see."""
        self._ending.wait(0.02)
        name = draw.choice(READ)
        with self._doors.through() as up:
            if not up:
                return
            with self._lock:
                number = next(self._numbers)
            self._record.say({"e": "read?", "r": number, "c": name})
            try:
                got = self._follower.caught_up(self.database, name, self._called[name])
            except (CollectionNotFound, ChangesGone, Closed):
                return
            self._record.say({"e": "read!", "r": number, "ask": ["followed"], "got": got})

    # -- what takes the place of an operator

    def _tend_one(self, draw: random.Random) -> None:
        self._ending.wait(draw.random() * 0.1)
        chances = TENDED | {"reopen": 4 * self._orders.reopen}
        what = draw.choices(list(chances), list(chances.values()))[0]
        if self._orders.favours and draw.random() < 0.7:
            what = self._orders.favours
        try:
            self._tend(what, draw, draw.choices(NAMES, WEIGHTS)[0])
        except ReadOnly as error:
            self._refused(error)
        except (CollectionNotFound, DeadlineExceeded, Unavailable):
            return

    def _tend(self, what: str, draw: random.Random, name: str) -> None:
        called = self._called[name]
        match what:
            case "cover":
                self.database.cover(CONTEXT, called)
            case "compact":
                self.database.compact(CONTEXT, called)
            case "index all":
                self.database.wait_indexed(CallContext.within(0.2), called)  # others write, so it may never end
            case "sweep":
                self.database.sweep(CONTEXT, self._called["fading"])
            case "check":
                if problems := self.database.check(CONTEXT):
                    self._record.say({"e": "bug", "text": f"check: {problems}"})
            case "add or drop a field":
                self._change_fields(name)
            case "rename a field":
                self._rename_field(name)
            case "analyze otherwise":
                analyzer = draw.choice(["multilingual", "english", "whitespace"])
                analyzed = TextField(analyzer, keywords=draw.random() < 0.9)
                change: SchemaChange = SetTextField("", analyzed)
                self._set(name, "text", text_setting(analyzed), lambda: self._change(name, change))
                if draw.random() < 0.5:
                    self.database.wait_indexed(CallContext.within(0.5), called)
            case "time to live":
                change = SetTtl(draw.choice([0, LASTING]))
                self._set(name, "ttl_ms", change.ttl_ms, lambda: self._change(name, change))
            case "columns":
                change = SetPayloadColumns(draw.random() < 0.7)
                self._set(name, "columns", change.on, lambda: self._change(name, change))
            case "defer indexing":
                mode: Indexing = "deferred" if draw.random() < 0.2 else "auto"
                self._set(name, "indexing", mode, lambda: self.database.set_indexing(CONTEXT, called, mode))
            case "rename":
                self._rename(draw.choice(["calm", *BRIEF]))
            case "alias":
                self._alias(name)
            case "copy":
                self._copy(draw.choice(["busy-1", "busy-2", "calm"]), draw.random() < 0.5)
            case "rest":
                self._rest()
            case "drop":
                self._drop(draw.choice(BRIEF), draw.random() < 0.5)
            case _:
                self._reopen(draw.random() < 0.5)

    def _change(self, name: str, change: SchemaChange) -> None:
        self.database.change_schema(CONTEXT, self._called[name], change)

    def _set(self, name: str, key: str, value: Any, call: Callable[[], object]) -> None:
        """Set something, and say before and after what it is to be."""
        self._record.say({"e": "set?", "c": name, "k": key, "v": value})
        call()
        self._record.say({"e": "set!", "c": name, "k": key, "v": value})

    def _rename(self, name: str) -> None:
        """Rename a collection while others use it by the name it had."""
        with self._lock:
            new = f"{name}.{next(self._numbers)}"
        old = self._called[name]
        self._set(name, "name", new, lambda: self.database.rename_collection(CONTEXT, old, new))
        self._called[name] = new

    def _alias(self, name: str) -> None:
        alias = alias_of(name)
        if name in self._aliased:
            self._aliased.discard(name)
            self._set(name, "aliases", [], lambda: self.database.drop_alias(CONTEXT, alias))
        else:
            called = self._called[name]
            self._set(name, "aliases", [alias], lambda: self.database.set_alias(CONTEXT, alias, called))
            self._aliased.add(name)

    def _copy(self, name: str, goes_on: bool) -> None:
        """Make a copy of a collection that others write to, of an archive and, with ``goes_on``, one that goes on from
        the last; drop the copy that is there first.
        """
        if COPY in self._called:
            self._record.say({"e": "drop?", "c": COPY})
            self.database.drop_collection(CONTEXT, self._called.pop(COPY))
            self._record.say({"e": "drop!", "c": COPY})
        chain = self._archives.pop(name, []) if goes_on else []
        base = verify(chain)[-1].as_base() if chain else None
        called = self._called[name]
        chain.append(list(self.database.snapshot(CONTEXT, [called], base)))
        (held,) = verify(chain)[-1].collections
        event = {"c": COPY, "of": name, "seq": int(held.token.rpartition(":")[2])}
        self._record.say({"e": "restore?", **event})
        self.database.restore(CONTEXT, chain, rename={called: COPY})
        self._record.say({"e": "restore!", **event})
        self._called[COPY] = COPY
        self._archives[name] = chain[:3]

    def _change_fields(self, name: str) -> None:
        """Add a vector field, or drop the one that came last, while others write to it."""
        there = self._extra.get(name)
        if there is None:
            field = self._new_field()
            self._record.say({"e": "add?", "c": name, "f": field})
            self._change(name, AddVectorField(field, VectorField(EXTRA_DIM, "dot", 4, 20)))
            self._record.say({"e": "add!", "c": name, "f": field})
            self._extra[name] = field
        else:
            self._record.say({"e": "shed?", "c": name, "f": there})
            self._change(name, DropVectorField(there))
            self._record.say({"e": "shed!", "c": name, "f": there})
            del self._extra[name]

    def _rename_field(self, name: str) -> None:
        """Rename the vector field that came last, while others write to it."""
        there = self._extra.get(name)
        if there is not None:
            field = self._new_field()
            self._record.say({"e": "move?", "c": name, "f": there, "to": field})
            self._change(name, RenameVectorField(there, field))
            self._record.say({"e": "move!", "c": name, "f": there, "to": field})
            self._extra[name] = field

    def _new_field(self) -> str:
        with self._lock:
            return f"extra-{next(self._numbers)}"

    def _create(self, name: str) -> None:
        self._record.say({"e": "create?", "c": name})
        self.database.create_collection(CONTEXT, name, schema(name))
        self._called[name] = name
        self._record.say({"e": "create!", "c": name})

    def _drop(self, name: str, crowded: bool) -> None:
        """Drop a collection while others write to it (``crowded``) or after they left, and make it again."""
        doors = self._names[name]
        if not crowded:
            doors.close()
            doors.wait_empty()
        self._record.say({"e": "drop?", "c": name})
        self._extra.pop(name, None)
        self._aliased.discard(name)
        self.database.drop_collection(CONTEXT, self._called[name])
        self._record.say({"e": "drop!", "c": name})
        doors.close()
        doors.wait_empty()
        self._create(name)
        doors.open()

    def _rest(self) -> None:
        self._doors.close()
        self._doors.wait_empty()
        self._ending.wait(REST_S)
        self._doors.open()

    def _reopen(self, crowded: bool) -> None:
        self._doors.close()
        if not crowded:
            self._doors.wait_empty()
        self.database.close()
        self._doors.wait_empty()
        self.database = Database.open(self._orders.data, self._options)
        self._doors.open()


def alias_of(name: str) -> str:
    """What a collection is also called, now and then."""
    return f"also-{name}"


def invent(draw: random.Random, name: str, brisk: bool = False, extra: str = "") -> tuple[Op, ...]:
    """Operations of one batch. A batch that writes or deletes no point changes nothing, and the other way round.

    ``extra``: a vector field that has come; some of the puts give vectors in it.
    """
    if name == "fading":
        return (_fading(draw),)
    kind = draw.choices(
        ["one", "some", "insert", "payload", "vector", "delete", "where", "many", "several", "clear"],
        [40, 18, 4, 12, 8, 10, 6, *((0, 0, 0) if brisk else (4, 8, 0.6))],
    )[0]
    if extra and kind in ("one", "some", "vector") and not name.startswith("quiet") and draw.random() < 0.5:
        put = "update" if kind == "vector" else "upsert"
        return (
            Op(put, _ids(draw, 1 if kind == "one" else draw.randint(2, 60)), draw.choice(["x", "vx", "vpx"]), extra),
        )
    if kind == "where" and not name.startswith("quiet"):
        return (Op(draw.choice(["delete_where", "update_where", "merge_where"]), (draw.randint(2, 60),)),)
    if name.startswith("quiet"):
        return (_upsert(draw, _ids(draw, draw.randint(1, 3), 10)),)
    if kind == "one":
        return (_upsert(draw, _ids(draw, 1)),)
    if kind == "some":
        return (_upsert(draw, _ids(draw, draw.randint(2, 60))),)
    if kind == "many":
        return (_upsert(draw, _ids(draw, draw.randint(65, 220))),)
    if kind == "insert":
        return (Op("insert", tuple(draw.sample(range(IDS), draw.randint(1, 3))), "vspt"),)
    if kind == "payload":
        merges = draw.random() < 0.3
        ids = _ids(draw, draw.randint(1, 20))
        return (Op("merge", ids) if merges else Op("update", ids, draw.choice(["p", "t", "n", "w", "pt"])),)
    if kind == "vector":
        return (Op("update", _ids(draw, draw.randint(1, 20)), draw.choice(["v", "h", "s", "vsp", "r"])),)
    if kind == "delete":
        return (Op("delete", _ids(draw, draw.randint(1, 20))),)
    if kind == "clear":
        return (Op("clear"),)
    ops = [_upsert(draw, _ids(draw, draw.randint(1, 90)))]
    for _ in range(draw.randint(1, 4)):
        other = draw.choice(["upsert", "update", "delete"])
        ids = _ids(draw, draw.randint(1, 30))
        ops.append(_upsert(draw, ids) if other == "upsert" else Op(other, ids, "" if other == "delete" else "vp"))
    ops.append(_upsert(draw, _ids(draw, 2)))
    return tuple(ops)


def _upsert(draw: random.Random, ids: tuple[int, ...]) -> Op:
    gives = draw.choice(["vspt", "vsptnw", "vspnw", "vp", "hrp", "sptw", "ptn", "v"])
    return Op("upsert", ids, gives, ttl_ms=draw.choices([0, LASTING, FOR_EVER], [6, 1, 1])[0])


def _fading(draw: random.Random) -> Op:
    """A write where points expire at once: by what they are written with, or because an update says so."""
    ids = _ids(draw, draw.randint(1, 12), 60)
    kind = draw.choices(["upsert", "update", "merge", "delete", "delete_where", "update_where"], [8, 4, 1, 2, 1, 1])[0]
    if kind == "upsert":
        return Op(kind, ids, "vsptnw", ttl_ms=draw.choice([0, LASTING, FLEETING, FLEETING]))
    if kind == "update":
        return Op(kind, ids, draw.choice(["v", "p", "tw"]), ttl_ms=draw.choice([0, 0, FLEETING]))
    return Op(kind, ids[:1] if kind.endswith("where") else ids)


def _ids(draw: random.Random, n: int, of: int = IDS) -> tuple[int, ...]:
    return tuple(draw.randrange(of) for _ in range(n))


def born(orders: str, told: Connection, says: Connection, errors: str) -> None:
    """``main`` in a process that was forked: its standard streams are put in place first."""
    with open(errors, "ab") as file:
        for number, descriptor in enumerate((told.fileno(), says.fileno(), file.fileno())):
            os.dup2(descriptor, number)
    told.close()
    says.close()
    sys.stdin, sys.stderr = open(0, closefd=False), open(2, "w", closefd=False)  # noqa: SIM115 - as long as it lives
    sys.argv = ["workload", orders]
    main()


def main() -> None:
    """See the module."""
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    orders = Orders(**orjson.loads(sys.argv[1]))
    record = Record(os.dup(1))
    os.dup2(2, 1)  # whatever libraries print is not part of the record
    loading = [part for part in orders.failpoints.split(",") if part.startswith("load.")]
    failpoint.arm_from_text(",".join(loading))
    if not orders.brisk:
        reaping.PIECE_ROWS, reaping.LEAST_DEAD = PIECE_ROWS, LEAST_DEAD
    began = time.monotonic()
    stalls = Stalls()
    try:
        try:
            workload = Workload(orders, record)
        except DataDirUnusable as error:
            record.say({"e": "unopened", "text": str(error)})
            os._exit(0)
        record.say({"e": "opened", "pid": os.getpid(), "ms": round(1000 * (time.monotonic() - began))})
        for line in sys.stdin:
            word = line.strip()
            if word.startswith("again "):
                for event in orjson.loads(word.removeprefix("again ")):
                    workload.again(event)
            elif word in ("report", "settle"):
                if word == "settle":
                    workload.settle()
                record.say(report(workload.database))
            elif word == "work":
                failpoint.arm_from_text(",".join(set(orders.failpoints.split(",")) - set(loading)))
                workload.work()
            elif word == "end":
                workload.end()
                record.say({"e": "ended", "stalls": stalls.count})
            elif word == "reopen":
                record.say(workload.reopen())
            elif word == "probe":
                record.say(workload.probe())
            elif word == "stop":
                workload.database.close()
                record.say({"e": "closed"})
                break
    except VecdbError:
        record.bug()
        os._exit(1)
    os._exit(0)  # the threads that still work are of no more use


if __name__ == "__main__":
    main()
