"""The store on RocksDB; the only module that imports rocksdict.

What holds the GIL in rocksdict and so stops every thread: write, single get, each step of a scan, open.
What releases it: sync, list-get, flush, compact, close. Hence no write ever asks for a sync, and a write
that RocksDB would delay is refused at once (``WriteStall``) instead of freezing the process.

Traps this file closes. An iterator that meets damage just ends: its status is asked at every end. It
reads its bounds from the options it was made with, which it does not keep alive: the scan does.
An inverted range in a batch reaches the log before it is refused and stops the database: it is dropped
here. A live iterator keeps a closed database (and its lock) open: close takes the iterators away first.
What rocksdict calls a snapshot answers single gets only: its iterators read the present. An iterator is one, too, and
can be sought in again and again.
"""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import rocksdict

from vecdb.errors import Closed, DataDirInUse, DataDirUnusable, DataLoss, Internal, ReadOnly, Unavailable, VecdbError
from vecdb.storage.blobs import Blobs
from vecdb.storage.kv import Batch, WriteStall
from vecdb.storage.synced import Marker, check_after, check_before, read_mark, set_current

log = logging.getLogger(__name__)

MIN_BLOB_BYTES = 512
_INDEX_PIECE_BYTES = 4 << 10
_LEVEL_BYTES, _TABLE_BYTES = 32 << 20, 4 << 20
"""Of the first level below what was flushed, and of its tables; the next is ten times as large, its tables twice
(decision 0016)."""
_CACHE_STEP_BYTES = 4 << 20
SCAN_ROWS = 256
SCAN_BYTES = 1 << 20
_NOTE = "rocksdict-config.json"
_BLOB_GC_CUTOFF = "blob_garbage_collection_age_cutoff"


@dataclass(frozen=True)
class StoreOptions:
    """Bounds of one store, in bytes unless the name says otherwise.

    ``write_buffer_bytes`` is all memtables together, four of a quarter each; with ``max_total_wal_bytes``
    it bounds what an open has to replay. ``max_open_files`` counts table and blob files.
    """

    write_buffer_bytes: int = 64 << 20
    max_total_wal_bytes: int = 64 << 20
    block_cache_bytes: int = 64 << 20
    max_open_files: int = 512
    blob_file_bytes: int = 256 << 20
    blob_gc_age_cutoff: float = 0.25
    blob_gc_force_threshold: float = 0.5
    max_background_jobs: int = 2
    read_on: bool = False
    """Where something is damaged the rest is read: to salvage it, and never to write."""


class RocksBatch:
    """A ``Batch`` over rocksdict's; ``take`` hands it over once."""

    __slots__ = ("_raw", "_taken_len")

    def __init__(self) -> None:
        self._raw: rocksdict.WriteBatch | None = rocksdict.WriteBatch(raw_mode=True)
        self._taken_len = 0

    def put(self, key: bytes, value: bytes) -> None:
        self._live().put(key, value)

    def delete(self, key: bytes) -> None:
        self._live().delete(key)

    def delete_range(self, start: bytes, end: bytes) -> None:
        if start < end:
            self._live().delete_range(start, end)

    def __len__(self) -> int:
        return self._taken_len if self._raw is None else len(self._raw)

    def take(self) -> rocksdict.WriteBatch:
        """The raw batch, which cannot be used again. Raises Internal the second time."""
        raw = self._live()
        self._taken_len, self._raw = len(raw), None
        return raw

    def _live(self) -> rocksdict.WriteBatch:
        if self._raw is None:
            raise Internal("this batch was written already; build it again")
        return self._raw


