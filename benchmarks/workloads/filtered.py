"""filtered: single searches over gRPC under filters of every selectivity, beside searches without a filter.

No query and no filter is ever asked twice, and hits bring payload and text: either side reads rows that nobody has read
before. Beside that, searches without a filter that are asked again, which find their rows in caches. Then the filters
alone, on an engine in this process; and the real sets with their filtered truth.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import vecdb
from benchmarks import child, filled, truth
from benchmarks.clock import seconds
from benchmarks.figure import Figure, median, percentile
from benchmarks.filters import RELATIONS, SELECTIVITIES, Fields, unasked
from benchmarks.rows import BATCH, batches, row_number
from benchmarks.run import Run
from benchmarks.sets import REAL, K, VectorSet, enlarged, real
from benchmarks.setup import FULL_ROWS, Setup
from vecdb.model.filter.expression import F

SIZE = 1_000_000
QUERIES = 100
CHECKED = 30
"""Queries of each kind whose hits are compared with the truth."""
CONDITIONS = 20
LEAST_RECALL = 0.95
SLOW_FROM, SLOW_TO = 0.02, 0.25
"""Between these selectivities a filtered search may take four times as long as without, elsewhere twice."""
WARM_MS, FIRST_MS = 1.0, 10.0
SMALLEST = ("movies",)
"""The real set of a try-out; their truth is of whole sets."""


def measure(setup: Setup) -> Run:
    """Times and hits of single searches with and without filters in turn; times of conditions; hits on real sets."""
    run = Run.begin("filtered", setup.size)
    some = enlarged(setup.data, setup.size)
    fields = Fields(some)
    path = setup.folder("db")
    options = setup.options() | {"index_threads": 2}
    with filled.embedded(path, **options) as db:
        docs = _fill(db, some, fields)
        filled.check(run, docs, setup.options(), dim=some.dim, rag=True)
        _conditions(run, docs, fields)
    queries = min(QUERIES, len(some.vectors) // 10)
    fresh = unasked(some)
    with child.vecdb_server(path, **setup.options()) as (address, _), vecdb.connect(address) as db:
        docs = db.collection(filled.NAME)
        docs.wait_indexed(timeout=filled.SETTLE_S)
        for query in some.queries[:queries]:
            docs.search(query, limit=K)
        for _ in range(setup.rounds):
            again = [seconds(lambda query=query: docs.search(query, limit=K)) for query in some.queries[:queries]]  # type: ignore[misc]
            run.add("again", again)
            for relation in RELATIONS:
                for share in SELECTIVITIES:
                    _cell(run, docs, some, fields, relation, share, [next(fresh) for _ in range(2 * queries)])
    for name in REAL if setup.size >= FULL_ROWS else SMALLEST:
        _real(run, setup, name)
    return run


def _fill(db: vecdb.Client, some: VectorSet, fields: Fields) -> Any:
    docs = db.create_collection(filled.NAME, dim=some.dim, metric=some.metric)
    docs.set_indexing("deferred")
    row = 0
    for batch in batches(some.vectors, rag=True):
        batch["payloads"] = [p | fields.payload(row + i) for i, p in enumerate(batch["payloads"])]
        row += len(batch["ids"])
        docs.upsert(**batch)
    docs.set_indexing("auto")
    docs.compact(timeout=filled.SETTLE_S)
    docs.wait_indexed(timeout=filled.SETTLE_S)
    return docs


def _cell(
    run: Run, docs: Any, some: VectorSet, fields: Fields, relation: str, share: float, queries: Sequence[Any]
) -> None:
    """Searches under one kind of filter and without one, in turn, each with a query of its own."""
    filtered, plain, counts, shares = [], [], [], []
    for i, (other, query) in enumerate(zip(queries[::2], queries[1::2], strict=True)):
        interval = fields.interval(relation, share, query)
        filter = interval.filter
        plain.append(seconds(lambda query=other: docs.search(query, limit=K)))  # type: ignore[misc]
        found: list[Any] = []
        filtered.append(seconds(lambda q=query, f=filter, o=found: o.append(docs.search(q, limit=K, filter=f))))  # type: ignore[misc]
        matching = fields.matching(interval)
        counts.append([len(found[0]), min(K, int(matching.sum()))])
        if i < CHECKED:
            shares.append(_recall(some, query[None], matching, [row_number(p) for p in found[0].ids]))
    about = {"relation": relation, "share": share, "filtered": filtered, "plain": plain}
    run.add("cells", about | {"counts": counts, "recall": shares})


def _recall(some: VectorSet, asked: Any, matching: Any, rows: list[int]) -> float:
    allowed = np.flatnonzero(matching)
    true = allowed[truth.neighbours(some.metric, asked, some.vectors[allowed], min(K, len(allowed)))]
    return truth.recall(some.metric, asked, some.vectors, [rows], true)


def _conditions(run: Run, docs: Any, fields: Fields) -> None:
    """Times of counting what passes, at a filter's first use and again."""
    for name, make in _conditions_by_name(fields):
        for i in range(CONDITIONS):
            filter = make(i)
            first = seconds(lambda filter=filter: docs.count(filter=filter))  # type: ignore[misc]
            again = [seconds(lambda filter=filter: docs.count(filter=filter)) for _ in range(3)]  # type: ignore[misc]
            run.add("conditions", {"name": name, "first": first, "warm": again})


