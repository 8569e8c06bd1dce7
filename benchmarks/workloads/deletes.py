"""deletes: recall after cycles that delete half of the points and move a third, and with a query's 500 nearest gone."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks import filled, truth
from benchmarks.figure import Figure, median
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


def measure(setup: Setup) -> Run:
    """Ids found after the cycles, in a fresh build of the same points, and around deleted neighbourhoods."""
    run = Run.begin("deletes", setup.size)
    some = enlarged(setup.data, 2 * setup.size)
    random = np.random.default_rng(11)
    vectors = some.vectors.copy()
    live = np.arange(setup.size)
    away = np.arange(setup.size, 2 * setup.size)
    options = setup.options() or {"growing_rows": GROWING_ROWS}
    with filled.embedded(setup.folder("db"), **options) as db:
        docs = filled.fill(db, vectors[: setup.size], some.metric, rag=False, compact=False)
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
        filled.settle(docs, 10.0 if setup.size >= FULL_ROWS else 1.0)
        filled.check(run, docs, options, dim=some.dim)
        live.sort()
        _look(run, "cycled", docs, some, vectors, live)
        _empty_around(run, docs, some, vectors, live)
    with filled.embedded(setup.folder("fresh"), **options) as db:
        docs = db.create_collection(filled.NAME, dim=some.dim, metric=some.metric)
        _in_batches(live, lambda ids: docs.upsert(ids=ids, vectors=vectors[_rows(ids)], timeout=600.0))
        filled.settle(docs, 10.0 if setup.size >= FULL_ROWS else 1.0)
        _look(run, "fresh", docs, some, vectors, live)
    return run


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
    recalls = [one["recall"] for one in emptied]
    return [
        Figure("recall after the cycles", cycled),
        Figure("recall of a fresh build", fresh),
        Figure("recall lost by the cycles", fresh - cycled, at_most=MOST_LOST),
        Figure("fewest hits, 500 nearest deleted", min(len(one["found"]) for one in emptied), at_least=K),
        Figure("mean recall, 500 nearest deleted", sum(recalls) / len(recalls), at_least=LEAST_RECALL),
        Figure("median recall, 500 nearest deleted", median(recalls)),
    ]
