"""recall: what a search with no settings finds on the real sets, and how fast beside hnswlib tuned to find as much."""

from __future__ import annotations

from typing import Any

from benchmarks import filled, raw
from benchmarks.clock import each, seconds
from benchmarks.figure import Figure, median, median_ratio
from benchmarks.rows import row_number
from benchmarks.run import Run
from benchmarks.sets import REAL, K, real
from benchmarks.setup import Setup
from benchmarks.truth import recall
from vecdb.engine.options import EngineOptions

SIZE = 180_000  # the largest set; the others are as large as they are
THREADS = EngineOptions().search_threads
LEAST_RECALL = 0.95
LEAST_RATE = 0.85


def measure(setup: Setup) -> Run:
    """For each set: ids found, and times of the same queries, round by round beside hnswlib."""
    run = Run.begin("recall", setup.size)
    for name in REAL:
        some = real(name, setup.data, setup.size)
        with filled.embedded(setup.folder(name), **setup.options()) as db:
            docs = filled.fill(db, some.vectors, some.metric, rag=False)
            filled.check(run, docs, setup.options(), dim=some.dim, size_matters=False)
            results = docs.search_batch(some.queries, limit=K, with_payload=False, with_text=False)
            found = [[row_number(i) for i in result.ids] for result in results]
            reached = recall(some.metric, some.queries, some.vectors, found, some.true)
            ready = raw.prepared(some.metric, some.vectors)
            graph = raw.build(some.metric, ready, threads=THREADS)
            ef, raw_recall = raw.tune(graph, some, reached)
            queries = raw.prepared(some.metric, some.queries)
            run.add(
                "sets",
                {
                    "name": name,
                    "rows": len(some.vectors),
                    "found": found,
                    "recall": reached,
                    "raw_ef": ef,
                    "raw_recall": raw_recall,
                },
            )
            for _ in range(setup.rounds):
                run.add("times", {"name": name, **_round(docs, graph, some.queries, queries)})
    return run


def _round(docs: Any, graph: Any, queries: Any, ready: Any) -> dict[str, Any]:
    """Times of all queries, in one call and one by one, of hnswlib (raw) and ours in turn."""
    ids_only = {"limit": K, "with_payload": False, "with_text": False}
    return {
        "raw_batch": seconds(lambda: graph.knn_query(ready, K, num_threads=THREADS)),
        "batch": seconds(lambda: docs.search_batch(queries, **ids_only)),
        "raw_single": each(lambda q: graph.knn_query(q, K, num_threads=1), ready),
        "single": each(lambda q: docs.search(q, **ids_only), queries),
    }


def figures(samples: dict[str, Any]) -> list[Figure]:
    """Recall of each set, and rates over those of hnswlib."""
    out = []
    for about in samples["sets"]:
        name, times = about["name"], [t for t in samples["times"] if t["name"] == about["name"]]
        out.append(Figure(f"{name}: recall@10", about["recall"], at_least=LEAST_RECALL))
        ratio = median_ratio([t["raw_batch"] for t in times], [t["batch"] for t in times])
        out.append(Figure(f"{name}: rate over hnswlib at the same recall, batch", ratio, "x", at_least=LEAST_RATE))
        alone = median_ratio([median(t["raw_single"]) for t in times], [median(t["single"]) for t in times])
        out.append(Figure(f"{name}: the same, one at a time", alone, "x"))
    return out
