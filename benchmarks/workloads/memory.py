"""memory: anonymous bytes of an opened database beside what its vectors and links need; disk beside what lives."""

from __future__ import annotations

import json
from typing import Any

from benchmarks import child, filled, process, raw
from benchmarks.figure import Figure
from benchmarks.rows import batches
from benchmarks.run import Run
from benchmarks.sets import made
from benchmarks.setup import FULL_ROWS, Setup

SIZE = 200_000
DIM = 768
ROW_BYTES = 120
MOST_MEMORY, MOST_DISK = 1.15, 2.4


def measure(setup: Setup) -> Run:
    """Load bare and RAG rows, let them settle, reopen in a fresh process."""
    run = Run.begin("memory", setup.size)
    vectors = made(setup.size, DIM, exact=False).vectors
    for rag in (False, True):
        path = setup.folder(f"rag-{rag}")
        with filled.embedded(path, **setup.options()) as db:
            docs = filled.fill(db, vectors, "cosine", rag, compact=False)
            filled.settle(docs, 20.0 if setup.size >= FULL_ROWS else 1.0)
            filled.check(run, docs, setup.options(), dim=DIM, rag=rag)
        settled = process.disk_bytes(path)
        with filled.embedded(path, **setup.options()) as db:
            db.collection(filled.NAME).compact(timeout=filled.SETTLE_S)
        given = {"data": str(path), "options": setup.options(), "dim": DIM, "collections": None}
        run.add(
            "sets",
            {
                "rag": rag,
                "rows": len(vectors),
                "live_bytes": _live_bytes(vectors, rag),
                "disk_settled": settled,
                "disk_compacted": process.disk_bytes(path),
                "reopened": child.answer("benchmarks.open_and_look", json.dumps(given)),
            },
        )
    return run


def _live_bytes(vectors: Any, rag: bool) -> int:
    """What was written: ids, vectors, texts and payloads."""
    total = int(vectors.nbytes)
    for batch in batches(vectors, rag):
        total += sum(map(len, batch["ids"]))
        total += sum(len(text.encode()) for text in batch.get("texts", ()))
        total += sum(len(json.dumps(payload, separators=(",", ":"))) for payload in batch.get("payloads", ()))
    return total


def needed_bytes(rows: int, dim: int, m: int = raw.M) -> float:
    """Vectors and links of a graph, and 120 bytes a row."""
    links = 4 * (2 * m + 1) + 4 * (m + 1) / (m - 1)
    return rows * (4 * dim + links + ROW_BYTES)


def figures(samples: dict[str, Any]) -> list[Figure]:
    """Ratios to what is needed and to what lives."""
    out = []
    for about in samples["sets"]:
        what = "RAG rows" if about["rag"] else "bare rows"
        before, after = about["reopened"]["before"], about["reopened"]["searched"]
        own = after["anonymous"] - before["anonymous"]
        mapped = after["mapped"] - before["mapped"]
        ratio = own / needed_bytes(about["rows"], DIM)
        out.append(Figure(f"{what}: anonymous bytes over needed", ratio, "x", at_most=MOST_MEMORY))
        out.append(Figure(f"{what}: anonymous", own / 2**20, "MiB"))
        out.append(Figure(f"{what}: mapped", mapped / 2**20, "MiB"))
        settled = about["disk_settled"] / about["live_bytes"]
        out.append(Figure(f"{what}: disk over live, settled", settled, "x", at_most=MOST_DISK))
        out.append(Figure(f"{what}: disk over live, compacted", about["disk_compacted"] / about["live_bytes"], "x"))
    return out
