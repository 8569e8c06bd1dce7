"""keyword: searches by words among a million documents over gRPC, and what it costs to index them.

No query is asked twice, and hits bring payload and text. Beside that: documents indexed a second, in English and in
Chinese, alone and with vectors; searches while single documents are written, each of which the next search must find;
searches by vector while text is indexed at full speed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

import vecdb
from benchmarks import child, documents, filled, mixed, process
from benchmarks.clock import Heartbeat, each, seconds
from benchmarks.figure import Figure, median, percentile
from benchmarks.rows import BATCH, rag_content
from benchmarks.run import Run
from benchmarks.sets import SEED, K, enlarged
from benchmarks.setup import FULL_ROWS, Setup
from vecdb.index.analysis.analyzer import analyzer
from vecdb.index.postings.chunk import analyzed
from vecdb.model.filter.expression import F

SIZE = 1_000_000
QUERIES = 500
WARM_UP = 50
SHARES = (0.01, 0.1, 0.5)
"""Of the documents, that the filters let through."""
MOST_MS = 10.0
LOADED = 100_000
"""Documents of each load, and vectors that are searched while text comes."""
LEAST = {"english": 20_000.0, "chinese": 8_000.0}
LONG_CHINESE = 100
"""Characters of about as many Chinese words as an English document has."""
WRITES, SEARCHES, MIXED_S = 100, 50, 30.0
MOST_TAIL = 3.0
TIMEOUT_S = 600.0


def measure(setup: Setup) -> Run:
    """Loads, searches among all documents, searches beside writes, searches by vector beside a load of texts."""
    run = Run.begin("keyword", setup.size)
    if setup.size < SIZE:
        run.doubt(f"{setup.size:,} documents; the budgets are for {SIZE:,}")
    loaded = min(LOADED, setup.size)
    for _ in range(setup.rounds):
        _loads(run, setup, loaded)
    path = setup.folder("db")
    _fill(run, setup, path)
    with child.vecdb_server(path, **setup.options()) as (address, pid), vecdb.connect(address) as db:
        docs = db.collection(filled.NAME)
        docs.wait_indexed(timeout=filled.SETTLE_S)
        run.add("server_memory", {"opened": process.memory(pid)})
        _searches(run, setup, docs)
        run.add("server_memory", {"searched": process.memory(pid)})
        _mixed(run, setup, docs)
    shutil.rmtree(path)
    _vectors_beside(run, setup, loaded)
    return run


# -- loading


def _loads(run: Run, setup: Setup, loaded: int) -> None:
    """Documents with nothing but a text, by language; vectors with and without a text beside them."""
    kinds: dict[str, Callable[[], Iterator[list[str]]]] = {
        "english": lambda: documents.english(loaded),
        "chinese": lambda: documents.chinese(loaded, setup.data),
        f"chinese of {LONG_CHINESE} characters": lambda: documents.chinese(loaded, setup.data, LONG_CHINESE),
    }
    for kind, made in kinds.items():
        some = list(made())
        by = analyzer()
        by.terms(some[0][0])  # loads the dictionaries
        alone = seconds(lambda by=by, some=some: analyzed(some[-1], by))  # type: ignore[misc]
        batches = [{"ids": ids, "texts": texts} for ids, texts in documents.numbered(some)]
        run.add("loads", {"kind": kind, "analysis_a_s": len(some[-1]) / alone, **_load(setup, batches, dim=None)})
        if kind == "english":
            run.add("loads", {"kind": f"{kind}, two callers", **_load(setup, batches, dim=None, callers=2)})
    vectors = enlarged(setup.data, loaded).vectors
    for kind, texts in (("vectors", None), ("vectors and english", list(documents.english(loaded)))):
        batches = [
            {"ids": ids, "vectors": some, **({} if texts is None else {"texts": texts[i]})}
            for i, (ids, some) in enumerate(documents.numbered(_split(vectors)))
        ]
        run.add("loads", {"kind": kind, **_load(setup, batches, dim=vectors.shape[1])})


def _split(vectors: Any) -> list[Any]:
    return [vectors[start : start + BATCH] for start in range(0, len(vectors), BATCH)]


def _load(setup: Setup, batches: Sequence[dict[str, Any]], dim: int | None, callers: int = 1) -> dict[str, Any]:
    """Times of the batches and of all, of what had still to be done behind them, and gaps of a heartbeat meanwhile.

    Each of the callers waits for its batch before it gives the next.
    """
    path = setup.folder("load")
    taken: list[float] = []
    with filled.embedded(path, **setup.options()) as db:
        docs = db.create_collection(filled.NAME, dim=dim)

        def call(some: Sequence[dict[str, Any]]) -> None:
            taken.extend(each(lambda batch: docs.upsert(**batch, timeout=TIMEOUT_S), some))

        with Heartbeat() as heart, ThreadPoolExecutor(callers) as threads:
            shares = [batches[i::callers] for i in range(callers)]
            wall = seconds(lambda: list(threads.map(call, shares)))
            growing = docs.stats().bytes["postings"]
            behind = seconds(lambda: docs.wait_indexed(timeout=filled.SETTLE_S))
    shutil.rmtree(path)
    count = sum(len(batch["ids"]) for batch in batches)
    characters = sum(len(text) for batch in batches for text in batch.get("texts", ()))
    return {
        "documents": count,
        "characters": characters,
        "seconds": taken,
        "wall_s": wall,
        "behind_s": behind,
        "gaps": heart.gaps,
        "postings_bytes": growing,
    }


# -- searching


def _fill(run: Run, setup: Setup, path: Path) -> None:
    """All the documents, settled in as few segments as fit; what their index takes."""
    pool = rag_content()
    draw = np.random.default_rng(SEED).permutation(setup.size).tolist()
    characters = number = 0
    with filled.embedded(path, **setup.options()) as db:
        docs = db.create_collection(filled.NAME)
        docs.set_indexing("deferred")
        for ids, texts in documents.numbered(documents.english(setup.size)):
            payloads = [pool[(number + i) % len(pool)][1] | {"draw": draw[number + i]} for i in range(len(ids))]
            docs.upsert(ids, texts=texts, payloads=payloads, timeout=TIMEOUT_S)
            characters += sum(map(len, texts))
            number += len(ids)
        docs.set_indexing("auto")
        with Heartbeat() as heart:
            docs.compact(timeout=filled.SETTLE_S)
            docs.wait_indexed(timeout=filled.SETTLE_S)
        stats = docs.stats()
        sealed = sum(segment.live for segment in stats.segments if segment.state == "sealed")
        if stats.live < FULL_ROWS:
            run.doubt(f"{stats.live:,} points; {FULL_ROWS:,} are the least")
        if sealed < filled.INDEXED_SHARE * stats.live:
            run.doubt(f"only {sealed:,} of {stats.live:,} documents are in sealed segments")
        run.add(
            "collection",
            {
                "live": stats.live,
                "bytes": dict(stats.bytes),
                "segments": [(segment.state, segment.live, segment.dead) for segment in stats.segments],
                "characters": characters,
                "gaps": heart.gaps,
            },
        )
    run.add("postings_disk_bytes", sum(file.stat().st_size for file in path.glob("segments/**/*.terms")))
    run.add("disk_bytes", process.disk_bytes(path))


def _searches(run: Run, setup: Setup, docs: Any) -> None:
    """Single searches without and with filters, each with words and an interval of its own."""
    asked = documents.queries()
    size = setup.size
    random = np.random.default_rng(SEED + 1)

    def interval(share: float) -> Any:
        low = int(random.integers(0, max(1, round((1 - share) * size))))
        return (F("draw") >= low) & (F("draw") < low + round(share * size))

    count = min(QUERIES, max(20, size // 100))
    for text in islice(asked, WARM_UP):
        docs.search(text=text, limit=K, filter=interval(0.5))
        docs.search(text=text, limit=K)
    for _ in range(setup.rounds):
        for share in (None, *SHARES):
            cases = [(text, None if share is None else interval(share)) for text in islice(asked, count)]
            hits: list[int] = []
            taken = each(lambda case, h=hits: h.append(_hits(docs, *case)), cases)  # type: ignore[misc]
            run.add("searches", {"share": share, "seconds": taken, "hits": min(hits)})


def _hits(docs: Any, text: str, filter: Any) -> int:
    return len(docs.search(text=text, limit=K, filter=filter))


def _mixed(run: Run, setup: Setup, docs: Any) -> None:
    """The same searches without and with writes of single documents."""
    lasting = MIXED_S if setup.size >= FULL_ROWS else 1.0
    for _ in range(setup.rounds):
        for writes in (0, WRITES):
            searching, writing = mixed.beside(writes, SEARCHES, lasting, docs)
            for what, observed in (("searches", searching), ("writes", writing)):
                if observed.late > 1.0:
                    run.doubt(f"{what} could not be made at their rate: the last began {observed.late:.1f} s late")
            if writes and searching.looked_for < 0.9 * writes * lasting:
                run.doubt(f"only {searching.looked_for} writes were looked for")
            run.add(
                "mixed",
                {
                    "writes_a_s": writes,
                    "searches": searching.taken,
                    "writes": writing.taken,
                    "hits": searching.hits,
                    "looked_for": searching.looked_for,
                    "missing": searching.missing,
                },
            )


def _vectors_beside(run: Run, setup: Setup, loaded: int) -> None:
    """Searches by vector over gRPC, idle and while another process writes texts at full speed."""
    some = enlarged(setup.data, loaded)
    path = setup.folder("vectors")
    with filled.embedded(path, **setup.options() | {"index_threads": 2}) as db:
        docs = filled.fill(db, some.vectors, some.metric, rag=False)
        filled.check(run, docs, setup.options(), dim=some.dim)
    lasting = MIXED_S if setup.size >= FULL_ROWS else 1.0
    with child.vecdb_server(path, **setup.options()) as (address, _), vecdb.connect(address) as db:
        docs = db.collection(filled.NAME)
        docs.wait_indexed(timeout=filled.SETTLE_S)
        for _ in range(setup.rounds):
            idle = each(lambda query: docs.search(query, limit=K), some.queries)
            run.add("beside_text", {"idle": idle, **_beside_text(docs, some.queries, address, lasting)})


def _beside_text(docs: Any, queries: Any, address: str, lasting: float) -> dict[str, Any]:
    taken: list[float] = []
    with child.start("benchmarks.text_writer", json.dumps({"address": address, "seconds": lasting})) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        while writer.poll() is None:
            taken += each(lambda query: docs.search(query, limit=K), queries[len(taken) % len(queries) :][:50])
        written = json.loads(writer.stdout.readline())
    return {"busy": taken, "texts_a_s": written["documents"] / written["seconds"]}


def figures(samples: dict[str, Any]) -> list[Figure]:
    """p95 of searches over all rounds; rates of loads, medians of rounds; tails over idle tails."""
    out = []
    for share in (None, *SHARES):
        some = [s for s in samples["searches"] if s["share"] == share]
        what = "three words" if share is None else f"three words, filter of {100 * share:g} %"
        taken = [t for s in some for t in s["seconds"]]
        out.append(Figure(f"{what}: p95", 1e3 * percentile(taken, 95), "ms", at_most=MOST_MS))
        out.append(Figure(f"{what}: median", 1e3 * median(taken), "ms"))
        out.append(Figure(f"{what}: fewest hits", min(s["hits"] for s in some), at_least=K))
    for kind in dict.fromkeys(load["kind"] for load in samples["loads"]):
        loads = [load for load in samples["loads"] if load["kind"] == kind]
        out += _figures_of_loads(kind, loads)
    about = samples["collection"][0]
    thousands = about["characters"] / 1_000
    out.append(Figure("index on disk, 1,000 characters", samples["postings_disk_bytes"][0] / thousands, "B"))
    out.append(Figure("index, mapped, 1,000 characters", about["bytes"]["postings"] / thousands, "B"))
    out.append(Figure("all of it on disk, 1,000 characters", samples["disk_bytes"][0] / thousands, "B"))
    out.append(Figure("segments searched", len(about["segments"])))
    out.append(Figure("longest gap while all is indexed", 1e3 * max(about["gaps"], default=0.0), "ms"))
    return out + _figures_beside(samples)


def _figures_of_loads(kind: str, loads: Sequence[dict[str, Any]]) -> list[Figure]:
    rates = [load["documents"] / (load["wall_s"] + load["behind_s"]) for load in loads]
    out = [Figure(f"load, {kind}: documents a second", median(rates), "/s", at_least=LEAST.get(kind))]
    if "analysis_a_s" in loads[0]:
        alone = median([load["analysis_a_s"] for load in loads])
        out.append(Figure(f"load, {kind}: analyzed a second, nothing else", alone, "/s"))
        held = median([load["postings_bytes"] / load["characters"] for load in loads])
        out.append(Figure(f"load, {kind}: index in memory at its end, 1,000 characters", 1e3 * held, "B"))
    slowest = median([max(load["seconds"]) for load in loads])
    out.append(Figure(f"load, {kind}: slowest batch", 1e3 * slowest, "ms"))
    gap = median([max(load["gaps"], default=0.0) for load in loads])
    out.append(Figure(f"load, {kind}: longest gap of the heartbeat", 1e3 * gap, "ms"))
    return out


def _figures_beside(samples: dict[str, Any]) -> list[Figure]:
    """Searches beside writes, and by vector beside a load; ratios by round."""
    idle, busy = ([m for m in samples["mixed"] if m["writes_a_s"] == rate] for rate in (0, WRITES))
    tails = [percentile(b["searches"], 99) / percentile(i["searches"], 99) for i, b in zip(idle, busy, strict=True)]
    slow = median([percentile(m["searches"], 99) for m in busy])
    looked_for, missing = (sum(m[what] for m in busy) for what in ("looked_for", "missing"))
    vectors = samples["beside_text"]
    ratios = [percentile(v["busy"], 99) / percentile(v["idle"], 99) for v in vectors]
    return [
        Figure("beside writes: search p99 over idle", median(tails), "x", at_most=MOST_TAIL),
        Figure("beside writes: search p99", 1e3 * slow, "ms"),
        Figure("beside writes: write p99", 1e3 * median([percentile(m["writes"], 99) for m in busy]), "ms"),
        Figure("acknowledged writes looked for", looked_for),
        Figure("acknowledged writes not found by the next search", missing, at_most=0),
        Figure("by vector beside texts: p99 over idle", median(ratios), "x", at_most=MOST_TAIL),
        Figure("by vector beside texts: p99", 1e3 * median([percentile(v["busy"], 99) for v in vectors]), "ms"),
        Figure("texts written meanwhile", median([v["texts_a_s"] for v in vectors]), "/s"),
    ]