def _conditions_by_name(fields: Fields) -> Iterator[tuple[str, Callable[[int], Any]]]:
    n = len(fields.columns["draw"])

    def interval(i: int) -> Any:
        low = (i * n) // (2 * CONDITIONS)
        return (F("draw") >= low) & (F("draw") < low + n // 3)

    def tenant(i: int) -> Any:
        return F("tenant") == f"tenant-{i}"

    def time(i: int) -> Any:
        return F("created_at") >= f"2025-{1 + i % 12:02}-{1 + i:02}T00:00:00Z"

    def tags(i: int) -> Any:
        return F("tags").any([f"tag-{i}", f"tag-{i + 100}"])

    yield "one: equal, 50 values", tenant
    yield "one: an interval, every value different", interval
    yield "one: a time", time
    yield "one: any of two tags", tags
    yield "three joined", lambda i: interval(i) & time(i) & (F("lang") == ("en", "zh")[i % 2]) & tags(i + 20)


def _real(run: Run, setup: Setup, name: str) -> None:
    """Hits of a real set under its own filters, and what is true."""
    some = real(name, setup.data)
    with filled.embedded(setup.folder(f"real-{name}"), **setup.options()) as db:
        docs = db.create_collection(filled.NAME, dim=some.dim, metric=some.metric)
        payloads = _payloads(setup.data, name)
        for start in range(0, len(some.vectors), BATCH):
            part = slice(start, start + BATCH)
            ids = [str(i) for i in range(start, start + len(payloads[part]))]
            docs.upsert(ids, some.vectors[part], payloads=payloads[part])
        docs.wait_indexed(timeout=filled.SETTLE_S)
        for case, filters, true in _cases(setup.data, name):
            queries = some.queries[: len(filters)]
            found = [[int(i) for i in r.ids] for r in docs.search_batch(queries, filters=filters, limit=K)]
            wanted = [row[row >= 0][:K] for row in true]
            right = [
                truth.recall(some.metric, queries[i : i + 1], some.vectors, [rows], wanted[i][None])
                for i, rows in enumerate(found)
                if len(wanted[i])
            ]
            whole = sum(len(rows) == len(wanted[i]) for i, rows in enumerate(found))
            run.add("real", {"name": name, "case": case, "recall": right, "whole": whole, "queries": len(found)})


def _payloads(data: Path, name: str) -> list[dict[str, Any]]:
    folder = data / REAL[name].folder
    arrays = np.load(folder / "data.npz")
    if name == "glove":
        return [{"rank": int(r)} for r in arrays["train_rank"]]
    if name == "mnist":
        return [{"label": int(label)} for label in arrays["train_label"]]
    with gzip.open(folder / "train.jsonl.gz", "rt", encoding="utf-8") as file:
        films = [json.loads(line) for line in file]
    return [{"year": film["year"], "genres": film["genres"]} for film in films]


def _cases(data: Path, name: str) -> list[tuple[str, list[Any], Any]]:
    """(name, a filter for each query, its true neighbours [q, 100]) as the set gives them."""
    folder = data / REAL[name].folder
    given = np.load(folder / "filtered.npz")
    if name == "glove":
        rank, n = F("rank"), len(given["rank_lt_20000_neighbors"])
        return [
            ("rank, 9.8 %", [rank < 20_000] * n, given["rank_lt_20000_neighbors"]),
            ("rank, 1.1 %", [rank < 2_000] * n, given["rank_lt_2000_neighbors"]),
            ("rank, 5.4 %", [(rank >= 100_000) & (rank < 110_000)] * n, given["rank_100000_to_109999_neighbors"]),
        ]
    if name == "mnist":
        return [
            (f"{which} digit", [F("label") == int(x) for x in given[f"{which}_label"]], given[f"{which}_neighbors"])
            for which in ("same", "other")
        ]
    with gzip.open(folder / "test.jsonl.gz", "rt", encoding="utf-8") as file:
        asked = [json.loads(line)["filter"] for line in file]
    genre = [F("genres") == f["genre"] for f in asked]
    year = [(F("year") >= f["year_gte"]) & (F("year") <= f["year_lte"]) for f in asked]
    return [
        ("genre", genre, given["genre_neighbors"]),
        ("year", year, given["year_neighbors"]),
        ("genre and year", [g & y for g, y in zip(genre, year, strict=True)], given["genre_and_year_neighbors"]),
    ]


def figures(samples: dict[str, Any]) -> list[Figure]:
    """Times over those without a filter (p95 of all rounds), recall, full answers; milliseconds of conditions."""
    out = []
    plain = [t for cell in samples["cells"] for t in cell["plain"]]
    out.append(Figure("without a filter: p95", 1e3 * percentile(plain, 95), "ms"))
    again = [t for times in samples["again"] for t in times]
    out.append(Figure("without a filter, asked again: p95", 1e3 * percentile(again, 95), "ms"))
    for relation, share in dict.fromkeys((c["relation"], c["share"]) for c in samples["cells"]):
        cells = [c for c in samples["cells"] if (c["relation"], c["share"]) == (relation, share)]
        what = f"{relation}, {100 * share:g} %"
        times = 4.0 if SLOW_FROM <= share <= SLOW_TO else 2.0
        ratios = [percentile(c["filtered"], 95) / percentile(c["plain"], 95) for c in cells]
        out.append(Figure(f"{what}: p95 over p95 without", median(ratios), "x", at_most=times))
        out.append(Figure(f"{what}: p95", 1e3 * median([percentile(c["filtered"], 95) for c in cells]), "ms"))
        found = [r for c in cells for r in c["recall"]]
        out.append(Figure(f"{what}: recall@10", float(np.mean(found)), at_least=LEAST_RECALL))
        right = [got == wanted for c in cells for got, wanted in c["counts"]]
        out.append(Figure(f"{what}: full answers", float(np.mean(right)), at_least=1.0))
    for name in dict.fromkeys(c["name"] for c in samples["conditions"]):
        some = [c for c in samples["conditions"] if c["name"] == name]
        first = 1e3 * percentile([c["first"] for c in some], 95)
        warm = 1e3 * percentile([t for c in some for t in c["warm"]], 95)
        out.append(Figure(f"conditions, {name}: first use, p95", first, "ms", at_most=FIRST_MS))
        out.append(Figure(f"conditions, {name}: again, p95", warm, "ms", at_most=WARM_MS))
    for case in samples["real"]:
        what = f"{case['name']}, {case['case']}"
        out.append(Figure(f"{what}: recall@10", float(np.mean(case["recall"])), at_least=LEAST_RECALL))
        out.append(Figure(f"{what}: full answers", case["whole"] / case["queries"], at_least=1.0))
    return out
