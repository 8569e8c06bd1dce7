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
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import orjson

from tests.crash.record import DIMS, EXTRA_DIM, Op, Write, point_id, schema
from tests.crash.report import CONTEXT, report
from tests.crash.trace import mark
from vecdb import failpoint
from vecdb.engine.database import Database
from vecdb.engine.options import EngineOptions
from vecdb.errors import (
    Closed,
    CollectionNotFound,
    DataDirUnusable,
    DeadlineExceeded,
    FailedPrecondition,
    FieldNotFound,
    IndexingBehind,
    PointExists,
    ReadOnly,
    Unavailable,
    VecdbError,
)
from vecdb.model.context import CallContext
from vecdb.model.keyword import Keyword
from vecdb.model.point import Select, WriteBatch
from vecdb.model.query import Near, SearchRequest
from vecdb.model.schema import TextField, VectorField
from vecdb.model.schema_change import AddVectorField, DropVectorField, SetTextField

NAMES = ("busy-1", "busy-2", "calm", "brief-1", "brief-2", "quiet-1", "quiet-2")
WEIGHTS = (30, 30, 20, 8, 8, 2, 2)
IDS = 300
CERTAIN = (Closed, CollectionNotFound, FieldNotFound, IndexingBehind, PointExists)
"""Refusals after which nothing of the write is there, whatever comes."""


@dataclass(frozen=True, slots=True)
class Orders:
    """``first``: the number of the first write. ``failpoints``: as ``failpoint.arm_from_text`` reads it; those of
    loading count from the start, the others from ``work``. ``durable``: share of writes that ask for fsync.
    ``patience_s``: deadline of a write. ``remember``: keep request ids, else logs are cut short at once.
    ``reopen``: close and open the database now and then.
    ``brisk``: writes of few rows and nothing else, and bounds so wide that little else is synced.
    """

    data: str
    seed: int
    first: int
    writers: int = 4
    durable: float = 1.0
    failpoints: str = ""
    brisk: bool = False
    reopen: bool = True
    remember: bool = True
    patience_s: float | None = None

    def text(self) -> str:
        """As the command takes it."""
        return orjson.dumps(asdict(self)).decode()


