"""Spike: how the index and filter of a table are kept. Answers docs/decisions/0010-tables-in-pieces.md.

    python -m benchmarks.spikes.tables [--rows 1500000] [--dir /a/disk/to/measure]

Fills a store for each form, about half a minute each, and reads 2,000 keys at a time from its one file: anywhere,
and one after another. Times belong to the machine; what counts is how they stand to each other.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path

import numpy as np
import rocksdict

from vecdb.storage import keys, rocksdb
from vecdb.storage.kv import Batch, write_patiently
from vecdb.storage.rocksdb import RocksKV, StoreOptions

WHOLE, UNCACHED, PIECES = "whole, in the cache", "whole, not in the cache", "in pieces, in the cache"
BATCH, ASKED, ROUNDS = 1_000, 2_000, 20
BODY, POINTER, SLOT = bytes(300), bytes(30), bytes(64)


def options_of(form: str, options: StoreOptions, cache: rocksdict.Cache) -> rocksdict.Options:
    """The store's own options with another form of index and filter."""
    table = rocksdict.BlockBasedOptions()
    table.set_block_cache(cache)
    table.set_bloom_filter(10, False)
    table.set_cache_index_and_filter_blocks(form != UNCACHED)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    table.set_format_version(5)
    if form == PIECES:
        table.set_index_type(rocksdict.BlockBasedIndexType.two_level_index_search())
        table.set_partition_filters(True)
        table.set_metadata_block_size(4 << 10)
        table.set_pin_top_level_index_and_filter(True)
    found = _options(options, cache)
    found.set_block_based_table_factory(table)
    return found


_options = rocksdb._rocks_options


def filled(kv: RocksKV, start: int) -> Batch:
    """Rows as the engine writes them: a body, a pointer and a vector slot each."""
    batch = kv.batch()
    for row in range(start, start + BATCH):
        batch.put(keys.body(1, row), BODY)
        batch.put(keys.pointer(1, str(row)), POINTER)
        batch.put(keys.vector(1, row, 0), SLOT)
    return batch


def measure(form: str, path: Path, rows: int) -> str:
    """A line of the table: microseconds a key, and what index and filter take outside the cache."""
    rocksdb._rocks_options = lambda options, cache: options_of(form, options, cache)
    kv = RocksKV(path)
    for start in range(0, rows, BATCH):
        write_patiently(kv, lambda start=start: filled(kv, start))  # type: ignore[misc]
    kv.flush()
    kv.compact()
    pick = random.Random(1)
    times = []
    for scattered in (True, False):
        taken = []
        for _ in range(ROUNDS):
            first = pick.randrange(rows - ASKED)
            asked = [pick.randrange(rows) if scattered else first + i for i in range(ASKED)]
            wanted = [keys.body(1, row) for row in asked]
            began = time.perf_counter()
            found = kv.get_many(wanted)
            taken.append(time.perf_counter() - began)
            assert None not in found
        times.append(1e6 * float(np.median(taken)) / ASKED)
    stats = kv.stats()
    kv.close()
    return (
        f"| {form} | {times[0]:.1f} us | {times[1]:.1f} us "
        f"| {stats['table_reader_bytes'] / 1e6:.3f} MB | {stats['sst_files']} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spikes.tables", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_500_000, help="rows of a body, a pointer and a vector slot")
    parser.add_argument("--dir", type=Path, help="where the stores are made")
    given = parser.parse_args()
    print("| index and filter | random key | keys in order | beside the cache | files |\n|---|---|---|---|---|")
    for form in (WHOLE, UNCACHED, PIECES):
        with tempfile.TemporaryDirectory(dir=given.dir) as folder:
            print(measure(form, Path(folder), given.rows), flush=True)


if __name__ == "__main__":
    main()
