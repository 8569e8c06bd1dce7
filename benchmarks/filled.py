"""A database with one collection filled and settled, and the checks that make a run count."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import vecdb
from benchmarks.rows import RAG_BODY_BYTES, batches
from benchmarks.run import Run
from benchmarks.setup import FULL_ROWS
from vecdb.engine.options import EngineOptions

NAME = "bench"
INDEXED_SHARE = 0.95
GROWING_SEGMENTS = 4
SETTLE_S = 3_600.0


@contextmanager
def embedded(path: Path, **options: Any) -> Iterator[vecdb.Client]:
    """An engine in this process."""
    with vecdb.open(path, timeout=600.0, **options) as db:
        yield db


def fill(db: vecdb.Client, vectors: NDArray[np.float32], metric: Any, rag: bool, compact: bool = True) -> Any:
    """A collection with all the vectors, indexed; ``compact``: in as few segments as fit."""
    docs = db.create_collection(NAME, dim=vectors.shape[1], metric=metric)
    docs.set_indexing("deferred")
    for batch in batches(vectors, rag):
        docs.upsert(**batch)
    docs.set_indexing("auto")
    if compact:
        docs.compact(timeout=SETTLE_S)
    docs.wait_indexed(timeout=SETTLE_S)
    return docs


def settle(docs: Any, quiet_s: float) -> None:
    """Wait until every row is in a graph and the segments have stayed the same for ``quiet_s`` seconds."""
    docs.wait_indexed(timeout=SETTLE_S)
    seen, since = _layout(docs), time.monotonic()
    while time.monotonic() - since < quiet_s:
        time.sleep(0.2)
        now = _layout(docs)
        if now != seen:
            seen, since = now, time.monotonic()


def check(
    run: Run, docs: Any, options: Mapping[str, Any], *, dim: int, rag: bool = False, size_matters: bool = True
) -> None:
    """Note in the run what the collection looks like, and whether the rules void it."""
    stats = docs.stats()
    run.add(
        "collection",
        {
            "live": stats.live,
            "vectors": stats.vectors,
            "indexed": stats.indexed,
            "bytes": dict(stats.bytes),
            "segments": [(s.state, s.live, s.dead) for s in stats.segments],
            "insertions_per_row": stats.insertions_per_row,
            "longest_pause_ms": stats.longest_pause_ms,
        },
    )
    if stats.indexed < INDEXED_SHARE * stats.vectors:
        run.doubt(f"only {stats.indexed:,} of {stats.vectors:,} vectors are in graphs")
    if size_matters and stats.live < FULL_ROWS:
        run.doubt(f"{stats.live:,} points; {FULL_ROWS:,} are the least")
    bounds = EngineOptions(**options)
    bound = min(bounds.growing_rows, bounds.growing_vector_bytes // (4 * dim))
    if rag:
        bound = min(bound, bounds.growing_body_bytes // RAG_BODY_BYTES)
    if size_matters and stats.live < GROWING_SEGMENTS * bound:
        run.doubt(f"{stats.live:,} points are less than {GROWING_SEGMENTS} growing segments of {bound:,}")


def _layout(docs: Any) -> list[tuple[int, str, int]]:
    return [(s.segment, s.state, s.live + s.dead) for s in docs.stats().segments]
