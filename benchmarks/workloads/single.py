"""single: one query a search over gRPC, 1, 4 and 8 callers of another process, beside what cannot be less.

That is an empty handler on the same transport, with messages of the same size, and ``knn_query`` at the same ef
by as many threads. Searches go over streams, as the client sends them, and in turn as calls of their own.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import child, filled, raw
from benchmarks.clock import each
from benchmarks.figure import Figure, median, percentile
from benchmarks.run import Run
from benchmarks.sets import K, made
from benchmarks.setup import FULL_ROWS, Setup
from vecdb.index.hnsw import DEFAULT_EF
from vecdb.model.context import CallContext
from vecdb.model.point import Select
from vecdb.model.query import Near, SearchRequest
from vecdb.wire import convert

SIZE = 100_000
DIM = 768
CALLERS = (1, 4, 8)
CALLS = 2_000
SHARE = 0.75


def measure(setup: Setup) -> Run:
    """Times of single calls: empty, raw and ours in turn."""
    run = Run.begin("single", setup.size)
    some = made(setup.size, DIM, exact=False)
    path = setup.folder("db")
    queries = setup.folder("queries.npy")
    np.save(queries, some.queries)
    with filled.embedded(path, **setup.options()) as db:
        docs = filled.fill(db, some.vectors, some.metric, rag=True)
        filled.check(run, docs, setup.options(), dim=some.dim, rag=True)
        graph = raw.load(path, some.metric, some.dim, DEFAULT_EF)
        responses = {full: _response(setup, db, some.queries[:1], full) for full in (False, True)}
    ready = raw.prepared(some.metric, some.queries)
    calls = min(CALLS, setup.size)
    with child.vecdb_server(path, **setup.options()) as (address, _):
        for full, response in responses.items():
            with child.serving("benchmarks.empty_server", response) as (empty, _):
                for _ in range(setup.rounds):
                    for callers in CALLERS if setup.size >= FULL_ROWS else CALLERS[:1]:
                        for stream in (True, False):
                            about = {"queries": str(queries), "callers": callers, "calls": calls}
                            about |= {"full": full, "stream": stream}
                            ours = _call(about | {"address": address, "empty": False})
                            nothing = _call(about | {"address": empty, "empty": True})
                            if ours["hits"] != K:
                                run.doubt(f"{ours['hits']} hits came, not {K}")
                            run.add(
                                "times",
                                {
                                    "callers": callers,
                                    "full": full,
                                    "stream": stream,
                                    "ours": ours,
                                    "empty": nothing,
                                    "raw": _raw(graph, ready, callers, calls),
                                },
                            )
    return run


def _call(about: dict[str, Any]) -> Any:
    return child.answer("benchmarks.callers", json.dumps(about))


def _response(setup: Setup, db: Any, query: Any, full: bool) -> Path:
    """A file with the message that answers a search."""
    request = SearchRequest([Near(query)], limit=K, select=Select(full, full, False))
    answer = db._transport._database.search(CallContext(), filled.NAME, request)
    path = setup.folder(f"response-{full}")
    path.write_bytes(convert.answer_to_proto(answer, len(answer.points)).SerializeToString())
    return path


def _raw(graph: Any, queries: Any, callers: int, calls: int) -> list[float]:
    """Times of single ``knn_query`` calls by ``callers`` threads at once."""
    taken: list[list[float]] = [[] for _ in range(callers)]

    def work(caller: int) -> None:
        mine = [queries[(caller + i * callers) % len(queries)] for i in range(calls // callers)]
        taken[caller] = each(lambda q: graph.knn_query(q, K, num_threads=1), mine)

    threads = [threading.Thread(target=work, args=(caller,)) for caller in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [t for some in taken for t in some]


def figures(samples: dict[str, Any]) -> list[Figure]:
    """The share of a search's time that could not be saved; medians of rounds. Runs of old had no streams."""
    out = []
    for full, callers, stream in dict.fromkeys((t["full"], t["callers"], t.get("stream")) for t in samples["times"]):
        rounds = [t for t in samples["times"] if (t["full"], t["callers"], t.get("stream")) == (full, callers, stream)]
        what = f"{'ten RAG rows' if full else 'ids only'}, {callers} callers"
        if stream is False:
            what += ", as calls"
        shares = [(median(t["empty"]["seconds"]) + median(t["raw"])) / median(t["ours"]["seconds"]) for t in rounds]
        rates = [len(t["ours"]["seconds"]) / t["ours"]["wall"] for t in rounds]
        tails = [percentile(t["ours"]["seconds"], 99) for t in rounds]
        out.append(Figure(f"{what}: (empty + raw) / ours", median(shares), "x", at_least=SHARE))
        out.append(Figure(f"{what}: searches a second", median(rates), "/s"))
        out.append(Figure(f"{what}: p99", 1e3 * median(tails), "ms"))
    return out
