"""deletes: what cycles that delete half of the points and move a third leave of recall, disk and memory; recall with a
query's 500 nearest gone; and what is left of a collection that is dropped.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

import vecdb
from benchmarks import filled, truth
from benchmarks.figure import Figure, median
from benchmarks.process import disk_bytes, held_files, memory, sampled
from benchmarks.rows import BATCH, row_id, row_number
from benchmarks.run import Run
from benchmarks.sets import K, enlarged
from benchmarks.setup import FULL_ROWS, Setup

SIZE = 110_000  # lives at a time; as many others wait to come in
GROWING_ROWS = 16_384  # narrow vectors would make a collection of this size one or two growing segments
CYCLES = 20
DELETED, UPDATED = 0.5, 0.3
NEAREST = 500
EMPTIED_QUERIES = 40
MOST_LOST = 0.01
LEAST_RECALL = 0.95
LEAST_SELF_FOUND = 0.999
MOST_DISK, MOST_PEAK_DISK = 1.5, 2.5
"""Of what a fresh load of the same points takes."""
MOST_MEMORY = 1.1
"""Anonymous memory of the engine after the cycles, of what it was before."""
DISK_LOOK_S = 0.5
DROP_S = 30.0
REST_S = 120.0
"""So long at most for the store to give back what is dead, once nobody writes."""


def measure(setup: Setup) -> Run:
    """Ids found after the cycles, in a fresh build of the same points, and around deleted neighbourhoods; bytes."""
    run = Run.begin("deletes", setup.size)
    some = enlarged(setup.data, 2 * setup.size)
    random = np.random.default_rng(11)
    vectors = some.vectors.copy()
    live = np.arange(setup.size)
    away = np.arange(setup.size, 2 * setup.size)
    options = setup.options() or {"growing_rows": GROWING_ROWS}
    quiet_s = 10.0 if setup.size >= FULL_ROWS else 1.0
    path = setup.folder("db")
    run.add("memory", memory()["anonymous"])
    with filled.embedded(path, **options) as db:
        docs = filled.fill(db, vectors[: setup.size], some.metric, rag=False, compact=False)
        filled.settle(docs, quiet_s)
        _note_memory(run, db)
        with sampled(lambda: disk_bytes(path), DISK_LOOK_S) as disk:
            for _ in range(CYCLES if setup.size >= FULL_ROWS else 3):
                random.shuffle(live)
                gone, kept = np.split(live, [int(DELETED * len(live))])
                _in_batches(gone, lambda ids: docs.delete(ids=ids))
                random.shuffle(away)
                came, away = np.split(away, [len(gone)])
                _in_batches(came, lambda ids: docs.upsert(ids=ids, vectors=vectors[_rows(ids)]))
                live, away = np.concatenate([kept, came]), np.concatenate([away, gone])
                moved = random.choice(live, int(UPDATED * len(live)), replace=False)
                vectors[moved] += 0.05 * vectors.std() * random.standard_normal((len(moved), some.dim), np.float32)
                _in_batches(moved, lambda ids: docs.update(ids=ids, vectors=vectors[_rows(ids)]))
            filled.settle(docs, quiet_s)
            _rest(path, quiet_s)
        run.add("disk", disk)
        _note_memory(run, db)
        filled.check(run, docs, options, dim=some.dim)
        live.sort()
        _look(run, "cycled", docs, some, vectors, live)
        run.add("live", len(live))
        run.add("strangers", _not_found_by_themselves(docs, vectors, live))
        _empty_around(run, docs, some, vectors, live)
    with filled.embedded(setup.folder("fresh"), **options) as db:
        run.add("held", _held(setup.folder("fresh")))
        docs = db.create_collection(filled.NAME, dim=some.dim, metric=some.metric)
        _in_batches(live, lambda ids: docs.upsert(ids=ids, vectors=vectors[_rows(ids)], timeout=600.0))
        filled.settle(docs, quiet_s)
        _look(run, "fresh", docs, some, vectors, live)
        run.add("held", _held(setup.folder("fresh")))
        db.drop_collection(filled.NAME)
        run.add("held", _after_the_drop(setup.folder("fresh")))
    return run


def _note_memory(run: Run, db: vecdb.Client) -> None:
    """Anonymous bytes, and how many of them are blocks of tables that the store keeps, which is bounded."""
    run.add("memory", memory()["anonymous"])
    run.add("cached", db.stats().bytes["store_block_cache_bytes"])


def _rest(path: Path, quiet_s: float) -> None:
    """Wait until the files have been as large as they are for so long, or REST_S."""
    ends = time.monotonic() + REST_S
    seen, since = disk_bytes(path), time.monotonic()
    while time.monotonic() - since < quiet_s and time.monotonic() < ends:
        time.sleep(DISK_LOOK_S)
        if (now := disk_bytes(path)) != seen:
            seen, since = now, time.monotonic()


def _held(path: Path) -> dict[str, int]:
    """What a database holds: files of segments, how often they are open or mapped, bytes on disk and in memory."""
    segments = path / "segments"
    files = sum(found.is_file() for found in segments.rglob("*"))
    bytes_held = {"disk": disk_bytes(path), "anonymous": memory()["anonymous"]}
    return {"files": files, "handles": held_files(segments), **bytes_held}


def _after_the_drop(path: Path) -> dict[str, int]:
    """The same once no file of a segment is left, or after DROP_S."""
    ends = time.monotonic() + DROP_S
    while (held := _held(path))["files"] and time.monotonic() < ends:
        time.sleep(DISK_LOOK_S)
    return held


def _not_found_by_themselves(docs: Any, vectors: Any, live: Any) -> list[int]:
    """The rows that are not among the ten nearest of their own vectors."""
    missing: list[int] = []
    for start in range(0, len(live), BATCH):
        rows = live[start : start + BATCH]
        results = docs.search_batch(vectors[rows], limit=K, with_payload=False, with_text=False)
        missing += [row for row, result in zip(rows.tolist(), results, strict=True) if row_id(row) not in result.ids]
    return missing


def _look(run: Run, what: str, docs: Any, some: Any, vectors: Any, live: Any) -> None:
    """Ids found for all queries, and the recall they make."""
    true = truth.neighbours(some.metric, some.queries, vectors[live], K)
    results = docs.search_batch(some.queries, limit=K, with_payload=False, with_text=False)
    found = [_rows(result.ids) for result in results]
    run.add(what, {"found": found, "recall": _recall(some, some.queries, vectors, live, found, true)})


def _empty_around(run: Run, docs: Any, some: Any, vectors: Any, live: Any) -> None:
    """Delete the nearest points of some queries, each time asking for ten at once."""
    for query in some.queries[: min(EMPTIED_QUERIES, len(live) // (4 * NEAREST))]:
        one = query[None]
        near = live[truth.neighbours(some.metric, one, vectors[live], NEAREST)[0]]
        docs.delete(ids=[row_id(i) for i in near.tolist()])
        live = np.setdiff1d(live, near)
        true = truth.neighbours(some.metric, one, vectors[live], K)
        found = _rows(docs.search(query, limit=K, with_payload=False, with_text=False).ids)
        run.add("emptied", {"found": found, "recall": _recall(some, one, vectors, live, [found], true)})


def _recall(some: Any, queries: Any, vectors: Any, live: Any, found: list[list[int]], true: Any) -> float:
    """Recall of found rows; one that is not alive is no hit at all."""
    alive = [[row for row in rows if live[np.searchsorted(live, row, side="right") - 1] == row] for rows in found]
    return truth.recall(some.metric, queries, vectors, alive, live[true])


def _in_batches(rows: Any, action: Any) -> None:
    for start in range(0, len(rows), BATCH):
        action([row_id(i) for i in rows[start : start + BATCH].tolist()])


def _rows(ids: list[str]) -> list[int]:
    return [row_number(i) for i in ids]


def figures(samples: dict[str, Any]) -> list[Figure]:
    """Recall, and hits, of the three parts."""
    cycled, fresh = samples["cycled"][0]["recall"], samples["fresh"][0]["recall"]
    emptied = samples["emptied"]
    blank, loaded, cycled_memory = samples["memory"]
    cached_before, cached_after = samples["cached"]
    disk, (before, full, dropped) = samples["disk"][0], samples["held"]
    live = samples["live"][0]
    recalls = [one["recall"] for one in emptied]
    return [
        Figure("recall after the cycles", cycled),
        Figure("recall of a fresh build", fresh),
        Figure("recall lost by the cycles", fresh - cycled, at_most=MOST_LOST),
        Figure("live vectors that find themselves", 1 - len(samples["strangers"][0]) / live, at_least=LEAST_SELF_FOUND),
        Figure("disk, of a fresh load's", disk[-1] / full["disk"], at_most=MOST_DISK),
        Figure("disk at its peak, of a fresh load's", max(disk) / full["disk"], at_most=MOST_PEAK_DISK),
        Figure("memory, of what it was", (cycled_memory - blank) / (loaded - blank), at_most=MOST_MEMORY),
        Figure(
            "memory, of what it was, without the store's cache",
            (cycled_memory - cached_after - blank) / (loaded - cached_before - blank),
        ),
        Figure("dropped: files of segments left", dropped["files"], at_most=0),
        Figure("dropped: of these open or mapped, before it", full["handles"]),
        Figure("dropped: of these open or mapped", dropped["handles"], at_most=0),
        Figure("dropped: memory left of what it took", _share(before, full, dropped, "anonymous")),
        Figure("dropped: disk left of what it took", _share(before, full, dropped, "disk")),
        Figure("fewest hits, 500 nearest deleted", min(len(one["found"]) for one in emptied), at_least=K),
        Figure("mean recall, 500 nearest deleted", sum(recalls) / len(recalls), at_least=LEAST_RECALL),
        Figure("median recall, 500 nearest deleted", median(recalls)),
    ]


def _share(before: dict[str, int], full: dict[str, int], after: dict[str, int], what: str) -> float:
    """How much of what came is still there."""
    return (after[what] - before[what]) / max(1, full[what] - before[what])
