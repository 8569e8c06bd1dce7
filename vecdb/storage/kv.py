"""The narrow waist between the engine and what keeps its bytes: an ordered key-value store.

Thread rule: every method may be called from any thread; ``close`` waits for the others. Keys and
values are bytes. A write is atomic; it is durable only after a ``sync`` that began after it returned.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

STALL_PAUSE_S = 0.005


class Batch(Protocol):
    """Changes applied together by ``KV.write``; a batch is consumed by the write, even a failed one."""

    def put(self, key: bytes, value: bytes) -> None:
        """Set ``key``."""

    def delete(self, key: bytes) -> None:
        """Remove ``key``; a missing one is no error."""

    def delete_range(self, start: bytes, end: bytes) -> None:
        """Remove every key in [start, end)."""

    def __len__(self) -> int: ...


class Reader(Protocol):
    """What can be read of a store, as it is or as it was."""

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values in the order of ``keys``, None where missing."""

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < end in key order."""


class Snapshot(Reader, Protocol):
    """The store as it was when the snapshot was taken, until it is closed; the store's ``close`` closes it too.

    While it is open nothing that was deleted or overwritten since gives its space back.
    """

    def close(self) -> None:
        """Let go of that state. Later calls raise Closed, and so does a scan that is not at its end."""


class KV(Protocol):
    """An ordered map from bytes to bytes with atomic batches and an explicit sync."""

    def batch(self) -> Batch:
        """An empty batch of this store."""

    def write(self, batch: Batch) -> None:
        """Apply atomically, visible at once, durable after the next sync.

        Raises WriteStall when the store cannot take it now (nothing was applied; build the batch
        again), ReadOnly after a failed sync or write, DataLoss for damage.
        """

    def sync(self) -> None:
        """Make every write that returned before this call durable. Raises ReadOnly when that fails."""

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values in the order of ``keys``, None where missing; releases the GIL."""

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < end in key order, of the state when the scan began."""

    def snapshot(self) -> Snapshot:
        """The store as it is now, for whoever reads it while others write."""

    def flush(self) -> None:
        """Move what is in memory to files (before a checkpoint, or to bound the replay at open)."""

    def compact(self, start: bytes | None = None, end: bytes | None = None) -> None:
        """Rewrite files so that deleted and overwritten values give their space back."""

    def stats(self) -> dict[str, int]:
        """Counters by name: at least ``memory_bytes``, ``disk_bytes``."""

    def failure(self) -> str | None:
        """Why writes are refused (a failed sync), or None."""

    def close(self) -> None:
        """Release everything. Later calls raise Closed."""


class WriteStall(Exception):
    """The store is behind its own compaction; nothing was applied. Internal: see ``write_patiently``."""


def write_patiently(kv: KV, build: Callable[[], Batch]) -> None:
    """Write, waiting out stalls: a stalled batch was not applied and is consumed, so it is built again."""
    while True:
        try:
            return kv.write(build())
        except WriteStall:
            time.sleep(STALL_PAUSE_S)


def portions(
    pairs: Iterable[tuple[bytes, bytes]], rows: int = 1_024, nbytes: int = 1 << 20
) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """Keys and values of pairs, some at a time: at most ``rows``, and fewer once the values are ``nbytes``."""
    found: list[bytes] = []
    values: list[bytes] = []
    held = 0
    for key, value in pairs:
        found.append(key)
        values.append(value)
        held += len(value)
        if len(found) == rows or held >= nbytes:
            yield found, values
            found, values, held = [], [], 0
    if found:
        yield found, values


def prefix_end(prefix: bytes) -> bytes:
    """The first key after every key that starts with ``prefix`` (which must not be all 0xff)."""
    head = prefix.rstrip(b"\xff")
    return head[:-1] + bytes([head[-1] + 1])


def chunks(keys: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    """Split ``keys`` into lists of at most ``size``."""
    some: list[bytes] = []
    for key in keys:
        some.append(key)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some
