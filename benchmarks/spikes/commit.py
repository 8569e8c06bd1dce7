"""Spike: how to make a write durable without stopping the process. Answers docs/decisions/0001-commit.md.

    python -m benchmarks.spikes.commit                 # all parts, about two minutes
    python -m benchmarks.spikes.commit matrix slices   # some of them
    python -m benchmarks.spikes.commit --json out.json --dir /a/disk/to/measure

Parts: ``matrix`` (who syncs: writers x rows), ``slices`` (how much in one write), ``delay`` (a slow disk),
``syscalls`` (what is synced before an acknowledgement), ``tail`` (a lost tail of an older log), ``blobs``
(bytes written). ``delay`` and ``syscalls`` need strace. Ratios within one run mean something, single
times do not: other work on the machine moves them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import rocksdict

from vecdb.storage import rocksdb
from vecdb.storage.kv import WriteStall
from vecdb.storage.rocksdb import RocksKV, StoreOptions

VALUE_BYTES = 3072
SLICE_ROWS = 64
SWITCH_INTERVAL_S = 0.0005
GATHER_FROM_S = 0.002
POOL = os.urandom(1 << 20)

Table = list[dict[str, Any]]


def value(i: int) -> bytes:
    """3 KB that no compression makes smaller."""
    start = i * 7919 % (len(POOL) - VALUE_BYTES)
    return POOL[start : start + VALUE_BYTES]


# ---------------------------------------------------------------- what is measured beside the writes


class Heartbeat:
    """A thread that wants the GIL every half millisecond; its longest gap is what a search would wait."""

    def __init__(self) -> None:
        self.gaps_s: list[float] = []
        self._stop = False
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop = True
        self._thread.join()

    def _beat(self) -> None:
        last = time.perf_counter()
        while not self._stop:
            time.sleep(0.0005)
            now = time.perf_counter()
            self.gaps_s.append(now - last)
            last = now


def percentile_ms(seconds: Sequence[float], share: float) -> float:
    ordered = sorted(seconds)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1e3, 2) if ordered else float("nan")


# ---------------------------------------------------------------- three ways to commit


@dataclass
class Request:
    """A writer's batch and the event it waits for."""

    first_row: int
    rows: int
    done: threading.Event = field(default_factory=threading.Event)


class EachSyncs:
    """Every writer writes and syncs its own batch in one call; rocksdict holds the GIL for both."""

    def __init__(self, path: Path) -> None:
        self.db = rocksdict.Rdict(str(path), rocksdb._rocks_options(StoreOptions()))
        self.option = rocksdict.WriteOptions()
        self.option.sync = True
        self.writes_s: list[float] = []
        self.syncs = self.stalls = 0

    def commit(self, request: Request) -> None:
        batch = rocksdict.WriteBatch(raw_mode=True)
        for i in range(request.first_row, request.first_row + request.rows):
            batch.put(b"v%012d" % i, value(i))
            batch.put(b"p%012d" % i, b"x" * 16)
        began = time.perf_counter()
        self.db.write(batch, self.option)
        self.writes_s.append(time.perf_counter() - began)
        self.syncs += 1

    def close(self) -> None:
        self.db.close()


class Queue:
    """Requests on their way from one thread to the next, taken all at once."""

    def __init__(self) -> None:
        self._requests: list[Request] = []
        self._closed = False
        self._changed = threading.Condition()

    def put(self, requests: list[Request]) -> None:
        with self._changed:
            self._requests += requests
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()

    def take(self, hoped_for: int = 1, wait_s: float = 0.0) -> list[Request]:
        """All there are, as soon as there is one; waits a little for more. Empty when closed and done."""
        with self._changed:
            self._changed.wait_for(lambda: self._requests or self._closed)
            if wait_s:
                self._changed.wait_for(lambda: len(self._requests) >= hoped_for or self._closed, wait_s)
            taken, self._requests = self._requests, []
            return taken