class RocksKV:
    """A ``KV`` in one RocksDB directory, created when missing.

    ``links``: a folder of links to its files, see ``open_to_read``, and ``reason``, why it is not written. Raises
    DataDirInUse when another process has it open, DataDirUnusable when it cannot be made or written, DataLoss when
    what is there is damaged.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        options: StoreOptions | None = None,
        links: tempfile.TemporaryDirectory[str] | None = None,
        reason: str = "",
    ) -> None:
        self.path = Path(path)
        self.options = options or StoreOptions()
        self._failure: str | None = None if links is None else reason
        self._links = links
        self._calls = _Gate(self.path)
        self._compactions = _Gate(self.path)
        self._close_lock = threading.Lock()
        self._compact_lock = threading.Lock()
        self._closed = False
        self._scans: weakref.WeakSet[_Scan] = weakref.WeakSet()
        self._snapshots: weakref.WeakSet[_Snapshot] = weakref.WeakSet()
        self._write_options = rocksdict.WriteOptions()
        self._write_options.no_slowdown = True
        self._cache = rocksdict.Cache(self.options.block_cache_bytes)
        self._marker: Marker | None = None
        if links is None:
            self._open()
        else:
            self._db = _open(self.path, self.options, self._cache, Path(links.name))
        _stores.add(self)
        _running.set()

    def _open(self) -> None:
        """Open for writing what has lost nothing that was synced.

        First as if no log may end in the middle of a record, which refuses damage before anything is changed. Where
        one does, a look tells whether the writes before it are all that were synced: then it is a torn end.
        """
        mark = check_before(self.path)
        torn: str | None = None
        try:
            whole = rocksdict.DBRecoveryMode.absolute_consistency()
            self._db = _open(self.path, self.options, self._cache, mode=whole)
        except DataLoss as error:
            torn = error.message
            try:
                with read_only(self.path) as found:
                    sequence = found.sequence()
            except VecdbError:
                raise error from None  # then it is not the log
            if mark is not None:
                check_after(self.path, mark, sequence, torn)
            else:
                log.warning("%s: the log ends here, and whether anything followed cannot be told", torn)
            self._db = _open(self.path, self.options, self._cache)
        try:
            if mark is not None and torn is None:
                check_after(self.path, mark, self.sequence(), None)
        except DataLoss:
            self._db.close()
            raise
        self._marker = Marker(self.path)
        self._marker.note(self._marker.look(self.sequence()))

    def sequence(self) -> int:
        """How many changes were ever written; grows with every write."""
        return int(self._db.latest_sequence_number())

    def batch(self) -> RocksBatch:
        return RocksBatch()

    def write(self, batch: Batch) -> None:
        if not isinstance(batch, RocksBatch):
            raise TypeError(f"a batch of this store is expected, not {type(batch).__name__}")
        raw = batch.take()
        with self._calls:
            self._refuse_after_failure()
            try:
                self._db.write(raw, self._write_options)
            except Exception as error:
                if str(error).startswith("Result incomplete"):
                    raise WriteStall(str(error)) from error
                raise self._fail("write", error) from error

    def sync(self) -> None:
        with self._calls:
            self._refuse_after_failure()
            self._sync()

    def get(self, key: bytes) -> bytes | None:
        with self._calls:
            try:
                value: bytes | None = self._db.get(key)
            except Exception as error:
                raise self._read_error(error) from error
        return value

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        with self._calls:
            try:
                values: list[bytes | None] | None = self._db.get(list(keys))
            except Exception as error:
                raise self._read_error(error) from error
        return values or []

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < end in key order, of the state when the scan began.

        Dropping the iterator releases its snapshot. Raises Closed once the store is closed.
        """
        with self._calls:
            scan = _Scan(self, start, end)
            self._scans.add(scan)
        return scan

    def snapshot(self) -> _Snapshot:
        with self._calls:
            snapshot = _Snapshot(self)
            self._snapshots.add(snapshot)
        return snapshot

    def flush(self) -> None:
        with self._calls:
            self._refuse_after_failure()
            try:
                self._db.flush(True)
            except Exception as error:
                raise self._fail("flush", error) from error

    def compact(self, start: bytes | None = None, end: bytes | None = None) -> None:
        """Rewrite tables and every blob file with garbage, so that dead values give their space back.

        Long; ``close`` cancels it, and it then raises Closed. One at a time.
        """
        how = rocksdict.CompactOptions()
        how.set_bottommost_level_compaction(rocksdict.BottommostLevelCompaction.force_optimized())
        with self._compact_lock, self._compactions:
            self._refuse_after_failure()
            try:
                self._db.set_options({_BLOB_GC_CUTOFF: "1.0"})
                try:
                    self._db.compact_range(start, end, how)
                finally:
                    self._db.set_options({_BLOB_GC_CUTOFF: str(self.options.blob_gc_age_cutoff)})
                self._empty_cache()
            except Exception as error:
                if self._calls.shut:
                    raise _closed(self.path) from error
                raise self._fail("compaction", error) from error

    def _empty_cache(self) -> None:
        """Let go of the blocks that are cached: most are of tables that are gone, and would stay until others come.

        Without it the cycles of `python -m benchmarks deletes` left 3.4 times the memory of a fresh load, with it 1.6.
        A little at a time, for that holds the GIL: 128 MiB at once took 55 ms.
        """
        for capacity in range(self._cache.get_usage(), 0, -_CACHE_STEP_BYTES):
            self._cache.set_capacity(capacity)
        self._cache.set_capacity(0)
        self._cache.set_capacity(self.options.block_cache_bytes)

    def stats(self) -> dict[str, int]:
        """Counters by name; those ending in ``_bytes`` are bytes."""
        with self._calls:
            memtable = self._property("size-all-mem-tables")
            cache = self._property("block-cache-usage")
            readers = self._property("estimate-table-readers-mem")
            sst = self._property("live-sst-files-size")
            blob = self._property("live-blob-file-size")
            files = _files_by_suffix(self.path)
            wal = sum(files.get(".log", []))
            return {
                "memory_bytes": memtable + cache + readers,
                "memtable_bytes": memtable,
                "block_cache_bytes": cache,
                "table_reader_bytes": readers,
                "disk_bytes": sst + blob + wal,
                "sst_bytes": sst,
                "blob_bytes": blob,
                "blob_garbage_bytes": self._property("live-blob-file-garbage-size"),
                "wal_bytes": wal,
                "sst_files": len(files.get(".sst", [])),
                "blob_files": len(files.get(".blob", [])),
                "level0_files": self._property("num-files-at-level0"),
                "pending_compaction_bytes": self._property("estimate-pending-compaction-bytes"),
                "write_stopped": self._property("is-write-stopped"),
                "background_errors": self._property("background-errors"),
            }

    def failure(self) -> str | None:
        return self._failure

    def close(self) -> None:
        """Sync, take live scans and snapshots away, release the directory. Later calls raise Closed.

        Waits for calls in flight and cancels a compaction. Everything is released even when the last
        sync fails; ReadOnly is raised then, unless the failure was known.
        """
        with self._close_lock:
            if self._closed:
                return
            self._closed = True
            self._calls.shut_out()
            self._calls.wait()
            problem = self._last_sync()
            sequence = self.sequence()
            self._compactions.shut_out()
            if cancelled := self._compactions.busy:
                self._db.cancel_all_background(False)
            self._compactions.wait()
            for scan in list(self._scans):
                scan.release()
            for snapshot in list(self._snapshots):
                snapshot.release()
            try:
                self._db.close()
            except Exception as error:  # noqa: BLE001 - it is released all the same, and the log is synced
                if self._failure is None and not cancelled:
                    problem = self._fail("close", error)
            del self._db
            if self._links is not None:
                self._links.cleanup()
            if self._marker is not None:
                if self._failure is None:
                    self._marker.note(self._marker.look(sequence, anew=True))
                self._marker.close()
            if problem is not None:
                raise problem

    def checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Make a consistent copy at ``path`` (must not exist, same file system): hard links and the log.

        Holds the GIL while it links, so flush first, which leaves it no data to copy.
        """
        with self._calls:
            self._refuse_after_failure()
            self._sync()
            try:
                rocksdict.Checkpoint(self._db).create_checkpoint(str(path))
            except Exception as error:
                raise Unavailable(f"no checkpoint was made at {path}: {error}") from error

    def _sync(self) -> None:
        mark = None if self._marker is None else self._marker.look(self.sequence())
        try:
            self._db.flush_wal(True)
        except Exception as error:
            raise self._fail("sync", error) from error
        if self._marker is not None:
            self._marker.note(mark)

    def _last_sync(self) -> VecdbError | None:
        if self._failure is None:
            try:
                self._sync()
            except VecdbError as error:
                return error
        return None

    def _property(self, name: str) -> int:
        return self._db.property_int_value(f"rocksdb.{name}") or 0

    def _refuse_after_failure(self) -> None:
        if self._failure is not None:
            raise _read_only(self._failure)

    def _fail(self, what: str, error: Exception) -> VecdbError:
        """Remember why writes stop, and the error to raise for it; a program error passes as it is."""
        if type(error) is not Exception:
            return Internal(f"{what} was refused by the store: {error!r}")
        if self._failure is None:
            self._failure = f"{what} failed: {error}"
        if str(error).startswith("Corruption"):
            return DataLoss(f"the data in {self.path} is damaged: {error}")
        return _read_only(self._failure)

    def _read_error(self, error: Exception) -> Exception:
        if isinstance(error, rocksdict.DbClosedError):
            return _closed(self.path)
        if type(error) is not Exception:
            return error
        if _is_damage(str(error)):
            return DataLoss(f"the data in {self.path} is damaged: {error}{_whose(str(error))}")
        return Unavailable(f"the data in {self.path} cannot be read now: {error}")


_stores: weakref.WeakSet[RocksKV] = weakref.WeakSet()
_running = threading.Event()  # set once RocksDB has started its threads


def _abandon_all() -> None:
    """In a forked child: never take down what it inherited, for that waits for threads only the parent has.

    RocksDB does so when its last database is let go, and once more when the process exits: the child keeps the
    databases for ever, and leaves before the exit handlers that were there when it was forked.
    """
    for store in list(_stores):
        if not store._closed:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(store._db))
    libc = ctypes.CDLL(None)
    if _running.is_set() and hasattr(libc, "on_exit"):  # glibc
        libc.on_exit(libc._exit, None)


os.register_at_fork(after_in_child=_abandon_all)


def open_to_read(path: Path, reason: str, options: StoreOptions | None = None) -> RocksKV:
    """The store in ``path`` for reading; nothing there is touched. Writes are refused for ``reason``.

    rocksdict writes a note of its own on every opening, one for reading too: so what is opened is a folder
    of links, with a copy of the note, that goes when it is closed. Raises DataLoss, also when files were replaced in
    that instant, DataDirUnusable, OSError.
    """
    links = _link(path)
    try:
        return RocksKV(path, options, links, reason)
    except BaseException:
        links.cleanup()
        raise


def _link(path: Path, copied: bool = False) -> tempfile.TemporaryDirectory[str]:
    """A folder of links to the files in another; ``copied``: of copies."""
    folder = tempfile.TemporaryDirectory(prefix="vecdb-")
    try:
        for entry in os.scandir(path.absolute()):
            if copied or entry.name == _NOTE:
                shutil.copyfile(entry.path, Path(folder.name, entry.name))
            else:
                os.symlink(entry.path, Path(folder.name, entry.name))
    except BaseException:
        folder.cleanup()
        raise
    return folder


@contextmanager
def read_only(path: Path) -> Iterator[RocksKV]:
    """The store in ``path`` for reading, also while another process writes it. Raises as ``open_to_read``."""
    kv = open_to_read(path, "it was opened for reading")
    try:
        yield kv
    finally:
        kv.close()


@dataclass(frozen=True, slots=True)
class Salvaged:
    """A damaged store opened for reading, and ``problems`` met on the way.

    ``certain``: what is read from it is the last that was written; else a later write may be what is gone. ``blobs``:
    values of which the store itself knows no longer where they are.
    """

    kv: RocksKV
    blobs: Blobs | None
    certain: bool
    problems: tuple[str, ...]


@contextmanager
def salvage(path: Path) -> Iterator[Salvaged]:
    """As much as can be read of a damaged store. Nothing in ``path`` is changed. Raises DataLoss for nothing at all.

    A table that is damaged or missing stays in the list of files, so that reading what it may hold is an error, and
    what is read is newest. Where the list itself is gone a copy of the store gets a new one, of all tables there are.
    """
    read_on, problems = StoreOptions(read_on=True), []
    mark = read_mark(path)
    try:
        check_before(path)
    except DataLoss as error:
        problems.append(error.message)
    certain = not problems or "CURRENT" in problems[0]
    with _link(path) as name:
        links = Path(name)
        whole = set_current(links, mark)
        for options, mode in ((StoreOptions(), None), (read_on, rocksdict.DBRecoveryMode.absolute_consistency())):
            try:
                _open(path, options, rocksdict.Cache(options.block_cache_bytes), links, mode).close()
            except VecdbError as error:
                problems.append(error.message)
                certain &= mode is None  # tables are told from one another, of logs there is one history
    blobs, folder = None, _link(path)
    try:
        set_current(Path(folder.name), mark)
        kv = RocksKV(path, read_on, folder, "it is salvaged")
    except VecdbError:
        folder.cleanup()
        kv, blobs, whole = *_rebuilt(path), False
    try:
        if mark is not None:
            try:
                check_after(path, mark, kv.sequence(), None)
            except DataLoss as error:
                problems.append(error.message)
                certain = False
        yield Salvaged(kv, blobs, certain and whole, tuple(dict.fromkeys(problems)))
    finally:
        kv.close()


@contextmanager
def salvage_tables(path: Path) -> Iterator[Salvaged]:
    """What is in the tables of a damaged store that can be read, whatever is missing: nothing in them is certain.

    For what ``salvage`` reads nothing of: where a table is damaged or missing, what others hold of its range may be
    older. Raises DataLoss for nothing at all.
    """
    kv, blobs = _rebuilt(path)
    try:
        yield Salvaged(kv, blobs, False, ())
    finally:
        kv.close()


def _rebuilt(path: Path) -> tuple[RocksKV, Blobs]:
    """A copy of a store with a new list of files, of all tables there are."""
    folder = _link(path, copied=True)
    try:
        options = StoreOptions(read_on=True)
        cache = rocksdict.Cache(options.block_cache_bytes)
        rocksdict.Rdict.repair(folder.name, _rocks_options(options, cache))
        return RocksKV(path, options, folder, "it is salvaged"), Blobs(path)
    except Exception as error:
        folder.cleanup()
        raise DataLoss(f"nothing can be read in {path}: {error}") from error


class _Scan:
    """One snapshot read forward a chunk at a time, so that the store can take its iterator away."""

    def __init__(self, store: RocksKV, start: bytes, end: bytes) -> None:
        bounds = rocksdict.ReadOptions()
        bounds.set_iterate_upper_bound(end)
        bounds.set_background_purge_on_iterator_cleanup(True)
        self._store = store
        self._lock = threading.Lock()
        self._ready: list[tuple[bytes, bytes]] = []
        self._cursor: rocksdict.RdictIter | None = None
        self._ended = not start < end
        if not self._ended:
            self._cursor = store._db.iter(bounds)
            self._cursor.seek(start)
        self._bounds = bounds  # the cursor points into it without keeping it alive; set after it, freed after it

    def __iter__(self) -> _Scan:
        return self

    def __next__(self) -> tuple[bytes, bytes]:
        try:
            return self._ready.pop()
        except IndexError:
            pass
        with self._lock:
            if not self._ready:
                with self._store._calls:
                    self._fill()
            if not self._ready:
                raise StopIteration
            return self._ready.pop()

    def release(self) -> None:
        """Let go of the snapshot; called by the store once no call is in flight."""
        self._cursor = None
        self._ready = []

    def _fill(self) -> None:
        if self._ended or (cursor := self._cursor) is None:
            return
        rows: list[tuple[bytes, bytes]] = []
        held = 0
        try:
            while len(rows) < SCAN_ROWS and held < SCAN_BYTES:
                if not cursor.valid():
                    cursor.status()
                    self._ended, self._cursor = True, None
                    break
                value = cursor.value()
                rows.append((cursor.key(), value))
                held += len(value)
                cursor.next()
        except Exception as error:
            self._ended, self._cursor, cursor = True, None, None  # a traceback that is kept would keep the store open
            raise self._store._read_error(error) from error
        rows.reverse()
        self._ready = rows


class _Snapshot:
    """One state of the store, kept until it is closed or the store is: an iterator, sought in for every read."""

    def __init__(self, store: RocksKV) -> None:
        how = rocksdict.ReadOptions()
        how.set_background_purge_on_iterator_cleanup(True)
        self._store = store
        self._lock = threading.Lock()
        self._cursor: rocksdict.RdictIter | None = store._db.iter(how)

    def get(self, key: bytes) -> bytes | None:
        return self.get_many([key])[0]

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return [next((value for _, value in self._read(key, key + b"\0")[0]), None) for key in keys]

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        return self._pairs(start, end, *self._read(start, end))

    def close(self) -> None:
        self.release()

    def release(self) -> None:
        """Let go of the state; a read under way in another thread finishes with it."""
        self._cursor = None

    def _pairs(
        self, start: bytes, end: bytes, rows: list[tuple[bytes, bytes]], more: bool
    ) -> Iterator[tuple[bytes, bytes]]:
        yield from rows
        while more:
            start = rows[-1][0] + b"\0"
            rows, more = self._read(start, end)
            yield from rows

    def _read(self, start: bytes, end: bytes) -> tuple[list[tuple[bytes, bytes]], bool]:
        """Some pairs with start <= key < end, and whether there may be more."""
        with self._lock, self._store._calls:
            return self._fill(start, end)

    def _fill(self, start: bytes, end: bytes) -> tuple[list[tuple[bytes, bytes]], bool]:
        if (cursor := self._cursor) is None:
            raise Closed("the state that was read is not kept any more")
        rows: list[tuple[bytes, bytes]] = []
        held = 0
        try:
            cursor.seek(start)
            while cursor.valid():
                if not (key := cursor.key()) < end:
                    return rows, False
                rows.append((key, cursor.value()))
                held += len(rows[-1][1])
                if len(rows) == SCAN_ROWS or held >= SCAN_BYTES:
                    return rows, True
                cursor.next()
            cursor.status()
        except Exception as error:
            self._cursor = cursor = None  # as in a scan
            raise self._store._read_error(error) from error
        return rows, False


class _Gate:
    """Counts the calls inside, so that ``close`` can let no more in and wait for those."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = threading.Condition(threading.Lock())
        self._inside = 0
        self.shut = False

    @property
    def busy(self) -> bool:
        return self._inside > 0

    def __enter__(self) -> None:
        with self._changed:
            if self.shut:
                raise _closed(self._path)
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._inside -= 1
            if self.shut:
                self._changed.notify_all()

    def shut_out(self) -> None:
        with self._changed:
            self.shut = True

    def wait(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._inside == 0)


