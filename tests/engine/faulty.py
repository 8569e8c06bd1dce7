"""A store on RocksDB whose disk refuses at will, and a database on it that can be opened again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vecdb.engine.database import Database
from vecdb.engine.opening import OnDisk
from vecdb.engine.options import EngineOptions
from vecdb.engine.space import DiskSpace
from vecdb.errors import DataDirUnusable, ReadOnly
from vecdb.storage.kv import KV
from vecdb.storage.rocksdb import RocksKV, StoreOptions

STORE = StoreOptions(write_buffer_bytes=1 << 20, max_total_wal_bytes=1 << 20, block_cache_bytes=1 << 20)


class Disk:
    """What fails from now on: ``syncs``, ``probes`` (the disk is tried), ``opens``, ``reads`` (opening for reading)."""

    def __init__(self) -> None:
        self.syncs = self.probes = self.opens = self.reads = False
        self.free = 1 << 40


class FaultyKV(RocksKV):
    """A store on ``disk``."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self._disk = disk
        super().__init__(path, STORE)

    def _sync(self) -> None:
        if self._disk.syncs:
            raise self._fail("sync", Exception("IO error: the disk was told to refuse"))
        super()._sync()


class Faulty:
    """An ``Opening`` of the store in ``folder`` on ``disk``."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self.disk = disk
        self.space = DiskSpace(folder, 8 << 10, 1 << 20, lambda _: disk.free)
        self._path = folder / "rocksdb"
        self._usual = OnDisk(self._path, STORE, self.space)
        self.opened = 0

    def open(self) -> KV:
        if self.disk.opens:
            raise DataDirUnusable("the disk was told to refuse an opening")
        self.opened += 1
        return FaultyKV(self._path, self.disk)

    def open_to_read(self, reason: str) -> KV:
        if self.disk.reads:
            raise DataDirUnusable("the disk was told to refuse reads")
        return self._usual.open_to_read(reason)

    def try_disk(self, failed: KV) -> None:
        if self.disk.probes:
            raise ReadOnly("the disk was told to refuse a trial")
        self._usual.try_disk(failed)


def faulty(folder: Path, disk: Disk, options: EngineOptions, **more: Any) -> Database:
    """A database in ``folder`` on ``disk``."""
    folder.mkdir(parents=True, exist_ok=True)
    opening = Faulty(folder, disk)
    return Database(opening.open(), folder / "segments", options, opening=opening, space=opening.space, **more)