class Committer:
    """One thread takes all batches that wait, writes them in slices, syncs, acknowledges.

    With ``gather`` a sync waits until as many batches are ready as were outstanding when the last one ended,
    for 2 ms at most: or half of the writers would always wait for the other half. A fast disk needs none of it.
    """

    def __init__(self, path: Path, gather: bool = False, slice_rows: int = SLICE_ROWS, kv: Any = None) -> None:
        self.kv = kv or RocksKV(path)
        self.slice_rows = slice_rows
        self.writes_s: list[float] = []
        self.syncs = self.stalls = 0
        self._gather = gather
        self._outstanding = 0
        self._hoped_for = 1
        self._last_sync_s = 0.0
        self._counting = threading.Lock()
        self._waiting = Queue()
        self._threads = [threading.Thread(target=target) for target in self._loops()]
        for thread in self._threads:
            thread.start()

    def commit(self, request: Request) -> None:
        with self._counting:
            self._outstanding += 1
        self._waiting.put([request])
        request.done.wait()

    def close(self) -> None:
        self._waiting.close()
        for thread in self._threads:
            thread.join()
        self.kv.close()

    def _loops(self) -> list[Callable[[], None]]:
        return [self._write_and_sync]

    def _write_and_sync(self) -> None:
        while group := self._next_to_sync(self._waiting):
            self._write_group(group)
            self._sync(group)

    def _next_to_sync(self, queue: Queue) -> list[Request]:
        slow = self._last_sync_s >= GATHER_FROM_S
        return queue.take(self._hoped_for, GATHER_FROM_S if self._gather and slow else 0.0)

    def _write_group(self, group: list[Request]) -> None:
        for request in group:
            rows = range(request.first_row, request.first_row + request.rows)
            for at in range(0, len(rows), self.slice_rows):
                self._write([(b"v%012d" % i, value(i)) for i in rows[at : at + self.slice_rows]])
        self._write([(b"p%012d" % r.first_row, b"x" * 16 * r.rows) for r in group])

    def _write(self, pairs: list[tuple[bytes, bytes]]) -> None:
        wait_s = 0.001
        while True:
            batch = self.kv.batch()
            for key, one in pairs:
                batch.put(key, one)
            began = time.perf_counter()
            try:
                self.kv.write(batch)
            except WriteStall:
                self.stalls += 1
                time.sleep(wait_s)
                wait_s = min(wait_s * 2, 0.05)
                continue
            self.writes_s.append(time.perf_counter() - began)
            return

    def _sync(self, group: list[Request]) -> None:
        began = time.perf_counter()
        self.kv.sync()
        self._last_sync_s = time.perf_counter() - began
        with self._counting:
            self._hoped_for = self._outstanding
            self._outstanding -= len(group)
        self.syncs += 1
        for request in group:
            request.done.set()


class Pipeline(Committer):
    """As above, but a second thread syncs: the next group is written while this one is made durable."""

    def _loops(self) -> list[Callable[[], None]]:
        self._written = Queue()
        return [self._write_loop, self._sync_loop]

    def _write_loop(self) -> None:
        while group := self._waiting.take():
            self._write_group(group)
            self._written.put(group)
        self._written.close()

    def _sync_loop(self) -> None:
        while group := self._next_to_sync(self._written):
            self._sync(group)


class NoStore:
    """The control: what the threads and the building of batches cost by themselves."""

    def batch(self) -> NoStore:
        return self

    def put(self, key: bytes, value: bytes) -> None: ...

    def write(self, batch: NoStore) -> None: ...

    def sync(self) -> None:
        time.sleep(0.0003)

    def close(self) -> None: ...


WAYS: dict[str, Callable[[Path], EachSyncs | Committer]] = {
    "each syncs": EachSyncs,
    "committer": Committer,
    "committer, gathers": lambda path: Committer(path, gather=True),
    "pipeline": Pipeline,
    "pipeline, gathers": lambda path: Pipeline(path, gather=True),
}


