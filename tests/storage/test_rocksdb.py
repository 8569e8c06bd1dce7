"""What only the store on disk can show: reopening, stalls, failing disks, damage, its options."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.storage.stores import LAST, TINY, everything, put
from vecdb.errors import Closed, DataDirInUse, DataDirUnusable, DataLoss, Internal, ReadOnly
from vecdb.storage.kv import WriteStall
from vecdb.storage.rocksdb import RocksKV, StoreOptions

OpenRocks = Callable[..., RocksKV]

needs_proc = pytest.mark.skipif(
    not (Path("/proc/self/fd").is_dir() and Path("/dev/full").exists()), reason="needs /proc and /dev/full"
)


@contextmanager
def killed_at_exit(script: str, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process that is killed when the block ends."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as child:
        try:
            yield child
        finally:
            child.kill()
            child.communicate()


def newest(folder: Path, pattern: str) -> Path:
    return max(folder.glob(pattern))


@needs_proc
def test_a_key_costs_blocks_and_not_the_index_of_its_file(open_rocks: OpenRocks) -> None:
    """One file whose index and filter are larger than the cache: 4 KiB pieces of them are read, and a block."""
    count, asked = 200_000, 500
    kv = open_rocks(StoreOptions(block_cache_bytes=64 << 10))
    for start in range(0, count, 5_000):
        put(kv, {b"%08d" % i: b"%040d" % i for i in range(start, start + 5_000)})
    kv.flush()
    kv.compact(b"", b"\xff")
    assert kv.stats()["sst_files"] == 1
    keys = [b"%08d" % (i * 7919 % count) for i in range(asked)]
    before = _bytes_read()
    assert [kv.get(key) for key in keys] == [b"%040d" % int(key) for key in keys]
    assert _bytes_read() - before < asked * (32 << 10)


def test_a_compaction_lets_go_of_what_was_cached(open_rocks: OpenRocks) -> None:
    """Of tables it replaced; and what is read then is cached as before."""
    kv = open_rocks(StoreOptions(block_cache_bytes=4 << 20))
    for start in range(0, 20_000, 5_000):
        put(kv, {b"%08d" % i: b"%0400d" % i for i in range(start, start + 5_000)})
    kv.flush()
    everything(kv)
    cached = kv.stats()["block_cache_bytes"]
    assert 1 << 20 < cached <= 4 << 20
    kv.compact()
    assert kv.stats()["block_cache_bytes"] < 64 << 10
    everything(kv)
    assert kv.stats()["block_cache_bytes"] == pytest.approx(cached, rel=0.2)


def test_a_table_is_a_small_part_of_a_store(open_rocks: OpenRocks) -> None:
    """So that what changes in one place does not have the rest of it written anew."""
    kv = open_rocks()
    some = random.Random(5)
    for start in range(0, 50_000, 5_000):
        put(kv, {b"%08d" % i: some.randbytes(400) for i in range(start, start + 5_000)})
    kv.compact()
    tables = [table["size"] for table in kv._db.live_files()]  # those that were replaced may still be there
    assert sum(tables) > 16 << 20
    assert max(tables) < 10 << 20


def _bytes_read() -> int:
    """What this process has read by system calls."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["rchar"])


