"""Spike: what reading the bodies of ten hits costs, and whether two threads with half of them each are quicker.

Gives the last figures of docs/decisions/0010-tables-in-pieces.md.

    python -m benchmarks.spikes.cold_fetch [--rows 400000] [--bytes 1200] [--fetches 600]

Every fetch is of ten random keys that were not read before. From the disk: the kernel is told before every 50th to
forget the files.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from vecdb.storage.kv import Batch, write_patiently
from vecdb.storage.rocksdb import RocksKV

HITS, BATCH = 10, 1_000
FORGET_EVERY = 50

Fetch = Callable[[Sequence[bytes]], list[bytes | None]]


def key(row: int) -> bytes:
    return b"b%012d" % row


def fill(kv: RocksKV, rows: int, size: int) -> None:
    rng = np.random.default_rng(0)

    def some(start: int) -> Batch:
        batch, data = kv.batch(), rng.bytes(size * BATCH)
        for i in range(BATCH):
            batch.put(key(start + i), data[i * size : (i + 1) * size])
        return batch

    for start in range(0, rows, BATCH):
        write_patiently(kv, lambda start=start: some(start))  # type: ignore[misc]
    kv.flush()


def forget(folder: Path) -> None:
    """Take the files out of the page cache."""
    for file in folder.iterdir():
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def remember(folder: Path) -> None:
    """Bring the files into the page cache."""
    for file in folder.iterdir():
        with file.open("rb") as opened:
            while opened.read(16 << 20):
                pass


def measure(fetch: Fetch, fetches: list[list[bytes]], folder: Path, *, cold: bool) -> str:
    taken = []
    for number, keys in enumerate(fetches):
        if cold and number % FORGET_EVERY == 0:
            forget(folder)
        start = time.perf_counter()
        found = fetch(keys)
        taken.append(1_000 * (time.perf_counter() - start))
        assert None not in found
    return f"p50 {np.median(taken):6.3f} ms, p95 {np.percentile(taken, 95):6.3f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spikes.cold_fetch", description=__doc__)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--bytes", type=int, default=1_200)
    parser.add_argument("--fetches", type=int, default=600)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as other:
        path = Path(folder) / "rows"
        kv = RocksKV(path)
        fill(kv, asked.rows, asked.bytes)
        kv.close()
        kv = RocksKV(path)
        fresh = iter(np.random.default_rng(1).permutation(asked.rows).tolist())

        def unread() -> list[list[bytes]]:
            return [[key(next(fresh)) for _ in range(HITS)] for _ in range(asked.fetches)]

        def halves(keys: Sequence[bytes]) -> list[bytes | None]:
            first = other.submit(kv.get_many, keys[: HITS // 2])
            return [*kv.get_many(keys[HITS // 2 :]), *first.result()]

        measure(halves, unread(), path, cold=False)  # indexes and filters, and the other thread
        for cold in (True, False):
            if not cold:
                remember(path)
            where = "disk" if cold else "page cache"
            print(f"{where:12} one list-get   {measure(kv.get_many, unread(), path, cold=cold)}")
            print(f"{where:12} two threads    {measure(halves, unread(), path, cold=cold)}")
        again = unread()[:1] * asked.fetches
        print(f"{'block cache':12} one list-get   {measure(kv.get_many, again, path, cold=False)}")
        print(f"{'block cache':12} two threads    {measure(halves, again, path, cold=False)}")
        kv.close()


if __name__ == "__main__":
    main()
