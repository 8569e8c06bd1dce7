"""A store in memory with the semantics of the one on disk, and with its faults at will. For tests.

It keeps two maps: what is visible, and what a power cut would leave (``durable``). The changes between
them are a list of batches, so that a test may let any prefix of them survive, as a log would.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Iterator, Sequence

from vecdb.errors import Closed, Internal, ReadOnly
from vecdb.storage.kv import Batch, WriteStall

_Change = tuple[bytes, bytes | None]
"""A key and its new value, None for a delete."""


class MemoryBatch:
    """A ``Batch`` that records its calls."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, bytes, bytes]] = []
        self.taken = False

    def put(self, key: bytes, value: bytes) -> None:
        self._add("put", key, value)

    def delete(self, key: bytes) -> None:
        self._add("delete", key, b"")

    def delete_range(self, start: bytes, end: bytes) -> None:
        if start < end:
            self._add("range", start, end)

    def __len__(self) -> int:
        return len(self.steps)

    def _add(self, verb: str, key: bytes, value: bytes) -> None:
        if self.taken:
            raise Internal("this batch was written already; build it again")
        if type(key) is not bytes or type(value) is not bytes:
            raise TypeError("keys and values are bytes")
        self.steps.append((verb, key, value))


class MemoryKV:
    """A ``KV`` in memory. Every method is atomic under one lock."""

    def __init__(self, durable: dict[bytes, bytes] | None = None) -> None:
        self._lock = threading.RLock()
        self._durable = dict(durable or {})
        self._data = dict(self._durable)
        self._keys = sorted(self._data)
        self._new_keys: set[bytes] = set()
        self._unsynced: list[list[_Change]] = []
        self._closed = False
        self._failure: str | None = None
        self._writes_to_stall = 0
        self._syncs_until_failure = 0
        self._writes_until_failure = 0

    def batch(self) -> MemoryBatch:
        return MemoryBatch()

    def write(self, batch: Batch) -> None:
        if not isinstance(batch, MemoryBatch):
            raise TypeError(f"a batch of this store is expected, not {type(batch).__name__}")
        if batch.taken:
            raise Internal("this batch was written already; build it again")
        batch.taken = True
        with self._lock:
            self._refuse_when_closed()
            self._refuse_after_failure()
            if self._writes_to_stall:
                self._writes_to_stall -= 1
                raise WriteStall("asked for by a test")
            if self._writes_until_failure:
                self._writes_until_failure -= 1
                if not self._writes_until_failure:
                    self._fail("write failed: asked for by a test")
            self._unsynced.append(self._apply(batch))

    def sync(self) -> None:
        with self._lock:
            self._refuse_when_closed()
            self._refuse_after_failure()
            if self._syncs_until_failure:
                self._syncs_until_failure -= 1
                if not self._syncs_until_failure:
                    self._fail("sync failed: asked for by a test")
            _replay(self._durable, self._unsynced)
            self._unsynced = []

    def get(self, key: bytes) -> bytes | None:
        with self._lock:
            self._refuse_when_closed()
            return self._data.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        with self._lock:
            self._refuse_when_closed()
            return [self._data.get(key) for key in keys]

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        with self._lock:
            self._refuse_when_closed()
            return self._pairs([(key, self._data[key]) for key in self._keys_in(start, end)])

    def snapshot(self) -> MemorySnapshot:
        with self._lock:
            self._refuse_when_closed()
            return MemorySnapshot(self, dict(self._data))

    def flush(self) -> None:
        with self._lock:
            self._refuse_when_closed()
            self._refuse_after_failure()

    def compact(self, start: bytes | None = None, end: bytes | None = None) -> None:
        with self._lock:
            self._refuse_when_closed()
            self._refuse_after_failure()

    def stats(self) -> dict[str, int]:
        with self._lock:
            self._refuse_when_closed()
            held = sum(len(key) + len(value) for key, value in self._data.items())
            return {"memory_bytes": held, "disk_bytes": 0, "unsynced_batches": len(self._unsynced)}

    def failure(self) -> str | None:
        return self._failure

    def close(self) -> None:
        with self._lock:
            if not self._closed and self._failure is None:
                _replay(self._durable, self._unsynced)
                self._unsynced = []
            self._closed = True

    # What only a test does.

    def forget_unsynced(self, keep: int = 0) -> None:
        """A power cut: drop every batch not synced but the first ``keep`` of them. Works on a closed store."""
        with self._lock:
            _replay(self._durable, self._unsynced[:keep])
            self._unsynced = []
            self._data = dict(self._durable)
            self._keys = sorted(self._data)
            self._new_keys = set()

    def durable_copy(self, keep: int = 0) -> MemoryKV:
        """What one finds after a power cut now: the synced batches, and the first ``keep`` of the others."""
        with self._lock:
            found = dict(self._durable)
            _replay(found, self._unsynced[:keep])
            return MemoryKV(found)

    def fail_next_sync(self, n: int = 1) -> None:
        """The ``n``-th sync from now (1 is the next) fails, and the store is read-only from then on."""
        self._syncs_until_failure = n

    def fail_next_write(self, n: int = 1) -> None:
        """The ``n``-th write from now (1 is the next) fails with nothing applied; read-only from then on."""
        self._writes_until_failure = n

    def stall_next_write(self, n: int = 1) -> None:
        """The next ``n`` writes raise WriteStall."""
        self._writes_to_stall = n

    def _apply(self, batch: MemoryBatch) -> list[_Change]:
        """Apply in order, and return the changes with every range spelt out."""
        changes: list[_Change] = []
        for verb, key, value in batch.steps:
            if verb == "put":
                if key not in self._data:
                    self._new_keys.add(key)
                self._data[key] = value
                changes.append((key, value))
            else:
                for dead in self._keys_in(key, value) if verb == "range" else [key]:
                    self._data.pop(dead, None)
                    changes.append((dead, None))
        return changes

    def _keys_in(self, start: bytes, end: bytes) -> list[bytes]:
        if self._new_keys or len(self._keys) > 2 * len(self._data) + 64:
            self._keys = sorted(key for key in self._new_keys.union(self._keys) if key in self._data)
            self._new_keys = set()
        keys = self._keys[bisect.bisect_left(self._keys, start) : bisect.bisect_left(self._keys, end)]
        return [key for key in keys if key in self._data]

    def _pairs(self, pairs: list[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
        for pair in pairs:
            self._refuse_when_closed()
            yield pair

    def _fail(self, reason: str) -> None:
        self._failure = reason
        self._refuse_after_failure()

    def _refuse_after_failure(self) -> None:
        if self._failure is not None:
            raise ReadOnly(f"the store is read-only until it is opened again: {self._failure}")

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise Closed("the store in memory is closed")


class MemorySnapshot:
    """A ``Snapshot`` of a MemoryKV: a copy of what it held."""

    def __init__(self, store: MemoryKV, data: dict[bytes, bytes]) -> None:
        self._store = store
        self._data = data
        self._keys = sorted(data)
        self._closed = False

    def get(self, key: bytes) -> bytes | None:
        self._refuse_when_closed()
        return self._data.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        self._refuse_when_closed()
        return [self._data.get(key) for key in keys]

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        self._refuse_when_closed()
        return self._pairs(self._keys[bisect.bisect_left(self._keys, start) : bisect.bisect_left(self._keys, end)])

    def close(self) -> None:
        self._closed = True

    def _pairs(self, keys: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
        for key in keys:
            self._refuse_when_closed()
            yield key, self._data[key]

    def _refuse_when_closed(self) -> None:
        if self._closed or self._store._closed:
            raise Closed("the state that was read is not kept any more")


def _replay(into: dict[bytes, bytes], batches: list[list[_Change]]) -> None:
    for batch in batches:
        for key, value in batch:
            if value is None:
                into.pop(key, None)
            else:
                into[key] = value
