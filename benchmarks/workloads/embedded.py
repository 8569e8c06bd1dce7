"""embedded: one query at a time in one's own process, beside ``knn_query`` on the same graph at the same ef."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import filled, raw
from benchmarks.figure import Figure, median
from benchmarks.run import Run
from benchmarks.sets import K, VectorSet, enlarged, made
from benchmarks.setup import Setup
from vecdb.index.hnsw import DEFAULT_EF

SIZE = 180_000
WIDE = 768
MOST_US = {"ids": 40.0, "rows": 200.0}


def measure(setup: Setup) -> Run:
    """Times of single calls. Raw, ids only and full rows take turns, each with queries of its own."""
    run = Run.begin("embedded", setup.size)
    for some in (enlarged(setup.data, setup.size), made(setup.size, WIDE)):
        path = setup.folder(some.name)
        with filled.embedded(path, **setup.options()) as db:
            docs = filled.fill(db, some.vectors, some.metric, rag=True)
            filled.check(run, docs, setup.options(), dim=some.dim, rag=True)
            if len(docs.stats().segments) != 1:
                run.doubt(f"{some.name}: {len(docs.stats().segments)} segments, not one")
                continue
            graph = raw.load(path, some.metric, some.dim, DEFAULT_EF)
            _rounds(run, setup, docs, graph, some)
    return run


def _rounds(run: Run, setup: Setup, docs: Any, graph: Any, some: VectorSet) -> None:
    ready = raw.prepared(some.metric, some.queries)
    calls: dict[str, Callable[[int], object]] = {
        "raw": lambda i: graph.knn_query(ready[i], K, num_threads=1),
        "ids": lambda i: docs.search(some.queries[i], limit=K, with_payload=False, with_text=False),
        "rows": lambda i: docs.search(some.queries[i], limit=K),
    }
    for _ in range(setup.rounds):
        order = np.random.default_rng(1).permutation(len(some.queries)).tolist()
        taken: dict[str, list[float]] = {name: [] for name in calls}
        for turn in range(len(order)):
            for shift, (name, call) in enumerate(calls.items()):
                query = order[(turn + shift * len(order) // 3) % len(order)]
                began = time.perf_counter()
                call(query)
                taken[name].append(time.perf_counter() - began)
        run.add("times", {"set": some.name, **taken})


def figures(samples: dict[str, Any]) -> list[Figure]:
    """Medians, and what is above raw."""
    out = []
    for name in dict.fromkeys(t["set"] for t in samples["times"]):
        rounds = [t for t in samples["times"] if t["set"] == name]
        out.append(Figure(f"{name}: knn_query", 1e6 * median([median(t["raw"]) for t in rounds]), "us"))
        for kind, most in MOST_US.items():
            above = 1e6 * median([median(t[kind]) - median(t["raw"]) for t in rounds])
            what = "ids only" if kind == "ids" else "ten RAG rows"
            out.append(Figure(f"{name}: {what}, above knn_query", above, "us", at_most=most))
    return out