class TestReopening:
    def test_everything_is_there(self, open_rocks: OpenRocks) -> None:
        kv = open_rocks()
        pairs = {b"%05d" % i: bytes([i % 256]) * (i % 3 * 600) for i in range(1000)}
        put(kv, pairs)
        kv.close()
        kv = open_rocks()
        assert everything(kv) == pairs
        kv.flush()
        kv.close()
        assert everything(open_rocks()) == pairs

    @pytest.mark.parametrize("options", [None, TINY], ids=["one log", "many logs"])
    def test_after_a_kill(self, open_rocks: OpenRocks, tmp_path: Path, options: StoreOptions | None) -> None:
        with killed_at_exit(_WRITE_AND_WAIT, tmp_path / "kv", str(options)) as child:
            assert child.stdout and child.stdout.readline() == b"synced\n"
            with pytest.raises(DataDirInUse):
                open_rocks(options)
        logs = [int(log.stem) for log in (tmp_path / "kv").glob("*.log")]
        assert max(logs) > 10 or options is None
        kv = open_rocks(options)
        assert everything(kv) == _written(500)

    def test_a_torn_tail_of_the_log_takes_whole_batches(self, open_rocks: OpenRocks, tmp_path: Path) -> None:
        with killed_at_exit(_WRITE_AND_WAIT, tmp_path / "killed", None) as child:
            assert child.stdout and child.stdout.readline() == b"synced\n"
        for cut, lost in ((1, 1), (600, 1), (1000, 1), (1300, 2), (13_000, 11)):
            copy = shutil.copytree(tmp_path / "killed", tmp_path / str(cut))
            log = newest(copy, "*.log")
            os.truncate(log, log.stat().st_size - cut)
            assert everything(open_rocks(path=copy)) == _written(500 - lost)

    def test_it_keeps_no_pickled_or_needed_settings(self, open_rocks: OpenRocks) -> None:
        """The binding's own settings file is not synced by it: it may be empty after a power cut."""
        kv = open_rocks()
        put(kv, {b"a": b"1"})
        kv.close()
        (kv.path / "rocksdict-config.json").write_text("")
        assert everything(open_rocks()) == {b"a": b"1"}

    def test_few_logs_of_information(self, open_rocks: OpenRocks) -> None:
        for _ in range(5):
            kv = open_rocks()
            kv.close()
        assert len(list(kv.path.glob("LOG*"))) <= 3


