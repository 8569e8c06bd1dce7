"""opening: how soon a killed server searches again when nothing of its data is in memory."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import vecdb
from benchmarks import child, filled, process
from benchmarks.figure import Figure, median
from benchmarks.run import Run
from benchmarks.sets import K, made
from benchmarks.setup import Setup
from vecdb.client.health import health

SIZE = 1_000_000
DIM = 128
TAIL_ROWS = 5_000  # written just before the kill, in no segment
POLL_S = 0.01
MOST_SEARCHABLE_S, MOST_HEALTH_S = 3.0, 1.0


def measure(setup: Setup) -> Run:
    """Kill while rows are unsealed, drop the page cache, start again; then the same inside one process."""
    run = Run.begin("opening", setup.size)
    vectors = made(setup.size, DIM, exact=False).vectors
    path = setup.folder("db")
    with filled.embedded(path, **setup.options()) as db:
        docs = filled.fill(db, vectors, "cosine", rag=False)
        filled.check(run, docs, setup.options(), dim=DIM)
    for attempt in range(setup.rounds):
        _write_and_kill(setup, path, vectors, attempt)
        if not process.drop_caches(path):
            run.doubt("only the files' own pages could be dropped from the cache (root may drop all)")
        run.add("server", _start(setup, path, vectors[0]))
        process.drop_caches(path)
        given = {"data": str(path), "options": setup.options(), "dim": DIM, "collections": None}
        run.add("embedded", child.answer("benchmarks.open_and_look", json.dumps(given)))
    return run


def _write_and_kill(setup: Setup, path: Path, vectors: Any, attempt: int) -> None:
    with _server(setup, path) as server:
        try:
            with vecdb.connect(child.ready_address(server), timeout=120.0) as db:
                ids = [f"tail-{attempt}-{i}" for i in range(min(TAIL_ROWS, len(vectors)))]
                db.collection(filled.NAME).upsert(ids=ids, vectors=vectors[: len(ids)])
        finally:
            server.kill()


def _start(setup: Setup, path: Path, query: Any) -> dict[str, float]:
    """Seconds from the start of the process to health and to the first answer."""
    began = time.perf_counter()
    with _server(setup, path) as server:
        try:
            address = child.ready_address(server)
            ready = time.perf_counter() - began
            while health(address, "", 5.0) != "SERVING":
                time.sleep(POLL_S)
            healthy = time.perf_counter() - began
            with vecdb.connect(address, timeout=120.0) as db:
                hits = len(db.collection(filled.NAME).search(query, limit=K))
            searchable = time.perf_counter() - began
        finally:
            server.terminate()
    if hits != K:
        raise RuntimeError(f"{hits} hits came, not {K}")
    return {"ready": ready, "health": healthy, "searchable": searchable}


def _server(setup: Setup, path: Path) -> subprocess.Popen[str]:
    return child.start("benchmarks.serve", json.dumps({"data": str(path), "options": setup.options()}))


def figures(samples: dict[str, Any]) -> list[Figure]:
    """Medians of the attempts; the longest gap of all."""
    server, inside = samples["server"], samples["embedded"]
    gap = max((gap for one in inside for gap in one["gaps"]), default=0.0)
    searchable = median([one["searchable"] for one in server])
    return [
        Figure("process start to searchable", searchable, "s", at_most=MOST_SEARCHABLE_S),
        Figure("process start to health", median([one["health"] for one in server]), "s", at_most=MOST_HEALTH_S),
        Figure("open to searchable, embedded", median([one["searchable_s"] for one in inside]), "s"),
        Figure("longest gap of the heartbeat while opening", 1e3 * gap, "ms"),
    ]
