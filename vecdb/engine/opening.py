"""How the store of a database is opened, and opened again after a failure.

Why opening again loses no acknowledged write. After a sync that failed nobody knows which bytes are on the disk: the
kernel may have marked the pages clean that it could not write, so a sync tried again would succeed and prove nothing.
It is never tried again. What was acknowledged was made durable by an earlier sync, that succeeded, and the log is
only ever appended to. What was not acknowledged may be in the log's pages or not; opening reads the log from its
beginning, writes all that it finds into new table files, syncs those and begins a new log. From there on nothing
depends on the bytes whose sync failed: each of those writes is there entirely, durably, or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vecdb.engine.space import DiskSpace
from vecdb.errors import DataDirUnusable, ReadOnly
from vecdb.storage import files
from vecdb.storage.kv import KV
from vecdb.storage.rocksdb import RocksKV, StoreOptions, open_to_read

REWRITE_SLACK_BYTES = 1 << 20
"""Beside the content of the log, which is written once more: a manifest, a log, notes."""


class Opening(Protocol):
    """Opens one store, again and again. A store is closed before the next is opened."""

    def open(self) -> KV:
        """For reading and writing. Raises DataDirUnusable, DataLoss."""

    def open_to_read(self, reason: str) -> KV:
        """So that reads go on while writing is refused for ``reason``. Raises as ``open``."""

    def try_disk(self, failed: KV) -> None:
        """Raise ReadOnly when the disk would refuse ``open``: what is open is then better left open."""


@dataclass(frozen=True, slots=True)
class OnDisk:
    """The store in the folder ``path``."""

    path: Path
    options: StoreOptions
    space: DiskSpace

    def open(self) -> KV:
        """A full disk is given the space that was kept back, and then tried once more."""
        try:
            return RocksKV(self.path, self.options)
        except DataDirUnusable as error:
            if not self.space.give_back(str(error)):
                raise
            return RocksKV(self.path, self.options)

    def open_to_read(self, reason: str) -> KV:
        try:
            return open_to_read(self.path, reason, self.options)
        except OSError as error:
            raise DataDirUnusable(f"{self.path} cannot be opened for reading: {error}") from error

    def try_disk(self, failed: KV) -> None:
        free, needed = self.space.free(), REWRITE_SLACK_BYTES + failed.stats().get("wal_bytes", 0)
        if free < needed:
            raise ReadOnly(
                "the disk is too full for the store to be opened again",
                expected=f">= {needed} bytes free",
                received=str(free),
            )
        try:
            files.try_disk(self.path.parent)
        except OSError as error:
            raise ReadOnly(f"the disk still refuses: {error}") from error