def cell(way: str, writers: int, rows: int, seconds: float, folder: Path) -> dict[str, Any]:
    """One closed loop of ``writers`` threads that commit ``rows`` rows each and wait."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    with scratch(folder) as path:
        store = WAYS[way](path)
        latencies: list[float] = []
        stop = time.perf_counter() + seconds

        def write(writer: int) -> None:
            at = writer * 10**9
            while time.perf_counter() < stop:
                began = time.perf_counter()
                store.commit(Request(at, rows))
                latencies.append(time.perf_counter() - began)
                at += rows

        threads = [threading.Thread(target=write, args=[n]) for n in range(writers)]
        began = time.perf_counter()
        with Heartbeat() as heart:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        took = time.perf_counter() - began
        store.close()
    return {
        "way": way,
        "writers": writers,
        "rows": rows,
        "commits/s": round(len(latencies) / took),
        "rows/s": round(len(latencies) * rows / took),
        "p50 ms": percentile_ms(latencies, 0.5),
        "p99 ms": percentile_ms(latencies, 0.99),
        "commits a sync": round(len(latencies) / max(1, store.syncs), 1),
        "stalls": store.stalls,
        "write p99 ms": percentile_ms(store.writes_s, 0.99),
        "gap p99 ms": percentile_ms(heart.gaps_s, 0.99),
        "gap max ms": percentile_ms(heart.gaps_s, 1.0),
    }


def matrix(seconds: float, folder: Path) -> Table:
    """Who syncs, for few and many writers and rows."""
    return [
        cell(way, writers, rows, seconds, folder) for rows in (1, 64, 1000) for writers in (1, 4, 16) for way in WAYS
    ]


def slices(seconds: float, folder: Path) -> Table:
    """How much one write call may carry: the call holds the GIL from end to end. One writer, 1,000 rows."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    table: Table = []
    for rows, kv in ((64, NoStore()), (16, None), (64, None), (256, None), (1000, None)):
        with scratch(folder) as path:
            store = Pipeline(path, slice_rows=rows, kv=kv)
            stop, at, began = time.perf_counter() + seconds, 0, time.perf_counter()
            with Heartbeat() as heart:
                while time.perf_counter() < stop:
                    store.commit(Request(at, 1000))
                    at += 1000
            took = time.perf_counter() - began
            store.close()
        finals = at // 1000  # one small write ends every commit; they are the shortest
        slices_s = sorted(store.writes_s)[finals:]
        table.append(
            {
                "rows in a write": rows if kv is None else f"{rows}, no store",
                "rows/s": round(at / took),
                "write p50 ms": percentile_ms(slices_s, 0.5),
                "write p99 ms": percentile_ms(slices_s, 0.99),
                "write max ms": percentile_ms(slices_s, 1.0),
                "gap p99 ms": percentile_ms(heart.gaps_s, 0.99),
                "gap max ms": percentile_ms(heart.gaps_s, 1.0),
            }
        )
    return table


def delay(seconds: float, folder: Path) -> Table:
    """A disk whose sync takes 20 ms: strace holds the thread that calls fsync or fdatasync."""
    table: Table = []
    for rows, writers in ((1, 1), (1, 16), (64, 4), (1000, 4)):
        for way in WAYS:
            inject = ["-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:delay_enter=20000"]
            child = ["cell", way, str(writers), str(rows), str(seconds), str(folder)]
            answer = strace(inject, child, Path(os.devnull))
            table.append(json.loads(answer))
    return table


# ---------------------------------------------------------------- what is synced before an acknowledgement


