"""batch: 1,000 queries a call, ids only, embedded and over gRPC, beside ``knn_query`` on the same graph."""

from __future__ import annotations

from typing import Any

import vecdb
from benchmarks import child, filled, raw
from benchmarks.clock import seconds
from benchmarks.figure import Figure, median_ratio
from benchmarks.run import Run
from benchmarks.sets import K, enlarged
from benchmarks.setup import Setup
from vecdb.engine.options import EngineOptions
from vecdb.index.hnsw import DEFAULT_EF

SIZE = 270_000
QUERIES = 1_000
THREADS = EngineOptions().search_threads
LEAST_RATE = 0.85


def measure(setup: Setup) -> Run:
    """Times of one call each, round by round."""
    run = Run.begin("batch", setup.size)
    some = enlarged(setup.data, setup.size, QUERIES)
    path = setup.folder("db")
    with filled.embedded(path, **setup.options()) as db:
        docs = filled.fill(db, some.vectors, some.metric, rag=False)
        filled.check(run, docs, setup.options(), dim=some.dim)
        graph = raw.load(path, some.metric, some.dim, DEFAULT_EF)
        _rounds(run, "embedded", setup, docs, graph, some)
    with child.vecdb_server(path, **setup.options()) as (address, _), vecdb.connect(address, timeout=600.0) as db:
        _rounds(run, "grpc", setup, db.collection(filled.NAME), graph, some)
    return run


def _rounds(run: Run, how: str, setup: Setup, docs: Any, graph: Any, some: Any) -> None:
    queries = raw.prepared(some.metric, some.queries)

    def ours() -> object:
        return docs.search_batch(some.queries, limit=K, with_payload=False, with_text=False)

    ours()
    for _ in range(3 * setup.rounds):
        times = {"how": how, "raw": seconds(lambda: graph.knn_query(queries, K, num_threads=THREADS))}
        run.add("times", times | {"ours": seconds(ours)})


def figures(samples: dict[str, Any]) -> list[Figure]:
    """Rates over that of hnswlib."""
    out = []
    for how in ("grpc", "embedded"):
        times = [t for t in samples["times"] if t["how"] == how]
        ratio = median_ratio([t["raw"] for t in times], [t["ours"] for t in times])
        out.append(Figure(f"search_batch over knn_query, {how}", ratio, "x", at_least=LEAST_RATE))
    return out
