"""ingest: the first rows of a bulk load (deferred, fsync), bare and RAG, embedded and over gRPC."""

from __future__ import annotations

import shutil
from typing import Any

import vecdb
from benchmarks import child, filled
from benchmarks.clock import each
from benchmarks.figure import Figure, median
from benchmarks.rows import BATCH, batches
from benchmarks.run import Run
from benchmarks.sets import made
from benchmarks.setup import Setup

SIZE = 200_000
DIM = 768
LEAST = {False: 10_000.0, True: 4_000.0}


def measure(setup: Setup) -> Run:
    """Time of each batch of 1,000 rows, one writer."""
    run = Run.begin("ingest", setup.size)
    if setup.size < SIZE:
        run.doubt(f"{setup.size:,} rows; the budget is for the first {SIZE:,}")
    vectors = made(setup.size, DIM, exact=False).vectors
    path = setup.folder("db")
    for _ in range(setup.rounds):
        for rag in LEAST:
            with filled.embedded(path, **setup.options()) as db:
                _load(run, db, "embedded", vectors, rag)
            shutil.rmtree(path)
            with child.vecdb_server(path, **setup.options()) as (address, _), vecdb.connect(address) as db:
                _load(run, db, "grpc", vectors, rag)
            shutil.rmtree(path)
    return run


def _load(run: Run, db: vecdb.Client, how: str, vectors: Any, rag: bool) -> None:
    docs = db.create_collection(filled.NAME, dim=DIM)
    docs.set_indexing("deferred")
    rows = list(batches(vectors, rag))
    taken = each(lambda batch: docs.upsert(**batch, timeout=600.0), rows)
    run.add("loads", {"how": how, "rag": rag, "rows": len(vectors), "batch": BATCH, "seconds": taken})


def figures(samples: dict[str, Any]) -> list[Figure]:
    """Rows a second over the whole load; medians of rounds."""
    out = []
    for rag, least in LEAST.items():
        for how in ("embedded", "grpc"):
            loads = [load for load in samples["loads"] if load["how"] == how and load["rag"] is rag]
            rate = median([load["rows"] / sum(load["seconds"]) for load in loads])
            what = f"{'RAG' if rag else 'bare'} rows, {how}"
            out.append(Figure(f"{what}: rows a second", rate, "/s", at_least=least))
            slowest = median([max(load["seconds"]) for load in loads])
            out.append(Figure(f"{what}: slowest batch", 1e3 * slowest, "ms"))
    return out