def syscalls(seconds: float, folder: Path) -> Table:
    """Follow 200 commits through changes of the log and check every acknowledgement against the syncs."""
    with scratch(folder) as work:
        work.mkdir()
        trace = work / "trace"
        calls = "trace=openat,write,pwrite64,writev,fsync,fdatasync,unlink"
        strace(["-y", "-s", "16", "-e", calls], ["traced", str(work)], trace)
        watch = LogWatch(work / "kv")
        for line in trace.read_text(errors="replace").splitlines():
            watch.line(line)
    print("around the first change of log:\n" + "\n".join(f"    {line}" for line in watch.story))
    return [
        {
            "commits": watch.acknowledged,
            "logs made": watch.logs_made,
            "log syncs": watch.log_syncs,
            "folder syncs": watch.folder_syncs,
            "acknowledged with an unsynced log": watch.unsynced_logs,
            "acknowledged with an unsynced folder": watch.unsynced_folders,
        }
    ]


class LogWatch:
    """Reads a trace: which logs have bytes, and which names, that no finished sync covers."""

    _CALL = re.compile(r"^(\d+) +(\w+)\((.*)$")
    _RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>")

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        self.acknowledged = self.logs_made = self.log_syncs = self.folder_syncs = 0
        self.unsynced_logs = self.unsynced_folders = 0
        self.story: list[str] = []
        self._dirty: dict[str, int] = {}
        self._new_names = 0
        self._writes = 0
        self._open_calls: dict[str, tuple[str, int, int]] = {}

    def line(self, line: str) -> None:
        if resumed := self._RESUMED.match(line):
            target, writes, names = self._open_calls.pop(resumed[1], ("", 0, 0))
            self._synced(target, writes, names)
        elif call := self._CALL.match(line):
            self._call(call[1], call[2], call[3], "<unfinished" in line)

    def _call(self, thread: str, name: str, rest: str, unfinished: bool) -> None:
        if "acknowledge" in rest and name == "write":
            self.acknowledged += 1
            self.unsynced_logs += bool(self._dirty)
            self.unsynced_folders += bool(self._new_names)
            self._tell("ACKNOWLEDGED")
        elif name == "openat" and "O_CREAT" in rest and (made := re.search(r'"([^"]*\.log)"', rest)):
            self.logs_made += 1
            self._new_names += 1
            self._tell(f"make {Path(made[1]).name}", begin=self.logs_made == 3)
        elif found := re.search(r"\d+<([^>]*)>", rest):
            target = found[1]
            if name in ("write", "pwrite64", "writev") and target.endswith(".log"):
                self._writes += 1
                self._dirty[target] = self._writes
                self._tell(f"write {Path(target).name}")
            elif name in ("fsync", "fdatasync"):
                self._tell(f"{name} {'the folder' if target == self.folder else Path(target).name}")
                if unfinished:
                    self._open_calls[thread] = (target, self._writes, self._new_names)
                else:
                    self._synced(target, self._writes, self._new_names)

    def _synced(self, target: str, writes: int, names: int) -> None:
        """A sync covers what was written and named before it began."""
        if target == self.folder:
            self.folder_syncs += 1
            self._new_names -= min(names, self._new_names)
        elif target.endswith(".log"):
            self.log_syncs += 1
            if self._dirty.get(target, writes + 1) <= writes:
                del self._dirty[target]

    def _tell(self, text: str, begin: bool = False) -> None:
        if (self.story or begin) and len(self.story) < 12:
            self.story.append(text)


def traced(work: Path) -> None:
    """The process that ``syscalls`` follows: small buffers, so that the log changes often."""
    kv = RocksKV(work / "kv", StoreOptions(write_buffer_bytes=2 << 20, max_total_wal_bytes=2 << 20))
    acknowledgements = open(work / "acks", "wb", buffering=0)  # noqa: SIM115 - lives as long as the process
    for i in range(200):
        for part in range(2):
            write_through(kv, [(b"v%06d%d%03d" % (i, part, j), value(i + j)) for j in range(32)])
        kv.sync()
        acknowledgements.write(b"acknowledge\n")
    os._exit(0)