def options(remember: bool = False, brisk: bool = False) -> EngineOptions:
    """Bounds that a few hundred writes meet many times over; ``brisk``: hardly ever."""
    if brisk:
        return EngineOptions(index_threads=1, search_threads=1, idle_seal_s=3_600, reopen_pause_s=0)
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
        open_collections=4,
        evict_idle_s=0.02,
        index_threads=1,
        search_threads=1,
        write_buffer_bytes=256 << 10,
        max_total_wal_bytes=128 << 10,
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

    def work(self) -> None:
        """Run until ``end``. Every collection that is missing is created first."""
        self._ending.clear()
        there = {info.name: info.schema for info in self.database.list_collections(CONTEXT)}
        for name, about in there.items():
            for field in about.vectors.keys() - DIMS.keys():
                self._extra[name] = field
        try:
            for name in NAMES:
                if name not in there:
                    self._create(name)
        except ReadOnly as error:
            self._refused(error)
        jobs = [(self._write_one, i) for i in range(self._orders.writers)]
        jobs += [(self._read_one, 100)]
        if not self._orders.brisk:
            jobs += [(self._tend_one, 200)]
        self._threads = [threading.Thread(target=self._repeat, args=job, daemon=True) for job in jobs]
        for thread in self._threads:
            thread.start()

    def again(self, event: dict[str, Any]) -> None:
        """Send a write with the request id it had; ``done`` in it: it was carried out and may not be again."""
        write = Write.of(event)
        if not event["done"]:
            self._submit(write, twice=False)
            return
        batch = WriteBatch(write.operations(), durability="fsync" if write.durable else "os")
        try:
            result = self.database.write(CallContext(request_id=mark(write.number)), write.collection, batch)
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
        name = NAMES[0]
        upsert = WriteBatch(Write(0, name, (_upsert(draw, (1, 2)),), True).operations())
        calls = {
            "write": lambda: self.database.write(CONTEXT, name, upsert),
            "write, os": lambda: self.database.write(CONTEXT, name, WriteBatch(upsert.operations, "os")),
            "create": lambda: self.database.create_collection(CONTEXT, "another", schema("another")),
            "drop": lambda: self.database.drop_collection(CONTEXT, name),
            "set_indexing": lambda: self.database.set_indexing(CONTEXT, name, "deferred"),
        }
        refused = {}
        for what, call in calls.items():
            try:
                call()
            except ReadOnly as error:
                refused[what] = str(error)
        return {"e": "probed", "failure": self.database.failure(), "tried": list(calls), "refused": refused}

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
            except BaseException:
                self._record.bug()
                return

    # -- writing

    def _write_one(self, draw: random.Random) -> None:
        name = draw.choices(NAMES, WEIGHTS)[0]
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
            write = Write(number, name, invent(draw, name, self._orders.brisk, self._extra.get(name, "")), durable)
            self._submit(write, twice=draw.random() < 0.05)

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

    def _refused(self, error: ReadOnly) -> None:
        """The database is read-only from now on: the writers stop."""
        self._record.say({"e": "read_only", "text": str(error)})
        self._read_only.set()

    def _send(self, write: Write, twice: bool) -> None:
        batch = WriteBatch(write.operations(), durability="fsync" if write.durable else "os")
        context = CallContext.within(self._orders.patience_s, request_id=mark(write.number))
        result = self.database.write(context, write.collection, batch)
        self._record.say({"e": "write!", "w": write.number, "seq": result.seq, "count": result.count})
        if twice and result.count and self._orders.remember:
            with contextlib.suppress(*CERTAIN, ReadOnly):
                again = self.database.write(context, write.collection, batch)
                if again != result:
                    self._record.say({"e": "bug", "text": f"write {write.number} again gave {again}, not {result}"})

    # -- reading

    def _read_one(self, draw: random.Random) -> None:
        self._ending.wait(0.005)
        name = draw.choices(NAMES, WEIGHTS)[0]
        field = draw.choice([*DIMS, self._extra.get(name, "")])
        dim = DIMS.get(field, EXTRA_DIM)
        queries = np.random.default_rng(draw.randrange(1 << 30)).standard_normal((2, dim)).astype(np.float32)
        request = SearchRequest([Near(queries, field)], limit=draw.choice([1, 10, 100]), exact=draw.random() < 0.2)
        with self._doors.through() as up:
            if not up:
                time.sleep(0.001)
                return
            try:
                self.database.search(CONTEXT, name, request)
                self._read_words(draw, name)
                ids = [point_id(draw.randrange(IDS)) for _ in range(20)]
                self.database.get(CONTEXT, name, ids, Select(vectors=True))
                self.database.scroll(CONTEXT, name, ids[0], 20, Select())
                self.database.count(CONTEXT, name)
            except (CollectionNotFound, FieldNotFound, Closed):
                return

    def _read_words(self, draw: random.Random, name: str) -> None:
        request = SearchRequest([Keyword([f"text 文本 {draw.randrange(60)}"])])
        with contextlib.suppress(FailedPrecondition):  # nothing is indexed there just now
            self.database.search(CONTEXT, name, request)

    # -- what takes the place of an operator

    def _tend_one(self, draw: random.Random) -> None:
        self._ending.wait(draw.random() * 0.1)
        name = draw.choices(NAMES, WEIGHTS)[0]
        chances = {
            "field": 30,
            "analyzer": 30,
            "cover": 30,
            "compact": 8,
            "indexed": 8,
            "drop": 20,
            "check": 8,
            "reopen": 4 * self._orders.reopen,
        }
        what = draw.choices(list(chances), list(chances.values()))[0]
        try:
            if what == "cover":
                self.database.cover(CONTEXT, name)
            elif what == "compact":
                self.database.compact(CONTEXT, name)
            elif what == "indexed":
                self.database.wait_indexed(CallContext.within(0.2), name)  # others write, so it may never end
            elif what == "check":
                if problems := self.database.check(CONTEXT):
                    self._record.say({"e": "bug", "text": f"check: {problems}"})
            elif what == "field":
                self._change_fields(name)
            elif what == "analyzer":
                analyzed = TextField(
                    draw.choice(["multilingual", "english", "whitespace"]), keywords=draw.random() < 0.9
                )
                self.database.change_schema(CONTEXT, name, SetTextField("", analyzed))
            elif what == "drop":
                self._drop(draw.choice(["brief-1", "brief-2", "quiet-1"]), draw.random() < 0.5)
            else:
                self._reopen(draw.random() < 0.5)
        except ReadOnly as error:
            self._refused(error)
        except (CollectionNotFound, DeadlineExceeded, Unavailable):
            return

    def _change_fields(self, name: str) -> None:
        """Add a vector field, or drop the one that came last, while others write to it."""
        there = self._extra.get(name)
        if there is None:
            with self._lock:
                field = f"extra-{next(self._numbers)}"
            self._record.say({"e": "add?", "c": name, "f": field})
            self.database.change_schema(CONTEXT, name, AddVectorField(field, VectorField(EXTRA_DIM, "dot", 4, 20)))
            self._record.say({"e": "add!", "c": name, "f": field})
            self._extra[name] = field
        else:
            self._record.say({"e": "shed?", "c": name, "f": there})
            self.database.change_schema(CONTEXT, name, DropVectorField(there))
            self._record.say({"e": "shed!", "c": name, "f": there})
            del self._extra[name]

    def _create(self, name: str) -> None:
        self._record.say({"e": "create?", "c": name})
        self.database.create_collection(CONTEXT, name, schema(name))
        self._record.say({"e": "create!", "c": name})

    def _drop(self, name: str, crowded: bool) -> None:
        """Drop a collection while others write to it (``crowded``) or after they left, and make it again."""
        doors = self._names[name]
        if not crowded:
            doors.close()
            doors.wait_empty()
        self._record.say({"e": "drop?", "c": name})
        self._extra.pop(name, None)
        self.database.drop_collection(CONTEXT, name)
        self._record.say({"e": "drop!", "c": name})
        doors.close()
        doors.wait_empty()
        self._create(name)
        doors.open()

    def _reopen(self, crowded: bool) -> None:
        self._doors.close()
        if not crowded:
            self._doors.wait_empty()
        self.database.close()
        self._doors.wait_empty()
        self.database = Database.open(self._orders.data, self._options)
        self._doors.open()


def invent(draw: random.Random, name: str, brisk: bool = False, extra: str = "") -> tuple[Op, ...]:
    """Operations of one batch. A batch that writes or deletes no point changes nothing, and the other way round.

    ``extra``: a vector field that has come; some of the puts give vectors in it.
    """
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
        return (Op(draw.choice(["delete_where", "update_where"]), (draw.randint(2, 60),)),)
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
        return (Op("update", _ids(draw, draw.randint(1, 20)), draw.choice(["p", "t", "pt"])),)
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
    return Op("upsert", ids, draw.choice(["vspt", "vspt", "vspt", "vp", "hrp", "sp", "pt", "v"]))


def _ids(draw: random.Random, n: int, of: int = IDS) -> tuple[int, ...]:
    return tuple(draw.randrange(of) for _ in range(n))


def main() -> None:
    """See the module."""
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    orders = Orders(**orjson.loads(sys.argv[1]))
    record = Record(os.dup(1))
    os.dup2(2, 1)  # whatever libraries print is not part of the record
    loading = [part for part in orders.failpoints.split(",") if part.startswith("load.")]
    failpoint.arm_from_text(",".join(loading))
    began = time.monotonic()
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
                record.say({"e": "ended"})
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