class TestOpening:
    def test_twice_in_one_process(self, open_rocks: OpenRocks) -> None:
        open_rocks()
        with pytest.raises(DataDirInUse):
            open_rocks()

    def test_a_live_scan_or_snapshot_does_not_hold_the_directory(self, open_rocks: OpenRocks) -> None:
        kv = open_rocks()
        put(kv, {b"%d" % i: b"1" for i in range(10)})
        scan, other = kv.scan(b"", LAST), kv.scan(b"", LAST)
        next(scan)
        snapshot = kv.snapshot()
        assert snapshot.get(b"3") == b"1"
        kv.close()
        kv = open_rocks()
        for closed in (scan, other):
            with pytest.raises(Closed):
                next(closed)
        with pytest.raises(Closed):
            snapshot.get(b"3")
        assert len(everything(kv)) == 10

    def test_no_directory(self, open_rocks: OpenRocks, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(DataDirUnusable):
            open_rocks(path=tmp_path / "file")

    @pytest.mark.parametrize("pattern", ["MANIFEST-*", "*.sst"])
    def test_damage(self, open_rocks: OpenRocks, pattern: str) -> None:
        kv = open_rocks()
        put(kv, {b"%03d" % i: b"x" * 100 for i in range(100)})
        kv.flush()
        kv.close()
        damaged = newest(kv.path, pattern)
        os.truncate(damaged, damaged.stat().st_size - 10)
        flip(damaged, 20)
        with pytest.raises(DataLoss, match=str(kv.path)):
            everything(open_rocks())

    @pytest.mark.parametrize("pattern", ["CURRENT", "*.sst"])
    def test_a_missing_file(self, open_rocks: OpenRocks, pattern: str) -> None:
        kv = open_rocks()
        put(kv, {b"a": b"1"})
        kv.flush()
        put(kv, {b"b": b"1"})
        kv.close()
        newest(kv.path, pattern).unlink()
        with pytest.raises(DataLoss, match=str(kv.path)):
            open_rocks()


class TestReadingDamage:
    @pytest.mark.parametrize(("pattern", "size"), [("*.blob", 3000), ("*.sst", 500)])
    def test_is_never_silent(self, open_rocks: OpenRocks, pattern: str, size: int) -> None:
        kv = open_rocks()
        put(kv, {b"%03d" % i: os.urandom(size) for i in range(300)})
        kv.flush()
        kv.close()
        file = newest(kv.path, pattern)
        flip(file, file.stat().st_size // 2)
        kv = open_rocks()
        keys = [b"%03d" % i for i in range(300)]
        with pytest.raises(DataLoss, match=str(kv.path)):
            everything(kv)
        with pytest.raises(DataLoss):
            kv.get_many(keys)
        with pytest.raises(DataLoss):
            for key in keys:
                assert kv.get(key) is not None
        assert kv.get(b"000") is not None
        assert kv.failure() is None

    def test_a_missing_blob_file(self, open_rocks: OpenRocks) -> None:
        kv = open_rocks()
        put(kv, {b"a": b"x" * 1000, b"b": b""})
        kv.flush()
        kv.close()
        newest(kv.path, "*.blob").unlink()
        with pytest.raises(DataLoss):
            open_rocks().get(b"a")

    def test_an_error_that_is_kept_does_not_keep_the_store_open(self, open_rocks: OpenRocks) -> None:
        kv = open_rocks()
        put(kv, {b"%03d" % i: os.urandom(500) for i in range(300)})
        kv.flush()
        kv.close()
        file = newest(kv.path, "*.sst")
        flip(file, file.stat().st_size // 2)
        kv = open_rocks()
        with pytest.raises(DataLoss) as kept:
            everything(kv)
        kv.close()
        open_rocks()
        assert kept.value.__traceback__ is not None


class TestStalls:
    def test_a_stalled_write_is_refused_at_once_and_applies_nothing(self, open_rocks: OpenRocks) -> None:
        kv = open_rocks(TINY)
        refused = None
        for i in range(20_000):
            batch = kv.batch()
            batch.put(b"%05d" % i, b"x" * 8000)
            try:
                kv.write(batch)
            except WriteStall:
                refused = i
                break
        assert refused is not None
        with pytest.raises(Internal):
            kv.write(batch)
        assert kv.failure() is None
        assert len(everything(kv)) == refused
        put(kv, {b"%05d" % refused: b"x" * 8000})
        kv.sync()
        assert len(everything(kv)) == refused + 1


@needs_proc
class TestFailingDisk:
    """The log's file descriptor is made to point at /dev/full, which refuses writes and syncs."""

    def test_a_failed_sync(self, open_rocks: OpenRocks) -> None:
        kv = open_rocks()
        put(kv, {b"a": b"1"})
        kv.sync()
        put(kv, {b"b": b"1"})
        restore = self.break_log(kv)
        with pytest.raises(ReadOnly, match="sync failed"):
            kv.sync()
        restore()
        self.check_read_only(kv, "sync failed")
        assert everything(kv) == {b"a": b"1", b"b": b"1"}
        kv.close()
        assert open_rocks().get(b"a") == b"1"

    def test_a_failed_write(self, open_rocks: OpenRocks) -> None:
        kv = open_rocks()
        put(kv, {b"a": b"1"})
        kv.sync()
        restore = self.break_log(kv)
        with pytest.raises(ReadOnly, match="No space left"):
            put(kv, {b"b": b"1"})
        restore()
        self.check_read_only(kv, "No space left")
        assert everything(kv) == {b"a": b"1"}
        kv.close()
        kv = open_rocks()
        assert everything(kv) == {b"a": b"1"}
        put(kv, {b"c": b"1"})

    def test_a_failed_sync_at_close(self, open_rocks: OpenRocks) -> None:
        kv = open_rocks()
        put(kv, {b"a": b"1"})
        self.break_log(kv)
        with pytest.raises(ReadOnly):
            kv.close()
        kv.close()
        open_rocks()

    @staticmethod
    def check_read_only(kv: RocksKV, reason: str) -> None:
        for call in (lambda: put(kv, {b"c": b"1"}), kv.sync, kv.flush, kv.compact):
            with pytest.raises(ReadOnly, match=reason):
                call()
        failure = kv.failure()
        assert failure is not None and reason in failure
        assert kv.get_many([b"a"]) == [b"1"]
        assert kv.stats()["memory_bytes"] > 0

    @staticmethod
    def break_log(kv: RocksKV) -> Callable[[], None]:
        log = str(newest(kv.path, "*.log"))
        fds = {int(name): f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")}
        [at] = [fd for fd, link in fds.items() if os.path.islink(link) and os.readlink(link) == log]
        whole, full = os.dup(at), os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, at, inheritable=False)
        os.close(full)

        def restore() -> None:
            os.dup2(whole, at, inheritable=False)
            os.close(whole)

        return restore


class TestSpace:
    def test_deleted_values_give_their_space_back(self, open_rocks: OpenRocks) -> None:
        kv = open_rocks()
        for part in range(4):
            put(kv, {b"%d%03d" % (part, i): os.urandom(3000) for i in range(100)})
            kv.flush()
        full = kv.stats()["disk_bytes"]
        assert full > 4 * 100 * 3000
        batch = kv.batch()
        batch.delete_range(b"1", b"4")
        kv.write(batch)
        kv.compact()
        assert kv.stats()["disk_bytes"] < full / 3
        assert len(everything(kv)) == 100

    def test_large_values_lie_in_blob_files(self, open_rocks: OpenRocks) -> None:
        kv = open_rocks()
        put(kv, {b"large": b"x" * 512, b"small": b"y" * 511})
        kv.flush()
        assert kv.stats()["blob_files"] == 1
        [blob] = kv.path.glob("*.blob")
        assert b"x" * 512 in blob.read_bytes()
        assert b"y" * 511 not in blob.read_bytes()

    def test_memory_is_bounded(self, open_rocks: OpenRocks) -> None:
        mib = 1 << 20
        kv = open_rocks(StoreOptions(write_buffer_bytes=mib, max_total_wal_bytes=mib, block_cache_bytes=mib))
        for i in range(300):
            put(kv, {b"%05d%02d" % (i, j): os.urandom(1000) for j in range(50)})
            stats = kv.stats()
            assert stats["memtable_bytes"] <= 4 * mib
            assert stats["wal_bytes"] <= 8 * mib
        assert stats["blob_bytes"] > 10 * mib


def test_closing_cancels_a_compaction(open_rocks: OpenRocks) -> None:
    kv = open_rocks()
    for _ in range(3):
        put(kv, {b"%05d" % i: b"x" * 3000 for i in range(3000)})
        kv.flush()
    started, ends = threading.Event(), []

    def compact() -> None:
        started.set()
        try:
            while True:
                kv.compact()
        except Closed as error:
            ends.append(error)

    thread = threading.Thread(target=compact)
    thread.start()
    started.wait()
    kv.close()
    thread.join()
    assert len(ends) == 1
    assert len(everything(open_rocks())) == 3000


def test_a_checkpoint_is_a_store(open_rocks: OpenRocks, tmp_path: Path) -> None:
    kv = open_rocks()
    put(kv, {b"a": b"1" * 600})
    kv.flush()
    put(kv, {b"b": b"2"})
    kv.checkpoint(tmp_path / "copy")
    put(kv, {b"c": b"3"})
    assert everything(open_rocks(path=tmp_path / "copy")) == {b"a": b"1" * 600, b"b": b"2"}


def flip(path: Path, at: int) -> None:
    """Change one byte."""
    with open(path, "r+b") as file:
        file.seek(at)
        [byte] = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 0xFF]))


_WRITE_AND_WAIT = """
import sys
from vecdb.storage.kv import WriteStall
from vecdb.storage.rocksdb import RocksKV, StoreOptions
kv = RocksKV(sys.argv[1], eval(sys.argv[2]))
for i in range(500):
    while True:
        batch = kv.batch()
        batch.put(b"%05d" % i, b"%03d" % i * 200)
        batch.put(b"%05d again" % i, b"%03d" % i * 200)
        try:
            kv.write(batch)
            break
        except WriteStall:
            kv.flush()
kv.sync()
print("synced", flush=True)
sys.stdin.read()
"""


def _written(batches: int) -> dict[bytes, bytes]:
    """What the first so many batches of the script hold."""
    return {key: b"%03d" % i * 200 for i in range(batches) for key in (b"%05d" % i, b"%05d again" % i)}