def write_through(kv: RocksKV, pairs: list[tuple[bytes, bytes]]) -> int:
    """Write one batch, however often it is refused; returns how often."""
    stalls = 0
    while True:
        batch = kv.batch()
        for key, one in pairs:
            batch.put(key, one)
        try:
            kv.write(batch)
            return stalls
        except WriteStall:
            stalls += 1
            time.sleep(0.005)


def tail(seconds: float, folder: Path) -> Table:
    """Fifty rows in three logs, none flushed; the end of one log is lost. What does an open find?"""
    table: Table = []
    for lost, cut in (("nothing", None), ("1 byte of the oldest", 0), ("1 byte of the newest", 2)):
        with scratch(folder) as path:
            options = rocksdb._rocks_options(StoreOptions())
            options.set_write_buffer_size(64 << 10)
            options.set_max_write_buffer_number(9)
            options.set_min_write_buffer_number_to_merge(8)  # nothing is flushed: all rows are in the logs alone
            child = os.fork()
            if child == 0:
                db = rocksdict.Rdict(str(path), options)
                rows = 0
                while len(list(path.glob("*.log"))) < 3 or rows % 10:
                    db.put(b"%06d" % rows, value(rows))
                    rows += 1
                os._exit(0)
            os.waitpid(child, 0)
            logs = sorted(path.glob("*.log"))
            if cut is not None:
                os.truncate(logs[cut], logs[cut].stat().st_size - 1)
            kv = RocksKV(path)
            found = sum(1 for _ in kv.scan(b"", b"\xff"))
            kv.close()
        table.append({"lost": lost, "logs": len(logs), "rows found": found})
    return table


# ---------------------------------------------------------------- blob files and buffers


def blobs(seconds: float, folder: Path) -> Table:
    """40,000 rows, then four times 30 % replaced: bytes given to the file system, and space on disk."""
    table: Table = []
    for with_blobs, buffers, cutoff in ((1, 4, 0.25), (1, 4, 0.5), (1, 2, 0.25), (0, 4, 0.25)):
        with scratch(folder) as path:
            child = [sys.executable, __file__, "burst", str(path), str(with_blobs), str(buffers), str(cutoff)]
            answer = subprocess.run(child, check=True, capture_output=True, text=True, env=environment()).stdout
            table.append(json.loads(answer))
    return table


