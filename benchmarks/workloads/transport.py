"""transport: searches of an engine that does nothing, one a call and over streams, by callers of another process.

What remains is client, gRPC and server. Beside it an empty handler, to which nothing of vecdb belongs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import child
from benchmarks.figure import Figure, median, median_ratio, percentile
from benchmarks.idle_server import answer
from benchmarks.run import Run
from benchmarks.sets import K
from benchmarks.setup import Setup
from vecdb.wire import convert

SIZE = 4_000
DIM = 768
CALLERS = (1, 4, 8)


def measure(setup: Setup) -> Run:
    """Times of ``size`` calls a round; calls and streams, ours and empty, in turn."""
    run = Run.begin("transport", setup.size)
    if setup.size < SIZE:
        run.doubt(f"{setup.size} calls, not {SIZE}")
    queries = setup.folder("queries.npy")
    np.save(queries, np.random.default_rng(1).normal(size=(1_000, DIM)).astype(np.float32))
    with child.serving("benchmarks.idle_server") as (ours, _):
        for full in (False, True):
            with child.serving("benchmarks.empty_server", _response(setup, full)) as (empty, _):
                for _ in range(setup.rounds):
                    for callers in CALLERS:
                        about = {"queries": str(queries), "callers": callers, "calls": setup.size, "full": full}
                        for stream in (False, True):
                            took = {
                                name: child.answer(
                                    "benchmarks.callers",
                                    json.dumps(about | {"address": at, "empty": at == empty, "stream": stream}),
                                )
                                for name, at in (("ours", ours), ("empty", empty))
                            }
                            run.add("times", {"callers": callers, "full": full, "stream": stream, **took})
    return run


def _response(setup: Setup, full: bool) -> Path:
    """A file with the message that the server of ours answers too."""
    path = setup.folder(f"response-{full}")
    path.write_bytes(convert.answer_to_proto(answer(full), K).SerializeToString())
    return path


def figures(samples: dict[str, Any]) -> list[Figure]:
    """Milliseconds a search takes and searches a second, and what streams change; medians of rounds."""
    out = []
    times = samples["times"]
    for full, callers in dict.fromkeys((t["full"], t["callers"]) for t in times):
        some = [t for t in times if t["full"] is full and t["callers"] == callers]
        what = f"{'ten RAG rows' if full else 'ids only'}, {callers} callers"
        by = {stream: [t for t in some if t["stream"] is stream] for stream in (False, True)}
        for stream, rounds in by.items():
            how = f"{what}, {'streams' if stream else 'calls'}"
            out.append(Figure(f"{how}: a search", 1e3 * median([_time(t["ours"]) for t in rounds]), "ms"))
            out.append(Figure(f"{how}: an empty handler", 1e3 * median([_time(t["empty"]) for t in rounds]), "ms"))
            out.append(Figure(f"{how}: searches a second", median([_rate(t["ours"]) for t in rounds]), "/s"))
            tails = [percentile(t["ours"]["seconds"], 99) for t in rounds]
            out.append(Figure(f"{how}: p99", 1e3 * median(tails), "ms"))
        rates = [[_rate(t["ours"]) for t in by[stream]] for stream in (True, False)]
        out.append(Figure(f"{what}: rate over streams / by calls", median_ratio(*rates), "x"))
    return out


def _time(taken: dict[str, Any]) -> float:
    return median(taken["seconds"])


def _rate(taken: dict[str, Any]) -> float:
    return float(len(taken["seconds"]) / taken["wall"])
