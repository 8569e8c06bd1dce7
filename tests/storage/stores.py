"""Short ways to write to and read a whole store."""

from __future__ import annotations

from vecdb.storage.kv import KV, WriteStall
from vecdb.storage.rocksdb import StoreOptions

TINY = StoreOptions(write_buffer_bytes=64 << 10, max_total_wal_bytes=64 << 10, block_cache_bytes=1 << 20)
LAST = b"\xff" * 8


def put(kv: KV, pairs: dict[bytes, bytes]) -> None:
    """One batch; when the store is behind, help it by a flush and build the batch again."""
    while True:
        batch = kv.batch()
        for key, value in pairs.items():
            batch.put(key, value)
        try:
            return kv.write(batch)
        except WriteStall:
            kv.flush()


def everything(kv: KV) -> dict[bytes, bytes]:
    return dict(kv.scan(b"", LAST))