def burst(path: Path, with_blobs: bool, buffers: int, cutoff: float) -> None:
    """The process that ``blobs`` measures: rows of 700 B and 3 KB under rising keys, pointers under hashed ones."""
    total = StoreOptions().write_buffer_bytes
    make = rocksdb._rocks_options

    def options(options: StoreOptions) -> rocksdict.Options:
        made = make(options)
        made.set_enable_blob_files(with_blobs)
        made.set_write_buffer_size(total // buffers)
        made.set_max_write_buffer_number(buffers)
        return made

    rocksdb._rocks_options = options
    kv = RocksKV(path, StoreOptions(blob_gc_age_cutoff=cutoff))
    rows, pick = 40_000, random.Random(1)
    live: list[int] = []

    def add(first: int, count: int) -> int:
        stalls = 0
        for at in range(first, first + count, SLICE_ROWS):
            fresh = range(at, at + SLICE_ROWS)
            stalls += write_through(kv, [(b"b%012d" % i, value(i)[:700]) for i in fresh])
            stalls += write_through(kv, [(b"v%012d" % i, value(i)) for i in fresh])
            stalls += write_through(kv, [(b"p%016x" % (i * 0x9E3779B97F4A7C15 % 2**64), b"%040d" % i) for i in fresh])
            kv.sync()
            live.extend(fresh)
        return stalls

    began = time.perf_counter()
    stalls = add(0, rows)
    rate = round(rows / (time.perf_counter() - began))
    settle(kv)
    given = rows * (VALUE_BYTES + 700)
    loaded = bytes_written() / given
    for turn in range(4):
        pick.shuffle(live)
        dead = sorted(live[:12_000])
        del live[:12_000]
        for at in range(0, len(dead), 500):
            batch = kv.batch()
            for i in dead[at : at + 500]:
                batch.delete(b"b%012d" % i)
                batch.delete(b"v%012d" % i)
            kv.write(batch)
        stalls += add(rows + turn * 12_032, 12_032)
    settle(kv)
    replaced = bytes_written() / given / (1 + 4 * 0.3)
    disk = kv.stats()["disk_bytes"]
    kv.compact()
    answer = {
        "blob files": f"yes, collected below {cutoff}" if with_blobs else "no",
        "memtables": f"{buffers} x {total // buffers >> 20} MiB",
        "written / given, load": round(loaded, 2),
        "written / given, with replacing": round(replaced, 2),
        "disk / live, settled": round(disk / given, 2),
        "disk / live, compacted": round(kv.stats()["disk_bytes"] / given, 2),
        "stalls": stalls,
        "rows/s": rate,
    }
    kv.close()
    print(json.dumps(answer))


def settle(kv: RocksKV) -> None:
    """Wait until nothing is left to do in the background."""
    kv.flush()
    while kv.stats()["pending_compaction_bytes"] or kv._property("num-running-compactions"):
        time.sleep(0.1)


def bytes_written() -> int:
    """What this process has given to write calls so far: the log, tables and blob files."""
    found = re.search(r"^wchar: (\d+)", Path("/proc/self/io").read_text(), re.M)
    assert found is not None
    return int(found[1])


# ---------------------------------------------------------------- running it


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A path for one store, gone afterwards."""
    work = Path(tempfile.mkdtemp(dir=folder))
    try:
        yield work / "data"
    finally:
        shutil.rmtree(work)


def strace(options: list[str], arguments: list[str], output: Path) -> str:
    """Run this script under strace, with the system calls it does not watch at full speed."""
    command = ["strace", "-f", "-qq", "--seccomp-bpf", "-o", str(output), *options]
    done = subprocess.run(
        [*command, sys.executable, __file__, *arguments], check=True, capture_output=True, text=True, env=environment()
    )
    return done.stdout


def environment() -> dict[str, str]:
    """Children import the same vecdb."""
    root = str(Path(rocksdb.__file__).parents[2])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}


def show(table: Table) -> str:
    """A Markdown table."""
    heads = list(table[0])
    lines = [heads, ["---"] * len(heads), *[[str(row[head]) for head in heads] for row in table]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


PARTS = {part.__name__: part for part in (matrix, slices, delay, syscalls, tail, blobs)}


def main() -> None:
    if sys.argv[1:2] == ["cell"]:
        way, writers, rows, seconds, folder = sys.argv[2:]
        print(json.dumps(cell(way, int(writers), int(rows), float(seconds), Path(folder))))
        return
    if sys.argv[1:2] == ["traced"]:
        return traced(Path(sys.argv[2]))
    if sys.argv[1:2] == ["burst"]:
        return burst(Path(sys.argv[2]), sys.argv[3] == "1", int(sys.argv[4]), float(sys.argv[5]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; all when none is given")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of one cell (default: 1)")
    parser.add_argument("--dir", type=Path, default=None, help="where to write (default: the temporary folder)")
    parser.add_argument("--json", type=Path, default=None, help="also write all numbers here")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}")
    found: dict[str, Table] = {}
    for name in chosen.parts or PARTS:
        if name in ("delay", "syscalls") and shutil.which("strace") is None:
            print(f"## {name}: left out, strace is not installed")
            continue
        print(f"## {name}: {PARTS[name].__doc__}", flush=True)
        found[name] = PARTS[name](chosen.seconds, chosen.dir or Path(tempfile.gettempdir()))
        print(show(found[name]) + "\n", flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps({"options": asdict(StoreOptions()), "parts": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
