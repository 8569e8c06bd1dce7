"""Spike: how large the first level of the store is, and its tables. Answers docs/decisions/0016-small-levels.md.

    python -m benchmarks.spikes.levels [--rows 110000] [--cycles 3] [--dir /a/disk/to/measure]

For each size, a process of its own, about a minute: the cycles of `python -m benchmarks deletes` without graphs, which
would take most of the time, and points of random numbers. Bytes count here; times belong to the machine.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from pathlib import Path

import numpy as np
import rocksdict

from benchmarks import filled
from benchmarks.process import bytes_written, disk_bytes, sampled
from benchmarks.rows import BATCH, row_id
from benchmarks.workloads.deletes import DELETED, GROWING_ROWS, UPDATED
from vecdb.storage import rocksdb
from vecdb.storage.rocksdb import StoreOptions

DIM, QUIET_S, LOOK_S = 100, 10.0, 0.3
SIZES = [(256, 64, 1), (64, 8, 1), (32, 4, 1), (32, 4, 2), (16, 4, 2)]
"""MiB of the first level and of its tables, and how many times larger those of the next are; RocksDB's own first."""

_options = rocksdb._rocks_options


def measure(size: tuple[int, int, int], path: Path, rows: int, cycles: int) -> str:
    """A line of the table."""
    level, table, times = size

    def options_of(options: StoreOptions, cache: rocksdict.Cache) -> rocksdict.Options:
        found = _options(options, cache)
        found.set_max_bytes_for_level_base(level << 20)
        found.set_target_file_size_base(table << 20)
        found.set_target_file_size_multiplier(times)
        return found

    rocksdb._rocks_options = options_of
    random = np.random.default_rng(1)
    vectors = random.standard_normal((2 * rows, DIM)).astype(np.float32)
    live, away = np.arange(rows), np.arange(rows, 2 * rows)
    with filled.embedded(path, use_graphs=False, growing_rows=GROWING_ROWS) as db:
        docs = filled.fill(db, vectors[:rows], "euclidean", rag=False, compact=False)
        filled.settle(docs, QUIET_S)
        fresh, written = disk_bytes(path), bytes_written()
        with sampled(lambda: disk_bytes(path), LOOK_S) as disk:
            for _ in range(cycles):
                random.shuffle(live)
                gone, kept = np.split(live, [int(DELETED * rows)])
                for some in _batches(gone):
                    docs.delete(ids=_ids(some))
                random.shuffle(away)
                came, away = np.split(away, [len(gone)])
                live, away = np.concatenate([kept, came]), np.concatenate([away, gone])
                moved = random.choice(live, int(UPDATED * rows), replace=False)
                for change, chosen in ((docs.upsert, came), (docs.update, moved)):
                    for some in _batches(chosen):
                        change(ids=_ids(some), vectors=vectors[some])
            filled.settle(docs, QUIET_S)
        written, cpu = bytes_written() - written, time.process_time()
        peak, rest, tables = max(disk) / fresh, disk_bytes(path) / fresh, len(list(path.glob("rocksdb/*.sst")))
    return (
        f"| {level} MiB, tables of {table} MiB, {times} times | {rest:.2f} | {peak:.2f} | {written >> 20:,} "
        f"| {tables} | {cpu:.0f} |"
    )


def _batches(numbers: np.ndarray) -> list[np.ndarray]:
    return np.split(numbers, range(BATCH, len(numbers), BATCH))


def _ids(numbers: np.ndarray) -> list[str]:
    return list(map(row_id, numbers.tolist()))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spikes.levels")
    parser.add_argument("--rows", type=int, default=110_000)
    parser.add_argument("--cycles", type=int, default=3)
    parser.add_argument("--dir", type=Path, default=None)
    asked = parser.parse_args()
    print("| first level | disk at rest, of a fresh load | at its peak | MB written | tables | processor, s |")
    print("|---|---|---|---|---|---|")
    for size in SIZES:
        with (
            tempfile.TemporaryDirectory(dir=asked.dir) as folder,
            multiprocessing.get_context("spawn").Pool(1) as pool,
        ):
            print(pool.apply(measure, (size, Path(folder) / "db", asked.rows, asked.cycles)), flush=True)


if __name__ == "__main__":
    main()
