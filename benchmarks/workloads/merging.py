"""merging: a million rows in batches of 1,000 while graphs are built, searched all the while; one run, two budgets.

Sustained ingest (against hnswlib building the same vectors on as many threads), and what merging costs: graph
insertions a row, bytes written, segments and memory.
"""

from __future__ import annotations

import gc
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import filled, process, raw
from benchmarks.clock import Heartbeat, each, seconds
from benchmarks.figure import Figure, median, percentile
from benchmarks.rows import batches
from benchmarks.run import Run
from benchmarks.sets import K, enlarged
from benchmarks.setup import FULL_ROWS, Setup
from vecdb.engine.options import EngineOptions

SIZE = 1_000_000
PAUSE_S = 0.02  # between two searches: a reader, not a load
IDLE_SEARCHES = 2_000
QUIET_S = 20.0
LEAST_RATE, MOST_TAIL = 0.8, 3.0
MOST_INSERTIONS, MOST_WRITTEN, MOST_SEGMENTS, MOST_PEAK = 3.0, 6.0, 8, 1.6


def measure(setup: Setup) -> Run:
    """One load in auto mode with a reader beside it; then idle searches; then hnswlib."""
    run = Run.begin("merging", setup.size)
    vectors, queries, metric = _mapped(setup)
    options = setup.options()
    path = setup.folder("db")
    before, written_before = process.memory(), process.bytes_written()
    with filled.embedded(path, **options) as db:
        docs = db.create_collection(filled.NAME, dim=vectors.shape[1], metric=metric)
        with process.sampled(process.memory) as seen:
            began = time.perf_counter()
            with Heartbeat() as heart, _Reader(docs, queries) as reader:
                taken = each(lambda batch: docs.upsert(**batch, timeout=600.0), batches(vectors, rag=False))
                written = time.perf_counter() - began
            docs.wait_indexed(timeout=filled.SETTLE_S)
            indexed = time.perf_counter() - began
            filled.settle(docs, QUIET_S if setup.size >= FULL_ROWS else 1.0)
        gc.collect()
        idle = [s for _ in range(2) for s in each(_search(docs), _some(queries, IDLE_SEARCHES))]
        filled.check(run, docs, options, dim=vectors.shape[1])
        run.add(
            "load",
            {
                "rows": len(vectors),
                "batches": taken,
                "written_s": written,
                "indexed_s": indexed,
                "searches": reader.taken,
                "idle_searches": idle[len(idle) // 2 :],
                "gaps": heart.gaps,
                "memory_before": before,
                "memory": seen,
                "memory_at_rest": process.memory(),
                "bytes_written": process.bytes_written() - written_before,
            },
        )
    run.add("disk_bytes", process.disk_bytes(path))
    ready = raw.prepared(metric, np.asarray(vectors))
    threads = EngineOptions(**options).index_threads
    run.add("raw_build", {"threads": threads, "seconds": seconds(lambda: raw.build(metric, ready, threads))})
    return run


class _Reader:
    """Searches every now and then, until the block ends."""

    def __init__(self, docs: Any, queries: Any) -> None:
        self.taken: list[float] = []
        self._search, self._queries = _search(docs), queries
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> _Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        turn = 0
        while not self._stop.wait(PAUSE_S):
            self.taken += each(self._search, [self._queries[turn % len(self._queries)]])
            turn += 1


def _search(docs: Any) -> Any:
    return lambda query: docs.search(query, limit=K)


def _some(queries: Any, count: int) -> list[Any]:
    return [queries[i % len(queries)] for i in range(count)]


def _mapped(setup: Setup) -> tuple[Any, Any, Any]:
    """The vectors in a file, read in place: they must not count as memory of the engine."""
    some = enlarged(setup.data, setup.size)
    path: Path = setup.folder("vectors.npy")
    np.save(path, some.vectors)
    return np.load(path, mmap_mode="r"), some.queries, some.metric


def figures(samples: dict[str, Any]) -> list[Figure]:
    """Both rows of the table."""
    load, collection = samples["load"][0], samples["collection"][0]
    sustained = samples["raw_build"][0]["seconds"] / load["indexed_s"]
    tail, idle = percentile(load["searches"], 99), percentile(load["idle_searches"], 99)
    written = load["bytes_written"] / samples["disk_bytes"][0]
    peak = max(_own(seen) for seen in load["memory"])
    return [
        Figure("rows a second until indexed", load["rows"] / load["indexed_s"], "/s"),
        Figure("rows a second over a raw build", sustained, "x", at_least=LEAST_RATE),
        Figure("search p99 beside it over idle", tail / idle, "x", at_most=MOST_TAIL),
        Figure("search p99 beside it", 1e3 * tail, "ms"),
        Figure("search p99 idle", 1e3 * idle, "ms"),
        Figure("search median beside it", 1e3 * median(load["searches"]), "ms"),
        Figure("longest gap of the heartbeat", 1e3 * max(load["gaps"], default=0.0), "ms"),
        Figure("insertions a row", collection["insertions_per_row"], at_most=MOST_INSERTIONS),
        Figure("bytes written over final", written, "x", at_most=MOST_WRITTEN),
        Figure("segments at rest", len(collection["segments"]), at_most=MOST_SEGMENTS),
        Figure("peak memory over resting", peak / _own(load["memory_at_rest"]), "x", at_most=MOST_PEAK),
    ]


def _own(memory: dict[str, int]) -> int:
    """Memory that no file stands behind."""
    return memory["anonymous"] + memory["shared"]
