"""Spike: ways through a graph under a filter. Answers docs/decisions/0011-filters.md.

    python -m benchmarks.spikes.filtered_walks [--rows 1000000] [--queries 40] [--graph FILE]

Builds a graph of glove enlarged (``--graph`` keeps it, and takes it again), and asks it for ten hits under filters of
each selectivity, related to the vectors or not: by a walk that asks for ef / selectivity candidates, by a scan of
the allowed rows, and by detours: walks from places between the query and the middle of the best of a sample.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.filters import RELATIONS, SELECTIVITIES, Fields
from benchmarks.sets import VectorSet, enlarged
from vecdb.engine.planner import MAX_OVERFETCH
from vecdb.index import hnsw, metric

K, EF, THREADS = 10, 96, 2
SAMPLE, WAYS, ROUNDS, ASK = 2_048, (0.3, 0.6), 2, 512


def main() -> None:
    """Print a line of the table for each relation and selectivity."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=40)
    parser.add_argument("--graph", type=Path)
    given = parser.parse_args()
    some = enlarged(Path(os.environ["VECDB_TEST_DATA"]), given.rows)
    fields = Fields(some)
    queries = metric.prepare("cosine", some.queries[: given.queries])
    with tempfile.TemporaryDirectory() as folder:
        index = graph(some, given.graph or Path(folder) / "graph.hnsw")
        print(
            "| filter | walk ms, p95 | too few | recall | scan ms | detour ms | recall |\n|---|---|---|---|---|---|---|"
        )
        for relation in RELATIONS:
            for share in SELECTIVITIES:
                print(line(index, fields, queries, relation, share), flush=True)


def graph(some: VectorSet, path: Path) -> hnsw.HnswIndex:
    """The graph of the set, from ``path`` where there is one."""
    if not path.exists():
        builder = hnsw.HnswBuilder("cosine", some.dim, capacity=len(some.vectors))
        builder.add(metric.prepare("cosine", some.vectors), THREADS, lambda: False)
        builder.save(path)
    return hnsw.HnswIndex.load(path, "cosine", some.dim, len(some.vectors))


def line(index: hnsw.HnswIndex, fields: Fields, queries: NDArray[np.float32], relation: str, share: float) -> str:
    """Medians of a kind of filter. A walk is right or wrong only where it met ten."""
    ask = min(MAX_OVERFETCH, int(np.ceil(EF / share)))
    walks, scans, detours, few, right, round_right = [], [], [], 0, [], []
    for i, query in enumerate(queries):
        allowed = fields.matching(fields.interval(relation, share, i))
        asked = query[None]
        (true, _), took = timed(lambda asked=asked, allowed=allowed: index.exact(asked, K, allowed))
        scans.append(took)
        (met, _), took = timed(lambda asked=asked, allowed=allowed: index.candidates(asked, ask, EF, allowed))
        walks.append(took)
        few += met.shape[1] < K
        if met.shape[1] >= K:
            right.append(np.isin(true[0, :K], met[0, :K]).mean())
        found, took = timed(lambda query=query, allowed=allowed: detour(index, query, allowed))
        detours.append(took)
        round_right.append(np.isin(true[0, :K], found).mean())
    recall = f"{np.mean(right):.3f}" if right else ""
    return (
        f"| {relation}, {100 * share:g} % | {np.median(walks):.2f}, {np.percentile(walks, 95):.2f} "
        f"| {few / len(queries):.0%} | {recall} | {np.median(scans):.2f} | {np.median(detours):.2f} "
        f"| {np.mean(round_right):.3f} |"
    )


def detour(index: hnsw.HnswIndex, query: NDArray[np.float32], allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The best ten of what walks towards the best of a sample met."""
    found = np.flatnonzero(allowed)
    if len(found) > SAMPLE:
        found = np.random.default_rng(1).choice(found, SAMPLE, replace=False)
    found = best(index, query, found)
    for _ in range(ROUNDS):
        middle = index.vectors(found).mean(axis=0)
        places = np.stack([query + way * (middle - query) for way in WAYS])
        places /= np.linalg.norm(places, axis=1, keepdims=True)
        met, _ = index.candidates(places.astype(np.float32), ASK, ASK, allowed, THREADS)
        found = best(index, query, np.union1d(found, met[met >= 0]))
    return found


def best(index: hnsw.HnswIndex, query: NDArray[np.float32], ordinals: NDArray[np.int64]) -> NDArray[np.int64]:
    """The ten most similar."""
    return ordinals[np.argsort(-(index.vectors(ordinals) @ query), kind="stable")[:K]]


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """The answer, and milliseconds."""
    began = time.perf_counter()
    answer = call()
    return answer, 1e3 * (time.perf_counter() - began)


if __name__ == "__main__":
    main()