def _open(
    path: Path,
    options: StoreOptions,
    cache: rocksdict.Cache,
    links: Path | None = None,
    mode: rocksdict.DBRecoveryMode | None = None,
) -> rocksdict.Rdict:
    """``mode``: what to make of a log that ends in the middle; without it, that it is its end."""
    rocks = _rocks_options(options, cache)
    if mode is not None:
        rocks.set_wal_recovery_mode(mode)
    try:
        if links is None:
            return rocksdict.Rdict(str(path), rocks)
        return rocksdict.Rdict(str(links), rocks, access_type=rocksdict.AccessType.read_only(False))
    except Exception as error:
        raise _open_error(
            path, error if links is None else Exception(str(error).replace(str(links), str(path)))
        ) from error


def _rocks_options(options: StoreOptions, cache: rocksdict.Cache) -> rocksdict.Options:
    table = rocksdict.BlockBasedOptions()
    table.set_block_cache(cache)
    table.set_bloom_filter(10, False)
    # Index and filter in pieces: whole ones grow with their file past a shard of the cache (1 MiB of 64), and are
    # then read and checked anew for every key. Not cached, they would be memory without a bound (decision 0010).
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    table.set_index_type(rocksdict.BlockBasedIndexType.two_level_index_search())
    table.set_partition_filters(True)
    table.set_metadata_block_size(_INDEX_PIECE_BYTES)
    table.set_pin_top_level_index_and_filter(True)
    table.set_format_version(5)

    rocks: Any = rocksdict.Options(raw_mode=True)
    rocks.create_if_missing(True)
    rocks.set_block_based_table_factory(table)
    rocks.set_compression_type(rocksdict.DBCompressionType.lz4())
    rocks.set_max_open_files(options.max_open_files)
    rocks.set_max_background_jobs(options.max_background_jobs)
    rocks.set_level_compaction_dynamic_level_bytes(True)
    rocks.set_max_bytes_for_level_base(_LEVEL_BYTES)
    rocks.set_target_file_size_base(_TABLE_BYTES)
    rocks.set_target_file_size_multiplier(2)
    rocks.set_skip_stats_update_on_db_open(True)
    rocks.set_avoid_unnecessary_blocking_io(True)
    rocks.set_bytes_per_sync(1 << 20)

    rocks.set_write_buffer_size(options.write_buffer_bytes // 4)
    rocks.set_max_write_buffer_number(4)
    rocks.set_db_write_buffer_size(options.write_buffer_bytes)
    rocks.set_max_total_wal_size(options.max_total_wal_bytes)
    rocks.set_wal_recovery_mode(rocksdict.DBRecoveryMode.point_in_time())
    rocks.set_recycle_log_file_num(0)
    if options.read_on:
        rocks.set_paranoid_checks(False)
        rocks.set_wal_recovery_mode(rocksdict.DBRecoveryMode.skip_any_corrupted_record())

    rocks.set_enable_blob_files(True)
    rocks.set_min_blob_size(MIN_BLOB_BYTES)
    rocks.set_blob_file_size(options.blob_file_bytes)
    rocks.set_blob_compression_type(rocksdict.DBCompressionType.none())
    rocks.set_enable_blob_gc(True)
    rocks.set_blob_gc_age_cutoff(options.blob_gc_age_cutoff)
    rocks.set_blob_gc_force_threshold(options.blob_gc_force_threshold)

    rocks.set_keep_log_file_num(2)
    rocks.set_max_log_file_size(4 << 20)
    rocks.set_max_manifest_file_size(16 << 20)
    rocks.set_stats_dump_period_sec(0)
    rocks.set_stats_persist_period_sec(0)
    checked: rocksdict.Options = rocks
    return checked


def _open_error(path: Path, error: Exception) -> VecdbError:
    text = str(error)
    if "LOCK" in text and ("lock hold by" in text or "While lock file" in text):
        return DataDirInUse(f"{path} is open in another process, or twice in this one: {text}")
    if _is_damage(text) and "sync: " not in text:  # a sync that fails tells of the disk, not of the data
        return DataLoss(f"the data in {path} is damaged: {text}")
    return DataDirUnusable(f"{path} cannot be used as a data directory: {text}")


def _is_damage(text: str) -> bool:
    return (
        "Corruption" in text
        or ("IO error" in text and "No such file" in text)
        or "Input/output error" in text
        or "truncated" in text
    )


def _whose(text: str) -> str:
    """RocksDB names a table that is damaged, and mostly not a blob file: it is one of them."""
    return " in a .blob file" if ".blob" not in text and ".sst" not in text and "lob" in text else ""


def _read_only(reason: str) -> ReadOnly:
    return ReadOnly(f"the store is read-only until it is opened again: {reason}")


def _closed(path: Path) -> Closed:
    return Closed(f"the store in {path} is closed")


def _files_by_suffix(path: Path) -> dict[str, list[int]]:
    """Sizes in bytes of the files in the directory; one that vanishes meanwhile is left out."""
    found: dict[str, list[int]] = {}
    with os.scandir(path) as entries:
        for entry in entries:
            try:
                found.setdefault(os.path.splitext(entry.name)[1], []).append(entry.stat().st_size)
            except FileNotFoundError:
                continue
    return found
