"""Fills a directory with everything that the vecdb which runs this can keep. It is run by older ones too.

    python tests/format/write.py DIRECTORY EXPECTED.json

Only what every release had is used without a question; no line of it may need a newer one.
"""

from __future__ import annotations

import inspect
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import vecdb

DIM = 8
OPTIONS: dict[str, Any] = {
    "background": True,
    "graph_rows": 16,
    "growing_rows": 12,
    "index_threads": 1,
    "search_threads": 1,
    "idle_seal_s": 0.0,
}
QUIET = {**OPTIONS, "idle_seal_s": 1e9}
WORD = "word"
ALL = 1_000
YEARS_S = 30 * 365 * 86_400


def main(path: Path, expected: Path) -> None:
    fill(path)
    with vecdb.open(path, **QUIET) as db:
        found = answers(db)
    expected.write_text(json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def fill(path: Path) -> None:
    """Sealed with a graph and without, unsealed, edited, adopted, deleted and come again; two fields, some empty."""
    with vecdb.open(path, **OPTIONS) as db:
        vectors = {"": vecdb.VectorField(DIM), "image": vecdb.VectorField(3, "euclidean")}
        more: dict[str, Any] = {"sparse": {"": vecdb.SparseField()}} if _knows("SparseField") else {}
        docs = db.create_collection(
            "docs", vectors=vectors, texts={"": vecdb.TextField(), "title": vecdb.TextField()}, **more
        )
        n = 40
        ids = [f"{i:03d}" for i in range(n)]
        docs.upsert(
            ids,
            {"": gaussian(n, DIM), "image": gaussian(n, 3)},
            texts={"": [f"{WORD} {i} 中文" for i in range(n)], "title": [f"title {i % 3}" for i in range(n)]},
            payloads=[
                {"n": i, "lang": "en" if i % 2 else "zh", "long": "x" * (600 if i == 7 else 1)} for i in range(n)
            ],
        )
        docs.update(ids[:12], payloads=[{"n": -1}] * 12)
        docs.update(ids[:6], {"image": gaussian(6, 3, 2)})
        if "ttl" in inspect.signature(docs.upsert).parameters:
            docs.upsert(["ttl"], {"": gaussian(1, DIM, 3)}, ttl=YEARS_S)
        if more:
            docs.update(ids[20:24], sparse=[{1: 1.0 + i, 5: 0.5} for i in range(4)])
        docs.delete(ids[8:12])
        db.alias("papers", "docs")
        docs.compact()
        small = db.create_collection("small", dim=4, metric="dot")
        small.upsert(["a", "b", "c"], gaussian(3, 4), payloads=[{"n": 5}, None, {"n": 1.5}])
        small.compact()
    with vecdb.open(path, **QUIET) as db:
        docs = db.collection("docs")
        docs.update(ids[14:18], payloads=[{"n": -2}] * 4)
        docs.delete(["030"])
        docs.upsert(["008", "late"], {"": gaussian(2, DIM, 4)}, texts={"": [f"late {WORD}", "nothing"]})


def gaussian(n: int, dim: int, seed: int = 0) -> Any:
    return np.random.default_rng([seed, dim]).normal(size=(n, dim)).astype(np.float32)


def answers(db: vecdb.Client) -> dict[str, Any]:
    """By collection and question what this vecdb answers; without the questions it does not know."""
    found: dict[str, Any] = {}
    for info in db.list_collections():
        docs, schema = db.collection(info.name), info.schema
        asked: dict[str, Any] = {
            "count": docs.count,
            "points": lambda docs=docs: [_point(p) for p in docs.scroll(with_vectors=True)],
        }
        for name, field in schema.vectors.items():
            query = np.random.default_rng(field.dim).normal(size=field.dim).astype(np.float32)
            asked[f"exact {name}"] = partial(_search, docs, query, using=name, exact=True)
            asked[f"near {name}"] = partial(_search, docs, query, using=name)
        if _knows("F"):
            asked["filtered"] = lambda docs=docs: docs.count(filter={"n": {"$gte": 3}})
        if _knows("Keyword"):
            asked |= {f"words {name}": partial(_search, docs, text=WORD, fields=[name]) for name in schema.texts}
        if _knows("Sparse"):
            for name in schema.sparse:
                asked[f"sparse {name}"] = partial(_search, docs, legs=[vecdb.Sparse({1: 1.0, 5: 2.0}, using=name)])
        found[info.name] = {
            "aliases": list(info.aliases),
            "vectors": {name: [field.dim, field.metric] for name, field in schema.vectors.items()},
            "texts": {name: field.analyzer for name, field in schema.texts.items()},
            **{question: ask() for question, ask in asked.items()},
        }
    return found


def _search(docs: Any, *query: Any, **more: Any) -> list[Any]:
    hits = docs.search(*query, limit=ALL, **more)
    return [[hit.id, hit.version, hit.payload, round(float(hit.score), 3)] for hit in hits]


def _point(p: Any) -> list[Any]:
    vectors = {name: [round(float(x), 5) for x in v] for name, v in p.vectors.items()}
    return [p.id, p.version, p.payload, dict(p.texts), vectors]


def _knows(name: str) -> bool:
    return name in vecdb.__all__


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
