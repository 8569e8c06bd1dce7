"""collections: ten thousand of ten rows each: memory with all of them used, and how soon such a database starts."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np

import vecdb
from benchmarks import child, filled, process
from benchmarks.figure import Figure, median
from benchmarks.run import Run
from benchmarks.setup import Setup
from vecdb.client.health import health

SIZE = 10_000
ROWS = 10
DIM = 128
MOST_BYTES, MOST_START_S = 1e9, 5.0


def measure(setup: Setup) -> Run:
    """Make them, then start a server and open embedded, and search in each."""
    run = Run.begin("collections", setup.size)
    if setup.size < SIZE:
        run.doubt(f"{setup.size:,} collections; the budget is for {SIZE:,}")
    path = setup.folder("db")
    vectors = np.random.default_rng(3).standard_normal((ROWS, DIM), np.float32)
    began = time.perf_counter()
    with filled.embedded(path) as db:
        for number in range(setup.size):
            docs = db.create_collection(str(number), dim=DIM)
            docs.upsert(ids=[f"{number}-{i}" for i in range(ROWS)], vectors=vectors)
        run.add("made", {"seconds": time.perf_counter() - began, "memory": process.memory()})
    for _ in range(setup.rounds):
        process.drop_caches(path)
        run.add("server", _start(path, vectors[0]))
        given = {"data": str(path), "options": {}, "dim": DIM, "collections": setup.size}
        run.add("embedded", child.answer("benchmarks.open_and_look", json.dumps(given)))
    return run


def _start(path: Any, query: Any) -> dict[str, float]:
    began = time.perf_counter()
    with child.vecdb_server(path) as (address, _):
        while health(address, "", 5.0) != "SERVING":
            time.sleep(0.01)
        healthy = time.perf_counter() - began
        with vecdb.connect(address, timeout=60.0) as db:
            db.collection("0").search(query, limit=ROWS)
        return {"health": healthy, "searchable": time.perf_counter() - began}


def figures(samples: dict[str, Any]) -> list[Figure]:
    """Medians."""
    inside, server = samples["embedded"], samples["server"]
    resident = median([one["searched"]["resident"] for one in inside])
    every = median([one["touched_s"] - one["searchable_s"] for one in inside])
    return [
        Figure("resident, all searched once", resident / 1e9, "GB", at_most=MOST_BYTES / 1e9),
        Figure("resident after making them", samples["made"][0]["memory"]["resident"] / 1e9, "GB"),
        Figure("process start to searchable", median([s["searchable"] for s in server]), "s", at_most=MOST_START_S),
        Figure("a first search in every one", every, "s"),
        Figure("time to make them", samples["made"][0]["seconds"], "s"),
    ]
